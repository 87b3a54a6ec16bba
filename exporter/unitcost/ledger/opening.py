"""Opening the ledger's file: made whole or not at all, and refused with one line where it cannot be used."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

import duckdb

from unitcost.errors import LedgerError
from unitcost.in_memory import in_memory
from unitcost.ledger.files import FILE_NAME, MEMORY, copies, statements, translated

log = logging.getLogger(__name__)

SCHEMA_VERSION = "4"
MIGRATIONS = {"1": "schema_2", "2": "schema_3", "3": "schema_4"}
"""Schema that a ledger has → the step that makes the next one of it."""


def open_ledger(folder: Path | None) -> duckdb.DuckDBPyConnection:
    """Open or create the ledger in a folder; None keeps it in memory.

    Raises LedgerError when the file is in use, damaged, of another version, or cannot be written.
    """
    if folder is None:
        connection = in_memory()
        _fill(connection, None)
        return connection
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        return opened(path)
    except LedgerError:
        raise
    except Exception as error:  # a damaged file makes DuckDB raise what it will, its own errors and Python's
        raise translated(path, error, "cannot be opened") from error


def _create(path: Path) -> None:
    """Make the ledger beside its place and put it there when it is whole: a kill leaves no half of one."""
    kept = copies(path.parent)
    if kept:
        raise LedgerError(
            f"{path}: is gone, but copies of it are there; `unitcost ledger restore {kept[0]}` (with the same --config)"
            f" puts the newest in its place. To begin anew, move {kept[0].parent} away"
        )
    log = path.with_name(f"{path.name}.wal")
    if log.exists():
        raise LedgerError(
            f"{log}: belongs to a ledger that is not there; put {path.name} back beside it, or move this file away too"
        )
    draft = path.with_name("new.duckdb")
    refuse_held(draft)  # by a start that is under way; one that was killed left it too
    for rest in path.parent.glob(f"{draft.name}*"):
        rest.unlink()
    opened(draft).close()
    try:
        # Unlike a rename it never takes the place of a ledger that another process made meanwhile.
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        draft.rename(path)
    draft.unlink(missing_ok=True)


def refuse_held(path: Path) -> None:
    """Raise LedgerInUseError where another process holds the file; whatever else is wrong with it is no matter."""
    if not path.exists():
        return
    try:
        with path.open("rb+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as DuckDB does, which would write the log into the file
    except OSError:
        try:
            duckdb.connect(str(path)).close()
        except duckdb.Error as error:
            raise translated(path, error, "cannot be opened") from error


def opened(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a ledger's file, or make a new one there. Raises LedgerError for what is none, else what DuckDB does."""
    connection = duckdb.connect(str(path))
    try:
        _fill(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _fill(connection: duckdb.DuckDBPyConnection, path: Path | None) -> None:
    # A .sql file names its rows in the order it wants them; keeping the order of inserts costs memory.
    # A refresh writes some 10 MB to the write-ahead log; checkpointing each of them would double its time.
    connection.execute(
        "SET preserve_insertion_order = false; SET TimeZone = 'UTC'; SET enable_progress_bar = false;"
        " SET checkpoint_threshold = '128MB'"
    )
    if path is not None:
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        _refuse_strangers(connection, path)
    connection.begin()
    _migrate(connection)
    connection.execute(statements("schema"))
    connection.execute("INSERT INTO meta SELECT 'schema', ? WHERE NOT EXISTS (SELECT 1 FROM meta)", [SCHEMA_VERSION])
    connection.execute("INSERT INTO dimension_set SELECT 0, MAP {} WHERE NOT EXISTS (SELECT 1 FROM dimension_set)")
    connection.commit()
    connection.execute(statements("session"))
    connection.execute(statements("apportion"))


def _migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the present schema of an earlier one, with everything that is in it."""
    if connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchone() is None:
        return
    while (version := connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()) is not None:
        if version[0] == SCHEMA_VERSION:
            return
        log.info("the ledger is of schema %s; it is made one of schema %s", version[0], SCHEMA_VERSION)
        connection.execute(statements(MIGRATIONS[version[0]]))


def _refuse_strangers(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise LedgerError for a file of something else or of another version."""
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        return
    if "meta" not in tables:
        raise LedgerError(f"{path}: is a DuckDB file of something else; set state_dir to another folder")
    found = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if found is None and not _holds_anything(connection, tables):
        return  # as a kill in the very first start of an older version left it
    version = found[0] if found else "?"
    if version != SCHEMA_VERSION and version not in MIGRATIONS:
        raise LedgerError(
            f"{path}: was written by another version of unitcost (schema {version}, this one reads {SCHEMA_VERSION});"
            f" start that version again. To begin anew, move {path}* away; delete nothing, days that the sources have"
            " forgotten may be in no other file"
        )


def _holds_anything(connection: duckdb.DuckDBPyConnection, tables: set[str]) -> bool:
    return any(connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() is not None for name in tables)
