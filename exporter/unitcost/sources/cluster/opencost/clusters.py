"""Which cluster each entry of an answer belongs to, where one OpenCost answers for several.

OpenCost merges the idle cost of all clusters into one entry and offers no way to split it. It computes idle as what a
cluster's nodes cost less what their workloads were given, so /assets of the same window gives it back per cluster.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from unitcost.errors import SourceError
from unitcost.facts import IDLE, cluster_scope
from unitcost.sources.cluster.opencost.answer import Assets, Entry
from unitcost.sources.cluster.opencost.names import Naming
from unitcost.sources.values import EXACT, LEDGER

COMPUTE = ("cpu", "ram", "gpu")
"""What idle consists of."""
CENT = Decimal("0.01")
TOLERANCE = Decimal("0.01")
"""The part of the nodes' cost by which /assets and /allocation may differ; more and one of both is partial."""
FILTER_HINT = (
    "Let each OpenCost answer for its own cluster (CURRENT_CLUSTER_ID_FILTER_ENABLED=true) with a source of its own"
)


def placed(
    entries: Sequence[Entry],
    naming: Naming,
    renamed: str | None,
    fallback: str,
    assets: Callable[[], Assets] | None,
    where: str,
) -> list[Entry]:
    """Return the entries, each with its cluster; the costs stay the same to the last digit.

    renamed: the setting `cluster`. fallback: stands in where the answer knows no cluster at all. assets: asks for
    /assets of the same window; None if it cannot be had. Raises SourceError `cluster` where a rename meets several
    clusters, and `merged` where an entry without a cluster cannot be told apart.
    """
    named = [replace(entry, cluster=naming.read(entry.name, entry.cluster).cluster) for entry in entries]
    clusters = {entry.cluster for entry in named if entry.cluster}
    _refuse_rename(clusters, renamed, where)
    if not clusters:
        return [replace(entry, cluster=renamed or fallback) for entry in named]
    found: list[Entry] = []
    for entry in named:
        if entry.cluster:
            found.append(entry)
        elif IDLE in entry.name.split("/") and (entry.amounts or len(clusters) > 1):
            found += _split(entry, named, _asked(assets, clusters, entry, where), where)
        elif len(clusters) == 1:
            found.append(replace(entry, cluster=next(iter(clusters))))
        elif entry.amounts or entry.nulls:
            raise _merged(entry, clusters, where, "only its idle cost could be told apart")
    _refuse_rename({entry.cluster for entry in found if entry.cluster}, renamed, where)
    return [replace(entry, cluster=renamed or entry.cluster) for entry in found]


def _refuse_rename(clusters: set[str], renamed: str | None, where: str) -> None:
    if renamed is not None and len(clusters) > 1:
        raise SourceError(
            "cluster",
            where,
            f"the setting cluster gives one name, {renamed!r}, and the answer speaks of {len(clusters)} clusters: "
            f"{', '.join(sorted(clusters))}",
            f"Remove cluster from the source. {FILTER_HINT}",
        )


def _asked(assets: Callable[[], Assets] | None, clusters: set[str], entry: Entry, where: str) -> Assets:
    if assets is None:
        if len(clusters) == 1:  # a recorded answer of one cluster, by an OpenCost that does not say so of idle
            return Assets(Decimal(0), {}, [], {next(iter(clusters)): {}})
        raise _merged(entry, clusters, where, "a recorded answer cannot be asked for more")
    try:
        return assets()
    except SourceError as error:
        raise _merged(entry, clusters, where, f"/assets does not help: {error.text}") from error


