"""A bill's money of a cluster goes to who used what it was for: row by row, to the cent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.company import NOW, RATES, YESTERDAY, Company
from unitcost.facts import Batch, Cost, Resource

RESOURCES = {"i-web": "node", "i-gpu": "node", "vol-1": "disk", "lb-1": "load_balancer"}
METER: list[tuple[str | None, str, str, str, str | None]] = [
    # tenant, OpenCost's service, component, its list price, and on which node
    ("acme", "cpu", "compute", "6", "i-web"),
    ("acme", "ram", "compute", "2", "i-web"),
    ("beta", "cpu", "compute", "1", "i-web"),
    (None, "cpu", "idle", "1", "i-web"),
    ("gamma", "gpu", "gpu", "0.4", "i-gpu"),
    ("gamma", "cpu", "compute", "0.1", "i-gpu"),
    ("beta", "pv", "storage", "3", None),
    ("acme", "pv", "storage", "1", None),
    ("delta", "network", "network", "9", None),
    ("acme", "network", "network", "1", None),
    ("delta", "load_balancer", "network", "2", None),
]
"""26.5 in all: acme 10, beta 4, gamma 0.5, delta 11 and 1 of nobody's (idle)."""


def row(service: str, category: str, amount: str, resource: str | None = None, **given: Any) -> Cost:
    scope = given.pop("scope", "k8s/prod" if resource is None else None)
    return Cost(YESTERDAY, None, service, category, Decimal(amount), "USD", scope, resource=resource, **given)


CASES: dict[str, tuple[list[Cost], dict[str | None, str]]] = {
    "a GPU node goes to its only user": ([row("EC2", "compute", "30", "i-gpu")], {"gamma": "30"}),
    "a node's users share it, its idle part too": (
        [row("EC2", "compute", "20", "arn:aws:ec2:us-east-1:1:instance/i-web")],
        {"acme": "16", "beta": "2", None: "2"},
    ),
    "a discount of one node is its users'": (
        [row("EC2", "compute", "30", "i-gpu"), row("EC2", "compute", "-10", "i-gpu", charge="credit")],
        {"gamma": "20"},
    ),
    "a disk goes by volumes": ([row("EBS", "storage", "8", "vol-1")], {"beta": "6", "acme": "2"}),
    "so does storage of the cluster that names no disk": ([row("EBS", "storage", "8")], {"beta": "6", "acme": "2"}),
    "transfer goes by network, whatever node it left from": (
        [row("AWSDataTransfer", "network", "10", "i-web"), row("AWSDataTransfer", "network", "10")],
        {"delta": "18", "acme": "2"},
    ),
    "a load balancer goes to who has one": (
        [row("Elastic Load Balancing", "network", "5"), row("EC2", "network", "5", "lb-1")],
        {"delta": "10"},
    ),
    "nodes that are only tagged go by cpu, ram and gpu": (
        [row("EC2", "compute", "21")],
        {"acme": "16", "beta": "2", "gamma": "1", None: "2"},
    ),
    "the rest goes by all": (
        [row("AmazonEKS", "other", "26.5")],
        {"acme": "10", "beta": "4", "gamma": "0.5", "delta": "11", None: "1"},
    ),
    "a resource of no cluster stays nobody's": ([row("EC2", "compute", "7", "i-other")], {None: "7"}),
}


@pytest.mark.parametrize("case", CASES)
def test_who_pays_for_a_row_of_the_bill(case: str) -> None:
    rows, expected = CASES[case]
    company = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    meter = [
        Cost(YESTERDAY, tenant, service, component, Decimal(amount), "USD", "k8s/prod", resource=node)
        for tenant, service, component, amount, node in METER
    ]
    ids = [Resource(YESTERDAY, one, "k8s/prod", kind) for one, kind in RESOURCES.items()]
    batch = Batch(YESTERDAY.isoformat(), [YESTERDAY], cost=meter, resources=ids)
    company.ledger.put("cluster", "", batch, NOW, RATES, ["cluster"])
    company.put("bill", [YESTERDAY], cost=rows)
    company.derived()
    found = dict(company.ledger.rows("SELECT tenant, sum(amount) FROM line WHERE source = 'bill' GROUP BY tenant"))
    assert found == {tenant: Decimal(amount) for tenant, amount in expected.items() if Decimal(amount)}


def test_a_day_without_users_of_a_kind_is_divided_among_all() -> None:
    company = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    company.put("cluster", [YESTERDAY], cost=[_cpu("acme", "3"), _cpu("beta", "1")])
    company.put("bill", [YESTERDAY], cost=[row("AWSDataTransfer", "network", "8")])
    company.derived()
    assert company.ledger.rows("SELECT tenant, amount, list_amount, basis FROM line ORDER BY ALL") == [
        ("acme", Decimal(6), Decimal(3), "reconciled"),
        ("beta", Decimal(2), Decimal(1), "reconciled"),
    ]


def _cpu(tenant: str, amount: str) -> Cost:
    return Cost(YESTERDAY, tenant, "cpu", "compute", Decimal(amount), "USD", "k8s/prod")


