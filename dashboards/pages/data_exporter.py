"""The part of the page about data quality that tells of refreshes and of the exporter itself."""

from __future__ import annotations

from dashboards.grafana import Row, row, section
from dashboards.pages.parts import figure
from dashboards.panels import Panel, Query, stat, steps, timeseries
from dashboards.queries import now
from dashboards.style import GREEN, ORANGE, RED, YELLOW
from dashboards.words import NO_COSTS, NO_EXPORTER
from rules.promql import over, select
from unitcost.metrics import catalogue as c
from unitcost.metrics import catalogue_exporter as x
from unitcost.metrics.external import UP
from unitcost.metrics.metric import Metric

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
    errors = select(x.SOURCE_ERRORS)
    recent = f"max_over_time({errors}[1d]) unless {errors} offset 1d"
    return over("max", ("source", "reason"), f"({recent} or increase({errors}[1d]))")


def _of_sources(metric: Metric) -> str:
    """Return what an exporter says of each source; a refresh or a restart makes no gap."""
    return over("max", ("source",), f"last_over_time({select(metric)}[15m])")


def _ages() -> Panel:
    return _seconds(
        "Age of each source",
        "How long ago each source was last read without an error. A rising line is a source that fails.",
        f"time() - {_of_sources(x.SOURCE_LAST_SUCCESS)}",
    )


def _durations() -> Panel:
    return _seconds(
        "How long refreshes take",
        "Seconds the last refresh of each source took.",
        _of_sources(x.SOURCE_DURATION),
    )


def _seconds(title: str, description: str, expr: str) -> Panel:
    return timeseries(
        title,
        description,
        [Query(expr, "{{source}}")],
        unit="s",
        calcs=("lastNotNull", "max"),
        bounds=(0, None),
        interval="5m",
        time_from="24h",
        unknown=NO_EXPORTER,
    )


def _errors() -> Panel:
    return timeseries(
        "Errors within a day",
        "Errors of each source by reason, within the 24 hours before each point.",
        [
            Query(errors_of_a_day(), "{{source}}: {{reason}}"),
            Query(f"0 * {_of_sources(x.SOURCE_UP)} unless on (source) {errors_of_a_day()}", "{{source}}"),
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
    version = now(x.BUILD_INFO, ("version",))
    folded, unknown = now(c.TENANTS_FOLDED), now(c.UNKNOWN_TENANTS)
    known = f"last_over_time({select(x.BUILD_INFO)}[1d])"
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
            [Query(version, "{{version}}")],
            unit="none",
            name_only=True,
            text_size=(None, 34),
            unknown=NO_EXPORTER,
        ),
        figure(
            "Age of the figures",
            "How long ago the figures that are served were derived.",
            f"time() - {now(x.SNAPSHOT_TIMESTAMP)}",
            NO_EXPORTER,
            unit="s",
            thresholds=AGE_STEPS,
        ),
        figure(
            "Customers",
            "Customers with cost, usage or revenue in any window, those folded into one included.",
            now(c.TENANTS),
            NO_COSTS,
            unit="locale",
        ),
        figure(
            "Folded/unknown",
            "Customers beyond limits.tenants, summed up as All other tenants, and customers that the directory does"
            " not name.",
            f"{folded} + ({unknown} or vector(0))",
            NO_COSTS,
            unit="locale",
            thresholds=steps((None, GREEN), (1, YELLOW)),
        ),
        figure(
            "Cost series",
            "Series of the metric that has the most: customers x components x windows. They are what a Prometheus"
            " feels; limits.tenants holds them down.",
            f"count({now(c.TENANT_COST, ('tenant', 'component', 'window'))})",
            NO_COSTS,
            unit="locale",
            thresholds=steps((None, GREEN), (100000, YELLOW), (200000, ORANGE)),
        ),
    ]
