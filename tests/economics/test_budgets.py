"""Budgets of the calendar month: whose counts, how much of it is used, and when nothing can be said."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.company import NOW, YESTERDAY, Company, cost, days_until, mrr
from tests.fakes.sample_ledger import AS_OF
from tests.fakes.stored import utc
from unitcost.config.directory import Directory, Tenant
from unitcost.config.load import load
from unitcost.config.sections import Budget, Plan
from unitcost.errors import ConfigError
from unitcost.facts import Revenue
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

FIRST = date(2026, 11, 1)
DOLLARS, USED = "tenant_budget_dollars", "tenant_budget_used_ratio"


def dollars(amount: str) -> Budget:
    return Budget(dollars=Decimal(amount))


def share(part: str) -> Budget:
    return Budget(share_of_mrr=Decimal(part))


def tenant(name: str, plan: str = "", budget: str | None = None) -> Tenant:
    return Tenant(name, name, plan, "active", None if budget is None else Decimal(budget), ())


@pytest.mark.parametrize(
    ("own", "plan", "budgets", "monthly", "expected"),
    [
        ("500", "pro", {"pro": dollars("90"), "default": dollars("10")}, "300", 500.0),  # its own comes first
        ("500", "", {}, None, 500.0),
        (None, "pro", {"pro": dollars("90"), "default": dollars("10")}, "300", 90.0),  # then its plan's
        (None, "pro", {"pro": share("0.3"), "default": dollars("10")}, "299", 89.7),
        (None, "free", {"pro": dollars("90"), "default": dollars("10")}, "300", 10.0),  # then the default one
        (None, "", {"pro": dollars("90"), "default": share("0.5")}, "300", 150.0),
        (None, "pro", {"pro": dollars("90")}, None, 90.0),  # dollars need no MRR
        (None, "pro", {"pro": share("0.3"), "default": dollars("10")}, "0", None),  # a share of nothing is none
        (None, "pro", {"pro": share("0.3"), "default": dollars("10")}, None, None),
        (None, "free", {"pro": dollars("90")}, "300", None),
        (None, "", {}, "300", None),
    ],
)
def test_a_tenants_own_budget_comes_before_its_plans_and_that_before_the_default(
    own: str | None, plan: str, budgets: dict[str, Budget], monthly: str | None, expected: float | None
) -> None:
    company = Company(directory=Directory((tenant("acme", plan, own),)))
    company.put("bill", [YESTERDAY], cost=[cost("acme", "1")])
    company.put("revenue", [YESTERDAY], revenue=[] if monthly is None else [mrr("acme", monthly)])
    found = company.gauges(budgets=budgets)
    assert found[DOLLARS] == ({} if expected is None else {("acme",): pytest.approx(expected)})
    assert found[USED] == ({} if expected is None else {("acme",): pytest.approx(1 / expected)})


def test_the_plan_that_revenue_names_counts_where_the_directory_has_none() -> None:
    company = Company(directory=Directory())
    company.put("bill", [YESTERDAY], cost=[cost("acme", "1")])
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", "100", plan="pro")])
    assert company.gauges(budgets={"pro": dollars("90")})[DOLLARS] == {("acme",): 90.0}


def test_what_is_used_is_the_cost_since_the_first_of_the_month_whichever_windows_are_served() -> None:
    days = days_until(NOW.date(), 40)
    company = Company()
    company.put_all("bill", days, cost=[cost("acme", "10", day=day) for day in days])
    for windows in (("1d",), ("mtd",), ("last_month", "mtd", "30d")):
        found = company.gauges(windows, budgets={"default": dollars("200")})
        assert found[USED] == {("acme",): 23 * 10 / 200}, windows
        assert {labels[-1] for labels in found["tenant_cost_dollars"]} == set(windows)


def test_a_month_of_which_no_cost_is_known_has_a_budget_and_no_used_ratio() -> None:
    company = Company()
    october = date(2026, 10, 31)
    company.put("bill", [october], cost=[cost("acme", "10", day=october)])
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", "300")])
    found = company.gauges(("30d",), budgets={"default": dollars("200")})
    assert found[DOLLARS] == {("acme",): 200.0}
    assert found[USED] == {}


def test_who_cost_nothing_in_a_known_month_has_used_nothing() -> None:
    company = Company()
    company.put("bill", [FIRST], cost=[cost("beta", "10", day=FIRST)])
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", "300")])
    found = company.gauges(budgets={"default": dollars("200")})
    assert found[USED] == {("acme",): 0.0, ("beta",): 0.05}


def test_a_budget_starts_anew_on_the_first() -> None:
    company = Company()
    days = days_until(date(2026, 12, 1), 40)
    company.put_all("bill", days, cost=[cost("acme", "10", day=day) for day in days])
    found = company.gauges(now=utc(2026, 12, 1, 6), budgets={"default": dollars("200")})
    assert found[USED] == {("acme",): 0.05}


def test_a_share_follows_the_mrr_of_the_day_that_is_looked_at() -> None:
    company = Company()
    company.put("bill", [FIRST, YESTERDAY], cost=[cost("acme", "10"), cost("acme", "10", day=FIRST)])
    company.put("revenue", [FIRST, YESTERDAY], revenue=[mrr("acme", "100", FIRST), mrr("acme", "300")])
    budgets = {"default": share("0.5")}
    assert company.gauges(budgets=budgets)[DOLLARS] == {("acme",): 150.0}
    then = company.seen(now=utc(2026, 11, 2, 12), budgets=budgets)
    assert then[DOLLARS] == {("acme",): 50.0}
    assert then[USED] == {("acme",): 0.2}
    assert then["tenant_mrr_dollars"] == {("acme",): 100.0}


def test_a_plan_that_changes_later_is_not_the_plan_before() -> None:
    company = Company(directory=Directory())
    company.put("bill", [FIRST, YESTERDAY], cost=[cost("acme", "10"), cost("acme", "10", day=FIRST)])
    rows = [Revenue(FIRST, FIRST, "acme", Decimal(9), "USD", "free"), mrr("acme", "300", plan="pro")]
    company.put("revenue", [FIRST], revenue=rows[:1])
    company.put("revenue", [YESTERDAY], revenue=rows[1:])
    budgets = {"free": dollars("20"), "pro": dollars("90")}
    assert company.gauges(budgets=budgets)[DOLLARS] == {("acme",): 90.0}
    assert company.seen(now=utc(2026, 11, 2, 12), budgets=budgets)[DOLLARS] == {("acme",): 20.0}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_folded_budgets_are_summed_and_have_no_used_ratio(limit: int) -> None:
    people = (tenant("a", "pro"), tenant("b", "", "70"), tenant("c", "free"), tenant("d", "pro"))
    company = Company(directory=Directory(people))
    rows = [cost(name, amount) for name, amount in (("a", "40"), ("b", "30"), ("c", "20"), ("d", "10"))]
    company.put("bill", [YESTERDAY], cost=rows)
    budgets = {"pro": dollars("100")}
    whole, folded = company.gauges(budgets=budgets), company.gauges(limit=limit, budgets=budgets)
    assert whole[DOLLARS] == {("a",): 100.0, ("b",): 70.0, ("d",): 100.0}
    assert sum(folded[DOLLARS].values()) == sum(whole[DOLLARS].values())
    assert ("__other__" in {name for (name,) in folded[DOLLARS]}) == (limit < 4)
    kept = {labels: ratio for labels, ratio in whole[USED].items() if labels[0] in "abcd"[:limit]}
    assert folded[USED] == kept


def test_without_any_budget_the_folded_rest_has_none() -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost("acme", "40"), cost("beta", "30")])
    assert company.gauges(limit=1)[DOLLARS] == {}


def test_a_plan_with_a_target_margin_says_it() -> None:
    plans = {
        "pro": Plan(target_margin=Decimal("0.6")),
        "free": Plan(price=Decimal(0)),
        "new": Plan(target_margin=Decimal(0)),
    }
    assert Company().gauges(plans=plans)["plan_target_margin_ratio"] == {("pro",): 0.6, ("new",): 0.0}


def test_the_samples_new_ai_feature_takes_some_customers_over_their_budgets(
    sample_company: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(sample_company, tmp_path / "sample")
    config, directory = load(folder / "unitcost.yaml")
    current = Current()
    with closing(Ledger(config.state_dir)) as ledger:
        assert Refresher(config, directory, ledger, current, lambda: AS_OF).publish()
    snapshot = current.get()
    assert snapshot is not None
    used = {
        sample.labels["tenant"]: sample.value
        for family in text_string_to_metric_families(snapshot.text.decode())
        for sample in family.samples
        if sample.name == USED
    }
    over = {name for name, ratio in used.items() if ratio > 1}
    assert over >= {"maple-homes", "willow-analytics", "birch-commerce"}
    assert 5 <= len(over) <= 15
    assert 5 <= sum(0.75 <= ratio <= 1 for ratio in used.values()) <= 40


def test_budgets_that_cannot_be_are_mistakes_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,5000\n")
    (tmp_path / "tenants.csv").write_text("id,budget_dollars\nacme,-1\nbeta,1e13\ngamma,1000000000000\n")
    path = tmp_path / "unitcost.yaml"
    path.write_text(
        "sources: {revenue: {type: csv_revenue, path: mrr.csv}}\n"
        "plans: {pro: {}}\n"
        "budgets: {pro: {dollars: 1.0e+13}, default: {share_of_mrr: 0}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [line.removeprefix(f"{path}: ").split(":")[0] for line in caught.value.mistakes] == [
        "budgets.pro.dollars",
        "budgets.default.share_of_mrr",
    ]
    path.write_text("tenants: {directory: tenants.csv}\nsources: {revenue: {type: csv_revenue, path: mrr.csv}}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [
        f"tenants.csv line {n}: budget_dollars" in line for n, line in zip((2, 3), caught.value.mistakes, strict=True)
    ]
