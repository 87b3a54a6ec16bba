"""The page about budgets and changes: will the month stay within budget, what changed, and which alerts fire."""

from __future__ import annotations

from dashboards.cells import BUDGET_BAR, CENTS, wide
from dashboards.grafana import Column, column, row, table_height
from dashboards.grafana import page as whole_page
from dashboards.pages.alerts import alerts
from dashboards.pages.changes import changes
from dashboards.pages.parts import (
    RISE,
    figure,
    note,
    plan_in_words,
    ratio,
    tenants,
)
from dashboards.panels import (
    GREY,
    Json,
    Panel,
    Query,
    bar_gauge,
    override,
    stat,
    steps,
    text,
    timeseries,
)
from dashboards.queries import TENANT, day_end, now, with_plan
from dashboards.style import (
    BLUE,
    BUDGET_STEPS,
    GREEN,
    MARGIN_STEPS,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Settings,
)
from dashboards.tables import Figure, by_tenant
from dashboards.words import NO_BUDGET, NO_COSTS, NO_FORECAST, NO_REVENUE, change_stat
from rules.promql import over
from unitcost import catalogue as c

UID = "unitcost-budgets"
MTD = "mtd"
BY_TENANT = ("tenant",)
DASHED = {"fill": "dash", "dash": [8, 6]}


def page(settings: Settings) -> Json:
    """Return the page."""
    return whole_page(
        UID,
        "Budgets and changes",
        "Will the month stay within budget, what changed, and which alerts fire.",
        [
            row(2, (24, _intro())),
            row(6, *((4, pair) for pair in _headlines(settings))),
            alerts(settings),
            row(11, (9, _burn_down(settings)), (9, _forecast(settings)), (6, _plans())),
            row(table_height(11), (24, _budgets(settings))),
            *changes(settings),
        ],
        variables=[tenants()],
    )


def _intro() -> Panel:
    return text(
        "**Budgets** are of calendar months (UTC); **used** is the cost from the first of the month to now, today's"
        " part included. **Forecast** is the month's cost if its other days cost what the last 7 did. The first"
        " three figures and the second graph are of the whole company, all else is of the chosen customers."
    )


def _budget(by: tuple[str, ...] = ()) -> str:
    return now(c.TENANT_BUDGET, by, tenant=TENANT)


def _used_ratio() -> str:
    return now(c.TENANT_BUDGET_USED, BY_TENANT, tenant=TENANT)


def _expected(by: tuple[str, ...] = BY_TENANT) -> str:
    return now(c.TENANT_FORECAST, by, tenant=TENANT, bound="expected")


def _of_budget() -> str:
    """Return each customer's forecast divided by its budget."""
    return f"({_expected()} / ({_budget(BY_TENANT)} > 0))"


def _company(bound: str) -> str:
    return now(c.PLATFORM_FORECAST, bound=bound)


def _headlines(settings: Settings) -> list[Column]:
    money = settings.money
    last_month = now(c.PLATFORM_COST, window="last_month")
    mrr = now(c.TENANT_MRR)
    expected = _company("expected")
    forecast = figure(
        "Forecast of the month",
        "The whole company's cost of this calendar month: its complete days as they are, every other day like the"
        " average of the last 7.",
        expected,
        unit=money,
        decimals=1,
        unknown=NO_FORECAST,
    )
    band = stat(
        "Low and high",
        "The same with the cheapest and with the dearest 7 days in a row of the last 28 in place of the last 7.",
        [Query(_company("low"), "low", instant=True), Query(_company("high"), "high", instant=True)],
        unit=money,
        decimals=1,
        names=True,
        text_size=(16, 24),
        unknown=NO_FORECAST,
        interval=None,
    )
    margin = figure(
        "Forecast margin",
        "(MRR of now - the company's forecast cost of the month) / MRR.",
        f"({mrr} - {expected}) / ({mrr} > 0)",
        unit="percentunit",
        decimals=1,
        thresholds=MARGIN_STEPS,
        unknown=NO_FORECAST,
    )
    revenue = note(
        "Monthly recurring revenue of all customers, now.",
        mrr,
        "MRR now",
        unit=money,
        decimals=1,
        unknown=NO_REVENUE,
    )
    return [
        column((4, forecast), (2, change_stat(expected, last_month, bad_up=True, what="last month"))),
        column((4, band), (2, _so_far(settings))),
        column((4, margin), (2, revenue)),
        column((4, _all_used()), (2, _all_budgets(settings))),
        column((4, _over()), (2, _near())),
        column((4, _will_be_over()), (2, _dollars_over(settings))),
    ]


