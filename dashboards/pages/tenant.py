"""Everything about one customer, or about several added up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dashboards.cells import CENTS, CHANGE_RATIO, COLOURED_LOSS, COLOURED_RISE, wide
from dashboards.grafana import Column, Variable, column, row, section
from dashboards.grafana import page as whole_page
from dashboards.pages.parts import figure
from dashboards.pages.tenant_usage import usage_rows
from dashboards.panels import GREY, Json, Panel, Query, Unknown, link, override, stat, timeseries
from dashboards.queries import PREVIOUS, TENANT, daily, day_end, earlier_or_zero, info, now
from dashboards.style import (
    BLUE,
    BUDGET_STEPS,
    MARGIN_STEPS,
    NO_PLAN,
    PURPLE,
    RED,
    Settings,
    component_colours,
    revenue_line,
)
from dashboards.tables import Figure, Reckoned, joined
from dashboards.words import NO_BUDGET, NO_COSTS, NO_CUSTOMER, NO_FORECAST, NO_REQUESTS, NO_REVENUE, change_stat
from rules.promql import over, select
from unitcost import catalogue as c

UID = "unitcost-tenant"
MONTH = "30d"


def page(settings: Settings) -> Json:
    """Return the page."""
    return whole_page(
        UID,
        "Customer",
        "Everything about one customer: what it costs and brings in, why, and where that leads this month.",
        [
            row(4, (24, _who(settings))),
            row(5, *((4, pair) for pair in _headlines(settings))),
            row(10, (15, _daily(settings)), (9, _changed(settings))),
            row(8, (8, _shared(settings)), (8, _margin()), (8, _month(settings))),
            section("Usage, and what a unit of it costs"),
            *usage_rows(settings),
        ],
        variables=[
            Variable("tenant", "Customer", f"label_values({c.TENANT_INFO.name}, tenant)", multi=True, all_regex=".*")
        ],
    )


def _cost(window: str = MONTH, by: tuple[str, ...] = (), *, before: str = "", **labels: str) -> str:
    return now(c.TENANT_COST, by, before=before, tenant=TENANT, window=window, **labels)


def _revenue(before: str = "") -> str:
    return now(c.TENANT_REVENUE, before=before, tenant=TENANT, window=MONTH)


def _who(settings: Settings) -> Panel:
    sign = settings.sign

    def each(metric: c.Metric, **labels: str) -> str:
        return now(metric, ("tenant",), tenant=TENANT, **labels)

    return joined(
        "Customer",
        "Who this is: name, plan and status of the tenant directory, and the figures by which it is judged; all figures"
        " below are the sum of the customers listed here.",
        "tenant",
        [
            Figure(f"MRR {sign}", each(c.TENANT_MRR), CENTS),
            Figure(f"Margin of 30 days {sign}", each(c.TENANT_MARGIN, window=MONTH), CENTS | COLOURED_LOSS),
            Figure(f"Budget of the month {sign}", each(c.TENANT_BUDGET), CENTS | {"noValue": "no budget"}),
            Figure(f"Forecast of the month {sign}", each(c.TENANT_FORECAST, bound="expected"), CENTS),
        ],
        shown=[("name", "Customer"), ("tenant", "Id"), ("plan", "Plan"), ("status", "Status")],
        first=Query(info("name", "plan", "status", tenant=TENANT)),
        overrides=[
            override("Plan", mappings=NO_PLAN),
            override("Customer", links=[link("Budgets and changes", _to_budgets())]),
        ],
        sort_by=f"MRR {sign}",
        unknown=NO_CUSTOMER,
    )


def _to_budgets() -> str:
    return "/d/unitcost-budgets?${__url_time_range}&var-datasource=${datasource:percentencode}&${tenant:queryparam}"


def _headlines(settings: Settings) -> list[Column]:
    """Return the six figures, each over what it is to be compared with."""
    sign = settings.sign

    def margin(before: str = "") -> str:
        revenue = _revenue(before)
        return f"({revenue} - {_cost(before=before)}) / ({revenue} > 0)"

    def per_request(before: str = "") -> str:
        requests = now(c.TENANT_USAGE, before=before, tenant=TENANT, measure="requests", window=MONTH)
        return f"{_cost(before=before)} / ({requests} > 0)"

    def above(figure: Panel, note: Panel) -> Column:
        return column((3, figure), (2, note))

    return [
        above(
            _figure(
                f"30-day cost {sign}",
                "Cost of the last 30 complete days (UTC), shared costs included.",
                _cost(),
                NO_COSTS,
            ),
            change_stat(_cost(), _cost(before=PREVIOUS), bad_up=True),
        ),
        above(
            _figure(
                f"30-day revenue {sign}",
                "MRR of each of the last 30 complete days, divided by the days in its month, added up.",
                _revenue(),
                NO_REVENUE,
            ),
            change_stat(_revenue(), _revenue(PREVIOUS), bad_up=False),
        ),
        above(
            _figure(
                "30-day gross margin",
                "(Revenue - cost) / revenue of the last 30 complete days; without revenue there is no ratio.",
                margin(),
                NO_REVENUE,
                unit="percentunit",
                decimals=1,
                thresholds=MARGIN_STEPS,
            ),
            change_stat(margin(), margin(PREVIOUS), bad_up=False, points=True),
        ),
        above(
            _figure(
                f"Per request {sign}",
                "Cost of the last 30 complete days divided by their requests.",
                per_request(),
                NO_REQUESTS,
                unit="none",
                decimals=5,
            ),
            change_stat(per_request(), per_request(PREVIOUS), bad_up=True),
        ),
        above(_budget_used(), _budget(sign)),
        above(_forecast(sign), _forecast_range()),
    ]


_figure = partial(figure, unit="locale", decimals=2, size=None)
"""A large figure of now, as large as its panel; money unless said otherwise."""


def _note(description: str, queries: Sequence[Query], unknown: Unknown) -> Panel:
    return stat(
        "",
        description,
        queries,
        unit="locale",
        decimals=2,
        names=True,
        across=len(queries) > 1,
        text_size=(13, 16),
        unknown=unknown,
        interval=None,
    )


def _budget_used() -> Panel:
    used = now(c.TENANT_BUDGET_USED, ("tenant",), tenant=TENANT)
    budget = now(c.TENANT_BUDGET, ("tenant",), tenant=TENANT)
    return _figure(
        "Month's budget used",
        "Cost since the first of this calendar month (UTC), today's unfinished day included, divided by the month's"
        " budget.",
        f"sum({used} * {budget}) / sum({budget} and {used})",
        NO_BUDGET,
        unit="percentunit",
        decimals=0,
        thresholds=BUDGET_STEPS,
    )


def _budget(sign: str) -> Panel:
    return _note(
        "What the customers listed above may cost in this calendar month.",
        [Query(now(c.TENANT_BUDGET, tenant=TENANT), f"budget of the month {sign}", instant=True)],
        NO_BUDGET,
    )


def _forecast(sign: str) -> Panel:
    return _figure(
        f"Month's forecast {sign}",
        "Cost of this whole calendar month if each day left costs the average of the last 7 complete days.",
        now(c.TENANT_FORECAST, tenant=TENANT, bound="expected"),
        NO_FORECAST,
    )


def _forecast_range() -> Panel:
    bounds = (("low", "at least"), ("high", "at most"))
    return _note(
        "The same forecast with the cheapest and the dearest 7 days in a row of the last 28.",
        [Query(now(c.TENANT_FORECAST, tenant=TENANT, bound=bound), said, instant=True) for bound, said in bounds],
        NO_FORECAST,
    )


def _daily(settings: Settings) -> Panel:
    return timeseries(
        "Daily cost by component, against revenue",
        "Each day's cost on that day, shared costs and restatements included; the totals are those of the chosen"
        " range. Dashed: MRR of the day, divided by the days in its month.",
        [
            Query(daily(c.TENANT_COST, ("component",), tenant=TENANT, window="1d"), "{{component}}"),
            Query(daily(c.TENANT_REVENUE, tenant=TENANT, window="1d"), "revenue"),
        ],
        unit=settings.money,
        stacked=True,
        bars=True,
        legend="right",
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=[*component_colours(), revenue_line()],
        unknown=NO_COSTS,
    )


def _changed(settings: Settings) -> Panel:
    sign = settings.sign
    current, before = _cost(by=("component",)), _cost(by=("component",), before=PREVIOUS)
    return joined(
        "What changed: 30 days against the 30 before",
        "Cost of the last 30 complete days by component, and of the 30 days before them.",
        "component",
        [
            Figure(f"Before {sign}", earlier_or_zero(current, before), CENTS | wide(90)),
            Figure(f"Now {sign}", current, CENTS | wide(90)),
        ],
        reckoned=[
            Reckoned(f"Change {sign}", f"Now {sign}", "-", f"Before {sign}", CENTS | COLOURED_RISE | wide(90)),
            Reckoned("Change %", f"Change {sign}", "/", f"Before {sign}", CHANGE_RATIO | wide(85)),
        ],
        shown=[("component", "Component")],
        overrides=[override("Component", custom__minWidth=80)],
        sort_by=f"Now {sign}",
        unknown=NO_COSTS,
    )


def _shared(settings: Settings) -> Panel:
    whole = daily(c.TENANT_COST, tenant=TENANT, window="1d")
    shared = daily(c.TENANT_SHARED_COST, tenant=TENANT, window="1d")
    return timeseries(
        "Own and shared cost by day",
        "Direct: what bears the customer's own tag or label. Shared: its part of what all customers use, divided as"
        " `sharing` in the configuration says.",
        [Query(f"{whole} - {shared}", "direct"), Query(shared, "shared")],
        unit=settings.money,
        stacked=True,
        bars=True,
        calcs=("sum",),
        bounds=(0, None),
        overrides=[override("direct", fixed_color=BLUE), override("shared", fixed_color=GREY)],
        unknown=NO_COSTS,
    )


def _margin() -> Panel:
    revenue = daily(c.TENANT_REVENUE, tenant=TENANT, window=MONTH)
    cost = daily(c.TENANT_COST, tenant=TENANT, window=MONTH)
    plans = over("group", ("plan",), f"last_over_time({select(c.TENANT_INFO, tenant=TENANT)}[1d] @ end())")
    target = over("max", ("plan",), f"last_over_time({select(c.PLAN_TARGET_MARGIN)}[1d] @ end())")
    return timeseries(
        "Gross margin, 30 days up to each day",
        "(Revenue - cost) / revenue of the 30 days that end with each day, and the target of the plan as it is now.",
        [
            Query(f"({revenue} - {cost}) / ({revenue} > 0)", "margin"),
            Query(f"{target} and on (plan) {plans}", "target of {{plan}}"),
        ],
        unit="percentunit",
        decimals=0,
        calcs=("lastNotNull", "min"),
        overrides=[
            override("margin", fixed_color=BLUE, custom__lineWidth=2),
            override(
                "/^target/",
                regex=True,
                fixed_color=GREY,
                custom__lineStyle={"fill": "dash", "dash": [8, 6]},
            ),
        ],
        unknown=NO_REVENUE,
    )


def _month(settings: Settings) -> Panel:
    def forecast(bound: str) -> str:
        return day_end(c.TENANT_FORECAST, tenant=TENANT, bound=bound)

    return timeseries(
        "Month to date, budget and forecast",
        "What the calendar month had cost at the end of each day, the month's budget, and what the whole month was"
        " forecast to cost on that day; the band is the forecast with the cheapest and the dearest week.",
        [
            Query(day_end(c.TENANT_COST, tenant=TENANT, window="mtd"), "cost so far"),
            Query(day_end(c.TENANT_BUDGET, tenant=TENANT), "budget"),
            Query(forecast("expected"), "forecast"),
            Query(forecast("low"), "forecast, least"),
            Query(forecast("high"), "forecast, most"),
        ],
        unit=settings.money,
        calcs=("lastNotNull",),
        bounds=(0, None),
        overrides=[
            override("cost so far", fixed_color=BLUE, custom__fillOpacity=25),
            override(
                "budget", fixed_color=RED, custom__lineWidth=2, custom__lineStyle={"fill": "dash", "dash": [8, 6]}
            ),
            override("forecast", fixed_color=PURPLE, custom__lineWidth=2),
            override("forecast, least", fixed_color=PURPLE, custom__lineWidth=0, custom__hideFrom=_NO_LEGEND),
            override(
                "forecast, most",
                fixed_color=PURPLE,
                custom__lineWidth=0,
                custom__fillBelowTo="forecast, least",
                custom__fillOpacity=15,
                custom__hideFrom=_NO_LEGEND,
            ),
        ],
        unknown=NO_COSTS,
    )


_NO_LEGEND: Json = {"legend": True, "tooltip": False, "viz": False}
