"""An engine's answer, kept as the sums of a file are: typed, in a Parquet file of our own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.engines.engine import QueryError, Rows
from unitcost.sources.bills.focus.engines.statement import COUNTS
from unitcost.sources.bills.focus.reading import UNREAD, Sums, written
from unitcost.sources.bills.focus.scan import EXACT, LEDGER
from unitcost.sources.bills.focus.stage import PERIOD

TYPES = {
    **dict.fromkeys((*PERIOD, "start", "ended"), "TIMESTAMP"),
    "amount": EXACT,
    "list_amount": LEDGER,
    **dict.fromkeys(("charges", "priced", *COUNTS), "BIGINT"),
}
"""Columns that are no texts."""


def kept(
    answer: Iterable[Rows], columns: Sequence[str], where: str, connection: duckdb.DuckDBPyConnection
) -> Sums | None:
    """Keep an answer; None where it has no rows.

    Raises QueryError `format` where a row has not all columns or holds what they cannot hold, and SourceError
    `unreadable` where there is no room for it.
    """
    named = ", ".join(f'"{name}" VARCHAR' for name in columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE answer ({named})")
    lists = ", ".join("unnest(?::VARCHAR[])" for _ in columns)
    for rows in answer:
        if odd := next((row for row in rows if len(row) != len(columns)), None):
            text = f"answered with a row of {len(odd)} columns where {len(columns)} were asked for"
            raise QueryError("format", where, text, "The next refresh asks again")
        if rows:
            connection.execute(f"INSERT INTO answer SELECT {lists}", [list(one) for one in zip(*rows, strict=True)])
    if not connection.execute("SELECT 1 FROM answer LIMIT 1").fetchall():
        return None
    typed = ", ".join(f'CAST("{name}" AS {TYPES.get(name, "VARCHAR")}) AS "{name}"' for name in columns)
    found = f"SELECT *, CAST(CASE WHEN unread > 0 THEN {UNREAD} ELSE 0 END AS UTINYINT) AS found"
    try:
        sums = written(f"{found} FROM (SELECT {typed} FROM answer)", [], where, connection)
    except duckdb.Error as error:
        text = f"answered with what was not asked for: {str(error).splitlines()[0]}"
        raise QueryError("format", where, text, "Please report this") from error
    finally:
        connection.execute("DROP TABLE answer")
    if sums is None:
        raise SourceError(
            "unreadable", where, "needs room for its sums in TMPDIR, which cannot be written", "Make room"
        )
    return sums
