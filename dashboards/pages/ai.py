"""The page about AI: what it costs per request, feature and customer, and what it does to the margin."""

from __future__ import annotations

from dashboards.cells import CENTS, CHANGE_RATIO, COUNT, MONEY, RATIO, UNIT_PRICE, UNSEEN, Cell, bar, wide
from dashboards.grafana import page as whole_page
from dashboards.grafana import row, section, table_height
from dashboards.pages.ai_models import models
from dashboards.pages.dimensions import cost_against_before, cost_by_day
from dashboards.pages.parts import (
    AI,
    AI_REQUESTS,
    FEATURE,
    PLAIN,
    ROLLING,
    changes_of,
    compared,
    cost_bars,
    cost_of_one,
    dimensions,
    intro,
    margin_by_day,
    margin_ratio,
    periods,
    preselected,
    queries_of,
    ratio,
    tenants,
)
from dashboards.panels import GREY, Json, Panel, Query, override, stat, steps, timeseries, values_as
from dashboards.queries import BEFORE, PERIOD, TENANT, daily, now, of_tenants
from dashboards.style import BLUE, COMPONENT_COLOURS, GREEN, MARGIN_STEPS, ORANGE, RED, Settings, dashed_line
from dashboards.tables import CUSTOMER, NAME_WIDTH, Figure, Reckoned, by_tenant, page_link, series_link
from dashboards.words import NO_AI, NO_AI_REQUESTS, NO_COSTS, NO_EARLIER, NO_REVENUE
from rules.promql import one_of, other_than, select, with_labels
from unitcost.days import DAY
from unitcost.metrics import catalogue as c

UID = "unitcost-ai"
ORANGE_OF_AI = COMPONENT_COLOURS[AI]
LARGEST, ALL = 8, "all chosen customers"
TENANTS = ("tenant",)
TO_CUSTOMER = page_link("Chosen customers", "unitcost-tenant", "tenant", "period")
TO_EFFICIENCY = page_link("Efficiency", "unitcost-efficiency", "dimension", "period")


def page(settings: Settings) -> Json:
    """Return the page."""
    board = whole_page(
        UID,
        "AI",
        "What AI costs, per request, customer and feature, and what it does to the margin.",
        [
            row(2, (24, _intro())),
            row(5, *((4, panel) for panel in _headlines(settings))),
            row(11, (14, _per_day(settings)), (10, _margin())),
            row(8, (12, _share(settings)), (12, _per_request(settings))),
            row(table_height(10), (10, _largest(settings)), (14, _changed(settings))),
            row(16, (24, _customers(settings))),
            *models(settings),
            section("By dimension: the whole company, before sharing"),
            row(10, (14, _by_dimension(settings)), (10, _dimension_changes(settings))),
        ],
        variables=[periods(settings), tenants(), dimensions()],
    )
    return preselected(board, "dimension", FEATURE)


def _intro() -> Panel:
    return intro("All but the last section is of the chosen customers, their part of shared AI costs included.")


def _requests(window: str, by: tuple[str, ...] = ()) -> str:
    return now(c.TENANT_USAGE, by, tenant=TENANT, measure=AI_REQUESTS, window=window)


def _headlines(settings: Settings) -> list[Panel]:
    return [
        compared(
            "AI cost",
            "What AI cost for the chosen customers, shared AI costs included: what bills book as AI, such as models"
            " called by API, and what unitcost.yaml maps to the component ai.",
            lambda window: of_tenants(lambda costs: costs.now(component=AI, window=window)),
            unit=settings.exact,
            decimals=2,
            unknown=NO_AI,
        ),
        compared(
            "AI share of cost",
            "AI cost divided by all cost of the chosen customers.",
            lambda window: of_tenants(
                lambda costs: f"{costs.now(component=AI, window=window)} / {costs.now(window=window)}"
            ),
            unit="percentunit",
            decimals=1,
            points=True,
            unknown=NO_AI,
        ),
        compared(
            "Per AI request",
            "AI cost of the chosen customers divided by their AI requests.",
            lambda window: of_tenants(lambda costs: ratio(costs.now(component=AI, window=window), _requests(window))),
            unit=settings.exact,
            decimals=5,
            unknown=NO_AI_REQUESTS,
        ),
        compared(
            "AI requests",
            "AI requests of the chosen customers.",
            _requests,
            unit="locale",
            decimals=0,
            bad_up=None,
            unknown=NO_AI_REQUESTS,
        ),
        _margin_now(),
        _nobodys(settings),
    ]


def _margin_now() -> Panel:
    revenue = now(c.TENANT_REVENUE, tenant=TENANT, window=PERIOD)
    return stat(
        "Margin",
        "(Revenue - cost) / revenue of the chosen customers in the period, and the same if AI cost nothing: the"
        " distance is what AI takes.",
        [
            *queries_of(lambda costs: margin_ratio(costs.now(window=PERIOD), revenue), "period"),
            *queries_of(
                lambda costs: margin_ratio(costs.now(component=other_than(AI), window=PERIOD), revenue),
                "if AI cost nothing",
            ),
        ],
        unit="percentunit",
        decimals=1,
        names=True,
        text_size=(13, 24),
        overrides=[override("period", thresholds=MARGIN_STEPS)],
        unknown=NO_REVENUE,
    )


