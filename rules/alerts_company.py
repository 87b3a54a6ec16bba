"""Alerts about the whole company: a plan's margin, AI spend, cost per request, free customers, what nobody pays for."""

from __future__ import annotations

from rules.expressions import OF_CLUSTERS, days, number, one
from rules.model import Alert
from rules.promql import Match, over, select
from rules.text import PERCENT, VALUE, amount, listed, percent, this, words
from unitcost.config.model import Config
from unitcost.metrics import catalogue as c
from unitcost.metrics import recorded as r
from unitcost.metrics.metric import Metric

ECONOMICS, AI, EFFICIENCY, DATA = "unitcost-economics", "unitcost-ai", "unitcost-efficiency", "unitcost-data"


def alerts(config: Config) -> tuple[Alert, ...]:
    """Return the alerts about sums over all customers."""
    return (
        _plan_margin(config),
        _ai_spike(config),
        _cost_per_request(config),
        _free_plan(config),
        _unallocated(config),
        _reconciliation(config),
    )


def _sum(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    series = one(metric, **labels)
    return series if len(labels) + len(by) == len(metric.labels) else over("sum", by, series)


def _plan_margin(config: Config) -> Alert:
    window = config.alerts.margin.window
    ratio, revenue = select(r.PLAN_MARGIN_RATIO, window=window), select(r.PLAN_REVENUE, window=window)
    below = f"{ratio} < on (plan) group_left () {one(c.PLAN_TARGET_MARGIN)}"
    cost = this(r.PLAN_COST, label="plan", window=window)
    paid = this(r.PLAN_REVENUE, label="plan", window=window)
    target = this(c.PLAN_TARGET_MARGIN, label="plan")
    return Alert(
        "UnitcostPlanMarginBelowTarget",
        "a plan's margin is below its target",
        f"max by (plan) (round({below}, 0.001)) and on (plan) {revenue} > 0",
        "warning",
        config.alerts.owners.money,
        f"The plan {{{{ $labels.plan }}}} earned a margin of {PERCENT} {words(window)}, it should earn"
        f" {percent(target, 'plan')}: {amount(cost, 'plan')} of costs for {amount(paid, 'plan')} of revenue.",
        "The table of customers on the page, sorted by margin, shows whether a few of them or all are the reason.",
        ECONOMICS,
    )


def _ai_spike(config: Config) -> Alert:
    settings = config.alerts.ai_spike
    others = days(settings.baseline) - 1
    day, period = (
        _sum(c.PLATFORM_COST, component="ai", window=window) for window in (settings.window, settings.baseline)
    )
    mean = f"({period} - {day}) / {others}"
    own, usual = (
        _sum(c.TENANT_COST, ("tenant",), component="ai", window=window)
        for window in (settings.window, settings.baseline)
    )
    rises = f"topk(3, {own} - ({usual} - {own}) / {others} > 0)"
    return Alert(
        "UnitcostAiSpendSpike",
        "AI cost far more yesterday than usual",
        f"{day} - {mean} >= {number(settings.dollars)} and {day} >= {number(settings.factor)} * {mean}",
        "warning",
        config.alerts.owners.product,
        f"AI cost {amount(day)} yesterday (UTC), {VALUE} more than on an average day of the {others} before.",
        listed("Whose AI rose most:", rises, "tenant") + "The page shows since when, and for whom.",
        AI,
    )


def _cost_per_request(config: Config) -> Alert:
    settings = config.alerts.cost_per_request
    now, before = (one(c.PLATFORM_COST_PER_REQUEST, window=window) for window in (settings.window, settings.baseline))
    change = f"{now} / ({before} > 0)"
    return Alert(
        "UnitcostCostPerRequestRegression",
        "requests became dearer",
        f"round({change} >= {number(settings.factor)}, 0.001) - 1",
        "warning",
        config.alerts.owners.product,
        f"1,000 requests cost {amount(f'1000 * {now}')} {words(settings.window)}, {PERCENT} more than"
        f" {words(settings.baseline)} ({amount(f'1000 * {before}')}).",
        "The page shows whether costs rose or requests fell, and the budgets page what changed.",
        EFFICIENCY,
    )


def _free_plan(config: Config) -> Alert:
    settings, window = config.alerts.free_plan, config.alerts.free_plan.window
    cost, all_cost = _sum(c.TENANT_COST, ("tenant",), window=window), _sum(c.PLATFORM_COST, window=window)
    free = f"{cost} unless on (tenant) {one(c.TENANT_REVENUE, window=window)} > 0"
    total = over("sum", (), free)
    # Where no revenue is known at all, everybody would look like a free customer.
    known = f"{one(c.PLATFORM_REVENUE, window=window)} > 0"
    return Alert(
        "UnitcostFreePlanCost",
        "customers without revenue cost much of everything",
        f"{total} >= {number(settings.dollars)} and {total} >= {number(settings.share)} * {all_cost} and {known}",
        "warning",
        config.alerts.owners.money,
        f"Customers who pay nothing cost {VALUE} {words(window)}: {percent(f'{total} / {all_cost}')} of all costs.",
        listed("The dearest of them:", f"topk(3, {free})", "tenant")
        + "The table of customers on the page lists all of them by cost.",
        ECONOMICS,
    )


def _unallocated(config: Config) -> Alert:
    settings, window = config.alerts.unallocated, config.alerts.unallocated.window
    lost, all_cost = _sum(c.UNALLOCATED, window=window), _sum(c.PLATFORM_COST, window=window)
    return Alert(
        "UnitcostUnallocatedShareHigh",
        "much of the costs found no customer",
        f"{lost} >= {number(settings.dollars)} and {lost} >= {number(settings.share)} * {all_cost}",
        "warning",
        config.alerts.owners.data,
        f"{VALUE} of {amount(all_cost)} {words(window)} found no customer and no sharing rule:"
        f" {percent(f'{lost} / {all_cost}')}.",
        listed("By component:", f"topk(3, {_sum(c.UNALLOCATED, ('component',), window=window)} > 0)", "component")
        + listed("By source:", f"topk(3, {_sum(c.UNALLOCATED, ('source',), window=window)} > 0)", "source")
        + "Usually a new service without the tenant's tag; a sharing rule or the tag takes it back.",
        DATA,
    )


def _reconciliation(config: Config) -> Alert:
    settings, window = config.alerts.reconciliation, config.alerts.reconciliation.window
    ratio = one(c.RECONCILIATION, scope=OF_CLUSTERS, window=window)
    return Alert(
        "UnitcostReconciliationOff",
        "the bill and OpenCost do not fit",
        f"round({ratio} < {number(settings.low)} or {ratio} > {number(settings.high)}, 0.001)",
        "warning",
        config.alerts.owners.data,
        f"The bill {{{{ $labels.source }}}} is {PERCENT} of what OpenCost says about"
        f" {{{{ $labels.scope }}}} {words(window)}.",
        f"Between {settings.low:.0%} and {settings.high:.0%} is usual. OpenCost's list prices know no discounts (below)"
        " and no licences or data transfer (above); 0% is a bill that does not show the cluster at all.",
        DATA,
    )
