"""The ledger in state_dir for a command: itself, or a copy of it while an exporter has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from unitcost.errors import LedgerInUseError
from unitcost.ledger.copied import copied
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.store import Ledger

OF_A_COPY = "another process holds the ledger: this is of a copy of it, sources were not asked"
"""What is to be said of an answer from a copy."""


@contextmanager
def access(folder: Path | None, beside: Path | None = None) -> Iterator[tuple[Ledger, bool]]:
    """Open the ledger of a folder (None: one in memory), or a copy of it where another process holds it.

    Yield it, and whether it is the ledger itself, which sources may be asked for. beside: where a copy is put, removed
    at the end; None: where temporary files go. Raises LedgerError when neither can be had.
    """
    with ExitStack() as stack:
        ours = True
        try:
            ledger = Ledger(folder)
        except LedgerInUseError:
            if folder is None:
                raise
            ours = False
            ledger = Ledger(stack.enter_context(copied(folder / FILE_NAME, beside)))
        yield stack.enter_context(closing(ledger)), ours
