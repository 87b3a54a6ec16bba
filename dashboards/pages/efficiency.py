"""The page about efficiency: idle capacity, cost per request and unit, cost by feature, and what runs right now."""

from __future__ import annotations

from dashboards.cells import COUNT, MONEY, RATIO, UNIT_PRICE, Cell, wide
from dashboards.grafana import column, row, section, table_height
from dashboards.grafana import page as whole_page
from dashboards.pages.dimensions import cost_against_before, cost_by_day
from dashboards.pages.live import live
from dashboards.pages.parts import (
    FEATURE,
    REQUESTS,
    RISE_RATIO,
    ROLLING,
    compared,
    cost_bars,
    dimensions,
    intro,
    periods,
    preselected,
    ratio,
    unlabelled,
)
from dashboards.panels import (
    OUT_OF_SIGHT,
    Json,
    Panel,
    Query,
    Unknown,
    override,
    steps,
    timeseries,
    values_as,
)
from dashboards.queries import BEFORE, PERIOD, by_plan, daily, each_day, now, series
from dashboards.style import BLUE, COMPONENT_COLOURS, NO_PLAN, ORANGE, Settings, component_colours
from dashboards.tables import Figure, Reckoned, joined, page_link
from dashboards.words import NO_COSTS, NO_DIMENSION, NO_REQUESTS, NO_USAGE
from rules.promql import Match, matches, other_than
from unitcost.days import DAY
from unitcost.metrics import catalogue as c
from unitcost.metrics.external import CLUSTER
from unitcost.metrics.metric import Metric

UID = "unitcost-efficiency"
IDLE = "idle"
CAPACITY = matches("compute|gpu|idle")
UNSEEN: Cell = {"custom__hideFrom": OUT_OF_SIGHT}
PRICE: Cell = UNIT_PRICE | wide(90)
PRICE_RISE: Cell = RISE_RATIO | {"decimals": 1, "noValue": "-"} | wide(85)
NO_COMMITMENTS = Unknown(
    "no list prices",
    "No list prices are known: a bill tells them in its column ListCost, and commitments with `cost: EffectiveCost`.",
)
NO_CLUSTER = Unknown("no cluster", "No cost of a cluster is known: add a source of type opencost to unitcost.yaml.")


def page(settings: Settings) -> Json:
    """Return the page."""
    plans, units = table_height(5), table_height(3)
    board = whole_page(
        UID,
        "Efficiency",
        "What is paid for and not used, what a request costs, and what runs right now.",
        [
            row(2, (24, _intro())),
            row(5, *((6, panel) for panel in _headlines(settings))),
            row(11, (14, _capacity(settings)), (10, column((7, _idle_share()), (4, _clusters(settings))))),
            row(
                plans + units,
                (13, _per_request(settings)),
                (11, column((plans, _plans(settings)), (units, _units(settings)))),
            ),
            section("Commitments and list prices"),
            row(7, (13, _unused(settings)), (11, _saved(settings))),
            section("By dimension: the whole company, before sharing"),
            row(11, (13, _by_dimension(settings)), (11, _dimension_changes(settings))),
            row(8, (24, _per_thousand(settings))),
            *live(settings),
        ],
        variables=[periods(settings), dimensions()],
    )
    return preselected(board, "dimension", FEATURE)


def _intro() -> Panel:
    return intro(
        "All is of the whole company. Idle is what nodes cost beyond what pods request or use, whichever is"
        " more: smaller or fewer nodes would save it."
    )


def _platform(component: str | Match, window: str) -> str:
    return now(c.PLATFORM_COST, component=component, window=window)


def _headlines(settings: Settings) -> list[Panel]:
    return [
        compared(
            "Idle cost",
            "What nodes cost beyond what pods request or use.",
            lambda window: _platform(IDLE, window),
            unit=settings.exact,
            decimals=0,
        ),
        compared(
            "Idle share of compute",
            "Idle cost divided by the cost of compute, gpu and idle together.",
            lambda window: ratio(_platform(IDLE, window), _platform(CAPACITY, window)),
            unit="percentunit",
            decimals=1,
            points=True,
        ),
        compared(
            "Cost per request",
            "The company's cost divided by all requests.",
            lambda window: now(c.PLATFORM_COST_PER_REQUEST, window=window),
            unit=settings.exact,
            decimals=5,
            unknown=NO_REQUESTS,
        ),
        compared(
            "Requests",
            "All requests of all customers.",
            lambda window: now(c.PLATFORM_USAGE, measure=REQUESTS, window=window),
            unit="locale",
            decimals=0,
            bad_up=False,
            unknown=NO_REQUESTS,
        ),
    ]


