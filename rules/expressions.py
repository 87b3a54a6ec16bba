"""Expressions that every rule uses: without doubling two replicas, and without losing a tenant in a join."""

from __future__ import annotations

from collections.abc import Callable

from rules.promql import Match, matches, one_of, over, select, with_labels
from unitcost.days import day_count
from unitcost.facts import K8S
from unitcost.metrics.catalogue import TENANT_INFO
from unitcost.metrics.metric import Metric

OF_CLUSTERS, OF_PROVIDERS = matches(f"{K8S}.*"), Match("!~", f"{K8S}.*")
"""Scopes that are clusters, and those that are accounts of model providers."""


def one(metric: Metric, offset: str = "", /, **labels: str | Match) -> str:
    """Return a metric once however many replicas or jobs serve it: by its own labels less those fixed here.

    offset: a Prometheus duration to look back by.
    """
    kept = tuple(label for label in metric.labels if not isinstance(labels.get(label), str))
    return over("max", kept, select(metric, **labels) + (f" offset {offset}" if offset else ""))


def one_latest(metric: Metric, offset: str, /, **labels: str | Match) -> str:
    """Return one() a while ago, where backfilled days have one sample a day: at most a day older than asked for."""
    kept = tuple(label for label in metric.labels if not isinstance(labels.get(label), str))
    now = f"{select(metric, **labels)} offset {offset}"
    last = f"last_over_time({select(metric, **labels)}[1d] offset {offset})"
    return over("max", kept, f"{now} or ({last} unless on () group({now}))")


def info(*labels: str, read: str = TENANT_INFO.name) -> str:
    """Return tenant_info with these labels, one series a tenant even while replicas or moments disagree on them.

    read: an expression of tenant_info; what is said now, if no other is given.
    """
    return one_of(("tenant",), over("max", ("tenant", *labels), read))


def named(expression: str, anchor: Metric, **labels: str | Match) -> str:
    """Add name and plan to series by tenant; one without tenant_info keeps its place, without them.

    anchor: a metric that every tenant of the expression has, with the labels to select by.
    """
    everybody = over("group", ("tenant",), select(anchor, **labels))
    known = f"({info('name', 'plan')} or on (tenant) {everybody})"
    return with_labels(f"({expression})", ("tenant",), known, ("name", "plan"))


def by_plan(expression: str, anchor: Metric, *labels: str) -> str:
    """Sum series by tenant (and labels) into their plans; tenants without tenant_info are in plan=""."""
    everybody = over("group", ("tenant",), select(anchor))
    return over("sum", ("plan", *labels), with_plan(expression, f"({info('plan')} or on (tenant) {everybody})"))


def with_plan(expression: str, plans: str) -> str:
    """Add plan to series by tenant. plans: 1 a tenant, with its plan; whoever is not there is lost."""
    return with_labels(expression, ("tenant",), plans, ("plan",))


def change(by: tuple[str, ...], cost: Callable[[str], str], offset: str) -> str:
    """Return cost now less cost `offset` before, in dollars, with a gone or new tenant's other side as 0.

    cost: offset ("" for now) → dollars by `by`. Absent where either time knows nothing at all.
    """
    now, before = cost(""), cost(offset)
    if not by:
        return f"{now} - {before}"
    return f"(({now} or {before} * 0) - ({before} or {now} * 0)) and on () {before} and on () {now}"


def number(value: float) -> str:
    """Write a number as short as it can be read back."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def days(window: str) -> int:
    """Return the days of a window Nd. Raises ValueError for any other."""
    count = day_count(window)
    if count is None:
        raise ValueError(f"{window!r} is no window of so many days")
    return count
