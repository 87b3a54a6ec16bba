"""DuckDB in memory, with a limit and a place for what goes beyond: to read files by, and for a ledger kept nowhere."""

from __future__ import annotations

import time
from contextlib import suppress

import duckdb

from unitcost.scratch import scratch

MEMORY = "800MB"
"""What one connection takes before it spills to the folder for temporary files; DuckDB's own limit is 80 % of all."""


def in_memory() -> duckdb.DuckDBPyConnection:
    """Return a connection to a new database in memory."""
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{MEMORY}'; SET enable_progress_bar = false")
    with suppress(OSError):  # no folder that can be written: what does not fit into the memory is an error then
        connection.execute("SET temp_directory = $1", [str(scratch() / f"spilt-{time.monotonic_ns()}")])
    return connection
