"""One UTC day of OpenCost: how much of it is over, how a stored one is marked, what it is compared with."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from unitcost.facts import Cost, Node, Stored
from unitcost.sources.cluster.opencost.guard import Shape, shape

WHOLE_DAY = 1440
HOUR = 60
NEIGHBOURS = 7
"""How many days away a stored day may be to be compared with."""
REFERENCE_MINUTES = 360
"""How many minutes a stored day must cover to be compared with another."""
FIRST_HOUR = 60
FINGERPRINT = re.compile(r"(?P<minutes>\d+)m(?P<nodes>\+nodes)?:")
"""A day's fingerprint starts with the minutes it covers and whether its nodes are known."""


def minutes_over(day: date, now: datetime) -> int:
    """Return how many minutes of a day are over."""
    begin = datetime.combine(day, time(), UTC)
    return min((now - begin) // timedelta(minutes=1), WHOLE_DAY)


def window_of(day: date, minutes: int) -> str:
    """Return the window as a pair of times: durations like 1d reach into the future."""
    begin = datetime.combine(day, time(), UTC)
    return ",".join(f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (begin, begin + timedelta(minutes=minutes)))


def fingerprint_of(minutes: int, rows: Sequence[Cost], nodes: Sequence[Node] | None) -> str:
    """Digest a day. nodes: None if they are not known."""
    lines = [
        (row.tenant, row.service, row.component, str(row.amount), row.currency, row.cluster, dict(row.dimensions))
        for row in rows
    ]
    ids = [(node.provider_id, node.cluster) for node in nodes or ()]
    content = json.dumps([sorted(json.dumps(line, sort_keys=True) for line in lines), ids])
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    return f"{minutes}m{'' if nodes is None else '+nodes'}:{digest}"


def is_final(fingerprint: str | None, *, with_nodes: bool) -> bool:
    """Whether a stored day covers all of its 24 hours, and knows its nodes if they are needed.

    A day that was stored while it still ran, and never asked again, would lack its evening for ever.
    """
    found = FINGERPRINT.match(fingerprint or "")
    if found is None:
        return True
    return int(found["minutes"]) == WHOLE_DAY and (bool(found["nodes"]) or not with_nodes)


def covers_whole_day(fingerprint: str | None) -> bool:
    """Whether a stored day covers all of its 24 hours."""
    return covered(fingerprint) == WHOLE_DAY


def covered(fingerprint: str | None) -> int:
    """Return how many minutes a stored day covers."""
    found = FINGERPRINT.match(fingerprint or "")
    return int(found["minutes"]) if found else WHOLE_DAY


def reference_for(day: date, minutes: int, stored: Stored) -> Shape | None:
    """Return what the day may be compared with: itself as stored, else the nearest stored day, scaled.

    A stored part of a day is no measure for much more of it, nor for other days if it is short.
    """
    keys = stored.keys()
    own = day.isoformat()
    if own in keys and 2 * covered(stored.fingerprint(own)) >= minutes:
        return shape(stored.costs(own))
    for distance in range(1, NEIGHBOURS + 1):
        for other in (day - timedelta(days=distance), day + timedelta(days=distance)):
            key = other.isoformat()
            minutes_stored = covered(stored.fingerprint(key)) if key in keys else 0
            if minutes_stored >= REFERENCE_MINUTES:
                return _scaled_to(minutes, minutes_stored, stored.costs(key))
    return shape(stored.costs(own)) if own in keys else None


def _scaled_to(minutes: int, reference: int, rows: Sequence[Cost]) -> Shape:
    if minutes == WHOLE_DAY:
        return shape(rows).scaled(Decimal(minutes) / reference)
    # So far today: the first hour is not counted, as a short window holds few samples, and the day's GPU jobs
    # may not have begun.
    part = Decimal(max(minutes - FIRST_HOUR, 1))
    return shape(row for row in rows if row.service != "gpu").scaled(part / reference)
