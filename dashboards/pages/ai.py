"""The page about AI: what it costs per request, feature and customer, and what it does to the margin."""

from __future__ import annotations

from typing import Literal

from dashboards.cells import CENTS, COUNT, MONEY, RATIO, UNIT_PRICE, bar, wide
from dashboards.grafana import Column, column, row, section, table_height
from dashboards.grafana import page as whole_page
from dashboards.pages.dimensions import cost_against_before, cost_by_day
from dashboards.pages.parts import (
    DAY,
    FEATURE,
    MONTH,
    RISE,
    RISE_RATIO,
    at_end_with,
    difference,
    dimensions,
    figure,
    growth,
    last_of_graph,
    moving,
    note,
    preselected,
    ratio,
    tenants,
)
from dashboards.panels import GREY, Json, Panel, Query, override, stat, steps, text, timeseries
from dashboards.queries import PREVIOUS, TENANT, daily, earlier_or_zero, latest, now, once
from dashboards.style import BLUE, COMPONENT_COLOURS, GREEN, MARGIN_STEPS, ORANGE, RED, Settings
from dashboards.tables import Figure, by_tenant, series_link
from dashboards.words import NO_AI_REQUESTS, NO_COSTS, NO_EARLIER, NO_REVENUE
from rules.promql import select
from unitcost import catalogue as c

UID = "unitcost-ai"
AI = "ai"
ORANGE_OF_AI = COMPONENT_COLOURS[AI]
AI_REQUESTS = "ai_requests"
LARGEST = 8


def page(settings: Settings) -> Json:
    """Return the page."""
    board = whole_page(
        UID,
        "AI",
        "What AI costs, per request, customer and feature, and what it does to the margin.",
        [
            row(2, (24, _intro())),
            row(6, *((4, pair) for pair in _headlines(settings))),
            row(11, (14, _per_day(settings)), (10, _margin())),
            row(8, (12, _share()), (12, _per_request(settings))),
            row(table_height(10), (10, _largest(settings)), (14, _changed(settings))),
            row(table_height(11), (24, _customers(settings))),
            section("The whole company, before shared costs are divided among customers"),
            row(10, (14, _by_dimension(settings)), (10, _dimension_changes(settings))),
        ],
        variables=[tenants(), dimensions()],
    )
    return preselected(board, "dimension", FEATURE)


def _intro() -> Panel:
    return text(
        "AI cost is what bills book as AI: models called by API, and what unitcost.yaml maps to the component *ai*."
        " **30 days** are the last 30 complete days (UTC), compared with the 30 before them. Figures are of the chosen"
        " customers, their part of shared AI costs included; only the last section is of the whole company."
    )


def _ai(by: tuple[str, ...] = (), before: str = "") -> str:
    return now(c.TENANT_COST, by, before=before, tenant=TENANT, component=AI, window=MONTH)


def _cost(by: tuple[str, ...] = (), before: str = "") -> str:
    return now(c.TENANT_COST, by, before=before, tenant=TENANT, window=MONTH)


def _requests(by: tuple[str, ...] = (), before: str = "") -> str:
    return now(c.TENANT_USAGE, by, before=before, tenant=TENANT, measure=AI_REQUESTS, window=MONTH)


def _daily_ai(window: str, by: tuple[str, ...] = ()) -> str:
    return daily(c.TENANT_COST, by, tenant=TENANT, component=AI, window=window)


def _daily_cost(window: str) -> str:
    return daily(c.TENANT_COST, tenant=TENANT, window=window)


def _daily_requests(window: str) -> str:
    return daily(c.TENANT_USAGE, tenant=TENANT, measure=AI_REQUESTS, window=window)


def _headlines(settings: Settings) -> list[Column]:
    before = PREVIOUS
    return [
        moving(
            "AI cost, 30 days",
            "What AI cost for the chosen customers, shared AI costs included.",
            _daily_ai(MONTH),
            _ai(),
            _ai(before=before),
            unit=settings.money,
            decimals=1,
        ),
        moving(
            "AI share of cost",
            "AI cost divided by all cost of the chosen customers.",
            ratio(_daily_ai(MONTH), _daily_cost(MONTH)),
            ratio(_ai(), _cost()),
            ratio(_ai(before=before), _cost(before=before)),
            unit="percentunit",
            decimals=1,
            points=True,
        ),
        moving(
            "AI cost per AI request",
            "AI cost of the chosen customers divided by their AI requests, both of the 30 days.",
            ratio(_daily_ai(MONTH), _daily_requests(MONTH)),
            ratio(_ai(), _requests()),
            ratio(_ai(before=before), _requests(before=before)),
            unit=settings.money,
            decimals=5,
            unknown=NO_AI_REQUESTS,
        ),
        moving(
            "AI requests, 30 days",
            "AI requests of the chosen customers.",
            _daily_requests(MONTH),
            _requests(),
            _requests(before=before),
            unit="short",
            decimals=2,
            bad_up=False,
            unknown=NO_AI_REQUESTS,
        ),
        _margin_now(),
        _nobodys(settings),
    ]


