"""OpenCost's storage by disk, so that a bill's charge for a disk goes to who has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.opencost import Replay, dumped, loaded, tenants_by_node
from tests.fakes.server import Reply, serve
from tests.fakes.stored import asked, utc
from unitcost.facts import Batch, Cost
from unitcost.sources.base import Context
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost

NOW = utc(2026, 11, 23, 12)
DAY = date(2026, 11, 22)
KEY = DAY.isoformat()
CENT = Decimal("0.01")


def storage(answer: Any, assets: Sequence[Reply] = (), **settings: Any) -> list[Cost]:
    """Return the day's costs of volumes."""
    replay = Replay({KEY: [dumped(answer)]}, {KEY: [*assets]} if assets else {})
    with serve(replay.recorded) as fake:
        given = OpenCostSettings.model_validate({"type": "opencost", "url": fake.url, **settings})
        source = OpenCost("cluster", given, Context(billed=True), pause=lambda _: None)
        [batch] = [item for item in source.batches(asked(NOW, DAY)) if isinstance(item, Batch) and item.key == KEY]
    assert isinstance(batch.cost, Sequence)
    return [row for row in batch.cost if row.service == "pv"]


def sums(rows: Sequence[Cost], of: Callable[[Cost], Any]) -> dict[Any, Decimal]:
    found: dict[Any, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[of(row)] += row.amount
    return found


def volumes() -> dict[str, Decimal]:
    """Return what each volume that a pod of the recorded day has cost, by OpenCost's name of it."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for pod in loaded("pod-2026-11-22.json")["data"][0].values():
        for name, volume in (pod["pvs"] or {}).items():
            found[name.partition(":name=")[2]] += volume["cost"]
    return found


def disks() -> dict[str, str]:
    """Return the id of each volume's disk, as /assets says it."""
    every = loaded("assets-2026-11-22.json")["data"].values()
    return {one["volumeName"]: one["properties"]["providerID"] for one in every if one["type"] == "Disk"}


def test_each_disk_comes_to_what_its_volume_cost() -> None:
    found = sums(storage(tenants_by_node()), lambda row: row.resource)
    expected = {disks()[name]: cost for name, cost in volumes().items()}
    assert len(expected) > 3
    assert found.keys() == expected.keys()
    assert all(abs(found[disk] - cost) < CENT for disk, cost in expected.items())


def test_every_tenant_costs_the_same_to_the_last_digit() -> None:
    answer = tenants_by_node()
    without = tenants_by_node()
    for entry in without["data"][0].values():
        entry["pvs"] = None
    plain = storage(without)
    assert {row.resource for row in plain} == {None}
    assert sums(storage(answer), lambda row: row.tenant) == sums(plain, lambda row: row.tenant)


@pytest.mark.parametrize("assets", [Reply("boom", status=500), Reply('{"code":200,"data":{}}')])
def test_without_assets_it_is_of_no_disk(assets: Reply) -> None:
    assert {row.resource for row in storage(tenants_by_node(), [assets])} == {None}


@pytest.mark.parametrize(
    "odd",
    [[], "x", {"a": None}, {"a": {}}, {"a": {"cost": None}}, {"a": {"cost": "1"}}, {"a": {"cost": -1}}],
    ids=repr,
)
def test_volumes_that_cannot_be_read_are_no_reason_to_lose_the_day(odd: Any) -> None:
    answer = tenants_by_node()
    for entry in answer["data"][0].values():
        entry["pvs"] = odd
    rows = storage(answer)
    assert {row.resource for row in rows} == {None}
    assert sum(row.amount for row in rows) > 0


def test_what_volumes_leave_of_the_cost_stays_with_the_entry() -> None:
    """OpenCost has an adjustment of all volumes, too; a name that /assets does not know is of no disk."""
    answer = tenants_by_node()
    [name] = [name for name, entry in answer["data"][0].items() if "acme" in name.split("/") and entry["pvs"]]
    entry = answer["data"][0][name]
    entry["pvCost"], [volume] = Decimal(1), entry["pvs"].values()
    volume["cost"] = Decimal("0.25")
    mine = {row.resource: row.amount for row in storage(answer) if row.tenant == "acme"}
    assert mine.pop(None) == Decimal("0.75")
    assert list(mine.values()) == [Decimal("0.25")]
