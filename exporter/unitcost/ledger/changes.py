"""When days changed, and what closed ones were counted at before a later delivery changed them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import duckdb

from unitcost.ledger.files import statements

SECONDS_PER_REVISION = 100
"""A ledger's first revision is how many times so many seconds have passed since 1970: those of a ledger that was lost
and begins anew come after those that it had, unless it changed days more often than that."""


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
    """Write down that days changed: those to derive, and those that no source speaks of any more.

    They get the next revision: greater than all before, also where the clock stands still (--as-of) or goes back.
    Backfill tells old samples from new ones by it.
    """
    found = connection.execute("SELECT coalesce(max(revision), 0) FROM changed_day").fetchone()
    last = 0 if found is None else found[0]
    change = {"at": now, "days": days, "revision": max(last + 1, int(now.timestamp()) // SECONDS_PER_REVISION)}
    connection.execute(
        "UPDATE changed_day SET changed_at = $at, known = false, revision = $revision"
        " WHERE known AND day NOT IN (SELECT day FROM derived_day) AND NOT list_contains($days::DATE[], day)",
        change,
    )
    connection.execute("INSERT OR REPLACE INTO changed_day SELECT unnest($days::DATE[]), $at, true, $revision", change)


def remember_settled(connection: duckdb.DuckDBPyConnection, today: date) -> None:
    """Write down what months come to that are settled by now, unless that was done before.

    To be called before any day is derived again, of what stands then, and afterwards, of what came for the first time.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE settling AS SELECT ?::DATE AS today", [today])
    connection.execute(statements("settled"))


def remember_restated(connection: duckdb.DuckDBPyConnection) -> None:
    """Write down which closed days are counted otherwise than they stood. To be called when they are derived."""
    connection.execute(statements("restated"))
