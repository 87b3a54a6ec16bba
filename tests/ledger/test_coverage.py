"""Which days of a cluster are the bill's, and which are OpenCost's estimate: day by day, by what was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from tests.fakes.company import NOW, RATES, Company, Gauges, cost
from unitcost.facts import Batch, Cost

NOVEMBER = [date(2026, 11, day) for day in range(1, 31)]
OVER = NOVEMBER[:22]
"""The days of November that are over on the 23rd."""


def company(bill: Sequence[Cost], delivered: Sequence[date]) -> Company:
    """Return a company whose cluster costs 100 a day by OpenCost, beside a bill that knows the days delivered."""
    found = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    found.put_all("cluster", OVER, cost=[cost("acme", "100", day=day, cluster="prod") for day in OVER])
    found.ledger.put("bill", "", Batch("2026-11", [*delivered], cost=[*bill]), NOW, RATES)
    return found


def nodes(days: Sequence[date], amount: str = "80") -> list[Cost]:
    return [cost(None, amount, day=day, cluster="prod") for day in days]


def fee(day: date, amount: str, cluster: str | None = None) -> Cost:
    return replace(cost(None, amount, "other", day, cluster), charge="purchase")


def month_to_date(gauges: Gauges) -> tuple[float, float]:
    """Return what the month has cost, and how much of it is OpenCost's estimate."""
    total = sum(value for (_, window), value in gauges["platform_cost_dollars"].items() if window == "mtd")
    return total, gauges["estimated_cost_dollars"].get(("cluster", "mtd"), 0.0)


def test_a_fee_of_a_later_day_does_not_end_the_estimate_of_days_that_were_not_delivered() -> None:
    found = company([*nodes(OVER[:10]), fee(date(2026, 11, 25), "99")], OVER[:10]).gauges(("mtd",))
    assert month_to_date(found) == (10 * 80 + 12 * 100, 1200)
    assert found["window_complete"]["mtd",] == 0


def test_a_day_that_never_came_is_not_a_day_that_cost_nothing() -> None:
    delivered = [day for day in OVER if day.day not in {7, 8}]
    found = company(nodes(delivered), delivered).gauges(("mtd",))
    assert month_to_date(found) == (20 * 80 + 2 * 100, 200)
    assert found["window_complete"]["mtd",] == 0


def test_a_delivered_day_without_usage_of_the_cluster_stays_an_estimate() -> None:
    """The account of the cluster came later than the others of the same bill, or the cluster was not on it yet."""
    others = [cost(None, "5", day=day) for day in OVER]
    found = company([*others, *nodes(OVER[2:4]), *nodes(OVER[8:])], OVER).gauges(("mtd",))
    assert month_to_date(found) == (22 * 5 + 16 * 80 + 6 * 100, 600)
    assert found["window_complete"]["mtd",] == 1


def test_a_fee_of_the_cluster_counts_beside_the_estimate_of_its_day() -> None:
    """A purchase, refund or correction that is marked as Kubernetes goes to its tenants, and replaces nothing."""
    found = company([*nodes(OVER[:10]), fee(OVER[15], "30", "prod")], OVER[:10]).gauges(("mtd",))
    assert month_to_date(found) == (10 * 80 + 30 + 12 * 100, 1200)
    assert found["tenant_cost_dollars"]["acme", "compute", "mtd"] == 2030


def test_a_charge_of_a_month_does_not_reach_beyond_what_was_delivered() -> None:
    spread = nodes(NOVEMBER, "2")
    found = company([*nodes(OVER[:10]), *spread], OVER[:10]).gauges(("mtd",))
    assert month_to_date(found) == (10 * 80 + 23 * 2 + 12 * 100, 1200)  # today's part too


def test_a_cluster_that_the_bill_never_shows_is_not_added_on_top_of_delivered_days() -> None:
    """Its nodes are on the bill for all that is known; reconciliation_ratio 0 says that none is marked."""
    plain = [cost(None, "80", day=day) for day in OVER[:10]]
    found = company([*plain, fee(date(2026, 11, 15), "99", "prod")], OVER[:10]).gauges(("mtd",))
    assert month_to_date(found) == (10 * 80 + 99 + 12 * 100, 1200)
    assert found["reconciliation_ratio"]["cluster", "k8s/prod", "mtd"] == 0


def test_when_a_hole_is_delivered_late_the_bill_takes_its_days_over() -> None:
    delivered = [day for day in OVER if day.day not in {7, 8}]
    found = company(nodes(delivered), delivered)
    assert month_to_date(found.gauges(("mtd",))) == (1800, 200)
    found.ledger.put("bill", "", Batch("2026-11", OVER, cost=nodes(OVER)), NOW, RATES)
    assert month_to_date(found.gauges(("mtd",))) == (22 * 80, 0)
    found.ledger.put("bill", "", Batch("2026-11", delivered, cost=nodes(delivered)), NOW, RATES)
    assert month_to_date(found.gauges(("mtd",))) == (1800, 200)
    assert found.ledger.rows("SELECT sum(amount) FROM counted_day") == [(Decimal(1800),)]
