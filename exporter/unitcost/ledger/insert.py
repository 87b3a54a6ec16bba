"""Writes the records of a batch into the ledger's tables, as fast as DuckDB takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

import duckdb

from unitcost.errors import SourceError
from unitcost.facts import Batch, Cost, Query, Resource, Revenue, Usage
from unitcost.ledger.files import statements


def insert(connection: duckdb.DuckDBPyConnection, source: str, batch: Batch) -> int:
    """Insert all records of a batch; return how many. Raises SourceError for what a Query cannot read."""
    count = 0
    for table, records in (
        ("cost", batch.cost),
        ("usage", batch.usage),
        ("revenue", batch.revenue),
        ("resource", batch.resources),
    ):
        if isinstance(records, Query):
            names = _stage_query(connection, batch.key, records)
            count += _take_staged(connection, table, names, source, batch.key)
            continue
        for first in range(0, len(records), AT_ONCE):
            names = _stage(connection, table, records[first : first + AT_ONCE])
            taken = _take_staged(connection, table, names, source, batch.key)
            count += taken if table != "resource" else 0
    return count


AT_ONCE = 50_000
"""So many rows are handed to DuckDB at a time: as lists of texts they take several times their own memory."""


def _stage_query(connection: duckdb.DuckDBPyConnection, key: str, query: Query) -> list[str]:
    """Write what a query gives to the table `staged`; return its columns. Raises SourceError."""
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE staged AS {query.sql}", list(query.params))
    except duckdb.FatalException:  # of the ledger, not of what is read
        raise
    except duckdb.Error as error:
        if query.failed is not None:
            raise query.failed(error) from error
        raise SourceError("format", key, f"cannot be read: {error}") from error
    return [name for name, *_ in connection.execute("DESCRIBE staged").fetchall()]


def _stage(connection: duckdb.DuckDBPyConnection, table: str, records: Sequence[object]) -> list[str]:
    """Write records to the table `staged`; return its columns: the fields that any of them has."""
    # `executemany` is slow in DuckDB; lists through unnest insert half a million rows a second.
    names = [name for name in _FIELDS[table] if any(getattr(record, name) not in LACKING for record in records)]
    columns = ", ".join(f"{SETS if name == 'dimensions' else 'unnest(?::VARCHAR[])'} AS {name}" for name in names)
    values = [column for name in names for column in _columns(records, name)]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE staged AS SELECT {columns}", values)
    return names


LACKING: Sequence[object] = (None, {})
"""Of a record that does not say it."""


def _take_staged(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str], source: str, key: str) -> int:
    """Move what is staged into its table, its dimensions as the id of their set; return how many rows that makes."""
    if "dimensions" in names:
        connection.execute(NEW_SETS)
        columns, joined = "s.* EXCLUDE (dimensions), d.id AS dims", "JOIN dimension_set d USING (dimensions)"
    else:
        columns, joined = "s.*, 0 AS dims" if table in {"cost", "usage"} else "s.*", ""
    records = f"BY NAME SELECT ? AS source, ? AS batch, {columns} FROM staged s {joined}"
    if table == "cost" and "last_day" in names:
        connection.execute(STAGED_COST)
        connection.execute(f"INSERT INTO staged_cost {records}", [source, key])
        taken = connection.execute(statements("spread")).fetchone()
        connection.execute("DROP TABLE staged_cost")
    else:
        taken = connection.execute(f"INSERT INTO {table} {records}", [source, key]).fetchone()
    connection.execute("DROP TABLE staged")
    return int(taken[0]) if taken else 0


STAGED_COST = """
CREATE OR REPLACE TEMP TABLE staged_cost AS FROM cost LIMIT 0;
ALTER TABLE staged_cost ADD COLUMN IF NOT EXISTS last_day DATE;
ALTER TABLE staged_cost ALTER amount SET NOT NULL;
ALTER TABLE staged_cost ALTER charge SET DEFAULT 'usage';
ALTER TABLE staged_cost ALTER dims SET DEFAULT 0
"""

NEW_SETS = """
INSERT INTO dimension_set
SELECT (SELECT max(id) FROM dimension_set) + row_number() OVER (ORDER BY dimensions::VARCHAR), dimensions
FROM (SELECT DISTINCT dimensions FROM staged) ANTI JOIN dimension_set USING (dimensions)
"""


def _columns(records: Sequence[object], name: str) -> list[list[object]]:
    """Return what is handed over for a field: its values; of the dimensions the sets there are, and which each has."""
    values = [getattr(record, name) for record in records]
    if name == "dimensions":
        numbers: dict[tuple[tuple[str, str], ...], int] = {}
        at = [numbers.setdefault(tuple(sorted(value.items())), len(numbers) + 1) for value in values]
        return [[[{"k": key, "v": value} for key, value in found] for found in numbers], [*at]]
    written = _WRITTEN.get(name)
    return [values if written is None else [None if value is None else written(value) for value in values]]


def _digits(amount: Decimal) -> str:
    return format(amount, "f")


_FIELDS = {
    table: [field.name for field in fields(record)]
    for table, record in {"cost": Cost, "usage": Usage, "revenue": Revenue, "resource": Resource}.items()
}
"""Table → the fields of its records; its columns are called like them, but for the dimensions."""
SETS = "map_from_entries((?::STRUCT(k VARCHAR, v VARCHAR)[][])[unnest(?::INTEGER[])])"
_WRITTEN: Mapping[str, Callable[[Any], object]] = {
    "amount": _digits,
    "list_amount": _digits,
    "quantity": _digits,
    "mrr": _digits,
}
"""How fields are handed to DuckDB that it would not take, or not exactly, as they are."""
