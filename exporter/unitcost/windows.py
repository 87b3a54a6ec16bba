"""Windows: names for spans of UTC days as seen from a clock."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DEFAULT_WINDOWS = ("1d", "30d", "mtd", "last_month")

_DAYS = re.compile(r"([1-9][0-9]{0,3})d")


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
    """Tell whether this is a window: Nd, mtd or last_month."""
    return name in {"mtd", "last_month"} or _DAYS.fullmatch(name) is not None


def window(name: str, now: datetime) -> Window:
    """Return the window as of now (UTC).

    Nd: the last N complete days. mtd: the first of the month until now, today's unfinished day included.
    last_month: the previous calendar month. Raises ValueError for any other name.
    """
    today = now.date()
    first_of_month = today.replace(day=1)
    if name == "mtd":
        return Window(name, first_of_month, today + timedelta(1), today)
    if name == "last_month":
        return Window(name, (first_of_month - timedelta(1)).replace(day=1), first_of_month, first_of_month)
    found = _DAYS.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no window: use Nd (such as 30d), mtd or last_month")
    return Window(name, today - timedelta(int(found[1])), today, today)
