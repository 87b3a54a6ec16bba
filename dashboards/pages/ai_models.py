"""Panels of the page about AI that tell models, directions of tokens and features apart."""

from __future__ import annotations

from dashboards.cells import CENTS, COLOURED_LOSS, COUNT, MONEY, RATIO, UNSEEN, Cell, bar, wide
from dashboards.grafana import Row, row, section, table_height
from dashboards.pages.parts import AI, changes_of, cost_bars, figure
from dashboards.panels import Panel, Query, Unknown, override, steps, timeseries, values_as
from dashboards.queries import BEFORE, PERIOD, TENANT, daily, now
from dashboards.style import COMPONENT_COLOURS, GREEN, ORANGE, RED, Settings
from dashboards.tables import Figure, Reckoned, by_tenant, joined
from dashboards.words import NO_AI_REQUESTS
from rules.expressions import OF_PROVIDERS
from rules.promql import Match, matches
from unitcost.days import DAY
from unitcost.metrics import catalogue as c
from unitcost.metrics import catalogue_ai as ai
from unitcost.metrics.metric import Metric

MODEL, FEATURE, DIRECTION = ("model",), ("feature",), ("direction",)
INPUT = matches("input|cache_read|cache_write|cache_write_1h")
NO_MODELS = Unknown("no models", "No use of a model is known: add a source of type ai_tokens to unitcost.yaml.")
NO_ROUTING = Unknown("not known", "Nothing is known to save by: name other models under ai.routing in unitcost.yaml.")
NO_PROVIDER = Unknown("not known", "No model provider says what it was used for: see docs/ai.md.")
SHORT: Cell = COUNT | {"unit": "short", "decimals": 1}
"""Billions of tokens need no last digit."""
NOTHING = values_as({"NaN": "-"})
UNKNOWN = values_as({"__unknown__": "not told", "__other__": "all others"})
"""What a model, feature or direction is called that is not known, and those beyond limits.models."""


def models(settings: Settings) -> list[Row]:
    """Return the rows of the page: of the chosen customers, and of the whole company."""
    return [
        section("Models and features: before sharing"),
        row(
            table_height(5),
            (8, _of_customers(settings, "feature")),
            (8, _of_customers(settings, "model")),
            (8, _tokens_of_customers()),
        ),
        section("Models: the whole company, before sharing"),
        row(10, (14, _by_model(settings)), (10, _tokens_by_day())),
        row(table_height(6), (24, _every_model(settings))),
        row(4, *((6, panel) for panel in _trust())),
        section("What if: potential, and how many AI requests a price carries"),
        row(table_height(7), (8, _opportunities(settings)), (5, _cache(settings)), (11, _left(settings))),
    ]


def _of_customers(settings: Settings, label: str) -> Panel:
    cost = f"AI cost {settings.sign}"
    found = now(ai.TENANT_AI_COST, (label,), tenant=TENANT, window=PERIOD)
    header = label.capitalize()
    return joined(
        f"AI cost of the chosen customers, by {label}",
        f"What their own use of models cost in the period, by {label}, without their part of what nobody's keys cost.",
        label,
        [
            Figure(cost, found, CENTS | bar(COMPONENT_COLOURS[AI]) | {"fieldMinMax": True}),
            Figure("Of all", f"{found} / scalar(sum({found}) > 0)", RATIO | wide(65)),
        ],
        shown=[(label, header)],
        overrides=[override(header, mappings=UNKNOWN, custom__minWidth=110)],
        sort_by=cost,
        unknown=NO_MODELS,
    )


