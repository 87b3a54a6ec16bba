"""What the gauges mean: ratios, absences, windows, folding, and the bill that counts a node once."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.company import NOW, YESTERDAY, Company, cost, mrr
from tests.fakes.stored import utc
from unitcost.days import window
from unitcost.facts import Cost, Usage
from unitcost.ledger.derive import Model
from unitcost.ledger.store import Ledger
from unitcost.metrics import catalogue
from unitcost.metrics.families import families
from unitcost.metrics.state import ExporterState


@pytest.mark.parametrize(
    ("spent", "monthly", "ratio"),
    [
        ("10", "600", 0.5),  # November has 30 days: 600 a month is 20 a day
        ("30", "600", -0.5),
        ("10", "0", -1.0),
        ("0", "0", None),
        ("0", "600", 1.0),
        ("-10", "0", None),
    ],
)
def test_a_margin_is_relative_to_revenue(spent: str, monthly: str, ratio: float | None) -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost("acme", spent)])
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", monthly)])
    found = company.gauges()["margin_ratio"]
    assert found == ({} if ratio is None else {("acme", "1d"): pytest.approx(ratio)})


def test_without_any_revenue_there_is_no_margin_and_not_a_loss() -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost("acme", "10")])
    found = company.gauges()
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 10.0}
    for name in ("margin_ratio", "tenant_revenue_dollars", "tenant_margin_dollars", "platform_margin_ratio"):
        assert found[name] == {}


def test_without_any_known_cost_nobody_earns_a_hundred_percent() -> None:
    company = Company()
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", "300")])
    usage = [Usage(YESTERDAY, "acme", measure, Decimal(400)) for measure in ("requests", "active_users")]
    company.put("usage", [YESTERDAY], usage=usage)
    found = company.gauges()
    assert found["tenant_revenue_dollars"] == {("acme", "1d"): 10.0}
    assert found["tenant_usage"] == {("acme", "requests", "1d"): 400.0, ("acme", "active_users", "1d"): 400.0}
    said = [name.removeprefix("unitcost_") for name, series in found.items() if series]
    assert [name for name in said if "cost" in name or "margin" in name] == []


def test_a_unit_cost_is_absent_where_nothing_was_used() -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost("acme", "10"), cost("beta", "10")])
    usage = [
        Usage(YESTERDAY, "acme", "requests", Decimal(400)),
        Usage(YESTERDAY, "acme", "active_users", Decimal(5)),
        Usage(YESTERDAY, "beta", "requests", Decimal(0)),
    ]
    company.put("usage", [YESTERDAY], usage=usage)
    found = company.gauges()
    assert found["cost_per_request"] == {("acme", "1d"): 0.025}
    assert found["cost_per_unit"] == {("acme", "active_users", "1d"): 2.0}
    assert found["platform_cost_per_request"] == {("1d",): 0.05}


def test_a_window_is_complete_when_every_source_knows_every_day() -> None:
    company = Company()
    days = [YESTERDAY - timedelta(1), YESTERDAY]
    for source in ("cluster", "bill", "usage"):
        company.put(source, days)
    company.put("revenue", [YESTERDAY])
    assert company.gauges(("1d", "2d"))["window_complete"] == {("1d",): 1.0, ("2d",): 0.0}


def test_nothing_known_is_nothing_said() -> None:
    found = Company().gauges(("1d", "mtd"))
    said = {name for name, series in found.items() if series}
    assert said == {
        "window_complete",
        "unitcost_tenants",
        "unitcost_tenants_folded",
        "unitcost_unknown_tenants",
        "unitcost_source_rows",
        "unitcost_source_former_settings",
        "unitcost_snapshot_timestamp_seconds",
        "unitcost_events_left_out",
        "unitcost_build_info",
    }
    assert found["window_complete"][("1d",)] == 0.0


def test_the_directory_names_a_tenant_and_counts_those_it_does_not_know() -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost("Acme-Corp", "1"), cost("acme", "2"), cost("stranger", "3")])
    found = company.gauges()
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 3.0, ("stranger", "compute", "1d"): 3.0}
    assert set(found["tenant_info"]) == {
        ("acme", "Acme Corp", "pro", "active"),
        ("stranger", "stranger", "", "unknown"),
    }
    assert found["unitcost_unknown_tenants"] == {(): 1.0}


def test_the_folded_rest_has_a_name_and_no_plan() -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost("acme", "3"), cost("beta", "2"), cost("gamma", "1")])
    rest = ("__other__", "All other tenants", "", "")
    assert rest not in company.gauges(limit=3)["tenant_info"]
    for limit in (1, 2):
        found = company.gauges(limit=limit)
        assert rest in found["tenant_info"]
        assert {labels[0] for labels in found["tenant_info"]} == {labels[0] for labels in found["tenant_cost_dollars"]}
        assert found["unitcost_unknown_tenants"] == {(): limit - 1}  # beta; the rest is not one tenant


def test_a_cost_that_ended_is_0_in_every_window_that_knows_it_and_nothing_else_changes() -> None:
    """Acme stopped its AI and gamma left; both cost something the day before yesterday."""
    day_before = YESTERDAY - timedelta(1)
    days = [day_before, YESTERDAY]
    company = Company()
    rows = [cost("acme", "1", day=day) for day in days]
    rows += [cost("acme", "2", "ai", day_before), cost("gamma", "4", day=day_before), cost(None, "8", "ai", day_before)]
    company.put("bill", days, cost=rows)
    company.put("cluster", days)
    found = company.gauges(("1d", "2d"))
    assert {labels: value for labels, value in found["tenant_cost_dollars"].items() if labels[2] == "1d"} == {
        ("acme", "ai", "1d"): 0.0,
        ("acme", "compute", "1d"): 1.0,
        ("gamma", "compute", "1d"): 0.0,
    }
    assert found["platform_cost_dollars"]["ai", "1d"] == 0.0
    assert found["unallocated_cost_dollars"] == {("bill", "ai", "1d"): 0.0, ("bill", "ai", "2d"): 8.0}
    assert found["bill_dollars"]["bill", "ai", "1d"] == 0.0
    for window_name, whole in (("1d", 1.0), ("2d", 16.0)):
        sums = {
            name: sum(value for labels, value in found[name].items() if labels[-1] == window_name)
            for name in ("tenant_cost_dollars", "unallocated_cost_dollars", "platform_cost_dollars", "bill_dollars")
        }
        assert sums["platform_cost_dollars"] == sums["bill_dollars"] == whole
        assert sums["tenant_cost_dollars"] + sums["unallocated_cost_dollars"] == whole
    assert found["platform_active_tenants"] == {("1d",): 1.0, ("2d",): 2.0}
    assert found["tenant_shared_cost_dollars"] == {("acme", "1d"): 0.0, ("acme", "2d"): 0.0, ("gamma", "2d"): 0.0}
    assert found["unitcost_tenants"] == {(): 2.0}


def test_a_cost_of_a_window_that_its_source_does_not_know_is_absent_and_not_0() -> None:
    """The bill comes late: what AI cost yesterday is unknown. The cluster's part is known."""
    day_before = YESTERDAY - timedelta(1)
    company = Company()
    company.put("bill", [day_before], cost=[cost("acme", "2", "ai", day_before), cost(None, "8", "ai", day_before)])
    cluster = [cost("acme", "1", cluster="prod"), cost("acme", "1", "network", day_before, "prod")]
    company.put("cluster", [day_before, YESTERDAY], cost=cluster)
    found = company.gauges(("1d", "2d", "mtd", "last_month"))
    served = {
        name: {labels[:-1] for labels in found[name] if labels[-1] == "1d"}
        for name in ("tenant_cost_dollars", "platform_cost_dollars", "unallocated_cost_dollars", "bill_dollars")
    }
    assert served == {
        "tenant_cost_dollars": {("acme", "compute")},
        "platform_cost_dollars": {("compute",)},
        "unallocated_cost_dollars": set(),
        "bill_dollars": {("cluster", "compute")},
    }
    for name in served:
        assert not [labels for labels in found[name] if labels[-1] == "last_month"]


