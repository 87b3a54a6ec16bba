"""The arithmetic of the pages about AI, efficiency and budgets, asked of a real Prometheus: it is the ledger's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dashboards.pages.changes import PAIRS
from tests.fakes.company import NOW, YESTERDAY, Company, cost, days_until, mrr
from tests.fakes.pages import filled, midnights, page, panel
from tests.fakes.processes import PrometheusServer, prometheus
from unitcost.cli.backfill import write
from unitcost.config.directory import Directory, Tenant
from unitcost.config.model import Config
from unitcost.config.sections import Budget, Limits
from unitcost.facts import Usage
from unitcost.ledger.derive import derive
from unitcost.metrics.history import Past
from unitcost.run.setup import terms

pytestmark = pytest.mark.needs("prometheus", "promtool")

DAYS = days_until(YESTERDAY, 80)
SHOWN = 51
"""Of so many days there are samples: each takes a third of a second to sum up."""
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
ALL = {"tenant": ".*", "dimension": "feature", "period": "30d"}


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
    """Return a Prometheus with the days backfilled that graphs are held against; the ledger knows 80."""
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
    past = Past(company.ledger, terms(config, company.directory))
    for day in DAYS[-SHOWN:]:
        past.add(day)
    with (folder / "past.om").open("wb") as file:
        write(past, file)
    (folder / "tsdb").mkdir()
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"]
    subprocess.run([*command, str(folder / "past.om"), str(folder / "tsdb")], check=True, capture_output=True)
    with prometheus(folder, {}) as running:
        yield running


def targets(uid: str, title: str, period: str = "30d") -> list[dict[str, Any]]:
    values = ALL | {"period": period}
    return [target | {"expr": filled(target["expr"], values)} for target in panel(page(uid), title)["targets"]]


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


def lines(server: PrometheusServer, uid: str, title: str, label: str = "") -> dict[str, dict[tuple[str, date], float]]:
    """Return legend → its line: of the queries for chosen customers and for all of them one gives something."""
    found: dict[str, dict[tuple[str, date], float]] = {}
    for target in targets(uid, title):
        found.setdefault(target["legendFormat"], {}).update(graph(server, target["expr"], label))
    return found


def figure(server: PrometheusServer, uid: str, title: str, legend: str) -> float:
    """Return the figure of a panel that has this legend."""
    exprs = [target["expr"] for target in targets(uid, title) if target["legendFormat"] == legend]
    [value] = [value for expr in exprs for value in figures(server, expr).values()]
    return value


def month(last: date) -> list[date]:
    """Return a day's month until that day."""
    return [day for day in DAYS if (day.year, day.month) == (last.year, last.month) and day <= last]


def test_an_ai_request_costs_the_ai_dollars_of_its_day_divided_by_its_requests(server: PrometheusServer) -> None:
    shown = lines(server, "unitcost-ai", "AI cost per AI request, per day")["AI cost per AI request"]
    for day in DAYS[-50:-1]:
        requests = sum(requests_of(name, day) for name in NAMES)
        assert shown["", day] == pytest.approx(spent(NAMES, ("ai",), [day]) / requests), day
    days = days_until(LAST, 30)
    requests = sum(requests_of(name, day) for name in NAMES for day in days)
    found = figure(server, "unitcost-ai", "Per AI request", "period")
    assert found == pytest.approx(spent(NAMES, ("ai",), days) / requests)


def test_the_graph_of_ai_by_customer_shows_the_largest_and_all_together(server: PrometheusServer) -> None:
    shown = lines(server, "unitcost-ai", "AI cost per day, by customer", "name")
    by_name, every = shown["{{name}}"], shown["all chosen customers"]
    names = {name for name, _ in by_name}
    days = days_until(LAST, 30)
    ranked = sorted(NAMES, key=lambda name: spent((name,), ("ai",), days), reverse=True)
    assert names == {name.upper() for name in ranked[: len(names)]}
    assert 1 < len(names) < len(NAMES)
    for day in DAYS[-50:-1]:
        assert every["", day] == pytest.approx(spent(NAMES, ("ai",), [day])), day
        for name in names:
            assert by_name[name, day] == pytest.approx(spent((name.lower(),), ("ai",), [day])), (name, day)


