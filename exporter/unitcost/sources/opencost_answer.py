"""What OpenCost says: answers of /allocation and /assets, read into steps, cost rows and nodes.

Money is Decimal with 12 places. A component that is null is unknown, never 0. Times are UTC.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from unitcost.errors import SourceError
from unitcost.records import RESERVED, Cost, Node, Problem
from unitcost.sources.values import EXACT, LEDGER

IDLE = "__idle__"
LARGEST = Decimal("1e15")
"""An amount beyond this is no cost of a day, and would not add up exactly."""
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
    """One line of an answer. nulls: the fields that are null; the line's cost is unknown if there are any."""

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


@dataclass(frozen=True, slots=True)
class Naming:
    """How an entry's name reads: one part per aggregate, joined with "/"."""

    aggregates: tuple[str, ...]
    tenant: str
    dimensions: Mapping[str, str]
    """Aggregate → the dimension it stands for."""

    def read(self, name: str) -> tuple[str | None, dict[str, str], bool]:
        """Return tenant, dimensions and whether the name has as many parts as there are aggregates."""
        if name in RESERVED or not name:
            return None, {}, True
        parts = name.split("/") if len(self.aggregates) > 1 else [name]
        if len(parts) != len(self.aggregates):
            return None, {}, IDLE in parts
        known = {
            aggregate: part
            for aggregate, part in zip(self.aggregates, parts, strict=True)
            if part and part not in RESERVED
        }
        found = {dimension: known[key] for key, dimension in self.dimensions.items() if key in known}
        return known.get(self.tenant), found, True


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
        raise SourceError("http", where, f"OpenCost answered an error: {shorten(document.get('message'))}", LOG_HINT)
    return document["data"]


def shorten(text: object) -> str:
    """Fold and cut a foreign text: OpenCost's errors hold every failed query in full, 30 KB and more."""
    folded = " ".join(str(text).split())
    return folded if len(folded) <= SHOWN else f"{folded[:SHOWN]}…"


SHOWN = 300
URL_HINT = "url must be OpenCost's API (port 9003 by default)"
LOG_HINT = "See OpenCost's log; most often its Prometheus is down or refuses the queries"


def _entry(name: str, value: Any, where: str) -> Entry:
    where = f"{where}, entry {name!r}"
    if not isinstance(value, dict):
        raise SourceError("format", where, f"is a {type(value).__name__}, not an allocation")
    start, end = read_window(value.get("window"), where)
    amounts: dict[str, Decimal] = {}
    nulls: list[str] = []
    for service, fields in FIELDS.items():
        total = Decimal(0)
        for key in fields:
            number = value.get(key, Decimal(0))
            if number is None:
                nulls.append(key)
                continue
            if isinstance(number, Decimal) and not number:  # most are 0
                continue
            total += read_amount(number, f"{where}, {key}")
        if total:
            amounts[service] = total
    properties = value.get("properties")
    cluster = properties.get("cluster") if isinstance(properties, dict) else None
    return Entry(name, start, end, str(cluster) if cluster else None, amounts, nulls)


def read_amount(number: object, where: str) -> Decimal:
    """Return an amount of money with 12 places. Raises SourceError `format` when it is not one."""
    if not isinstance(number, Decimal) or not number.is_finite() or abs(number) >= LARGEST:
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


def read_costs(
    entries: Iterable[Entry], naming: Naming, cluster: str | None, fallback: str, currency: str
) -> dict[date, list[Cost]]:
    """Turn entries into cost rows by UTC day; amounts of 0 give no row.

    cluster replaces what the entries say; fallback stands in where they say nothing.
    """
    rows: dict[date, list[Cost]] = defaultdict(list)
    for entry in entries:
        tenant, dimensions, _ = naming.read(entry.name)
        idle = IDLE in entry.name.split("/")
        place = cluster or entry.cluster or fallback
        for service, amount in entry.amounts.items():
            component = "idle" if idle else COMPONENT[service]
            for day, part in spread(amount, entry.start, entry.end).items():
                if part:
                    rows[day].append(Cost(day, tenant, service, component, part, currency, place, dimensions))
    return rows


def odd_names(entries: Iterable[Entry], naming: Naming, where: str) -> list[Problem]:
    """Say which names have more or fewer parts than asked for; their cost stays, for no tenant."""
    odd = sorted({entry.name for entry in entries if not naming.read(entry.name)[2]})
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


def null_problem(entries: Iterable[Entry], where: str) -> Problem | None:
    """Say that a day is unknown because a cost is null, or return None if none is."""
    nulls = [(entry.name, key) for entry in entries for key in entry.nulls]
    if not nulls:
        return None
    name, key = nulls[0]
    more = f" (and {len(nulls) - 1} more)" if len(nulls) > 1 else ""
    return Problem(
        "null",
        f"{where}, entry {name!r}, {key}",
        f"is null{more}, so what the day cost is unknown; it is not taken as 0",
        "OpenCost could not compute it (NaN), most often as Prometheus has too few samples of that day",
    )


@dataclass(frozen=True, slots=True)
class Assets:
    """What an /assets answer says: what everything cost, what each kind cost, and the cloud's ids."""

    total: Decimal
    kinds: Mapping[str, Decimal]
    nodes: Sequence[Node]


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
    for key, asset in found.items():
        inside = f"{where}, asset {key!r}"
        if not isinstance(asset, dict):
            raise SourceError("format", inside, f"is a {type(asset).__name__}, not an asset")
        cost = read_amount(asset.get("totalCost"), f"{inside}, totalCost")
        total += cost
        kind = asset.get("type")
        if kind == "Node":
            kinds["gpu"] += read_amount(asset.get("gpuCost", Decimal(0)), f"{inside}, gpuCost")
        elif kind in KINDS:
            kinds[KINDS[kind]] += cost
        properties = asset.get("properties") or {}
        provider_id = cloud_id(str(properties.get("providerID") or ""))
        if kind in WITH_ID and provider_id:
            place = cluster or properties.get("cluster") or fallback
            start, end = read_window(asset.get("window"), inside)
            for day, _, _ in days_of(start, end):
                nodes[day, provider_id, place] = Node(day, provider_id, place)
    return Assets(total, kinds, [nodes[key] for key in sorted(nodes)])


KINDS = {"Disk": "pv", "LoadBalancer": "load_balancer"}
WITH_ID = ("Node", "Disk", "LoadBalancer")


def cloud_id(provider_id: str) -> str:
    """Return the id as a bill spells it: aws:///us-east-1b/i-0a1 → i-0a1; others stay as they are."""
    return re.sub(r"^aws://.*/", "", provider_id.strip())
