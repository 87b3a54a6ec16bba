"""Nodes and disks whose tag in the bill names another tenant than the labels of the pods that used them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.fakes.company import NOW, RATES, YESTERDAY, Company
from unitcost.economics.labels import Conflict, conflicts
from unitcost.facts import Batch, Cost, Resource

KINDS = {"i-1": "node", "i-2": "node", "vol-1": "disk"}
METER = [
    ("acme", "cpu", "6", "i-1"),
    ("beta", "ram", "2", "i-1"),
    ("acme", "cpu", "1", "i-2"),
    ("beta", "pv", "1", "vol-1"),
]


def found(*rows: Cost) -> list[Conflict]:
    company = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    meter = [
        Cost(YESTERDAY, tenant, service, "compute", Decimal(amount), "USD", "k8s/prod", resource=one)
        for tenant, service, amount, one in METER
    ]
    meter.append(Cost(YESTERDAY, None, "cpu", "idle", Decimal(5), "USD", "k8s/prod", resource="i-1"))
    ids = [Resource(YESTERDAY, one, "k8s/prod", kind) for one, kind in KINDS.items()]
    batch = Batch(YESTERDAY.isoformat(), [YESTERDAY], cost=meter, resources=ids)
    company.ledger.put("cluster", "", batch, NOW, RATES, ["cluster"])
    company.put("bill", [YESTERDAY], cost=[*rows])
    company.gauges()
    return conflicts(company.ledger)


def tagged(tenant: str | None, resource: str, amount: str) -> Cost:
    return Cost(YESTERDAY, tenant, "EC2", "compute", Decimal(amount), "USD", resource=resource)


def test_a_node_that_others_used_is_told_with_its_dollars_and_its_users() -> None:
    node = "arn:aws:ec2:eu-central-1:1:instance/i-1"
    assert found(tagged("beta", node, "20"), tagged("beta", node, "-4"), tagged("gamma", "vol-1", "30")) == [
        Conflict("vol-1", "disk", "gamma", "USD", Decimal(30), [("beta", 1.0)]),
        Conflict("i-1", "node", "beta", "USD", Decimal(16), [("acme", 0.75), ("beta", 0.25)]),
    ]


def test_what_agrees_or_says_nothing_is_no_conflict() -> None:
    """An alias is the same tenant, idle is nobody's, and what no pod used cannot disagree."""
    assert found(tagged("Acme-Corp", "i-2", "20"), tagged(None, "i-1", "5"), tagged("gamma", "i-3", "7")) == []


def test_only_days_that_both_speak_of_are_compared() -> None:
    before = replace(tagged("beta", "i-2", "9"), day=YESTERDAY.replace(day=1))
    assert found(before) == []
    assert [one.amount for one in found(before, tagged("beta", "i-2", "1"))] == [Decimal(1)]
