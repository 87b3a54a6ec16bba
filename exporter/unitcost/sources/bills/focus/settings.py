"""What unitcost.yaml says of a FOCUS bill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from unitcost.facts import COMPONENTS, K8S
from unitcost.sources.base import Context, ExistingPath, Section, Settings


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


class FocusSettings(Settings):
    """A FOCUS export: one file, a folder, or a tree of folders by billing period.

    cost: the cost column; BilledCost sums to the invoice, EffectiveCost spreads commitments. tenant: a column that
    names the tenant, instead of the tag `tenants.key`; `none`: no charge has one, all are shared. components:
    ServiceName or ServiceCategory → component, on top of the built-in table. overlapping_files: two files with charges
    on the same day are an error, unless they are parts of one export, or are to be added up (`sum`, the very same rows
    excepted). missing_days: what a day without usage is in a closed bill that has usage every day: `unknown`, or
    `zero` where it really cost nothing. scopes: charges of what a meter measures besides clusters; the first that
    matches by ServiceName or ServiceCategory counts. clusters: whether the bill holds the machines of clusters, so
    that its days replace what a meter of these estimates; default: on days that it charges for machines.
    split_cost_allocation: costs of nodes go to the pods that AWS splits them to (CUR 2.0), or to the resources that a
    FOCUS 1.3 row is allocated to.
    """

    type: Literal["focus"]
    path: ExistingPath
    cost: Literal["BilledCost", "EffectiveCost", "ContractedCost", "ListCost"] = "EffectiveCost"
    tenant: str | None = None
    components: Mapping[str, str] = {}
    scopes: tuple[ScopeRule, ...] = ()
    overlapping_files: Literal["error", "sum"] = "error"
    missing_days: Literal["unknown", "zero"] = "unknown"
    clusters: bool | None = None
    split_cost_allocation: bool = False

    def identity(self, context: Context) -> list[object]:
        """Tags are read by the keys of tenants and dimensions."""
        mine = self.model_dump(mode="json", exclude={"type", "required", "path", "components", "scopes", "clusters"})
        if not self.split_cost_allocation:  # came later; without it nothing is read otherwise than before
            del mine["split_cost_allocation"]
        return [mine, context.tenant_keys, context.fold, context.dimensions]

    _known_components = field_validator("components")(known_components)
