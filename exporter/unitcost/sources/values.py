"""Values as texts spell them: amounts, days, tenants, names of measures; a ValueError says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from unitcost.facts import LARGEST_AMOUNT, LARGEST_QUANTITY, RESERVED

MEASURE = r"^[a-z][a-z0-9_]*$"
"""What a measure may be called: it is the value of a label, and sharing rules name it."""

LEDGER = Decimal("1e-12")
"""The last digit the ledger keeps: amounts are DECIMAL(38, 12) there."""
EXACT = Context(prec=60)
"""Enough digits that adding and rounding what the ledger can hold is exact; the default of 28 is not."""
SHOWN = 40

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def quantity(text: str) -> Decimal:
    """Return how much was used, as amount() does."""
    return amount(text, LARGEST_QUANTITY)


def amount(text: str, largest: Decimal = LARGEST_AMOUNT) -> Decimal:
    """Return a number from zero to the largest, rounded half to even to the ledger's 12 decimal places."""
    value = signed(text, largest)
    if value < 0:
        raise ValueError(f"{shown(text)} is negative")
    return value.copy_abs()  # not abs(), which rounds to 28 digits; this makes -0 a 0


def signed(text: str, largest: Decimal = LARGEST_AMOUNT, *, shift: int = 0) -> Decimal:
    """Return a number as amount() does, of either sign. shift: by how many places its point is moved (-2: cents)."""
    spelt = text.strip()
    if not spelt:
        raise ValueError("is empty")
    if _NUMBER.fullmatch(spelt) is None:
        raise ValueError(f"{shown(text)} is not a plain number such as 1234.50")
    value = Decimal(spelt)
    if shift:
        value = value.scaleb(shift, EXACT)
    if value.copy_abs() > largest:
        raise ValueError(f"{shown(text)} is too large, more than {largest:.0e} cannot be counted")
    return value.quantize(LEDGER, context=EXACT)


@lru_cache(maxsize=4096)
def day(text: str) -> date:
    """Return a day written YYYY-MM-DD."""
    spelt = text.strip()
    try:
        if _DAY.fullmatch(spelt) is not None:
            return date.fromisoformat(spelt)
    except ValueError:
        pass  # the 30th of February; said below
    raise ValueError("is empty" if not spelt else f"{shown(text)} is not a day written YYYY-MM-DD")


def tenant(text: str) -> str:
    """Return a tenant as the source spells it, without spaces around it; reserved names are nobody's."""
    spelt = plain(text).strip()
    if not spelt:
        raise ValueError("is empty")
    if spelt in RESERVED:
        raise ValueError(f"{shown(text)} is a reserved name")
    return spelt


def tenant_or_nobody(text: str) -> str | None:
    """Return a tenant as tenant() does; None where it is empty or a reserved name, which are nobody's."""
    try:
        return tenant(text)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def measure(text: str) -> str:
    """Return the name of a measure."""
    spelt = text.strip()
    if re.fullmatch(MEASURE, spelt) is None:
        raise ValueError(f"{shown(text)} is not a name of lower case letters, digits and _")
    return spelt


def plain(text: str) -> str:
    """Return a text that can be stored and served: whole characters (JSON may escape half of one), no zero bytes."""
    if "\0" in text:
        raise ValueError(f"{shown(text)} holds a zero byte")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{shown(text)} holds half of a character") from error
    return text


def exact_json(text: bytes) -> Any:
    """Parse JSON with every number a Decimal, and NaN or Infinity None. Raises ValueError.

    A key that stands twice in one object is refused. Numbers may be of any size: who reads one compares it first.
    """
    try:
        return json.loads(text, **HOOKS)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except InvalidOperation as error:
        raise ValueError("it holds a number whose exponent is none") from error


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; a key that stands twice is a ValueError, as which one counts would be a guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        left = dict(pairs)
        twice = next(key for key, _ in pairs if left.pop(key, left) is left)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


HOOKS: Mapping[str, Any] = {
    "parse_float": Decimal,
    "parse_int": Decimal,
    "parse_constant": lambda _: None,
    "object_pairs_hook": unique,
}
DECODER = json.JSONDecoder(**HOOKS)
"""Reads JSON as exact_json does, a value at a time."""


def shown(text: str) -> str:
    """Return a text fit to be shown in an error: quoted, not too long."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def spelt(value: object) -> str:
    """Return a value of JSON as JSON spells it, fit to be shown in an error; containers by what they are."""
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    if isinstance(value, Decimal):
        text = str(value)
    elif isinstance(value, str):
        return json.dumps(value if len(value) <= SHOWN else f"{value[:SHOWN]}…", ensure_ascii=False)
    else:
        text = {None: "null", True: "true", False: "false"}.get(value, str(value))  # type: ignore[call-overload]
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
