"""The business page, which answers whether the company makes money, and on whom."""

from __future__ import annotations

from dashboards.cells import (
    BUDGET_BAR,
    CHANGE_RATIO,
    COLOURED_GROWTH,
    COLOURED_LOSS,
    COLOURED_RISE,
    COUNT,
    MARGIN,
    MARGIN_BAR,
    MONEY,
    UNIT_PRICE,
    Cell,
    bar,
    wide,
)
from dashboards.grafana import Column, column, row
from dashboards.grafana import page as whole_page
from dashboards.panels import Json, Panel, Query, bar_gauge, link, override, stat, steps, text, timeseries, values_as
from dashboards.queries import (
    PREVIOUS,
    compared,
    current_or_zero,
    daily,
    earlier_or_zero,
    info,
    latest,
    now,
    once,
    with_plan,
)
from dashboards.style import (
    BLUE,
    GREEN,
    MARGIN_STEPS,
    NO_PLAN,
    ORANGE,
    RED,
    Settings,
    component_colours,
    revenue_line,
)
from dashboards.tables import CUSTOMER, Figure, Reckoned, by_tenant, joined
from dashboards.words import NO_COSTS, NO_EARLIER, NO_REVENUE, change_stat
from rules.promql import other_than, over, select
from unitcost import catalogue as c

UID = "unitcost-economics"
MONTH = "30d"


def page(settings: Settings) -> Json:
    """Return the page."""
    return whole_page(
        UID,
        "Unit economics",
        "What the company's customers cost and bring in, and on whom it loses money.",
        [
            row(2, (18, _intro()), (6, _complete())),
            row(6, *((4, pair) for pair in _headlines(settings))),
            row(11, (13, _daily(settings)), (11, column((7, _plans(settings)), (4, _sums())))),
            row(12, (8, _losers(settings)), (10, _changed(settings)), (6, _concentration())),
            row(16, (24, _customers(settings))),
        ],
    )


def _intro() -> Panel:
    return text(
        "**30 days** are the last 30 complete days (UTC), up to yesterday. They are compared with the 30 days before"
        " them. Graphs put each day's cost on that day. Click a customer's name for everything about it."
    )


def _complete() -> Panel:
    complete = once((), latest(select(c.WINDOW_COMPLETE, window=MONTH)))
    return stat(
        "",
        "Whether every required source knows every one of the last 30 days. Where days are missing, the figures below"
        " are too small. The page Data quality tells which source lags.",
        [Query(complete, "Data of the 30 days", instant=True)],
        unit="none",
        mappings=values_as({"1": ("complete", GREEN), "0": ("days are missing", ORANGE)}),
        names=True,
        text_size=(14, 22),
        links=[link("Data quality", "/d/unitcost-data?${__url_time_range}&var-datasource=${datasource:percentencode}")],
        unknown=NO_COSTS,
        interval=None,
    )


def _headlines(settings: Settings) -> list[Column]:
    """Return the six stats, each over its change against the 30 days before."""
    money = settings.money
    cost = "The whole company's cost of the last 30 complete days, costs without a customer included."
    shown = [
        ("Cost, 30 days", cost, c.PLATFORM_COST, money, 1, True),
        ("Revenue, 30 days", "MRR of each of the last 30 complete days, divided by the days in its month, added up.",
         c.PLATFORM_REVENUE, money, 1, False),
        ("Gross margin", "(Revenue - cost) / revenue of the last 30 complete days.", c.PLATFORM_MARGIN_RATIO,
         "percentunit", 1, False),
        ("Cost per customer", "Cost of the last 30 complete days, divided by the customers active in them.",
         c.PLATFORM_COST_PER_TENANT, money, 2, True),
        ("Cost per request", "Cost of the last 30 complete days, divided by all requests in them.",
         c.PLATFORM_COST_PER_REQUEST, money, 5, True),
        ("Active customers", "Customers with cost, usage or revenue in the last 30 complete days.",
         c.PLATFORM_ACTIVE_TENANTS, "locale", 0, False),
    ]  # fmt: skip
    pairs: list[Column] = []
    for title, description, metric, unit, decimals, dearer_is_worse in shown:
        said = f"{description} The line: how these 30 days moved along the page's time range."
        figure = stat(
            title,
            said,
            [Query(daily(metric, window=MONTH), title)],
            unit=unit,
            decimals=decimals,
            thresholds=MARGIN_STEPS if metric is c.PLATFORM_MARGIN_RATIO else steps((None, "text")),
            sparkline=True,
            text_size=(None, 32),
            unknown=NO_COSTS,
        )
        current, before = now(metric, window=MONTH), now(metric, window=MONTH, before=PREVIOUS)
        points = metric is c.PLATFORM_MARGIN_RATIO
        pairs.append(column((4, figure), (2, change_stat(current, before, bad_up=dearer_is_worse, points=points))))
    return pairs


