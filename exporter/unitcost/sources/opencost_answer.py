"""What OpenCost says: answers of /allocation and /assets, read into steps, cost rows and nodes.

Money is Decimal with 12 places. A component that is null is unknown, never 0. Times are UTC.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from unitcost.errors import SourceError
from unitcost.records import LARGEST_AMOUNT, Cost, Node
from unitcost.sources.opencost_errors import in_plain_words, shorten
from unitcost.sources.opencost_names import IDLE, Naming
from unitcost.sources.values import EXACT, LEDGER, plain

YEARS = range(1970, 3000)
"""A time outside of these is a slip: 0001-01-01 is what Go writes for no time at all."""
DAY = timedelta(days=1)

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
    """One line of an answer. nulls: the fields that are null; amounts lacks the services they belong to."""

    name: str
    start: datetime
    end: datetime
    cluster: str | None
    amounts: Mapping[str, Decimal]
    nulls: Sequence[str]


@dataclass(frozen=True, slots=True)
class Step:
    """One element of an answer's data that holds something, with the time it spans."""

    start: datetime
    end: datetime
    entries: Sequence[Entry]


def read_steps(document: Any, where: str) -> list[Step]:
    """Read the steps of an /allocation answer, without the empty ones.

    Raises SourceError `http` when the body holds an error (also under HTTP 200), `format` when it is no
    answer of /allocation or does not know what it was asked to aggregate by.
    """
    data = read_data(document, where)
    if data is None:
        return []
    if not isinstance(data, list):
        raise SourceError("format", where, "data is not a list, so this is no answer of /allocation", URL_HINT)
    steps = []
    for element in data:
        if not element:
            continue
        if not isinstance(element, dict):
            raise SourceError("format", where, f"a step of data is a {type(element).__name__}", URL_HINT)
        entries = [_entry(name, value, where) for name, value in element.items()]
        if {entry.name for entry in entries} - {IDLE} == {""}:
            raise SourceError(
                "format",
                where,
                "OpenCost does not know what it was asked to aggregate by: all costs have the name ''",
                "Check the source's tenant setting: label:NAME, annotation:NAME or namespace",
            )
        steps.append(Step(min(e.start for e in entries), max(e.end for e in entries), entries))
    return steps


def read_data(document: Any, where: str) -> Any:
    """Return the data of an answer. Raises SourceError when the body says that there was an error."""
    if not isinstance(document, dict) or "data" not in document:
        raise SourceError("format", where, "the JSON is not an answer of OpenCost: it has no data", URL_HINT)
    code = document.get("code")
    if code is not None and code != HTTPStatus.OK:
        raise SourceError(
            "http", where, f"OpenCost answered an error: {in_plain_words(document.get('message'))}", LOG_HINT
        )
    return document["data"]


URL_HINT = "url must be OpenCost's API (port 9003 by default)"
LOG_HINT = "See OpenCost's log; most often its Prometheus is down or refuses the queries"


def _entry(name: str, value: Any, where: str) -> Entry:
    where = f"{where}, entry {name!r}"
    _name(name, where)
    if not isinstance(value, dict):
        raise SourceError("format", where, f"is a {type(value).__name__}, not an allocation")
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
    cluster = _text(_properties(value, where), "cluster", where)
    if value.get("minutes") == 0:  # it did not run at all, so that nothing of it is unknown
        nulls = []
    return Entry(name, start, end, cluster or None, amounts, nulls)


