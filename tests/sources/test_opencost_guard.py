"""The guard against OpenCost's silent partial answers: what it refuses, and what it must let through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.opencost import Replay, dumped, loaded, recorded
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.errors import SourceError
from unitcost.facts import Batch, Cost, Note, Problem
from unitcost.sources.base import Context
from unitcost.sources.cluster.opencost.answer import COMPONENT, Assets
from unitcost.sources.cluster.opencost.guard import PAUSES, Shape, settle, shape, suspicion
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost

HALF = Decimal("0.5")
DAY = date(2026, 11, 21)
KEY = "2026-11-21"
NOW = utc(2026, 11, 22, 0, 5)
GOOD = Reply(recorded("tenant-2026-11-21.json"))
PARTIAL = Reply(recorded("errors/silent-partial-2026-11-21.json"))
Table = dict[str, dict[str, int]]

BEFORE: Table = {
    "acme": {"cpu": 40, "ram": 10, "network": 15, "pv": 5},
    "beta": {"cpu": 8, "ram": 2, "network": 2},
    "gamma": {"cpu": 4, "ram": 1, "network": 1, "load_balancer": 2},
    "delta": {"cpu": 2, "ram": 1, "network": 1, "gpu": 10},
    "": {"cpu": 20, "ram": 10, "network": 10, "pv": 5, "load_balancer": 2},
    "__idle__": {"cpu": 20, "ram": 10, "gpu": 2},
}
"""What a good day cost, by tenant and kind; "" is nobody."""


def rows_of(table: Table, factor: str = "1") -> list[Cost]:
    return [
        Cost(
            DAY,
            None if name in {"", "__idle__"} else name,
            kind,
            "idle" if name == "__idle__" else COMPONENT[kind],
            Decimal(amount) * Decimal(factor),
            "USD",
        )
        for name, kinds in table.items()
        for kind, amount in kinds.items()
    ]


def without(*names: str, kinds: Sequence[str] = (), to_idle: bool = False, to_nobody: bool = False) -> Table:
    """Take tenants, or kinds of cost from everybody's workloads; optionally they show up elsewhere."""
    table = {name: dict(row) for name, row in BEFORE.items()}
    target = "__idle__" if to_idle else "" if to_nobody else None
    for name, row in list(table.items()):
        for kind in list(row):
            if name == "__idle__" or not (name in names or kind in kinds):
                continue
            amount = row.pop(kind)
            if target is not None and kind != "network":
                table[target][kind] = table[target].get(kind, 0) + amount
            elif target == "":
                table[""][kind] = table[""].get(kind, 0) + amount
    return table


def assets_of(table: Table, factor: str = "1") -> Assets:
    found = shape(rows_of(table, factor))
    kinds = {kind: found.spent.get(kind, Decimal(0)) for kind in ("gpu", "pv", "load_balancer")}
    return Assets(found.infrastructure, kinds, [])


SAME = assets_of(BEFORE)
TENANTS = ("acme", "beta", "gamma", "delta")


@pytest.mark.parametrize(
    ("now", "factor", "assets"),
    [
        pytest.param(BEFORE, "1", SAME, id="nothing changed"),
        pytest.param(BEFORE, "3", SAME, id="everything tripled"),
        pytest.param(BEFORE, "0.6", SAME, id="a fall within the guard"),
        pytest.param(without("acme"), "1", SAME, id="the largest customer left"),
        pytest.param(without("acme", to_idle=True), "1", SAME, id="the largest left, nodes stay for now"),
        pytest.param(without("delta"), "1", SAME, id="the only one with a GPU left"),
        pytest.param(without("acme", "beta"), "1", SAME, id="two of four left"),
        pytest.param(BEFORE, "0.25", assets_of(BEFORE, "0.25"), id="the cluster scaled down for the weekend"),
        pytest.param(BEFORE, "0.1", assets_of(BEFORE, "0.1"), id="prices corrected to a tenth"),
        pytest.param(without(kinds=["gpu"]), "0.9", assets_of(without(kinds=["gpu"])), id="GPU pool at zero"),
    ],
)
def test_what_is_real_is_believed(now: Table, factor: str, assets: Assets) -> None:
    rows = rows_of(now, factor)
    assert settled(rows, assets=lambda: assets) == rows


