"""OpenCost's costs by node, so that a bill's charge for a node goes to who used that node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.company import Company
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
GPU, SPOT = "i-921b0f3103ba80519", "i-48dfa85202f640ce9"
CENT = Decimal("0.01")


def answered(assets: Sequence[Reply] = (), **settings: Any) -> tuple[Batch, str]:
    """Return the batch of the day, and what was asked to aggregate by."""
    replay = Replay({KEY: [dumped(tenants_by_node())]}, {KEY: [*assets]} if assets else {})
    with serve(replay.recorded) as fake:
        given = OpenCostSettings.model_validate({"type": "opencost", "url": fake.url, **settings})
        source = OpenCost("cluster", given, Context(billed=True), pause=lambda _: None)
        batches = [item for item in source.batches(asked(NOW, DAY)) if isinstance(item, Batch) and item.key == KEY]
    return batches[0], fake.requests[0].params["aggregate"]


def rows(batch: Batch) -> Sequence[Cost]:
    assert isinstance(batch.cost, Sequence)
    return batch.cost


def test_each_node_comes_to_what_assets_says_it_cost_idle_included() -> None:
    batch, aggregate = answered()
    assert aggregate == "cluster,label:tenant,node"
    found: dict[str | None, Decimal] = defaultdict(Decimal)
    for row in rows(batch):
        if row.service in {"cpu", "ram", "gpu"}:
            found[row.resource] += row.amount
    nodes = [asset for asset in loaded("assets-2026-11-22.json")["data"].values() if asset["type"] == "Node"]
    assert found.keys() == {node["properties"]["providerID"] for node in nodes}
    for node in nodes:
        assert abs(found[node["properties"]["providerID"]] - node["totalCost"]) < CENT


def test_by_node_or_not_every_tenant_costs_the_same() -> None:
    """What OpenCost says is told apart by node, and stays what it is."""
    batch, _ = answered()
    pods = loaded("pod-2026-11-22.json")["data"][0].values()
    whole = sum((pod["totalCost"] for pod in pods), Decimal(0))
    assert abs(sum((row.amount for row in rows(batch)), Decimal(0)) - whole) < CENT
    idle = sum((row.amount for row in rows(batch) if row.category == "idle"), Decimal(0))
    assert idle == sum((pod["cpuCost"] + pod["ramCost"] for pod in pods if pod["name"] == "__idle__"), Decimal(0))


def test_a_dear_node_is_paid_by_who_used_it() -> None:
    batch, _ = answered()
    company = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    company.ledger.put("cluster", "", batch, NOW, {"USD": Decimal(1)}, ["cluster"])
    bill = [
        Cost(DAY, None, "EC2", "compute", Decimal(amount), "USD", resource=f"arn:aws:ec2:us-east-1:1:instance/{node}")
        for node, amount in ((GPU, "30"), (SPOT, "3"))
    ]
    company.put("bill", [DAY], cost=bill)
    company.gauges(now=NOW)
    served = dict(company.ledger.rows("SELECT tenant, sum(amount) FROM line WHERE source = 'bill' GROUP BY tenant"))
    weights: dict[str, dict[str | None, Decimal]] = {GPU: defaultdict(Decimal), SPOT: defaultdict(Decimal)}
    for row in rows(batch):
        if row.resource in weights and row.amount > 0:
            weights[row.resource][row.tenant] += row.amount
    expected: dict[str | None, Decimal] = defaultdict(Decimal)
    for node, amount in ((GPU, 30), (SPOT, 3)):
        whole = sum(weights[node].values(), Decimal(0))
        for tenant, weight in weights[node].items():
            expected[tenant] += amount * weight / whole
    assert served.keys() == expected.keys()
    assert all(abs(served[tenant] - amount) < Decimal("1e-9") for tenant, amount in expected.items())
    [user] = {row.tenant for row in rows(batch) if row.service == "gpu" and row.category != "idle"}
    assert served[user] > 20, "who uses the GPU node pays most of it"


@pytest.mark.parametrize("assets", [Reply("boom", status=500), Reply('{"code":200,"data":{}}')])
def test_without_assets_idle_is_of_no_node(assets: Reply) -> None:
    batch, _ = answered([assets])
    idle = [row for row in rows(batch) if row.category == "idle"]
    assert {row.resource for row in idle} == {None}
    assert {row.resource for row in rows(batch) if row.service == "gpu"} == {GPU}


def test_a_company_of_very_many_tenants_and_nodes_can_leave_it() -> None:
    replay = Replay()
    with serve(replay) as fake:
        given = OpenCostSettings.model_validate({"type": "opencost", "url": fake.url, "by_node": False})
        list(OpenCost("cluster", given, Context(billed=True)).batches(asked(NOW, DAY)))
    assert fake.requests[0].params["aggregate"] == "cluster,label:tenant"
