"""Whatever a provider does, what is stored is a whole delivery of each month: the newest there was when one looked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.fakes.deliveries import month, packed, total
from tests.fakes.stored import MemoryStored, asked
from unitcost.errors import SourceError
from unitcost.facts import Batch, Note, Problem
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.deliveries.aws import Aws
from unitcost.sources.bills.focus.deliveries.azure import Azure
from unitcost.sources.bills.focus.deliveries.base import NotWholeError
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus
from unitcost.sources.bills.focus.stores import export
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import Object, changed

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
FIRST = BEGIN.date().replace(month=9, day=1)


class MemoryStore:
    """A bucket in memory with a clock of its own; satisfies stores.base.Store."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.objects: dict[str, tuple[Object, bytes]] = {}
        self.read: list[str] = []
        self.closed = 0

    def put(self, key: str, body: bytes) -> None:
        self.now += timedelta(seconds=1)
        self.objects[key] = (Object(key, len(body), f"{hash(body):x}", self.now), body)

    def all(self, prefix: str) -> Iterator[Object]:
        return (self.objects[key][0] for key in sorted(self.objects) if key.startswith(prefix))

    def level(self, prefix: str) -> tuple[Sequence[str], Sequence[Object]]:
        found = list(self.all(prefix))
        below = [one.key.removeprefix(prefix) for one in found]
        folders = {f"{prefix}{key.partition('/')[0]}/" for key in below if "/" in key}
        return sorted(folders), [one for one, key in zip(found, below, strict=True) if "/" not in key]

    def pieces(self, wanted: Object) -> Iterator[bytes]:
        self.read.append(wanted.key)
        found, body = self.objects.get(wanted.key, (None, b""))
        if found is None or found.etag != wanted.etag:
            raise changed(wanted.key)
        yield body

    def close(self) -> None:
        self.closed += 1


PERIODS = st.sampled_from(["2026-10", "2026-11"])
FILES = st.lists(st.integers(1, 9), min_size=1, max_size=3)


class Deliveries(RuleBasedStateMachine):
    """An export of AWS that is written, over its own files or beside them, while it is read."""

    @initialize(versioned=st.booleans())
    def start(self, versioned: bool) -> None:
        self.store = MemoryStore()
        self.versioned = versioned
        self.folder = TemporaryDirectory()
        self.stored = MemoryStored(BEGIN)
        self.runs = 0
        self.whole: dict[str, list[Decimal]] = {}
        self.under_way: dict[str, list[str]] = {}
        self.restart()

    def teardown(self) -> None:
        self.folder.cleanup()

    def _write(self, period: str, costs: list[int]) -> list[str]:
        self.runs += 1
        run = f"20261120T{self.runs:06}Z-x/" if self.versioned else ""
        keys = []
        for at, cost in enumerate(costs, start=1):
            key = f"e/data/BILLING_PERIOD={period}/{run}e-{at:05}.csv.gz"
            self.store.put(key, packed(month(period, str(cost), days=9, resource=f"r{at}")))
            keys.append(key)
        return keys

    @rule(period=PERIODS, costs=FILES)
    def deliver(self, period: str, costs: list[int]) -> None:
        keys = self._write(period, costs)
        run = f"20261120T{self.runs:06}Z-x/" if self.versioned else ""
        said = {"executionId": str(self.runs), "dataFiles": [f"s3://bucket/{key}" for key in keys]}
        self.store.put(f"e/metadata/BILLING_PERIOD={period}/{run}e-Manifest.json", json.dumps(said).encode())
        self.whole.setdefault(period, []).append(total(*(month(period, str(cost), days=9) for cost in costs)))
        self.under_way.pop(period, None)

    @rule(period=PERIODS, costs=FILES)
    def interrupt(self, period: str, costs: list[int]) -> None:
        self.under_way[period] = self._write(period, costs)

    @rule(losing=st.booleans())
    def restart(self, losing: bool = False) -> None:
        if losing:
            self.folder.cleanup()
            self.folder = TemporaryDirectory()
        given = FocusSettings.model_validate(
            {"type": "focus", "path": "s3://bucket/e", "cache": {"path": self.folder.name}, "delivery": "aws"}
        )
        self.source = Focus("bill", given, Context())

    @rule()
    def refresh(self) -> None:
        said: list[Problem | Note] = []
        self.store.read.clear()
        changed_ = []
        closed = self.store.closed
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(export, "opened", lambda *_: self.store)
            try:
                for item in self.source.batches(asked(self.store.now + timedelta(hours=1), FIRST, self.stored)):
                    self.stored.take([item])
                    changed_.append(item.key) if isinstance(item, Batch) else said.append(item)
            except SourceError as error:
                missing = error.reason == "missing"
                assert missing and not self.whole, error  # noqa: PT017, PT018
        assert self.store.closed == closed + 1
        for period, sums in self.whole.items():
            overwritten = period in self.under_way and not self.versioned
            if not overwritten:
                assert self._stored(period) == sums[-1]
            else:
                assert self._stored(period) in {Decimal(0), *sums}
        if "2026-11" in self.under_way and "2026-11" in self.whole:
            assert any("2026-11" in str(one) for one in said), "what is on its way in the open month is told"
        first_again = [key for key in self.store.read if key.endswith(".gz") and "2026-10" in key]
        assert not first_again or "2026-10" in changed_ or self._stored("2026-10") == 0

    def _stored(self, period: str) -> Decimal:
        return sum((cost.amount for cost in self.stored.costs(period)), Decimal(0))

    @invariant()
    def nothing_is_left_over(self) -> None:
        if hasattr(self, "stored"):
            assert set(self.stored.batches) <= set(self.whole)


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


# ------------------------------------------------------------------------------------------ any manifest at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "dataFiles": JSON
        | st.lists(st.text(max_size=9).map(lambda text: f"s3://bucket/{text}") | st.text(), max_size=3),
        "blobs": JSON | st.lists(st.fixed_dictionaries({}, optional={"blobName": JSON, "byteCount": JSON}), max_size=3),
        "exportConfig": JSON,
    },
)


@settings(max_examples=150, deadline=None)
@given(said=(JSON | LISTS).map(json.dumps).map(str.encode) | st.binary(max_size=40))
def test_whatever_a_manifest_says_it_is_read_or_refused_in_words(said: bytes) -> None:
    address = Address("s3", "bucket")
    for layout, key in (
        (Aws(address, ""), "metadata/BILLING_PERIOD=2026-11/e-Manifest.json"),
        (Azure(address, ""), "20261101-20261130/x/manifest.json"),
    ):
        store = MemoryStore()
        store.put(key, said)
        [run] = layout.runs(store, FIRST)["2026-11"]
        found: Sequence[Object] = ()
        try:
            found = layout.files(store, run)
        except NotWholeError:
            continue
        except SourceError as error:
            if error.where != f"s3://bucket/{key}":
                raise
        assert {one.key for one in found} <= {key}


def test_a_manifest_that_is_no_manifest_by_its_size_is_not_read(tmp_path: Path) -> None:
    store = MemoryStore()
    key = "metadata/BILLING_PERIOD=2026-11/e-Manifest.json"
    store.put(key, b"x" * (17 << 20))
    layout = Aws(Address("s3", "bucket"), "")
    [run] = layout.runs(store, FIRST)["2026-11"]
    with pytest.raises(SourceError, match="bytes, which no manifest has"):
        layout.files(store, run)
    assert not store.read
    assert not list(tmp_path.iterdir())