def _properties(value: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the properties of an entry or asset, {} where it has none. Raises SourceError `format`."""
    found = value.get("properties")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise SourceError("format", where, f"its properties are a {type(found).__name__}, not a map")
    return found


def _text(given: Mapping[str, Any], key: str, where: str) -> str:
    """Return a text, "" where there is none. Raises SourceError `format` for anything else: it may be a name."""
    found = given.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise SourceError("format", where, f"{key} is {shorten(repr(found))}, not a text")
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
        raise SourceError("format", where, f"{shorten(repr(number))} is not an amount of money")
    return number.quantize(LEDGER, context=EXACT)


def read_window(window: object, where: str) -> tuple[datetime, datetime]:
    """Return a window's start and end in UTC. Raises SourceError `format` when it has none or it is empty."""
    try:
        start, end = (datetime.fromisoformat(window[key]) for key in ("start", "end"))  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError("format", where, f"has no readable window: {shorten(window)}") from error
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise SourceError("format", where, f"its window is not a span of time in UTC: {shorten(window)}")
    if start.year not in YEARS or end.year not in YEARS:
        raise SourceError("format", where, f"its window is of no time that costs can have: {shorten(window)}")
    return start.astimezone(UTC), end.astimezone(UTC)


def days_of(start: datetime, end: datetime) -> list[tuple[date, datetime, datetime]]:
    """Return the UTC days a span touches, each with the part of the span that lies in it."""
    pieces = []
    at = start
    while at < end:
        midnight = datetime.combine(at.date() + DAY, time(), UTC)
        pieces.append((at.date(), at, min(midnight, end)))
        at = midnight
    return pieces


def spread(amount: Decimal, start: datetime, end: datetime) -> dict[date, Decimal]:
    """Spread an amount over the UTC days of a span by time; the parts sum to the amount exactly."""
    pieces = days_of(start, end)
    whole = (end - start) // MICROSECOND
    parts: dict[date, Decimal] = {}
    left = amount
    for day, since, until in pieces[:-1]:
        share = EXACT.divide(EXACT.multiply(amount, Decimal((until - since) // MICROSECOND)), Decimal(whole))
        parts[day] = share.quantize(LEDGER, context=EXACT)
        left = EXACT.subtract(left, parts[day])
    parts[pieces[-1][0]] = left
    return parts


MICROSECOND = timedelta(microseconds=1)


def read_costs(entries: Iterable[Entry], naming: Naming, currency: str) -> dict[date, list[Cost]]:
    """Turn entries that know their cluster into cost rows by UTC day; amounts of 0 give no row."""
    rows: dict[date, list[Cost]] = defaultdict(list)
    for entry in entries:
        tenant, dimensions, _, _ = naming.read(entry.name, entry.cluster)
        idle = IDLE in entry.name.split("/")
        for service, amount in entry.amounts.items():
            component = "idle" if idle else COMPONENT[service]
            for day, part in spread(amount, entry.start, entry.end).items():
                if part:
                    rows[day].append(Cost(day, tenant, service, component, part, currency, entry.cluster, dimensions))
    return rows


@dataclass(frozen=True, slots=True)
class Assets:
    """What an /assets answer says: what everything cost, what each kind cost, and the cloud's ids.

    compute: OpenCost's own name of a cluster → cpu, ram, gpu → what its nodes cost, discounts and adjustments in.
    """

    total: Decimal
    kinds: Mapping[str, Decimal]
    nodes: Sequence[Node]
    compute: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)

    def kind(self, service: str) -> Decimal | None:
        """Return what everything of one service cost, or None for what /assets does not know (network)."""
        if service in KINDS.values():
            return self.kinds.get(service, Decimal(0))
        if service in NODE_FIELDS:
            return sum((found.get(service, Decimal(0)) for found in self.compute.values()), Decimal(0))
        return None


def read_assets(document: Any, where: str, cluster: str | None, fallback: str) -> Assets:
    """Read an /assets answer. Raises SourceError when it is an error or not one."""
    data = read_data(document, where)
    found: dict[str, Any] = {}
    for part in data if isinstance(data, list) else [data]:
        if not isinstance(part, dict):
            raise SourceError("format", where, "data is not a map of assets", URL_HINT)
        found |= part
    total = Decimal(0)
    kinds: dict[str, Decimal] = defaultdict(Decimal)
    nodes: dict[tuple[date, str, str], Node] = {}
    compute: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for key, asset in found.items():
        inside = f"{where}, asset {key!r}"
        if not isinstance(asset, dict):
            raise SourceError("format", inside, f"is a {type(asset).__name__}, not an asset")
        cost = read_amount(asset.get("totalCost"), f"{inside}, totalCost")
        total += cost
        kind = _text(asset, "type", inside)
        properties = _properties(asset, inside)
        place = _text(properties, "cluster", inside)
        if kind == "Node":
            for service, amount in _node_costs(asset, cost, inside).items():
                compute[place or fallback][service] += amount
            kinds["gpu"] += read_amount(asset.get("gpuCost", Decimal(0)), f"{inside}, gpuCost")
        elif kind in KINDS:
            kinds[KINDS[kind]] += cost
        provider_id = cloud_id(_text(properties, "providerID", inside))
        if kind in WITH_ID and provider_id:
            place = cluster or place or fallback
            start, end = read_window(asset.get("window"), inside)
            for day, _, _ in days_of(start, end):
                nodes[day, provider_id, place] = Node(day, provider_id, place)
    return Assets(total, kinds, [nodes[key] for key in sorted(nodes)], compute)


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
WITH_ID = ("Node", "Disk", "LoadBalancer")


def cloud_id(provider_id: str) -> str:
    """Return the id as a bill spells it: aws:///us-east-1b/i-0a1 → i-0a1; others stay as they are."""
    return re.sub(r"^aws://.*/", "", provider_id.strip())