def test_the_bill_and_opencost_count_the_same_nodes_once_and_discounts_reach_tenants() -> None:
    """OpenCost says 100 at list price; the bill says 80 for these nodes, and 20 for something else."""
    company = Company()
    opencost = [cost("acme", "60", cluster="prod"), cost(None, "40", "idle", cluster="prod")]
    company.put("cluster", [YESTERDAY], cost=opencost)
    company.put("bill", [YESTERDAY], cost=[cost(None, "80", cluster="prod"), cost(None, "20", "database")])
    found = company.gauges()
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 48.0}
    assert found["unallocated_cost_dollars"] == {("bill", "database", "1d"): 20.0, ("bill", "idle", "1d"): 32.0}
    assert found["bill_dollars"] == {("bill", "compute", "1d"): 80.0, ("bill", "database", "1d"): 20.0}
    assert found["reconciliation_ratio"] == {("cluster", "k8s/prod", "1d"): 0.8}
    assert found["estimated_cost_dollars"] == {}


def test_days_newer_than_the_bill_are_estimated_until_the_bill_comes() -> None:
    company = Company()
    day_before = YESTERDAY - timedelta(1)
    for day in (day_before, YESTERDAY):
        company.put("cluster", [day], cost=[cost("acme", "100", day=day, cluster="prod")])
    company.put("bill", [day_before], cost=[cost(None, "90", day=day_before, cluster="prod")])
    found = company.gauges(("1d", "2d"))
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 100.0, ("acme", "compute", "2d"): 190.0}
    assert found["estimated_cost_dollars"] == {("cluster", "1d"): 100.0, ("cluster", "2d"): 100.0}
    company.put("bill", [YESTERDAY], cost=[cost(None, "80", cluster="prod")])
    found = company.gauges(("1d", "2d"))
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 80.0, ("acme", "compute", "2d"): 170.0}
    assert found["estimated_cost_dollars"] == {}


