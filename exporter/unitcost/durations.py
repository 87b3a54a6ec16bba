"""Durations as the configuration writes them: 30s, 5m, 2h, 90d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

NO_DURATION = "must be a duration such as 30s, 5m, 2h or 90d"
_SPAN = r"([0-9]{1,9})([smhd])"
DURATION = rf"^\s*{_SPAN}\s*$"
"""What a Duration is written as."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(span: str) -> int:
    """Return the seconds of 30s, 5m, 2h, 90d. Raises ValueError for what is no duration."""
    found = re.fullmatch(_SPAN, span)
    if found is None:
        raise ValueError(NO_DURATION)
    return int(found[1]) * _UNITS[found[2]]


def spelt_duration(span: timedelta) -> str:
    """Return whole seconds in the largest unit that they are whole in."""
    total = int(span.total_seconds())
    unit = next(unit for unit in reversed(_UNITS) if total % _UNITS[unit] == 0)
    return f"{total // _UNITS[unit]}{unit}"


def _duration(value: object) -> object:
    """Turn 30s, 5m, 2h, 90d into a timedelta."""
    found = seconds(value.strip()) if isinstance(value, str) else 0
    if not found:
        raise ValueError(NO_DURATION)
    return timedelta(seconds=found)


def between(low: str, high: str) -> AfterValidator:
    """Return a check of durations, which are written as in the file."""
    first, last = _duration(low), _duration(high)

    def check(value: timedelta) -> timedelta:
        if not first <= value <= last:  # type: ignore[operator]
            raise ValueError(f"must be at least {low} and at most {high}")
        return value

    return AfterValidator(check)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
