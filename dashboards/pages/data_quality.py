"""Whether the figures can be trusted: sources, completeness, what found no customer, and the exporter itself."""

from __future__ import annotations

from dashboards.cells import COUNT, MONEY, Cell, wide
from dashboards.grafana import page as whole_page
from dashboards.grafana import row, section, table_height
from dashboards.pages.alerts import columns
from dashboards.pages.data_exporter import AGE_STEPS, errors_of_a_day, exporter_rows
from dashboards.pages.parts import (
    AI_PAGE,
    EFFICIENCY_PAGE,
    compared,
    components,
    figure,
    intro,
    periods,
    ratio,
)
from dashboards.panels import (
    GREY,
    Json,
    Panel,
    Query,
    override,
    stat,
    steps,
    table,
    timeseries,
    values_as,
)
from dashboards.queries import BEFORE, PERIOD, daily, each_day, now, series
from dashboards.style import COMPLETE, GREEN, ORANGE, RED, YELLOW, Settings
from dashboards.tables import Figure, joined, page_link
from dashboards.words import NO_COSTS, NO_EXPORTER, NOT_COMPARED
from rules.promql import labelled, matches, over
from unitcost.days import DAY
from unitcost.metrics import catalogue as c
from unitcost.metrics import catalogue_exporter as x
from unitcost.metrics.metric import Metric

UID = "unitcost-data"
BY_SOURCE = ("source",)
SHARE_STEPS = steps((None, GREEN), (0.05, YELLOW), (0.1, ORANGE), (0.2, RED))
ESTIMATE_STEPS = steps((None, GREEN), (0.25, YELLOW), (0.5, ORANGE))
KNOWN = "known"


def page(settings: Settings) -> Json:
    """Return the page."""
    return whole_page(
        UID,
        "Data quality",
        "Whether the figures can be trusted: what each source brought and when, which days are missing, what found no"
        " customer, and whether bill and cluster agree.",
        [
            row(2, (24, _intro())),
            row(5, *((4, one) for one in _figures())),
            row(table_height(5), (15, _sources(settings)), (9, _windows(settings))),
            section("Costs that found no customer"),
            row(9, (9, _unallocated(settings)), (6, _unallocated_share()), (9, _unallocated_in_period(settings))),
            section("Bill against cluster, and estimates"),
            row(9, (8, _reconciliation()), (8, _by_source(settings)), (8, _estimated())),
            *exporter_rows(),
        ],
        variables=[periods(settings)],
    )


def _intro() -> Panel:
    return intro(
        "All is of the whole company. What is missing here is missing on every other page; the page Month"
        " close holds a closed month against the invoices."
    )


def _part(metric: Metric, window: str) -> tuple[str, str]:
    """Return which part of all costs a metric's are, and what gives 0 where costs are known and these are none."""
    part, whole = now(metric, window=window), now(c.BILL, window=window)
    return f"{part} / ({whole} > 0)", f"0 * {whole} unless {part}"


def _figures() -> list[Panel]:
    """Return what tells at a glance whether something is wrong."""
    up = now(x.SOURCE_UP, BY_SOURCE)
    agreed = now(c.RECONCILIATION, ("source", "scope"), window=PERIOD)
    return [
        figure(
            "Sources down",
            "Sources whose last refresh did not bring all it was asked for; their last good data stay in use.",
            f"count({up}) - sum({up})",
            NO_EXPORTER,
            thresholds=steps((None, GREEN), (1, RED)),
        ),
        figure(
            "Oldest source",
            "The longest time since a source was last read without an error.",
            f"time() - min({now(x.SOURCE_LAST_SUCCESS, BY_SOURCE)})",
            NO_EXPORTER,
            unit="s",
            decimals=1,
            thresholds=AGE_STEPS,
        ),
        figure(
            "Data of period",
            "Whether every required source knows every complete day of the period.",
            now(c.WINDOW_COMPLETE, window=PERIOD),
            NO_COSTS,
            mappings=COMPLETE,
            size=20,
        ),
        compared(
            "No customer",
            "The part of all costs that found neither a customer nor a sharing rule.",
            lambda window: _part(c.UNALLOCATED, window),
            unit="percentunit",
            decimals=1,
            points=True,
            thresholds=SHARE_STEPS,
        ),
        compared(
            "Estimated",
            "The part of all costs that is OpenCost's estimate, because no bill covers these days yet.",
            lambda window: _part(c.ESTIMATED_COST, window),
            unit="percentunit",
            decimals=1,
            points=True,
            bad_up=None,
            thresholds=ESTIMATE_STEPS,
        ),
        stat(
            "Bill / cluster",
            "The bill's Kubernetes rows divided by what OpenCost says of the same cluster and days, 1 when they agree."
            " Where there are several clusters, those with the lowest and the highest figure.",
            [
                Query(f"bottomk(1, {agreed})", "{{scope}}"),
                Query(f"topk(1, {agreed}) unless bottomk(1, {agreed})", "{{scope}}"),
            ],
            unit="none",
            decimals=3,
            thresholds=steps((None, RED), (0.8, ORANGE), (0.9, GREEN), (1.1, ORANGE), (1.2, RED)),
            names=True,
            text_size=(13, 24),
            unknown=NOT_COMPARED,
        ),
    ]


