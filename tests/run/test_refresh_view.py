"""What is published is one state of the ledger: a batch that is stored meanwhile is in all of it, or in none."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.batches import batch
from tests.fakes.company import NOW, RATES, YESTERDAY
from unitcost.config.directory import Directory
from unitcost.config.load import load
from unitcost.config.model import Config, settings_digest
from unitcost.facts import Batch, Cost
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

YAML = """
windows: [1d]
sources:
  bill: {type: focus, path: exports}
  cluster: {type: opencost, path: exports, billed_by: []}
"""
WAIT = 0.02
"""Seconds for a batch to get in where it must not."""
PATIENCE = 20.0
"""Seconds for it to get in where nobody uses the ledger."""


class Moments(Ledger):
    """A ledger in which another thread stores the first load of a cluster, before the n-th time that it is used.

    Uses within a use (`alone`) of the same thread are counted only where `within` is set.
    """

    def __init__(self, settings: str) -> None:
        super().__init__(None)
        self.settings = settings
        self.left = 0
        self.within = False
        self.depth = 0
        self.thread: threading.Thread | None = None

    def first_load(self) -> None:
        rows = [Cost(YESTERDAY, "acme", "cpu", "compute", Decimal(1000), "USD", "k8s/prod")]
        self.put("cluster", self.settings, Batch("day", [YESTERDAY], cost=rows), NOW, RATES)

    @contextmanager
    def alone(self) -> Iterator[None]:
        if threading.current_thread() is self.thread:
            with super().alone():
                yield
            return
        if self.within or self.depth == 0:
            self.left -= 1
        if self.left == 0 and self.thread is None:
            self.thread = threading.Thread(target=self.first_load)
            self.thread.start()
            self.thread.join(WAIT if self.depth else PATIENCE)
        self.depth += 1
        try:
            with super().alone():
                yield
        finally:
            self.depth -= 1


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "exports").mkdir()
    (tmp_path / "unitcost.yaml").write_text(YAML)
    return load(tmp_path / "unitcost.yaml")[0]


def published(config: Config, ledger: Ledger) -> tuple[str, str]:
    """Publish; return the exposition and the page."""
    current = Current()
    assert Refresher(config, Directory(), ledger, current, lambda: NOW).publish()
    snapshot = current.get()
    assert snapshot is not None
    return snapshot.text.decode(), snapshot.page.decode()


def started(config: Config, moment: int, *, within: bool = False) -> Moments:
    """Return a ledger with a bill, and a cluster that comes at a moment; the refresher's own start is one use."""
    ledger = Moments(settings_digest(config, "cluster"))
    ledger.put("bill", settings_digest(config, "bill"), batch(YESTERDAY), NOW, RATES)
    ledger.within = within
    ledger.left = 1 + moment
    return ledger


def told(text: str, page: str) -> list[bool]:
    """Return what of the cluster is told, place by place."""
    rows = re.search(r'unitcost_source_rows\{source="cluster"\} (\S+)', text)
    return [
        'window_complete{window="1d"} 1.0' in text,
        'tenant_cost_dollars{tenant="acme"' in text,
        rows is not None and rows[1] == "1.0",
        "acme" in page,
    ]


def test_a_first_load_that_is_stored_as_soon_as_a_publication_lets_it_is_served_whole(config: Config) -> None:
    for moment in range(1, 1000):
        ledger = started(config, moment)
        seen = told(*published(config, ledger))
        if ledger.thread is None:
            break
        assert seen == [True] * 4, moment
    assert moment > 1


@pytest.mark.parametrize("moment", [3, 10, 40])
def test_a_batch_that_comes_in_the_middle_of_a_publication_is_not_in_it_and_whole_in_the_next(
    config: Config, moment: int
) -> None:
    ledger = started(config, moment, within=True)
    assert told(*published(config, ledger)) == [False] * 4
    assert ledger.thread is not None
    ledger.thread.join()
    assert told(*published(config, ledger)) == [True] * 4