@pytest.mark.parametrize(("given", "whole"), [(("5", "6"), "11"), (("5", None), None)])
def test_a_sum_of_which_a_list_price_is_not_known_has_none(given: tuple[str, str | None], whole: str | None) -> None:
    company = Company(sources=[("bill", "bill", True)])
    listed = [None if price is None else Decimal(price) for price in given]
    rows = [row("EC2", "compute", "4", f"i-{price}", list_amount=price) for price in listed]
    company.put("bill", [YESTERDAY], cost=rows)
    company.derived()
    found = company.ledger.rows("SELECT amount, list_amount FROM line")
    assert found == [(Decimal(8), None if whole is None else Decimal(whole))]


DISKS: dict[str, tuple[list[Cost], list[tuple[str | None, str | None, str]], dict[str | None, str]]] = {
    # the bill's disks; the meter's volumes as tenant, disk and list price; who bears what
    "each disk goes to who has it mounted": (
        [row("EBS", "storage", "8", "vol-1"), row("EBS", "storage", "1", "vol-2")],
        [("acme", "vol-1", "1"), ("beta", "vol-2", "1")],
        {"acme": "8", "beta": "1"},
    ),
    "two share one, and the tag of a third changes nothing": (
        [replace(row("EBS", "storage", "8", "vol-1"), tenant="gamma")],
        [("acme", "vol-1", "3"), ("beta", "vol-1", "1")],
        {"acme": "6", "beta": "2"},
    ),
    "an unmounted one is its tag's": (
        [replace(row("EBS", "storage", "8", "vol-1"), tenant="gamma"), row("EBS", "storage", "1", "vol-2")],
        [(None, "vol-1", "1"), ("beta", "vol-2", "1")],
        {"gamma": "8", "beta": "1"},
    ),
    "one that the meter does not know is its tag's too": (
        [replace(row("EBS", "storage", "8", "vol-1"), tenant="gamma"), row("EBS", "storage", "1", "vol-2")],
        [("beta", "vol-2", "1")],
        {"gamma": "8", "beta": "1"},
    ),
    "without a tag it is nobody's": (
        [row("EBS", "storage", "8", "vol-1"), row("EBS", "storage", "1", "vol-2")],
        [(None, "vol-1", "1"), ("beta", "vol-2", "1")],
        {None: "8", "beta": "1"},
    ),
    "tags of two tenants name nobody": (
        [replace(row("EBS", "storage", "4", "vol-1"), tenant=name) for name in ("gamma", "delta")],
        [(None, "vol-1", "1"), ("beta", "vol-2", "1")],
        {None: "8"},
    ),
    "a meter that tells no disks apart divides all of them": (
        [replace(row("EBS", "storage", "8", "vol-1"), tenant="gamma")],
        [("acme", None, "3"), (None, None, "1")],
        {"acme": "6", None: "2"},
    ),
}


@pytest.mark.parametrize("case", DISKS)
def test_who_pays_for_a_disk(case: str) -> None:
    rows, volumes, expected = DISKS[case]
    company = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    meter = [
        Cost(YESTERDAY, tenant, "pv", "storage", Decimal(amount), "USD", "k8s/prod", resource=disk)
        for tenant, disk, amount in volumes
    ]
    ids = [Resource(YESTERDAY, one, "k8s/prod", "disk") for one in ("vol-1", "vol-2")]
    batch = Batch(YESTERDAY.isoformat(), [YESTERDAY], cost=meter, resources=ids)
    company.ledger.put("cluster", "", batch, NOW, RATES, ["cluster"])
    company.put("bill", [YESTERDAY], cost=rows)
    found = company.gauges()
    lines = "SELECT tenant, sum(amount) FROM line GROUP BY tenant HAVING sum(amount) <> 0"
    assert dict(company.ledger.rows(lines)) == {tenant: Decimal(amount) for tenant, amount in expected.items()}
    assert sum(found["bill_dollars"].values()) == sum(cost.amount for cost in rows)


NAMES = st.sampled_from([None, "acme", "beta"])
DISK = st.sampled_from([None, "vol-1", "vol-2", "vol-9"])
AMOUNTS = st.integers(-3, 9).map(Decimal)


BILLED = st.lists(st.tuples(NAMES, DISK, AMOUNTS, st.sampled_from(["usage", "unused", "credit"])), max_size=6)
METERED = st.lists(st.tuples(NAMES, DISK, AMOUNTS), max_size=6)