def _sources(settings: Settings) -> Panel:
    def told(metric: Metric) -> str:
        return now(metric, BY_SOURCE)

    def billed(window: str) -> str:
        return f"{now(c.BILL, BY_SOURCE, window=window)} > 0"

    failed = over("sum", BY_SOURCE, errors_of_a_day())
    state: Cell = {
        "mappings": values_as({"1": ("up", GREEN), "0": ("down", RED)}),
        "custom__cellOptions": {"type": "color-text"},
        "noValue": "not read yet",
    }
    age: Cell = {
        "unit": "s",
        "decimals": 1,
        "custom__cellOptions": {"type": "color-text"},
        "thresholds": AGE_STEPS,
        "noValue": "never",
    }
    errors: Cell = COUNT | {
        "custom__cellOptions": {"type": "color-text"},
        "thresholds": steps((None, "text"), (1, RED)),
        "noValue": "0",
    }
    return joined(
        "Sources",
        "Each source: whether its last refresh worked, when it was last read without an error, how long the refresh"
        " took, its rows in the ledger, its errors within a day, and what it billed in the period and in the one"
        " before; nothing where a bill tells its costs.",
        "source",
        [
            Figure("State", told(x.SOURCE_UP), state | wide(60)),
            Figure("Last success", f"time() - {told(x.SOURCE_LAST_SUCCESS)}", age | wide(95)),
            Figure("Refresh", told(x.SOURCE_DURATION), {"unit": "s", "decimals": 1, "noValue": "-"} | wide(75)),
            Figure("Rows", told(x.SOURCE_ROWS), COUNT | wide(75)),
            Figure("Errors, 1 day", f"{failed} or 0 * {told(x.SOURCE_UP)}", errors | wide(95)),
            Figure(f"Billed {settings.sign}", billed(PERIOD), MONEY | wide(80)),
            Figure(f"Before {settings.sign}", billed(BEFORE), MONEY | wide(85)),
        ],
        shown=[("source", "Source")],
        overrides=[override("Source", custom__minWidth=90)],
        sort_by="Source",
        descending=False,
        unknown=NO_EXPORTER,
    )


def _windows(settings: Settings) -> Panel:
    choices = periods(settings).options
    served = matches("|".join(settings.windows))
    return joined(
        "Which periods are complete",
        "Whether every required source knows every complete day of each period, and what it costs as far as is known."
        " A period with missing days is too small until they arrive.",
        "window",
        [
            Figure(
                "Data",
                now(c.WINDOW_COMPLETE, ("window",), window=served),
                {"mappings": COMPLETE, "custom__cellOptions": {"type": "color-text"}},
            ),
            Figure(f"Cost {settings.sign}", now(c.PLATFORM_COST, ("window",), window=served), MONEY | wide(95)),
        ],
        shown=[("window", "Period")],
        overrides=[override("Period", mappings=values_as(dict(choices)), custom__minWidth=110)],
        sort_by="Period",
        descending=False,
        unknown=NO_COSTS,
    )


def _known() -> Query:
    """Return 0 on every day whose costs are known, for a graph of what some days have none of."""
    return Query(f"0 * {daily(c.PLATFORM_COST, window=DAY)}", KNOWN)


def _out_of_sight() -> Json:
    """Return the override that keeps those zeros from the eye: they only tell such a day from one nobody knows."""
    return override(KNOWN, custom__hideFrom={"legend": True, "tooltip": True, "viz": False}, custom__lineWidth=0)


