"""Live rules straight over OpenCost's metrics: what runs now, in dollars an hour, cores and GiB, by cluster and tenant.

Correct with two OpenCosts, with kube-state-metrics beside it, where kube-state-metrics has no allowlist for the label,
with several clusters in one Prometheus, and with or without honor_labels: series are read by their own labels and made
one by `max by` before any join, and kube_pod_labels is filtered before that. Pods without a tenant are summed up under
tenant="", so the sum over tenants is all that is allocated. Like OpenCost, a pod without the label has its namespace's.

The label that tells clusters apart is in every key and every join, and stays on what is recorded: so it is the same
whether one Prometheus holds all clusters, or each records its own and an external label is added on the way to where
the pages look. A label that no series has changes nothing in PromQL: a single cluster needs none, and one without it
beside others is a cluster of its own. Other labels (a replica's, a region's) are in no key.
"""

from __future__ import annotations

from dataclasses import dataclass

from rules.model import Group, Record, RuleFile
from rules.promql import copied, labelled, one_of, other_than, over, select, with_labels
from unitcost.metrics import external as e
from unitcost.metrics import recorded as r
from unitcost.metrics.metric import Metric

GIBIBYTE = "2^30"
RATE = "5m"


def live(key: str, cluster: str = e.CLUSTER) -> RuleFile:
    """Return the file of live rules. key: the pod label that names the tenant. cluster: the label of clusters."""
    by = _By(cluster)
    rules = (
        Record(r.POD_CPU, by.allocated(e.CPU_ALLOCATION)),
        Record(r.POD_MEMORY, by.allocated(e.MEMORY_ALLOCATION)),
        Record(r.POD_COMPUTE, by.dollars()),
        Record(r.POD_CPU_USED, by.used(e.CPU_USED, f"rate({{}}[{RATE}])")),
        Record(r.POD_MEMORY_USED, by.used(e.MEMORY_USED, "{}")),
        Record(r.POD_TENANT, by.pod_tenant(key)),
        Record(r.LIVE_COMPUTE, by.tenant(r.POD_COMPUTE)),
        Record(r.LIVE_ALLOCATED, over("sum", (cluster,), select(r.LIVE_COMPUTE))),
        Record(r.LIVE_NODES, over("sum", (cluster,), by.price(e.NODE_PRICE))),
        Record(r.LIVE_CPU, by.tenant(r.POD_CPU)),
        Record(r.LIVE_MEMORY, f"{by.tenant(r.POD_MEMORY)} / {GIBIBYTE}"),
        Record(r.LIVE_CPU_USED, by.tenant(r.POD_CPU_USED)),
        Record(r.LIVE_MEMORY_USED, f"{by.tenant(r.POD_MEMORY_USED)} / {GIBIBYTE}"),
    )
    return RuleFile("unitcost-opencost", (Group("unitcost-opencost-live", rules),))


def _own(metric: Metric, expression: str) -> str:
    """Return series with the labels that their program gave them, whatever honor_labels was.

    label_join keeps the target's labels: series that only those tell apart would be twins, which PromQL refuses.
    """
    own = [label for label in metric.labels if label in e.RENAMED]
    names = ", ".join(f'"{label}"' for label in own)
    read = f'label_join({expression}, "scraped", "/", {names})'
    for label in own:
        read = copied(read, label, e.exported(label))
    return read


@dataclass(frozen=True)
class _By:
    """Expressions by pod, node and tenant of each cluster. cluster: the label that tells clusters apart."""

    cluster: str

    @property
    def pod(self) -> tuple[str, ...]:
        return (self.cluster, "namespace", "pod")

    @property
    def node(self) -> tuple[str, ...]:
        return (self.cluster, "node")

    def allocated(self, metric: Metric) -> str:
        """Return what is allocated to each pod, by the node it is on."""
        containers = over("max", (*self.pod, "container", "node"), _own(metric, select(metric)))
        return over("sum", (*self.pod, "node"), containers)

    def used(self, metric: Metric, rate: str) -> str:
        """Return what each pod uses, without cAdvisor's sums over whole pods, which have no container."""
        containers = _own(metric, rate.format(select(metric, container=other_than(""))))
        return over("sum", self.pod, over("max", (*self.pod, "container"), containers))

    def price(self, metric: Metric) -> str:
        """Return a price of each node."""
        return over("max", self.node, _own(metric, select(metric)))

    def dollars(self) -> str:
        """Return dollars an hour by pod: cores and GiB at the prices of their node.

        label_replace keeps cores and memory apart, so that a pod with only one of them counts too.
        """
        cores = with_labels(select(r.POD_CPU), self.node, self.price(e.NODE_CPU_PRICE))
        memory = with_labels(f"{select(r.POD_MEMORY)} / {GIBIBYTE}", self.node, self.price(e.NODE_MEMORY_PRICE))
        parts = [labelled(part, "of", of) for part, of in ((cores, "cpu"), (memory, "memory"))]
        return over("sum", self.pod, " or ".join(parts))

    def pod_tenant(self, key: str) -> str:
        """Return 1 for each pod, with its tenant: the pod's label, else its namespace's, else none."""
        namespace, on = (self.cluster, "namespace"), f"on ({', '.join(self.pod)})"
        pods = over("group", self.pod, f"{select(r.POD_CPU)} or {select(r.POD_MEMORY)}")
        by_namespace = with_labels(pods, namespace, self._labelled(e.NAMESPACE_LABELS, key, namespace), ("tenant",))
        return f"{self._labelled(e.POD_LABELS, key, self.pod)} or {on} {by_namespace} or {on} {pods}"

    def _labelled(self, metric: Metric, key: str, by: tuple[str, ...]) -> str:
        """Return 1 for each pod or namespace with the label, its value in `tenant`; one series even if two disagree."""
        metric = e.with_tenant_label(metric, key)
        spellings = [copied(select(metric, **{label: other_than("")}), "tenant", label) for label in e.label_names(key)]
        named = _own(metric, " or ".join(spellings))
        return one_of(by, over("max", (*by, "tenant"), named))

    def tenant(self, metric: Metric) -> str:
        """Sum by the tenant of each pod; pods that OpenCost does not know of have none."""
        on = f"on ({', '.join(self.pod)})"
        joined = with_labels(select(metric), self.pod, select(r.POD_TENANT), ("tenant",))
        return over("sum", (self.cluster, "tenant"), f"{joined} or {on} {select(metric)}")
