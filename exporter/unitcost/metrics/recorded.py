"""Series that our recording rules write, named level:metric:operation. `window` is a label, as in the catalogue.

Prometheus records them from the day the rules are loaded on; a page that shows the past reads the gauges instead.
The live ones speak of now and are written from OpenCost's own metrics, whose list prices know no discount. They keep
`cluster` (or what alerts.cluster_label names): where series have it, sums over all clusters are the reader's.
"""

from __future__ import annotations

from unitcost.metrics.metric import Metric

ALERT_RULES = Metric(
    "platform:unitcost_alerts:count",
    "How many of unitcost's alerts Prometheus evaluates; without it nobody knows whether none fires or none is loaded.",
    (),
)
TENANT_TOTAL = Metric(
    "tenant:tenant_cost_dollars:sum", "What a tenant cost in the window.", ("tenant", "window"), unit="dollars"
)
COMPONENT_COST = Metric(
    "component:tenant_cost_dollars:sum",
    "What all tenants cost in the window, by component; unallocated costs are not in it.",
    ("component", "window"),
    unit="dollars",
)
PLATFORM_TOTAL = Metric(
    "platform:platform_cost_dollars:sum",
    "What the whole company cost in the window, unallocated costs included.",
    ("window",),
    unit="dollars",
)
PLAN_COST = Metric(
    "plan:tenant_cost_dollars:sum",
    'What a plan\'s tenants cost in the window; plan="" for those without one.',
    ("plan", "window"),
    unit="dollars",
)
PLAN_REVENUE = Metric(
    "plan:tenant_revenue_dollars:sum", "Revenue of a plan's tenants in the window.", ("plan", "window"), unit="dollars"
)
PLAN_MARGIN = Metric(
    "plan:tenant_margin_dollars:sum",
    "Revenue less cost of a plan's tenants in the window.",
    ("plan", "window"),
    unit="dollars",
)
PLAN_MARGIN_RATIO = Metric(
    "plan:margin_ratio:ratio",
    "(revenue - cost) / revenue of a plan; -1 where there is cost and no revenue, absent where both are 0.",
    ("plan", "window"),
)
PLAN_BUDGET = Metric(
    "plan:tenant_budget_dollars:sum",
    "Budgets of a plan's tenants in the calendar month.",
    ("plan",),
    unit="dollars",
)
PLAN_BUDGET_USED = Metric(
    "plan:tenant_budget_used_ratio:ratio",
    "Cost since the first of the month of a plan's tenants that have a budget, divided by their budgets.",
    ("plan",),
)
PLAN_FORECAST = Metric(
    "plan:tenant_cost_forecast_dollars:sum",
    "Forecast cost of a plan's tenants in the calendar month, by bound.",
    ("plan", "bound"),
    unit="dollars",
)
TENANT_DAY_DELTA = Metric(
    "tenant:tenant_cost_dollars:delta1d",
    "Cost of the last complete day (window 1d) less the same gauge 24 hours before.",
    ("tenant",),
    unit="dollars",
)
TENANT_DAY_GROWTH = Metric(
    "tenant:tenant_cost_dollars:growth1d",
    "tenant:tenant_cost_dollars:delta1d divided by the cost of the day before; absent where that was 0.",
    ("tenant",),
)
TENANT_MONTH_DELTA = Metric(
    "tenant:tenant_cost_dollars:delta30d",
    "Month over month: cost of the last 30 complete days (window 30d) less the same gauge 30 days before."
    " Not calendar months, whose lengths differ.",
    ("tenant",),
    unit="dollars",
)
TENANT_MONTH_GROWTH = Metric(
    "tenant:tenant_cost_dollars:growth30d",
    "tenant:tenant_cost_dollars:delta30d divided by the cost of the 30 days before; absent where that was 0.",
    ("tenant",),
)
PLATFORM_DAY_DELTA = Metric(
    "platform:platform_cost_dollars:delta1d",
    "The whole company's cost of the last complete day (window 1d) less the same gauge 24 hours before.",
    unit="dollars",
)
PLATFORM_DAY_GROWTH = Metric(
    "platform:platform_cost_dollars:growth1d",
    "platform:platform_cost_dollars:delta1d divided by the cost of the day before; absent where that was 0.",
)
PLATFORM_MONTH_DELTA = Metric(
    "platform:platform_cost_dollars:delta30d",
    "The whole company's cost of the last 30 complete days (window 30d) less the same gauge 30 days before.",
    unit="dollars",
)
PLATFORM_MONTH_GROWTH = Metric(
    "platform:platform_cost_dollars:growth30d",
    "platform:platform_cost_dollars:delta30d divided by the cost of the 30 days before; absent where that was 0.",
)
POD_CPU = Metric(
    "namespace_pod:container_cpu_allocation:sum",
    "Live: cores allocated to a pod: requested or used by each container, whichever is more.",
    ("cluster", "namespace", "pod", "node"),
    unit="cores",
)
POD_MEMORY = Metric(
    "namespace_pod:container_memory_allocation_bytes:sum",
    "Live: bytes allocated to a pod: requested or used by each container, whichever is more.",
    ("cluster", "namespace", "pod", "node"),
    unit="bytes",
)
POD_COMPUTE = Metric(
    "namespace_pod:opencost_compute_dollars_per_hour:sum",
    "Live: dollars an hour for the cores and memory allocated to a pod, at its node's prices.",
    ("cluster", "namespace", "pod"),
    unit="dollars",
)
POD_CPU_USED = Metric(
    "namespace_pod:container_cpu_used_cores:sum",
    "Live: cores that a pod used in the last 5 minutes.",
    ("cluster", "namespace", "pod"),
    unit="cores",
)
POD_MEMORY_USED = Metric(
    "namespace_pod:container_memory_used_bytes:sum",
    "Live: bytes that a pod uses (working set).",
    ("cluster", "namespace", "pod"),
    unit="bytes",
)
POD_TENANT = Metric(
    "namespace_pod:kube_pod_labels:tenant",
    "Live: always 1; the tenant of each pod that OpenCost knows: the pod's label, else its namespace's, else \"\".",
    ("cluster", "namespace", "pod", "tenant"),
)
LIVE_COMPUTE = Metric(
    "tenant:opencost_compute_dollars_per_hour:sum",
    "Live: dollars an hour for the cores and memory allocated to a tenant's pods, at their nodes' prices;"
    ' tenant="" for pods without the label. Aliases are not applied.',
    ("cluster", "tenant"),
    unit="dollars",
)
LIVE_NODES = Metric(
    "platform:opencost_node_dollars_per_hour:sum",
    "Live: dollars an hour for all nodes, GPUs included.",
    ("cluster",),
    unit="dollars",
)
LIVE_ALLOCATED = Metric(
    "platform:opencost_allocated_dollars_per_hour:sum",
    "Live: dollars an hour for the cores and memory allocated to all pods; the rest of the nodes is idle or GPU.",
    ("cluster",),
    unit="dollars",
)
LIVE_CPU = Metric(
    "tenant:opencost_cpu_allocated_cores:sum",
    "Live: cores allocated to a tenant's pods: requested or used, whichever is more.",
    ("cluster", "tenant"),
    unit="cores",
)
LIVE_CPU_USED = Metric(
    "tenant:container_cpu_used_cores:sum",
    "Live: cores that a tenant's pods used in the last 5 minutes; absent where cAdvisor is not scraped.",
    ("cluster", "tenant"),
    unit="cores",
)
LIVE_MEMORY = Metric(
    "tenant:opencost_memory_allocated_gibibytes:sum",
    "Live: GiB allocated to a tenant's pods: requested or used, whichever is more.",
    ("cluster", "tenant"),
    unit="gibibytes",
)
LIVE_MEMORY_USED = Metric(
    "tenant:container_memory_used_gibibytes:sum",
    "Live: GiB that a tenant's pods use (working set); absent where cAdvisor is not scraped.",
    ("cluster", "tenant"),
    unit="gibibytes",
)

RECORDED: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
