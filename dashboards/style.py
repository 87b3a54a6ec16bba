"""Colours, thresholds, units and words that mean the same on every page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dashboards.panels import Json, override, steps, values_as
from rules.alerts import Runbooks, meanings, runbooks_of
from unitcost.config.load import load
from unitcost.config.model import Config
from unitcost.days import DEFAULT_WINDOWS
from unitcost.facts import COMPONENTS
from unitcost.figures import sign
from unitcost.metrics.external import CLUSTER

RED, ORANGE, YELLOW, GREEN, BLUE, PURPLE = (
    "#E02F44", "#FF780A", "#F2CC0C", "#56A64B", "#5794F2", "#B877D9",
)  # fmt: skip
"""Grafana's own hues, dark enough for its light theme and light enough for the dark one."""

COMPONENT_COLOURS: dict[str, str] = {
    "compute": "#3274D9",
    "gpu": "#1F9E89",
    "database": "#B877D9",
    "storage": "#9FB8D9",
    "network": "#E5B80B",
    "ai": "#F2701D",
    "idle": "#7B8087",
    "commitment": "#4B6B5C",
    "support": "#C77C8F",
    "other": "#A3764B",
}
"""One colour per component, told apart by lightness too, for those who do not see red and green."""

# Grafana gives a cell without a value the first colour: what is unknown must not look like the worst of all.
BUDGET_STEPS = steps((None, "text"), (0, GREEN), (0.75, YELLOW), (0.9, ORANGE), (1, RED))
MARGIN_STEPS = steps((None, "text"), (-1e9, RED), (0, ORANGE), (0.3, GREEN))
COST_DELTA_STEPS = steps((None, "text"), (-1e15, GREEN), (0, "text"), (1e-9, RED))
NO_PLAN = values_as({"": "no plan"})
COMPLETE = values_as({"1": ("complete", GREEN), "0": ("days are missing", ORANGE)})
"""Of a window: whether the sources know all its days."""


GRAFANA_KNOWS = frozenset(
    (
        *("USD", "GBP", "EUR", "JPY", "RUB", "UAH", "BRL", "DKK", "ISK", "NOK", "SEK", "CZK", "CHF", "PLN", "ZAR"),
        *("INR", "KRW", "IDR", "PHP", "VND", "TRY", "MYR", "BGN", "PYG", "UYU", "ILS"),
    )
)


PLAIN_MONEY = "currency:financial: :suffix"
"""Grafana's unit (12 and later) for an amount with separators and all its decimals; a space stands for a sign."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of unitcost.yaml shows on the pages.

    currency: its code. tenant_key: the label that names tenants. cluster_label: the one that tells clusters apart.
    windows: those that the exporter serves. alerts: what each alert means, in a few words. runbooks: where the pages
    are that say what to do about them.
    """

    currency: str = "USD"
    tenant_key: str = "tenant"
    cluster_label: str = CLUSTER
    windows: tuple[str, ...] = DEFAULT_WINDOWS
    alerts: Mapping[str, str] = field(default_factory=lambda: meanings(Config(sources={})))
    runbooks: Runbooks = field(default_factory=Runbooks)

    @classmethod
    def of(cls, config: Config) -> Settings:
        """Return what of a configuration shows. Raises ConfigError where it disables an alert that does not exist."""
        return cls(
            currency=config.currency.code,
            tenant_key=config.tenants.key[0],
            cluster_label=config.alerts.cluster_label,
            windows=config.windows,
            alerts=meanings(config),
            runbooks=runbooks_of(config),
        )

    @property
    def money(self) -> str:
        """Grafana's unit for the currency: figures with its sign, shortened from a thousand on."""
        return f"currency{self.currency}" if self.currency in GRAFANA_KNOWS else f"currency:{self.currency} "

    @property
    def exact(self) -> str:
        """Grafana's unit for amounts that are not shortened: the currency's sign, separators and all decimals."""
        return f"currency:financial:{self.sign}"

    @property
    def sign(self) -> str:
        """What a table's header writes behind a name; the cells hold plain numbers, which Grafana does not shorten."""
        return sign(self.currency, "")


def settings(path: Path | None) -> Settings:
    """Read the settings from unitcost.yaml, or return the defaults. Raises unitcost's ConfigError."""
    return Settings() if path is None else Settings.of(load(path)[0])


def dashed_line(name: str) -> Json:
    """Return the override that draws a series, such as revenue, as a dashed line over stacked costs."""
    return override(
        name,
        fixed_color="text",
        custom__drawStyle="line",
        custom__lineStyle={"fill": "dash", "dash": [8, 6]},
        custom__lineWidth=2,
        custom__fillOpacity=0,
        custom__stacking={"mode": "none", "group": "B"},
    )


def component_colours() -> list[Json]:
    """Return the overrides that give each component's series its colour."""
    return [override(component, fixed_color=COMPONENT_COLOURS[component]) for component in COMPONENTS]
