"""Which disk a workload's persistent volumes lie on: a disk's charge goes to who has it, mounted or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from unitcost.sources.cluster.opencost.answer import Assets, Entry
from unitcost.sources.cluster.opencost.spans import spread_by

ROUNDING = Decimal("0.0001")
"""An entry's cost has five decimals, its volumes' more: so much less is no rest."""


def by_disk(entries: Sequence[Entry], assets: Assets) -> list[Entry]:
    """Divide what each entry's volumes cost by the disks they lie on; the costs stay the same to the last digit.

    entries: with the names of their volumes. What lies on a disk that /assets does not name stays with the entry.
    """
    return [part for entry in entries for part in _divided(entry, assets.disks)]


def _divided(entry: Entry, disks: Mapping[str, str]) -> list[Entry]:
    known = {name: cost for name, cost in entry.volumes.items() if name in disks}
    whole = entry.amounts.get("pv", Decimal(0))
    if not known or whole <= 0:
        return [entry]
    rest = whole - sum(known.values(), Decimal(0))
    parts = spread_by(whole, [*known.values(), rest if rest > ROUNDING else Decimal(0)])
    others = {service: amount for service, amount in entry.amounts.items() if service != "pv"}
    if parts[-1]:
        others["pv"] = parts[-1]
    on_disks = [
        replace(entry, node=None, disk=disks[name], amounts={"pv": part}, nulls=())
        for name, part in zip(known, parts, strict=False)
        if part
    ]
    return [replace(entry, amounts=others), *on_disks]
