"""The part of the customer page about usage: what was used, what a unit of it costs, and AI."""

from __future__ import annotations

from dashboards.cells import CHANGE_RATIO, COUNT, UNIT_PRICE, UNSEEN, Cell, wide
from dashboards.grafana import Row, row
from dashboards.pages.parts import AI, AI_REQUESTS, EFFICIENCY_PAGE, PLAIN, REQUESTS, cost_of_one, queries_of
from dashboards.panels import Panel, override, timeseries
from dashboards.queries import BEFORE, PERIOD, TENANT, now, of_tenants
from dashboards.style import BLUE, COMPONENT_COLOURS, PURPLE, Settings
from dashboards.tables import Figure, Reckoned, joined, page_link
from dashboards.words import NO_AI, NO_AI_REQUESTS, NO_MEASURES, NO_REQUESTS, NO_USAGE
from rules.promql import other_than
from unitcost.days import DAY
from unitcost.metrics import catalogue as c

TO_AI = page_link("AI", "unitcost-ai", "tenant", "period")


def usage_rows(settings: Settings) -> list[Row]:
    """Return the rows about usage of the chosen customers."""
    return [
        row(9, (11, _usage_table(settings)), (6, _requests()), (7, _cost_per_request(settings))),
        row(9, (8, _other_usage()), (8, _ai_cost(settings)), (8, _ai_per_request(settings))),
    ]


def _usage_table(settings: Settings) -> Panel:
    its_change: Cell = CHANGE_RATIO | {"displayName": "Its change"} | wide(90)
    price = f"Cost of one {settings.sign}"

    def used(window: str) -> str:
        return now(c.TENANT_USAGE, ("measure",), tenant=TENANT, window=window)

    def prices(window: str) -> tuple[str, str]:
        return of_tenants(lambda costs: f"{costs.now(window=window)} / on () group_right () ({used(window)} > 0)")

    figures = [Figure("Before", used(BEFORE), UNSEEN), Figure("Used", used(PERIOD), COUNT | wide(125))]
    reckoned = [
        Reckoned("More", "Used", "-", "Before", UNSEEN),
        Reckoned("Change", "More", "/", "Before", CHANGE_RATIO | {"thresholds": PLAIN} | wide(70)),
    ]
    for whose, earlier, later in zip(("", " of all"), prices(BEFORE), prices(PERIOD), strict=True):
        before, dearer = f"{price}{whose} before", f"Dearer{whose}"
        figures += [
            Figure(before, earlier, UNSEEN),
            Figure(f"{price}{whose}", later, UNIT_PRICE | {"displayName": price} | wide(110)),
        ]
        reckoned += [
            Reckoned(dearer, f"{price}{whose}", "-", before, UNSEEN),
            Reckoned(f"Its change{whose}", dearer, "/", before, its_change),
        ]
    return joined(
        "Usage, and cost per unit",
        "How much of each measure was used in the period, and all cost of the period divided by it; changes are against"
        " the period before.",
        "measure",
        figures,
        reckoned=reckoned,
        shown=[("measure", "Measure")],
        order=["Measure", "Used", "Change", price, f"{price} of all", "Its change", "Its change of all"],
        overrides=[override("Measure", custom__minWidth=100)],
        sort_by="Used",
        unknown=NO_USAGE,
    )


def _requests() -> Panel:
    return timeseries(
        "Requests by day",
        "Requests of each day (UTC).",
        queries_of(lambda read: read.daily(metric=c.TENANT_USAGE, measure=REQUESTS, window=DAY), "requests"),
        unit="short",
        bars=True,
        calcs=("sum", "mean"),
        bounds=(0, None),
        overrides=[override("requests", fixed_color=BLUE)],
        links=[EFFICIENCY_PAGE],
        unknown=NO_REQUESTS,
    )


def _cost_per_request(settings: Settings) -> Panel:
    return timeseries(
        "Cost per request by day",
        "All cost of a day divided by its requests.",
        queries_of(lambda read: cost_of_one(read, REQUESTS), "cost per request"),
        unit=settings.money,
        decimals=5,
        calcs=("mean", "lastNotNull"),
        bounds=(0, None),
        overrides=[override("cost per request", fixed_color=PURPLE, custom__lineWidth=2)],
        links=[EFFICIENCY_PAGE],
        unknown=NO_REQUESTS,
    )


def _other_usage() -> Panel:
    others = other_than(REQUESTS)
    return timeseries(
        "Other usage by day",
        "Every other measure of each day (UTC), each summed over the day; a logarithmic scale, for"
        " measures differ widely.",
        queries_of(
            lambda read: read.daily(("measure",), metric=c.TENANT_USAGE, measure=others, window=DAY), "{{measure}}"
        ),
        unit="short",
        calcs=("sum", "mean"),
        overrides=[override("/.*/", regex=True, custom__scaleDistribution={"type": "log", "log": 10})],
        unknown=NO_MEASURES,
    )


def _ai_cost(settings: Settings) -> Panel:
    return timeseries(
        "AI cost by day",
        "What models and AI services cost each day, shared AI costs included.",
        queries_of(lambda costs: costs.daily(component=AI, window=DAY), "AI cost"),
        unit=settings.money,
        bars=True,
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=[override("AI cost", fixed_color=COMPONENT_COLOURS[AI])],
        links=[TO_AI],
        unknown=NO_AI,
    )


def _ai_per_request(settings: Settings) -> Panel:
    return timeseries(
        "AI cost per AI request by day",
        "AI cost of a day divided by its AI requests.",
        queries_of(lambda read: cost_of_one(read, AI_REQUESTS, component=AI), "AI cost per AI request"),
        unit=settings.money,
        decimals=5,
        calcs=("mean", "lastNotNull"),
        bounds=(0, None),
        overrides=[override("AI cost per AI request", fixed_color=COMPONENT_COLOURS[AI], custom__lineWidth=2)],
        links=[TO_AI],
        unknown=NO_AI_REQUESTS,
    )
