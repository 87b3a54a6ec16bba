"""The guard against OpenCost's silent partial answers.

When Prometheus refuses only some of its queries, OpenCost answers HTTP 200 with workloads missing and their
compute in idle. Such an answer must not replace a good day, nor stand as a new one between good days. A
customer who leaves, a cluster that shrinks or a price that falls must still get through.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from unitcost.errors import SourceError
from unitcost.facts import Cost, Problem
from unitcost.sources.cluster.opencost.answer import Assets

KINDS = ("cpu", "ram", "gpu", "pv", "network", "load_balancer")
INFRASTRUCTURE = ("cpu", "ram", "gpu", "pv", "load_balancer")
"""The kinds that /assets knows as well; it has no network."""
LEAVABLE = ("gpu", "pv", "load_balancer")
"""Kinds that may vanish with the customer who had them; every workload has the others."""
NOISE = Decimal("0.01")
HALF = Decimal("0.5")
PAUSES = (2.0, 5.0)
"""Seconds before a suspicious day is asked again, and once more."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer holds. held: (tenant or None, kind) → workloads' cost; spent: kind → cost with idle."""

    held: Mapping[tuple[str | None, str], Decimal]
    spent: Mapping[str, Decimal]

    @property
    def allocated(self) -> Decimal:
        """The cost of all workloads: everything but idle."""
        return sum(self.held.values(), Decimal(0))

    @property
    def total(self) -> Decimal:
        """The cost of everything, idle included."""
        return sum(self.spent.values(), Decimal(0))

    @property
    def infrastructure(self) -> Decimal:
        """The cost of what /assets lists, idle included."""
        return sum((self.spent.get(kind, Decimal(0)) for kind in INFRASTRUCTURE), Decimal(0))

    @property
    def names(self) -> dict[str | None, Decimal]:
        """What each tenant cost; None: nobody in particular."""
        sums: dict[str | None, Decimal] = defaultdict(Decimal)
        for (name, _), cost in self.held.items():
            sums[name] += cost
        return sums

    @property
    def kinds(self) -> dict[str, Decimal]:
        """What each kind cost in workloads."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for (_, kind), cost in self.held.items():
            sums[kind] += cost
        return sums

    @property
    def tenants(self) -> dict[str, Decimal]:
        """What each tenant cost, those that cost something."""
        return {name: cost for name, cost in self.names.items() if name is not None and cost > 0}

    def scaled(self, factor: Decimal) -> Shape:
        """Return the shape with every cost multiplied."""
        return Shape(
            {key: cost * factor for key, cost in self.held.items()},
            {kind: cost * factor for kind, cost in self.spent.items()},
        )


def shape(rows: Iterable[Cost]) -> Shape:
    """Sum cost rows into a shape."""
    held: dict[tuple[str | None, str], Decimal] = defaultdict(Decimal)
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        spent[row.service] += row.amount
        if row.category != "idle":
            held[row.tenant, row.service] += row.amount
    return Shape(held, spent)


def suspicion(now: Shape, reference: Shape, guard: Decimal, gone: frozenset[str] = frozenset()) -> str:
    """Say why an answer looks partial beside a good one of as much time, or "" if it does not.

    guard: the part of the reference below which a fall is suspicious. gone: kinds that may be missing.
    """
    if reference.allocated <= 0:
        return ""
    missing = [kind for kind in KINDS if kind not in gone and _is_missing(kind, now, reference)]
    if missing:
        return f"no workload has any {', '.join(missing)} cost"
    if _lost_their_tenant(now, reference, guard):
        return f"the cost of {len(reference.tenants)} tenants lost its tenant, {len(now.tenants)} are left"
    if now.allocated < guard * reference.allocated and not _some_left(now, reference, guard):
        return f"workloads cost {now.allocated:.2f} where about {reference.allocated:.2f} was to be expected"
    return ""


def _is_missing(kind: str, now: Shape, reference: Shape) -> bool:
    if now.kinds.get(kind, Decimal(0)) > 0:
        return False
    remaining = {name for name, cost in now.names.items() if cost > 0}
    expected = sum(
        (
            cost
            for (name, held), cost in reference.held.items()
            if held == kind and (name in remaining or kind not in LEAVABLE)
        ),
        Decimal(0),
    )
    return expected >= NOISE * reference.allocated


def _lost_their_tenant(now: Shape, reference: Shape, guard: Decimal) -> bool:
    """Whether tenants' cost is found under no tenant now, or several tenants vanished at the same time."""
    if len(reference.tenants) > 1 and not now.tenants:
        return True
    before, after = (sum(given.tenants.values(), Decimal(0)) for given in (reference, now))
    gain = now.names.get(None, Decimal(0)) - reference.names.get(None, Decimal(0))
    return after < guard * before and gain >= HALF * (before - after)


