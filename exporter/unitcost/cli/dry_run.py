"""`unitcost check --dry-run`: what engines would be asked for a bill, and what that reads; nothing that costs runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from unitcost.config.model import Config, settings_digest
from unitcost.errors import SourceError
from unitcost.facts import Asked
from unitcost.ledger.copied import copied
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.store import Ledger
from unitcost.redaction import say
from unitcost.sources.bills.focus.engines.engine import Scan, where
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus


def dry_run(config: Config, clock: Callable[[], datetime], state_dir: Path | None, out: TextIO) -> bool:
    """Print the statements that the next refresh would send; return whether every engine answered.

    state_dir: where the exporter's ledger is, which says what is stored and not asked for again; None: it keeps none.
    """
    now, good, any_engine = clock(), True, False
    with _held(state_dir) as ledger:
        for name, settings in config.sources.items():
            if not isinstance(settings, FocusSettings) or settings.engine is None:
                continue
            any_engine = True
            stored = ledger.stored(name, settings_digest(config, name))
            asked = Asked(now, now.date() - config.history, config.refresh.restate_days, stored)
            try:
                planned = list(Focus(name, settings, config.context()).planned(asked))
            except SourceError as error:
                say(out, f"{name}: FAILED: {error}")
                good = False
                continue
            count = f"{len(planned)} billing periods are due" if len(planned) != 1 else "1 billing period is due"
            say(out, f"{name} ({where(settings.engine)}): {count}")
            for one in planned:
                say(out, f"{one.key}: {_said(one.scan)}")
                say(out, f"  {one.sql}")
    if not any_engine:
        say(out, "no bill is read by an engine, so there is no statement to show")
    return good


@contextmanager
def _held(state_dir: Path | None) -> Iterator[Ledger]:
    """Give a copy of the ledger, or an empty one where there is none yet."""
    if state_dir is None or not (state_dir / FILE_NAME).exists():
        with closing(Ledger(None)) as ledger:
            yield ledger
        return
    with copied(state_dir / FILE_NAME) as copy, closing(Ledger(copy)) as ledger:
        yield ledger


def _said(scan: Scan) -> str:
    if scan.bytes is None:
        return scan.text
    price = "" if scan.dollars is None else f", about {scan.dollars:,.4f} USD at list price"
    return f"reads {_size(scan.bytes)} by {scan.text}{price}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - of a kilo
            return f"{size:,.1f} {unit}".replace(".0 bytes", " bytes")
        size /= 1000
    return f"{size:,.2f} TB"