@settings(deadline=None, max_examples=8)
@given(st.lists(st.tuples(BILLED, METERED), min_size=5, max_size=20))
def test_whatever_tags_and_the_meter_say_of_disks_the_bill_is_counted_once(
    said: list[tuple[list[tuple[str | None, str | None, Decimal, str]], list[tuple[str | None, str | None, Decimal]]]],
) -> None:
    """Each bill and what the meter says of it have a day of their own: days are derived apart."""
    company = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    days = [YESTERDAY - timedelta(at) for at in range(len(said))]
    meter = [
        Cost(day, tenant, "pv", "storage", amount, "USD", "k8s/prod", resource=disk)
        for day, (_, metered) in zip(days, said, strict=True)
        for tenant, disk, amount in metered
    ]
    ids = [Resource(day, one, "k8s/prod", "disk") for day in days for one in ("vol-1", "vol-2")]
    company.ledger.put("cluster", "", Batch("all", days, cost=meter, resources=ids), NOW, RATES, ["cluster"])
    rows = [
        replace(row("EBS", "storage", str(amount), disk, charge=kind), tenant=tenant, day=day)
        for day, (billed, _) in zip(days, said, strict=True)
        for tenant, disk, amount, kind in billed
    ]
    company.put_all("bill", days, cost=rows)
    company.derived()

    def by_day(sql: str) -> dict[date, Decimal]:
        found = company.ledger.rows(f"SELECT day, sum(amount) FROM ({sql}) GROUP BY day HAVING sum(amount) <> 0")
        return dict(found)

    assert by_day("FROM line WHERE source = 'bill'") == sums(rows)
    assert by_day("FROM line WHERE component = 'commitment'") == sums(one for one in rows if one.charge == "unused")
    served = by_day(
        "SELECT day, direct + shared AS amount FROM tenant_day UNION ALL SELECT day, amount FROM unallocated_day"
    )
    assert served == by_day("FROM counted_day")


def sums(costs: Iterable[Cost]) -> dict[date, Decimal]:
    """Return day → dollars, of the days that have any."""
    found: dict[date, Decimal] = {}
    for one in costs:
        found[one.day] = found.get(one.day, Decimal(0)) + one.amount
    return {day: amount for day, amount in found.items() if amount}


def test_each_cluster_divides_its_own_nodes_and_what_names_none_of_several_is_nobodys() -> None:
    """A node that OpenCost knows no more is told by the bill's tag; the control plane's fee names no cluster."""
    company = Company(sources=[("prod", "cluster", True), ("dev", "cluster", True), ("bill", "bill", True)])
    company.model.billed_by[:] = [("prod", "bill"), ("dev", "bill")]
    for cluster, tenant, node in (("prod", "acme", "i-1"), ("dev", "beta", "i-2")):
        meter = [Cost(YESTERDAY, tenant, "cpu", "compute", Decimal(10), "USD", f"k8s/{cluster}", resource=node)]
        ids = [Resource(YESTERDAY, node, f"k8s/{cluster}")]
        batch = Batch(YESTERDAY.isoformat(), [YESTERDAY], cost=meter, resources=ids)
        company.ledger.put(cluster, "", batch, NOW, RATES, ["prod", "dev"])
    rows = [
        row("EC2", "compute", "7", "i-1"),
        row("EC2", "compute", "2", "i-2"),  # spot, at a fifth of the list price
        row("EC2", "compute", "3", "i-gone", scope="k8s/prod"),
        row("AmazonEKS", "other", "1", scope="k8s/"),
    ]
    company.put("bill", [YESTERDAY], cost=rows)
    found = company.gauges()
    served = dict(company.ledger.rows("SELECT tenant, sum(amount) FROM line GROUP BY tenant"))
    assert served == {"acme": Decimal(10), "beta": Decimal(2), None: Decimal(1)}
    ratios = {labels[1]: value for labels, value in found["reconciliation_ratio"].items()}
    assert ratios == {"k8s/prod": 1.0, "k8s/dev": 0.2}


@pytest.mark.parametrize(
    ("charged", "estimated"),
    [
        (row("EC2", "compute", "7", "i-web"), False),
        (replace(row("EC2", "x", "7", "i-web"), category=None), False),  # type: ignore[arg-type]
        (replace(row("EC2", "x", "7"), category=None), False),  # type: ignore[arg-type]
        (row("Datadog", "other", "7"), True),
        (row("Datadog", "other", "7", scope=None), True),
    ],
    ids=[
        "of machines",
        "of a node, without a category",
        "tagged, without a category",
        "a vendor's, tagged",
        "a vendor's",
    ],
)
def test_a_bill_speaks_for_a_cluster_on_days_that_it_charges_for_its_machines(
    charged: Cost, *, estimated: bool
) -> None:
    """Where no setting names the bill; else the node would count twice, or OpenCost's estimate not at all."""
    company = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    company.model.unproven.append(("cluster", "bill"))
    meter = [Cost(YESTERDAY, "acme", "cpu", "compute", Decimal(10), "USD", "k8s/prod", resource="i-web")]
    batch = Batch(YESTERDAY.isoformat(), [YESTERDAY], cost=meter, resources=[Resource(YESTERDAY, "i-web", "k8s/prod")])
    company.ledger.put("cluster", "", batch, NOW, RATES, ["cluster"])
    company.put("bill", [YESTERDAY], cost=[charged])
    found = company.gauges()
    assert sum(found["bill_dollars"].values()) == (17 if estimated else 7)
