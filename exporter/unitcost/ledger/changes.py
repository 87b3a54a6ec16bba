"""When days changed, and what closed ones were counted at before a later delivery changed them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import duckdb

from unitcost.ledger.files import statements

CLOCK_STEP = timedelta(seconds=100)
"""How far apart two derivations that changed a day are said to be, at the least."""


def keep_standing(connection: duckdb.DuckDBPyConnection, first_open: date, now: datetime) -> None:
    """Keep what is counted of the days that are about to be derived again, and since when it stands.

    first_open: the first UTC day that can still change. To be called before remember_changes().
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE stood_day AS"
        " SELECT c.*, h.changed_at AS stood_since, ?::DATE AS first_open, ?::TIMESTAMPTZ AS now"
        " FROM counted_day c ANTI JOIN derived_day USING (day) LEFT JOIN changed_day h USING (day)",
        [first_open, now],
    )


def remember_changes(connection: duckdb.DuckDBPyConnection, days: Sequence[date], now: datetime) -> None:
    """Write down when days changed: those to derive, and those that no source speaks of any more.

    CLOCK_STEP after what changed before, at the least, even where the clock stands still (--as-of): backfill tells old
    samples from new ones by these times.
    """
    # As a number: DuckDB's Python wants one more library for times with a zone.
    found = connection.execute("SELECT epoch(max(changed_at)) FROM changed_day").fetchone()
    before = None if found is None or found[0] is None else datetime.fromtimestamp(found[0], UTC)
    at = now if before is None else max(now, before + CLOCK_STEP)
    connection.execute(
        "UPDATE changed_day SET changed_at = $at, known = false"
        " WHERE known AND day NOT IN (SELECT day FROM derived_day) AND NOT list_contains($days::DATE[], day)",
        {"at": at, "days": days},
    )
    connection.execute(
        "INSERT OR REPLACE INTO changed_day SELECT unnest($days::DATE[]), $at, true", {"at": at, "days": days}
    )


def remember_restated(connection: duckdb.DuckDBPyConnection) -> None:
    """Write down which closed days are counted otherwise than they stood. To be called when they are derived."""
    connection.execute(statements("restated"))