def _nobodys(settings: Settings) -> Panel:
    whole = now(c.PLATFORM_COST, component=AI, window=PERIOD)
    lost = f"({now(c.UNALLOCATED, component=AI, window=PERIOD)} or 0 * {whole})"
    return stat(
        "AI of no customer",
        "The whole company's AI cost in the period that found neither a customer nor a sharing rule: a key, project or"
        " tag that unitcost.yaml does not know. No figure of customers has it. Its part of all AI cost is orange from"
        " 5 %, red from 10 %.",
        [Query(lost, "period"), Query(ratio(lost, whole), "of all AI cost")],
        unit=settings.exact,
        decimals=0,
        thresholds=steps((None, GREEN), (0.005, ORANGE)),
        names=True,
        text_size=(13, 24),
        overrides=[
            override(
                "of all AI cost",
                unit="percentunit",
                decimals=1,
                thresholds=steps((None, "text"), (0.05, ORANGE), (0.1, RED)),
            )
        ],
        links=[page_link("Data quality", "unitcost-data", "period")],
        unknown=NO_COSTS,
    )


def _per_day(settings: Settings) -> Panel:
    # Grafana ends a graph of days with today's midnight; what is said since then is looked for ahead of it.
    at_end = "[2d] @ end() offset -1d"
    of_end = select(c.TENANT_COST, tenant=TENANT, component=AI, window=ROLLING)
    largest = f"topk({LARGEST}, max by (tenant) (last_over_time({of_end}{at_end})) > 0)"
    names = one_of(("tenant",), f"last_over_time({select(c.TENANT_INFO)}{at_end})")
    cost = daily(c.TENANT_COST, TENANTS, tenant=TENANT, component=AI, window=DAY)
    return cost_bars(
        settings,
        "AI cost per day, by customer",
        f"The {LARGEST} customers with the largest AI cost of the 30 days that end the chosen range, each day's cost on"
        " that day. Dashed: all chosen customers together, so the space between is that of all others.",
        [
            Query(with_labels(f"({cost} and on (tenant) {largest})", TENANTS, names, ("name",)), "{{name}}"),
            *queries_of(lambda costs: costs.daily(component=AI, window=DAY), ALL),
        ],
        overrides=[
            dashed_line(ALL),
            override(f"/^(?!{ALL}$)/", regex=True, links=[series_link()]),
        ],
        unknown=NO_AI,
    )


def _margin() -> Panel:
    return timeseries(
        "Margin, with and without AI",
        "(Revenue - cost) / revenue of the chosen customers, each point over the 30 days that end there; dashed: the"
        " same if AI cost nothing. The space between is what AI takes of each dollar of revenue.",
        [
            *queries_of(lambda read: margin_by_day(read, component=other_than(AI)), "if AI cost nothing"),
            *queries_of(margin_by_day, "margin"),
        ],
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
        links=[TO_CUSTOMER],
        unknown=NO_REVENUE,
    )


def _share(settings: Settings) -> Panel:
    return timeseries(
        "AI share of cost, per day",
        "Which part of each day's cost of the chosen customers is AI.",
        [
            *queries_of(lambda costs: costs.daily(component=AI, window=DAY), "AI"),
            *queries_of(lambda costs: costs.daily(component=other_than(AI), window=DAY), "all other cost"),
        ],
        unit=settings.money,
        stacked=True,
        bars=True,
        bounds=(0, None),
        overrides=[
            override("/.*/", regex=True, custom__stacking={"mode": "percent", "group": "A"}),
            override("AI", fixed_color=ORANGE_OF_AI),
            override("all other cost", fixed_color=GREY),
        ],
        links=[TO_CUSTOMER],
        unknown=NO_COSTS,
    )


def _per_request(settings: Settings) -> Panel:
    return timeseries(
        "AI cost per AI request, per day",
        "Each day's AI cost of the chosen customers divided by their AI requests of the day: it moves with prices,"
        " models and prompts, not with traffic.",
        queries_of(lambda read: cost_of_one(read, AI_REQUESTS, component=AI), "AI cost per AI request"),
        unit=settings.money,
        decimals=5,
        fill=20,
        legend="hidden",
        bounds=(0, None),
        overrides=[override("AI cost per AI request", fixed_color=ORANGE_OF_AI, custom__lineWidth=2)],
        links=[TO_EFFICIENCY],
        unknown=NO_AI_REQUESTS,
    )


def _ai(window: str = PERIOD, by: tuple[str, ...] = TENANTS) -> str:
    """Return the AI cost of each chosen customer."""
    return now(c.TENANT_COST, by, tenant=TENANT, component=AI, window=window)


