"""The table of sources: `type` in the configuration → what it is, and where. A new source is one line here.

Nothing is imported before it is used: whoever only reads a configuration loads no source, and no library of a vendor.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple, cast

from unitcost.sources.base import Settings, Source, SourceKind


class SourceType(NamedTuple):
    """One line of the table: what a source brings, its two classes as "module:name", below unitcost.sources.

    kind: what it brings first of all, and what its class says of itself; also: what it brings besides (a provider's API
    that tells costs and tokens, say).
    """

    kind: SourceKind
    settings_at: str
    source_at: str
    also: tuple[SourceKind, ...] = ()

    @property
    def brings(self) -> tuple[SourceKind, ...]:
        """Return everything that it brings."""
        return (self.kind, *self.also)

    @property
    def settings(self) -> type[Settings]:
        """Return the class of its settings."""
        return cast("type[Settings]", _named(self.settings_at))

    @property
    def source(self) -> type[Source]:
        """Return the class that asks."""
        return cast("type[Source]", _named(self.source_at))


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"unitcost.sources.{module}"), name)


TYPES: dict[str, SourceType] = {
    "opencost": SourceType("cluster", "cluster.opencost.settings:OpenCostSettings", "cluster.opencost.source:OpenCost"),
    "focus": SourceType("bill", "bills.focus.settings:FocusSettings", "bills.focus.source:Focus"),
    "aws_cost_explorer": SourceType(
        "bill", "bills.cost_explorer.settings:CostExplorerSettings", "bills.cost_explorer.source:CostExplorer"
    ),
    "ai_tokens": SourceType("tokens", "ai.tokens:TokenSettings", "ai.tokens:Tokens", ("usage",)),
    "csv_tokens": SourceType("tokens", "ai.csv_tokens:CsvTokensSettings", "ai.csv_tokens:CsvTokens", ("usage",)),
    "openai": SourceType("bill", "ai.openai:OpenAISettings", "ai.openai:OpenAI", also=("usage",)),
    "anthropic": SourceType("bill", "ai.anthropic:AnthropicSettings", "ai.anthropic:Anthropic", also=("usage",)),
    "csv_revenue": SourceType("revenue", "revenue.csv_revenue:CsvRevenueSettings", "revenue.csv_revenue:CsvRevenue"),
    "csv_usage": SourceType("usage", "usage.csv_usage:CsvUsageSettings", "usage.csv_usage:CsvUsage"),
    "prometheus": SourceType("usage", "usage.prometheus:PrometheusSettings", "usage.prometheus:Prometheus"),
}
