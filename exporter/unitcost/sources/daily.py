"""The day protocol of sources that are asked day by day: which days are due, and when to give up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from unitcost.errors import SourceError
from unitcost.facts import Asked, Problem

ASK_EMPTY_AGAIN = timedelta(hours=24)
"""When a day that can no longer change is asked again after the source had nothing of it."""

MAX_FAILED_DAYS = 3
"""After so many failed days in a row no other day is asked."""


def due(
    asked: Asked, youngest: timedelta, is_whole: Callable[[date], bool], also: Collection[date] = ()
) -> Iterator[date]:
    """Yield the UTC days to ask for, newest first.

    These are today once it is `youngest` old, the last restate_days, and each older day of the history that is not
    stored as a whole (is_whole), nor was empty when it was asked within the last ASK_EMPTY_AGAIN. also: older days that
    are asked whatever is stored of them.
    """
    if asked.now - midnight(asked.today) >= youngest:
        yield asked.today
    for back in range(1, (asked.today - asked.first_day).days + 1):
        day = asked.today - timedelta(days=back)
        if back <= asked.restate_days or day in also or not (is_whole(day) or _was_empty(day, asked)):
            yield day


class FailedDays:
    """The days of one refresh that failed since the last that did not.

    What is wrong with them is told once a day after them is answered, or none is left; with so many in a row that no
    other day is asked, the last speaks for all. what: what is asked at once, where that is not a day.
    """

    def __init__(self, what: str = "days") -> None:
        self._what = what
        self._problems: list[Problem] = []
        self._days = 0

    def add(self, problems: Sequence[Problem]) -> Iterator[Problem]:
        """Keep what is wrong with one more day. Raises SourceError where that is the third in a row."""
        self._days += 1
        if self._days < MAX_FAILED_DAYS:
            self._problems += problems
            return
        *others, last = problems
        yield from others
        text = f"{last.text} ({self._days} {self._what} in a row failed; older {self._what} were not asked)"
        raise SourceError(last.reason, last.where, text, last.hint)

    def told(self) -> Iterator[Problem]:
        """Yield what is wrong with them, as the next day was answered or there is none."""
        yield from self._problems
        self._problems, self._days = [], 0


def is_closed(day: date, asked: Asked) -> bool:
    """Whether a day can no longer change: it is older than restate_days."""
    return (asked.today - day).days > asked.restate_days


def midnight(day: date) -> datetime:
    """Return when a UTC day begins."""
    return datetime.combine(day, time(), UTC)


def _was_empty(day: date, asked: Asked) -> bool:
    when = asked.stored.asked_empty(day.isoformat())
    return when is not None and asked.now - when < ASK_EMPTY_AGAIN
