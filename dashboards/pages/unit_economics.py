"""The business page, which answers whether the company makes money, and on whom."""

from __future__ import annotations

from functools import partial

from dashboards.cells import (
    BUDGET_BAR,
    CHANGE_RATIO,
    COLOURED_GROWTH,
    COLOURED_LOSS,
    COUNT,
    MARGIN,
    MONEY,
    RATIO,
    UNIT_PRICE,
    UNSEEN,
    bar,
    wide,
)
from dashboards.grafana import column, row
from dashboards.grafana import page as whole_page
from dashboards.pages.parts import PLAIN, changes_of, compared, cost_bars, intro, periods, sums
from dashboards.panels import (
    Json,
    Panel,
    Query,
    bar_gauge,
    override,
    stat,
    values_as,
)
from dashboards.queries import BEFORE, PERIOD, by_plan, daily, info, now
from dashboards.style import (
    BLUE,
    COMPLETE,
    MARGIN_STEPS,
    NO_PLAN,
    RED,
    Settings,
    component_colours,
    dashed_line,
)
from dashboards.tables import CUSTOMER, Figure, Reckoned, by_tenant, joined, page_link
from dashboards.words import NO_COSTS, NO_EARLIER, NO_REVENUE
from rules.promql import other_than
from unitcost.days import DAY
from unitcost.facts import OTHER
from unitcost.metrics import catalogue as c
from unitcost.metrics.metric import Metric

UID = "unitcost-economics"
TENANTS = ("tenant",)


def page(settings: Settings) -> Json:
    """Return the page."""
    adds_up = sums(settings, partial(now, window=PERIOD))
    return whole_page(
        UID,
        "Unit economics",
        "What the company's customers cost and bring in, and on whom it loses money.",
        [
            row(2, (18, _intro()), (6, _complete())),
            row(5, *((4, panel) for panel in _headlines(settings))),
            row(
                11,
                (13, _daily(settings)),
                (11, column((7, _plans(settings)), (4, adds_up))),
            ),
            row(12, (8, _losers(settings)), (11, _changed(settings)), (5, _concentration())),
            row(16, (24, _customers(settings))),
        ],
        variables=[periods(settings)],
    )


def _intro() -> Panel:
    return intro("Graphs show each day's cost on that day. A click on a customer's name leads to everything about it.")


def _complete() -> Panel:
    return stat(
        "",
        "Whether every required source knows every day of the period. Where days are missing, the figures below are too"
        " small. The page Data quality tells which source lags.",
        [Query(now(c.WINDOW_COMPLETE, window=PERIOD), "Data of the period")],
        unit="none",
        mappings=COMPLETE,
        names=True,
        text_size=(14, 22),
        links=[page_link("Data quality", "unitcost-data")],
        unknown=NO_COSTS,
    )


def _headlines(settings: Settings) -> list[Panel]:
    money = settings.exact
    shown = [
        ("Cost", "The whole company's cost, costs without a customer included.", c.PLATFORM_COST, money, 0, True),
        ("Revenue", "MRR of each day, divided by the days of its month, summed.", c.PLATFORM_REVENUE, money, 0, False),
        ("Margin, all cost", "(Revenue - cost) / revenue; costs without a customer are in it.",
         c.PLATFORM_MARGIN_RATIO, "percentunit", 1, False),
        ("Per customer", "All cost divided by the customers active in the period.", c.PLATFORM_COST_PER_TENANT,
         money, 2, True),
        ("Per request", "All cost divided by all requests.", c.PLATFORM_COST_PER_REQUEST, money, 5, True),
        ("Active customers", "Customers with cost, usage or revenue in the period.", c.PLATFORM_ACTIVE_TENANTS,
         "locale", 0, False),
    ]  # fmt: skip
    return [
        compared(
            title,
            description,
            lambda window, metric=metric: now(metric, window=window),  # type: ignore[misc]
            unit=unit,
            decimals=decimals,
            bad_up=dearer_is_worse,
            points=metric is c.PLATFORM_MARGIN_RATIO,
            thresholds=MARGIN_STEPS if metric is c.PLATFORM_MARGIN_RATIO else PLAIN,
        )
        for title, description, metric, unit, decimals, dearer_is_worse in shown
    ]


def _daily(settings: Settings) -> Panel:
    return cost_bars(
        settings,
        "Daily cost by component, against revenue",
        "Each day's cost on that day, restatements included; the totals are those of the chosen range. Dashed: MRR of"
        " the day, divided by the days in its month. What reaches over the dashed line is a day's loss.",
        [
            Query(daily(c.PLATFORM_COST, ("component",), window=DAY), "{{component}}"),
            Query(daily(c.PLATFORM_REVENUE, window=DAY), "revenue"),
        ],
        overrides=[*component_colours(), dashed_line("revenue")],
    )


def _plans(settings: Settings) -> Panel:
    def of_plans(metric: Metric) -> str:
        return by_plan(now(metric, TENANTS, window=PERIOD))

    revenue, margin = f"Revenue {settings.sign}", f"Margin {settings.sign}"
    no_revenue = values_as({"Infinity": "no revenue", "-Infinity": "no revenue", "NaN": "no revenue"})
    return joined(
        "Margin by plan",
        "Revenue less cost of each plan's customers, without costs of no customer. A plan without revenue has no ratio:"
        " its margin is the money it costs. Target: the plan's target_margin of the configuration.",
        "plan",
        [
            Figure("Customers", f"count by (plan) ({info('plan', tenant=other_than(OTHER))})", COUNT | wide(82)),
            Figure(revenue, of_plans(c.TENANT_REVENUE), MONEY | wide(84)),
            Figure(margin, of_plans(c.TENANT_MARGIN), MONEY | COLOURED_LOSS | wide(92)),
            Figure("Target", now(c.PLAN_TARGET_MARGIN, ("plan",)), RATIO | wide(60)),
        ],
        reckoned=[Reckoned("Margin %", margin, "/", revenue, MARGIN | {"mappings": no_revenue} | wide(90))],
        shown=[("plan", "Plan")],
        order=["Plan", "Customers", revenue, margin, "Margin %", "Target"],
        overrides=[override("Plan", mappings=NO_PLAN, custom__minWidth=85)],
        sort_by=margin,
        unknown=NO_COSTS,
    )


