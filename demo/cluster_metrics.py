"""Made-up metrics of the sample's cluster, as OpenCost, kube-state-metrics and cAdvisor would serve them.

No cluster stands behind them. They are worked out from the sample's own OpenCost answer of a day: every entry becomes
pods whose cores and bytes, at their node's prices, cost what the entry says, so that live figures times 24 are that
day's. What is used of them is invented: a steady part, with a wave over the day. Prices are invented too.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.listen import listening
from unitcost import sample
from unitcost.metrics.exposition import Family, render
from unitcost.metrics.external import (
    CPU_ALLOCATION,
    CPU_USED,
    MEMORY_ALLOCATION,
    MEMORY_USED,
    NAMESPACE_LABELS,
    NODE_CPU_PRICE,
    NODE_MEMORY_PRICE,
    NODE_PRICE,
    POD_LABELS,
)
from unitcost.metrics.metric import Metric
from unitcost.sample.days import DAY_SECONDS, seeded

WARNING = b"# Made up by unitcost's demo: there is no such cluster.\n"
GIB = 2**30
CORES_A_POD = 4.0
NO_LABEL, IDLE = "__unallocated__", "__idle__"
WAVE = 0.25
"""How far the use of a pod swings over the day, as a part of its mean."""

OPENCOST, KUBE_STATE_METRICS, CADVISOR = PATHS = (
    "/opencost/metrics",
    "/kube-state-metrics/metrics",
    "/cadvisor/metrics",
)
"""Where each program's page is; a pod's labels are on two of them, as in a cluster that runs both programs."""

NODE_LABELS = ("arch", "instance", "instance_type", "node", "provider_id", "region", "uid")
CONTAINER_LABELS = ("container", "instance", "namespace", "node", "pod", "uid")
CADVISOR_LABELS = ("container", "id", "image", "namespace", "pod")
NAMESPACE = ("label_kubernetes_io_metadata_name", "namespace", "uid")
KUBE_LABELS = ("label_app", "label_environment", "label_tenant", "namespace", "pod", "uid")


@dataclass(frozen=True)
class Kind:
    """A kind of node: its prices in dollars for a core-hour and a GiB-hour, and how large each node is."""

    name: str
    instance_type: str
    core: float
    gib: float
    sizes: tuple[float, ...]


APP = Kind("app", "m6i.16xlarge", 0.031611, 0.004237, (4.0,) * 6 + (2.0,) * 4)
GPU = Kind("gpu", "g6.16xlarge", 0.037120, 0.004910, (2.5,) * 2)


@dataclass
class Node:
    """A node and the dollars an hour of what runs on it."""

    name: str
    kind: Kind
    size: float
    placed: float = 0.0


@dataclass(frozen=True)
class Pod:
    """A pod of one container: what it is allocated, and the part of that which it uses on average."""

    name: str
    tenant: str
    app: str
    environment: str
    node: Node
    cores: float
    gib: float
    used: float

    @property
    def uid(self) -> str:
        """A name that no other pod has, also after this one."""
        return _hex(self.name, 32)

    def cores_used(self, since: float, until: float) -> float:
        """Return the core-seconds used between two Unix times: the integral of a mean and its wave."""
        turn = 2 * math.pi / DAY_SECONDS
        phase = seeded("phase", self.name).random() * 2 * math.pi
        wave = (math.cos(turn * since + phase) - math.cos(turn * until + phase)) / turn
        return self.cores * self.used * (until - since + WAVE * wave)


class Cluster:
    """The made-up cluster: its pages of metrics by path."""

    def __init__(self, answer: Path, started: float) -> None:
        """Read a recorded OpenCost answer of one whole day; counters begin at the Unix time started."""
        [entries] = json.loads(answer.read_text(encoding="utf-8"))["data"]
        self.started = started
        self.nodes = [
            Node(f"node-{kind.name}-{place}", kind, size)
            for kind in (APP, GPU)
            for place, size in enumerate(kind.sizes, start=1)
        ]
        self.pods: list[Pod] = []
        idle = 0.0
        for name, entry in sorted(entries.items(), key=lambda item: -item[1]["totalCost"]):
            hours = entry["minutes"] / 60
            cost = {resource: entry[f"{resource}Cost"] / hours for resource in ("cpu", "ram", "gpu")}
            if name == IDLE:
                idle = sum(cost.values())
            else:
                self._place(name, cost)
        whole = sum(node.size for node in self.nodes)
        self._idle = {node.name: idle * node.size / whole for node in self.nodes}
        pod_labels = _family(POD_LABELS, KUBE_LABELS, [_kube_row(pod) for pod in self.pods])
        self._fixed = {OPENCOST: [*self._opencost(), pod_labels], KUBE_STATE_METRICS: [pod_labels]}

    def page(self, path: str) -> bytes | None:
        """Return what is served at a path now, in Prometheus' text format; None where nothing is."""
        families = self._cadvisor(time.time()) if path == CADVISOR else self._fixed.get(path)
        return None if families is None else WARNING + render(families).text

    def idle_of(self, node: Node) -> float:
        """Return the dollars an hour of a node that no pod is allocated."""
        return self._idle[node.name]

    def _place(self, name: str, cost: dict[str, float]) -> None:
        """Turn an entry of OpenCost's answer into pods of at most CORES_A_POD, each on the emptiest node."""
        label, app, environment = name.split("/")
        kind = GPU if cost["gpu"] else APP
        copies = max(1, math.ceil(cost["cpu"] / kind.core / CORES_A_POD))
        for copy in range(copies):
            node = min((node for node in self.nodes if node.kind is kind), key=lambda node: node.placed / node.size)
            node.placed += sum(cost.values()) / copies
            pod = f"{label.strip('_').lower()}-{app}-{_hex(name, 9)}-{_hex(f'{name}/{copy}', 5)}"
            self.pods.append(
                Pod(
                    name=pod,
                    tenant="" if label == NO_LABEL else label,
                    app=app,
                    environment=environment,
                    node=node,
                    cores=cost["cpu"] / kind.core / copies,
                    gib=cost["ram"] / kind.gib / copies,
                    used=seeded("used", name).uniform(0.2, 0.75),
                )
            )

    def _opencost(self) -> list[Family]:
        nodes = [(_node_row(node), node) for node in self.nodes]
        pods = [((pod.app, pod.node.name, pod.environment, pod.node.name, pod.name, pod.uid), pod) for pod in self.pods]
        namespaces = [(name, name, _hex(name, 32), 1) for name in sorted({pod.environment for pod in self.pods})]
        return [
            _family(NAMESPACE_LABELS, NAMESPACE, namespaces),
            _family(NODE_CPU_PRICE, NODE_LABELS, [(*row, node.kind.core) for row, node in nodes]),
            _family(NODE_MEMORY_PRICE, NODE_LABELS, [(*row, node.kind.gib) for row, node in nodes]),
            _family(NODE_PRICE, NODE_LABELS, [(*row, node.placed + self.idle_of(node)) for row, node in nodes]),
            _family(CPU_ALLOCATION, CONTAINER_LABELS, [(*row, pod.cores) for row, pod in pods]),
            _family(MEMORY_ALLOCATION, CONTAINER_LABELS, [(*row, pod.gib * GIB) for row, pod in pods]),
        ]

    def _cadvisor(self, now: float) -> list[Family]:
        """Return use of each container, and of the pod around it, as cAdvisor has both."""
        seconds: list[tuple[Any, ...]] = []
        memory: list[tuple[Any, ...]] = []
        for pod in self.pods:
            used = pod.cores_used(self.started, now)
            bytes_used = pod.gib * GIB * min(0.95, pod.used + 0.15)
            for container, image in ((pod.app, f"example.com/{pod.app}:1"), ("", "")):
                row = (container, f"/kubepods/pod{pod.uid}/{container}", image, pod.environment, pod.name)
                seconds.append((*row, used))
                memory.append((*row, bytes_used))
        return [_family(CPU_USED, CADVISOR_LABELS, seconds), _family(MEMORY_USED, CADVISOR_LABELS, memory)]