def _margins(read: Literal["now", "daily"]) -> tuple[str, str]:
    """Return the margin ratio of the chosen customers in 30 days, and what it would be if AI cost nothing."""
    of = now if read == "now" else daily
    revenue = of(c.TENANT_REVENUE, tenant=TENANT, window=MONTH)
    margin = of(c.TENANT_MARGIN, tenant=TENANT, window=MONTH)
    ai = of(c.TENANT_COST, tenant=TENANT, component=AI, window=MONTH)
    return ratio(margin, revenue), ratio(f"({margin} + {ai})", revenue)


def _margin_now() -> Column:
    said = "(Revenue - cost) / revenue of the chosen customers in the 30 days"
    margin = stat(
        "Margin, 30 days",
        f"{said}.",
        [Query(_margins("daily")[0], "margin")],
        unit="percentunit",
        decimals=1,
        thresholds=MARGIN_STEPS,
        sparkline=True,
        unknown=NO_REVENUE,
    )
    without = note(
        f"{said}, if AI cost nothing: the distance to the figure above is what AI takes.",
        _margins("now")[1],
        "if AI cost nothing",
        unit="percentunit",
        decimals=1,
        unknown=NO_REVENUE,
    )
    return column((4, margin), (2, without))


def _nobodys(settings: Settings) -> Column:
    whole = now(c.PLATFORM_COST, component=AI, window=MONTH)
    lost = f"({now(c.UNALLOCATED, component=AI, window=MONTH)} or 0 * {whole})"
    said = "The whole company's AI cost of the 30 days that found neither a customer nor a sharing rule"
    dollars = figure(
        "AI of no customer",
        f"{said}: a key, project or tag that unitcost.yaml does not know. No figure of customers has it.",
        lost,
        unit=settings.money,
        decimals=0,
        thresholds=steps((None, GREEN), (0.005, ORANGE)),
        unknown=NO_COSTS,
    )
    share = note(
        f"{said}, divided by all its AI cost; orange from 5 %, red from 10 %.",
        ratio(lost, whole),
        "of all AI cost",
        unit="percentunit",
        decimals=1,
        thresholds=steps((None, "text"), (0.05, ORANGE), (0.1, RED)),
        unknown=NO_COSTS,
    )
    return column((4, dollars), (2, share))


def _per_day(settings: Settings) -> Panel:
    largest = f"topk({LARGEST}, {last_of_graph(_daily_ai(MONTH, ('tenant',)))} > 0)"
    cost = _daily_ai(DAY, ("tenant",))
    return timeseries(
        "AI cost per day, by customer",
        f"The {LARGEST} customers with the largest AI cost of the 30 days that end the chosen range, and all others"
        " together; each day's cost on that day.",
        [
            Query(at_end_with("name", f"({cost} and on (tenant) {largest})"), "{{name}}"),
            Query(f"sum({cost} unless on (tenant) {largest})", "all others"),
        ],
        unit=settings.money,
        stacked=True,
        bars=True,
        legend="right",
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=[
            override("all others", fixed_color=GREY),
            override("/^(?!all others)/", regex=True, links=[series_link()]),
        ],
        unknown=NO_COSTS,
    )


def _margin() -> Panel:
    real, without = _margins("daily")
    return timeseries(
        "Margin, with and without AI",
        "(Revenue - cost) / revenue of the chosen customers, each point over the 30 days that end there; dashed: the"
        " same if AI cost nothing. The space between is what AI takes of each dollar of revenue.",
        [Query(without, "if AI cost nothing"), Query(real, "margin")],
        unit="percentunit",
        calcs=("lastNotNull", "min", "max"),
        overrides=[
            override("margin", fixed_color=BLUE, custom__lineWidth=2),
            override(
                "if AI cost nothing",
                fixed_color=ORANGE_OF_AI,
                custom__lineStyle={"fill": "dash", "dash": [8, 6]},
                custom__fillBelowTo="margin",
                custom__fillOpacity=20,
            ),
        ],
        unknown=NO_REVENUE,
    )


def _share() -> Panel:
    return timeseries(
        "AI share of cost, per day",
        "Each day's AI cost of the chosen customers divided by all their cost of the day.",
        [Query(ratio(_daily_ai(DAY), _daily_cost(DAY)), "AI share of cost")],
        unit="percentunit",
        fill=20,
        legend="hidden",
        bounds=(0, None),
        overrides=[override("AI share of cost", fixed_color=ORANGE_OF_AI, custom__lineWidth=2)],
        unknown=NO_COSTS,
    )


