"""The kinds of values that unitcost.yaml has, each with its bounds, so that a mistake is told when the file is read."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from unitcost.address import split_address
from unitcost.facts import LARGEST_RATE, RATE_DIGITS, RATE_PLACES, SMALLEST_RATE
from unitcost.sources.base import ANumber, resolved


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


Day = Annotated[date, BeforeValidator(_day)]
Exact = Annotated[Decimal, BeforeValidator(_exact), ANumber, Field(allow_inf_nan=False)]
Positive = Annotated[Exact, Field(gt=0)]
Share = Annotated[Exact, Field(ge=0, le=1), AfterValidator(short)]
Rate = Annotated[Exact, AfterValidator(_convertible), AfterValidator(short)]
StateDir = Annotated[Path, AfterValidator(_state_dir)]
Listen = Annotated[str, AfterValidator(_listen), WithJsonSchema({"type": "string", "pattern": ":[0-9]{1,5}$"})]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