def test_a_bill_that_marks_no_kubernetes_row_keeps_opencost_out_and_shows_ratio_zero() -> None:
    """Both may speak of the same nodes: adding them could count a dollar twice."""
    company = Company()
    company.put("cluster", [YESTERDAY], cost=[cost("acme", "100", cluster="prod")])
    company.put("bill", [YESTERDAY], cost=[cost(None, "90")])
    found = company.gauges()
    assert found["tenant_cost_dollars"] == {}
    assert found["unallocated_cost_dollars"] == {("bill", "compute", "1d"): 90.0}
    assert found["reconciliation_ratio"] == {("cluster", "k8s/prod", "1d"): 0.0}


def test_a_cluster_that_is_on_no_bill_is_added() -> None:
    company = Company()
    company.model = Model(**{**vars(company.model), "billed_by": []})
    company.put("cluster", [YESTERDAY], cost=[cost("acme", "100", cluster="prod")])
    company.put("bill", [YESTERDAY], cost=[cost(None, "90")])
    found = company.gauges()
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 100.0}
    assert sum(found["bill_dollars"].values()) == 190.0
    assert found["estimated_cost_dollars"] == {}


def test_a_pool_of_a_cluster_that_no_opencost_answers_for_is_unallocated() -> None:
    company = Company()
    company.put("cluster", [YESTERDAY], cost=[cost("acme", "100", cluster="prod")])
    company.put("bill", [YESTERDAY], cost=[cost(None, "50", cluster="staging"), cost(None, "80", cluster="prod")])
    found = company.gauges()
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 80.0}
    assert found["unallocated_cost_dollars"] == {("bill", "compute", "1d"): 50.0}


def test_mtd_counts_until_now_and_last_month_ends_with_it() -> None:
    days = [date(2026, 10, 31), date(2026, 11, 1), NOW.date()]
    company = Company()
    for day in days:
        company.put("bill", [day], cost=[cost("acme", "1", day=day)])
    found = company.gauges(("mtd", "last_month", "30d"))["tenant_cost_dollars"]
    assert {labels[2]: value for labels, value in found.items()} == {"mtd": 2.0, "last_month": 1.0, "30d": 2.0}


