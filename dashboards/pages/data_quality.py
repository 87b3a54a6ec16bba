"""Whether the figures can be trusted: sources, completeness, what found no customer, and the exporter itself."""

from __future__ import annotations

from dashboards.cells import COUNT, MONEY, Cell, wide
from dashboards.grafana import page as whole_page
from dashboards.grafana import row, section, table_height
from dashboards.pages.data_exporter import AGE_STEPS, errors_of_a_day, exporter_rows
from dashboards.pages.parts import figure
from dashboards.panels import GREY, Json, Panel, Query, override, steps, table, timeseries, values_as
from dashboards.queries import daily, latest, now, once, otherwise
from dashboards.style import GREEN, ORANGE, RED, YELLOW, Settings, component_colours
from dashboards.tables import Figure, joined
from dashboards.words import NO_COSTS, NO_EXPORTER, NOT_COMPARED
from rules.promql import over, select
from unitcost import catalogue as c

UID = "unitcost-data"
MONTH = "30d"
SHARE_STEPS = steps((None, GREEN), (0.05, YELLOW), (0.1, ORANGE), (0.2, RED))


def page(settings: Settings) -> Json:
    """Return the page."""
    return whole_page(
        UID,
        "Data quality",
        "Whether the figures can be trusted: what each source brought and when, which days are missing, what found no"
        " customer, and whether bill and cluster agree.",
        [
            row(4, *((4, one) for one in _figures())),
            row(table_height(5), (15, _sources(settings)), (9, _windows(settings))),
            section("Costs that found no customer"),
            row(8, (8, _unallocated(settings)), (8, _unallocated_share()), (8, _unallocated_now(settings))),
            section("Bill against cluster, and estimates"),
            row(8, (8, _reconciliation()), (8, _by_source(settings)), (8, _estimated())),
            *exporter_rows(),
        ],
    )


def _share_now(part: c.Metric) -> str:
    return f"{now(part, window=MONTH)} / ({now(c.BILL, window=MONTH)} > 0)"


def _figures() -> list[Panel]:
    """Return what tells at a glance whether something is wrong."""
    up = once(("source",), latest(select(c.SOURCE_UP)))
    succeeded = once(("source",), latest(select(c.SOURCE_LAST_SUCCESS)))
    ratio = once(("source", "cluster"), latest(select(c.RECONCILIATION, window=MONTH)))
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
            f"time() - min({succeeded})",
            NO_EXPORTER,
            unit="s",
            decimals=1,
            thresholds=AGE_STEPS,
        ),
        figure(
            "Data of 30 days",
            "Whether every required source knows every one of the last 30 complete days.",
            once((), latest(select(c.WINDOW_COMPLETE, window=MONTH))),
            NO_COSTS,
            mappings=values_as({"1": ("complete", GREEN), "0": ("days are missing", ORANGE)}),
        ),
        figure(
            "Without a customer",
            "The part of all costs of the last 30 complete days that found neither a customer nor a sharing rule.",
            f"{_share_now(c.UNALLOCATED)} or 0 * {now(c.BILL, window=MONTH)}",
            NO_COSTS,
            unit="percentunit",
            decimals=1,
            thresholds=SHARE_STEPS,
        ),
        figure(
            "Estimated",
            "The part of all costs of the last 30 complete days that is OpenCost's estimate, because no bill covers"
            " these days yet.",
            f"{_share_now(c.ESTIMATED_COST)} or 0 * {now(c.BILL, window=MONTH)}",
            NO_COSTS,
            unit="percentunit",
            decimals=1,
            thresholds=steps((None, GREEN), (0.25, YELLOW), (0.5, ORANGE)),
        ),
        figure(
            "Bill / cluster",
            "30 days: the bill's Kubernetes rows divided by what OpenCost says of the same cluster and days, 1 when"
            " they agree. Where there are several clusters, the one that is furthest from 1.",
            f"max(max({ratio}) and max({ratio}) - 1 >= 1 - min({ratio}) or min({ratio}))",
            NOT_COMPARED,
            decimals=3,
            thresholds=steps((None, RED), (0.8, ORANGE), (0.9, GREEN), (1.1, ORANGE), (1.2, RED)),
        ),
    ]


def _sources(settings: Settings) -> Panel:
    sign = settings.sign

    def said(metric: c.Metric) -> str:
        return once(("source",), latest(select(metric)))

    failed = over("sum", ("source",), errors_of_a_day())
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
        "Each source: whether its last refresh worked, when it was last read without an error, its rows in the ledger,"
        " how long the refresh took, its errors within a day, and what it billed in the last 30 complete days and in"
        " the last calendar month, to hold beside the invoice.",
        "source",
        [
            Figure("State", said(c.SOURCE_UP), state | wide(60)),
            Figure("Last success", f"time() - {said(c.SOURCE_LAST_SUCCESS)}", age | wide(100)),
            Figure("Refresh", said(c.SOURCE_DURATION), {"unit": "s", "decimals": 1, "noValue": "-"} | wide(80)),
            Figure("Rows", said(c.SOURCE_ROWS), COUNT | wide(80)),
            Figure("Errors, 1 day", f"{failed} or 0 * {said(c.SOURCE_UP)}", errors | wide(100)),
            Figure(f"Billed {sign}, 30 days", now(c.BILL, ("source",), window=MONTH), MONEY | wide(140)),
            Figure(f"Billed {sign}, last month", now(c.BILL, ("source",), window="last_month"), MONEY | wide(160)),
        ],
        shown=[("source", "Source")],
        overrides=[override("Source", custom__minWidth=80)],
        sort_by="Source",
        descending=False,
        unknown=NO_EXPORTER,
    )


