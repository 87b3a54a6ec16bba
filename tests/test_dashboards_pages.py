"""The arithmetic of the pages about AI, efficiency and budgets, asked of a real Prometheus: it is the ledger's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.company import NOW, YESTERDAY, Company, cost, days_until, mrr
from tests.fakes.pages import filled, midnights, page, panel
from tests.fakes.processes import PrometheusServer, prometheus
from unitcost.backfill import write
from unitcost.config import Budget, Config, Limits
from unitcost.directory import Directory, Tenant
from unitcost.ledger.derive import derive
from unitcost.past import Past
from unitcost.records import Usage

pytestmark = pytest.mark.needs("prometheus", "promtool")

DAYS = days_until(YESTERDAY, 80)
AT = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
"""When the pages are looked at: the last complete day is then the one before."""
LAST = YESTERDAY - timedelta(1)
NAMES = tuple(f"t{number:02}" for number in range(12))
FREE = NAMES[-1]
"""It has neither a plan nor a budget, and costs more than all budgets."""
UNPAID = NAMES[2]
"""It has a plan, but no MRR that its budget could be a share of."""
NEW_SINCE = LAST - timedelta(9)
"""The first day of a component that was not there before."""
HISTORY = timedelta(days=120)
ALL = {"tenant": ".*", "dimension": "feature", "__to": f"{AT.timestamp():.0f}"}


def plan(name: str) -> str:
    if name == FREE:
        return ""
    return "pro" if NAMES.index(name) % 2 else "starter"


def dollars(name: str, component: str, day: date) -> int:
    """Return a cost in dollars: no two days of a customer alike."""
    number, age = NAMES.index(name), (day - DAYS[0]).days
    if component == "gpu":
        return 40 if name == NAMES[0] and day >= NEW_SINCE else 0
    if component == "ai":
        return 3 + (number * 7 + age * age) % 19 + (200 if name == FREE else 0)
    return 5 + (number * 5 + age * 3) % 23


def requests_of(name: str, day: date) -> int:
    return 100 + (NAMES.index(name) * 31 + day.day * 17) % 57


def spent(names: tuple[str, ...], components: tuple[str, ...], days: list[date]) -> float:
    return float(sum(dollars(name, component, day) for name in names for component in components for day in days))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Return a Prometheus with 80 backfilled days."""
    folder = tmp_path_factory.mktemp("pages")
    tenants = (Tenant(name, name.upper(), plan(name), "active", None, ()) for name in NAMES)
    company = Company(directory=Directory(tuple(tenants)))
    costs = [
        replace(cost(name, str(amount), component, day), dimensions={"feature": f"{component}-feature"})
        for day in DAYS
        for name in NAMES
        for component in ("compute", "ai", "gpu")
        if (amount := dollars(name, component, day))
    ]
    company.put_all("bill", DAYS, cost=costs)
    company.put_all("cluster", DAYS)
    company.put_all(
        "revenue", DAYS, revenue=[mrr(name, "900", day) for day in DAYS for name in NAMES if name != UNPAID]
    )
    used = [
        Usage(day, name, measure, Decimal(requests_of(name, day) * times))
        for day in DAYS
        for name in NAMES
        for measure, times in (("ai_requests", 1), ("requests", 9))
    ]
    company.put_all("usage", DAYS, usage=used)
    config = Config.model_construct(
        windows=("1d", "30d", "mtd", "last_month"),
        limits=Limits(),
        history=HISTORY,
        budgets={"pro": Budget(dollars=Decimal(800)), "starter": Budget(share_of_mrr=Decimal("0.5"))},
    )
    derive(company.ledger, company.model, NOW, HISTORY)
    past = Past(company.ledger, config, company.directory)
    for day in DAYS:
        past.add(day)
    with (folder / "past.om").open("wb") as file:
        write(past, file)
    (folder / "tsdb").mkdir()
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"]
    subprocess.run([*command, str(folder / "past.om"), str(folder / "tsdb")], check=True, capture_output=True)
    with prometheus(folder, {}) as running:
        yield running


