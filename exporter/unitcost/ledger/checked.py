"""Reads a ledger's file, or a copy of it, to its last byte: whether it is all there, and the money adds up."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from unitcost.ledger.opening import opened

UNBALANCED = """
SELECT day, counted, served FROM (
    SELECT day, coalesce(sum(amount) FILTER (said), 0) AS counted, coalesce(sum(amount) FILTER (NOT said), 0) AS served
    FROM (
        SELECT day, true AS said, amount FROM counted_day
        UNION ALL SELECT day, false, direct + shared FROM tenant_day
        UNION ALL SELECT day, false, amount FROM unallocated_day
    ) GROUP BY day
) WHERE counted <> served ORDER BY day
"""
RECORDS = """(
    SELECT source, batch FROM cost UNION ALL SELECT source, batch FROM usage UNION ALL SELECT source, batch FROM revenue
)"""
STRAY = f"""
SELECT source, batch, count(*) FROM {RECORDS} r
ANTI JOIN (SELECT source, key AS batch FROM batch WHERE NOT empty) USING (source, batch) GROUP BY ALL ORDER BY ALL
"""
MISSING = f"""
SELECT b.source, b.key, b.rows, count(r.batch) FROM batch b
LEFT JOIN {RECORDS} r ON r.source = b.source AND r.batch = b.key
GROUP BY ALL HAVING b.rows <> count(r.batch) ORDER BY ALL
"""


@dataclass
class Found:
    """What a ledger's file holds: table → rows, the UTC days that are known, and each thing that is wrong."""

    tables: dict[str, int] = field(default_factory=dict)
    days: int = 0
    first: date | None = None
    last: date | None = None
    wrong: list[str] = field(default_factory=list)


def checked(path: Path) -> Found:
    """Open a copy of a ledger as the exporter would, read every value, and hold Σ tenants + unallocated = Σ counted.

    What is in its log is written into the file.
    """
    found = Found()
    try:
        with closing(opened(path)) as connection:
            _read(connection, found)
            if not found.wrong:
                _add_up(connection, found)
    except Exception as error:  # noqa: BLE001 - a damaged file makes DuckDB raise what it will
        found.wrong.append(f"cannot be read: {' '.join(str(error).split())[:300]}")
    return found


def _read(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary ORDER BY 1").fetchall()
    for (name,) in names:
        try:
            row = connection.execute(f'SELECT count(*), sum(hash(COLUMNS(*))) FROM "{name}"').fetchone()
        except Exception as error:  # noqa: BLE001 - as above; what else is damaged is worth knowing
            found.wrong.append(f"{name}: cannot be read: {' '.join(str(error).split())[:300]}")
        else:
            found.tables[name] = int(row[0]) if row else 0


def _add_up(connection: duckdb.DuckDBPyConnection, found: Found) -> None:
    found.wrong += [
        f"{day}: Σ counted is {counted}, Σ tenants + unallocated is {served}"
        for day, counted, served in connection.execute(UNBALANCED).fetchall()
    ]
    found.wrong += [
        f"{source}: {rows} rows are of the batch {key!r}, which is not there"
        for source, key, rows in connection.execute(STRAY).fetchall()
    ]
    found.wrong += [
        f"{source}: the batch {key!r} has {rows} rows instead of {said}"
        for source, key, said, rows in connection.execute(MISSING).fetchall()
    ]
    row = connection.execute("SELECT count(DISTINCT day), min(day), max(day) FROM known_day").fetchone()
    if row is not None:
        found.days, found.first, found.last = row
