"""A source that is slow or hangs holds up no other, is not called up, and costs no dollar twice when it comes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.fakes.faulty import Fault, running, silent
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import utc
from unitcost.config.load import load
from unitcost.facts import Asked, Batch, Note, Problem
from unitcost.ledger.store import Ledger
from unitcost.run import fetch, refresh
from unitcost.run.refresh import Refresher
from unitcost.run.runner import SourceRunner
from unitcost.sources.base import SourceKind
from unitcost.web.snapshot import Current

NOW = utc(2026, 11, 20, 12)
QUERY = "sum by (tenant) (increase(x[$window]))"
VECTOR = {"resultType": "vector", "result": [{"metric": {"tenant": "acme"}, "value": [0, "7"]}]}
USAGE = Reply(json.dumps({"status": "success", "data": VECTOR}))
HEADER = "BillingPeriodStart,ChargePeriodStart,BillingCurrency,EffectiveCost,ServiceName,ResourceId"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SILENCE", 0.5)
    monkeypatch.setattr(refresh, "LOOK", 0.5)


@contextmanager
def refresher(folder: Path, sources: dict[str, Any], **more: Any) -> Iterator[tuple[Refresher, Ledger]]:
    path = folder / "unitcost.yaml"
    path.write_text(yaml.safe_dump({"sources": sources, "history": "3d", **more}))
    config, directory = load(path)
    with closing(Ledger(None)) as ledger:
        yield Refresher(config, directory, ledger, Current(), lambda: NOW), ledger


def runner_of(given: Refresher, name: str) -> SourceRunner:
    return next(runner for runner in given.runners if runner.name == name)


def usage_of(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "prometheus", "url": url, "measures": {"requests": QUERY}, **more}


def until(what: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


@contextmanager
def hanging() -> Iterator[str]:
    with running([Fault("", silent)], "") as [url]:
        yield url


def opencost(request: Request, gate: threading.Event | None = None) -> Reply:
    """Answer for one cluster whose only node i-0a1 costs 10 a day, all of it acme's."""
    if gate is not None:
        gate.wait(20)
    start, end = request.params["window"].split(",")
    window = {"start": start, "end": end}
    if request.path == "/assets":
        properties = {"providerID": "aws:///us-east-1b/i-0a1", "cluster": "prod"}
        node = {"type": "Node", "window": window, "totalCost": 10, "cpuCost": 10, "properties": properties}
        return Reply(json.dumps({"code": 200, "data": {"node": node}}))
    entry = {"window": window, "cpuCost": 10, "properties": {"cluster": "prod"}}
    return Reply(json.dumps({"code": 200, "data": [{"prod/acme": entry}]}))


# ------------------------------------------------------------------------------------------- it holds up no other


@pytest.mark.parametrize("kind", ["opencost", "prometheus"])
def test_a_hanging_source_does_not_hold_up_the_others(tmp_path: Path, kind: str) -> None:
    with serve(lambda _: USAGE) as fake, hanging() as url:
        stuck = {"type": "opencost", "url": url} if kind == "opencost" else usage_of(url)
        with refresher(tmp_path, {"stuck": stuck, "good": usage_of(fake.url)}) as (given, ledger):
            for _ in range(2):
                started = time.monotonic()
                assert not given.refresh(refresh.PATIENCE)
                assert time.monotonic() - started < 5
                assert runner_of(given, "good").verdict is True
            assert ledger.known("good").days == 4


def test_what_a_slow_source_brings_is_published_when_it_comes(tmp_path: Path) -> None:
    gate = threading.Event()
    every = {"every": "1h"}
    with (
        serve(lambda _: gated(gate)) as fake,
        refresher(tmp_path, {"slow": usage_of(fake.url)}, refresh=every) as (given, _),
        going(given) as served,
    ):
        assert until(lambda: b"unitcost_snapshot_timestamp_seconds" in served())
        assert b"tenant_usage{" not in served()
        gate.set()
        assert until(lambda: b"tenant_usage{" in served())
        assert b'unitcost_source_up{source="slow"} 1' in served()


def gated(gate: threading.Event) -> Reply:
    gate.wait(20)
    return USAGE


@contextmanager
def going(given: Refresher) -> Iterator[Callable[[], bytes]]:
    """Refresh in the background; yield what returns what is served."""
    thread = threading.Thread(target=given.run, daemon=True)
    thread.start()

    def served() -> bytes:
        snapshot = given.current.get()
        return b"" if snapshot is None else snapshot.text

    try:
        yield served
    finally:
        given.stop()
        thread.join(10)


# ------------------------------------------------------------------------------------------- whether it is up


def test_a_source_that_hangs_is_not_up_once_its_timeout_is_over(tmp_path: Path) -> None:
    gate = threading.Event()
    gate.set()
    with serve(lambda _: gated(gate)) as fake:
        sources = {"usage": usage_of(fake.url, timeout=2)}
        with refresher(tmp_path, sources) as (given, _):
            assert given.refresh()
            runner = runner_of(given, "usage")
            assert runner.verdict is True
            gate.clear()
            started = time.monotonic()
            given.refresh(0.2)
            assert runner.verdict is True, "its last answer was fine, and the time is not over"
            assert until(lambda: runner.verdict is False)
            assert 1.9 < time.monotonic() - started < 2 * 1.1 + 2
            assert until(lambda: any("no complete answer within 2 s" in line for line in runner.problems))
            gate.set()


