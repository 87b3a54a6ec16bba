"""The table of sources: `type` in the configuration → settings and source. A new source is one line here."""

from __future__ import annotations

from typing import NamedTuple

from unitcost.sources.base import Settings, Source
from unitcost.sources.bills.focus import source as focus
from unitcost.sources.cluster.opencost import source as opencost
from unitcost.sources.revenue import csv_revenue
from unitcost.sources.usage import csv_usage, prometheus


class SourceType(NamedTuple):
    """One line of the table."""

    settings: type[Settings]
    source: type[Source]


TYPES: dict[str, SourceType] = {
    "opencost": SourceType(opencost.OpenCostSettings, opencost.OpenCost),
    "focus": SourceType(focus.FocusSettings, focus.Focus),
    "csv_revenue": SourceType(csv_revenue.CsvRevenueSettings, csv_revenue.CsvRevenue),
    "csv_usage": SourceType(csv_usage.CsvUsageSettings, csv_usage.CsvUsage),
    "prometheus": SourceType(prometheus.PrometheusSettings, prometheus.Prometheus),
}
