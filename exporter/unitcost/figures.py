"""Numbers, days and foreign names as a person reads them. Unknown is a dash, never 0; minus is a real minus."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

Number = Decimal | float

UNKNOWN = "–"
MINUS = "−"
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
NO_BREAK = "\u00a0"
SMALL = 10
"""Amounts below this are shown with cents."""


def money(amount: Number | None, currency: str, *, cents: bool | None = None) -> str:
    """Write $1,234, or $1.23 where it is small. cents decides for a whole column; less than one always has them."""
    if amount is None:
        return UNKNOWN
    size = abs(Decimal(amount))
    with_cents = is_small(amount) if cents is None else cents or 0 < size < 1
    return _signed(f"{size:,.{2 if with_cents else 0}f}", negative=amount < 0, currency=currency)


def plain(text: str) -> str:
    """Write a figure in characters that every terminal and program knows."""
    return text.replace(MINUS, "-").replace(UNKNOWN, "-")


def in_full(value: object) -> object:
    """Write a decimal out in full, as text: no digit of money is lost in a float. Anything else stays as it is."""
    if not isinstance(value, Decimal):
        return value
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def sign(currency: str, gap: str = NO_BREAK) -> str:
    """Return what stands before an amount: $, or the code of a currency without a sign, and a gap; nothing for ""."""
    return SYMBOLS.get(currency, f"{currency}{gap}" if currency else "")


def is_small(amount: Number | None) -> bool:
    """Whether an amount needs its cents to say anything."""
    return amount is not None and 0 < abs(Decimal(amount)) < SMALL


def unit_cost(amount: Number | None, currency: str) -> str:
    """Write the cost of one request: $0.00102; 3 digits of what is less than $0.0001, cents from $1 on."""
    if amount is None:
        return UNKNOWN
    size = abs(float(amount))
    decimals = 2 if size >= 1 else 5
    if 0 < size < TINY:
        decimals = 2 - math.floor(math.log10(size))
    return _signed(f"{size:,.{decimals}f}", negative=amount < 0, currency=currency)


TINY = 0.0001


def _signed(digits: str, *, negative: bool, currency: str) -> str:
    zero = not digits.strip("0.,")
    return f"{MINUS if negative and not zero else ''}{sign(currency)}{digits}"


def percent(ratio: Number | None, *, whole: bool = False) -> str:
    """Write 45%; below one percent with decimals, so that little is not shown as nothing, but where all are whole."""
    if ratio is None:
        return UNKNOWN
    size = abs(float(ratio)) * 100
    decimals = 0 if whole or size >= 1 or size == 0 else 1 if size >= TENTH else 2
    text = f"{size:,.{decimals}f}%"
    return f"{MINUS if ratio < 0 and text.strip('0.%') else ''}{text}"


TENTH = 0.1


def count(number: Number | None) -> str:
    """Write a whole number with thousands separators."""
    return UNKNOWN if number is None else f"{number:,.0f}".replace("-", MINUS)


def plural(number: int, one: str, many: str) -> str:
    """Write `1 customer` or `2 customers`."""
    return f"{number:,} {one if number == 1 else many}"


def day_range(first: date, last: date) -> str:
    """Write 29–31 October 2026, 24 October – 22 November 2026, or one day."""
    if first == last:
        return _day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{_day(last)}"
    return f"{f'{first.day} {first:%B}' if first.year == last.year else _day(first)} – {_day(last)}"


def day_ranges(days: Sequence[date], most: int = 4) -> str:
    """Write days as ranges; beyond `most` of them only how many days more there are."""
    ranges: list[list[date]] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][1] == timedelta(days=1):
            ranges[-1][1] = day
        else:
            ranges.append([day, day])
    text = ", ".join(day_range(first, last) for first, last in ranges[:most])
    rest = sum((last - first).days + 1 for first, last in ranges[most:])
    return f"{text} and {plural(rest, 'day', 'days')} more" if rest else text


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def moment(at: datetime) -> str:
    """Write 22 November 2026, 06:05 UTC."""
    return f"{_day(at.date())}, {at:%H:%M} UTC"


def elapsed(then: datetime, now: datetime) -> str:
    """Write how much time passed, in its largest unit of days, hours and minutes."""
    minutes = max(0, int((now - then).total_seconds())) // 60
    if minutes < HOUR:
        return plural(minutes, "minute", "minutes")
    if minutes < DAY:
        return plural(minutes // HOUR, "hour", "hours")
    return plural(minutes // DAY, "day", "days")


HOUR, DAY = 60, 24 * 60


def cut(text: str, most: int) -> str:
    """Shorten a foreign text to `most` characters; what would control the page or turn its direction shows as �."""
    head = "".join("�" if c in TURNS or unicodedata.category(c) in {"Cc", "Cs"} else c for c in text[: most + 1])
    return head if len(head) <= most else f"{head[: most - 1]}…"


TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text after them."""
