"""The calendar of the sample: five months, what a day weighs, and amounts spread over days without loss."""

from __future__ import annotations

import calendar
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAY_SECONDS = 86_400
WEEKDAY, WEEKEND = 1080, 800
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of the company. level: its size in percent of the last whole month, which is 100."""

    first: date
    level: int

    @property
    def days(self) -> list[date]:
        """Every day of the month, those still to come included."""
        length = calendar.monthrange(self.first.year, self.first.month)[1]
        return [self.first + timedelta(n) for n in range(length)]

    @property
    def busy(self) -> list[int]:
        """The weight of each day for what follows people's work: less at weekends, never quite the same."""
        return [
            (WEEKEND if day.weekday() >= SATURDAY else WEEKDAY) + seeded("day", day).randint(-20, 20)
            for day in self.days
        ]

    @property
    def flat(self) -> list[int]:
        """The weight of each day for what runs day and night, whoever works."""
        return [1] * len(self.days)


LEVELS = (84, 89, 94, 100, 103)
"""The company's size in each month, oldest first: it grows by 5 or 6 percent a month, and more slowly now."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The months that the sample covers, oldest first, as seen from now (UTC)."""

    now: datetime
    months: tuple[Month, ...]

    @classmethod
    def at(cls, now: datetime) -> Clock:
        """Return the clock: the current month and the four whole ones before it, which are 120 days or more."""
        first = now.date().replace(day=1)
        months: list[Month] = []
        for level in reversed(LEVELS):
            months.insert(0, Month(first, level))
            first = (first - timedelta(1)).replace(day=1)
        return cls(now, tuple(months))

    @property
    def this(self) -> Month:
        """The current month."""
        return self.months[-1]

    @property
    def last(self) -> Month:
        """The last whole month: the bill of the design."""
        return self.months[-2]

    @property
    def today(self) -> date:
        """The current day, which is not over."""
        return self.now.date()

    def elapsed(self, day: date) -> int:
        """Return how many seconds of this day are over."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.now.tzinfo)
        return max(0, min(DAY_SECONDS, int((self.now - midnight).total_seconds())))


def seeded(*parts: object) -> random.Random:
    """Return a random generator that gives the same numbers for the same parts, on every machine."""
    return random.Random(":".join(map(str, parts)))


def trade(series: Sequence[list[int]], label: str) -> None:
    """Let neighbours take from and give to each other, day by day, so that no two curves look alike.

    Works in place. The sum of each day stays what it was, to the last unit.
    """
    for number in range(0, len(series) - 1, 2):
        one, other = series[number], series[number + 1]
        drift, chance = 0, seeded(label, number)
        for day in range(len(one)):
            drift = max(-300, min(300, drift + chance.randint(-90, 90)))
            moved = min(one[day], other[day]) * drift // 1000
            one[day] += moved
            other[day] -= moved
