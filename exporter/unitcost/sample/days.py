"""The calendar of the sample: three months, what a day weighs, and amounts spread over days without loss."""

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


@dataclass(frozen=True, slots=True)
class Clock:
    """The months that the sample covers, as seen from now (UTC)."""

    now: datetime
    before: Month
    last: Month
    this: Month

    @classmethod
    def at(cls, now: datetime) -> Clock:
        """Return the clock: the current month, the last whole one, and the one before that."""
        first = now.date().replace(day=1)
        last = (first - timedelta(1)).replace(day=1)
        before = (last - timedelta(1)).replace(day=1)
        return cls(now, Month(before, 94), Month(last, 100), Month(first, 103))

    @property
    def months(self) -> tuple[Month, Month, Month]:
        """The three months, oldest first."""
        return self.before, self.last, self.this

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


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Split a whole amount by weights: the parts sum to it, and every beginning to its share, to within 1."""
    total, done, parts = sum(weights), 0, []
    reached = 0
    for weight in weights:
        reached += weight
        until = amount * reached // total
        parts.append(until - done)
        done = until
    return parts


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