def _tokens_of_customers() -> Panel:
    def tokens(**labels: str | Match) -> str:
        return now(ai.TENANT_AI_TOKENS, MODEL, tenant=TENANT, window=PERIOD, **labels)

    return joined(
        "Tokens of the chosen customers, by model",
        "Tokens in the period: what went in, cached or not, and what came out. Cached: the part of what went in that"
        " was read from the prompt cache.",
        "model",
        [
            Figure("In", tokens(direction=INPUT), SHORT | wide(85)),
            Figure("Read from a cache", tokens(direction="cache_read"), UNSEEN),
            Figure("Out", tokens(direction="output"), SHORT | wide(85)),
        ],
        reckoned=[Reckoned("Cached", "Read from a cache", "/", "In", RATIO | wide(70) | {"mappings": NOTHING})],
        order=("Model", "In", "Cached", "Out"),
        shown=[("model", "Model")],
        overrides=[override("Model", mappings=UNKNOWN, custom__minWidth=100)],
        sort_by="In",
        unknown=NO_MODELS,
    )


def _by_model(settings: Settings) -> Panel:
    return cost_bars(
        settings,
        "AI cost per day, by model",
        "The whole company's AI cost before sharing; each day's cost on that day.",
        [Query(f"{daily(ai.AI_COST, MODEL, window=DAY)} > 0", "{{model}}")],
        overrides=[override("__unknown__", displayName="not told"), override("__other__", displayName="all others")],
        unknown=NO_MODELS,
    )


def _tokens_by_day() -> Panel:
    return timeseries(
        "Tokens per day, by direction",
        "Each day's tokens of the whole company: input that was neither read from a cache nor written to one, what was"
        " read from it, and output, reasoning included.",
        [Query(f"{daily(ai.AI_TOKENS, DIRECTION, window=DAY)} > 0", "{{direction}}")],
        unit="short",
        stacked=True,
        bars=True,
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        unknown=NO_MODELS,
    )


def _every_model(settings: Settings) -> Panel:
    sign = settings.sign
    earlier, later = f"Before {sign}", f"Now {sign}"

    def cost(window: str) -> str:
        return now(ai.AI_COST, MODEL, window=window)

    def tokens(**labels: str | Match) -> str:
        return now(ai.AI_TOKENS, MODEL, window=PERIOD, **labels)

    def price(direction: str) -> str:
        return f"{now(ai.COST_PER_AI_TOKEN, MODEL, direction=direction, window=PERIOD)} * 1e6"

    return joined(
        "Models",
        "What each model cost in the period and in the one before, its tokens, and what a million of them really cost,"
        " discounts included. Cached: the part of what went in that was read from the prompt cache.",
        "model",
        [
            Figure(earlier, cost(BEFORE), MONEY | wide(95)),
            Figure(later, cost(PERIOD), MONEY | wide(95)),
            Figure("Tokens in", tokens(direction=INPUT), COUNT | wide(140)),
            Figure("Cached", now(ai.AI_CACHED, MODEL, window=PERIOD), RATIO | wide(80)),
            Figure("Tokens out", tokens(direction="output"), COUNT | wide(130)),
            Figure(f"Million in {sign}", price("input"), CENTS | wide(110)),
            Figure(f"Million out {sign}", price("output"), CENTS | wide(115)),
        ],
        reckoned=changes_of(sign, earlier, later),
        shown=[("model", "Model")],
        order=(
            "Model",
            earlier,
            later,
            f"Change {sign}",
            "Change %",
            "Tokens in",
            "Cached",
            "Tokens out",
            f"Million in {sign}",
            f"Million out {sign}",
        ),
        overrides=[override("Model", mappings=UNKNOWN, custom__minWidth=140)],
        sort_by=later,
        unknown=NO_MODELS,
    )