def targets(uid: str, title: str) -> list[dict[str, Any]]:
    return [target | {"expr": filled(target["expr"], ALL)} for target in panel(page(uid), title)["targets"]]


def figures(server: PrometheusServer, expr: str, label: str = "") -> dict[str, float]:
    """Return label → value of an instant query."""
    found = server.query(expr, str(AT.timestamp()))
    return {series["metric"].get(label, ""): float(series["value"][1]) for series in found}


def graph(server: PrometheusServer, expr: str, label: str = "") -> dict[tuple[str, date], float]:
    """Return (label, day) → value, as Grafana asks for 60 days."""
    span = midnights((AT - timedelta(days=60)).timestamp(), AT.timestamp())
    return {
        (series["metric"].get(label, ""), datetime.fromtimestamp(at, UTC).date()): float(value)
        for series in server.get("query_range", query=expr, **span)["result"]
        for at, value in series["values"]
    }


def month(last: date) -> list[date]:
    """Return a day's month until that day."""
    return [day for day in DAYS if (day.year, day.month) == (last.year, last.month) and day <= last]


def test_an_ai_request_costs_the_ai_dollars_of_its_day_divided_by_its_requests(server: PrometheusServer) -> None:
    (target,) = targets("unitcost-ai", "AI cost per AI request, per day")
    shown = graph(server, target["expr"])
    for day in DAYS[-50:-1]:
        requests = sum(requests_of(name, day) for name in NAMES)
        assert shown["", day] == pytest.approx(spent(NAMES, ("ai",), [day]) / requests), day
    (target,) = targets("unitcost-ai", "AI cost per AI request")
    days = days_until(LAST, 30)
    requests = sum(requests_of(name, day) for name in NAMES for day in days)
    assert graph(server, target["expr"])["", LAST] == pytest.approx(spent(NAMES, ("ai",), days) / requests)


def test_the_customers_of_the_ai_graph_and_all_others_add_up_to_each_days_ai_cost(server: PrometheusServer) -> None:
    named, others = targets("unitcost-ai", "AI cost per day, by customer")
    by_name, rest = graph(server, named["expr"], "name"), graph(server, others["expr"])
    names = {name for name, _ in by_name}
    days = days_until(LAST, 30)
    ranked = sorted(NAMES, key=lambda name: spent((name,), ("ai",), days), reverse=True)
    assert names == {name.upper() for name in ranked[: len(names)]}
    assert 1 < len(names) < len(NAMES)
    for day in DAYS[-50:-1]:
        whole = sum(by_name[name, day] for name in names) + rest["", day]
        assert whole == pytest.approx(spent(NAMES, ("ai",), [day])), day


def test_the_margin_without_ai_is_what_is_left_of_revenue_if_ai_cost_nothing(server: PrometheusServer) -> None:
    shown = {
        target["legendFormat"]: graph(server, target["expr"])["", LAST]
        for target in targets("unitcost-ai", "Margin, with and without AI")
    }
    days = days_until(LAST, 30)
    revenue = sum(900 * (len(NAMES) - 1) / (31 if day.month == 10 else 30) for day in days)
    of_all = spent(NAMES, ("compute", "ai", "gpu"), days)
    assert shown["margin"] == pytest.approx((revenue - of_all) / revenue)
    of_others = spent(NAMES, ("compute", "gpu"), days)
    assert shown["if AI cost nothing"] == pytest.approx((revenue - of_others) / revenue)


def test_a_plans_budget_used_is_the_cost_of_those_with_a_budget_divided_by_their_budgets(
    server: PrometheusServer,
) -> None:
    (target,) = targets("unitcost-budgets", "Budget used, by plan")
    used = figures(server, target["expr"], "plan")
    assert set(used) == {"pro", "starter"}  # whom no budget is for has no bar
    for name, budget in (("pro", 800), ("starter", 450)):
        customers = tuple(one for one in NAMES if plan(one) == name and one != UNPAID)
        of_month = spent(customers, ("compute", "ai", "gpu"), month(YESTERDAY))
        assert used[name] == pytest.approx(of_month / (budget * len(customers)))


