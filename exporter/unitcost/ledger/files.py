"""The ledger's files in state_dir, and what is wrong with them in one line that says what to do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path

import duckdb

from unitcost.errors import LedgerDamagedError, LedgerError, LedgerInUseError, LedgerLostError

FILE_NAME = "ledger.duckdb"
COPIES = "copies"
"""The folder in state_dir with copies of the ledger that are kept."""

MEMORY = "650MB"
"""What DuckDB keeps in memory; more than that it spills beside the file, so that the exporter fits into 1 GiB."""

BROKEN = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.SerializationException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
)
"""What DuckDB raises for the file rather than for a statement. A wrong checksum is a plain duckdb.Error."""


@cache
def statements(name: str, folder: str = "ledger") -> str:
    """Return the text of a .sql file of a folder in this package."""
    return resources.files("unitcost").joinpath(*folder.split("/"), f"{name}.sql").read_text(encoding="utf-8")


def is_broken(error: Exception) -> bool:
    """Tell whether an error speaks of the file, the disk or memory, and not of a statement."""
    return isinstance(error, BROKEN) or type(error) is duckdb.Error


def parts(path: Path) -> list[Path]:
    """Return a ledger's file and the logs beside it, those that are there."""
    return [file for file in (path, *sorted(path.parent.glob(f"{path.name}.*wal*"))) if file.is_file()]


def quoted(path: Path) -> str:
    """Return a path as it stands between quotes in SQL."""
    return str(path).replace("'", "''")


def copies(folder: Path) -> list[Path]:
    """Return the kept copies of the ledger in a folder, the newest first."""
    return sorted((folder / COPIES).glob("ledger-*Z.duckdb"), reverse=True)


def copy_name(now: datetime) -> str:
    """Return the name of a copy made now (UTC)."""
    return f"ledger-{now:%Y%m%dT%H%M%SZ}.duckdb"


def copied_at(copy: Path) -> datetime:
    """Return when a kept copy was made, UTC."""
    return datetime.strptime(copy.name, "ledger-%Y%m%dT%H%M%SZ.duckdb").replace(tzinfo=UTC)


def translated(path: Path | None, error: Exception, what: str) -> LedgerError:
    """Return one clear line for what the system or DuckDB said about the ledger's file."""
    text = " ".join(str(error).split())
    where = path or "the ledger in memory"
    said = f"{where}: {what}: {text[:300].rstrip('.!')}"
    held = re.search(r"Conflicting lock is held in (.*?)\(PID (\d+)\)", text)
    if held is not None:
        return LedgerInUseError(
            f"{where}: is in use by another process (PID {held[2]}); stop it, or give this one its own state_dir"
        )
    for found, kind, hint in KNOWN:
        if re.search(found, text, re.IGNORECASE):
            return kind(f"{where}: {what}: {hint.format(text[:200])}")
    if isinstance(error, OSError):
        return LedgerError(f"{said}; make state_dir writable for this user")
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)):
        return LedgerError(f"{said}; give the process more memory")
    if path is None or isinstance(error, duckdb.TransactionException):
        return LedgerError(said)
    return LedgerDamagedError(f"{said}. The file may be damaged, `unitcost ledger check` tells; {advice(path.parent)}")


KNOWN = (
    (
        "No space left|disk full|File too large|could not write",
        LedgerError,
        "the disk is full ({}); make room, the next refresh goes on",
    ),
    ("Permission denied|read-only", LedgerError, "{}; make state_dir writable for this user"),
    ("No such file", LedgerLostError, "{}; make state_dir a folder that this user can write, and restart"),
)
"""What the message of the system or DuckDB says → the error that it is, and what to do."""


def advice(folder: Path) -> str:
    """Return what to do with a ledger that cannot be used: it may be the only one that holds some days."""
    only = "days that the sources have forgotten may be in no other file, so delete nothing"
    kept = copies(folder)
    if not kept:
        return (
            f"{only}. No copy is kept. If a restart does not help, move {folder / FILE_NAME}* away; the sources are"
            " asked again then"
        )
    return (
        f"{only}. If a restart does not help, `unitcost ledger restore {kept[0]}` (with the same --config) puts the"
        f" copy of {copied_at(kept[0]):%Y-%m-%d %H:%M} UTC in its place and moves this one aside"
    )