BY_CLUSTER = page_link("By cluster", UID, "period", dimension=CLUSTER)


def _capacity(settings: Settings) -> Panel:
    return cost_bars(
        settings,
        "Compute per day: worked and idle",
        "Each day's cost of compute, gpu and idle on that day. Where idle grows and compute does not, nodes were"
        " added for nothing.",
        [Query(f"{daily(c.PLATFORM_COST, ('component',), component=CAPACITY, window=DAY)} > 0", "{{component}}")],
        overrides=component_colours(),
        links=[BY_CLUSTER],
    )


def _idle_share() -> Panel:
    idle = series(c.PLATFORM_COST, component=IDLE, window=DAY)
    capacity = series(c.PLATFORM_COST, component=CAPACITY, window=DAY)
    return timeseries(
        "Idle share of compute, per day",
        "Each day's idle cost divided by that of compute, gpu and idle together. Dashed from 30 %: more is worth a"
        " look at the sizes of nodes and at the autoscaler.",
        [Query(each_day(ratio, idle, capacity), "idle share")],
        unit="percentunit",
        fill=20,
        legend="hidden",
        bounds=(0, None),
        thresholds=steps((None, "transparent"), (0.3, ORANGE)),
        threshold_lines=True,
        overrides=[override("idle share", fixed_color=COMPONENT_COLOURS[IDLE], custom__lineWidth=2)],
        links=[BY_CLUSTER],
        unknown=NO_COSTS,
    )


def _clusters(settings: Settings) -> Panel:
    clusters = other_than("__unallocated__")

    def cost(component: str | Match, window: str) -> str:
        return now(c.DIMENSION_COST, ("value",), dimension=CLUSTER, value=clusters, component=component, window=window)

    before, idle, whole = f"Before {settings.sign}", f"Idle {settings.sign}", f"Compute {settings.sign}"
    return joined(
        "Idle by cluster",
        "Each cluster's idle cost, that of the period before, and its part of compute, gpu and idle together.",
        "value",
        [
            Figure(whole, cost(CAPACITY, PERIOD), MONEY | wide(90)),
            Figure(before, cost(IDLE, BEFORE), MONEY | wide(85)),
            Figure(idle, cost(IDLE, PERIOD), MONEY | wide(80)),
        ],
        reckoned=[Reckoned("Idle %", idle, "/", whole, RATIO | wide(70))],
        shown=[("value", "Cluster")],
        overrides=[override("Cluster", links=[BY_CLUSTER], custom__minWidth=100)],
        sort_by=idle,
        unknown=NO_CLUSTER,
    )


def _per_request(settings: Settings) -> Panel:
    each, smooth = "of the day", "30 days until it"
    return timeseries(
        "Cost per request, per day",
        "The company's cost divided by the requests: of each day, and of the 30 days that end with it, which a quiet"
        " weekend does not move. It tells growth from waste.",
        [
            Query(daily(c.PLATFORM_COST_PER_REQUEST, window=DAY), each),
            Query(daily(c.PLATFORM_COST_PER_REQUEST, window=ROLLING), smooth),
        ],
        unit=settings.exact,
        decimals=5,
        calcs=("lastNotNull", "min", "max"),
        bounds=(0, None),
        overrides=[
            override(each, fixed_color=BLUE, custom__lineWidth=1),
            override(smooth, fixed_color="text", custom__lineWidth=3),
        ],
        unknown=NO_REQUESTS,
    )


def _prices(sign: str) -> tuple[list[str], list[Reckoned]]:
    """Return the headers of prices (before, now) and the columns that Grafana reckons of them."""
    earlier, later = f"Before {sign}", f"Now {sign}"
    change = [
        Reckoned("Change", later, "-", earlier, UNSEEN),
        Reckoned("Change %", "Change", "/", earlier, PRICE_RISE),
    ]
    return [earlier, later], change