def test_the_even_pace_reaches_the_budget_on_the_last_day_of_the_month(server: PrometheusServer) -> None:
    lines = {
        target["legendFormat"]: graph(server, target["expr"])
        for target in targets("unitcost-budgets", "Budget through the month")
    }
    end = date(2026, 10, 31)
    assert lines["even pace"]["", end] == pytest.approx(lines["budget"]["", end])
    assert lines["even pace"]["", date(2026, 11, 3)] == pytest.approx(lines["budget"]["", date(2026, 11, 3)] * 3 / 30)
    budgeted = tuple(name for name in NAMES if name not in (FREE, UNPAID))
    for day in (end, date(2026, 11, 1), date(2026, 11, 20)):
        assert lines["used"]["", day] == pytest.approx(spent(budgeted, ("compute", "ai", "gpu"), month(day))), day


def test_a_day_is_compared_with_the_same_weekday_a_week_before(server: PrometheusServer) -> None:
    (target,) = targets("unitcost-budgets", "Change from the week before, day by day")
    shown = graph(server, target["expr"], "component")
    for day in DAYS[-40:-1]:
        for component in ("compute", "ai"):
            week = spent(NAMES, (component,), [day - timedelta(7)])
            assert shown[component, day] == pytest.approx(spent(NAMES, (component,), [day]) - week), (component, day)


@pytest.mark.parametrize(("title", "count", "way"), [("rose", 9, 1), ("fell", 5, -1)])
def test_the_largest_changes_are_shown_and_what_is_new_was_nothing_before(
    server: PrometheusServer, title: str, count: int, way: int
) -> None:
    change, now = (
        {
            (series["metric"]["tenant"], series["metric"]["component"]): float(series["value"][1])
            for series in server.query(target["expr"], str(AT.timestamp()))
        }
        for target in targets("unitcost-budgets", f"Whose cost {title} most, and in what")
    )
    days, earlier = days_until(LAST, 30), days_until(LAST - timedelta(30), 30)
    changes = {
        (name, component): spent((name,), (component,), days) - spent((name,), (component,), earlier)
        for name in NAMES
        for component in ("compute", "ai", "gpu")
    }
    largest = sorted((each * way for each in changes.values() if each * way > 0), reverse=True)[:count]
    assert sorted((each * way for each in change.values()), reverse=True) == pytest.approx(largest)
    assert change == pytest.approx({key: changes[key] for key in change})
    assert now == pytest.approx({key: spent((key[0],), (key[1],), days) for key in change})
    if title == "rose":
        assert change[NAMES[0], "gpu"] == now[NAMES[0], "gpu"] == 400.0


def test_without_a_history_of_30_days_yesterday_is_compared_with_the_day_before(server: PrometheusServer) -> None:
    at = str((AT - timedelta(days=45)).timestamp())
    assert server.query(targets("unitcost-budgets", "By component")[0]["expr"], at) == []
    assert len(server.query(targets("unitcost-budgets", "Yesterday against the day before")[1]["expr"], at)) > 1


def test_the_cost_of_requests_is_split_into_features_without_loss(server: PrometheusServer) -> None:
    (target,) = targets("unitcost-efficiency", "What 1,000 requests cost per day, by $dimension")
    shown = graph(server, target["expr"], "value")
    for day in DAYS[-40:-1]:
        requests = sum(requests_of(name, day) * 9 for name in NAMES)
        parts = sum(value for (_, at), value in shown.items() if at == day)
        assert parts == pytest.approx(1000 * spent(NAMES, ("compute", "ai", "gpu"), [day]) / requests), day
