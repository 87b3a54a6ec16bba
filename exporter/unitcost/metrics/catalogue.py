"""Every metric of unitcost, once: name, labels, unit, help. Nothing else types a metric name.

"dollars" means the configured currency. All windows are whole UTC days, but for `mtd`, which ends now. Besides the
configured windows there are their predecessors (prev_30d: the 30 days before), where the sources know all their days,
and closed calendar months (2026-10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name, what it says, its labels in the order they are written, its unit ("" for none)."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter"] = "gauge"
    unit: str = ""
    stability: Literal["stable", "experimental"] = "stable"


TENANT_COST = Metric(
    "tenant_cost_dollars",
    "What a tenant cost in the window, its part of shared costs included. 0 where another window has cost and this"
    " one is known to have none; absent where unknown.",
    ("tenant", "component", "window"),
    unit="dollars",
)
TENANT_SHARED_COST = Metric(
    "tenant_shared_cost_dollars",
    "The part of tenant_cost_dollars that came from sharing costs without a tenant.",
    ("tenant", "window"),
    unit="dollars",
)
TENANT_MRR = Metric(
    "tenant_mrr_dollars",
    "Monthly recurring revenue of a tenant on the newest day it is known for.",
    ("tenant",),
    unit="dollars",
)
TENANT_REVENUE = Metric(
    "tenant_revenue_dollars",
    "Revenue of a tenant in the window: the sum over its days of MRR divided by the days in their month.",
    ("tenant", "window"),
    unit="dollars",
)
TENANT_MARGIN = Metric(
    "tenant_margin_dollars", "Revenue less cost of a tenant in the window.", ("tenant", "window"), unit="dollars"
)
MARGIN_RATIO = Metric(
    "margin_ratio",
    "(revenue - cost) / revenue of a tenant; -1 where there is cost and no revenue, absent where both are 0.",
    ("tenant", "window"),
)
COST_PER_REQUEST = Metric(
    "cost_per_request",
    "Cost of a tenant in dollars divided by its requests in the window; absent where there were none.",
    ("tenant", "window"),
)
COST_PER_UNIT = Metric(
    "cost_per_unit",
    "Cost of a tenant in dollars divided by another measure of its usage in the window.",
    ("tenant", "unit", "window"),
)
TENANT_USAGE = Metric(
    "tenant_usage", "How much of a measure a tenant used in the window.", ("tenant", "measure", "window")
)
TENANT_INFO = Metric(
    "tenant_info",
    "Always 1; a tenant's name, plan and status from the directory. The folded rest has a row too, without a plan.",
    ("tenant", "name", "plan", "status"),
)
TENANT_BUDGET = Metric(
    "tenant_budget_dollars",
    "What a tenant may cost in the calendar month: its own budget, else its plan's, else the default one; a share of"
    " MRR follows the MRR of now. Absent without a budget.",
    ("tenant",),
    unit="dollars",
)
TENANT_BUDGET_USED = Metric(
    "tenant_budget_used_ratio",
    "Cost of a tenant since the first of the month, today's part included, divided by its budget of the whole month.",
    ("tenant",),
)
TENANT_FORECAST = Metric(
    "tenant_cost_forecast_dollars",
    "A tenant's cost of the whole calendar month: its complete days (over, and known to every required cost source),"
    " and for each other day the average of the last 7 complete days (expected), or of the cheapest (low) or dearest"
    " (high) 7 in a row of the last 28; more where more is billed already. Absent with fewer than 7 complete days.",
    ("tenant", "bound"),
    unit="dollars",
)
DIMENSION_COST = Metric(
    "dimension_cost_dollars",
    "What a value of a dimension (feature, environment, ...) cost in the window, before sharing.",
    ("dimension", "value", "component", "window"),
    unit="dollars",
)
PLATFORM_COST = Metric(
    "platform_cost_dollars",
    "What the whole company cost in the window, by component, unallocated costs included.",
    ("component", "window"),
    unit="dollars",
)
ALLOCATED_COST = Metric(
    "allocated_cost_dollars",
    "What all tenants together cost in the window, by component: platform_cost_dollars without what is unallocated.",
    ("component", "window"),
    unit="dollars",
)
PLATFORM_USAGE = Metric(
    "platform_usage", "How much of a measure all tenants used in the window.", ("measure", "window")
)
PLATFORM_REVENUE = Metric(
    "platform_revenue_dollars", "Revenue of all tenants in the window.", ("window",), unit="dollars"
)
PLATFORM_MARGIN_RATIO = Metric(
    "platform_margin_ratio",
    "(revenue - cost) / revenue of the whole company; -1 where there is cost and no revenue.",
    ("window",),
)
PLATFORM_COST_PER_TENANT = Metric(
    "platform_cost_per_tenant", "Cost of the whole company in dollars divided by its active tenants.", ("window",)
)
PLATFORM_COST_PER_REQUEST = Metric(
    "platform_cost_per_request",
    "Cost of the whole company in dollars divided by all requests in the window.",
    ("window",),
)
PLATFORM_ACTIVE_TENANTS = Metric(
    "platform_active_tenants", "Tenants with cost, usage or revenue in the window.", ("window",)
)
PLATFORM_FORECAST = Metric(
    "platform_cost_forecast_dollars",
    "The whole company's cost of the calendar month, forecast like tenant_cost_forecast_dollars.",
    ("bound",),
    unit="dollars",
)
PLAN_TARGET_MARGIN = Metric(
    "plan_target_margin_ratio", "The margin_ratio that a plan should earn, from the configuration.", ("plan",)
)
BILL = Metric(
    "bill_dollars",
    "What a source brought in and was counted in the window. OpenCost's figures for days that a bill covers are"
    " not counted again.",
    ("source", "component", "window"),
    unit="dollars",
)
ESTIMATED_COST = Metric(
    "estimated_cost_dollars",
    "The part of bill_dollars that is OpenCost's estimate because no bill covers the day yet.",
    ("source", "window"),
    unit="dollars",
)
UNALLOCATED = Metric(
    "unallocated_cost_dollars",
    "Counted costs that found no tenant and no sharing rule.",
    ("source", "component", "window"),
    unit="dollars",
)
RECONCILIATION = Metric(
    "reconciliation_ratio",
    "The bill's Kubernetes rows divided by OpenCost's costs of the same cluster on the same days.",
    ("source", "scope", "window"),
)
WINDOW_COMPLETE = Metric(
    "window_complete", "1 when every required source knows every complete day of the window, else 0.", ("window",)
)
SOURCE_UP = Metric(
    "unitcost_source_up",
    "1 when the last refresh of the source brought all it was asked for, else 0; its last good data stay in use.",
    ("source",),
)
SOURCE_LAST_SUCCESS = Metric(
    "unitcost_source_last_success_timestamp_seconds",
    "Unix time of the last refresh of the source without an error.",
    ("source",),
    unit="seconds",
)
SOURCE_DURATION = Metric(
    "unitcost_source_refresh_duration_seconds",
    "How long the last refresh of the source took.",
    ("source",),
    unit="seconds",
)
SOURCE_ROWS = Metric("unitcost_source_rows", "Rows of the source in the ledger.", ("source",))
SOURCE_FORMER_DAYS = Metric(
    "unitcost_source_former_settings",
    "Days of the history that the source told under settings of before and cannot tell again under the present ones;"
    " their costs count, attributed as before, and windows with them are incomplete.",
    ("source",),
)
SOURCE_ERRORS = Metric(
    "unitcost_source_errors_total",
    "Errors of the source since the start, by reason.",
    ("source", "reason"),
    type="counter",
)
SOURCE_SIMILAR_TAGS = Metric(
    "unitcost_source_similar_tags_dollars",
    "Dollars of the source's billing periods that have no tenant, but a tag whose key differs from tenants.key by case"
    " or separators only.",
    ("source",),
    unit="dollars",
)
SNAPSHOT_TIMESTAMP = Metric(
    "unitcost_snapshot_timestamp_seconds", "Unix time the numbers on this page were derived at.", unit="seconds"
)
TENANTS = Metric(
    "unitcost_tenants", "Tenants with cost, usage or revenue in any exported window, or cost that the forecast counts."
)
TENANTS_FOLDED = Metric("unitcost_tenants_folded", 'Tenants beyond limits.tenants, summed up in tenant="__other__".')
UNKNOWN_TENANTS = Metric("unitcost_unknown_tenants", "Exported tenants that the directory does not name.")
SIMILAR_TENANTS = Metric(
    "unitcost_similar_tenants_dollars",
    "Cost of tenants whose name differs from another tenant's only by case, Unicode form or white space; `tenants.fold`"
    " or aliases make them one.",
    ("window",),
    unit="dollars",
)
EVENT = Metric(
    "unitcost_event_timestamp_seconds",
    "Midnight (UTC) of the day on which something changed; text says what. kind: subscription_changed (MRR or plan),"
    " tenant_new, tenant_gone, value_new (of a dimension), day_restated (a closed day is counted otherwise than it"
    " stood). tenant is empty where it is of the whole company: one event for all that happened on a day. At most 100"
    " of the company and 200 of single tenants, the largest by dollars a month, on complete days of the history.",
    ("kind", "day", "tenant", "dimension", "text"),
    unit="seconds",
)
EVENTS_LEFT_OUT = Metric(
    "unitcost_events_left_out",
    "Events without a series of their own, as they are smaller than the largest or of tenants beyond limits.tenants.",
)
BUILD_INFO = Metric("unitcost_build_info", "Always 1; the version that serves this page.", ("version",))

ALL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
