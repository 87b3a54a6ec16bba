"""What unitcost.yaml says of an OpenCost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from unitcost.sources.base import ANumber, Context, ExistingPath, HttpSettings, HttpUrl

KEY = r"namespace|(label|annotation):[^,\s]+"
Tenant = Annotated[
    Annotated[str, Field(pattern=rf"^(none|{KEY})$"), Tag("<one>")]
    | Annotated[list[Annotated[str, Field(pattern=rf"^({KEY})$")]], Field(min_length=1), Tag("<several>")],
    Discriminator(lambda given: "<several>" if isinstance(given, list) else "<one>"),
]


class OpenCostSettings(HttpSettings):
    """An OpenCost server (url), or answers of its /allocation and /assets recorded in files (path).

    url: the server's address. path: the file or folder of recorded answers.

    tenant: what names the tenant: label:NAME (default: each of tenants.key), annotation:NAME or namespace; of several,
    the first that a workload has counts; `none`: no workload has one, all are shared. cluster: another name for the
    one cluster that OpenCost answers for; default: what OpenCost says. collector: OpenCost runs without a Prometheus.
    currency: of OpenCost's prices; default: the configured one. billed_by: names of the bill sources that hold this
    cluster's nodes; default: each bill on the days that it charges for machines, []: none. partial_guard: a day whose
    workloads cost less than this part of what was to be expected is not believed at once; 0 believes everything.
    by_node: whether costs are told apart by node where a bill holds the cluster's nodes, so that a node's charge goes
    to its users; the answers have an entry for each tenant on each node then. aggregate: what the recorded answers are
    aggregated by, in order; default: the tenant, then the dimensions.
    """

    type: Literal["opencost"]
    url: HttpUrl = Field(default="", repr=False)
    path: ExistingPath | None = None
    tenant: Tenant | None = None
    cluster: Annotated[str, Field(min_length=1)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    billed_by: list[str] | None = None
    partial_guard: Annotated[float, ANumber, Field(ge=0, lt=1)] = 0.5
    aggregate: Annotated[list[str], Field(min_length=1)] | None = None
    collector: bool = False
    by_node: bool = True

    def identity(self, context: Context) -> list[object]:
        """Labels are asked for by the keys of tenants and dimensions."""
        others = {"path", "billed_by", "partial_guard", "collector", "by_node"}
        mine = self.model_dump(mode="json", exclude={*HttpSettings.model_fields, *others})
        return ["by cluster", mine, context.tenant_keys, context.dimensions, context.currency]

    @model_validator(mode="after")
    def _one_place(self) -> OpenCostSettings:
        if bool(self.url) == (self.path is not None):
            raise ValueError("needs exactly one of url (an OpenCost server) and path (its recorded answers)")
        if self.url and self.aggregate is not None:
            raise ValueError("aggregate is for path only; with url it follows from tenant and dimensions")
        return self
