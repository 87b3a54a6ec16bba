"""What a CSV file of days says: a batch for each UTC day from its first to its last one whose lines changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from unitcost.facts import Asked, Batch, Problem, Usage


def changed_days(
    days: Collection[date], usage_of: Callable[[date], list[Usage]], asked: Asked, path: Path, says: Sequence[str]
) -> Iterator[Batch | Problem]:
    """Yield each day of the history that is not stored as it stands there, newest first.

    A day between the first and the last without lines is one without usage. Days after today are a Problem `value` and
    left out. key: the ISO day; fingerprint: digest of its usage, sorted.
    """
    early = sorted(day for day in days if day > asked.today)
    if early:
        lines = sum(len(usage_of(day)) for day in early)
        yield Problem(
            "value",
            str(path),
            f"{lines} lines are for days after today, up to {early[-1]}",
            f"Days are UTC and today is {asked.today}; these lines wait until their day",
        )
    last = min(max(days), asked.today)
    first = max(min(days), asked.first_day)
    for number in range((last - first).days + 1):
        day = last - timedelta(days=number)
        usage = usage_of(day)
        text = "\n".join(sorted(map(_line, usage)))
        fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if asked.stored.fingerprint(day.isoformat()) != fingerprint:
            yield Batch(key=day.isoformat(), days=[day], fingerprint=fingerprint, usage=usage, says=says)


def _line(one: Usage) -> str:
    line = f"{one.tenant}\t{one.measure}\t{one.quantity}"
    return line if one.unit is None else f"{line}\t{one.item}\t{one.unit}\t{one.scope}\t{one.dimensions}"
