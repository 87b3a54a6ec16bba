"""Costs that OpenCost could not compute: null in its answer. Unknown, never 0, entry by entry and field by field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from unitcost.facts import Cost, Note, Problem, cluster_scope
from unitcost.sources.cluster.opencost.answer import FIELDS, Assets, Entry
from unitcost.sources.cluster.opencost.names import Naming

ESSENTIAL = ("cpu", "ram")
"""What every workload has; where most entries lack all of it, nothing useful is known of a day."""


def services(entry: Entry) -> list[str]:
    """Return the services of an entry whose cost is unknown."""
    return [service for service, fields in FIELDS.items() if set(fields) & set(entry.nulls)]


def unknown_day(entries: Sequence[Entry], where: str) -> Problem | None:
    """Say that a day is unknown, because no compute cost of most entries is known; None if it is known."""
    lacking = [entry for entry in entries if set(ESSENTIAL) <= set(services(entry))]
    if not lacking or 2 * len(lacking) <= len(entries):
        return None
    return Problem(
        "null",
        f"{where}, entry {lacking[0].name!r}, {lacking[0].nulls[0]}",
        f"is null, and so is the compute cost of {len(lacking)} of {len(entries)} entries: what the day cost is "
        "unknown; it is not taken as 0",
        "OpenCost could not compute it (NaN), most often as Prometheus has too few samples of that day",
    )


def lost_by(entries: Sequence[Entry], naming: Naming, stored: Sequence[Cost]) -> list[str]:
    """Return which costs that a stored day knows are null in these (placed) entries of the same day."""
    known = {(row.scope, row.tenant, row.service) for row in stored if row.category != "idle" and row.amount}
    return [
        f"{service} of {entry.name!r}"
        for entry in entries
        for service in services(entry)
        if (cluster_scope(entry.cluster), naming.read(entry.name, entry.cluster).tenant, service) in known
    ]


def named(entries: Sequence[Entry], rows: Sequence[Cost], assets: Assets | None, where: str) -> list[Note]:
    """Name what is unknown of a day that counts without it, and how much it can be where /assets was asked."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        for service in services(entry):
            lacking[service].append(entry.name)
    notes = []
    for service, names in lacking.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notes.append(
            Note(
                f"{where}: OpenCost does not know the {service} cost of {names[0]!r}{more} (null); the day counts "
                f"without it{_bound(service, rows, assets)}"
            )
        )
    return notes


def _bound(service: str, rows: Sequence[Cost], assets: Assets | None) -> str:
    whole = assets.kind(service) if assets is not None else None
    if whole is None:
        return ""
    known = sum((row.amount for row in rows if row.service == service), Decimal(0))
    return f", by /assets at most {max(whole - known, Decimal(0)):.2f}"