@pytest.mark.parametrize(
    ("name", "now", "first", "end"),
    [
        ("1d", utc(2026, 11, 23, 0), date(2026, 11, 22), date(2026, 11, 23)),
        ("30d", utc(2026, 3, 1, 5), date(2026, 1, 30), date(2026, 3, 1)),
        ("mtd", utc(2026, 11, 1, 0), date(2026, 11, 1), date(2026, 11, 2)),
        ("last_month", utc(2026, 1, 31, 23), date(2025, 12, 1), date(2026, 1, 1)),
        ("last_month", utc(2028, 3, 1, 0), date(2028, 2, 1), date(2028, 3, 1)),
    ],
)
def test_a_window_is_whole_utc_days(name: str, now: datetime, first: date, end: date) -> None:
    span = window(name, now)
    assert (span.first, span.end) == (first, end)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(-50, 1000)), min_size=1, max_size=30),
    st.integers(1, 9),
)
def test_beyond_the_limit_the_cheapest_fold_into_other_and_every_sum_stays(
    spent: list[tuple[str, int]], limit: int
) -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost(tenant, str(amount)) for tenant, amount in spent])
    names = {name for name, _ in spent}
    company.put("usage", [YESTERDAY], usage=[Usage(YESTERDAY, name, "requests", Decimal(3)) for name in names])
    company.put("revenue", [YESTERDAY], revenue=[mrr(name, "300") for name in names])
    whole, folded = company.gauges(), company.seen(limit=limit)
    for name in ("tenant_cost_dollars", "tenant_revenue_dollars", "tenant_margin_dollars", "tenant_usage"):
        assert sum(folded[name].values()) == pytest.approx(sum(whole[name].values()))
    tenants = {labels[0] for labels in folded["tenant_usage"]}
    count = len(names)
    assert len(tenants) == min(count, limit + 1)
    assert folded["unitcost_tenants_folded"][()] == max(0, count - limit)
    assert ("__other__" in tenants) == (count > limit)
    kept = [whole["tenant_margin_dollars"][tenant, "1d"] for tenant in tenants - {"__other__"}]
    gone = names - tenants
    assert all(whole["tenant_margin_dollars"][tenant, "1d"] >= max(kept) for tenant in gone)
    assert folded["platform_active_tenants"] == whole["platform_active_tenants"]


def test_every_metric_of_the_catalogue_is_filled_and_no_other() -> None:
    filled = {family.metric.name for family in families(_looked_at(), ExporterState({}, NOW, with_directory=True))}
    assert filled == {metric.name for metric in catalogue.ALL}


def _looked_at() -> Ledger:
    company = Company()
    company.gauges()
    return company.ledger


def test_dimensions_add_up_to_the_bill() -> None:
    company = Company()
    row = Cost(YESTERDAY, "acme", "s", "ai", Decimal(7), "USD", None, {"feature": "search"})
    company.put("bill", [YESTERDAY], cost=[row, cost(None, "5")])
    assert company.gauges()["dimension_cost_dollars"] == {
        ("feature", "search", "ai", "1d"): 7.0,
        ("feature", "__unallocated__", "compute", "1d"): 5.0,
    }


def test_a_rule_can_match_a_dimension() -> None:
    company = Company([(0, {"feature": "search"}, "direct_cost", None)])
    rows = [
        Cost(YESTERDAY, None, "s", "ai", Decimal(7), "USD", None, {"feature": "search"}),
        Cost(YESTERDAY, None, "s", "ai", Decimal(5), "USD", None, {"feature": "other"}),
        cost("acme", "1"),
    ]
    company.put("bill", [YESTERDAY], cost=rows)
    found = company.gauges()
    assert found["tenant_shared_cost_dollars"] == {("acme", "1d"): 7.0}
    assert found["unallocated_cost_dollars"] == {("bill", "ai", "1d"): 5.0}
