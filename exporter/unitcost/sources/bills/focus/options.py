"""The settings that shape what is read of a bill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """The settings that shape what is read.

    tenant: a column, instead of the first tag of tenant_keys that there is. Without both no charge has a tenant.
    resources: whether it matters which node, disk or load balancer a charge is for: where there is a meter of them.
    split: costs that the provider allocates to pods and the like are theirs, not their node's.
    """

    cost: str
    tenant: str | None
    tenant_keys: tuple[str, ...]
    dimensions: tuple[str, ...]
    resources: bool
    split: bool = False

    @property
    def keys(self) -> list[str]:
        """The tag keys that are read from each row: the tenant's first, unless a column names the tenant."""
        return [*([] if self.tenant else self.tenant_keys), *self.dimensions]

    def own(self, values: Sequence[str]) -> Sequence[str]:
        """Return those of the tenant's keys, of a value for each of `keys`."""
        return values[: len(self.keys) - len(self.dimensions)]

    @property
    def spreads_commitments(self) -> bool:
        """Whether the cost of a commitment lies on what it covered, and on what of it was not used."""
        return self.cost == "EffectiveCost"

    @property
    def below_list(self) -> bool:
        """Whether what use cost below list prices was saved; BilledCost says 0 of what a commitment covers."""
        return self.cost in {"EffectiveCost", "ContractedCost"}

    @property
    def nobodys(self) -> bool:
        """Whether no charge is meant to have a tenant."""
        return not (self.tenant or self.tenant_keys)