def _so_far(settings: Settings) -> Panel:
    return note(
        "The whole company's cost from the first of the month to now.",
        now(c.PLATFORM_COST, window=MTD),
        "so far",
        unit=settings.money,
        decimals=1,
        unknown=NO_COSTS,
    )


def _budgeted_cost(by: tuple[str, ...] = BY_TENANT) -> str:
    """Return the month's cost until now of the customers that have a budget."""
    cost = f"({now(c.TENANT_COST, BY_TENANT, tenant=TENANT, window=MTD)} and on (tenant) {_budget(BY_TENANT)})"
    return cost if by == BY_TENANT else over("sum", by, cost)


def _all_used() -> Panel:
    return figure(
        "Budgets used",
        "Cost from the first of the month to now of all chosen customers that have a budget, divided by their budgets.",
        ratio(_budgeted_cost(()), _budget()),
        unit="percentunit",
        decimals=1,
        thresholds=BUDGET_STEPS,
        unknown=NO_BUDGET,
    )


def _all_budgets(settings: Settings) -> Panel:
    return note(
        "The sum of the chosen customers' budgets of this calendar month.",
        _budget(),
        "of",
        unit=settings.money,
        decimals=1,
        unknown=NO_BUDGET,
    )


def _count(expression: str) -> str:
    """Return for how many series a comparison (with bool) is true; 0 is said too."""
    return over("sum", (), expression)


def _over() -> Panel:
    return figure(
        "Customers over budget",
        "How many of the chosen customers have used all of this month's budget or more.",
        _count(f"{_used_ratio()} >= bool 1"),
        unit="locale",
        decimals=0,
        thresholds=steps((None, GREEN), (1, RED)),
        unknown=NO_BUDGET,
    )


def _near() -> Panel:
    used = _used_ratio()
    return stat(
        "",
        "How many of the chosen customers have used 75 to 90 %, and 90 to 100 %, of this month's budget.",
        [
            Query(_count(f"({used} >= bool 0.75) * ({used} < bool 0.9)"), "75 - 90 %", instant=True),
            Query(_count(f"({used} >= bool 0.9) * ({used} < bool 1)"), "90 - 100 %", instant=True),
        ],
        unit="locale",
        decimals=0,
        names=True,
        across=True,
        text_size=(13, 18),
        overrides=[override("75 - 90 %", fixed_color=YELLOW), override("90 - 100 %", fixed_color=ORANGE)],
        unknown=NO_BUDGET,
        interval=None,
    )


def _will_be_over() -> Panel:
    return figure(
        "Forecast over budget",
        "How many of the chosen customers are expected to cost more in this month than their budget.",
        _count(f"{_of_budget()} > bool 1"),
        unit="locale",
        decimals=0,
        thresholds=steps((None, GREEN), (1, ORANGE)),
        unknown=NO_FORECAST,
    )


def _dollars_over(settings: Settings) -> Panel:
    return note(
        "By how much those customers are expected to exceed their budgets of the month, all together.",
        over("sum", (), f"clamp_min({_expected()} - {_budget(BY_TENANT)}, 0)"),
        "over",
        unit=settings.money,
        decimals=1,
        unknown=NO_FORECAST,
    )


