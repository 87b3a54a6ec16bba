"""What unitcost.yaml says of AWS Cost Explorer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from unitcost.durations import Duration, between
from unitcost.sources.aws import AwsSettings
from unitcost.sources.base import NOBODY, OR_NONE, ANumber, Context
from unitcost.sources.bills.cost_explorer.services import SERVICES
from unitcost.sources.bills.focus.settings import ComponentName, ScopeRule, known_components

TagKey = Annotated[str, Field(min_length=1, max_length=128)]


class CostExplorerSettings(AwsSettings):
    """The bill of an account or an organization of AWS, as Cost Explorer has it.

    cost: the metric. tenant: the cost allocation tag that names the tenant; default: tenants.key; `none`: no charge has
    one, all are shared. cluster_tag: the one that names the Kubernetes cluster of a node; needed where a cluster is a
    source. record_types: whether credits, refunds and taxes are asked for apart from usage, for a second request.
    request_budget: requests in a calendar month (UTC), never exceeded; AWS charges $0.01 for each. every: how often the
    last refresh.restate_days are asked for again. every_estimated: how often older days are whose month has no invoice
    yet. delay: how long after its end a day is first asked for, and known. components: SERVICE → component, on top of
    the built-in table. scopes: as of a FOCUS bill.
    """

    names_resources: ClassVar[bool] = False
    paid: ClassVar[bool] = True
    services: ClassVar[Mapping[str, str]] = SERVICES
    type: Literal["aws_cost_explorer"]
    cost: Literal["amortized", "unblended", "net_amortized", "net_unblended"] = "amortized"
    tenant: TagKey | None = None
    cluster_tag: TagKey | None = None
    record_types: Literal["together", "apart"] = "together"
    request_budget: Annotated[int, ANumber, Field(ge=1, le=1_000_000)] = 100
    every: Annotated[Duration, between("1h", "7d")] = timedelta(hours=24)
    every_estimated: Annotated[Duration, between("1h", "31d")] = timedelta(days=7)
    delay: Annotated[Duration, between("1h", "5d")] = timedelta(hours=12)
    components: Mapping[str, ComponentName] = {}
    scopes: tuple[ScopeRule, ...] = ()

    _known_components = field_validator("components")(known_components)

    @property
    def metric(self) -> str:
        """Return the metric by Cost Explorer's name."""
        return {
            "amortized": "AmortizedCost",
            "unblended": "UnblendedCost",
            "net_amortized": "NetAmortizedCost",
            "net_unblended": "NetUnblendedCost",
        }[self.cost]

    def tenant_tag(self, context: Context) -> str | None:
        """Return the tag that names the tenant; None where no charge is meant to have one."""
        if self.tenant is not None:
            return None if self.tenant == NOBODY else self.tenant
        return context.tenant_keys[0]

    def identity(self, context: Context) -> list[object]:
        """Leave out how Cost Explorer is reached and how often, and what steps of the ledger do with what it said."""
        return [self.metric, self.tenant_tag(context), self.cluster_tag, self.record_types]

    def charges_apart(self) -> bool:
        """Only a tag can: Cost Explorer tells no resources."""
        return self.cluster_tag is not None

    def unfit(self, context: Context) -> str | None:
        """Cost Explorer groups by two things at the most, and the service is one of them."""
        if self.tenant is None and len(context.tenant_keys) > 1:
            keys = ", ".join(context.tenant_keys)
            return f"Cost Explorer groups by one tag only; set tenant to one of {keys}, {OR_NONE}"
        return None
