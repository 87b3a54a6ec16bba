"""The ledger as a fixed clock (`--as-of`) may see it: without what was said of later days, and never written back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from unitcost.errors import LedgerInUseError
from unitcost.ledger.copied import copied
from unitcost.ledger.files import FILE_NAME, statements
from unitcost.ledger.store import Ledger


@contextmanager
def rewound(folder: Path, now: datetime) -> Iterator[Path]:
    """Yield the folder of a ledger that holds nothing from after `now` (UTC).

    That is `folder` itself where nothing was stored since. Else it is a copy, removed at the end: the clock's own day
    is a whole one in the ledger by now and must not count for the half of it, and asking for that half again must not
    replace the whole. Raises LedgerError when the ledger cannot be opened or copied.
    """
    if not (folder / FILE_NAME).exists() or not _is_later(folder, now):
        yield folder
        return
    with copied(folder / FILE_NAME) as copy:
        with closing(Ledger(copy)) as ledger:
            if not _holds_later(ledger, now):  # a running exporter with the same fixed clock
                copy = folder  # noqa: PLW2901 - the one that is used
            else:
                _cut(ledger, now)
        yield copy


def _is_later(folder: Path, now: datetime) -> bool:
    try:
        with closing(Ledger(folder)) as ledger:
            return _holds_later(ledger, now)
    except LedgerInUseError:
        return True  # only its copy can tell


def _holds_later(ledger: Ledger, now: datetime) -> bool:
    return bool(ledger.rows("SELECT 1 FROM batch WHERE loaded_at > ? LIMIT 1", [now]))


def _cut(ledger: Ledger, now: datetime) -> None:
    with ledger.transaction() as connection:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE cut_at AS SELECT ?::TIMESTAMPTZ AS now, ?::DATE AS today", [now, now.date()]
        )
        connection.execute(statements("rewind"))
