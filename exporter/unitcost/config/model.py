"""unitcost.yaml as a whole, typed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from unitcost.config.alerts import Alerts
from unitcost.config.sections import Budget, Copies, Currency, Limits, Plan, Refresh, Rule, Tenants, Web
from unitcost.config.values import Name, StateDir
from unitcost.days import DEFAULT_WINDOWS, WINDOW, is_window
from unitcost.durations import Duration, between
from unitcost.facts import COMPONENTS
from unitcost.sources.ai.settings import Ai
from unitcost.sources.base import ANumber, Context, HttpSettings, Section, Settings, SourceKind
from unitcost.sources.registry import TYPES

SERVICE_CATEGORIES: Mapping[str, str] = {
    "AI and Machine Learning": "ai",
    "Compute": "compute",
    "Databases": "database",
    "Storage": "storage",
    "Networking": "network",
}
"""FOCUS ServiceCategory → component; every other category is `other`. `components` in the file overrides it."""

SUPPORT_SERVICES: Mapping[str, str] = {
    "AWS Support (Business)": "support",
    "AWS Support (Developer)": "support",
    "AWS Support (Enterprise)": "support",
    "AWS Premium Support": "support",
}


WindowText = Annotated[str, WithJsonSchema({"type": "string", "pattern": WINDOW})]


class Config(Section):
    """unitcost.yaml: where costs, usage and revenue come from, and what is made of them.

    tenants: how a tenant is named everywhere. refresh: how often sources are asked. history: how far back days are
    asked for. state_dir: the folder of the ledger. copies: copies of the ledger. currency: what everything is shown in.
    sources: a name of your own → where costs, usage or revenue come from. sharing: by what costs without a tenant are
    shared; the first rule that matches counts. plans: name → price and target. budgets: `default` or a plan → what each
    of its tenants may cost in a calendar month. dimensions: label and tag keys besides the tenant. components:
    ServiceName or ServiceCategory of a FOCUS bill → component. windows: Nd (complete days), mtd, last_month. months: so
    many closed calendar months are windows too. limits: what gets series of its own. web: where to listen. alerts:
    thresholds, floors and owners of the alert rules. ai: prices of models, and what-ifs.
    """

    tenants: Tenants = Tenants()
    refresh: Refresh = Refresh()
    history: Annotated[Duration, between("1d", "3660d")] = timedelta(days=93)
    state_dir: StateDir = Field(default=Path("./state"), validate_default=True)
    copies: Copies = Copies()
    currency: Currency = Currency()
    sources: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,99}$")], Any] = Field(max_length=200)
    sharing: tuple[Rule, ...] = ()
    plans: Mapping[str, Plan] = {}
    budgets: Mapping[str, Budget] = {}
    dimensions: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    components: Mapping[str, Literal[COMPONENTS]] = {}  # type: ignore[valid-type]
    windows: Annotated[tuple[WindowText, ...], Field(min_length=1, max_length=50)] = DEFAULT_WINDOWS
    months: Annotated[int, ANumber] = Field(default=3, ge=0, le=120)
    limits: Limits = Limits()
    web: Web = Web()
    alerts: Alerts = Alerts()
    ai: Ai = Ai()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        wrong = [window for window in self.windows if not is_window(window)]
        if wrong:
            raise ValueError(f"windows: {', '.join(wrong)}: must be Nd (such as 30d), mtd or last_month")
        if len(set(self.windows)) != len(self.windows):
            raise ValueError("windows: each at most once")
        if len(set(self.dimensions)) != len(self.dimensions):
            raise ValueError("dimensions: each at most once")
        return self

    def settings(self, name: str) -> Settings:
        """Return the typed settings of a source."""
        settings: Settings = self.sources[name]
        return settings

    def kinds(self) -> dict[str, SourceKind]:
        """Return what each source brings; without those whose settings are wrong, while the file is read."""
        given = ((name, settings) for name, settings in self.sources.items() if settings is not None)
        return {name: TYPES[settings.type].kind for name, settings in given}

    def brings(self, name: str) -> tuple[SourceKind, ...]:
        """Return all that a source brings."""
        return TYPES[self.settings(name).type].brings

    def bills_of_clusters(self) -> list[str]:
        """Return the bills that may charge for what a cluster runs on, as a model provider's never does."""
        bills = (name for name, kind in self.kinds().items() if kind == "bill")
        return [name for name in bills if self.settings(name).holds_clusters() is not False]

    def billed_by(self, name: str) -> Sequence[str]:
        """Return the bills that may charge for what a meter measures, as its settings say, or else all that could."""
        named: Sequence[str] | None = getattr(self.settings(name), "billed_by", None)
        if named is not None:
            return named
        kinds = self.kinds()
        return self.bills_of_clusters() if kinds[name] == "cluster" else [n for n in kinds if kinds[n] == "bill"]

    def compared(self) -> list[str]:
        """Return the sources that are asked and stored, and never counted."""
        return [name for name in self.kinds() if getattr(self.settings(name), "compare_only", False)]

    def context(self) -> Context:
        """Return what the sources need to know of the rest of the file."""
        return Context(
            tenant_keys=self.tenants.key,
            fold=self.tenants.fold == "case",
            dimensions=self.dimensions,
            currency=self.currency.code,
            billed=any(self.settings(name).names_resources for name in self.bills_of_clusters()),
            metered="cluster" in self.kinds().values(),
            state_dir=self.state_dir,
        )

    def components_of(self, name: str) -> dict[str, str]:
        """Return FOCUS ServiceName or ServiceCategory → component, as a bill's costs are counted."""
        own = getattr(self.settings(name), "components", {})
        return {**SERVICE_CATEGORIES, **SUPPORT_SERVICES, **self.settings(name).services, **self.components, **own}


def settings_digest(config: Config, name: str) -> str:
    """Digest what decides the content of a source's batches (Settings.identity)."""
    settings = config.settings(name)
    parts = [settings.type, *settings.identity(config.context())]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def former_digests(config: Config) -> dict[str, str]:
    """Return what settings_digest was of the same settings where the ledger is of schema 1 → what it is."""
    older = [name for name, kind in config.kinds().items() if kind != "tokens"]
    return {_former_digest(config, name): settings_digest(config, name) for name in older}


def _former_digest(config: Config, name: str) -> str:
    context = config.context()
    components = {**SERVICE_CATEGORIES, **SUPPORT_SERVICES, **config.components}
    uses: Mapping[SourceKind, Sequence[object]] = {
        "cluster": ("by cluster", context.tenant_keys, context.dimensions, context.currency),
        "bill": (context.tenant_keys, context.fold, context.dimensions, sorted(components.items())),
        "usage": (context.tenant_keys,),
        "revenue": (context.currency,),
    }
    skipped = {*HttpSettings.model_fields, "path", "billed_by", "partial_guard", "collector"}
    skipped |= {"by_node", "scopes", "clusters", "split_cost_allocation"}  # came later, as may others
    skipped |= {"delivery", "store", "cache", "engine"}
    mattering = config.settings(name).model_dump(mode="json", exclude=skipped)
    parts = [config.settings(name).type, mattering, uses[config.kinds()[name]]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