def _trust() -> list[Panel]:
    """Return how far the figures can be trusted."""
    near_one = steps((None, RED), (0.9, GREEN), (1.1, RED))
    none = steps((None, GREEN), (1, ORANGE))

    def lowest(metric: Metric) -> str:
        return f"min({now(metric, ('scope',), window=PERIOD)})"

    return [
        figure(
            "Coverage",
            "The part of what the model providers report that token counters saw, by its value; of several accounts the"
            " lowest. The rest is nobody's. Red below 90 %.",
            lowest(ai.AI_COVERAGE),
            NO_PROVIDER,
            unit="percentunit",
            decimals=1,
            thresholds=near_one,
        ),
        figure(
            "Bill against the counters",
            "The providers' bill divided by what the tokens cost at list prices: a discount is below 100 %, what was"
            " not counted above. Red outside of 90 to 110 %.",
            now(c.RECONCILIATION, ("scope",), scope=OF_PROVIDERS, window=PERIOD),
            NO_PROVIDER,
            unit="percentunit",
            decimals=1,
            thresholds=near_one,
            legend="{{scope}}",
        ),
        figure(
            "Tokens without a price",
            "Tokens in the period that no price is known of and no bill either: they cost 0 on this page. Add prices"
            " under ai.prices in unitcost.yaml.",
            f"sum({now(ai.UNPRICED_TOKENS, window=PERIOD)}) or 0 * sum({now(ai.AI_TOKENS, window=PERIOD)})",
            NO_MODELS,
            unit="locale",
            thresholds=none,
        ),
        figure(
            "Tokens of no known kind",
            "Tokens in the period whose series do not say of which model they are, or in which direction: they are in"
            " no other figure.",
            f"sum({now(ai.UNMAPPED_TOKENS, window=PERIOD)}) or 0 * sum({now(ai.AI_TOKENS, window=PERIOD)})",
            NO_MODELS,
            unit="locale",
            thresholds=none,
        ),
    ]


def _opportunities(settings: Settings) -> Panel:
    saved = f"A month {settings.sign}"
    return joined(
        "What could be saved a month",
        "By the model that ai.routing names for a feature, and at most by caching the part of the input that"
        " ai.cacheable_share names, at the period's rate and the price book's prices: potential, not promised.",
        "target",
        [Figure(saved, f"{now(ai.SAVINGS_OPPORTUNITY, ('target',), window=PERIOD)} > 0", MONEY | wide(105))],
        shown=[("target", "By")],
        overrides=[override("By", custom__minWidth=200)],
        sort_by=saved,
        unknown=NO_ROUTING,
    )


def _cache(settings: Settings) -> Panel:
    saved = f"Saved {settings.sign}"
    return joined(
        "Prompt cache saved",
        "What was read from the prompt cache in the period, at the difference of the prices, less what writing it cost"
        " more.",
        "model",
        [Figure(saved, now(ai.AI_CACHE_SAVED, MODEL, window=PERIOD), MONEY | wide(95))],
        shown=[("model", "Model")],
        overrides=[override("Model", mappings=UNKNOWN, custom__minWidth=70)],
        sort_by=saved,
        unknown=NO_MODELS,
    )


def _left(settings: Settings) -> Panel:
    left = now(ai.TENANT_AI_UNTIL_LOSS, ("tenant",), tenant=TENANT)
    mrr = f"MRR {settings.sign}"
    return by_tenant(
        "AI requests that a price still carries this month",
        "Of the chosen customers with AI requests: how many their price carries beside their other cost, and how many"
        " are left of them; below 0 they lose money. Days: until that comes, at this month's rate.",
        [
            Figure(mrr, f"({now(c.TENANT_MRR, ('tenant',), tenant=TENANT)} and {left})", CENTS | wide(80)),
            Figure("Carried", now(ai.TENANT_AI_CARRIED, ("tenant",), tenant=TENANT), COUNT | wide(85)),
            Figure("Left", left, COUNT | COLOURED_LOSS | wide(85)),
            Figure("Days", f"{now(ai.TENANT_AI_LOSS_IN, ('tenant',), tenant=TENANT)} / 86400", COUNT | wide(60)),
        ],
        tenants=left,
        sort_by="Left",
        descending=False,
        plan=False,
        unknown=NO_AI_REQUESTS,
    )
