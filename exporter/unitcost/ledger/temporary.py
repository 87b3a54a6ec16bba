"""Temporary tables of one connection, filled with rows of Python's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb


def temporary_table(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Make a temporary table, in place of one of that name. columns: name → DuckDB type."""
    selected = ", ".join(f"unnest(?::VARCHAR[])::{kind} AS {column}" for column, kind in columns.items())
    values = [[None if row[n] is None else str(row[n]) for row in rows] for n in range(len(columns))]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {selected}", values)
