"""The sample company with its ledger filled, once for all processes of a run of pytest."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unitcost import sample
from unitcost.config.load import load
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

AS_OF = datetime(2026, 11, 23, 12, tzinfo=UTC)


def filled_once(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the company as of AS_OF, its ledger in `state`; the first process to ask makes it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of the run; each process has one of its own in it
    folder = base / "sample-company"
    with (base / "sample-company.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            draft = base / "sample-company.draft"
            shutil.rmtree(draft, ignore_errors=True)
            _fill(draft)
            draft.rename(folder)
    return folder


def _fill(folder: Path) -> None:
    config, directory = load(sample.write(folder, AS_OF))
    with closing(Ledger(config.state_dir)) as ledger:
        assert Refresher(config, directory, ledger, Current(), lambda: AS_OF).refresh()
