"""What a Prometheus API is asked a UTC day at a time: the windows, and what the answers mean for what is stored.

Batches: one per UTC day, key = the ISO day, whole or not at all. until: when the day was asked; one that was last asked
before its end is asked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from unitcost.facts import Asked, Batch, Note, Problem, Usage
from unitcost.sources.daily import FailedDays, due, is_closed, midnight
from unitcost.sources.http import Answer, Client

PATH = "/api/v1/query"
DAY = timedelta(days=1)
SHORTEST = timedelta(minutes=5)


@dataclass(frozen=True)
class Window:
    """What is asked for one UTC day: from its midnight to `end`, which is the next midnight or now."""

    day: date
    end: datetime

    @property
    def seconds(self) -> int:
        """The length of the window."""
        return int((self.end - midnight(self.day)).total_seconds())

    def ask(self, client: Client, query: str) -> Answer:
        """Return the answer to an instant query at its end."""
        # Thanos leaves out stores that do not answer unless told not to; others ignore this.
        time = str(int(self.end.timestamp()))
        return client.get(PATH, {"query": query, "time": time, "partial_response": "false"})


@dataclass
class Day:
    """What was said of a day. heard: whether it is known by it; problems: then nothing of it counts."""

    usage: list[Usage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    heard: bool = False


def each_day(asked: Asked, ask: Callable[[Window], Day], says: Sequence[str]) -> Iterator[Batch | Problem | Note]:
    """Ask for today and the last restate_days, and each older day that is not stored, newest first.

    A day with problems keeps what is stored. Raises SourceError after three failed days in a row.
    """
    failed = FailedDays()
    for window in _windows(asked):
        day = ask(window)
        if day.problems:
            yield from failed.add(day.problems)
            continue
        yield from failed.told()
        yield from _settled(window, day, asked, says)
    yield from failed.told()


def _settled(window: Window, day: Day, asked: Asked, says: Sequence[str]) -> Iterator[Batch | Problem | Note]:
    """Yield what a completely answered day means for what is stored of it."""
    key = window.day.isoformat()
    stored = asked.stored.batch(key)
    if not day.heard:
        closed = is_closed(window.day, asked)
        if stored is None or closed:
            yield Batch(key=key, days=[])
        if stored is not None and closed:
            yield Note(f"{key}: was stored before it was over, and the server has nothing of it now; that stays")
        elif stored is not None:
            yield Problem(
                "no_data", key, "had usage before and has none now; what is stored stays", "See the server's retention"
            )
        return
    usage = sorted(day.usage, key=lambda one: (one.measure, one.tenant or "", repr(one)))
    digest = hashlib.sha256()
    for one in usage:
        digest.update(repr(one).encode())
    if stored is None or (stored.fingerprint, stored.until) != (digest.hexdigest(), window.end):
        yield Batch(key, [window.day], digest.hexdigest(), usage=usage, says=says, until=window.end)


def _windows(asked: Asked) -> Iterator[Window]:
    """Return what to ask, newest first."""
    now = asked.now.astimezone(UTC).replace(second=0, microsecond=0)

    def window(day: date) -> Window:
        return Window(day, min(now, midnight(day + DAY)))

    def is_whole(day: date) -> bool:
        found = asked.stored.batch(day.isoformat())
        return found is not None and found.until == window(day).end

    return map(window, due(asked, SHORTEST, is_whole))
