"""Everything about one customer, or about several added up."""

from __future__ import annotations

from dashboards.cells import CENTS, COLOURED_LOSS, wide
from dashboards.grafana import page as whole_page
from dashboards.grafana import row, section
from dashboards.pages.parts import (
    EFFICIENCY_PAGE,
    REQUESTS,
    changes_of,
    compared,
    components,
    cost_bars,
    intro,
    margin_by_day,
    margin_ratio,
    periods,
    queries_of,
    ratio,
    tenants,
)
from dashboards.pages.tenant_usage import TO_AI, usage_rows
from dashboards.panels import GREY, Json, Panel, Query, override, stat, timeseries
from dashboards.queries import (
    BEFORE,
    PERIOD,
    TENANT,
    daily,
    day_end,
    either,
    info,
    now,
    of_tenants,
)
from dashboards.style import (
    BLUE,
    BUDGET_STEPS,
    MARGIN_STEPS,
    NO_PLAN,
    PURPLE,
    RED,
    Settings,
    dashed_line,
)
from dashboards.tables import NAME_WIDTH, Figure, joined, page_link
from dashboards.words import NO_BUDGET, NO_COSTS, NO_CUSTOMER, NO_FORECAST, NO_REQUESTS, NO_REVENUE
from rules.promql import over, select
from unitcost.days import DAY, MTD
from unitcost.metrics import catalogue as c
from unitcost.metrics.metric import Metric

UID = "unitcost-tenant"
TO_BUDGETS = page_link("Budgets and changes", "unitcost-budgets", "tenant", "period")


def page(settings: Settings) -> Json:
    """Return the page."""
    return whole_page(
        UID,
        "Customer",
        "Everything about one customer: what it costs and brings in, why, and where that leads this month.",
        [
            row(2, (24, _intro())),
            row(6, (24, _who(settings))),
            row(5, *((4, panel) for panel in _headlines(settings))),
            row(11, (14, _daily(settings)), (10, _changed(settings))),
            row(9, (8, _shared(settings)), (8, _margin()), (8, _month(settings))),
            section("Usage, and what a unit of it costs"),
            *usage_rows(settings),
        ],
        variables=[periods(settings), tenants()],
    )


def _intro() -> Panel:
    return intro(
        "Graphs show each day's cost on that day. All figures are of the chosen customers together, their"
        " part of shared costs included."
    )


def _who(settings: Settings) -> Panel:
    sign = settings.sign

    def each(metric: Metric, **labels: str) -> str:
        return now(metric, ("tenant",), tenant=TENANT, **labels)

    return joined(
        "Chosen customers",
        "Name, plan and status of the tenant directory, and the figures by which a customer is judged. Budget and"
        " forecast are of this calendar month, whatever the period.",
        "tenant",
        [
            Figure(f"MRR {sign}", each(c.TENANT_MRR), CENTS | wide(95)),
            Figure(f"Cost {sign}", each(c.TENANT_COST, window=PERIOD), CENTS | wide(100)),
            Figure(f"Margin {sign}", each(c.TENANT_MARGIN, window=PERIOD), CENTS | COLOURED_LOSS | wide(110)),
            Figure(f"Month's budget {sign}", each(c.TENANT_BUDGET), CENTS | {"noValue": "no budget"} | wide(160)),
            Figure(f"Month's forecast {sign}", each(c.TENANT_FORECAST, bound="expected"), CENTS | wide(165)),
        ],
        shown=[("name", "Customer"), ("tenant", "Id"), ("plan", "Plan"), ("status", "Status")],
        first=Query(info("name", "plan", "status", tenant=TENANT)),
        overrides=[
            override("Customer", links=[TO_BUDGETS], custom__minWidth=NAME_WIDTH),
            override("Id", **wide(140)),
            override("Plan", mappings=NO_PLAN, **wide(100)),
            override("Status", **wide(90)),
        ],
        sort_by=f"Cost {sign}",
        paginate=True,
        unknown=NO_CUSTOMER,
    )


def _revenue(window: str) -> str:
    return now(c.TENANT_REVENUE, tenant=TENANT, window=window)


def _requests(window: str) -> str:
    return now(c.TENANT_USAGE, tenant=TENANT, measure=REQUESTS, window=window)


def _headlines(settings: Settings) -> list[Panel]:
    money = settings.exact
    return [
        compared(
            "Cost",
            "Cost of the chosen customers in the period, shared costs included.",
            lambda window: of_tenants(lambda costs: costs.now(window=window)),
            unit=money,
            decimals=2,
        ),
        compared(
            "Revenue",
            "MRR of each day of the period, divided by the days in its month, added up.",
            _revenue,
            unit=money,
            decimals=2,
            bad_up=False,
            unknown=NO_REVENUE,
        ),
        compared(
            "Margin",
            "(Revenue - cost) / revenue of the period; without revenue there is no ratio.",
            lambda window: of_tenants(lambda costs: margin_ratio(costs.now(window=window), _revenue(window))),
            unit="percentunit",
            decimals=1,
            bad_up=False,
            points=True,
            thresholds=MARGIN_STEPS,
            unknown=NO_REVENUE,
        ),
        compared(
            "Per request",
            "Cost of the period divided by its requests.",
            lambda window: of_tenants(lambda costs: ratio(costs.now(window=window), _requests(window))),
            unit=money,
            decimals=5,
            unknown=NO_REQUESTS,
        ),
        _budget(settings),
        _forecast(settings),
    ]


