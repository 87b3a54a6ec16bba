"""An OpenCost that replays recorded answers; a test may put others in their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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


def by_cluster(reply: Reply) -> Reply:
    """Return an answer as OpenCost gives it with cluster first in aggregate; merged idle keeps its name."""
    try:
        document = json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)
        steps = [step or {} for step in document["data"] or []]
    except (ValueError, KeyError, TypeError):
        return reply
    renamed = False
    for step in steps:
        for name, entry in [*step.items()]:
            cluster = (entry.get("properties") or {}).get("cluster")
            if cluster and name != "__idle__" and not name.startswith(f"{cluster}/"):
                entry["name"] = f"{cluster}/{name}" if name else cluster
                step[entry["name"]] = step.pop(name)
                renamed = True
    return replace(reply, body=dumped(document).body) if renamed else reply


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
        reply = self._answer(request)
        return by_cluster(reply) if request.params.get("aggregate", "").startswith("cluster,") else reply

    def _answer(self, request: Request) -> Reply:
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
    known = RECORDED.get(params["aggregate"].removeprefix("cluster,"))
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
