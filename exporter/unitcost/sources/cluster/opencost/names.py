"""How an entry of OpenCost is called, and what that says: its cluster, its tenant, its dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from unitcost.facts import IDLE, RESERVED, Cost, Note, Problem
from unitcost.sources.base import OR_NONE

CLUSTER, NODE = "cluster", "node"


class Named(NamedTuple):
    """What a name says. fits: whether it has as many parts as there are aggregates."""

    tenant: str | None
    dimensions: dict[str, str]
    cluster: str | None
    fits: bool


@dataclass(frozen=True, slots=True)
class Naming:
    """How an entry's name reads: one part per aggregate, joined with "/".

    tenants: the aggregates that may name the tenant; the first one whose value OpenCost did not invent counts.
    dimensions: aggregate → the dimension it stands for.
    """

    aggregates: tuple[str, ...]
    tenants: tuple[str, ...]
    dimensions: Mapping[str, str]

    @property
    def by_node(self) -> bool:
        """Whether entries are told apart by the node they ran on."""
        return NODE in self.aggregates

    def read(self, name: str, cluster: str | None = None) -> Named:
        """Read a name. cluster: what the entry's properties say, which may hold a "/" of its own (an ARN)."""
        if name in RESERVED or not name:
            return Named(None, {}, cluster, True)
        parts = self._parts(name, cluster)
        if IDLE in parts:
            first = parts[0] if self.aggregates[0] == CLUSTER else None
            return Named(None, {}, cluster or first or None, True)
        if len(parts) != len(self.aggregates):
            return Named(None, {}, cluster, False)
        known = {
            aggregate: part
            for aggregate, part in zip(self.aggregates, parts, strict=True)
            if part and part not in RESERVED
        }
        tenant = next((known[key] for key in self.tenants if key in known), None)
        found = {dimension: known[key] for key, dimension in self.dimensions.items() if key in known}
        return Named(tenant, found, cluster or known.get(CLUSTER), True)

    def _parts(self, name: str, cluster: str | None) -> list[str]:
        """Split a name. One that begins with its cluster may do so unasked: recorded answers often do."""
        if cluster and name.startswith(f"{cluster}/"):
            rest = self._split(name[len(cluster) + 1 :], len(self.aggregates) - (CLUSTER in self.aggregates))
            if self.aggregates[0] == CLUSTER:
                return [cluster, *rest]
            if CLUSTER not in self.aggregates and len(rest) == len(self.aggregates):
                return rest
        return self._split(name, len(self.aggregates))

    @staticmethod
    def _split(name: str, expected: int) -> list[str]:
        return name.split("/") if expected > 1 else [name]


def odd_names(names: Iterable[tuple[str, str | None]], naming: Naming, where: str) -> list[Problem]:
    """Say which names (with their clusters) have more or fewer parts than asked for; their cost is nobody's."""
    odd = sorted({name for name, cluster in names if not naming.read(name, cluster).fits})
    if not odd:
        return []
    return [
        Problem(
            "format",
            where,
            f"{len(odd)} names do not read as {'/'.join(naming.aggregates)}, the first is {odd[0]!r}: "
            "their cost is kept, for no tenant",
            "For recorded answers, set aggregate to what they were aggregated by",
        )
    ]


def untagged(name: str, days: Sequence[Sequence[Cost]], naming: Naming, currency: str) -> list[Problem | Note]:
    """Say how much of the workloads' cost in these days has no tenant, and what was asked for.

    A Problem where nothing at all has one: then the label is most likely misspelt.
    """
    workloads = [row for rows in days for row in rows if row.category != "idle"]
    total = sum((row.amount for row in workloads), Decimal(0))
    nobody = sum((row.amount for row in workloads if row.tenant is None), Decimal(0))
    asked = " or ".join(naming.tenants)
    if not nobody or not naming.tenants:
        return []
    if all(row.tenant is None for row in workloads):
        return [
            Problem(
                "untagged",
                name,
                f"no workload has a tenant: {nobody:.2f} {currency} in {len(days)} days are nobody's; asked was "
                f"{asked}",
                f"Check tenants.key, or the source's tenant, against the labels of the pods ({OR_NONE}); "
                "the answer may be partial too, see the limits of OpenCost's Prometheus",
            )
        ]
    return [
        Note(f"{nobody:,.2f} of {total:,.2f} {currency} of the workloads in {len(days)} days have no tenant ({asked})")
    ]
