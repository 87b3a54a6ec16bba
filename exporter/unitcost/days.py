"""Windows: names for spans of UTC days as seen from a clock.

Each has a predecessor to compare it with, named prev_ and the window; and closed calendar months are windows by their
own name, 2026-10.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

DAY: Final = "1d"
MONTH: Final = "30d"
MTD: Final = "mtd"
LAST_MONTH: Final = "last_month"
DEFAULT_WINDOWS = (DAY, MONTH, MTD, LAST_MONTH)
PREVIOUS = "prev_"

_DAYS = re.compile(r"([1-9][0-9]{0,3})d")
WINDOW = f"^{_DAYS.pattern}$|^({MTD}|{LAST_MONTH})$"
"""What is_window() takes."""
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Window:
    """A span of UTC days: first inclusive, end exclusive. needs_until: days before it must be known (exclusive)."""

    name: str
    first: date
    end: date
    needs_until: date

    def days(self) -> list[date]:
        """Return the complete days of the window, those a required source must know."""
        return [self.first + timedelta(n) for n in range((self.needs_until - self.first).days)]


def days_in_month(day: date) -> int:
    """Return how many days the calendar month of a day has."""
    return monthrange(day.year, day.month)[1]


def is_window(name: str) -> bool:
    """Tell whether this is a window of its own: Nd, mtd or last_month."""
    return name in {MTD, LAST_MONTH} or day_count(name) is not None


def day_count(name: str) -> int | None:
    """Return N of a window Nd; None of any other."""
    found = _DAYS.fullmatch(name)
    return int(found[1]) if found else None


def is_named(name: str) -> bool:
    """Tell whether window() knows this name: a window, its predecessor (prev_30d) or a calendar month (2026-10)."""
    return is_window(name.removeprefix(PREVIOUS)) or _MONTH.fullmatch(name) is not None


def window(name: str, now: datetime) -> Window:
    """Return the window as of now (UTC).

    Nd: the last N complete days. mtd: the first of the month until now, today's unfinished day included.
    last_month: the previous calendar month. YYYY-MM: that month. prev_ before one of the first three: what it is
    compared with; see `predecessor`. Raises ValueError for any other name.
    """
    if name.startswith(PREVIOUS):
        return predecessor(window(name.removeprefix(PREVIOUS), now), now.date())
    today = now.date()
    first_of_month = today.replace(day=1)
    if name == MTD:
        return Window(name, first_of_month, today + timedelta(1), today)
    if name == LAST_MONTH:
        return Window(name, month_before(first_of_month), first_of_month, first_of_month)
    if (count := day_count(name)) is not None:
        return Window(name, today - timedelta(count), today, today)
    if found := _MONTH.fullmatch(name):
        first = date(int(found[1]), int(found[2]), 1)
        end = first + timedelta(days_in_month(first))
        return Window(name, first, end, min(end, max(first, today)))
    raise ValueError(f"{name!r} is no window: use Nd (such as 30d), mtd, last_month or a month (2026-10)")


def predecessor(of: Window, today: date) -> Window:
    """Return the complete days that a window of `today` is compared with.

    The N days before the last N; the month before last_month; and for mtd as many days of the month before as are
    complete of this one, or all of a shorter month: today's unfinished day has no counterpart.
    """
    name = PREVIOUS + of.name
    if day_count(of.name) is not None:
        first, end = of.first - (of.end - of.first), of.first
    else:
        first = month_before(of.first)
        end = of.first if of.name == LAST_MONTH else min(first + (today - of.first), of.first)
    return Window(name, first, end, end)


def served(names: Sequence[str], now: datetime, history: timedelta, months: int) -> list[Window]:
    """Return the windows whose numbers are served: those named, their predecessors, and the last closed months.

    months: how many closed calendar months at the most, of those that lie in the history as a whole. A predecessor
    without a day (of mtd, on the first of a month) is left out.
    """
    found = [window(name, now) for name in names]
    before = [predecessor(one, now.date()) for one in found if is_window(one.name)]
    month = now.date().replace(day=1)
    closed = []
    for _ in range(months):
        month = month_before(month)
        if month >= now.date() - history:
            closed.append(window(f"{month:%Y-%m}", now))
    every = [*found, *(one for one in before if one.first < one.end), *closed]
    return list({one.name: one for one in every}.values())


def month_of(name: str) -> date:
    """Return the first day of a calendar month "2026-10". Raises ValueError for what is none."""
    return date.fromisoformat(f"{name}-01")


def month_before(first: date) -> date:
    """Return the first day of the month before the one that begins on a day."""
    return (first - timedelta(1)).replace(day=1)


def month_after(first: date) -> date:
    """Return the first day of the month after the one that begins on a day."""
    return first + timedelta(days_in_month(first))
