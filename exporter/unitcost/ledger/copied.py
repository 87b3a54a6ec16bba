"""A copy of the ledger while another process holds it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from unitcost.errors import LedgerError
from unitcost.ledger.files import FILE_NAME, parts
from unitcost.scratch import place, scratch

PATIENCE = 60.0
"""Seconds to wait for the other process to stop writing: a refresh of it."""

STILL = 0.2
"""Seconds since the last write after which a file counts as left alone; more than a file system's clock may skip."""

State = list[tuple[str, int, int]]


@contextmanager
def copied(path: Path, beside: Path | None = None, patience: float = PATIENCE) -> Iterator[Path]:
    """Copy a ledger's file to a new folder in `beside` (None: where temporary files go); yield it, removed at the end.

    DuckDB lets nobody open a file that another process writes, but what it has committed is in the file and the log
    beside it. The copy is taken only when neither changed from before it was begun until it was finished, so it is
    what a crash at that moment would have left, and DuckDB opens that. Raises LedgerError when the ledger does not
    stand still within `patience` seconds, or cannot be copied.
    """
    try:
        with TemporaryDirectory(prefix=".unitcost-ledger-", dir=beside or scratch()) as name:
            target = Path(name)
            deadline = time.monotonic() + patience
            while not _copy(path, target):
                if time.monotonic() > deadline:
                    raise LedgerError(
                        f"{path}: the process that holds it wrote all the time for {patience:g} s, so it cannot be"
                        " copied; stop that process, or try again between two of its refreshes"
                    )
                time.sleep(STILL)
            yield target
    except OSError as error:
        raise LedgerError(f"{path}: cannot be copied to {beside or place()}: {error}") from error


def _copy(path: Path, target: Path) -> bool:
    """Copy the file and its write-ahead log; return whether both were left alone meanwhile."""
    before = _state(path)
    if any(time.time_ns() - changed < STILL * 1e9 for _, _, changed in before):
        return False
    for old in target.iterdir():
        old.unlink()
    try:
        for name, _, _ in before:
            shutil.copyfile(path.with_name(name), target / name.replace(path.name, FILE_NAME, 1))
    except FileNotFoundError:  # the log is removed when the other process writes it into the file
        return False
    return _state(path) == before


def _state(path: Path) -> State:
    """Return name, size and time of the last write (nanoseconds since 1970) of each of the ledger's files."""
    found = []
    for file in parts(path):
        stat = file.stat()
        found.append((file.name, stat.st_size, stat.st_mtime_ns))
    return found