def _split(idle: Entry, entries: Sequence[Entry], assets: Assets, where: str) -> list[Entry]:
    """Divide merged idle by what each cluster's nodes cost less what its workloads were given."""
    workloads = [entry for entry in entries if entry.cluster]
    clusters = sorted({entry.cluster for entry in workloads if entry.cluster} | assets.compute.keys())
    if len(clusters) == 1:
        return [replace(idle, cluster=clusters[0])]
    parts: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for kind, amount in idle.amounts.items():
        if kind not in COMPUTE:
            raise _merged(idle, set(clusters), where, f"it holds {kind} cost, which is of no node")
        given: dict[str, Decimal] = {
            cluster: assets.compute.get(cluster, {}).get(kind, Decimal(0)) for cluster in clusters
        }
        used: dict[str, Decimal] = defaultdict(Decimal)
        for entry in workloads:
            used[str(entry.cluster)] += entry.amounts.get(kind, Decimal(0))
        left, computed = _left(given, used, amount)
        if left is None:
            raise _merged(idle, set(clusters), where, f"/assets gives {computed:.2f} of idle {kind}, not {amount:.2f}")
        for cluster, value in left.items():
            parts[cluster][kind] = value
    return [replace(idle, cluster=cluster, amounts=amounts) for cluster, amounts in sorted(parts.items())]


def idle_by_node(entries: Sequence[Entry], assets: Assets) -> list[Entry]:
    """Divide idle by what each node cost less what its workloads were given; the costs stay the same to the last digit.

    entries: placed ones, of workloads by node. Where /assets does not agree, idle stays as it is: then a node's charge
    is its workloads' alone.
    """
    used: dict[str, dict[str, Decimal]] = {kind: defaultdict(Decimal) for kind in COMPUTE}
    for entry in entries:
        for kind in COMPUTE if entry.node else ():
            used[kind][str(entry.node)] += entry.amounts.get(kind, Decimal(0))
    found: list[Entry] = []
    for entry in entries:
        if IDLE in entry.name.split("/"):
            scope = cluster_scope(entry.cluster)
            ids = [
                one.provider_id for one in assets.resources if one.scope == scope and one.provider_id in assets.nodes
            ]
            found += _over_nodes(entry, {one: assets.nodes[one] for one in ids}, used)
        else:
            found.append(entry)
    return found


def _over_nodes(
    idle: Entry,
    nodes: Mapping[str, Mapping[str, Decimal]],
    used: Mapping[str, Mapping[str, Decimal]],
) -> list[Entry]:
    parts: dict[str, dict[str, Decimal]] = defaultdict(dict)
    rest = dict(idle.amounts)
    for kind in COMPUTE:
        given = {one: cost.get(kind, Decimal(0)) for one, cost in nodes.items()}
        left, _ = _left(given, used[kind], idle.amounts.get(kind, Decimal(0)))
        if left is None:
            continue
        rest.pop(kind, None)
        for one, value in left.items():
            parts[one][kind] = value
    entries = [replace(idle, node=one, amounts=amounts) for one, amounts in sorted(parts.items())]
    return [*entries, replace(idle, amounts=rest)] if rest or idle.nulls or not entries else entries


def _left(
    given: Mapping[str, Decimal], used: Mapping[str, Decimal], idle: Decimal
) -> tuple[dict[str, Decimal] | None, Decimal]:
    """Return idle by where it is, what was given there less what was used, none of it 0; and what that comes to.

    None where that is not what OpenCost says (idle), within the tolerance. What rounding takes or gives, and what both
    differ by, is the largest one's.
    """
    left = {one: amount - used.get(one, Decimal(0)) for one, amount in given.items()}
    computed = sum(left.values(), Decimal(0))
    if not given or abs(computed - idle) > max(CENT, TOLERANCE * sum(given.values(), Decimal(0))):
        return None, computed
    rounded = {one: amount.quantize(LEDGER, context=EXACT) for one, amount in left.items()}
    rounded[max(left, key=lambda one: left[one])] += idle - sum(rounded.values(), Decimal(0))
    return {one: amount for one, amount in rounded.items() if amount}, computed


def _merged(entry: Entry, clusters: set[str], where: str, why: str) -> SourceError:
    amount = sum(entry.amounts.values(), Decimal(0))
    return SourceError(
        "merged",
        where,
        f"the entry {entry.name!r} ({amount:.2f}) belongs to no cluster, and there are {len(clusters)} or more "
        f"({', '.join(sorted(clusters))}); {why}. The day is not used",
        FILTER_HINT,
    )
