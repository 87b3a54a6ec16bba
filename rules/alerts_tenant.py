"""Alerts about one customer: its margin, its budget, the pace and the forecast, a sudden rise, the end of its AI."""

from __future__ import annotations

from rules.expressions import days, info, named, number, one
from rules.model import Alert
from rules.promql import other_than, over, with_labels
from rules.text import NAME, PERCENT, VALUE, amount, listed, percent, phrase, this, words
from unitcost.config.alerts import Burn
from unitcost.config.model import Config
from unitcost.days import LAST_MONTH, MTD
from unitcost.facts import OTHER
from unitcost.metrics import catalogue as c
from unitcost.metrics import catalogue_ai as ai

PAGE = "unitcost-tenant?var-tenant={{ $labels.tenant | urlquery }}"
REST = other_than(OTHER)
BUDGET, USED = this(c.TENANT_BUDGET), this(c.TENANT_BUDGET_USED)


def alerts(config: Config) -> tuple[Alert, ...]:
    """Return the alerts by tenant; each has the labels tenant, and name and plan where tenant_info knows them."""
    return (
        _margin_negative(config),
        _margin_below_target(config),
        *(_budget_used(level, config) for level in sorted(config.alerts.budget.levels)),
        _burn("Fast", "several times its budget", config.alerts.burn.fast, config),
        _burn("Slow", "more than its budget", config.alerts.burn.slow, config),
        _forecast(config),
        _spike(config),
        _ai_near_loss(config),
        _ai_past_loss(config),
    )


def _cost(window: str) -> str:
    """Return each tenant's dollars in a window."""
    return over("sum", ("tenant",), one(c.TENANT_COST, tenant=REST, window=window))


def _largest(lead: str, window: str) -> str:
    """Return the three components that cost the tenant most, as a sentence."""
    return listed(lead, f"topk(3, {this(c.TENANT_COST, ('component',), window=window)})", "component", "tenant")


def _margin_negative(config: Config) -> Alert:
    settings, window = config.alerts.margin, config.alerts.margin.window
    margin = one(c.TENANT_MARGIN, tenant=REST, window=window)
    paying = f"{one(c.TENANT_REVENUE, window=window)} > 0"
    losing = f"{margin} < -{number(settings.loss_dollars)} and on (tenant) {paying}"
    cost, revenue = this(c.TENANT_COST, window=window), this(c.TENANT_REVENUE, window=window)
    return Alert(
        "UnitcostMarginNegative",
        "a paying customer costs more than it pays",
        named(f"-1 * ({losing})", c.TENANT_MARGIN, window=window),
        "warning",
        config.alerts.owners.money,
        f"{NAME} costs more than it pays: {VALUE} lost {words(window)},"
        f" {amount(cost, 'tenant')} of costs for {amount(revenue, 'tenant')} of revenue.",
        _largest("The largest parts of its costs:", window)
        + "Its page shows whether this is new or has never been otherwise.",
        PAGE,
    )


def _margin_below_target(config: Config) -> Alert:
    settings, window = config.alerts.margin, config.alerts.margin.window
    revenue, margin = one(c.TENANT_REVENUE, tenant=REST, window=window), one(c.TENANT_MARGIN, window=window)
    target = one(c.PLAN_TARGET_MARGIN)
    wanted = with_labels(revenue, ("tenant",), info("name", "plan"), ("name", "plan"))
    wanted = with_labels(wanted, ("plan",), target)
    short = f"{wanted} - on (tenant) group_left () {margin}"
    return Alert(
        "UnitcostMarginBelowTarget",
        "a customer's margin is below its plan's target",
        f"{short} > {number(settings.shortfall_dollars)} and on (tenant) {margin} >= 0",
        "info",
        config.alerts.owners.money,
        f"{NAME} earned a margin of {percent(this(c.MARGIN_RATIO, window=window), 'tenant')} {words(window)},"
        f" its plan {{{{ $labels.plan }}}} should earn {percent(this(c.PLAN_TARGET_MARGIN, label='plan'), 'plan')}:"
        f" {VALUE} short.",
        _largest("The largest parts of its costs:", window)
        + "If the whole plan is short, its price or its target is the question, not this customer.",
        PAGE,
    )


def _budget(config: Config) -> str:
    """Return the budgets that are large enough to tell somebody about."""
    return f"{one(c.TENANT_BUDGET)} >= {number(config.alerts.budget.minimum_dollars)}"


def _budget_used(level: int, config: Config) -> Alert:
    settings = config.alerts.budget
    used = f"{one(c.TENANT_BUDGET_USED)} >= {number(level / 100)} and on (tenant) {_budget(config)}"
    pace = "At the pace of the last 7 complete days the month will cost {}. "
    return Alert(
        f"UnitcostBudgetUsed{level}",
        f"{level} % of a customer's budget is used",
        named(f"round({used}, 0.001)", c.TENANT_BUDGET_USED),
        settings.levels[level],
        config.alerts.owners.money,
        f"{NAME} has used {PERCENT} of its budget of {amount(BUDGET, 'tenant')}:"
        f" {amount(f'{USED} * {BUDGET}', 'tenant')} since the first of the month.",
        phrase(this(c.TENANT_FORECAST, bound="expected"), pace, "tenant")
        + _largest("The largest parts so far:", MTD)
        + "Its page shows the month day by day.",
        PAGE,
        runbook="UnitcostBudgetUsed",
        wait=settings.wait,
    )


