"""What the ledger in state_dir holds, read from a copy: an exporter may run, and nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from unitcost.facts import Problem
from unitcost.ledger.copied import copied
from unitcost.ledger.doubts import told
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.store import Ledger


@dataclass(frozen=True)
class FormerDays:
    """UTC days that a source told under other settings than its present ones: how many, the first, the last."""

    source: str
    count: int
    first: date
    last: date


@dataclass(frozen=True)
class Held:
    """What is to be told of a ledger. left_out: source → what it holds of it and cannot count."""

    former: list[FormerDays]
    left_out: dict[str, list[Problem]]


def held(folder: Path, settings: Mapping[str, str], former: Mapping[str, str], first: date) -> Held | None:
    """Return what the ledger in a folder holds that cannot count as it is; None where there is no ledger yet.

    settings: source → digest of its present settings; former: as Ledger.adopt() takes them. Days of former ones are
    told since `first`. Raises LedgerError when it cannot be copied or read.
    """
    if not (folder / FILE_NAME).exists():
        return None
    with copied(folder / FILE_NAME) as copy, closing(Ledger(copy)) as ledger:
        ledger.adopt(former)
        found = ledger.rows(
            "SELECT source, count(DISTINCT day), min(day), max(day)"
            " FROM settings_day k JOIN ("
            "  SELECT unnest(?::VARCHAR[]) AS source, unnest(?::VARCHAR[]) AS settings) p USING (source)"
            " WHERE k.settings <> p.settings AND day >= ?"
            " GROUP BY source ORDER BY source",
            [list(settings), list(settings.values()), first],
        )
        left_out = told(ledger)
    return Held([FormerDays(*row) for row in found], left_out)
