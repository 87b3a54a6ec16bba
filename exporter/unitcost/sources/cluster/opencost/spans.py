"""Windows of time as OpenCost says them, and amounts spread exactly over what they are of. Times are UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from unitcost.errors import SourceError
from unitcost.sources.cluster.opencost.errors import LOG_HINT
from unitcost.sources.values import EXACT, LEDGER, spelt
from unitcost.split import split

YEARS = range(1970, 3000)
"""A time outside of these is a slip: 0001-01-01 is what Go writes for no time at all."""
DAY = timedelta(days=1)
LONGEST = timedelta(days=400)
"""A longer window is not spread over its days: one of 8,000 years would be 3 million rows for each cost."""


def read_window(window: object, where: str) -> tuple[datetime, datetime]:
    """Return a window's start and end in UTC.

    Raises SourceError `format` when it has none, it is empty, or it is too long to be spread over its days.
    """
    given = [window.get(key) for key in ("start", "end")] if isinstance(window, dict) else []
    shown = " to ".join(map(spelt, given)) or spelt(window)
    try:
        start, end = (datetime.fromisoformat(at) for at in given)  # type: ignore[arg-type]
        if start.tzinfo is not None and end.tzinfo is not None:
            start, end = start.astimezone(UTC), end.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError("format", where, f"has no readable window: {shown}", LOG_HINT) from error
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise SourceError("format", where, f"its window is not a span of time in UTC: {shown}", LOG_HINT)
    if end - start > LONGEST:
        text = f"its window of {(end - start).days:,} days is longer than the {LONGEST.days} that are read: {shown}"
        raise SourceError("format", where, text, "Ask for a day at a time, as unitcost does")
    if start.year not in YEARS or end.year not in YEARS:
        raise SourceError("format", where, f"its window is of no time that costs can have: {shown}", LOG_HINT)
    return start, end


def days_of(start: datetime, end: datetime) -> list[tuple[date, datetime, datetime]]:
    """Return the UTC days a span touches, each with the part of the span that lies in it."""
    pieces = []
    at = start
    while at < end:
        midnight = datetime.combine(at.date() + DAY, time(), UTC)
        pieces.append((at.date(), at, min(midnight, end)))
        at = midnight
    return pieces


def spread(amount: Decimal, start: datetime, end: datetime) -> dict[date, Decimal]:
    """Spread an amount of whole units of 1e-12 over the UTC days of a span by time; the parts sum to it exactly."""
    pieces = days_of(start, end)
    parts = _spread(amount, [(until - since) // MICROSECOND for _, since, until in pieces])
    return {day: part for (day, *_), part in zip(pieces, parts, strict=True)}


def spread_by(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Spread an amount by others of the same kind, none below 0; the parts sum to it exactly."""
    return _spread(amount, [int(EXACT.divide(weight, LEDGER)) for weight in weights])


def _spread(amount: Decimal, weights: Sequence[int]) -> list[Decimal]:
    return [EXACT.multiply(part, LEDGER) for part in split(int(EXACT.divide(amount, LEDGER)), weights)]


MICROSECOND = timedelta(microseconds=1)