def _plans(settings: Settings) -> Panel:
    def of_plans(metric: Metric, window: str, **labels: str) -> str:
        return by_plan(now(metric, ("tenant",), window=window, **labels))

    (earlier, later), change = _prices(settings.sign)
    nothing = {"mappings": values_as({"Infinity": "-", "NaN": "-"})}
    return joined(
        "Cost per request, by plan",
        "Cost of each plan's customers, shared costs included, divided by their requests, against the period before;"
        " the plans are those of now.",
        "plan",
        [
            Figure("Requests", of_plans(c.TENANT_USAGE, PERIOD, measure=REQUESTS), COUNT | wide(105)),
            Figure("Cost", of_plans(c.TENANT_COST, PERIOD), UNSEEN),
            Figure("Cost before", of_plans(c.TENANT_COST, BEFORE), UNSEEN),
            Figure("Requests before", of_plans(c.TENANT_USAGE, BEFORE, measure=REQUESTS), UNSEEN),
        ],
        reckoned=[
            Reckoned(earlier, "Cost before", "/", "Requests before", PRICE | nothing),
            Reckoned(later, "Cost", "/", "Requests", PRICE | nothing),
            *change,
        ],
        shown=[("plan", "Plan")],
        overrides=[override("Plan", mappings=NO_PLAN, custom__minWidth=85)],
        sort_by=later,
        unknown=NO_REQUESTS,
    )


def _units(settings: Settings) -> Panel:
    def price(window: str) -> str:
        used = now(c.PLATFORM_USAGE, ("measure",), window=window)
        return f"scalar({now(c.PLATFORM_COST, window=window)}) / ({used} > 0)"

    (earlier, later), change = _prices(settings.sign)
    return joined(
        "Cost per unit",
        "The whole company's cost divided by each measure of usage, against the period before: not what the measure"
        " causes, but what a unit of it has to bring in. A measure is summed over the days.",
        "measure",
        [
            Figure("Units", now(c.PLATFORM_USAGE, ("measure",), window=PERIOD), COUNT | wide(125)),
            Figure(earlier, price(BEFORE), PRICE),
            Figure(later, price(PERIOD), PRICE),
        ],
        reckoned=change,
        shown=[("measure", "Measure")],
        overrides=[override("Measure", custom__minWidth=105)],
        sort_by=later,
        unknown=NO_USAGE,
    )


def _unused(settings: Settings) -> Panel:
    return cost_bars(
        settings,
        "Commitments not used, per day",
        "What was paid each day for savings plans and reservations that nothing ran on, by what they were bought for.",
        [Query(f"{daily(c.COMMITMENT_WASTE, ('component',), window=DAY)} > 0", "{{component}}")],
        overrides=component_colours(),
        unknown=NO_COMMITMENTS,
    )


def _saved(settings: Settings) -> Panel:
    def told(metric: Metric) -> str:
        return now(metric, ("component",), window=PERIOD)

    saved, unused = f"Saved {settings.sign}", f"Not used {settings.sign}"
    return joined(
        "Saved below list prices",
        "What use cost below the bills' list prices, by component, whatever the reason: negotiated prices, commitments,"
        " spot. Beside it what was committed to and not used, which that does not take off.",
        "component",
        [
            Figure(saved, told(c.COMMITMENT_SAVINGS), MONEY | wide(100)),
            Figure(unused, told(c.COMMITMENT_WASTE), MONEY | wide(100)),
        ],
        reckoned=[Reckoned(f"Net {settings.sign}", saved, "-", unused, MONEY | wide(100))],
        shown=[("component", "Component")],
        overrides=[override("Component", custom__minWidth=105)],
        sort_by=saved,
        unknown=NO_COMMITMENTS,
    )


def _by_dimension(settings: Settings) -> Panel:
    return cost_by_day(
        settings,
        "Cost per day, by the chosen dimension",
        "The whole company's cost before sharing, by the dimension chosen at the top; each day's cost on that day."
        " What bears no label is there too, so the total is all cost.",
    )


def _dimension_changes(settings: Settings) -> Panel:
    return cost_against_before(
        settings,
        "Cost by the chosen dimension",
        "The whole company's cost before sharing, by the dimension chosen at the top, against the period before,"
        " largest change first.",
    )


def _per_thousand(settings: Settings) -> Panel:
    def reckon(cost: str, requests: str) -> str:
        return f"(1000 * {cost} / on () group_left () ({requests} > 0))"

    cost = series(c.DIMENSION_COST, ("value",), dimension="$dimension", window=DAY)
    requests = series(c.PLATFORM_USAGE, measure=REQUESTS, window=DAY)
    return timeseries(
        "What 1,000 requests cost per day, by the chosen dimension",
        "Each day's cost of a value of the dimension divided by all the company's requests of the day, times 1,000:"
        " the lines add up to what 1,000 requests cost before sharing, so the one that rises made them dearer.",
        [Query(each_day(reckon, cost, requests), "{{value}}")],
        unit=settings.money,
        decimals=3,
        legend="right",
        calcs=("lastNotNull", "min", "max"),
        bounds=(0, None),
        overrides=[unlabelled()],
        links=[page_link("AI", "unitcost-ai", "period", "dimension")],
        unknown=NO_DIMENSION,
    )
