"""Numbers, durations and differences as a reader sees them."""

from __future__ import annotations


def pluralize(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one: "1 epoch", "20 epochs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """A duration with two units at most: "8 s", "2 min 5 s", "1 h 20 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def signed(value: float) -> str:
    """A difference with its sign and four decimals."""
    return f"{value:+.4f}".replace("-", "−")
