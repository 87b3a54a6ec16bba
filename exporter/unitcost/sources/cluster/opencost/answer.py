"""What OpenCost says: answers of /allocation and /assets, read into steps, cost rows and nodes.

Money is Decimal with 12 places. A component that is null is unknown, never 0. Times are UTC.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from unitcost.errors import SourceError
from unitcost.facts import IDLE, K8S, LARGEST_AMOUNT, Cost, Resource, cluster_scope
from unitcost.sources.cluster.opencost.errors import LOG_HINT, URL_HINT, in_plain_words
from unitcost.sources.cluster.opencost.names import Naming
from unitcost.sources.cluster.opencost.spans import days_of, read_window, spread
from unitcost.sources.json_pieces import Opened, Path
from unitcost.sources.values import EXACT, LEDGER, plain, spelt

Pieces = Iterable[tuple[Path, Any]]
"""An answer as json_pieces reads it, with opened."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpuCost", "cpuCostAdjustment"),
    "ram": ("ramCost", "ramCostAdjustment"),
    "gpu": ("gpuCost", "gpuCostAdjustment"),
    "pv": ("pvCost", "pvCostAdjustment"),
    "network": ("networkCost", "networkCostAdjustment"),
    "load_balancer": ("loadBalancerCost", "loadBalancerCostAdjustment"),
    "shared": ("sharedCost",),
    "external": ("externalCost",),
}
"""Service → the fields that make it up. totalCost is left out: rounded on its own, and null if one is."""

