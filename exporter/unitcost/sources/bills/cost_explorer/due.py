"""Which days Cost Explorer is asked for now: those that can still change, no more often than that costs sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from unitcost.facts import Asked
from unitcost.sources.bills.cost_explorer.settings import CostExplorerSettings
from unitcost.sources.daily import is_closed, midnight

DAY = timedelta(days=1)
MONTHS = 13
"""Cost Explorer tells the present month and so many before it."""
NO_INVOICE = "invoice"
"""What a stored day lacks as long as Cost Explorer says that it is estimated."""


class Span(NamedTuple):
    """UTC days that follow each other: the first, and the one after the last."""

    first: date
    end: date

    def days(self) -> list[date]:
        """Return them, newest first."""
        return [self.end - n * DAY for n in range(1, (self.end - self.first).days + 1)]

    def __str__(self) -> str:
        return f"{self.first} to {self.end - DAY}"


def earliest(today: date) -> date:
    """Return the first day that Cost Explorer tells."""
    months = today.year * 12 + today.month - 1 - MONTHS
    return date(months // 12, months % 12 + 1, 1)


def due(asked: Asked, settings: CostExplorerSettings, paid: Mapping[date, datetime]) -> list[Span]:
    """Return the spans of days to ask for, newest first; days that follow each other are asked for at once.

    paid: days that Cost Explorer told of, and when, that could not be stored.

    A day is asked for once it is over for `delay`. The last restate_days are asked for together as soon as one of them
    is missing or `every` old, and so are older days without an invoice, after `every_estimated`. Any other older day is
    asked for only if it is not stored; what had nothing is not asked for again sooner than the others.
    """
    first = max(asked.first_day, earliest(asked.today))
    recent, estimated, missing = [], [], []
    recent_due = estimated_due = False
    for back in range(1, (asked.today - first).days + 1):
        day = asked.today - back * DAY
        if asked.now - midnight(day + DAY) < settings.delay:
            continue
        said, final = last_said(day, asked)
        said = max(said or paid[day], paid[day]) if day in paid else said
        if not is_closed(day, asked):
            recent.append(day)
            recent_due = recent_due or said is None or asked.now - said >= settings.every
        elif said is None:
            missing.append(day)
        elif not final:
            estimated.append(day)
            estimated_due = estimated_due or asked.now - said >= settings.every_estimated
    return [*_spans([*(recent if recent_due else []), *missing, *(estimated if estimated_due else [])])]


def resumed(begun: Span | None, spans: Sequence[Span]) -> list[Span]:
    """Return the spans with the one that is begun as the first of them, its days in no other."""
    if begun is None:
        return [*spans]
    rest = {day for span in spans for day in span.days()} - {*begun.days()}
    return [begun, *_spans([*rest])]


def last_said(day: date, asked: Asked) -> tuple[datetime | None, bool]:
    """Return when Cost Explorer last said what it had of a day, if ever, and whether an invoice was behind it."""
    key = day.isoformat()
    stored = asked.stored.batch(key)
    times = (None if stored is None else stored.loaded_at, asked.stored.asked_empty(key))
    said = max((time for time in times if time is not None), default=None)
    return said, stored is not None and stored.lacks != NO_INVOICE


def _spans(days: Sequence[date]) -> Iterator[Span]:
    """Yield the spans that days make, newest first."""
    ordered = sorted(days, reverse=True)
    for at, day in enumerate(ordered):
        if at == 0 or ordered[at - 1] - day != DAY:
            last = day
        if at + 1 == len(ordered) or day - ordered[at + 1] != DAY:
            yield Span(day, last + DAY)
