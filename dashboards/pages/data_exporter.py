"""The part of the page about data quality that tells of refreshes and of the exporter itself."""

from __future__ import annotations

from dashboards.grafana import Row, row, section
from dashboards.pages.parts import figure
from dashboards.panels import Panel, Query, stat, steps, timeseries
from dashboards.queries import latest, once
from dashboards.style import GREEN, ORANGE, RED, YELLOW
from dashboards.words import NO_COSTS, NO_EXPORTER
from rules.promql import select
from unitcost import catalogue as c
from unitcost.catalogue_external import UP

AGE_STEPS = steps((None, "text"), (0, GREEN), (3600, YELLOW), (4 * 3600, ORANGE), (24 * 3600, RED))


def exporter_rows() -> list[Row]:
    """Return the rows of what only a running exporter tells."""
    return [
        section("Refreshes and the exporter"),
        row(8, (8, _ages()), (8, _durations()), (8, _errors())),
        row(4, *((4, one) for one in _exporter())),
    ]


def errors_of_a_day() -> str:
    """Return errors by source and reason; a counter that is new within the day counts from 0."""
    errors = select(c.SOURCE_ERRORS)
    recent = f"max_over_time({errors}[1d]) unless {errors} offset 1d"
    return once(("source", "reason"), f"({recent} or increase({errors}[1d]))")


def _ages() -> Panel:
    age = f"time() - {once(('source',), f'last_over_time({select(c.SOURCE_LAST_SUCCESS)}[15m])')}"
    return timeseries(
        "Time since each source was read",
        "How long ago each source was last read without an error. A rising line is a source that fails.",
        [Query(age, "{{source}}")],
        unit="s",
        calcs=("lastNotNull", "max"),
        bounds=(0, None),
        interval="5m",
        time_from="24h",
        unknown=NO_EXPORTER,
    )


def _durations() -> Panel:
    took = once(("source",), f"last_over_time({select(c.SOURCE_DURATION)}[15m])")
    return timeseries(
        "How long refreshes take",
        "Seconds the last refresh of each source took.",
        [Query(took, "{{source}}")],
        unit="s",
        calcs=("lastNotNull", "max"),
        bounds=(0, None),
        interval="5m",
        time_from="24h",
        unknown=NO_EXPORTER,
    )


def _errors() -> Panel:
    read = once(("source",), f"last_over_time({select(c.SOURCE_UP)}[15m])")
    return timeseries(
        "Errors of the day before, by source and reason",
        "Errors of each source within the 24 hours before each point.",
        [
            Query(errors_of_a_day(), "{{source}}: {{reason}}"),
            Query(f"0 * {read} unless on (source) {errors_of_a_day()}", "{{source}}"),
        ],
        unit="short",
        decimals=0,
        calcs=("lastNotNull", "max"),
        bounds=(0, None),
        interval="5m",
        time_from="24h",
        unknown=NO_EXPORTER,
    )


def _exporter() -> list[Panel]:
    """Return what tells of the exporter itself."""
    version = once(("version",), latest(select(c.BUILD_INFO)))
    folded, unknown = (once((), latest(select(metric))) for metric in (c.TENANTS_FOLDED, c.UNKNOWN_TENANTS))
    known = f"last_over_time({select(c.BUILD_INFO)}[1d])"
    down = f"count({UP.name} and on (job, instance) {known}) - sum({UP.name} and on (job, instance) {known})"
    return [
        figure(
            "Exporters down",
            "Exporters that Prometheus scraped within a day and cannot reach now.",
            down,
            NO_EXPORTER,
            thresholds=steps((None, GREEN), (1, RED)),
        ),
        stat(
            "Version",
            "The version that serves the figures; two are shown while an update rolls out.",
            [Query(version, "{{version}}", instant=True)],
            unit="none",
            name_only=True,
            text_size=(None, 34),
            unknown=NO_EXPORTER,
            interval=None,
        ),
        figure(
            "Age of the figures",
            "How long ago the figures that are served were derived.",
            f"time() - {once((), latest(select(c.SNAPSHOT_TIMESTAMP)))}",
            NO_EXPORTER,
            unit="s",
            thresholds=AGE_STEPS,
        ),
        figure(
            "Customers",
            "Customers with cost, usage or revenue in any window, those folded into one included.",
            once((), latest(select(c.TENANTS))),
            NO_COSTS,
            unit="locale",
        ),
        figure(
            "Folded or unknown",
            "Customers beyond limits.tenants, summed up as All other tenants, and customers that the directory does"
            " not name.",
            f"{folded} + ({unknown} or vector(0))",
            NO_COSTS,
            unit="locale",
            thresholds=steps((None, GREEN), (1, YELLOW)),
        ),
        figure(
            "Series of customers' costs",
            "Series of the metric that has the most: customers x components x windows. They are what a Prometheus"
            " feels; limits.tenants holds them down.",
            f"count(max by (tenant, component, window) ({latest(select(c.TENANT_COST))}))",
            NO_COSTS,
            unit="locale",
            thresholds=steps((None, GREEN), (100000, YELLOW), (200000, ORANGE)),
        ),
    ]
