"""The cluster as OpenCost would tell it: one recorded answer a day, by tenant, feature and environment."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from unitcost.sample.company import UNIT, MonthOfCosts, so_far
from unitcost.sample.customers import Customer
from unitcost.sample.days import DAY_SECONDS, Clock

CLUSTER = "prod"
BILL_PERCENT = 94
"""What the bill says in percent of OpenCost's list prices: the reconciliation ratio."""

LISTED_UNIT = UNIT // 100_000
"""OpenCost rounds every figure to five decimals; `listed` amounts are whole numbers of them."""

SPLITS = {"cpu": {"cpu": 640, "ram": 360}, "disk": {"cpu": 500, "ram": 300, "pv": 200}, "gpu": {"gpu": 700, "cpu": 300}}
"""What a pod's cost consists of, in thousandths."""


class Pod(NamedTuple):
    """A deployment. part: thousandths of its owner's pods. old_label: it carries the customer's alias."""

    feature: str
    environment: str
    part: int
    kind: str
    old_label: bool = False


ONE_POD: tuple[Pod, ...] = (Pod("dashboards", "production", 1000, "cpu"),)
PODS: dict[str, tuple[Pod, ...]] = {
    "enterprise": (
        Pod("dashboards", "production", 300, "cpu"),
        Pod("ingest", "production", 250, "disk"),
        Pod("reports", "production", 150, "cpu"),
        Pod("search", "production", 220, "gpu"),
        Pod("dashboards", "staging", 80, "cpu"),
    ),
    "pro": (Pod("dashboards", "production", 600, "cpu"), Pod("ingest", "production", 400, "disk")),
    "starter": ONE_POD,
    "renamed": (Pod("dashboards", "production", 700, "cpu"), Pod("reports", "production", 300, "cpu", old_label=True)),
}
PLATFORM = (
    Pod("api", "production", 450, "cpu"),
    Pod("ingest", "production", 300, "cpu"),
    Pod("web", "production", 150, "cpu"),
    Pod("ci", "staging", 100, "cpu"),
)
"""What serves every customer and carries no customer's label."""

UNKNOWN = "quickstart-demo"
UNKNOWN_DAILY = UNIT * 3 // 4
"""A pod label that no customer has; it runs since the first of this month."""


class Running(NamedTuple):
    """A pod as OpenCost names it, and its owner's bill for each day of the month, in units."""

    name: str
    pod: Pod
    days: list[int]


def write_cluster(folder: Path, clock: Clock, months: list[MonthOfCosts], everyone: list[Customer]) -> None:
    """Write folder/YYYY-MM-DD.json for every day that has begun; today's answer is its part until now."""
    folder.mkdir(parents=True, exist_ok=True)
    for month in months:
        running = _running(month, everyone)
        if month.month == clock.this:
            daily = [UNKNOWN_DAILY] * len(month.nodes)
            running += [Running(_name(UNKNOWN, pod), pod, daily) for pod in ONE_POD]
        for place, day in enumerate(month.month.days):
            seconds = clock.elapsed(day)
            costs = _costs(running, month.nodes, place, seconds)
            if not costs:
                continue
            entries = {name: _entry(name, costs[name], day, seconds) for name in sorted(costs)}
            text = json.dumps({"code": 200, "data": [entries]}, separators=(",", ":"))
            (folder / f"{day}.json").write_text(text + "\n", encoding="utf-8")


def volumes(month: MonthOfCosts, everyone: list[Customer]) -> list[int]:
    """Return what the bill charges for the cluster's volumes on each whole day of the month, in units."""
    running = _running(month, everyone)
    listed = [
        sum(cost.get("pv", 0) for cost in _costs(running, month.nodes, place, DAY_SECONDS).values())
        for place in range(len(month.nodes))
    ]
    return [amount * LISTED_UNIT * BILL_PERCENT // 100 for amount in listed]


def _running(month: MonthOfCosts, everyone: list[Customer]) -> list[Running]:
    running = [Running(_name("__unallocated__", pod), pod, month.platform) for pod in PLATFORM]
    for number, customer in enumerate(everyone):
        days = month.direct["pods"].get(customer.id)
        if days is None:
            continue
        pods = PODS["renamed" if customer.alias else customer.plan]
        if customer.plan == "pro" and number % 2:
            pods = ONE_POD
        for pod in pods:
            label = customer.alias if pod.old_label else customer.id
            running.append(Running(_name(label, pod), pod, days))
    return running


def _name(label: str, pod: Pod) -> str:
    return f"{label}/{pod.feature}/{pod.environment}"


def _costs(running: list[Running], nodes: list[int], place: int, seconds: int) -> dict[str, dict[str, int]]:
    """Return name → resource → listed; nothing for a day that has not begun."""
    costs = {}
    for name, pod, days in running:
        cost = _split(_listed(days[place], seconds) * pod.part // 1000, pod.kind)
        if any(cost.values()):
            costs[name] = cost
    idle = _listed(nodes[place], seconds) - sum(sum(cost.values()) for cost in costs.values())
    if idle:
        costs["__idle__"] = _split(idle, "cpu")
    return costs


def _listed(bill_units: int, seconds: int) -> int:
    """Return OpenCost's list price, in its five decimals, for what the bill calls so many units a day."""
    return so_far(bill_units * 100 // BILL_PERCENT, seconds) // LISTED_UNIT


def _split(listed: int, kind: str) -> dict[str, int]:
    """Split a cost into resources, without a remainder."""
    parts = SPLITS[kind]
    costs = {resource: listed * part // 1000 for resource, part in parts.items()}
    costs["cpu"] += listed - sum(costs.values())
    return costs


def _entry(name: str, costs: dict[str, int], day: date, seconds: int) -> dict[str, Any]:
    start = f"{day}T00:00:00Z"
    minutes = seconds // 60
    day_end = f"{day + timedelta(1)}T00:00:00Z"
    end = day_end if seconds == DAY_SECONDS else f"{day}T{minutes // 60:02d}:{minutes % 60:02d}:00Z"
    entry: dict[str, Any] = {
        "name": name,
        "properties": {"cluster": CLUSTER},
        "window": {"start": start, "end": day_end},
        "start": start,
        "end": end,
        "minutes": minutes,
    }
    for resource in ("cpu", "gpu", "network", "loadBalancer", "pv", "ram"):
        entry[f"{resource}Cost"] = _dollars(costs.get(resource, 0))
        entry[f"{resource}CostAdjustment"] = 0
    entry["totalCost"] = _dollars(sum(costs.values()))
    return entry


def _dollars(listed: int) -> float:
    return round(listed / 100_000, 5) if listed else 0
