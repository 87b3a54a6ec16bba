"""Every metric of unitcost, once: name, labels, unit, help, what fills it and what that needs to be known.

Nothing else types a metric name. Adding one is an entry here, in catalogue_ai for what is about AI, or in
catalogue_exporter for what is about the exporter itself, and a table of economics/ where none has its numbers.

"dollars" means the configured currency. All windows are whole UTC days, but for `mtd`, which ends now. Besides the
configured windows there are their predecessors (prev_30d: the 30 days before), where the sources know all their days,
and closed calendar months (2026-10).
"""

from __future__ import annotations

from unitcost.days import MTD
from unitcost.facts import OTHER
from unitcost.metrics import catalogue_ai, catalogue_exporter
from unitcost.metrics.metric import (
    COSTS,
    NO_WINDOW,
    REQUESTS,
    REVENUE,
    USAGE,
    WINDOW,
    Label,
    PresentSelect,
    Select,
    Served,
)

MEASURE, UNIT = Label("measure", USAGE), Label("unit", USAGE)

TENANT_COST = Served(
    "tenant_cost_dollars",
    "What a tenant cost in the window, its part of shared costs included. 0 where another window has cost and this"
    " one is known to have none; absent where unknown.",
    ("tenant", "component", "window"),
    unit="dollars",
    filled=Select("SELECT tenant, component, span, cost FROM served_cost", needs=(COSTS,), window=WINDOW),
)
TENANT_SHARED_COST = Served(
    "tenant_shared_cost_dollars",
    "The part of tenant_cost_dollars that came from sharing costs without a tenant.",
    ("tenant", "window"),
    unit="dollars",
    filled=Select("SELECT tenant, span, shared FROM own_margin", needs=(COSTS,), window=WINDOW),
)
TENANT_MRR = Served(
    "tenant_mrr_dollars",
    "Monthly recurring revenue of a tenant on the newest day it is known for.",
    ("tenant",),
    unit="dollars",
    filled=Select("SELECT tenant, mrr FROM mrr_now", needs=(REVENUE,), window=NO_WINDOW),
)
TENANT_REVENUE = Served(
    "tenant_revenue_dollars",
    "Revenue of a tenant in the window: the sum over its days of MRR divided by the days in their month.",
    ("tenant", "window"),
    unit="dollars",
    filled=Select("SELECT tenant, span, revenue FROM margin", needs=(REVENUE,), window=WINDOW),
)
TENANT_MARGIN = Served(
    "tenant_margin_dollars",
    "Revenue less cost of a tenant in the window.",
    ("tenant", "window"),
    unit="dollars",
    filled=Select("SELECT tenant, span, margin FROM compared_margin", needs=(COSTS, REVENUE), window=WINDOW),
)
MARGIN_RATIO = Served(
    "margin_ratio",
    "(revenue - cost) / revenue of a tenant; -1 where there is cost and no revenue, absent where both are 0.",
    ("tenant", "window"),
    filled=Select("SELECT tenant, span, margin_ratio FROM own_margin", needs=(COSTS, REVENUE), window=WINDOW),
)
COST_PER_REQUEST = Served(
    "cost_per_request",
    "Cost of a tenant in dollars divided by its requests in the window; absent where there were none.",
    ("tenant", "window"),
    filled=Select("SELECT tenant, span, cost_per_request FROM own_margin", needs=(COSTS, REQUESTS), window=WINDOW),
)
COST_PER_UNIT = Served(
    "cost_per_unit",
    "Cost of a tenant in dollars divided by another measure of its usage in the window.",
    ("tenant", "unit", "window"),
    filled=Select(
        "SELECT tenant, u.measure, span, per_unit(m.cost, u.quantity)"
        " FROM own_margin m JOIN shown_usage u USING (tenant, span) WHERE u.measure <> 'requests'",
        needs=(COSTS, UNIT),
        window=WINDOW,
    ),
)
TENANT_USAGE = Served(
    "tenant_usage",
    "How much of a measure a tenant used in the window.",
    ("tenant", "measure", "window"),
    filled=Select("SELECT tenant, measure, span, quantity FROM compared_usage", needs=(MEASURE,), window=WINDOW),
)
TENANT_INFO = Served(
    "tenant_info",
    "Always 1; a tenant's name, plan and status from the directory. The folded rest has a row too, without a plan.",
    ("tenant", "name", "plan", "status"),
    filled=Select("SELECT tenant, name, plan, status, 1.0 FROM tenant_profile", needs=(), window=NO_WINDOW),
)
TENANT_BUDGET = Served(
    "tenant_budget_dollars",
    "What a tenant may cost in the calendar month: its own budget, else its plan's, else the default one; a share of"
    " MRR follows the MRR of now. Absent without a budget.",
    ("tenant",),
    unit="dollars",
    filled=Select("SELECT tenant, dollars FROM tenant_budget", needs=(), window=NO_WINDOW),
)
TENANT_BUDGET_USED = Served(
    "tenant_budget_used_ratio",
    "Cost of a tenant since the first of the month, today's part included, divided by its budget of the whole month.",
    ("tenant",),
    filled=Select("SELECT tenant, used_ratio FROM tenant_budget", needs=(COSTS,), window=MTD),
)
TENANT_FORECAST = Served(
    "tenant_cost_forecast_dollars",
    "A tenant's cost of the whole calendar month: its complete days (over, and known to every required cost source),"
    " and for each other day the average of the last 7 complete days (expected), or of the cheapest (low) or dearest"
    " (high) 7 in a row of the last 28; more where more is billed already. Absent with fewer than 7 complete days.",
    ("tenant", "bound"),
    unit="dollars",
    filled=Select(
        "SELECT tenant, bound, dollars FROM forecast WHERE tenant IS NOT NULL", needs=(COSTS,), window=NO_WINDOW
    ),
)
DIMENSION_COST = Served(
    "dimension_cost_dollars",
    "What a value of a dimension (feature, environment, ...) cost in the window, before sharing.",
    ("dimension", "value", "component", "window"),
    unit="dollars",
    filled=Select(
        "SELECT dimension, value, component, span, amount FROM served_dimension", needs=(COSTS,), window=WINDOW
    ),
)
PLATFORM_COST = Served(
    "platform_cost_dollars",
    "What the whole company cost in the window, by component, unallocated costs included.",
    ("component", "window"),
    unit="dollars",
    filled=Select("SELECT component, span, amount FROM served_platform", needs=(COSTS,), window=WINDOW),
)
ALLOCATED_COST = Served(
    "allocated_cost_dollars",
    "What all tenants together cost in the window, by component: platform_cost_dollars without what is unallocated.",
    ("component", "window"),
    unit="dollars",
    filled=Select("SELECT component, span, sum(cost) FROM served_cost GROUP BY ALL", needs=(COSTS,), window=WINDOW),
)
PLATFORM_USAGE = Served(
    "platform_usage",
    "How much of a measure all tenants used in the window.",
    ("measure", "window"),
    filled=Select("SELECT measure, span, sum(quantity) FROM shown_usage GROUP BY ALL", needs=(MEASURE,), window=WINDOW),
)
PLATFORM_REVENUE = Served(
    "platform_revenue_dollars",
    "Revenue of all tenants in the window.",
    ("window",),
    unit="dollars",
    filled=Select("SELECT span, revenue FROM platform", needs=(REVENUE,), window=WINDOW),
)
PLATFORM_MARGIN_RATIO = Served(
    "platform_margin_ratio",
    "(revenue - cost) / revenue of the whole company; -1 where there is cost and no revenue.",
    ("window",),
    filled=Select("SELECT span, margin_ratio FROM platform", needs=(COSTS, REVENUE), window=WINDOW),
)
PLATFORM_COST_PER_TENANT = Served(
    "platform_cost_per_tenant",
    "Cost of the whole company in dollars divided by its active tenants.",
    ("window",),
    filled=Select("SELECT span, cost_per_tenant FROM platform", needs=(COSTS,), window=WINDOW),
)
PLATFORM_COST_PER_REQUEST = Served(
    "platform_cost_per_request",
    "Cost of the whole company in dollars divided by all requests in the window.",
    ("window",),
    filled=Select("SELECT span, cost_per_request FROM platform", needs=(COSTS, REQUESTS), window=WINDOW),
)
PLATFORM_ACTIVE_TENANTS = Served(
    "platform_active_tenants",
    "Tenants with cost, usage or revenue in the window.",
    ("window",),
    filled=Select(
        "SELECT span, tenants FROM platform WHERE tenants > 0 OR cost IS NOT NULL AND tenants = 0",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
PLATFORM_FORECAST = Served(
    "platform_cost_forecast_dollars",
    "The whole company's cost of the calendar month, forecast like tenant_cost_forecast_dollars.",
    ("bound",),
    unit="dollars",
    filled=Select("SELECT bound, dollars FROM forecast WHERE tenant IS NULL", needs=(COSTS,), window=NO_WINDOW),
)
PLAN_TARGET_MARGIN = Served(
    "plan_target_margin_ratio",
    "The margin_ratio that a plan should earn, from the configuration.",
    ("plan",),
    filled=Select("SELECT plan, target_margin FROM plan", needs=(), window=NO_WINDOW),
)
BILL = Served(
    "bill_dollars",
    "What a source brought in and was counted in the window. What a meter (OpenCost, tokens) says of days that a bill"
    " covers is not counted again.",
    ("source", "component", "window"),
    unit="dollars",
    filled=Select("SELECT source, component, span, amount FROM served_bill", needs=(COSTS,), window=WINDOW),
)
ESTIMATED_COST = Served(
    "estimated_cost_dollars",
    "The part of bill_dollars that is a meter's estimate (OpenCost's, or tokens at list prices) because no bill covers"
    " the day yet.",
    ("source", "window"),
    unit="dollars",
    filled=Select(
        "SELECT source, span, sum(amount) FROM window_counted WHERE estimated GROUP BY ALL",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
UNALLOCATED = Served(
    "unallocated_cost_dollars",
    "Counted costs that found no tenant and no sharing rule.",
    ("source", "component", "window"),
    unit="dollars",
    filled=Select("SELECT source, component, span, amount FROM served_unallocated", needs=(COSTS,), window=WINDOW),
)
RESTATED_COST = Served(
    "restated_cost_dollars",
    "How much more a source's costs of a closed month are counted at now than when it was settled: five days after its"
    " end, with all its days known. 0 where nothing came later; less than 0 for refunds.",
    ("source", "month"),
    unit="dollars",
    filled=PresentSelect("SELECT source, span, change FROM window_restated"),
)
COMMITMENT_SAVINGS = Served(
    "commitment_savings_dollars",
    "What the bills' charges for use came to below their list prices in the window, by component: negotiated discounts,"
    " savings plans, reservations and spot prices. Commitments that were not used are not taken off; absent where the"
    " bills tell no list prices.",
    ("component", "window"),
    unit="dollars",
    filled=Select("SELECT component, span, saved FROM own_commitment", needs=(COSTS,), window=WINDOW),
)
COMMITMENT_WASTE = Served(
    "commitment_waste_dollars",
    "The part of the bills in the window that was paid for commitments (savings plans, reservations) and not used, by"
    ' the component it was bought for: all of component="commitment".',
    ("component", "window"),
    unit="dollars",
    filled=Select("SELECT component, span, unused FROM own_commitment", needs=(COSTS,), window=WINDOW),
)
RECONCILIATION = Served(
    "reconciliation_ratio",
    "What a bill says of a scope, divided by what its meter does on the same days: a cluster's Kubernetes rows by"
    " OpenCost, a model provider's account by its tokens at the price book's prices.",
    ("source", "scope", "window"),
    filled=Select("SELECT source, scope, span, ratio FROM window_reconciled", needs=(COSTS,), window=WINDOW),
)
WINDOW_COMPLETE = Served(
    "window_complete",
    "1 when every required source knows every complete day of the window, else 0.",
    ("window",),
    filled=Select(
        "SELECT name, CASE WHEN name IN (SELECT span FROM missing_day) THEN 0.0 ELSE 1.0 END FROM window_span",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
TENANTS = Served(
    "unitcost_tenants",
    "Tenants with cost, usage or revenue in any exported window, or cost that the forecast counts.",
    filled=Select("SELECT count(*) FROM shown", needs=(), window=NO_WINDOW),
)
TENANTS_FOLDED = Served(
    "unitcost_tenants_folded",
    f'Tenants beyond limits.tenants, summed up in tenant="{OTHER}".',
    filled=Select(f"SELECT count(*) FROM shown WHERE label = '{OTHER}'", needs=(), window=NO_WINDOW),
)
UNKNOWN_TENANTS = Served(
    "unitcost_unknown_tenants",
    "Exported tenants that the directory does not name.",
    filled=PresentSelect("SELECT count(*) FROM tenant_profile WHERE NOT known", with_directory=True),
)
SIMILAR_TENANTS = Served(
    "unitcost_similar_tenants_dollars",
    "Cost of tenants whose name differs from another tenant's only by case, Unicode form or white space; `tenants.fold`"
    " or aliases make them one.",
    ("window",),
    unit="dollars",
    filled=Select("SELECT span, cost FROM window_similar", needs=(COSTS,), window=WINDOW),
)
EVENT = Served(
    "unitcost_event_timestamp_seconds",
    "Midnight (UTC) of the day on which something changed; text says what. kind: subscription_changed (MRR or plan),"
    " tenant_new, tenant_gone, value_new (of a dimension), day_restated (a closed day is counted otherwise than it"
    " stood). tenant is empty where it is of the whole company: one event for all that happened on a day. At most 100"
    " of the company and 200 of single tenants, the largest by dollars a month, on complete days of the history.",
    ("kind", "day", "tenant", "dimension", "text"),
    unit="seconds",
    filled=Select(
        "SELECT kind, day::VARCHAR, tenant, dimension, text, epoch(day) FROM event"
        " WHERE day <= (SELECT today FROM clock)",
        needs=(),
        window=NO_WINDOW,
    ),
)
EVENTS_LEFT_OUT = Served(
    "unitcost_events_left_out",
    "Events without a series of their own, as they are smaller than the largest or of tenants beyond limits.tenants.",
    filled=PresentSelect("SELECT events FROM events_left_out"),
)

_OWN = [value for value in list(globals().values()) if isinstance(value, Served)]
_AI_BEFORE = _OWN.index(WINDOW_COMPLETE)

ALL: tuple[Served, ...] = (*_OWN[:_AI_BEFORE], *catalogue_ai.ALL, *_OWN[_AI_BEFORE:], *catalogue_exporter.ALL)
"""In the order in which they are served."""
