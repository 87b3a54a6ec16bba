"""`unitcost ledger`: read the whole ledger or a copy of it, and put a copy in its place."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TextIO

from unitcost.errors import LedgerError
from unitcost.ledger.checked import Found, checked
from unitcost.ledger.copied import copied
from unitcost.ledger.files import FILE_NAME, advice, copies
from unitcost.ledger.kept import restore
from unitcost.redaction import say


def ledger_check(folder: Path, file: Path | None, out: TextIO) -> bool:
    """Say what the ledger in a folder, or a file, holds and what is wrong with it; return whether nothing is.

    A copy of it is read, so that nothing is written and a running exporter is not disturbed. Raises LedgerError when
    there is none.
    """
    path = file or folder / FILE_NAME
    if not path.is_file():
        raise LedgerError(f"{path}: there is no such file")
    found = _checked(path)
    rows = ", ".join(f"{name} {count:,}" for name, count in found.tables.items() if count)
    say(out, f"{path}: {'DAMAGED' if found.wrong else 'fine'}: {rows or 'no rows'}")
    for line in found.wrong:
        say(out, f"  ! {line}")
    if found.wrong:
        say(out, f"  ! {advice(folder)}")
    elif found.days:
        say(
            out,
            f"  - {found.days} days are known, {found.first} to {found.last}; on each of them"
            " Σ tenants + unallocated = Σ counted",
        )
    return not found.wrong


def _checked(path: Path) -> Found:
    with copied(path) as copy:
        return checked(copy / FILE_NAME)


def restored(folder: Path, file: Path | None, now: datetime) -> str:
    """Put a copy, or the newest that is kept, in the ledger's place; return what was done.

    Raises LedgerError when there is no copy, the ledger is in use, or the copy is not whole.
    """
    kept = copies(folder)
    if file is None and not kept:
        raise LedgerError(f"{folder}: no copy is kept there; name a file")
    copy = file or kept[0]
    aside = restore(folder, copy, now)
    moved = "there was none before" if aside is None else f"the one before is in {aside}, delete it when all is well"
    return f"{folder / FILE_NAME}: is now {copy}; {moved}"