def _losers(settings: Settings) -> Panel:
    lost = f"topk(10, -({now(c.TENANT_MARGIN, TENANTS, window=PERIOD)} < 0))"
    before = f"{now(c.TENANT_MARGIN, TENANTS, window=BEFORE)} and on (tenant) {lost}"
    return by_tenant(
        "Who loses money: the ten worst",
        "Customers that cost more than they brought in, by how much; before: their margin of the period before.",
        [
            Figure(f"Lost {settings.sign}", lost, MONEY | bar(RED) | wide(110)),
            Figure(f"Before {settings.sign}", before, MONEY | COLOURED_LOSS | wide(70)),
        ],
        tenants=lost,
        sort_by=f"Lost {settings.sign}",
        paginate=False,
        plan=False,
        nobody=(now(c.PLATFORM_MARGIN_RATIO, window=PERIOD), "No customer cost more than it brought in."),
        unknown=NO_REVENUE,
    )


def _changed(settings: Settings) -> Panel:
    sign = settings.sign
    before = now(c.TENANT_COST, TENANTS, window=BEFORE)
    return by_tenant(
        "What changed most: cost against the period before",
        "The ten customers whose cost differs most from that of the period before.",
        [
            Figure(f"Before {sign}", before, MONEY | wide(80)),
            Figure(f"Now {sign}", f"({now(c.TENANT_COST, TENANTS, window=PERIOD)} and {before})", MONEY | wide(80)),
        ],
        reckoned=changes_of(sign, f"Before {sign}", f"Now {sign}"),
        tenants=before,
        largest=(f"Change {sign}", 10),
        sort_by=f"Change {sign}",
        paginate=False,
        plan=False,
        unknown=NO_EARLIER,
    )


def _concentration() -> Panel:
    cost = now(c.ALLOCATED_COST, window=PERIOD)
    named = now(c.TENANT_COST, TENANTS, window=PERIOD, tenant=other_than(OTHER))
    revenue = now(c.TENANT_REVENUE, TENANTS, window=PERIOD)
    margin = now(c.TENANT_MARGIN, TENANTS, window=PERIOD, tenant=other_than(OTHER))

    def part(of: str, whole: str) -> str:
        return f"sum({of}) / {whole}"

    tenth = f"scalar(ceil({now(c.TENANTS)} / 10) or vector(1))"
    return bar_gauge(
        "Concentration",
        "Which part of all customers' cost, of all revenue and of all customers each group makes. Customers folded into"
        " one beyond the limit count in the whole only.",
        [
            Query(part(f"topk(1, {named})", cost), "cost: the largest customer"),
            Query(part(f"topk(10, {named})", cost), "cost: the ten largest"),
            Query(part(f"topk({tenth}, {named})", cost), "cost: the largest tenth"),
            Query(part(f"topk(10, {revenue})", now(c.PLATFORM_REVENUE, window=PERIOD)), "revenue: the ten largest"),
            Query(f"count({margin} < 0) / count({margin})", "customers: who lose money"),
        ],
        unit="percentunit",
        decimals=0,
        bounds=(0, 1),
        fixed_color=BLUE,
        unknown=NO_COSTS,
    )


def _customers(settings: Settings) -> Panel:
    sign = settings.sign

    def each(metric: Metric, window: str = PERIOD, **labels: str) -> str:
        return now(metric, TENANTS, window=window, **labels)

    return by_tenant(
        "Customers",
        "Every customer in the period, shared costs included; change: of its cost from the period"
        " before. Budget used is this calendar month's cost divided by the month's budget, whatever the period. Click a"
        " header to sort, its funnel to filter, a name for the customer's page.",
        [
            Figure(f"Cost {sign}", each(c.TENANT_COST), MONEY | wide(98)),
            Figure("Before", each(c.TENANT_COST, BEFORE), UNSEEN),
            Figure(f"Revenue {sign}", each(c.TENANT_REVENUE), MONEY | wide(103)),
            Figure(f"Margin {sign}", each(c.TENANT_MARGIN), MONEY | COLOURED_LOSS | wide(95)),
            Figure("Margin %", each(c.MARGIN_RATIO), MARGIN | wide(95)),
            Figure("Budget used", now(c.TENANT_BUDGET_USED, TENANTS), BUDGET_BAR),
            Figure(f"Per request {sign}", each(c.COST_PER_REQUEST), UNIT_PRICE | wide(125)),
            Figure(f"MRR {sign}", now(c.TENANT_MRR, TENANTS), MONEY | wide(85)),
        ],
        reckoned=[
            Reckoned("Difference", f"Cost {sign}", "-", "Before", UNSEEN),
            Reckoned("Change %", "Difference", "/", "Before", CHANGE_RATIO | COLOURED_GROWTH | wide(100)),
        ],
        order=(
            CUSTOMER,
            "Plan",
            f"Cost {sign}",
            "Change %",
            f"Revenue {sign}",
            f"Margin {sign}",
            "Margin %",
            "Budget used",
            f"Per request {sign}",
            f"MRR {sign}",
        ),
        sort_by=f"Cost {sign}",
        unknown=NO_COSTS,
    )