def _unallocated(settings: Settings) -> Panel:
    return timeseries(
        "Without a customer, by component",
        "Each day's costs that found neither a customer nor a sharing rule, on that day. A day without any has no bar.",
        [Query(f"{daily(c.UNALLOCATED, ('component',), window=DAY)} > 0", "{{component}}"), _known()],
        unit=settings.money,
        stacked=True,
        bars=True,
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=[*components(), _out_of_sight()],
        links=[EFFICIENCY_PAGE],
        unknown=NO_COSTS,
    )


def _unallocated_share() -> Panel:
    lost, whole = series(c.UNALLOCATED, window=DAY), series(c.BILL, window=DAY)
    return timeseries(
        "Part of all costs",
        "Each day's costs without a customer, divided by all costs of the day.",
        [Query(each_day(ratio, lost, whole), "without a customer"), _known()],
        unit="percentunit",
        decimals=1,
        calcs=("mean", "lastNotNull"),
        bounds=(0, None),
        overrides=[override("without a customer", fixed_color=ORANGE, custom__lineWidth=2), _out_of_sight()],
        unknown=NO_COSTS,
    )


def _unallocated_in_period(settings: Settings) -> Panel:
    by, later, earlier = ("source", "component"), f"Now {settings.sign}", f"Before {settings.sign}"
    headers = {"source": "Source", "component": "Component", "Value #A": later, "Value #B": earlier}
    lost = now(c.UNALLOCATED, by, window=PERIOD)
    known = f"0 * group({now(c.BILL, window=PERIOD)})"
    nothing = f"{labelled(known, 'source', 'none')} unless on () ({lost} > 0)"
    neither = {"id": "equal", "options": {"value": 0}}
    return table(
        "Where they come from",
        "Costs without a customer, by source and component, in the period and in the one before: tag them, or write a"
        " rule under `sharing` in the configuration. None: every cost found a customer or a rule.",
        [
            Query(lost),
            Query(now(c.UNALLOCATED, by, window=BEFORE)),
            Query(labelled(nothing, "component", "-")),
        ],
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "filterByValue",
                "options": {
                    "type": "exclude",
                    "match": "all",
                    "filters": [{"fieldName": name, "config": neither} for name in ("Value #A", "Value #B")],
                },
            },
            *columns(headers),
        ],
        overrides=[
            override("Source", custom__minWidth=90),
            override("Component", links=[EFFICIENCY_PAGE, AI_PAGE], custom__minWidth=100),
            override(later, **MONEY | wide(80)),
            override(earlier, **MONEY | wide(85)),
        ],
        sort_by=later,
        unknown=NO_COSTS,
    )


def _reconciliation() -> Panel:
    return timeseries(
        "Bill divided by cluster, day by day",
        "Each day's Kubernetes rows of the bill divided by OpenCost's costs of the same cluster on that day; 1 when"
        " they agree, more when OpenCost misses costs.",
        [Query(daily(c.RECONCILIATION, ("source", "scope"), window=DAY), "{{source}}, {{scope}}")],
        unit="none",
        decimals=3,
        calcs=("lastNotNull", "min", "max"),
        thresholds=steps((None, "transparent"), (1, GREY)),
        threshold_lines=True,
        overrides=[override("/.*/", regex=True, custom__axisSoftMin=0.8, custom__axisSoftMax=1.2)],
        unknown=NOT_COMPARED,
    )


def _by_source(settings: Settings) -> Panel:
    return timeseries(
        "Counted costs by day and source",
        "What each source brought in and was counted, on its day.",
        [Query(f"{daily(c.BILL, BY_SOURCE, window=DAY)} > 0", "{{source}}")],
        unit=settings.money,
        stacked=True,
        bars=True,
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        links=[page_link("Month close", "unitcost-close")],
        unknown=NO_COSTS,
    )


def _estimated() -> Panel:
    part, whole = series(c.ESTIMATED_COST, window=DAY), series(c.BILL, window=DAY)
    return timeseries(
        "Estimated part of the costs by day",
        "The part of each day's costs that is OpenCost's estimate because no bill covered the day when it was last"
        " told. A day without estimates has no bar.",
        [Query(each_day(ratio, part, whole), "estimated"), _known()],
        unit="percentunit",
        decimals=0,
        bars=True,
        calcs=("lastNotNull",),
        bounds=(0, 1),
        overrides=[override("estimated", fixed_color=GREY), _out_of_sight()],
        unknown=NO_COSTS,
    )