class Stuck:
    """A source that waits for something that no time limit ends."""

    kind: ClassVar[SourceKind] = "usage"

    def __init__(self, runner: SourceRunner, gate: threading.Event) -> None:
        self._waiting = runner.waiting
        self._gate = gate

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        with self._waiting.on("http://prometheus:9090/api/v1/query"):
            self._gate.wait(20)
        yield Batch(asked.today.isoformat(), [])


def test_a_source_that_is_stuck_behind_its_timeout_says_what_it_waits_for(tmp_path: Path) -> None:
    gate = threading.Event()
    with refresher(tmp_path, {"usage": usage_of("http://127.0.0.1:1", timeout=0.2)}) as (given, _):
        runner = runner_of(given, "usage")
        runner.source = Stuck(runner, gate)
        given.refresh(1)
        assert runner.verdict is False
        assert runner.overdue.startswith("http://prometheus:9090/api/v1/query: no answer for")
        assert runner.overdue.endswith("its timeout is 0.2 s")
        assert runner.state({}).up is False
        page = given.current.get()
        assert page is not None
        assert b"no answer for" in page.page
        gate.set()
        assert until(lambda: not runner.running)
        assert runner.overdue == ""
        assert runner.verdict is True


def test_a_first_load_of_many_quick_days_is_up_while_it_takes_longer_than_the_timeout(tmp_path: Path) -> None:
    def steady(_: Request) -> Reply:
        time.sleep(0.1)
        return USAGE

    with serve(steady) as fake:
        sources = {"usage": usage_of(fake.url, timeout=1)}
        with refresher(tmp_path, sources, history="30d") as (given, ledger):
            runner = runner_of(given, "usage")
            assert runner.verdict is None, "nothing is known yet"
            given.refresh(2)
            assert until(lambda: ledger.known("usage").days > 12)
            assert runner.running
            assert runner.verdict is True
            assert until(lambda: not runner.running)
            assert runner.verdict is True


# ------------------------------------------------------------------------------------------- no dollar twice


@pytest.fixture
def bill(tmp_path: Path) -> dict[str, Any]:
    """Return a bill that charges 12 a day for the node, and 5 for a disk of nobody's."""
    lines = [HEADER]
    for day in (17, 18, 19):
        lines += [f"2026-11-01,2026-11-{day},USD,12,EC2,i-0a1", f"2026-11-01,2026-11-{day},USD,5,S3,bucket"]
    (tmp_path / "bill.csv").write_text("\n".join(lines) + "\n")
    return {"type": "focus", "path": "bill.csv"}


def counted(ledger: Ledger) -> dict[int, Decimal]:
    return {day.day: amount for day, amount in ledger.rows("SELECT day, sum(amount) FROM counted_day GROUP BY day")}


def test_a_bill_is_not_held_up_by_a_cluster_that_hangs(tmp_path: Path, bill: dict[str, Any]) -> None:
    with hanging() as url:
        sources = {"cluster": {"type": "opencost", "url": url}, "bill": bill}
        with refresher(tmp_path, sources) as (given, ledger):
            started = time.monotonic()
            given.refresh(refresh.PATIENCE)
            assert time.monotonic() - started < 8
            assert [counted(ledger)[day] for day in (17, 18, 19)] == [17, 17, 17]
            assert runner_of(given, "cluster").running


def slowly(request: Request) -> Reply:
    time.sleep(0.15)
    return opencost(request)


def test_nodes_that_come_after_the_bill_are_found_in_it_in_the_same_refresh(
    tmp_path: Path, bill: dict[str, Any]
) -> None:
    with serve(slowly) as fake:
        sources = {"cluster": {"type": "opencost", "url": fake.url}, "bill": bill}
        with refresher(tmp_path, sources) as (given, ledger):
            given.refresh(20)
            assert [counted(ledger)[day] for day in (17, 18, 19)] == [17, 17, 17]
            assert ledger.rows("SELECT sum(billed) FROM reconciled_day") == [(36,)]


def test_nodes_that_come_after_the_refresh_are_found_in_the_bill_before_they_are_published(
    tmp_path: Path, bill: dict[str, Any]
) -> None:
    gate = threading.Event()
    with serve(lambda request: opencost(request, gate)) as fake:
        sources = {"cluster": {"type": "opencost", "url": fake.url}, "bill": bill}
        with refresher(tmp_path, sources, refresh={"every": "1h"}) as (given, ledger), going(given) as served:
            assert until(lambda: counted(ledger).get(19) == 17)
            assert ledger.rows("SELECT count(*) FROM reconciled_day") == [(0,)]
            gate.set()
            assert until(lambda: b"reconciliation_ratio{" in served())
            assert ledger.rows("SELECT sum(billed) FROM reconciled_day") == [(36,)]
            assert [counted(ledger)[day] for day in (17, 18, 19)] == [17, 17, 17]
