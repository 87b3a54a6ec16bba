"""One UTC day of OpenCost: how much of it is over, how a stored one is marked, what it is compared with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from unitcost.facts import Cost, Resource, Stored
from unitcost.sources.cluster.opencost.guard import Shape, shape
from unitcost.sources.daily import midnight

WHOLE_DAY = 1440
HOUR = 60
NEIGHBOURS = 7
"""How many days away a stored day may be to be compared with."""
REFERENCE_MINUTES = 360
"""How many minutes a stored day must cover to be compared with another."""
FIRST_HOUR = 60
RESOURCES = "resources"
"""What a stored day lacks whose nodes, disks and load balancers are unknown."""


def minutes_over(day: date, now: datetime) -> int:
    """Return how many minutes of a day are over."""
    return min((now - midnight(day)) // timedelta(minutes=1), WHOLE_DAY)


def window_of(day: date, minutes: int) -> str:
    """Return the window as a pair of times: durations like 1d reach into the future."""
    return ",".join(f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (midnight(day), end_of(day, minutes)))


def end_of(day: date, minutes: int) -> datetime:
    """Return when so many minutes of a day are over."""
    return midnight(day) + timedelta(minutes=minutes)


def fingerprint_of(rows: Sequence[Cost], resources: Sequence[Resource]) -> str:
    """Digest what is said of a day."""
    lines = [
        (
            row.tenant,
            row.service,
            row.category,
            str(row.amount),
            row.currency,
            row.scope,
            dict(row.dimensions),
            row.resource,
        )
        for row in rows
    ]
    ids = [(one.provider_id, one.scope, one.kind) for one in resources]
    content = json.dumps([sorted(json.dumps(line, sort_keys=True) for line in lines), ids])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def is_final(day: date, stored: Stored, *, with_resources: bool) -> bool:
    """Whether a day is stored with all of its 24 hours, and its resources if they are needed.

    A day that was stored while it still ran, and never asked again, would lack its evening for ever.
    """
    found = stored.batch(day.isoformat())
    if found is None or covered(day, stored) < WHOLE_DAY:
        return False
    return not (with_resources and found.lacks)


def covered(day: date, stored: Stored) -> int:
    """Return how many minutes of a day are stored, 0 for none."""
    found = stored.batch(day.isoformat())
    if found is None:
        return 0
    return WHOLE_DAY if found.until is None else (found.until - midnight(day)) // timedelta(minutes=1)


def reference_for(day: date, minutes: int, stored: Stored) -> Shape | None:
    """Return what the day may be compared with: itself as stored, else the nearest stored day, scaled.

    A stored part of a day is no measure for much more of it, nor for other days if it is short.
    """
    own = covered(day, stored)
    if own and 2 * own >= minutes:
        return shape(stored.costs(day.isoformat()))
    for distance in range(1, NEIGHBOURS + 1):
        for other in (day - timedelta(days=distance), day + timedelta(days=distance)):
            if (minutes_stored := covered(other, stored)) >= REFERENCE_MINUTES:
                return _scaled_to(minutes, minutes_stored, stored.costs(other.isoformat()))
    return shape(stored.costs(day.isoformat())) if own else None


def _scaled_to(minutes: int, reference: int, rows: Sequence[Cost]) -> Shape:
    if minutes == WHOLE_DAY:
        return shape(rows).scaled(Decimal(minutes) / reference)
    # So far today: the first hour is not counted, as a short window holds few samples, and the day's GPU jobs
    # may not have begun.
    part = Decimal(max(minutes - FIRST_HOUR, 1))
    return shape(row for row in rows if row.service != "gpu").scaled(part / reference)