def _largest(settings: Settings) -> Panel:
    cost = f"AI cost {settings.sign}"
    return by_tenant(
        "Largest AI cost",
        "The ten chosen customers with the largest AI cost of the period; a full bar is the largest of them. Of all:"
        " their part of the chosen customers' AI cost.",
        [
            Figure(cost, _ai(), MONEY | bar(ORANGE_OF_AI) | {"fieldMinMax": True}),
            Figure("Of all", f"{_ai()} / scalar({_ai(by=())} > 0)", RATIO | wide(65)),
        ],
        tenants=_ai(),
        largest=(cost, 10),
        sort_by=cost,
        paginate=False,
        plan=False,
        name_width=NAME_WIDTH,
        unknown=NO_AI,
    )


def _changed(settings: Settings) -> Panel:
    sign = settings.sign
    earlier, later, requests_before = f"Before {sign}", f"Now {sign}", "Requests before"
    return by_tenant(
        "What changed most: AI cost against the period before",
        "The ten chosen customers whose AI cost differs most from that of the period before, and how their AI"
        " requests changed: where cost grew and requests did not, a request became dearer.",
        [
            Figure(earlier, _ai(BEFORE), MONEY | wide(85)),
            Figure(later, f"({_ai()} and {_ai(BEFORE)})", MONEY | wide(85)),
            Figure(requests_before, _requests(BEFORE, TENANTS), UNSEEN),
            Figure("Requests", _requests(PERIOD, TENANTS), UNSEEN),
        ],
        reckoned=[
            *changes_of(sign, earlier, later),
            Reckoned("More requests", "Requests", "-", requests_before, UNSEEN),
            Reckoned(
                "Requests %", "More requests", "/", requests_before, CHANGE_RATIO | {"thresholds": PLAIN} | wide(95)
            ),
        ],
        tenants=_ai(BEFORE),
        order=(CUSTOMER, earlier, later, f"Change {sign}", "Change %", "Requests %"),
        largest=(f"Change {sign}", 10),
        sort_by=f"Change {sign}",
        paginate=False,
        plan=False,
        unknown=NO_EARLIER,
    )


def _customers(settings: Settings) -> Panel:
    sign = settings.sign
    cost, whole, mrr = f"AI cost {sign}", f"Cost {sign}", f"MRR {sign}"
    plain = ("-", "text")
    dear: Cell = {
        "decimals": 1,
        "custom__cellOptions": {"type": "color-text"},
        "thresholds": steps((None, "text"), (0.25, ORANGE), (0.5, RED)),
        "mappings": values_as({"Infinity": ("no MRR", "text"), "NaN": plain}),
    }
    unasked: Cell = {"mappings": values_as({"Infinity": ("no requests", "text"), "NaN": plain})}
    return by_tenant(
        "AI by customer",
        "Of cost: AI's part of all the customer's cost of the period. Of MRR: AI cost of the period divided by the"
        " monthly recurring revenue of now; orange from 25 %, red from 50 %. Click a header to sort, its funnel to"
        " filter, a name for the customer's page.",
        [
            Figure(cost, _ai(), CENTS | wide(115)),
            Figure("AI requests", _requests(PERIOD, TENANTS), COUNT | wide(130)),
            Figure(whole, now(c.TENANT_COST, TENANTS, tenant=TENANT, window=PERIOD), CENTS | wide(105)),
            Figure(mrr, now(c.TENANT_MRR, TENANTS, tenant=TENANT), CENTS | wide(105)),
        ],
        reckoned=[
            Reckoned(f"Per AI request {sign}", cost, "/", "AI requests", UNIT_PRICE | unasked | wide(155)),
            Reckoned(
                "Of cost", cost, "/", whole, RATIO | bar(ORANGE_OF_AI, top=1) | {"mappings": values_as({"NaN": plain})}
            ),
            Reckoned("Of MRR", cost, "/", mrr, RATIO | dear | wide(105)),
        ],
        tenants=_ai(),
        order=(CUSTOMER, "Plan", cost, "AI requests", f"Per AI request {sign}", whole, "Of cost", mrr, "Of MRR"),
        sort_by=cost,
        name_width=NAME_WIDTH,
        unknown=NO_AI,
    )


def _by_dimension(settings: Settings) -> Panel:
    return cost_by_day(
        settings,
        "AI cost per day, by $dimension",
        "The whole company's AI cost before sharing, by the dimension chosen at the top; each day's cost on that"
        " day. These costs carry no customer: the choice of customers does not change them.",
        links=[TO_EFFICIENCY],
        component=AI,
    )


def _dimension_changes(settings: Settings) -> Panel:
    return cost_against_before(
        settings,
        "AI cost by $dimension, against before",
        "The whole company's AI cost of the period before sharing, by the dimension chosen at the top, and that of the"
        " period before.",
        component=AI,
    )