def _windows(settings: Settings) -> Panel:
    names = values_as({"1d": "yesterday", "30d": "last 30 days", "mtd": "this month", "last_month": "last month"})
    complete = values_as({"1": ("complete", GREEN), "0": ("days are missing", ORANGE)})
    return joined(
        "Which figures are complete",
        "Whether every required source knows every complete day of each window, and what the window costs so far."
        " A window with missing days is too small until they arrive.",
        "window",
        [
            Figure(
                "Data",
                once(("window",), latest(select(c.WINDOW_COMPLETE))),
                {"mappings": complete, "custom__cellOptions": {"type": "color-text"}},
            ),
            Figure(f"Cost {settings.sign}", _cost_by_window(), MONEY | wide(110)),
        ],
        shown=[("window", "Window")],
        overrides=[override("Window", mappings=names, custom__minWidth=100)],
        sort_by="Window",
        descending=False,
        unknown=NO_COSTS,
    )


def _cost_by_window() -> str:
    every = once(c.PLATFORM_COST.labels, latest(select(c.PLATFORM_COST)))
    return over("sum", ("window",), every)


def _unallocated(settings: Settings) -> Panel:
    lost = daily(c.UNALLOCATED, ("component",), window="1d")
    return timeseries(
        "Without a customer, by day and component",
        "Each day's costs that found neither a customer nor a sharing rule, on that day.",
        [Query(otherwise(lost, daily(c.PLATFORM_COST, window="1d"), "component", "none"), "{{component}}")],
        unit=settings.money,
        stacked=True,
        bars=True,
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=component_colours(),
        unknown=NO_COSTS,
    )


def _unallocated_share() -> Panel:
    part = daily(c.UNALLOCATED, ("source",), window="1d")
    whole = daily(c.BILL, ("source",), window="1d")
    return timeseries(
        "Part of each source without a customer, by day",
        "Each day's costs without a customer, divided by all costs of the source on that day.",
        [Query(f"({part} or 0 * {whole}) / ({whole} > 0)", "{{source}}")],
        unit="percentunit",
        decimals=1,
        calcs=("mean", "lastNotNull"),
        bounds=(0, None),
        unknown=NO_COSTS,
    )


def _unallocated_now(settings: Settings) -> Panel:
    lost = f"{now(c.UNALLOCATED, ('source', 'component'), window=MONTH)} > 0"
    return table(
        "Where they come from, 30 days",
        "Costs of the last 30 complete days without a customer, by source and component: tag them, or write a rule"
        " under `sharing` in the configuration.",
        [Query(otherwise(lost, now(c.BILL, window=MONTH), "source", "none: every cost found a customer or a rule"))],
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "includeByName": {},
                    "indexByName": {"source": 0, "component": 1, "Value": 2},
                    "renameByName": {"source": "Source", "component": "Component", "Value": f"Cost {settings.sign}"},
                },
            }
        ],
        overrides=[override(f"Cost {settings.sign}", **MONEY)],
        sort_by=f"Cost {settings.sign}",
        unknown=NO_COSTS,
    )


def _reconciliation() -> Panel:
    ratio = daily(c.RECONCILIATION, ("source", "cluster"), window=MONTH)
    return timeseries(
        "Bill divided by cluster, 30 days up to each day",
        "The bill's Kubernetes rows divided by OpenCost's costs of the same cluster on the same days; 1 when they"
        " agree, more when OpenCost misses costs.",
        [Query(ratio, "{{source}}, {{cluster}}")],
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
        [Query(daily(c.BILL, ("source",), window="1d"), "{{source}}")],
        unit=settings.money,
        stacked=True,
        bars=True,
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        unknown=NO_COSTS,
    )


def _estimated() -> Panel:
    part = daily(c.ESTIMATED_COST, window="1d")
    whole = daily(c.BILL, window="1d")
    return timeseries(
        "Estimated part of the costs by day",
        "The part of each day's costs that is OpenCost's estimate because no bill covered the day when it was last"
        " told.",
        [Query(f"{part} / ({whole} > 0) or 0 * {whole}", "estimated")],
        unit="percentunit",
        decimals=0,
        bars=True,
        calcs=("lastNotNull",),
        bounds=(0, 1),
        overrides=[override("estimated", fixed_color=GREY)],
        unknown=NO_COSTS,
    )