def test_the_margin_without_ai_is_what_is_left_of_revenue_if_ai_cost_nothing(server: PrometheusServer) -> None:
    shown = {
        legend: line["", LAST] for legend, line in lines(server, "unitcost-ai", "Margin, with and without AI").items()
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
    budgets, used = (
        figures(server, target["expr"], "plan")
        for target in targets("unitcost-budgets", "Budgets of the month, by plan")
    )
    assert set(used) == set(budgets) == {"pro", "starter"}  # whom no budget is for has no row
    for name, budget in (("pro", 800), ("starter", 450)):
        customers = tuple(one for one in NAMES if plan(one) == name and one != UNPAID)
        assert budgets[name] == pytest.approx(budget * len(customers))
        assert used[name] == pytest.approx(spent(customers, ("compute", "ai", "gpu"), month(YESTERDAY)))


def test_the_even_pace_reaches_the_budget_on_the_last_day_of_the_month(server: PrometheusServer) -> None:
    shown = lines(server, "unitcost-budgets", "Budgets through the month")
    end = date(2026, 10, 31)
    assert shown["even pace"]["", end] == pytest.approx(shown["budget"]["", end])
    assert shown["even pace"]["", date(2026, 11, 3)] == pytest.approx(shown["budget"]["", date(2026, 11, 3)] * 3 / 30)
    budgeted = tuple(name for name in NAMES if name not in (FREE, UNPAID))
    for day in (end, date(2026, 11, 1), date(2026, 11, 20)):
        assert shown["used"]["", day] == pytest.approx(spent(budgeted, ("compute", "ai", "gpu"), month(day))), day


def test_a_day_stands_beside_the_same_weekday_a_week_before(server: PrometheusServer) -> None:
    title = "Daily cost by component, and that of the week before"
    shown = lines(server, "unitcost-budgets", title, "component")
    for day in DAYS[-40:-1]:
        week = spent(NAMES, ("compute", "ai", "gpu"), [day - timedelta(7)])
        assert shown["a week before"]["", day] == pytest.approx(week), day
        for component in ("compute", "ai"):
            assert shown["{{component}}"][component, day] == pytest.approx(spent(NAMES, (component,), [day])), day


def test_the_largest_changes_are_shown_and_what_is_new_was_nothing_before(server: PrometheusServer) -> None:
    before, now = (
        {
            (series["metric"]["tenant"], series["metric"]["component"]): float(series["value"][1])
            for series in server.query(target["expr"], str(AT.timestamp()))
        }
        for target in targets("unitcost-budgets", "Whose cost changed most, and in what")[:2]
    )
    days, earlier = days_until(LAST, 30), days_until(LAST - timedelta(30), 30)
    pairs = [(name, component) for name in NAMES for component in ("compute", "ai")] + [(NAMES[0], "gpu")]
    change = {
        (name, component): spent((name,), (component,), days) - spent((name,), (component,), earlier)
        for name, component in pairs
    }
    assert before.keys() == now.keys()
    assert len(now) == PAIRS < len(change)
    least = min(abs(change[pair]) for pair in now)
    assert all(abs(change[pair]) <= least for pair in change.keys() - now.keys()), "the largest are shown"
    assert now == pytest.approx({key: spent((key[0],), (key[1],), days) for key in now})
    assert before == pytest.approx({key: spent((key[0],), (key[1],), earlier) for key in before})
    assert (before[NAMES[0], "gpu"], now[NAMES[0], "gpu"]) == (0, 400)


def test_without_a_history_of_60_days_the_last_30_are_compared_with_nothing(server: PrometheusServer) -> None:
    at = str((AT - timedelta(days=45)).timestamp())
    for period, known in (("30d", False), ("1d", True)):
        earlier = targets("unitcost-budgets", "By component", period)[0]["expr"]
        assert bool(server.query(earlier, at)) is known, period


def test_the_cost_of_requests_is_split_into_features_without_loss(server: PrometheusServer) -> None:
    (target,) = targets("unitcost-efficiency", "What 1,000 requests cost per day, by the chosen dimension")
    shown = graph(server, target["expr"], "value")
    for day in DAYS[-40:-1]:
        requests = sum(requests_of(name, day) * 9 for name in NAMES)
        parts = sum(value for (_, at), value in shown.items() if at == day)
        assert parts == pytest.approx(1000 * spent(NAMES, ("compute", "ai", "gpu"), [day]) / requests), day
