"""The page about efficiency: idle capacity, cost per request and unit, cost by feature, and what runs right now."""

from __future__ import annotations

from dashboards.cells import COUNT, UNIT_PRICE, Cell, wide
from dashboards.grafana import Column, column, row, section, table_height
from dashboards.grafana import page as whole_page
from dashboards.pages.dimensions import cost_against_before, cost_by_day
from dashboards.pages.live import live
from dashboards.pages.parts import (
    DAY,
    FEATURE,
    MONTH,
    RISE_RATIO,
    at_end_with,
    dimensions,
    growth,
    moving,
    plan_in_words,
    preselected,
    ratio,
    unlabelled,
)
from dashboards.panels import Json, Panel, Query, override, steps, text, timeseries
from dashboards.queries import PREVIOUS, daily, latest, now, total, with_plan
from dashboards.style import COMPONENT_COLOURS, NO_PLAN, ORANGE, Settings, component_colours
from dashboards.tables import Figure, Reckoned, joined
from dashboards.words import NO_COSTS, NO_DIMENSION, NO_REQUESTS, NO_USAGE
from rules.promql import Match, matches, over, select
from unitcost import catalogue as c

UID = "unitcost-efficiency"
IDLE = "idle"
PRICE_RISE: Cell = RISE_RATIO | {"decimals": 1, "noValue": "-"} | wide(105)
CAPACITY = matches("compute|gpu|idle")


def page(settings: Settings) -> Json:
    """Return the page."""
    board = whole_page(
        UID,
        "Efficiency",
        "What is paid for and not used, what a request costs, and what runs right now.",
        [
            row(2, (24, _intro())),
            row(6, *((6, pair) for pair in _headlines(settings))),
            row(10, (14, _capacity(settings)), (10, _idle_share())),
            row(
                table_height(4) + table_height(3),
                (14, _per_request(settings)),
                (10, column((table_height(4), _plans(settings)), (table_height(3), _units(settings)))),
            ),
            section("By $dimension: the whole company, before shared costs are divided among customers"),
            row(11, (14, _by_dimension(settings)), (10, _dimension_changes(settings))),
            row(8, (24, _per_thousand(settings))),
            *live(settings),
        ],
        variables=[dimensions()],
    )
    return preselected(board, "dimension", FEATURE)


def _intro() -> Panel:
    return text(
        "All figures are of the whole company. **30 days** are the last 30 complete days (UTC), compared with the 30"
        " before them. **Idle** is what the cluster's nodes cost beyond what pods request or use, whichever is more:"
        " smaller or fewer nodes would save it."
    )


def _platform(component: str | Match, before: str = "") -> str:
    return now(c.PLATFORM_COST, before=before, component=component, window=MONTH)


def _headlines(settings: Settings) -> list[Column]:
    idle = daily(c.PLATFORM_COST, component=IDLE, window=MONTH)
    capacity = daily(c.PLATFORM_COST, component=CAPACITY, window=MONTH)
    return [
        moving(
            "Idle cost, 30 days",
            "What nodes cost beyond what pods request or use.",
            idle,
            _platform(IDLE),
            _platform(IDLE, before=PREVIOUS),
            unit=settings.money,
            decimals=2,
        ),
        moving(
            "Idle share of compute",
            "Idle cost divided by the cost of compute, gpu and idle together.",
            ratio(idle, capacity),
            ratio(_platform(IDLE), _platform(CAPACITY)),
            ratio(_platform(IDLE, before=PREVIOUS), _platform(CAPACITY, before=PREVIOUS)),
            unit="percentunit",
            decimals=1,
            points=True,
        ),
        moving(
            "Cost per request",
            "The company's cost of the 30 days divided by all requests in them.",
            daily(c.PLATFORM_COST_PER_REQUEST, window=MONTH),
            now(c.PLATFORM_COST_PER_REQUEST, window=MONTH),
            now(c.PLATFORM_COST_PER_REQUEST, window=MONTH, before=PREVIOUS),
            unit=settings.money,
            decimals=5,
            unknown=NO_REQUESTS,
        ),
        moving(
            "Requests, 30 days",
            "All requests of all customers.",
            daily(c.TENANT_USAGE, measure="requests", window=MONTH),
            now(c.TENANT_USAGE, measure="requests", window=MONTH),
            now(c.TENANT_USAGE, measure="requests", window=MONTH, before=PREVIOUS),
            unit="short",
            decimals=2,
            bad_up=False,
            unknown=NO_REQUESTS,
        ),
    ]


def _capacity(settings: Settings) -> Panel:
    return timeseries(
        "Compute per day: worked and idle",
        "Each day's cost of compute, gpu and idle on that day. Where idle grows and compute does not, nodes were"
        " added for nothing.",
        [
            Query(
                f"{daily(c.PLATFORM_COST, ('component',), component=CAPACITY, window=DAY)} > 0",
                "{{component}}",
            )
        ],
        unit=settings.money,
        stacked=True,
        bars=True,
        legend="right",
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=component_colours(),
        unknown=NO_COSTS,
    )


def _idle_share() -> Panel:
    idle = daily(c.PLATFORM_COST, component=IDLE, window=DAY)
    capacity = daily(c.PLATFORM_COST, component=CAPACITY, window=DAY)
    return timeseries(
        "Idle share of compute, per day",
        "Each day's idle cost divided by that of compute, gpu and idle together. Dashed from 30 %: more is worth a"
        " look at the sizes of nodes and at the autoscaler.",
        [Query(ratio(idle, capacity), "idle share")],
        unit="percentunit",
        fill=20,
        legend="hidden",
        bounds=(0, None),
        thresholds=steps((None, "transparent"), (0.3, ORANGE)),
        threshold_lines=True,
        overrides=[override("idle share", fixed_color=COMPONENT_COLOURS[IDLE], custom__lineWidth=2)],
        unknown=NO_COSTS,
    )


