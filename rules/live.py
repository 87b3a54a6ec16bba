"""Live rules straight over OpenCost's metrics: what runs now, in dollars an hour, cores and GiB, by tenant.

Correct with two OpenCosts, with kube-state-metrics beside it, and where kube-state-metrics has no allowlist for the
label: series are made one by `max by` before any join, and kube_pod_labels is filtered before that. Pods without a
tenant are summed up under tenant="", so the sum over tenants is all that is allocated. Like OpenCost, a pod without
the label has its namespace's. OpenCost must be scraped with honor_labels.
"""

from __future__ import annotations

from rules.expressions import one
from rules.model import Group, Record, RuleFile
from rules.promql import other_than, over, select
from unitcost import catalogue_external as e
from unitcost import catalogue_recorded as r
from unitcost.catalogue import Metric

GIBIBYTE = "2^30"
POD = ("namespace", "pod")
RATE = "5m"


def live(key: str) -> RuleFile:
    """Return the file of live rules. key: the pod label that names the tenant."""
    allocated = _by_tenant(over("sum", POD, one(e.CPU_ALLOCATION)))
    memory = _by_tenant(over("sum", POD, one(e.MEMORY_ALLOCATION)))
    rules = (
        Record(r.POD_TENANT, _pod_tenant(key)),
        Record(r.LIVE_COMPUTE, _by_tenant(_dollars())),
        Record(r.LIVE_ALLOCATED, over("sum", (), select(r.LIVE_COMPUTE))),
        Record(r.LIVE_NODES, over("sum", (), one(e.NODE_PRICE))),
        Record(r.LIVE_CPU, allocated),
        Record(r.LIVE_MEMORY, f"{memory} / {GIBIBYTE}"),
        Record(r.LIVE_CPU_USED, _by_tenant(_used(f"rate({_containers(e.CPU_USED)}[{RATE}])"))),
        Record(r.LIVE_MEMORY_USED, f"{_by_tenant(_used(_containers(e.MEMORY_USED)))} / {GIBIBYTE}"),
    )
    return RuleFile("unitcost-opencost", (Group("unitcost-opencost-live", rules),))


def _named(metric: Metric, key: str, by: tuple[str, ...]) -> str:
    """Return 1 for each pod or namespace with the label, its value in `tenant`; one series even if two disagree."""
    metric = e.with_tenant_label(metric, key)
    spellings = [
        f'label_replace({select(metric, **{label: other_than("")})}, "tenant", "$1", "{label}", "(.+)")'
        for label in e.label_names(key)
    ]
    return over("topk", by, f"1, {over('max', (*by, 'tenant'), ' or '.join(spellings))}")


def _pod_tenant(key: str) -> str:
    """Return 1 for each pod, with its tenant: the pod's label, else its namespace's, else none."""
    pods = over("group", POD, f"{select(e.CPU_ALLOCATION)} or {select(e.MEMORY_ALLOCATION)}")
    by_namespace = f"{pods} * on (namespace) group_left (tenant) {_named(e.NAMESPACE_LABELS, key, ('namespace',))}"
    return f"{_named(e.POD_LABELS, key, POD)} or on (namespace, pod) {by_namespace} or on (namespace, pod) {pods}"


def _dollars() -> str:
    """Return dollars an hour by pod: cores and GiB at the prices of their node.

    label_replace keeps cores and memory apart, so that a container with only one of them counts too.
    """
    cores = f"{one(e.CPU_ALLOCATION)} * on (node) group_left () {one(e.NODE_CPU_PRICE)}"
    memory = f"{one(e.MEMORY_ALLOCATION)} / {GIBIBYTE} * on (node) group_left () {one(e.NODE_MEMORY_PRICE)}"
    parts = [f'label_replace({part}, "of", "{of}", "", "")' for part, of in ((cores, "cpu"), (memory, "memory"))]
    return over("sum", POD, " or ".join(parts))


def _containers(metric: Metric) -> str:
    """Leave out cAdvisor's sums over whole pods, which have no container."""
    return select(metric, container=other_than(""))


def _used(expression: str) -> str:
    return over("sum", POD, over("max", (*POD, "container"), expression))


def _by_tenant(expression: str) -> str:
    """Sum by the tenant of each pod; pods that OpenCost does not know of have none."""
    joined = f"{expression} * on (namespace, pod) group_left (tenant) {select(r.POD_TENANT)}"
    return over("sum", ("tenant",), f"{joined} or on (namespace, pod) {expression}")