def _burn_down(settings: Settings) -> Panel:
    budget = day_end(c.TENANT_BUDGET, BY_TENANT, tenant=TENANT)
    # The same as their costs, which are many more series: one for each component.
    cost = f"({day_end(c.TENANT_BUDGET_USED, BY_TENANT, tenant=TENANT)} * {budget})"
    return timeseries(
        "Budget through the month",
        "At each day's end, and now: what the chosen customers that have a budget cost since the first of the month,"
        " beside their budgets and the even pace, which spends the same every day and reaches the budget on the"
        " month's last day. What lies over the pace is early; what lies over the budget is too much.",
        [
            Query(over("sum", (), cost), "used"),
            Query(f"{over('sum', (), budget)} * scalar({PACE})", "even pace"),
            Query(over("sum", (), budget), "budget"),
        ],
        unit=settings.money,
        calcs=("lastNotNull",),
        bounds=(0, None),
        overrides=[
            override("used", fixed_color=BLUE, custom__fillOpacity=35, custom__lineWidth=2),
            override("even pace", fixed_color=GREY, custom__lineStyle=DASHED, custom__lineWidth=2),
            override("budget", fixed_color=RED, custom__lineWidth=2),
        ],
        unknown=NO_BUDGET,
    )


PACE = "day_of_month() / days_in_month()"
"""The part of its month that is over at the end of the day whose midnight a point stands on."""


def _forecast(settings: Settings) -> Panel:
    def bound(name: str) -> str:
        return day_end(c.PLATFORM_FORECAST, bound=name)

    return timeseries(
        "Forecast of the month, as it was seen day by day",
        "What the whole company's calendar month was expected to cost at each day's end, between its low and high"
        " bound, and what it had cost by then. The band narrows to the month's cost on its last day.",
        [
            Query(bound("high"), "high"),
            Query(bound("low"), "low"),
            Query(bound("expected"), "expected"),
            Query(day_end(c.PLATFORM_COST, window=MTD), "so far"),
        ],
        unit=settings.money,
        calcs=("lastNotNull",),
        bounds=(0, None),
        overrides=[
            override(
                "high", fixed_color=PURPLE, custom__fillBelowTo="low", custom__fillOpacity=25, custom__lineWidth=0
            ),
            override("low", fixed_color=PURPLE, custom__lineWidth=0),
            override("expected", fixed_color=PURPLE, custom__lineWidth=2),
            override("so far", fixed_color=BLUE, custom__lineWidth=2),
        ],
        unknown=NO_FORECAST,
    )


def _plans() -> Panel:
    def by_plan(series: str) -> str:
        return over("sum", ("plan",), with_plan(series))

    used = ratio(by_plan(_budgeted_cost()), by_plan(_budget(BY_TENANT)))
    return bar_gauge(
        "Budget used, by plan",
        "Cost from the first of the month to now of each plan's chosen customers that have a budget, divided by"
        " their budgets; full at 100 %.",
        [Query(f"sort_desc({plan_in_words(used)})", "{{plan}}")],
        unit="percentunit",
        decimals=0,
        bounds=(0, 1),
        thresholds=BUDGET_STEPS,
        unknown=NO_BUDGET,
    )


def _budgets(settings: Settings) -> Panel:
    sign = settings.sign
    budget = _budget(BY_TENANT)
    return by_tenant(
        "Budgets of this month, by customer",
        "Every chosen customer that has a budget. Used: cost from the first of the month to now. Forecast: the whole"
        " month, as expected. Over: by how many dollars the forecast exceeds the budget (below 0 it stays within)."
        " Click a header to sort, a name for the customer's page.",
        [
            Figure(f"Budget {sign}", budget, CENTS | wide(120)),
            Figure(f"Used {sign}", _budgeted_cost(), CENTS | wide(120)),
            Figure("Used %", _used_ratio(), BUDGET_BAR),
            Figure(f"Forecast {sign}", f"({_expected()} and on (tenant) {budget})", CENTS | wide(130)),
            Figure("Forecast %", _of_budget(), BUDGET_BAR),
            Figure(f"Over {sign}", f"({_expected()} - {budget})", RISE | CENTS | wide(120)),
        ],
        tenants=budget,
        sort_by=f"Over {sign}",
        unknown=NO_BUDGET,
    )