def _daily(settings: Settings) -> Panel:
    return timeseries(
        "Daily cost by component, against revenue",
        "Each day's cost on that day, restatements included; the totals are those of the chosen range. Dashed: MRR of"
        " the day, divided by the days in its month. What reaches over the dashed line is a day's loss.",
        [
            Query(daily(c.PLATFORM_COST, ("component",), window="1d"), "{{component}}"),
            Query(daily(c.PLATFORM_REVENUE, window="1d"), "revenue"),
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


def _plans(settings: Settings) -> Panel:
    def by_plan(metric: c.Metric) -> str:
        return over("sum", ("plan",), with_plan(now(metric, ("tenant",), window=MONTH)))

    revenue, margin = by_plan(c.TENANT_REVENUE), by_plan(c.TENANT_MARGIN)
    ratio = f"{margin} / ({revenue} > 0)"
    target = now(c.PLAN_TARGET_MARGIN, ("plan",))
    over_target: Cell = {
        "unit": "suffix: pts",
        "decimals": 0,
        "custom__cellOptions": {"type": "color-text"},
        "thresholds": steps((None, "text"), (-1e9, RED), (-5, ORANGE), (0, GREEN)),
        "noValue": "-",
    }
    return joined(
        "Margin by plan, 30 days",
        "Revenue less cost of each plan's customers. A plan without revenue has no ratio: its margin is the money it"
        " costs. Over target: how many percentage points the margin lies over the plan's target_margin of the"
        " configuration.",
        "plan",
        [
            Figure("Customers", f"count by (plan) ({info('plan', tenant=other_than('__other__'))})", COUNT | wide(90)),
            Figure(f"Revenue {settings.sign}", revenue, MONEY | wide(90)),
            Figure(f"Margin {settings.sign}", margin, MONEY | COLOURED_LOSS | wide(95)),
            Figure("Margin %", ratio, MARGIN_BAR | {"noValue": "no revenue"}),
            Figure("Over target", f"100 * ({ratio} - on (plan) {target})", over_target | wide(95)),
        ],
        shown=[("plan", "Plan")],
        overrides=[override("Plan", mappings=NO_PLAN, **wide(90))],
        sort_by=f"Margin {settings.sign}",
        unknown=NO_COSTS,
    )


def _losers(settings: Settings) -> Panel:
    lost = f"topk(10, -({now(c.TENANT_MARGIN, ('tenant',), window=MONTH)} < 0))"
    before = f"{now(c.TENANT_MARGIN, ('tenant',), window=MONTH, before=PREVIOUS)} and on (tenant) {lost}"
    return by_tenant(
        "Who loses money: the ten worst of 30 days",
        "Customers that cost more than they brought in, by how much; and their margin of the 30 days before.",
        [
            Figure(f"Lost {settings.sign}", lost, MONEY | bar(RED)),
            Figure(f"Margin before {settings.sign}", before, MONEY | COLOURED_LOSS | wide(125)),
        ],
        tenants=lost,
        sort_by=f"Lost {settings.sign}",
        paginate=False,
        plan=False,
        nobody=(now(c.PLATFORM_MARGIN_RATIO, window=MONTH), "No customer cost more than it brought in."),
        unknown=NO_REVENUE,
    )


def _changed(settings: Settings) -> Panel:
    sign = settings.sign
    current = now(c.TENANT_COST, ("tenant",), window=MONTH)
    before = now(c.TENANT_COST, ("tenant",), window=MONTH, before=PREVIOUS)
    return by_tenant(
        "What changed most: cost against the 30 days before",
        "The ten customers whose cost of the last 30 complete days differs most from that of the 30 days before.",
        [
            Figure(f"Before {sign}", earlier_or_zero(current, before), MONEY | wide(85)),
            Figure(f"Now {sign}", current_or_zero(current, before), MONEY | wide(85)),
        ],
        reckoned=[
            Reckoned(f"Change {sign}", f"Now {sign}", "-", f"Before {sign}", MONEY | COLOURED_RISE | wide(100)),
            Reckoned("Change %", f"Change {sign}", "/", f"Before {sign}", CHANGE_RATIO | wide(90)),
        ],
        tenants=compared(info()),
        largest=(f"Change {sign}", 10),
        sort_by=f"Change {sign}",
        paginate=False,
        plan=False,
        unknown=NO_EARLIER,
    )


def _concentration() -> Panel:
    # All customers' cost is the company's less what found none: a few series instead of one for each customer.
    nobodys = now(c.UNALLOCATED, window=MONTH)
    company = now(c.PLATFORM_COST, window=MONTH)
    cost = f"({company} - {nobodys} or {company})"
    named = now(c.TENANT_COST, ("tenant",), window=MONTH, tenant=other_than("__other__"))
    revenue = now(c.TENANT_REVENUE, ("tenant",), window=MONTH)
    margin = now(c.TENANT_MARGIN, ("tenant",), window=MONTH, tenant=other_than("__other__"))
    losing = f"({margin} < 0)"
    customers = now(c.TENANTS)

    def part(of: str, whole: str) -> str:
        return f"sum({of}) / sum({whole})"

    return bar_gauge(
        "Concentration, 30 days",
        "Which part of all customers' cost, of all revenue and of all customers each group makes. Customers folded into"
        " one beyond the limit count in the whole only.",
        [
            Query(part(f"topk(1, {named})", cost), "cost: the largest customer"),
            Query(part(f"topk(10, {named})", cost), "cost: the ten largest"),
            Query(part(f"topk(scalar(ceil({customers} / 10) or vector(1)), {named})", cost), "cost: the largest tenth"),
            Query(part(f"topk(10, {revenue})", revenue), "revenue: the ten largest"),
            Query(part(f"{named} and on (tenant) {losing}", cost), "cost: those that lose money"),
            Query(f"count({losing}) / count({margin})", "customers: those that lose money"),
        ],
        unit="percentunit",
        decimals=0,
        bounds=(0, 1),
        fixed_color=BLUE,
        unknown=NO_COSTS,
    )


def _sums() -> Panel:
    billed = now(c.BILL, window=MONTH)
    return stat(
        "Does it add up to the invoices? 30 days",
        "All costs of the last 30 complete days: what the customers cost, shared costs included, and what found neither"
        " a customer nor a sharing rule. Together they are what the sources brought in; the page Data quality lists"
        " that by source.",
        [
            Query(now(c.TENANT_COST, window=MONTH), "customers", instant=True),
            Query(f"{now(c.UNALLOCATED, window=MONTH)} or 0 * {billed}", "+ no customer", instant=True),
            Query(billed, "= invoices", instant=True),
        ],
        unit="locale",
        decimals=2,
        names=True,
        across=True,
        text_size=(13, 24),
        unknown=NO_COSTS,
        interval=None,
    )


def _customers(settings: Settings) -> Panel:
    sign = settings.sign

    def each(metric: c.Metric, *, before: str = "", **labels: str) -> str:
        return now(metric, ("tenant",), before=before, **labels)

    unseen: Cell = {"custom__hidden": True}
    return by_tenant(
        "Customers, 30 days",
        "Every customer's last 30 complete days, shared costs included; against before: the change of its cost from the"
        " 30 days before. Budget used is this calendar month's cost divided by the month's budget. Click a header to"
        " sort, its funnel to filter, a name for the customer's page.",
        [
            Figure(f"Cost {sign}", each(c.TENANT_COST, window=MONTH), MONEY | wide(105)),
            Figure("Before", each(c.TENANT_COST, window=MONTH, before=PREVIOUS), unseen),
            Figure(f"MRR {sign}", each(c.TENANT_MRR), MONEY | wide(85)),
            Figure(f"Revenue {sign}", each(c.TENANT_REVENUE, window=MONTH), MONEY | wide(110)),
            Figure(f"Margin {sign}", each(c.TENANT_MARGIN, window=MONTH), MONEY | COLOURED_LOSS | wide(105)),
            Figure("Margin %", each(c.MARGIN_RATIO, window=MONTH), MARGIN | wide(105)),
            Figure("Budget used", each(c.TENANT_BUDGET_USED), BUDGET_BAR),
            Figure("Requests", each(c.TENANT_USAGE, window=MONTH, measure="requests"), COUNT | wide(110)),
            Figure(f"Per request {sign}", each(c.COST_PER_REQUEST, window=MONTH), UNIT_PRICE | wide(130)),
        ],
        reckoned=[
            Reckoned("Difference", f"Cost {sign}", "-", "Before", unseen),
            Reckoned("Against before", "Difference", "/", "Before", CHANGE_RATIO | COLOURED_GROWTH | wide(145)),
        ],
        order=(
            CUSTOMER,
            "Plan",
            f"Cost {sign}",
            "Against before",
            f"MRR {sign}",
            f"Revenue {sign}",
            f"Margin {sign}",
            "Margin %",
            "Budget used",
            "Requests",
            f"Per request {sign}",
        ),
        sort_by=f"Cost {sign}",
        unknown=NO_COSTS,
    )