def _budget(settings: Settings) -> Panel:
    used = now(c.TENANT_BUDGET_USED, ("tenant",), tenant=TENANT)
    budget = now(c.TENANT_BUDGET, ("tenant",), tenant=TENANT)
    return stat(
        "Month's budget",
        "Cost since the first of this calendar month (UTC), today's unfinished day included, of the customers with a"
        " budget; what they may cost in the month, and which part of that they have.",
        [
            Query(f"sum({used} * {budget}) / sum({budget})", "used"),
            Query(f"sum({budget})", "budget"),
        ],
        unit=settings.exact,
        decimals=2,
        names=True,
        text_size=(13, 24),
        overrides=[override("used", unit="percentunit", decimals=0, thresholds=BUDGET_STEPS)],
        links=[TO_BUDGETS],
        unknown=NO_BUDGET,
    )


def _forecast(settings: Settings) -> Panel:
    bounds = (("expected", "expected"), ("low", "at least"), ("high", "at most"))
    return stat(
        "Month's forecast",
        "Cost of this whole calendar month (UTC) if each day left costs the average of the last 7 complete days; at"
        " least and at most: the cheapest and the dearest 7 days in a row of the last 28.",
        [Query(now(c.TENANT_FORECAST, tenant=TENANT, bound=bound), said) for bound, said in bounds],
        unit=settings.exact,
        decimals=2,
        names=True,
        text_size=(12, 16),
        links=[TO_BUDGETS],
        unknown=NO_FORECAST,
    )


def _daily(settings: Settings) -> Panel:
    return cost_bars(
        settings,
        "Daily cost by component, against revenue",
        "Each day's cost on that day, shared costs and restatements included; the totals are those of the chosen"
        " range. Dashed: MRR of the day, divided by the days in its month.",
        [
            *queries_of(lambda costs: costs.daily(("component",), window=DAY), "{{component}}"),
            *queries_of(lambda read: read.daily(metric=c.TENANT_REVENUE, window=DAY), "revenue"),
        ],
        overrides=[*components(TO_AI), dashed_line("revenue")],
        links=[EFFICIENCY_PAGE],
    )


def _changed(settings: Settings) -> Panel:
    earlier, later = f"Before {settings.sign}", f"Now {settings.sign}"

    def cost(window: str) -> str:
        return either(lambda costs: costs.now(("component",), window=window))

    return joined(
        "What changed: against the period before",
        "Cost of the period by component, and of the period before.",
        "component",
        [Figure(earlier, cost(BEFORE), CENTS | wide(95)), Figure(later, cost(PERIOD), CENTS | wide(95))],
        reckoned=changes_of(settings.sign, earlier, later, CENTS),
        shown=[("component", "Component")],
        overrides=[override("Component", custom__minWidth=85, links=[EFFICIENCY_PAGE, TO_AI])],
        sort_by=later,
        unknown=NO_COSTS,
    )


def _shared(settings: Settings) -> Panel:
    whole, part = "all cost", "of it shared"
    return timeseries(
        "Own and shared cost by day",
        "Grey: its part of what all customers use, divided as `sharing` in the configuration says. Blue, above it: what"
        " bears the customer's own tag or label.",
        [
            *queries_of(lambda costs: costs.daily(window=DAY), whole),
            Query(daily(c.TENANT_SHARED_COST, tenant=TENANT, window=DAY), part),
        ],
        unit=settings.money,
        bars=True,
        calcs=("sum",),
        bounds=(0, None),
        overrides=[override(whole, fixed_color=BLUE), override(part, fixed_color=GREY, custom__fillOpacity=100)],
        links=[EFFICIENCY_PAGE],
        unknown=NO_COSTS,
    )


def _margin() -> Panel:
    plans = over("group", ("plan",), f"last_over_time({select(c.TENANT_INFO, tenant=TENANT)}[1d] @ end())")
    target = over("max", ("plan",), f"last_over_time({select(c.PLAN_TARGET_MARGIN)}[1d] @ end())")
    return timeseries(
        "Margin, over 30 days up to each day",
        "(Revenue - cost) / revenue of the 30 days that end with each day, and the target of the plan as it is now.",
        [
            *queries_of(margin_by_day, "margin"),
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
            *queries_of(lambda costs: costs.day_end(window=MTD), "cost so far"),
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
        links=[TO_BUDGETS],
        unknown=NO_COSTS,
    )


_NO_LEGEND: Json = {"legend": True, "tooltip": False, "viz": False}
