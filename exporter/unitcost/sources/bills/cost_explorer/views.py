"""What is asked of Cost Explorer: one question for a range of days, or several that share its money without a rest.

A question groups by two things at the most, and none of them tells a resource. So what more must be known is told by
filters that exclude each other: their sums are the bill, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from unitcost.facts import UNUSED, cluster_scope
from unitcost.sources import values
from unitcost.sources.bills.cost_explorer.services import KUBERNETES

Expression = Mapping[str, Any]

CREDITED: Mapping[str, str] = {"Credit": "credit", "Refund": "adjustment", "Tax": "tax"}
"""RECORD_TYPE → what kind of charge it is. The others are usage, or what was bought: fees of reservations, say."""
PURCHASED = ("fee", "upfront", "recurring")
"""What is in the names of record types that are purchases."""
COMMITTED = ("savingsplan", "reservation", "rifee", "upfront", "recurring")
"""What is in those of purchases that commit to use. A metric that spreads them leaves there what was not used."""
PLANS = "Savings Plans for "
"""What the services begin with that savings plans are bought as."""


class Whose(NamedTuple):
    """What the keys of a group say: whose a charge is, of which service, of what kind and of which scope."""

    tenant: str | None
    service: str
    charge: str
    scope: str | None


@dataclass(frozen=True)
class View:
    """One question: what it filters by, and by what it groups (type and key), as Cost Explorer spells it.

    spread: whether it is about a metric that spreads commitments over what they were used for.
    """

    groups: tuple[tuple[str, str], ...]
    filter: Expression | None = None
    spread: bool = True

    @property
    def grouped(self) -> list[dict[str, str]]:
        """Return GroupBy."""
        return [{"Type": kind, "Key": key} for kind, key in self.groups]

    def read(self, keys: Sequence[str], *, negative: bool) -> Whose:
        """Say what the keys of a group mean. Raises ValueError where they are not those that were asked for.

        negative: whether its amount is; what comes to less than nothing was credited, whatever it was asked for as.
        """
        if len(keys) != len(self.groups):
            raise ValueError(f"a group has {len(keys)} keys where {len(self.groups)} were asked for")
        told = {}
        for (kind, name), key in zip(self.groups, keys, strict=True):
            if kind == "TAG":
                if not key.startswith(f"{name}$"):
                    raise ValueError(f"a group has the key {values.shown(key)}, which is not of the tag {name}")
                told[kind] = key.removeprefix(f"{name}$")
            else:
                told[name] = key
        record = told.get("RECORD_TYPE")
        service = values.plain(told.get("SERVICE", record or ""))
        if not service:
            raise ValueError("a group has no service")
        charge = "credit" if negative and record is None else self._charge(record, service)
        named = values.tenant_or_nobody(told["TAG"]) if "TAG" in told else None
        return Whose(named, service, charge, None)

    def _charge(self, record: str | None, service: str) -> str:
        """Return the kind of a charge, as far as its record type or else its service says it."""
        if (record or service) in CREDITED:
            return CREDITED[record or service]
        spelt = "" if record is None else record.lower().replace(" ", "")
        bought = service.startswith(PLANS) if record is None else any(word in spelt for word in PURCHASED)
        committed = record is None or any(word in spelt for word in COMMITTED)
        return (UNUSED if committed and self.spread else "purchase") if bought else "usage"


@dataclass(frozen=True)
class ClusterView(View):
    """The charges of clusters: the tag names the cluster, and whoever used it is the meter's to say."""

    def read(self, keys: Sequence[str], *, negative: bool) -> Whose:
        """As above; a charge without the tag (of the control plane) is of the only cluster that there is."""
        found = super().read(keys, negative=negative)
        return found._replace(tenant=None, scope=cluster_scope(found.tenant or ""))


def views(tenant: str | None, cluster_tag: str | None, *, apart: bool, spread: bool) -> list[View]:
    """Return the questions. tenant: the tag, None for none. apart: whether record types of CREDITED are told apart.

    Without a tenant the record type takes its place, so that it costs no request of its own. spread: as of a View.
    """
    credited: Expression = {"Dimensions": {"Key": "RECORD_TYPE", "Values": [*CREDITED]}}
    apart = apart and tenant is not None
    usage: list[Expression] = [{"Not": credited}] if apart else []
    service = ("DIMENSION", "SERVICE")
    plain = (service, ("DIMENSION", "RECORD_TYPE")) if tenant is None else (("TAG", tenant), service)
    if cluster_tag is None:
        found = [View(plain, _all(usage), spread)]
    else:
        untagged: Expression = {"Tags": {"Key": cluster_tag, "MatchOptions": ["ABSENT"]}}
        kubernetes: Expression = {"Dimensions": {"Key": "SERVICE", "Values": [*KUBERNETES]}}
        clusters: Expression = {"Or": [{"Not": untagged}, kubernetes]}
        found = [
            View(plain, _all([untagged, {"Not": kubernetes}, *usage]), spread),
            ClusterView((("TAG", cluster_tag), service), _all([clusters, *usage]), spread),
        ]
    if apart and tenant is not None:
        found.append(View((("TAG", tenant), ("DIMENSION", "RECORD_TYPE")), credited, spread))
    return found


def _all(parts: Sequence[Expression]) -> Expression | None:
    if len(parts) > 1:
        return {"And": [*parts]}
    return parts[0] if parts else None