def _by_plan(metric: c.Metric, *, before: str = "", **labels: str) -> str:
    """Return a metric of 30 days by plan; the plans are those of now."""
    selector = select(metric, window=MONTH, **labels)
    series = total(metric, ("tenant",), latest(selector, before=before))
    return over("sum", ("plan",), with_plan(series))


def _plan_price(before: str = "") -> str:
    """Return cost divided by requests, by plan."""
    return ratio(_by_plan(c.TENANT_COST, before=before), _by_plan(c.TENANT_USAGE, before=before, measure="requests"))


def _per_request(settings: Settings) -> Panel:
    used = daily(c.TENANT_USAGE, ("tenant",), measure="requests", window=DAY)
    # One series a customer; the costs themselves are one for each component, too many for a graph of 90 days.
    cost = at_end_with("plan", f"({daily(c.COST_PER_REQUEST, ('tenant',), window=DAY)} * {used})")
    requests = at_end_with("plan", used)
    by_plan = ratio(over("sum", ("plan",), cost), over("sum", ("plan",), requests))
    return timeseries(
        "Cost per request, per day",
        "Each day's cost divided by the requests of the day: of the whole company, and of those customers of each plan"
        " that made requests, with their part of shared costs; plans are those at the end of the range. It tells growth"
        " from waste.",
        [
            Query(daily(c.PLATFORM_COST_PER_REQUEST, window=DAY), "whole company"),
            Query(plan_in_words(by_plan), "{{plan}}"),
        ],
        unit=settings.money,
        decimals=5,
        calcs=("lastNotNull", "min", "max"),
        legend="right",
        bounds=(0, None),
        overrides=[override("whole company", fixed_color="text", custom__lineWidth=3)],
        unknown=NO_REQUESTS,
    )


def _plans(settings: Settings) -> Panel:
    sign = settings.sign
    current, before = _plan_price(), _plan_price(PREVIOUS)
    price = UNIT_PRICE | wide(105)
    return joined(
        "Cost per request by plan, against the 30 days before",
        "Cost of each plan's customers, shared costs included, divided by their requests, of the 30 days and of the"
        " 30 before; the plans are those of now.",
        "plan",
        [
            Figure("Requests", _by_plan(c.TENANT_USAGE, measure="requests"), COUNT | wide(120)),
            Figure(f"Before {sign}", before, price),
            Figure(f"Now {sign}", current, price),
        ],
        reckoned=[
            Reckoned("Change", f"Now {sign}", "-", f"Before {sign}", {"custom__hidden": True}),
            Reckoned("Change %", "Change", "/", f"Before {sign}", PRICE_RISE),
        ],
        shown=[("plan", "Plan")],
        overrides=[override("Plan", mappings=NO_PLAN)],
        sort_by=f"Now {sign}",
        unknown=NO_REQUESTS,
    )


def _per_measure(before: str = "") -> str:
    """Return the company's cost divided by each measure of usage."""
    used = now(c.TENANT_USAGE, ("measure",), before=before, window=MONTH)
    return f"(scalar({now(c.PLATFORM_COST, before=before, window=MONTH)}) / ({used} > 0))"


def _units(settings: Settings) -> Panel:
    sign = settings.sign
    price = UNIT_PRICE | wide(105)
    return joined(
        "Cost per unit, against the 30 days before",
        "The whole company's cost divided by each measure of usage: not what the measure causes, but what a unit of"
        " it has to bring in. A measure is summed over the days.",
        "measure",
        [
            Figure("Units", now(c.TENANT_USAGE, ("measure",), window=MONTH), COUNT | wide(120)),
            Figure(f"Before {sign}", _per_measure(PREVIOUS), price),
            Figure(f"Now {sign}", _per_measure(), price),
            Figure(
                "Change %",
                growth(_per_measure(), _per_measure(PREVIOUS)),
                PRICE_RISE,
            ),
        ],
        shown=[("measure", "Measure")],
        sort_by=f"Now {sign}",
        unknown=NO_USAGE,
    )


def _by_dimension(settings: Settings) -> Panel:
    return cost_by_day(
        settings,
        "Cost per day, by $dimension",
        "The whole company's cost before sharing, by the dimension chosen at the top; each day's cost on that day."
        " What bears no label is there too, so the total is all cost.",
    )


def _dimension_changes(settings: Settings) -> Panel:
    return cost_against_before(
        settings,
        "Cost by $dimension, against the 30 days before",
        "The whole company's cost of the 30 days before sharing, by the dimension chosen at the top, largest change"
        " first.",
    )


def _per_thousand(settings: Settings) -> Panel:
    cost = daily(c.DIMENSION_COST, ("value",), dimension="$dimension", window=DAY)
    requests = daily(c.TENANT_USAGE, measure="requests", window=DAY)
    return timeseries(
        "What 1,000 requests cost per day, by $dimension",
        "Each day's cost of a value of the dimension divided by all the company's requests of the day, times 1,000:"
        " the lines add up to what 1,000 requests cost before sharing, so the one that rises made them dearer.",
        [Query(f"1000 * {cost} / on () group_left () ({requests} > 0)", "{{value}}")],
        unit=settings.money,
        decimals=3,
        legend="right",
        calcs=("lastNotNull", "min", "max"),
        bounds=(0, None),
        overrides=[unlabelled()],
        unknown=NO_DIMENSION,
    )
