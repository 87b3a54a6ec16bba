"""Writes the records of a batch into the ledger's tables, as fast as DuckDB takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

import duckdb

from unitcost.errors import SourceError
from unitcost.facts import Batch, Cost, Node, Query, Revenue, Usage


def insert(connection: duckdb.DuckDBPyConnection, source: str, batch: Batch) -> int:
    """Insert all records of a batch; return how many. Raises SourceError for what a Query cannot read."""
    count = 0
    for table, records in (
        ("cost", batch.cost),
        ("usage", batch.usage),
        ("revenue", batch.revenue),
        ("node", batch.nodes),
    ):
        if isinstance(records, Query):
            count += _insert_query(connection, table, [source, batch.key], records)
        elif records:
            # `executemany` is slow in DuckDB; lists through unnest insert half a million rows a second.
            columns = ", ".join(ENTRIES if name == "dimensions" else "unnest(?::VARCHAR[])" for name in _FIELDS[table])
            for first in range(0, len(records), AT_ONCE):
                part = records[first : first + AT_ONCE]
                values = [_column(part, name) for name in _FIELDS[table]]
                connection.execute(f"INSERT INTO {table} SELECT ?, ?, {columns}", [source, batch.key, *values])
            count += len(records) if table != "node" else 0
    return count


def _insert_query(connection: duckdb.DuckDBPyConnection, table: str, where: list[str], query: Query) -> int:
    try:
        connection.execute(f"INSERT INTO {table} SELECT ?, ?, q.* FROM ({query.sql}) q", [*where, *query.params])
    except duckdb.FatalException:  # of the ledger, not of what is read
        raise
    except duckdb.Error as error:
        if query.failed is not None:
            raise query.failed(error) from error
        raise SourceError("format", where[1], f"cannot be read: {error}") from error
    found = connection.execute(f"SELECT count(*) FROM {table} WHERE source = ? AND batch = ?", where).fetchone()
    return int(found[0]) if found else 0


AT_ONCE = 50_000
"""So many rows are handed to DuckDB at a time: as lists of texts they take several times their own memory."""
ENTRIES = "map_from_entries(unnest(?::STRUCT(k VARCHAR, v VARCHAR)[][]))"


def _column(records: Sequence[object], name: str) -> list[object]:
    values = [getattr(record, name) for record in records]
    written = _WRITTEN.get(name)
    return values if written is None else [written(value) for value in values]


def _digits(amount: Decimal) -> str:
    return format(amount, "f")


def _entries(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"k": key, "v": value} for key, value in sorted(dimensions.items())]


_FIELDS = {
    table: [field.name for field in fields(record)]
    for table, record in {"cost": Cost, "usage": Usage, "revenue": Revenue, "node": Node}.items()
}
"""Table → the fields of its records; its columns behind source and batch are the same, in the same order."""
_WRITTEN: Mapping[str, Callable[[Any], object]] = {
    "amount": _digits,
    "quantity": _digits,
    "mrr": _digits,
    "dimensions": _entries,
}
"""How fields are handed to DuckDB that it would not take, or not exactly, as they are."""
