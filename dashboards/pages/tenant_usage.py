"""The part of the customer page about usage: what was used, what a unit of it costs, and AI."""

from __future__ import annotations

from dashboards.cells import COLOURED_RISE, COUNT, RATIO, UNIT_PRICE, wide
from dashboards.grafana import Row, row
from dashboards.panels import Panel, Query, override, timeseries
from dashboards.queries import PREVIOUS, TENANT, daily, now
from dashboards.style import BLUE, COMPONENT_COLOURS, PURPLE, Settings
from dashboards.tables import Figure, joined
from dashboards.words import NO_AI, NO_AI_USAGE, NO_MEASURES, NO_REQUESTS, NO_USAGE
from rules.promql import matches, other_than
from unitcost import catalogue as c

MONTH = "30d"


def usage_rows(settings: Settings) -> list[Row]:
    """Return the rows about usage of the chosen customers."""
    return [
        row(8, (10, _usage_table(settings)), (7, _requests()), (7, _cost_per_request(settings))),
        row(8, (8, _other_usage()), (8, _ai_cost(settings)), (8, _ai_per_request(settings))),
    ]


def _usage_table(settings: Settings) -> Panel:
    cost = {before: now(c.TENANT_COST, before=before, tenant=TENANT, window=MONTH) for before in ("", PREVIOUS)}

    def used(before: str = "") -> str:
        return now(c.TENANT_USAGE, ("measure",), before=before, tenant=TENANT, window=MONTH)

    def per_unit(before: str = "") -> str:
        return f"({cost[before]} / on () group_right () ({used(before)} > 0))"

    return joined(
        "Usage of 30 days, and cost per unit",
        "How much of each measure was used in the last 30 complete days, and all cost of these days divided by it;"
        " changes are against the 30 days before.",
        "measure",
        [
            Figure("Used", used(), COUNT | wide(90)),
            Figure("Change", f"{used()} / ({used(PREVIOUS)} > 0) - 1", RATIO | wide(80)),
            Figure(f"Cost of one {settings.sign}", per_unit(), UNIT_PRICE | wide(110)),
            Figure("Its change", f"{per_unit()} / {per_unit(PREVIOUS)} - 1", RATIO | COLOURED_RISE | wide(90)),
        ],
        shown=[("measure", "Measure")],
        overrides=[override("Measure", custom__minWidth=90)],
        sort_by="Used",
        unknown=NO_USAGE,
    )


def _requests() -> Panel:
    return timeseries(
        "Requests by day",
        "Requests of each day (UTC).",
        [Query(daily(c.TENANT_USAGE, tenant=TENANT, measure="requests", window="1d"), "requests")],
        unit="short",
        bars=True,
        calcs=("sum", "mean"),
        bounds=(0, None),
        overrides=[override("requests", fixed_color=BLUE)],
        unknown=NO_REQUESTS,
    )


def _cost_per_request(settings: Settings) -> Panel:
    cost = daily(c.TENANT_COST, tenant=TENANT, window="1d")
    used = daily(c.TENANT_USAGE, tenant=TENANT, measure="requests", window="1d")
    return timeseries(
        "Cost per request by day",
        "All cost of a day divided by its requests.",
        [Query(f"{cost} / ({used} > 0)", "cost per request")],
        unit=settings.money,
        decimals=5,
        calcs=("mean", "lastNotNull"),
        bounds=(0, None),
        overrides=[override("cost per request", fixed_color=PURPLE, custom__lineWidth=2)],
        unknown=NO_REQUESTS,
    )


def _other_usage() -> Panel:
    used = daily(c.TENANT_USAGE, ("measure",), tenant=TENANT, measure=other_than("requests"), window="1d")
    return timeseries(
        "Other usage by day",
        "Every other measure of each day (UTC), each summed over the day; a logarithmic scale, for"
        " measures differ widely.",
        [Query(used, "{{measure}}")],
        unit="short",
        calcs=("sum", "mean"),
        overrides=[override("/.*/", regex=True, custom__scaleDistribution={"type": "log", "log": 10})],
        unknown=NO_MEASURES,
    )


def _ai_cost(settings: Settings) -> Panel:
    ai = daily(c.TENANT_COST, tenant=TENANT, component="ai", window="1d")
    return timeseries(
        "AI cost by day",
        "What models and AI services cost each day, and that as a part of all cost of the day.",
        [
            Query(ai, "AI cost"),
            Query(f"{ai} / ({daily(c.TENANT_COST, tenant=TENANT, window='1d')} > 0)", "part of all cost"),
        ],
        unit=settings.money,
        calcs=("mean", "lastNotNull"),
        bounds=(0, None),
        overrides=[
            override(
                "AI cost", fixed_color=COMPONENT_COLOURS["ai"], custom__drawStyle="bars", custom__fillOpacity=80,
                custom__lineWidth=0,
            ),
            override(
                "part of all cost", fixed_color="text", unit="percentunit", decimals=0, max=1,
                custom__axisPlacement="right",
            ),
        ],
        unknown=NO_AI,
    )  # fmt: skip


def _ai_per_request(settings: Settings) -> Panel:
    ai = daily(c.TENANT_COST, tenant=TENANT, component="ai", window="1d")
    used = daily(c.TENANT_USAGE, ("measure",), tenant=TENANT, measure=matches("ai_.*"), window="1d")
    return timeseries(
        "AI cost per unit of AI usage, by day",
        "AI cost of a day divided by each measure whose name begins with ai_, such as ai_requests.",
        [Query(f"{ai} / on () group_right () ({used} > 0)", "per {{measure}}")],
        unit=settings.money,
        decimals=5,
        calcs=("mean", "lastNotNull"),
        bounds=(0, None),
        overrides=[override("/^per ai/", regex=True, fixed_color=COMPONENT_COLOURS["ai"], custom__lineWidth=2)],
        unknown=NO_AI_USAGE,
    )
