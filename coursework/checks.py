"""Checks of arguments."""

from __future__ import annotations

import operator
from typing import Any


def require_integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> None:
    """Raise a ValueError that names the argument unless `value` is an integer from `minimum` to `maximum`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum or (maximum is not None and number > maximum):
        allowed = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name}={value!r}: expected an integer {allowed}")