COMPONENT: Mapping[str, str] = {
    "cpu": "compute",
    "ram": "compute",
    "gpu": "gpu",
    "pv": "storage",
    "network": "network",
    "load_balancer": "network",
    "shared": "other",
    "external": "other",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an answer. nulls: the fields that are null; amounts lacks the services they belong to.

    node: the cloud's id of the node it ran on, where all of it ran on one; disk: of the disk that all of it lies on.
    volumes: OpenCost's name of each of its volumes → what that cost.
    """

    name: str
    start: datetime
    end: datetime
    cluster: str | None
    amounts: Mapping[str, Decimal]
    nulls: Sequence[str]
    node: str | None = None
    disk: str | None = None
    volumes: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One element of an answer's data that holds something, with the time it spans."""

    start: datetime
    end: datetime
    entries: Sequence[Entry]


def opened(path: Path) -> bool:
    """Whether a part of an answer is read member by member: data, and the steps in it."""
    return not path or (path[0] == "data" and (len(path) == 1 or (len(path) == STEP and isinstance(path[1], int))))


STEP = len(("data", 0))


def read_steps(pieces: Pieces, where: str) -> list[Step]:
    """Read the steps of an /allocation answer, without the empty ones.

    Raises SourceError `http` when the body holds an error (also under HTTP 200), `format` when it is no
    answer of /allocation or does not know what it was asked to aggregate by.
    """
    steps: dict[int, list[Entry]] = defaultdict(list)

    def read(path: Path, value: Any) -> None:
        if len(path) > STEP:
            steps[int(path[1])].append(_entry(str(path[-1]), value, where))
        elif not isinstance(path[-1], int):
            raise SourceError("format", where, "data is not a list, so this is no answer of /allocation", URL_HINT)
        elif value is not Opened.MAP and value:
            shown = "a list" if value is Opened.LIST else spelt(value)
            raise SourceError("format", where, f"a step of data is {shown}, not a map", URL_HINT)

    data = _read_data(pieces, where, read)
    if data is not None and data is not Opened.LIST:
        raise SourceError("format", where, "data is not a list, so this is no answer of /allocation", URL_HINT)
    for entries in steps.values():
        if {entry.name for entry in entries} - {IDLE} == {""}:
            raise SourceError(
                "format",
                where,
                "OpenCost does not know what it was asked to aggregate by: all costs have the name ''",
                "Check the source's tenant setting: label:NAME, annotation:NAME or namespace",
            )
    return [Step(min(e.start for e in entries), max(e.end for e in entries), entries) for entries in steps.values()]


def _read_data(pieces: Pieces, where: str, read: Callable[[Path, Any], None]) -> Any:
    """Hand each member of data to read; return what data is: Opened, or null.

    Raises SourceError when the body says that there was an error, and else the first that read raised.
    """
    head: dict[str, Any] = {}
    wrong: SourceError | None = None
    for path, value in pieces:
        if len(path) <= 1:
            if (name := "".join(map(str, path))) in {"", "code", "data", "message"}:
                head[name] = value
        elif wrong is None:
            try:
                read(path, value)
            except SourceError as error:
                wrong = error
    if head.get("") is not Opened.MAP or "data" not in head:
        raise SourceError("format", where, "the JSON is not an answer of OpenCost: it has no data", URL_HINT)
    code = head.get("code")
    if code is not None and code != HTTPStatus.OK:
        raise SourceError("http", where, f"OpenCost answered an error: {in_plain_words(head.get('message'))}", LOG_HINT)
    if wrong is not None:
        raise wrong
    return head["data"]


def holds_assets(pieces: Pieces) -> bool:
    """Whether an answer is one of /assets, whose data are a map; read no further than it takes."""
    return next((value is Opened.MAP for path, value in pieces if path == ("data",)), False)


def _entry(name: str, value: Any, where: str) -> Entry:
    where = f"{where}, entry {name!r}"
    _name(name, where)
    if not isinstance(value, dict):
        raise SourceError("format", where, f"is {spelt(value)}, not an allocation", URL_HINT)
    start, end = read_window(value.get("window"), where)
    amounts: dict[str, Decimal] = {}
    nulls: list[str] = []
    for service, fields in FIELDS.items():
        total = Decimal(0)
        unknown = [key for key in fields if value.get(key, Decimal(0)) is None]
        if unknown:
            nulls += unknown
            continue
        for key in fields:
            number = value.get(key, Decimal(0))
            if isinstance(number, Decimal) and not number:  # most are 0
                continue
            total += read_amount(number, f"{where}, {key}")
        if total:
            amounts[service] = total
    properties = _properties(value, where)
    cluster = _text(properties, "cluster", where)
    node = cloud_id(_text(properties, "providerID", where))
    if value.get("minutes") == 0:  # it did not run at all, so that nothing of it is unknown
        nulls = []
    return Entry(name, start, end, cluster or None, amounts, nulls, node or None, volumes=_volumes(value))


def _volumes(value: Mapping[str, Any]) -> Mapping[str, Decimal]:
    """Return what each volume of an entry cost, without those of which that is not known."""
    given = value.get("pvs")
    found: dict[str, Decimal] = {}
    for name, one in given.items() if isinstance(given, dict) else ():
        cost = one.get("cost") if isinstance(one, dict) else None
        if isinstance(cost, Decimal) and cost.is_finite() and 0 < cost < LARGEST_AMOUNT:
            found[name] = cost.quantize(LEDGER, context=EXACT)
    return found


def _properties(value: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the properties of an entry or asset, {} where it has none. Raises SourceError `format`."""
    found = value.get("properties")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise SourceError("format", where, f"its properties are {spelt(found)}, not a map", URL_HINT)
    return found


def _text(given: Mapping[str, Any], key: str, where: str) -> str:
    """Return a text, "" where there is none. Raises SourceError `format` for anything else: it may be a name."""
    found = given.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise SourceError("format", where, f"{key} is {spelt(found)}, not a text", URL_HINT)
    return _name(found, f"{where}, {key}")


def _name(text: str, where: str) -> str:
    try:
        return plain(text)
    except ValueError as error:
        raise SourceError("format", where, str(error), "Rename it in the cluster") from error


def read_amount(number: object, where: str) -> Decimal:
    """Return an amount of money with 12 places. Raises SourceError `format` when it is not one."""
    # copy_abs, since abs rounds to 28 digits and fails for 1e1000000.
    if not isinstance(number, Decimal) or not number.is_finite() or number.copy_abs() > LARGEST_AMOUNT:
        raise SourceError("format", where, f"{spelt(number)} is not an amount of money", LOG_HINT)
    return number.quantize(LEDGER, context=EXACT)


def read_costs(entries: Iterable[Entry], naming: Naming, currency: str) -> dict[date, list[Cost]]:
    """Turn entries that know their cluster into cost rows by UTC day; amounts of 0 give no row."""
    rows: dict[date, list[Cost]] = defaultdict(list)
    for entry in entries:
        tenant, dimensions, _, _ = naming.read(entry.name, entry.cluster)
        idle = IDLE in entry.name.split("/")
        scope = cluster_scope(entry.cluster)
        for service, amount in entry.amounts.items():
            component = "idle" if idle else COMPONENT[service]
            resource = entry.disk or (entry.node if naming.by_node and service in NODE_FIELDS else None)
            for day, part in spread(amount, entry.start, entry.end).items():
                if part:
                    cost = Cost(day, tenant, service, component, part, currency, scope, dimensions, resource=resource)
                    rows[day].append(cost)
    return rows


@dataclass(frozen=True, slots=True)
class Assets:
    """What an /assets answer says: what everything cost, what each kind cost, and the cloud's ids.

    compute: OpenCost's own name of a cluster → cpu, ram, gpu → what its nodes cost, discounts and adjustments in.
    nodes: the same by the cloud's id of each node, where all of them have one. disks: a volume as /allocation names it
    → the cloud's id of its disk.
    """

    total: Decimal
    kinds: Mapping[str, Decimal]
    resources: Sequence[Resource]
    compute: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    disks: Mapping[str, str] = field(default_factory=dict)

    def kind(self, service: str) -> Decimal | None:
        """Return what everything of one service cost, or None for what /assets does not know (network)."""
        if service in KINDS.values():
            return self.kinds.get(service, Decimal(0))
        if service in NODE_FIELDS:
            return sum((found.get(service, Decimal(0)) for found in self.compute.values()), Decimal(0))
        return None


@dataclass(frozen=True, slots=True)
class _Asset:
    """What is kept of one asset. cluster: as OpenCost names it; services: what a node's cpu, ram and gpu cost."""

    kind: str
    cost: Decimal
    gpu: Decimal
    cluster: str
    services: Mapping[str, Decimal]
    resources: Sequence[Resource]
    volume: str = ""


def read_assets(pieces: Pieces, where: str, cluster: str | None, fallback: str, only: date | None = None) -> Assets:
    """Read an /assets answer. only: the day that was asked for. Raises SourceError when it is an error or not one."""
    found: dict[str, _Asset] = {}

    def read(path: Path, value: Any) -> None:
        if isinstance(path[-1], str):
            found[path[-1]] = _asset(value, f"{where}, asset {path[-1]!r}", cluster, fallback, only)
        elif value is not Opened.MAP:
            raise SourceError("format", where, "data is not a map of assets", URL_HINT)

    data = _read_data(pieces, where, read)
    if not isinstance(data, Opened):
        raise SourceError("format", where, "data is not a map of assets", URL_HINT)
    kinds: dict[str, Decimal] = defaultdict(Decimal)
    compute: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    nodes = {one.provider_id: asset.services for asset in found.values() for one in asset.resources if asset.services}
    for asset in found.values():
        if asset.kind in KINDS:
            kinds[KINDS[asset.kind]] += asset.cost
        kinds["gpu"] += asset.gpu
        for service, amount in asset.services.items():
            compute[asset.cluster][service] += amount
    resources = {resource for asset in found.values() for resource in asset.resources}
    total = sum((asset.cost for asset in found.values()), Decimal(0))
    disks = {asset.volume: one.provider_id for asset in found.values() for one in asset.resources if asset.volume}
    return Assets(total, kinds, sorted(resources, key=astuple), compute, nodes, disks)


def _asset(asset: Any, where: str, cluster: str | None, fallback: str, only: date | None) -> _Asset:
    if not isinstance(asset, dict):
        raise SourceError("format", where, f"is {spelt(asset)}, not an asset", URL_HINT)
    cost = read_amount(asset.get("totalCost"), f"{where}, totalCost")
    kind = _text(asset, "type", where)
    properties = _properties(asset, where)
    own = _text(properties, "cluster", where) or fallback
    gpu, services = Decimal(0), {}
    if kind == "Node":
        services = _node_costs(asset, cost, where)
        gpu = read_amount(asset.get("gpuCost", Decimal(0)), f"{where}, gpuCost")
    provider_id = cloud_id(_text(properties, "providerID", where))
    resources: list[Resource] = []
    if kind in WITH_ID and provider_id:
        days = [day for day, _, _ in days_of(*read_window(asset.get("window"), where))]
        scope, word = f"{K8S}{cluster or own}", WITH_ID[kind]
        resources = [Resource(day, provider_id, scope, word) for day in days if only in {None, day}]
    name = (_text(asset, "volumeName", where) or _text(properties, "name", where)) if kind == "Disk" else ""
    return _Asset(kind, cost, gpu, own, services, resources, f"cluster={own}:name={name}" if name else "")


def _node_costs(asset: Mapping[str, Any], total: Decimal, where: str) -> dict[str, Decimal]:
    """Return a node's cpu, ram and gpu cost as OpenCost counts them for idle.

    cpu and ram take the node's discount; its one adjustment is spread over all three in proportion.
    """
    given = {
        service: read_amount(asset.get(key, Decimal(0)), f"{where}, {key}") for service, key in NODE_FIELDS.items()
    }
    discount = 1 - read_amount(asset.get("discount", Decimal(0)), f"{where}, discount")
    before = total - read_amount(asset.get("adjustment", Decimal(0)), f"{where}, adjustment")
    rate = total / before if before else Decimal(0)
    return {service: amount * rate * (1 if service == "gpu" else discount) for service, amount in given.items()}


NODE_FIELDS = {"cpu": "cpuCost", "ram": "ramCost", "gpu": "gpuCost"}
KINDS = {"Disk": "pv", "LoadBalancer": "load_balancer"}
WITH_ID = {"Node": "node", "Disk": "disk", "LoadBalancer": "load_balancer"}
"""Type of an asset with an id of the cloud's → kind of a Resource."""


def cloud_id(provider_id: str) -> str:
    """Return the id as a bill spells it: aws:///us-east-1b/i-0a1 → i-0a1; others stay as they are."""
    return re.sub(r"^aws://.*/", "", provider_id.strip())
