"""Stored days that look partial once good days stand beside them: asked anew, a few at a time and not for ever.

The first load has nothing to hold a day against, and it is then that the limits of OpenCost's Prometheus bite.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from unitcost.facts import Asked, Cost, Note
from unitcost.sources.cluster.opencost.day import NEIGHBOURS, WHOLE_DAY, covered
from unitcost.sources.cluster.opencost.guard import shape, suspicion

AT_ONCE = 3
TRIES = 5
ASK_ANEW = timedelta(hours=24)
"""How many doubted days one refresh asks anew, how often each of them, and how far apart."""
MOSTLY_IDLE = Decimal("0.9")


class Doubts:
    """Judges stored days by those around them. What it saw is kept by fingerprint, so that a refresh reads little."""

    def __init__(self, guard: Decimal) -> None:
        self._guard = guard
        self._weights: dict[str, tuple[str, Decimal]] = {}
        self._verdicts: dict[tuple[str, str, str], str] = {}
        self._tried: dict[date, tuple[int, datetime]] = {}

    def look(self, asked: Asked) -> dict[date, str]:
        """Return why each stored, closed day of the history looks partial; newest first."""
        if not self._guard:
            return {}
        marks: dict[date, str] = {}
        for key in asked.stored.keys():  # noqa: SIM118 - a method of ours
            day = date.fromisoformat(key)
            mark = asked.stored.fingerprint(key)
            if mark and day >= asked.first_day and covered(day, asked.stored) == WHOLE_DAY:
                marks[day] = mark
        verdicts: dict[tuple[str, str, str], str] = {}
        doubted = {}
        for day in sorted(marks, reverse=True):
            if (asked.today - day).days <= asked.restate_days:
                continue
            around = [day + timedelta(n) for n in range(-NEIGHBOURS, NEIGHBOURS + 1) if n]
            beside = [other for other in around if other in marks]
            if not beside:
                continue
            best = max(beside, key=lambda other: self._weight(other, marks[other], asked))
            seen = (day.isoformat(), marks[day], marks[best])
            verdicts[seen] = self._verdicts[seen] if seen in self._verdicts else self._judge(day, best, asked)
            if verdicts[seen]:
                doubted[day] = verdicts[seen]
        self._verdicts = verdicts
        return doubted

    def due(self, doubted: Sequence[date], now: datetime) -> set[date]:
        """Return those of the doubted days that this refresh asks anew, and count that as a try."""
        ready = [
            day
            for day in doubted
            if day not in self._tried or (self._tried[day][0] < TRIES and now - self._tried[day][1] >= ASK_ANEW)
        ]
        for day in ready[:AT_ONCE]:
            self._tried[day] = (self._tried.get(day, (0, now))[0] + 1, now)
        return set(ready[:AT_ONCE])

    def _weight(self, day: date, mark: str, asked: Asked) -> Decimal:
        """Return what the tenants of a day cost: the day with the most of it is least likely to lack any."""
        key = day.isoformat()
        if key not in self._weights or self._weights[key][0] != mark:
            tenants = shape(asked.stored.costs(key)).tenants
            self._weights[key] = mark, sum(tenants.values(), Decimal(0))
        return self._weights[key][1]

    def _judge(self, day: date, best: date, asked: Asked) -> str:
        now, reference = (shape(asked.stored.costs(other.isoformat())) for other in (day, best))
        return suspicion(now, reference, self._guard)


def doubt_note(name: str, doubted: dict[date, str]) -> list[Note]:
    """Say which stored days look partial."""
    if not doubted:
        return []
    first = min(doubted)
    return [
        Note(
            f"{name}: {len(doubted)} stored days look partial beside the days around them, the first is {first}: "
            f"{doubted[first]}. Each is asked anew up to {TRIES} times, a day apart and after a restart; if they are "
            "partial, raise the limits of OpenCost's Prometheus (query.max-samples, query.timeout)"
        )
    ]


def mostly_idle(rows: Sequence[Cost], where: str) -> list[Note]:
    """Say of a day that has nothing to be held against that its workloads carry next to nothing of the cluster."""
    found = shape(rows)
    idle = sum((row.amount for row in rows if row.category == "idle"), Decimal(0))
    if idle <= 0 or idle < MOSTLY_IDLE * found.infrastructure:
        return []
    return [
        Note(
            f"{where}: {idle:.2f} of {found.infrastructure:.2f} are idle, workloads carry next to nothing of what the "
            "cluster costs, and no other day is known: the answer may be partial, see the limits of OpenCost's "
            "Prometheus (query.max-samples, query.timeout)"
        )
    ]
