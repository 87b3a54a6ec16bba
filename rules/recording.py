"""Recording rules over the exporter's gauges: roll-ups by plan and component, and changes over a day and 30 days."""

from __future__ import annotations

from functools import partial

from rules.expressions import by_plan, change, one, one_latest
from rules.model import Group, Record, RuleFile
from rules.promql import over, select
from unitcost.days import DAY, MONTH
from unitcost.metrics import catalogue as c
from unitcost.metrics import recorded as r

WINDOWS = {"the recording rules delta1d and growth1d": DAY, "the recording rules delta30d and growth30d": MONTH}
"""Windows that the rules here are about: who needs them → the window."""

PAID = f"({select(r.PLAN_REVENUE)} > 0)"
USED_DOLLARS = f"({one(c.TENANT_BUDGET_USED)} * on (tenant) {one(c.TENANT_BUDGET)})"
USED_BUDGET = f"({one(c.TENANT_BUDGET)} and on (tenant) {one(c.TENANT_BUDGET_USED)})"


def recording() -> RuleFile:
    """Return the file of roll-ups and changes."""
    return RuleFile("unitcost-recording", (_totals(), _plans(), _changes()))


def _totals() -> Group:
    costs = one(c.TENANT_COST)
    return Group(
        "unitcost-totals",
        (
            Record(r.TENANT_TOTAL, over("sum", ("tenant", "window"), costs)),
            Record(r.COMPONENT_COST, over("sum", ("component", "window"), costs)),
            Record(r.PLATFORM_TOTAL, over("sum", ("window",), one(c.PLATFORM_COST))),
        ),
    )


def _plans() -> Group:
    losing = over("group", ("plan", "window"), f"{select(r.PLAN_MARGIN)} < 0")
    costs = over("sum", ("tenant", "window"), one(c.TENANT_COST))
    return Group(
        "unitcost-plans",
        (
            Record(r.PLAN_COST, by_plan(costs, c.TENANT_COST, "window")),
            Record(r.PLAN_REVENUE, by_plan(one(c.TENANT_REVENUE), c.TENANT_REVENUE, "window")),
            Record(r.PLAN_MARGIN, by_plan(one(c.TENANT_MARGIN), c.TENANT_MARGIN, "window")),
            Record(r.PLAN_MARGIN_RATIO, f"{select(r.PLAN_MARGIN)} / {PAID} or on (plan, window) -1 * {losing}"),
            Record(r.PLAN_BUDGET, by_plan(one(c.TENANT_BUDGET), c.TENANT_BUDGET)),
            Record(
                r.PLAN_BUDGET_USED,
                f"{by_plan(USED_DOLLARS, c.TENANT_BUDGET)} / {by_plan(USED_BUDGET, c.TENANT_BUDGET)}",
            ),
            Record(r.PLAN_FORECAST, by_plan(one(c.TENANT_FORECAST), c.TENANT_FORECAST, "bound")),
        ),
    )


def _tenant_cost(offset: str, window: str) -> str:
    # The gauge of 24 h ago must be of then: taking the last one of a day would compare a day with itself.
    metric = one_latest if window != DAY and offset else one
    return over("sum", ("tenant",), metric(c.TENANT_COST, offset, window=window))


def _platform_cost(offset: str, window: str) -> str:
    metric = one_latest if window != DAY and offset else one
    return over("sum", (), metric(c.PLATFORM_COST, offset, window=window))


def _changes() -> Group:
    tenant_day, tenant_month = partial(_tenant_cost, window=DAY), partial(_tenant_cost, window=MONTH)
    platform_day, platform_month = partial(_platform_cost, window=DAY), partial(_platform_cost, window=MONTH)
    return Group(
        "unitcost-changes",
        (
            Record(r.TENANT_DAY_DELTA, change(("tenant",), tenant_day, DAY)),
            Record(r.TENANT_DAY_GROWTH, f"{select(r.TENANT_DAY_DELTA)} / ({tenant_day(DAY)} > 0)"),
            Record(r.TENANT_MONTH_DELTA, change(("tenant",), tenant_month, MONTH)),
            Record(r.TENANT_MONTH_GROWTH, f"{select(r.TENANT_MONTH_DELTA)} / ({tenant_month(MONTH)} > 0)"),
            Record(r.PLATFORM_DAY_DELTA, change((), platform_day, DAY)),
            Record(r.PLATFORM_DAY_GROWTH, f"{select(r.PLATFORM_DAY_DELTA)} / ({platform_day(DAY)} > 0)"),
            Record(r.PLATFORM_MONTH_DELTA, change((), platform_month, MONTH)),
            Record(r.PLATFORM_MONTH_GROWTH, f"{select(r.PLATFORM_MONTH_DELTA)} / ({platform_month(MONTH)} > 0)"),
        ),
    )