def _burn(speed: str, much: str, burn: Burn, config: Config) -> Alert:
    span = days(burn.window)
    allowed = f"({_budget(config)}) / scalar(days_in_month())"
    pace = f"{_cost(burn.window)} / {span} / on (tenant) ({allowed}) >= {number(burn.rate)}"
    cost = this(c.TENANT_COST, window=burn.window)
    lasting = phrase(f"{BUDGET} / ({cost} / {span})", "At this pace a month's budget lasts {} days. ", "tenant", "%.0f")
    return Alert(
        f"UnitcostBudgetBurn{speed}",
        f"a customer cost {much} {words(burn.window)}",
        named(pace, c.TENANT_BUDGET),
        "warning",
        config.alerts.owners.money,
        f'{NAME} spends {{{{ printf "%.1f" $value }}}} times as fast as its budget of {amount(BUDGET, "tenant")}'
        f" a month allows: {amount(cost, 'tenant')} {words(burn.window)}.",
        lasting + _largest("The largest parts:", burn.window) + "Its page shows since when.",
        PAGE,
    )


def _forecast(config: Config) -> Alert:
    expected = one(c.TENANT_FORECAST, bound="expected")
    excess = f"{expected} / on (tenant) ({_budget(config)}) >= {number(config.alerts.budget.forecast_ratio)}"
    low, middle, high = (this(c.TENANT_FORECAST, bound=bound) for bound in ("low", "expected", "high"))
    return Alert(
        "UnitcostForecastOverBudget",
        "the month will end above a customer's budget",
        named(f"round({excess}, 0.001)", c.TENANT_BUDGET),
        "warning",
        config.alerts.owners.money,
        f"{NAME} will cost about {amount(middle, 'tenant')} this month,"
        f" {PERCENT} of its budget of {amount(BUDGET, 'tenant')}.",
        f"Between {amount(low, 'tenant')} (days like its cheapest 7 in a row of the last 28) and"
        f" {amount(high, 'tenant')} (like its dearest); {percent(USED, 'tenant')} of the budget is used so far.",
        PAGE,
    )


def _spike(config: Config) -> Alert:
    settings = config.alerts.cost_spike
    others = days(settings.baseline) - 1
    day = _cost(settings.window)
    mean = f"({_cost(settings.baseline)} - {day}) / {others}"
    # A customer without any cost last month is new: its first bill is no spike.
    rise = (
        f"{day} - {mean} >= {number(settings.dollars)}"
        f" and on (tenant) {day} >= {number(settings.factor)} * {mean}"
        f" and on (tenant) {_cost(LAST_MONTH)} > 0"
    )
    parts, usual = (
        this(c.TENANT_COST, ("component",), window=window) for window in (settings.window, settings.baseline)
    )
    rises = f"topk(3, {parts} - ({usual} - {parts}) / {others} > 0)"
    return Alert(
        "UnitcostCostSpike",
        "a customer cost far more yesterday than usual",
        named(rise, c.TENANT_COST, window=settings.window),
        "warning",
        config.alerts.owners.product,
        f"{NAME} cost {amount(this(c.TENANT_COST, window=settings.window), 'tenant')} yesterday (UTC),"
        f" {VALUE} more than on an average day of the {others} before.",
        listed("What rose most:", rises, "component", "tenant") + "Its page shows whether its usage rose too.",
        PAGE,
    )


COUNT = '{{ printf "%.0f" $value }}'
"""The alert's value, a number of requests."""


DAY_SECONDS = 86_400


def _left(config: Config) -> str:
    """Return the AI requests that are left of those that a price carries, where these are enough to tell of."""
    enough = f"{one(ai.TENANT_AI_CARRIED)} >= {config.alerts.ai_loss.minimum_requests}"
    return f"{one(ai.TENANT_AI_UNTIL_LOSS, tenant=REST)} and on (tenant) {enough}"


def _ai_near_loss(config: Config) -> Alert:
    settings = config.alerts.ai_loss
    share = f"{one(ai.TENANT_AI_UNTIL_LOSS)} / on (tenant) {one(ai.TENANT_AI_CARRIED)} <= {number(settings.left)}"
    soon = f"{one(ai.TENANT_AI_LOSS_IN)} < {number(settings.days * DAY_SECONDS)}"
    lasting = "At this month's rate they last {} days. "
    return Alert(
        "UnitcostAiNearLoss",
        "a customer has nearly used its price's AI requests",
        named(f"({_left(config)}) >= 0 and on (tenant) ({share} or on (tenant) {soon})", ai.TENANT_AI_UNTIL_LOSS),
        "warning",
        config.alerts.owners.money,
        f"{NAME} has {COUNT} AI requests left this month before it costs more than it pays.",
        phrase(f"{this(ai.TENANT_AI_LOSS_IN)} / {DAY_SECONDS}", lasting, "tenant", "%.1f")
        + phrase(this(ai.TENANT_AI_CARRIED), "Its price carries {} of them a month. ", "tenant", "%.0f")
        + "Its page shows what it is used for.",
        PAGE,
    )


def _ai_past_loss(config: Config) -> Alert:
    return Alert(
        "UnitcostAiPastLoss",
        "a customer has used more than its price's AI requests",
        named(f"-1 * (({_left(config)}) < 0)", ai.TENANT_AI_UNTIL_LOSS),
        "warning",
        config.alerts.owners.money,
        f"{NAME} has used {COUNT} AI requests more this month than its price carries: it costs more than it pays.",
        phrase(this(ai.TENANT_AI_CARRIED), "Its price carries {} of them a month. ", "tenant", "%.0f")
        + "`unitcost limits` writes a limit that a gateway enforces; its page shows what it is used for.",
        PAGE,
    )
