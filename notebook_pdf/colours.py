"""Colours that can be read on white paper."""

from __future__ import annotations


def readable_colour(red: float, green: float, blue: float) -> str:
    """The colour, darkened until text in it has a contrast of 4.5 on white (WCAG 2.1).

    Args:
        red, green, blue: from 0 to 1.

    Returns:
        Six hexadecimal digits.
    """
    while _luminance(red, green, blue) > 0.175:
        red, green, blue = (0.9 * part for part in (red, green, blue))
    return "".join(f"{min(round(255 * part), 255):02x}" for part in (red, green, blue))


def _luminance(*parts: float) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
