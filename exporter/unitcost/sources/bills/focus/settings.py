"""What unitcost.yaml says of a FOCUS bill."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from unitcost.facts import COMPONENTS, K8S
from unitcost.sources.base import Context, Section, Settings, existing
from unitcost.sources.bills.focus.deliveries.base import Kind
from unitcost.sources.bills.focus.engines.settings import Engine, one_place
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.settings import CacheSettings, StoreSettings

ComponentName = Annotated[str, WithJsonSchema({"enum": [*COMPONENTS]})]


def known_components(components: Mapping[str, str]) -> Mapping[str, str]:
    """Check that services are mapped to components."""
    for service, component in components.items():
        if component not in COMPONENTS:
            raise ValueError(f"{service}: {component} is no component; use one of {', '.join(COMPONENTS)}")
    return components


class ScopeRule(Section):
    """Which charges are of a scope that a meter measures: a model provider's account, say, `openai/acme-org`."""

    scope: str = Field(pattern=r"^[a-z0-9_-]+/[^/]*$", max_length=200)
    match: Mapping[Literal["service", "category"], str] = {}

    @field_validator("scope")
    @classmethod
    def _of_no_cluster(cls, scope: str) -> str:
        if scope.startswith(K8S):
            raise ValueError("is a cluster, which a charge's own tags and resource tell")
        return scope


def _place(given: object, info: ValidationInfo) -> object:
    """Return the address of a store, or an existing path."""
    if isinstance(given, str):
        return Address.parse(given) or existing(Path(given), info)
    return existing(given, info) if isinstance(given, Path) else given


class FocusSettings(Settings):
    """A FOCUS export: one file, a folder, or a tree of folders by billing period, here or in an object store.

    delivery: how files get into a store, and which of them count. store: how it is reached. cache: what is kept of it.

    path: the file or folder, or s3://bucket/prefix, az://container/prefix, gs://bucket/prefix.

    cost: the cost column; BilledCost sums to the invoice, EffectiveCost spreads commitments. tenant: a column that
    names the tenant, instead of the tag `tenants.key`; `none`: no charge has one, all are shared. components:
    ServiceName or ServiceCategory → component, on top of the built-in table. overlapping_files: two files with charges
    on the same day are an error, unless they are parts of one export, or are to be added up (`sum`, the very same rows
    excepted). missing_days: what a day without usage is in a closed bill that has usage every day: `unknown`, or
    `zero` where it really cost nothing. scopes: charges of what a meter measures besides clusters; the first that
    matches by ServiceName or ServiceCategory counts. clusters: whether the bill holds the machines of clusters, so
    that its days replace what a meter of these estimates; default: on days that it charges for machines.
    split_cost_allocation: costs of nodes go to the pods that AWS splits them to (CUR 2.0), or to the resources that a
    FOCUS 1.3 row is allocated to. engine: whose table it is, instead of a path.
    """

    type: Literal["focus"]
    engine: Engine | None = None
    path: Annotated[
        Path | Address | None,
        BeforeValidator(_place, json_schema_input_type=str | None),
        Field(default=None, validate_default=True),
    ]
    delivery: Kind = "auto"
    store: StoreSettings = StoreSettings()
    cache: CacheSettings = CacheSettings()
    cost: Literal["BilledCost", "EffectiveCost", "ContractedCost", "ListCost"] = "EffectiveCost"
    tenant: str | None = None
    components: Mapping[str, ComponentName] = {}
    scopes: tuple[ScopeRule, ...] = ()
    overlapping_files: Literal["error", "sum"] = "error"
    missing_days: Literal["unknown", "zero"] = "unknown"
    clusters: bool | None = None
    split_cost_allocation: bool = False

    def holds_clusters(self) -> bool | None:
        """As the setting says."""
        return self.clusters

    def identity(self, context: Context) -> list[object]:
        """Tags are read by the keys of tenants and dimensions."""
        reached = {"path", "engine", "delivery", "store", "cache"}
        mine = self.model_dump(mode="json", exclude={"type", "required", "components", "scopes", "clusters", *reached})
        if not self.split_cost_allocation:  # came later; without it nothing is read otherwise than before
            del mine["split_cost_allocation"]
        return [mine, context.tenant_keys, context.fold, context.dimensions]

    @model_validator(mode="after")
    def _store_of_the_path(self) -> FocusSettings:
        if not isinstance(self.path, Address):
            if self.engine is not None and self.split_cost_allocation:
                raise ValueError("has split_cost_allocation, which is of files, and an engine")
            wrong = sorted({"delivery", "store", "cache"} & self.model_fields_set)
            if wrong:
                place = "the path of a file or folder" if self.engine is None else "an engine"
                raise ValueError(f"has {', '.join(wrong)}, which are of object stores, and {place}")
        elif strangers := self.store.strangers(self.path.scheme):
            raise ValueError(f"store.{strangers[0]} means nothing for {self.path.scheme}://")
        return self

    _known_components = field_validator("components")(known_components)

    @field_validator("path")
    @classmethod
    def _in_one_place(cls, path: Path | Address | None, info: ValidationInfo) -> Path | Address | None:
        one_place(path, info)
        return path
