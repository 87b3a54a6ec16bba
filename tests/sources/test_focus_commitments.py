"""Savings plans and reservations in a bill: what was not used is a component of its own, what was saved is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.company import NOW, RATES, Company, Gauges
from tests.fakes.stored import asked
from tests.sources.test_focus import FIRST, HEADER, bills, november, write_csv, write_parquet
from unitcost.facts import Cost, Resource

COLUMNS = [*HEADER, "ListCost", "ChargeCategory", "ChargeClass", "CommitmentDiscountStatus", "CommitmentDiscountId"]
DAY = date(2026, 11, 22)
PLAN = "arn:aws:savingsplans::1:savingsplan/sp-1"
COMPONENTS = {"Amazon EC2": "compute", "Amazon RDS": "database"}
BILL = [("bill", "bill", True)]
CATEGORIES = {"Compute": "compute", "Databases": "database"}


def row(cost: str, listed: str | None, status: str | None = None, **given: Any) -> dict[str, Any]:
    """Return a charge of 2026-11-22; it is usage unless another category is given."""
    day = {"ChargePeriodStart": "2026-11-22 00:00:00", "ChargePeriodEnd": "2026-11-23 00:00:00"}
    of_commitment = {"CommitmentDiscountStatus": status, "CommitmentDiscountId": PLAN if status else None}
    nobody = {"Tags": None} if status == "Unused" else {}
    said = {"EffectiveCost": cost, "ListCost": listed, "ChargeCategory": "Usage", **day, **of_commitment, **nobody}
    return november(**(said | given))


def gauges(path: Path, company: Company | None = None, **given: Any) -> tuple[Gauges, Company]:
    """Return what is served of a bill for its day, and the company that has it."""
    company = company or Company(sources=BILL)
    company.model.components.extend(("bill", name, component) for name, component in CATEGORIES.items())
    for batch in bills(path, asked(NOW, FIRST), **given).values():
        company.ledger.put("bill", "", batch, NOW, RATES)
    return company.gauges(), company


def amounts(found: Gauges, name: str) -> Mapping[str, Decimal]:
    return {labels[-2]: Decimal(f"{value:.6f}").normalize() for labels, value in found[name].items()}


def write(path: Path, rows: Sequence[Mapping[str, Any]], header: Sequence[str] = COLUMNS) -> Path:
    return write_csv(
        path, [{name: "NULL" if value is None else value for name, value in one.items()} for one in rows], header
    )


ROWS = [
    row("6", "10", "Used"),  # 40 % off
    row("3", "3", Tags='{"tenant": "beta"}'),
    row("2", "0", "Unused"),
    row("0", "80", ChargeCategory="Purchase", CommitmentDiscountId=PLAN, Tags=None),  # its money is in the rows above
    row("-1", "0", ChargeCategory="Credit"),
    row("7", "10", "Used", ServiceName="Amazon RDS", ServiceCategory="Databases"),
    row("1.5", "0", "Unused", ServiceName="Amazon RDS", ServiceCategory="Databases"),
    row("-0.5", "0", "Unused", ServiceName="Amazon RDS", ServiceCategory="Databases", ChargeClass="Correction"),
]


def test_what_was_not_used_is_a_component_and_what_was_saved_is_told_by_component(tmp_path: Path) -> None:
    found, company = gauges(write(tmp_path / "bill.csv", ROWS))
    assert amounts(found, "bill_dollars") == {"compute": Decimal(8), "database": Decimal(7), "commitment": Decimal(3)}
    assert amounts(found, "commitment_waste_dollars") == {"compute": Decimal(2), "database": Decimal(1)}
    assert amounts(found, "commitment_savings_dollars") == {"compute": Decimal(4), "database": Decimal(3)}
    assert amounts(found, "unallocated_cost_dollars")["commitment"] == Decimal(3)
    lines = "SELECT service, item, amount FROM line WHERE component = 'commitment' ORDER BY ALL"
    assert company.ledger.rows(lines) == [("Amazon EC2", PLAN, Decimal(2)), ("Amazon RDS", PLAN, Decimal(1))]


def test_what_was_not_used_may_be_shared(tmp_path: Path) -> None:
    company = Company(sources=BILL, rules=[(0, {"component": "commitment"}, "direct_cost", None)])
    found, _ = gauges(write(tmp_path / "bill.csv", ROWS[:3]), company)
    assert found["tenant_cost_dollars"]["acme", "commitment", "1d"] == pytest.approx(2 * 6 / 9)
    assert found["tenant_cost_dollars"]["beta", "commitment", "1d"] == pytest.approx(2 * 3 / 9)


def test_a_bill_without_list_prices_tells_no_saving(tmp_path: Path) -> None:
    header = [name for name in COLUMNS if name != "ListCost"]
    found, _ = gauges(write(tmp_path / "bill.csv", ROWS[:2], header))
    assert found["commitment_savings_dollars"] == {}
    assert found["commitment_waste_dollars"] == {}


@pytest.mark.parametrize("cost", ["BilledCost", "ListCost"])
def test_costs_that_spread_no_commitment_tell_neither(tmp_path: Path, cost: str) -> None:
    """BilledCost says 0 of what a commitment covers, and of its unused part: no saving, and no waste either."""
    found, _ = gauges(write(tmp_path / "bill.csv", ROWS), cost=cost)
    assert found["commitment_savings_dollars"] == found["commitment_waste_dollars"] == {}
    assert "commitment" not in amounts(found, "bill_dollars")


def test_a_bill_that_wastes_nothing_says_so(tmp_path: Path) -> None:
    found, _ = gauges(write(tmp_path / "bill.csv", ROWS[:2]))
    assert amounts(found, "commitment_waste_dollars") == {"compute": Decimal(0)}


def test_parquet_says_the_same(tmp_path: Path) -> None:
    """AWS writes these columns as text, and in a file without any commitment as nothing but NULL."""
    path = write_parquet(tmp_path / "bill.parquet", [november(), november(Tags="NULL")])
    found, _ = gauges(path)
    assert "commitment" not in amounts(found, "bill_dollars")


def test_a_discount_of_a_node_reaches_who_used_it(tmp_path: Path) -> None:
    """The plan's price of the node, not its list price, is divided; its unused rest is no node's."""
    company = Company(sources=[("cluster", "cluster", True), *BILL])
    node = [Resource(DAY, "i-1", "k8s/prod")]
    meter = [("acme", "6"), ("beta", "4")]
    company.put_all("cluster", [DAY], resources=node, cost=[_cpu(tenant, amount) for tenant, amount in meter])
    rows = [row("5", "10", "Used", ResourceId="i-1", Tags=None), row("3", "0", "Unused", ResourceId=PLAN)]
    found, _ = gauges(write(tmp_path / "bill.csv", rows), company)
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 3.0, ("beta", "compute", "1d"): 2.0}
    assert found["reconciliation_ratio"] == {("cluster", "k8s/prod", "1d"): 0.5}
    assert amounts(found, "commitment_savings_dollars") == {"compute": Decimal(5)}
    assert amounts(found, "unallocated_cost_dollars") == {"commitment": Decimal(3)}


def _cpu(tenant: str, amount: str) -> Cost:
    return Cost(DAY, tenant, "cpu", "compute", Decimal(amount), "USD", "k8s/prod", resource="i-1")


CENTS = st.integers(-500, 5000).map(lambda cents: Decimal(cents) / 100)
CHARGE = st.tuples(
    CENTS,
    st.none() | CENTS,
    st.sampled_from([None, "Used", "Unused", "unused"]),
    st.sampled_from(["Usage", "Usage", "Purchase", "Tax", "Credit", None]),
    st.sampled_from([None, "Correction"]),
    st.sampled_from([*COMPONENTS]),
    st.booleans(),
)


@settings(deadline=None, max_examples=8)
@given(bills=st.lists(st.lists(CHARGE, min_size=1, max_size=12), min_size=4, max_size=12))
def test_any_bill_is_counted_once_and_told_as_a_plain_model_tells_it(bills: list[list[tuple[Any, ...]]]) -> None:
    """Each has a day of its own: what is told of a day speaks of no other."""
    billed: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    saved: dict[tuple[date, str], Decimal] = {}
    wasted: dict[tuple[date, str], Decimal] = {}
    rows = []
    for ago, charges in enumerate(bills):
        day = DAY - timedelta(ago)
        for amount, listed, status, category, of_class, service, tagged in charges:
            unused, component = (status or "").lower() == "unused", COMPONENTS[service]
            tags = '{"tenant": "acme"}' if tagged else None
            rows.append(
                row(
                    str(amount),
                    None if listed is None else str(listed),
                    status,
                    ChargePeriodStart=f"{day} 00:00:00",
                    ChargePeriodEnd=f"{day + timedelta(1)} 00:00:00",
                    ChargeCategory=category,
                    ChargeClass=of_class,
                    ServiceName=service,
                    ServiceCategory="Compute" if component == "compute" else "Databases",
                )
                | {"Tags": tags}
            )
            billed[day, "commitment" if unused else component] += amount
            if unused:
                wasted[day, component] = wasted.get((day, component), Decimal(0)) + amount
        saved |= {(day, component): amount for component, amount in savings(charges).items()}
    with TemporaryDirectory() as folder:
        got, company = gauges(write(Path(folder) / "bill.csv", rows))
    counted = company.ledger.rows("SELECT day, component, sum(amount) FROM counted_day GROUP BY ALL")
    assert {(day, component): amount for day, component, amount in counted} == billed
    assert company.ledger.rows("SELECT sum(amount) FROM line") == [(sum(billed.values()),)]
    told = company.ledger.rows("SELECT day, component, saved, unused FROM commitment_day")
    assert {(day, component): amount for day, component, amount, _ in told if amount is not None} == saved
    assert {(day, one): amount for day, one, _, amount in told if (day, one) in wasted} == wasted
    assert set(amounts(got, "commitment_waste_dollars")) == {one for day, one in (*saved, *wasted) if day == DAY}


def savings(charges: list[tuple[Any, ...]]) -> dict[str, Decimal]:
    """Return what commitments saved of a day's bill, by component, where every charge of a kind has a list price."""
    saved: dict[str, Decimal] = {}
    sums: dict[tuple[Any, ...], list[tuple[Decimal, Decimal | None]]] = defaultdict(list)
    for amount, listed, status, category, of_class, service, tagged in charges:
        if (status or "").lower() != "unused":
            used = category in {"Usage", None}
            kind = of_class or category or "Usage"
            known = None if listed is None else listed if used else amount
            sums[service, kind, tagged].append((amount, known))
    for (service, _, _), found in sums.items():
        off = [listed - amount for amount, listed in found if listed is not None]
        if len(off) == len(found):
            saved[COMPONENTS[service]] = saved.get(COMPONENTS[service], Decimal(0)) + sum(off)
    return saved