def _some_left(now: Shape, reference: Shape, guard: Decimal) -> bool:
    """Whether the fall is that of a few who left: most are still there, and most of those keep their cost.

    A failed query takes its kind of cost, or its labels, from everybody; a customer takes only their own.
    """
    before = {name: cost for name, cost in reference.names.items() if cost > 0}
    remaining = {name: cost for name, cost in before.items() if now.names.get(name, Decimal(0)) > 0}
    kept = {name: cost for name, cost in remaining.items() if now.names[name] >= guard * cost}
    return 2 * len(kept) >= len(before) and sum(kept.values()) >= HALF * sum(remaining.values()) and bool(kept)


def explained_by(assets: Assets, now: Shape, reference: Shape, guard: Decimal) -> bool:
    """Whether what the cluster consists of shrank as well, so that the answer is real.

    The answer is judged again beside the reference scaled by how much the cluster shrank. The larger of
    /assets and the answer's own infrastructure counts, as /assets may be partial too.
    """
    if reference.infrastructure <= 0:
        return False
    factor = min(max(assets.total, now.infrastructure) / reference.infrastructure, Decimal(1))
    gone = frozenset(
        kind
        for kind in LEAVABLE
        if max(given.get(kind, Decimal(0)) for given in (assets.kinds, now.spent))
        < guard * reference.spent.get(kind, Decimal(0))
    )
    if factor < guard:
        guard *= guard  # it shrank for sure; how well the rest is packed may change by much
    return not suspicion(now, reference.scaled(factor), guard, gone)


def settle(
    rows: Sequence[Cost],
    reference: Shape,
    guard: Decimal,
    *,
    again: Callable[[], Sequence[Cost]],
    assets: Callable[[], Assets],
    pause: Callable[[float], None],
    where: str,
) -> Sequence[Cost] | Problem:
    """Return the rows to believe, asking again where the first look partial, or a Problem if they still do.

    again: asks for the day once more; no rows mean that nothing usable came. assets: asks for its /assets.
    """
    why = suspicion(shape(rows), reference, guard)
    if not why:
        return rows
    asked = 1
    for seconds in PAUSES:
        pause(seconds)
        asked += 1
        try:
            other = again()
        except SourceError:
            break
        if other and not suspicion(shape(other), reference, guard):
            return other
        if shape(other).allocated > shape(rows).allocated:
            rows = other
    now = shape(rows)
    try:
        found = assets()
        if explained_by(found, now, reference, guard):
            return rows
        cluster = f"/assets says that the cluster still costs {found.total:.2f}"
    except SourceError as error:
        cluster = f"/assets does not help: {error.text}"
    return Problem(
        "partial",
        where,
        f"the answer looks partial: {suspicion(now, reference, guard) or why}; {now.total:.2f} in all with "
        f"{len(now.tenants)} tenants instead of about {reference.total:.2f} with {len(reference.tenants)}, "
        f"asked {asked} times; {cluster}. It is not used",
        "Raise the limits of OpenCost's Prometheus (query.max-samples, query.timeout); "
        "if the day is right, lower partial_guard (0: believe everything)",
    )