@pytest.mark.parametrize(
    ("now", "factor", "assets", "text"),
    [
        pytest.param(
            without(*TENANTS, kinds=["cpu", "ram", "network", "gpu"], to_idle=True),
            "1",
            SAME,
            "any cpu, ram, network",
            id="workloads in idle",
        ),
        pytest.param(without(*TENANTS, to_nobody=True), "1", SAME, "lost its tenant", id="labels missing"),
        pytest.param(without("acme", "beta", to_nobody=True), "1", SAME, "lost its tenant", id="most labels missing"),
        pytest.param(without(kinds=["network"]), "1", SAME, "any network", id="network missing"),
        pytest.param(without(kinds=["ram"], to_idle=True), "1", SAME, "any ram", id="memory missing"),
        pytest.param(without(kinds=["gpu"], to_idle=True), "1", SAME, "any gpu", id="GPUs missing"),
        pytest.param(without(kinds=["pv"]), "1", SAME, "any pv", id="volumes missing"),
        pytest.param(BEFORE, "0.3", SAME, "workloads cost", id="everything fell, the cluster did not"),
        pytest.param(without(*TENANTS), "1", SAME, "lost its tenant", id="all tenants gone at once"),
        pytest.param({"__idle__": {"cpu": 94, "ram": 34, "gpu": 12}}, "1", SAME, "any cpu", id="nothing but idle"),
        pytest.param(
            without(*TENANTS, to_nobody=True),
            "0.25",
            assets_of(BEFORE, "0.25"),
            "lost its tenant",
            id="labels missing on a weekend",
        ),
        pytest.param(
            without(*TENANTS, kinds=["cpu", "ram", "network", "gpu"], to_idle=True),
            "0.25",
            assets_of(BEFORE, "0.25"),
            "any cpu",
            id="workloads in idle on a weekend",
        ),
    ],
)
def test_what_looks_partial_is_not(now: Table, factor: str, assets: Assets, text: str) -> None:
    rows = rows_of(now, factor)
    found = settled(rows, assets=lambda: assets)
    assert isinstance(found, Problem)
    assert found.reason == "partial"
    assert text in found.text
    assert "query.max-samples" in found.hint
    assert "partial_guard" in found.hint


def settled(
    rows: list[Cost],
    again: Callable[[], Sequence[Cost]] | None = None,
    assets: Callable[[], Assets] = lambda: SAME,
    pause: Callable[[float], None] = lambda _: None,
) -> Sequence[Cost] | Problem:
    return settle(
        rows,
        shape(rows_of(BEFORE)),
        HALF,
        again=again or (lambda: rows),
        assets=assets,
        pause=pause,
        where="cluster, 2026-11-21",
    )


def test_a_good_second_or_third_answer_is_taken() -> None:
    bad = rows_of(without(kinds=["network"]))
    for before in ([], [bad]):
        answers = [*before, rows_of(BEFORE)]
        pauses: list[float] = []
        found = settled(bad, again=lambda answers=answers: answers.pop(0), pause=pauses.append)  # type: ignore[misc]
        assert found == rows_of(BEFORE)
        assert pauses == list(PAUSES[: len(before) + 1])


def test_the_better_of_two_suspicious_answers_is_the_one_that_assets_are_asked_about() -> None:
    better = rows_of(BEFORE, "0.2")
    assert settled(rows_of(BEFORE, "0.05"), again=lambda: better, assets=lambda: assets_of(BEFORE, "0.2")) == better


def test_a_server_that_fails_when_asked_again_leaves_the_answer_suspicious() -> None:
    def fail() -> list[Cost]:
        raise SourceError("timeout", "/allocation", "no answer within 60 s")

    found = settled(rows_of(without(kinds=["network"])), again=fail)
    assert isinstance(found, Problem)
    assert "asked 2 times" in found.text


def test_partial_assets_explain_nothing_when_the_answer_itself_holds_the_whole_cluster() -> None:
    rows = rows_of(BEFORE, "0.3") + rows_of({"__idle__": {"cpu": 80, "ram": 30}})
    assert isinstance(settled(rows, assets=lambda: Assets(Decimal(3), {}, [])), Problem)


def test_assets_that_fail_explain_nothing() -> None:
    def fail() -> Assets:
        raise SourceError("http", "/assets", "answered 500")

    found = settled(rows_of(BEFORE, "0.1"), assets=fail)
    assert isinstance(found, Problem)
    assert "answered 500" in found.text


def test_nothing_is_suspicious_beside_a_day_that_cost_nothing() -> None:
    assert suspicion(shape([]), Shape({}, {}), HALF) == ""


# --- over HTTP, with the recorded answers


@contextmanager
def opencost(
    replay: Callable[[Request], Reply],
    **settings: Any,
) -> Iterator[OpenCost]:
    with serve(replay) as fake:
        yield OpenCost(
            "cluster",
            OpenCostSettings.model_validate({"type": "opencost", "url": fake.url, **settings}),
            Context(),
            pause=lambda _: None,
        )


def refresh(
    stored: MemoryStored,
    allocation: Mapping[str, list[Reply]],
    now: datetime = NOW,
    assets: Mapping[str, list[Reply]] | None = None,
    **settings: Any,
) -> list[Problem]:
    with opencost(Replay(allocation, assets or {}), **settings) as reader:
        items: Iterator[Batch | Problem | Note] = reader.batches(asked(now, date(2026, 11, 19), stored))
        return stored.take(items)


