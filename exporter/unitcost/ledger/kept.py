"""Copies of the ledger that are kept in state_dir/copies, and how one takes the ledger's place again."""

from __future__ import annotations

import os
import shutil
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from unitcost.errors import LedgerDamagedError, LedgerError, LedgerStoppedError
from unitcost.ledger.checked import checked
from unitcost.ledger.files import COPIES, FILE_NAME, advice, copied_at, copies, copy_name, parts, quoted, translated
from unitcost.ledger.opening import refuse_held
from unitcost.ledger.store import Ledger

DRAFT = "draft.duckdb"


def keep_copy(ledger: Ledger, now: datetime, every: timedelta, keep: int) -> Path | None:
    """Keep a copy if the newest is older than `every`, and delete all but `keep` of them; return the new one.

    It takes its name only when all of it was read again and holds what the ledger holds: a damaged ledger never
    displaces a good copy. Raises LedgerError when it cannot be made; then the copies stay.
    """
    if ledger.path is None or keep == 0:
        return None
    path = ledger.path
    kept = copies(path.parent)
    if kept and copied_at(kept[0]) > now - every:
        return None
    ledger.refuse_lost()
    target = path.parent / COPIES / copy_name(now)
    draft = target.with_name(DRAFT)
    try:
        target.parent.mkdir(exist_ok=True)
        _remove(draft)
        counts = _write(ledger, path, draft)
        found = checked(draft)
        if found.wrong or found.tables != counts:
            wrong = "; ".join(found.wrong) or f"it holds {found.tables}, the ledger {counts}"
            raise LedgerDamagedError(f"{path}: {UNKEPT}, as that is not right: {wrong}. {advice(path.parent)}")
        draft.replace(target)
        for old in copies(path.parent)[keep:]:
            old.unlink()
        _remove(draft)
    except OSError as error:
        raise LedgerError(f"{target}: {UNKEPT}: {error.strerror}") from error
    return target


UNKEPT = "no copy of it is kept"


def _write(ledger: Ledger, path: Path, draft: Path) -> dict[str, int]:
    """Copy one state of the ledger into a new file; return its tables with their numbers of rows.

    By DuckDB and not byte by byte: it reads and checks every block; and a process that opens the ledger's file a second
    time and closes it gives up its lock on it (POSIX), so that another exporter could write beside it.
    """
    with closing(ledger.cursor()) as cursor:
        try:
            cursor.execute(f"ATTACH '{quoted(draft)}' AS kept")
            cursor.begin()
            cursor.execute(f"COPY FROM DATABASE {path.stem} TO kept")
            names = cursor.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'kept' ORDER BY ALL"
            ).fetchall()
            counts = {}
            for (name,) in names:
                [(counts[name],)] = cursor.execute(f'SELECT count(*) FROM {path.stem}."{name}"').fetchall()
            cursor.commit()
            cursor.execute("DETACH kept")
        except duckdb.Error as error:
            for undo in ("ROLLBACK", "DETACH kept"):
                with suppress(duckdb.Error):  # the one that failed may have done it
                    cursor.execute(undo)
            if ledger.stopped:
                raise LedgerStoppedError(f"{path}: is closed, unitcost is ending") from error
            raise translated(path, error, UNKEPT) from error
    return counts


def restore(folder: Path, copy: Path, now: datetime) -> Path | None:
    """Put a copy in the ledger's place; return the folder that the old files were moved to, None where there were none.

    Nothing is deleted or written over. Raises LedgerError when the ledger is in use, or the copy is not whole.
    """
    path = folder / FILE_NAME
    refuse_held(path)
    aside = folder / f"aside-{now:%Y%m%dT%H%M%SZ}"
    draft = folder / f"restore-{DRAFT}"
    try:
        shutil.copyfile(copy, draft)
        found = checked(draft)
        if found.wrong:
            _remove(draft)
            raise LedgerError(f"{copy}: is not put in the ledger's place: {'; '.join(found.wrong)}")
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        old = parts(path)
        if old:
            aside.mkdir()
            for file in old:
                file.rename(aside / file.name)
        draft.rename(path)
    except OSError as error:
        raise LedgerError(f"{path}: the copy cannot be put in its place: {error}") from error
    return aside if old else None


def _remove(draft: Path) -> None:
    for file in draft.parent.glob(f"{draft.name}*"):
        file.unlink()
