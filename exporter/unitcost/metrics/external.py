"""Series of other programs that our rules and pages read, with the labels that are used of them.

The labels here are those that the program itself gives; Prometheus adds more, see `stored_labels`. The namespace, pod,
container and node of a series are meant, not those of the program that serves it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from unitcost.metrics.metric import Metric

SCRAPED_LABELS = ("job", "instance")
"""What Prometheus itself adds to every series it scrapes, ours included."""

CLUSTER = "cluster"
"""The label that tells clusters apart, where alerts.cluster_label names no other; kubernetes-mixin's rules read it too.

It comes from a target or is an external label of an agent. It is safe as a default: where no series has it, it is ""
for all of them, in every `by` and `on`.
"""

RENAMED = ("namespace", "pod", "container", "node")
"""Labels that targets found through Kubernetes may have too: without honor_labels a series' own are renamed."""

CPU_ALLOCATION = Metric(
    "container_cpu_allocation",
    "OpenCost: cores that a container requests or uses, whichever is more.",
    ("namespace", "pod", "container", "node"),
    unit="cores",
)
MEMORY_ALLOCATION = Metric(
    "container_memory_allocation_bytes",
    "OpenCost: bytes that a container requests or uses, whichever is more.",
    ("namespace", "pod", "container", "node"),
    unit="bytes",
)
NODE_CPU_PRICE = Metric("node_cpu_hourly_cost", "OpenCost: dollars for one core of the node for an hour.", ("node",))
NODE_MEMORY_PRICE = Metric("node_ram_hourly_cost", "OpenCost: dollars for one GiB of the node for an hour.", ("node",))
NODE_PRICE = Metric("node_total_hourly_cost", "OpenCost: dollars for the whole node for an hour.", ("node",))
POD_LABELS = Metric(
    "kube_pod_labels",
    "kube-state-metrics, and OpenCost again: always 1; a pod's labels, each as label_ and its name with _ for what"
    " Prometheus does not allow.",
    ("namespace", "pod", "label_tenant"),
)
NAMESPACE_LABELS = Metric(
    "kube_namespace_labels",
    "kube-state-metrics, and OpenCost again: always 1; a namespace's labels, named like kube_pod_labels'.",
    ("namespace", "label_tenant"),
)
CPU_USED = Metric(
    "container_cpu_usage_seconds_total",
    "cAdvisor: seconds of processor time that a container has used.",
    ("namespace", "pod", "container"),
    type="counter",
    unit="seconds",
)
MEMORY_USED = Metric(
    "container_memory_working_set_bytes",
    "cAdvisor: bytes of memory that a container uses and cannot give back.",
    ("namespace", "pod", "container"),
    unit="bytes",
)
UP = Metric("up", "Prometheus: 1 when the last scrape of a target worked, else 0.", SCRAPED_LABELS)
ALERT_LABELS = ("severity", "owner", "tenant", "name", "plan", "source", "window", "cluster", "scope")
"""Those of our alerts; each kind has some of them."""
ALERTS = Metric(
    "ALERTS",
    "Prometheus: 1 for each alert that is pending or firing, with the alert's labels.",
    ("alertname", "alertstate", *ALERT_LABELS),
)
ALERTS_FOR_STATE = Metric(
    "ALERTS_FOR_STATE",
    "Prometheus: since when the condition of each alert that is pending or firing holds, with the alert's labels.",
    ("alertname", *ALERT_LABELS),
    unit="seconds",
)

EXTERNAL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def exported(label: str) -> str:
    """Return what Prometheus calls a series' own label where its target has one of that name, without honor_labels."""
    return f"exported_{label}"


def stored_labels(metric: Metric) -> tuple[str, ...]:
    """Return the labels that a series of another program can have in Prometheus."""
    renamed = tuple(exported(label) for label in metric.labels if label in RENAMED)
    return (CLUSTER, *metric.labels, *renamed, *SCRAPED_LABELS)


def label_names(key: str) -> tuple[str, ...]:
    """Return what kube_pod_labels calls the label `key`: by OpenCost, then, if it differs, by kube-state-metrics.

    Both write _ for what Prometheus does not allow. OpenCost keeps capitals (label_tenantID), kube-state-metrics
    turns them into snake case (label_tenant_id).
    """
    plain = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    snake = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain).lower()
    return tuple(dict.fromkeys((f"label_{plain}", f"label_{snake}")))


def with_tenant_label(metric: Metric, key: str) -> Metric:
    """Return POD_LABELS or NAMESPACE_LABELS with the names of the label `key` instead of label_tenant."""
    kept = tuple(label for label in metric.labels if label != "label_tenant")
    return replace(metric, labels=(*kept, *label_names(key)))
