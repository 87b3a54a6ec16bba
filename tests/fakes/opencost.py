"""An OpenCost that replays recorded answers; a test may put others in their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.fakes.server import Reply, Request

DATA = Path(__file__).parent.parent / "data"
REAL = DATA / "opencost-real"
NO_DATA = Reply('{"code":200,"data":[{}]}')
RECORDED = {
    "label:tenant": "tenant",
    "label:tenant,label:feature": "tenant-feature",
    "namespace,label:tenant": "namespace-tenant",
    "label:cost-center,label:tenant-id": "tenant-dashed-label",
}
"""aggregate as asked → how the recorded file's name begins."""


def recorded(name: str) -> bytes:
    """Return a recorded answer as it came."""
    return (REAL / name).read_bytes()


def loaded(name: str) -> Any:
    """Return a recorded answer as JSON, numbers as Decimal."""
    return json.loads(recorded(name), parse_float=Decimal, parse_int=Decimal)


def dumped(document: object) -> Reply:
    """Return JSON as an answer."""
    return Reply(json.dumps(document, default=float))


def record(folder: Path, day: date, costs: Mapping[str, Decimal]) -> None:
    """Write OpenCost's answer of a day to folder/opencost: what tenants cost, in dollars; a ninth of it is idle."""
    window = {"start": f"{day}T00:00:00Z", "end": f"{day + timedelta(1)}T00:00:00Z"}
    entries = {
        name: {"name": name, "window": window, "properties": {"cluster": "prod"}, "cpuCost": float(cost)}
        for name, cost in [*costs.items(), ("__idle__", sum(costs.values(), Decimal(0)) / 8)]
    }
    (folder / "opencost").mkdir(exist_ok=True)
    (folder / "opencost" / f"{day}.json").write_text(json.dumps({"code": 200, "data": [entries]}))


def _read(reply: Reply) -> tuple[Any, list[Any]]:
    """Return an answer as JSON, and its steps; none of one that holds no costs."""
    try:
        document = json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)
        return document, [step or {} for step in document["data"] or []]
    except (ValueError, KeyError, TypeError):
        return None, []


def by_cluster(reply: Reply) -> Reply:
    """Return an answer as OpenCost gives it with cluster first in aggregate; merged idle keeps its name."""
    document, steps = _read(reply)
    renamed = False
    for step in steps:
        for name, entry in [*step.items()]:
            cluster = (entry.get("properties") or {}).get("cluster")
            if cluster and name != "__idle__" and not name.startswith(f"{cluster}/"):
                entry["name"] = f"{cluster}/{name}" if name else cluster
                step[entry["name"]] = step.pop(name)
                renamed = True
    return replace(reply, body=dumped(document).body) if renamed else reply


def by_node(reply: Reply) -> Reply:
    """Return an answer as OpenCost gives it with node last in aggregate, of workloads whose nodes were not recorded."""
    document, steps = _read(reply)
    for step in steps:
        for name, entry in [*step.items()]:
            if name != "__idle__":
                entry["name"] = f"{name}/{(entry.get('properties') or {}).get('node', '__unallocated__')}"
                step[entry["name"]] = step.pop(name)
    return replace(reply, body=dumped(document).body) if steps else reply


def tenants_by_node(day: str = "2026-11-22") -> Any:
    """Return the recorded pods of a day summed up by tenant and node, as OpenCost does it."""
    step: dict[str, Any] = {}
    for pod in loaded(f"pod-{day}.json")["data"][0].values():
        properties = pod["properties"]
        if pod["name"] == "__idle__":
            step["__idle__"] = pod
            continue
        tenant = (properties.get("labels") or {}).get("tenant", "__unallocated__")
        name = f"{properties['cluster']}/{tenant}/{properties.get('node', '__unallocated__')}"
        kept = {key: properties[key] for key in ("cluster", "node", "providerID") if key in properties}
        if name not in step:
            step[name] = {**pod, "name": name, "properties": kept}
            continue
        for key in pod:
            if key.endswith(("Cost", "CostAdjustment")):
                step[name][key] += pod[key]
        step[name]["pvs"] = summed_volumes(step[name]["pvs"], pod["pvs"])
    return {"code": 200, "data": [step]}


def summed_volumes(one: Any, other: Any) -> Any:
    """Return what the volumes of two entries cost together, by their names."""
    summed = {name: dict(volume) for name, volume in (one or {}).items()}
    for name, volume in (other or {}).items():
        before = summed.setdefault(name, {**volume, "cost": Decimal(0)})
        before["cost"] += volume["cost"]
    return summed or None


@dataclass
class Replay:
    """Answers /allocation and /assets by day. allocation, assets: day → the replies, the last one stays.

    What is in neither is read from the recorded files; a day that was not recorded has no data. The nodes of
    2026-11-22 serve every day from 11-19 on: the cluster was the same.
    """

    allocation: Mapping[str, list[Reply]] = field(default_factory=dict)
    assets: Mapping[str, list[Reply]] = field(default_factory=dict)
    otherwise: Callable[[Request], Reply] | None = None

    def __call__(self, request: Request) -> Reply:
        """Answer one request, by cluster first where it asks for that."""
        aggregates = request.params.get("aggregate", "").split(",")
        reply = self.recorded(request)
        reply = by_node(reply) if aggregates[-1] == "node" else reply
        return by_cluster(reply) if aggregates[0] == "cluster" and len(aggregates) > 1 else reply

    def recorded(self, request: Request) -> Reply:
        start, _, end = request.params.get("window", "").partition(",")
        day = start[:10]
        if not (start.endswith("T00:00:00Z") and end.endswith("Z")):
            return Reply(recorded("errors/bad-window.txt"), status=400)
        replies = {"/allocation": self.allocation, "/assets": self.assets}.get(request.path)
        if replies is None:
            return Reply("404 page not found\n", status=404)
        if replies.get(day):
            return replies[day].pop(0) if len(replies[day]) > 1 else replies[day][0]
        if self.otherwise is not None:
            return self.otherwise(request)
        return _assets(day) if request.path == "/assets" else _allocation(day, request.params)


def _allocation(day: str, params: Mapping[str, str]) -> Reply:
    if params.get("includeIdle") != "true" or params.get("accumulate") != "true":
        return Reply("", status=400)
    known = RECORDED.get(params["aggregate"].removeprefix("cluster,").removesuffix(",node"))
    if known is None:
        return Reply(recorded("errors/bad-aggregate.json"))
    path = REAL / f"{known}-{day}.json"
    return Reply(path.read_bytes()) if path.exists() else NO_DATA


def _assets(day: str) -> Reply:
    if not "2026-11-19" <= day <= "2026-11-22":
        return Reply('{"code":200,"data":{}}')
    body = recorded("assets-2026-11-22.json")
    body = body.replace(b"2026-11-22T00:00:00Z", f"{day}T00:00:00Z".encode())
    following = f"2026-11-{int(day[8:]) + 1:02d}T00:00:00Z"
    return Reply(body.replace(b"2026-11-23T00:00:00Z", following.encode()))
