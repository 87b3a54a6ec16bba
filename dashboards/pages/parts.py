"""What pages share: their variables, figures with what they are compared with, and small expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dashboards.cells import CHANGE_RATIO, COLOURED_RISE, MONEY, Cell, wide
from dashboards.grafana import Choice, Variable
from dashboards.panels import GREY, Json, Panel, Query, Unknown, override, stat, steps, text, timeseries, values_as
from dashboards.queries import BEFORE, PERIOD, Read, each_day, info, of_tenants
from dashboards.style import GREEN, RED, Settings, component_colours
from dashboards.tables import Reckoned, calculation, page_link
from dashboards.words import NO_COSTS
from rules.promql import Match
from unitcost.days import DAY, LAST_MONTH, MONTH, MTD, day_count
from unitcost.metrics.catalogue import (
    ALLOCATED_COST,
    BILL,
    DIMENSION_COST,
    PLATFORM_COST,
    TENANT_COST,
    TENANT_REVENUE,
    TENANT_USAGE,
)
from unitcost.metrics.metric import Metric

ROLLING = MONTH
"""The window of graphs of ratios that single days would make restless."""
FEATURE = "feature"
AI = "ai"
REQUESTS, AI_REQUESTS = "requests", "ai_requests"
UNLABELLED = "__unallocated__"
NOT_LABELLED = "not labelled"

PLAIN = steps((None, "text"))
RISE: Cell = MONEY | COLOURED_RISE
RISE_RATIO: Cell = CHANGE_RATIO

PERIODS = {MONTH: "Last 30 days", MTD: "This month", LAST_MONTH: "Last month", DAY: "Yesterday"}


def intro(more: str) -> Panel:
    """Return what a page says first: what its period is for, in two lines of a phone, and more as its description."""
    return text(
        "**Period**: figures and tables, each beside the period before. Graphs: the time range. Days: UTC.", more
    )


def periods(settings: Settings) -> Choice:
    """Return the choice of the period that figures and tables are of: the windows that are served, 30 days first."""
    served = [name for name in PERIODS if name in settings.windows]
    others = [name for name in settings.windows if name not in PERIODS]
    texts = PERIODS | {name: f"Last {day_count(name)} days" for name in others}
    return Choice("period", "Period", tuple((name, texts[name]) for name in [*served, *others]))


def tenants() -> Variable:
    """Return the choice of customers by their names; All is short however many there are.

    Grafana writes what is found as {name="Acme Corp",tenant="acme"} 1 1795822798000, labels in the alphabet's order and
    quotes in names as they are. A customer without a name is shown by its id.
    """
    return Variable(
        "tenant",
        "Customer",
        f"query_result({info('name')})",
        multi=True,
        all_regex=".*",
        regex=r'/^\{(?:name="(?<text>.*)",)?tenant="(?<value>.*)"\} \S+ \S+$/',
    )


def dimensions() -> Variable:
    """Return the choice of a dimension; left alone, Grafana begins with the first in the alphabet: see preselected."""
    return Variable("dimension", "Dimension", f"label_values({DIMENSION_COST.name}, dimension)")


def preselected(board: Json, variable: str, value: str) -> Json:
    """Let a page open with a value of a variable; where the data source does not know it, Grafana takes the first."""
    for entry in board["templating"]["list"]:
        if entry["name"] == variable:
            entry["current"] = {"selected": True, "text": value, "value": value}
    return board


IN_PERIOD, EARLIER, AGAINST, POINTS = "period", "before", "change", "change, points"
LEAST = 0.0005
"""A change of less than what its last digit can say has no colour."""


def compared(
    title: str,
    description: str,
    made: Callable[[str], str | Sequence[str]],
    *,
    unit: str,
    decimals: int,
    bad_up: bool | None = True,
    points: bool = False,
    thresholds: Sequence[Json] = PLAIN,
    unknown: Unknown = NO_COSTS,
    links: Sequence[Json] = (),
) -> Panel:
    """Return a figure of the period over its change against the period before; without one, there is no change.

    made: from a window to what gives the figure: an expression, or several of which one gives something. points: the
    figure is a ratio, and its change a difference of percentage points. bad_up: more is worse; None: neither.
    """
    queries = []
    for window, name in ((PERIOD, IN_PERIOD), (BEFORE, EARLIER)):
        found = made(window)
        queries += [Query(expr, name) for expr in ([found] if isinstance(found, str) else found)]
    change = POINTS if points else AGAINST
    worse, better = ("text", "text") if bad_up is None else (RED, GREEN) if bad_up else (GREEN, RED)
    reckoned = [Reckoned(POINTS if points else "difference", IN_PERIOD, "-", EARLIER)]
    if not points:
        reckoned.append(Reckoned(AGAINST, "difference", "/", EARLIER))
    return stat(
        title,
        f"{description} Below: the change against the period before.",
        queries,
        unit=unit,
        decimals=decimals,
        thresholds=thresholds,
        names=True,
        text_size=(12, 22),
        overrides=[
            override(
                change,
                unit="percentunit",
                decimals=1,
                thresholds=steps((None, better), (-LEAST, "text"), (LEAST, worse)),
                mappings=values_as({"Infinity": "new", "NaN": "-"}),
            )
        ],
        transformations=[
            {"id": "joinByField", "options": {"byField": "Time", "mode": "outer"}},
            *map(calculation, reckoned),
            {
                "id": "organize",
                "options": {
                    "excludeByName": {EARLIER: True, "difference": True},
                    "includeByName": {},
                    "indexByName": {},
                    "renameByName": {},
                },
            },
        ],
        links=links,
        unknown=unknown,
    )


def cost_bars(
    settings: Settings,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    overrides: Sequence[Json] = (),
    links: Sequence[Json] = (),
    unknown: Unknown = NO_COSTS,
) -> Panel:
    """Return a bar a day of what makes up its cost, with the sums of the chosen range beside it."""
    return timeseries(
        title,
        description,
        queries,
        unit=settings.money,
        stacked=True,
        bars=True,
        legend="right",
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=overrides,
        links=links,
        unknown=unknown,
    )


def figure(
    title: str,
    description: str,
    expr: str | Sequence[str],
    unknown: Unknown,
    *,
    unit: str = "none",
    decimals: int | None = 0,
    thresholds: Sequence[Json] = PLAIN,
    mappings: Sequence[Json] = (),
    legend: str = "",
    size: int | None = 28,
) -> Panel:
    """Return a large figure of now. expr: or several of which one gives something. size: in pixels, None to fill it."""
    every = [expr] if isinstance(expr, str) else expr
    return stat(
        title,
        description,
        [Query(one, legend or title) for one in every],
        unit=unit,
        decimals=decimals,
        thresholds=thresholds,
        mappings=mappings,
        text_size=(None, size),
        unknown=unknown,
    )


def sums(settings: Settings, read: Callable[[Metric], str]) -> Panel:
    """Return what customers cost and what nobody bears beside what the sources brought in, with a verdict.

    read: from a metric to its sum in the window that the page is about.
    """
    customers, served, billed = read(ALLOCATED_COST), read(PLATFORM_COST), read(BILL)
    cents = "round({}, 0.01)".format
    return stat(
        "Does it add up to the invoices?",
        "What the customers cost, shared costs included, and what found neither a customer nor a sharing rule, which"
        " takes the cent that rounding leaves; together they are what the sources brought in. Exact: to the cent. The"
        " page Month close tells it by source, component and customer.",
        [
            Query(cents(customers), "customers"),
            Query(f"{cents(billed)} - {cents(customers)}", "+ no customer"),
            Query(cents(billed), "= invoices"),
            Query(cents(f"abs({served} - {billed})"), "verdict"),
        ],
        unit=settings.exact,
        decimals=2,
        names=True,
        text_size=(13, 16),
        overrides=[override("verdict", mappings=values_as({"0": ("exact", GREEN)}), thresholds=steps((None, RED)))],
        unknown=NO_COSTS,
    )


def ratio(part: str, whole: str) -> str:
    """Return a part of a whole; nothing where the whole is 0."""
    return f"({part}/({whole}>0))"


def margin_ratio(cost: str, revenue: str) -> str:
    """Return what is left of each dollar of revenue; nothing where there is none."""
    return f"(1-{cost}/({revenue}>0))"


def queries_of(make: Callable[[Read], str], legend: str) -> list[Query]:
    """Return a graph's two queries over costs of the chosen customers, of which one gives something."""
    return [Query(expr, legend) for expr in of_tenants(make)]