def whole_day(company: Path, now: datetime) -> Path:
    """Return OpenCost's answer for the last whole day (UTC) in a sample company's folder."""
    return company / "opencost" / f"{now.date() - timedelta(1)}.json"


def _family(metric: Metric, labels: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Family:
    """Return rows under a metric's name with all the labels that its program writes, more than we read."""
    return Family(replace(metric, labels=labels, unit=""), rows)


def _node_row(node: Node) -> tuple[str, ...]:
    provider = f"aws:///us-east-1a/i-{_hex(node.name, 17)}"
    return ("amd64", node.name, node.kind.instance_type, node.name, provider, "us-east-1", _hex(node.name, 32))


def _kube_row(pod: Pod) -> tuple[Any, ...]:
    return (pod.app, pod.environment, pod.tenant, pod.environment, pod.name, pod.uid, 1)


def _hex(text: str, length: int) -> str:
    return f"{seeded('hex', text).getrandbits(4 * length):0{length}x}"


def main() -> None:
    """Serve the metrics of the sample's cluster until stopped, as compose.yaml does: python -m demo.cluster_metrics."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.cluster_metrics", description="Serve made-up metrics of the sample's cluster."
    )
    parser.add_argument("--listen", default="127.0.0.1:9489", metavar="ADDRESS", help="default: %(default)s")
    address, _, port = parser.parse_args().listen.rpartition(":")
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="unitcost-cluster-") as folder:
        sample.write(Path(folder), now)
        cluster = Cluster(whole_day(Path(folder), now), now.timestamp())
    with listening(address, int(port), get=cluster.page) as url:
        sys.stdout.write(f"serving made-up metrics on {url}: {', '.join(PATHS)}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
