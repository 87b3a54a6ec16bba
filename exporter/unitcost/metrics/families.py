"""From the ledger's window tables to metric families: which SELECT fills which metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from unitcost import __version__
from unitcost.ledger.store import Ledger
from unitcost.metrics import catalogue
from unitcost.metrics.catalogue import Metric
from unitcost.metrics.exposition import Family

SELECTS: Sequence[tuple[Metric, str]] = (
    (catalogue.TENANT_COST, "SELECT tenant, component, span, cost::DOUBLE FROM served_cost ORDER BY ALL"),
    (
        catalogue.TENANT_SHARED_COST,
        "SELECT tenant, span, shared::DOUBLE FROM own_margin WHERE shared IS NOT NULL ORDER BY ALL",
    ),
    (catalogue.TENANT_MRR, "SELECT tenant, mrr::DOUBLE FROM mrr_now ORDER BY ALL"),
    (
        catalogue.TENANT_REVENUE,
        "SELECT tenant, span, revenue::DOUBLE FROM margin WHERE revenue IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.TENANT_MARGIN,
        "SELECT tenant, span, margin::DOUBLE FROM compared_margin WHERE margin IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.MARGIN_RATIO,
        "SELECT tenant, span, margin_ratio FROM own_margin WHERE margin_ratio IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.COST_PER_REQUEST,
        "SELECT tenant, span, cost_per_request FROM own_margin WHERE cost_per_request IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.COST_PER_UNIT,
        (
            "SELECT tenant, u.measure, span, per_unit(m.cost, u.quantity) FROM own_margin m"
            " JOIN shown_usage u USING (tenant, span)"
            " WHERE u.measure <> 'requests' AND u.quantity > 0 AND m.cost IS NOT NULL ORDER BY ALL"
        ),
    ),
    (
        catalogue.TENANT_USAGE,
        "SELECT tenant, measure, span, quantity::DOUBLE FROM compared_usage ORDER BY ALL",
    ),
    (catalogue.TENANT_INFO, "SELECT tenant, name, plan, status, 1.0 FROM tenant_profile ORDER BY ALL"),
    (catalogue.TENANT_BUDGET, "SELECT tenant, dollars::DOUBLE FROM tenant_budget ORDER BY ALL"),
    (
        catalogue.TENANT_BUDGET_USED,
        "SELECT tenant, used_ratio FROM tenant_budget WHERE used_ratio IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.TENANT_FORECAST,
        "SELECT tenant, bound, dollars::DOUBLE FROM forecast WHERE tenant IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.DIMENSION_COST,
        "SELECT dimension, value, component, span, amount::DOUBLE FROM served_dimension ORDER BY ALL",
    ),
    (catalogue.PLATFORM_COST, "SELECT component, span, amount::DOUBLE FROM served_platform ORDER BY ALL"),
    (
        catalogue.ALLOCATED_COST,
        "SELECT component, span, sum(cost)::DOUBLE FROM served_cost GROUP BY ALL ORDER BY ALL",
    ),
    (
        catalogue.PLATFORM_USAGE,
        "SELECT measure, span, sum(quantity)::DOUBLE FROM shown_usage GROUP BY ALL ORDER BY ALL",
    ),
    (catalogue.PLATFORM_REVENUE, "SELECT span, revenue::DOUBLE FROM platform WHERE revenue IS NOT NULL ORDER BY ALL"),
    (
        catalogue.PLATFORM_MARGIN_RATIO,
        "SELECT span, margin_ratio FROM platform WHERE margin_ratio IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.PLATFORM_COST_PER_TENANT,
        "SELECT span, cost_per_tenant FROM platform WHERE cost_per_tenant IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.PLATFORM_COST_PER_REQUEST,
        "SELECT span, cost_per_request FROM platform WHERE cost_per_request IS NOT NULL ORDER BY ALL",
    ),
    (
        catalogue.PLATFORM_ACTIVE_TENANTS,
        "SELECT span, tenants::DOUBLE FROM platform WHERE tenants > 0 OR cost IS NOT NULL AND tenants = 0 ORDER BY ALL",
    ),
    (
        catalogue.PLATFORM_FORECAST,
        "SELECT bound, dollars::DOUBLE FROM forecast WHERE tenant IS NULL ORDER BY ALL",
    ),
    (
        catalogue.PLAN_TARGET_MARGIN,
        "SELECT plan, target_margin FROM plan WHERE target_margin IS NOT NULL ORDER BY ALL",
    ),
    (catalogue.BILL, "SELECT source, component, span, amount::DOUBLE FROM served_bill ORDER BY ALL"),
    (
        catalogue.ESTIMATED_COST,
        "SELECT source, span, sum(amount)::DOUBLE FROM window_counted WHERE estimated GROUP BY ALL ORDER BY ALL",
    ),
    (catalogue.UNALLOCATED, "SELECT source, component, span, amount::DOUBLE FROM served_unallocated ORDER BY ALL"),
    (catalogue.RECONCILIATION, "SELECT source, scope, span, ratio FROM window_reconciled ORDER BY ALL"),
    (
        catalogue.WINDOW_COMPLETE,
        (
            "SELECT name, CASE WHEN name IN (SELECT span FROM missing_day) THEN 0.0 ELSE 1.0 END"
            " FROM window_span ORDER BY ALL"
        ),
    ),
    (catalogue.SIMILAR_TENANTS, "SELECT span, cost::DOUBLE FROM window_similar ORDER BY ALL"),
    (catalogue.TENANTS, "SELECT count(*)::DOUBLE FROM shown"),
    (catalogue.TENANTS_FOLDED, "SELECT count(*)::DOUBLE FROM shown WHERE label = '__other__'"),
    (
        catalogue.EVENT,
        (
            "SELECT kind, day::VARCHAR, tenant, dimension, text, epoch(day)::DOUBLE FROM event"
            " WHERE day <= (SELECT today FROM clock) ORDER BY ALL"
        ),
    ),
)
"""Each metric beside the SELECT over the tables of look() that gives its labels, in order, and its value."""


@dataclass(frozen=True)
class SourceState:
    """What the refresh knows of one source. errors: count by reason since the start.

    similar: dollars without a tenant as the tag key that would name it is spelt otherwise.
    up: None before the first answer. duration: seconds the last refresh took; None before the first is over.
    """

    up: bool | None
    last_success: datetime | None
    duration: float | None
    errors: Mapping[str, int]
    similar: Decimal


def families(
    ledger: Ledger, sources: Mapping[str, SourceState], now: datetime, *, with_directory: bool
) -> list[Family]:
    """Return every family of a snapshot in the catalogue's order. look() must have been run for `now`."""
    found = {metric: ledger.rows(sql) for metric, sql in SELECTS}
    found[catalogue.SOURCE_ROWS] = ledger.rows(
        "SELECT source, coalesce(sum(rows), 0)::DOUBLE FROM source LEFT JOIN batch USING (source)"
        " GROUP BY ALL ORDER BY ALL"
    )
    found[catalogue.SOURCE_FORMER_DAYS] = ledger.rows(
        "SELECT source, count(day)::DOUBLE FROM source LEFT JOIN former_day USING (source) GROUP BY ALL ORDER BY ALL"
    )
    found[catalogue.EVENTS_LEFT_OUT] = ledger.rows("SELECT events::DOUBLE FROM events_left_out")
    if with_directory:
        found[catalogue.UNKNOWN_TENANTS] = ledger.rows("SELECT count(*)::DOUBLE FROM tenant_profile WHERE NOT known")
    found[catalogue.SOURCE_UP] = [(name, float(state.up)) for name, state in sources.items() if state.up is not None]
    found[catalogue.SOURCE_LAST_SUCCESS] = [
        (name, state.last_success.timestamp()) for name, state in sources.items() if state.last_success is not None
    ]
    found[catalogue.SOURCE_DURATION] = [
        (name, state.duration) for name, state in sources.items() if state.duration is not None
    ]
    found[catalogue.SOURCE_ERRORS] = [
        (name, reason, float(count)) for name, state in sources.items() for reason, count in state.errors.items()
    ]
    found[catalogue.SOURCE_SIMILAR_TAGS] = [
        (name, float(state.similar)) for name, state in sources.items() if state.duration is not None
    ]
    found[catalogue.SNAPSHOT_TIMESTAMP] = [(now.timestamp(),)]
    found[catalogue.BUILD_INFO] = [(__version__, 1.0)]
    return [Family(metric, found.get(metric, [])) for metric in catalogue.ALL]