def _per_request(settings: Settings) -> Panel:
    return timeseries(
        "AI cost per AI request, per day",
        "Each day's AI cost of the chosen customers divided by their AI requests of the day: it moves with prices,"
        " models and prompts, not with traffic.",
        [Query(ratio(_daily_ai(DAY), _daily_requests(DAY)), "AI cost per AI request")],
        unit=settings.money,
        decimals=4,
        fill=20,
        legend="hidden",
        bounds=(0, None),
        overrides=[override("AI cost per AI request", fixed_color=ORANGE_OF_AI, custom__lineWidth=2)],
        unknown=NO_AI_REQUESTS,
    )


def _largest(settings: Settings) -> Panel:
    largest = f"topk(10, {_ai(('tenant',))} > 0)"
    return by_tenant(
        "Largest AI cost, 30 days",
        "The ten chosen customers with the largest AI cost; a full bar is the largest of them. Of all: their part of"
        " the chosen customers' AI cost.",
        [
            Figure(f"AI cost {settings.sign}", largest, MONEY | bar(ORANGE_OF_AI) | {"fieldMinMax": True}),
            Figure("Of all", f"{largest} / scalar({_ai()} > 0)", RATIO | wide(65)),
        ],
        tenants=largest,
        sort_by=f"AI cost {settings.sign}",
        paginate=False,
        plan=False,
        nobody=(now(c.PLATFORM_COST, window=MONTH), "None of the chosen customers has AI cost."),
        unknown=NO_COSTS,
    )


def _changed(settings: Settings) -> Panel:
    sign, by = settings.sign, ("tenant",)
    current, before = _ai(by), _ai(by, PREVIOUS)
    changed = difference(current, before, by)
    most = f"topk(10, abs({changed}) >= 0.005)"
    of_most = f"and on (tenant) {most}"
    return by_tenant(
        "AI cost that changed most, against the 30 days before",
        "The ten chosen customers whose AI cost differs most from that of the 30 days before, and how their AI"
        " requests changed: where cost grew and requests did not, a request became dearer.",
        [
            Figure(f"Before {sign}", f"{earlier_or_zero(current, before)} {of_most}", MONEY | wide(90)),
            Figure(f"Now {sign}", f"{current} {of_most}", MONEY | wide(90)),
            Figure(f"Change {sign}", f"{changed} {of_most}", RISE | wide(110)),
            Figure("Change %", f"{growth(current, before)} {of_most}", RISE_RATIO | wide(110)),
            Figure("Requests %", f"{growth(_requests(by), _requests(by, PREVIOUS))} {of_most}", RATIO | wide(110)),
        ],
        tenants=most,
        sort_by=f"Change {sign}",
        paginate=False,
        unknown=NO_EARLIER,
    )


def _customers(settings: Settings) -> Panel:
    sign, by = settings.sign, ("tenant",)
    mrr = now(c.TENANT_MRR, by, tenant=TENANT)
    dear = {
        "decimals": 1,
        "custom__cellOptions": {"type": "color-text"},
        "thresholds": steps((None, "text"), (0.25, ORANGE), (0.5, RED)),
        "noValue": "no MRR",
    }
    return by_tenant(
        "AI by customer, 30 days",
        "Of cost: AI's part of all the customer's cost of the 30 days. Of MRR: AI cost of the 30 days divided by the"
        " monthly recurring revenue of now; orange from 25 %, red from 50 %. Click a header to sort, a name for the"
        " customer's page.",
        [
            Figure(f"AI cost {sign}", _ai(by), CENTS | wide(140)),
            Figure("AI requests", _requests(by), COUNT | wide(140)),
            Figure(f"Per AI request {sign}", ratio(_ai(by), _requests(by)), UNIT_PRICE | wide(170)),
            Figure("Of cost", ratio(_ai(by), _cost(by)), RATIO | bar(ORANGE_OF_AI, top=1)),
            Figure(f"MRR {sign}", mrr, MONEY | wide(140)),
            Figure("Of MRR", ratio(_ai(by), mrr), RATIO | dear | wide(140)),
        ],
        tenants=once(by, latest(select(c.TENANT_INFO, tenant=TENANT))),
        sort_by=f"AI cost {sign}",
        unknown=NO_COSTS,
    )


def _by_dimension(settings: Settings) -> Panel:
    return cost_by_day(
        settings,
        "AI cost per day, by $dimension",
        "The whole company's AI cost before sharing, by the dimension chosen at the top; each day's cost on that"
        " day. These costs carry no customer: the choice of customers does not change them.",
        component=AI,
    )


def _dimension_changes(settings: Settings) -> Panel:
    return cost_against_before(
        settings,
        "AI cost by $dimension, against the 30 days before",
        "The whole company's AI cost of the 30 days, before sharing, by the dimension chosen at the top.",
        component=AI,
    )