def margin_by_day(read: Read, **labels: str | Match) -> str:
    """Return the margin ratio over 30 days up to each day, with the costs of these labels."""
    revenue = read.with_cost(TENANT_REVENUE, window=ROLLING)
    return each_day(margin_ratio, read.series((), metric=TENANT_COST, window=ROLLING, **labels), revenue)


def cost_of_one(read: Read, measure: str, **labels: str | Match) -> str:
    """Return what one unit of a measure cost each day: costs of these labels, divided."""
    return each_day(
        ratio,
        read.series((), metric=TENANT_COST, window=DAY, **labels),
        read.with_cost(TENANT_USAGE, measure=measure, window=DAY),
    )


def changes_of(sign: str, earlier: str, later: str, cell: Cell = MONEY) -> tuple[Reckoned, Reckoned]:
    """Return the columns that Grafana reckons from these two: the change, and its part of the earlier."""
    change = f"Change {sign}"
    return (
        Reckoned(change, later, "-", earlier, cell | COLOURED_RISE | wide(90)),
        Reckoned("Change %", change, "/", earlier, RISE_RATIO | wide(85)),
    )


EFFICIENCY_PAGE = page_link("Efficiency", "unitcost-efficiency", "period")
AI_PAGE = page_link("AI", "unitcost-ai", "period")
"""Where to look next for what a component costs."""


def components(ai_page: Json = AI_PAGE) -> list[Json]:
    """Return the overrides of series by component: each its colour, and ai its own page to look at next."""
    return [*component_colours(), override(AI, links=[ai_page])]


def unlabelled() -> Json:
    """Return the override that says in words what costs without a value of a dimension are."""
    return override(UNLABELLED, displayName=NOT_LABELLED, fixed_color=GREY)


def unlabelled_row(header: str) -> Json:
    """Return the same for a column of such values."""
    return override(header, mappings=values_as({UNLABELLED: NOT_LABELLED}), custom__minWidth=110)