def test_the_recorded_partial_answer_never_replaces_the_good_day() -> None:
    stored = MemoryStored(NOW)
    assert refresh(stored, {}) == []
    good = stored.costs(KEY)
    problems = refresh(stored, {KEY: [PARTIAL]})
    assert [(problem.reason, problem.where) for problem in problems] == [("partial", "cluster, 2026-11-21")]
    assert "50.15 in all with 0 tenants instead of about 80.01 with 5" in problems[0].text
    assert "/assets says that the cluster still costs 48.94" in problems[0].text
    assert stored.costs(KEY) == good


def test_the_recorded_partial_answer_is_no_new_day_between_good_ones() -> None:
    stored = MemoryStored(NOW)
    refresh(stored, {KEY: [Reply("", status=500)]})
    assert KEY not in stored.batches
    problems = refresh(stored, {KEY: [PARTIAL]})
    assert [problem.reason for problem in problems] == ["partial"]
    assert KEY not in stored.batches
    assert refresh(stored, {KEY: [PARTIAL, GOOD]}) == []
    assert sum(row.amount for row in stored.costs(KEY)) == Decimal("80.01212")


def test_the_recorded_partial_answer_is_not_believed_for_today_either() -> None:
    stored = MemoryStored(NOW)
    refresh(stored, {})
    for hour, minute in ((0, 12), (12, 0), (23, 59)):
        now = utc(2026, 11, 22, hour, minute)
        part = Decimal(hour * 60 + minute) / 1440
        problems = refresh(stored, {"2026-11-22": [shrunk("errors/silent-partial-2026-11-21.json", part)]}, now)
        assert [problem.where for problem in problems] == ["cluster, 2026-11-22"]
        assert "2026-11-22" not in stored.batches


def shrunk(name: str, factor: Decimal, day: str = "2026-11-22", drop: str = "") -> Reply:
    """Return a recorded answer with every cost scaled, moved to another day, without one entry."""
    document = loaded(name)
    following = date.fromisoformat(day) + timedelta(days=1)
    for entry in document["data"][0].values():
        entry["window"] = {"start": f"{day}T00:00:00Z", "end": f"{following}T00:00:00Z"}
        for key in [key for key in entry if key.endswith(("Cost", "CostAdjustment"))]:
            entry[key] *= factor
    if drop:
        del document["data"][0][drop]
    return dumped(document)


def test_today_grows_through_the_day() -> None:
    stored = MemoryStored(NOW)
    refresh(stored, {})
    seen = Decimal(0)
    for minutes in (15, 30, 240, 720, 1200, 1439):
        now = utc(2026, 11, 22) + timedelta(minutes=minutes)
        part = Decimal(minutes) / 1440
        assert refresh(stored, {"2026-11-22": [shrunk("tenant-2026-11-21.json", part)]}, now) == []
        now_stored = sum((row.amount for row in stored.costs("2026-11-22")), Decimal(0))
        assert now_stored > seen
        seen = now_stored


def test_the_first_day_ever_is_taken_and_said_to_be_suspicious() -> None:
    stored = MemoryStored(NOW)
    with opencost(Replay({KEY: [PARTIAL]})) as reader:
        found = list(reader.batches(asked(NOW, DAY, stored)))
    assert [problem.reason for problem in stored.take(found)] == ["untagged"]
    assert any("workloads carry next to nothing" in item.text for item in found if isinstance(item, Note))
    assert set(stored.batches) == {KEY}


def test_a_recorded_day_without_its_largest_customer_is_believed_at_once() -> None:
    stored = MemoryStored(NOW)
    refresh(stored, {})
    left = shrunk("tenant-2026-11-21.json", Decimal(1), KEY, drop="acme")
    assert refresh(stored, {KEY: [left]}) == []
    assert "acme" not in {row.tenant for row in stored.costs(KEY)}


def test_a_guard_of_zero_believes_everything() -> None:
    stored = MemoryStored(NOW)
    refresh(stored, {})
    assert refresh(stored, {KEY: [PARTIAL]}, partial_guard=0) == []
    assert sum(row.amount for row in stored.costs(KEY)) < 51


def test_a_cluster_that_shrank_is_believed_when_assets_say_so_too() -> None:
    stored = MemoryStored(NOW)
    refresh(stored, {})
    document = loaded("assets-2026-11-22.json")
    for asset in document["data"].values():
        asset["totalCost"] /= 10
    tenth = shrunk("tenant-2026-11-21.json", Decimal("0.1"), KEY)
    assert [problem.reason for problem in refresh(stored, {KEY: [tenth]})] == ["partial"]
    assert refresh(stored, {KEY: [tenth]}, assets={KEY: [dumped(document)]}) == []
    assert sum(row.amount for row in stored.costs(KEY)) < 9
