"""The kinds of values that unitcost.yaml has, each with its bounds, so that a mistake is told when the file is read."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from unitcost.address import split_address
from unitcost.facts import LARGEST_RATE, RATE_DIGITS, RATE_PLACES, SMALLEST_RATE
from unitcost.sources.base import ANumber, resolved

NO_DURATION = "must be a duration such as 30s, 5m, 2h or 90d"


def seconds(span: str) -> int:
    """Return the seconds of 30s, 5m, 2h, 90d. Raises ValueError for what is no duration."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", span)
    if found is None:
        raise ValueError(NO_DURATION)
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def _duration(value: object) -> object:
    """Turn 30s, 5m, 2h, 90d into a timedelta."""
    found = seconds(value.strip()) if isinstance(value, str) else 0
    if not found:
        raise ValueError(NO_DURATION)
    return timedelta(seconds=found)


def _day(value: object) -> object:
    """Read a day; a number is none, though it could be taken for seconds since 1970."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        with suppress(ValueError):  # the 30th of February
            return date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("must be a day written as 2026-11-01")


def one_or_more(value: object) -> object:
    """Take one text as a list of it."""
    return value if isinstance(value, (list, tuple)) else (value,)


def _exact(value: object) -> object:
    """Read a YAML number as the decimal that is written there."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def short(value: Decimal) -> Decimal:
    """Refuse digits that could not be multiplied exactly. Never rounds: which rate was meant would be a guess."""
    _, digits, exponent = value.as_tuple()
    spelt = "".join(map(str, digits))
    kept = spelt.rstrip("0")
    places = -int(exponent) - (len(spelt) - len(kept))
    if len(kept.lstrip("0")) > RATE_DIGITS or places > RATE_PLACES:
        raise ValueError(f"must have at most {RATE_DIGITS} digits, up to {RATE_PLACES} of them behind the point")
    return value


def _convertible(rate: Decimal) -> Decimal:
    if not SMALLEST_RATE <= rate <= LARGEST_RATE:
        raise ValueError(f"must be a number from {SMALLEST_RATE:f} to {LARGEST_RATE:f}")
    return rate


def between(low: str, high: str) -> AfterValidator:
    """Return a check of durations, which are written as in the file."""
    first, last = _duration(low), _duration(high)

    def check(value: timedelta) -> timedelta:
        if not first <= value <= last:  # type: ignore[operator]
            raise ValueError(f"must be at least {low} and at most {high}")
        return value

    return AfterValidator(check)


def _state_dir(path: Path, info: ValidationInfo) -> Path:
    path = resolved(path, info)
    try:
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is not a folder")
    except OSError as error:
        raise ValueError(f"{path} cannot be used: {error.strerror}") from None
    return path


def _listen(value: str) -> str:
    split_address(value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Day = Annotated[date, BeforeValidator(_day)]
Exact = Annotated[Decimal, BeforeValidator(_exact), ANumber, Field(allow_inf_nan=False)]
Positive = Annotated[Exact, Field(gt=0)]
Share = Annotated[Exact, Field(ge=0, le=1), AfterValidator(short)]
Rate = Annotated[Exact, AfterValidator(_convertible), AfterValidator(short)]
StateDir = Annotated[Path, AfterValidator(_state_dir)]
Listen = Annotated[str, AfterValidator(_listen)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
