"""A day of the made-up cluster's past, as the live rules would have recorded it: else its graphs begin empty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from demo.cluster_metrics import Cluster
from unitcost.metrics.exposition import openmetrics_head, timed_lines
from unitcost.metrics.metric import Metric
from unitcost.metrics.recorded import LIVE_ALLOCATED, LIVE_CPU, LIVE_CPU_USED, LIVE_NODES

HOURS = 24
STEP = 300
"""Seconds between two samples, and over which cores used are averaged, as the rules do."""


def write(cluster: Cluster, output: Path, until: float) -> int:
    """Write the HOURS before `until` (Unix time) as OpenMetrics; return how many samples."""
    times = [int(until) - STEP * ago for ago in reversed(range(HOURS * 3600 // STEP))]
    count = 0
    with output.open("wb") as file:
        for metric, series in _recorded(cluster, times):
            rows = [
                (*labels, value, at * 1000)
                for labels, values in sorted(series.items())
                for value, at in zip(values, times, strict=True)
            ]
            file.write(openmetrics_head(metric).encode())
            file.write(timed_lines(metric, rows))
            count += len(rows)
        file.write(b"# EOF\n")
    return count


def _recorded(cluster: Cluster, times: Sequence[int]) -> Iterator[tuple[Metric, dict[tuple[str, ...], list[float]]]]:
    """Yield each live metric that graphs show, with the values of its series at these times."""
    nodes = sum(node.placed + cluster.idle_of(node) for node in cluster.nodes)
    allocated = sum(pod.cores * pod.node.kind.core + pod.gib * pod.node.kind.gib for pod in cluster.pods)
    pods = defaultdict(list)
    for pod in cluster.pods:
        pods[pod.tenant].append(pod)
    for metric, dollars in ((LIVE_NODES, nodes), (LIVE_ALLOCATED, allocated)):
        yield _with(metric), {(): [dollars] * len(times)}
    cores: dict[tuple[str, ...], list[float]] = {
        (tenant,): [sum(pod.cores for pod in mine)] * len(times) for tenant, mine in pods.items()
    }
    yield _with(LIVE_CPU, "tenant"), cores
    used: dict[tuple[str, ...], list[float]] = {
        (tenant,): [sum(pod.cores_used(at - STEP, at) for pod in mine) / STEP for at in times]
        for tenant, mine in pods.items()
    }
    yield _with(LIVE_CPU_USED, "tenant"), used


def _with(metric: Metric, *labels: str) -> Metric:
    """Return a metric with these labels: the made-up cluster has no label that tells it from others."""
    return replace(metric, labels=labels, unit="")
