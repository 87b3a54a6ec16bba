"""How a page reads daily gauges: now, as of a day, and against the 30 days before.

Prometheus looks back 5 minutes only, and a backfilled day holds one sample, between 1 and 2 o'clock (UTC). So:
- `now(metric, by)`: what is said now, or was said last where nothing is said at all.
- `daily(metric, by)`: on a graph with a point per UTC day, puts the figures of complete days (windows 1d, 30d) on the
  day they end with. The cost of day D is said during D + 1, so a point looks ahead.
- `day_end(metric, by)`: the same for what is of the day itself (window mtd, budgets, forecasts).
Each counts once what two replicas of the exporter say, or a backfill beside them. `latest(selector)` alone does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from rules.promql import Match, matches, over, select
from unitcost.catalogue import BUILD_INFO, PLATFORM_COST, TENANT_COST, TENANT_INFO, UNALLOCATED, Metric

DAY_SECONDS = 86_400
PREVIOUS = "30d"
"""How far back the period lies that `window="30d"` is compared with."""

TENANT = matches("$tenant")
"""The tenants chosen at the top of a page; All is the regular expression .*"""


BACKFILLED, SCRAPED = 'job=""', 'job!=""'


def latest(selector: str, *, before: str = "") -> str:
    """Return a selector's value at the range's end; before: that long earlier, such as PREVIOUS.

    Its instant value knows what is gone since. Only where no exporter speaks, the last one is taken: of backfilled
    days within a day, of scraped ones within an hour. Reading a day of scrapes costs seconds with 2,000 tenants, and
    Prometheus reads it whether it is needed or not; backfilled series have no job, and a sample a day.
    """
    offset = f" offset {before}" if before else ""
    last = f"last_over_time({_also(selector, BACKFILLED)}[1d]{offset}) or last_over_time({selector}[1h]{offset})"
    return f"({selector}{offset} or (({last}) unless on () group({select(BUILD_INFO)}{offset})))"


def _also(selector: str, matcher: str) -> str:
    """Return a selector with one more matcher."""
    return f"{selector[:-1]},{matcher}}}" if selector.endswith("}") else f"{selector}{{{matcher}}}"


def once(by: tuple[str, ...], expression: str) -> str:
    """Return one series per label set: replicas, and backfilled beside scraped days, say the same."""
    return over("max", by, expression)


def total(metric: Metric, by: tuple[str, ...], expression: str) -> str:
    """Return the sum over the metric's other labels, each series counted once.

    Every exporter serves the whole company, and so does a backfill: each is summed up for itself, which is many times
    cheaper than to look for each series' twins first.
    """
    others = [label for label in metric.labels if label not in {"window", *by}]
    return once(by, f"sum without ({', '.join(others)}) ({expression})" if others else expression)


def now(metric: Metric, by: tuple[str, ...] = (), *, before: str = "", **labels: str | Match) -> str:
    """Return a metric's latest values, summed by labels; before: those of an earlier time."""
    return _of_chosen(metric, by, lambda one, selector: total(one, by, latest(selector, before=before)), labels)


def daily(metric: Metric, by: tuple[str, ...] = (), *, before: str = "", **labels: str | Match) -> str:
    """Return figures of complete days (windows 1d, 30d) on the day they end with, summed by labels.

    At midnight of day D it is what was said last during D + 1. before: so many days earlier.
    """
    ago = int(before.removesuffix("d")) if before else 0
    return _of_chosen(metric, by, _by_day(by, ago - 2), labels)


def day_end(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return what was said at the end of each day (window mtd, budgets, forecasts), summed by labels."""
    return _of_chosen(metric, by, _by_day(by, -1), labels)


Summed: TypeAlias = Callable[[Metric, str], str]
"""From a metric and a selector of it to an expression that reads it and sums it up."""


def _by_day(by: tuple[str, ...], days: int) -> Summed:
    """Return what sums up, at midnight of each day, what was said in the last hour before the midnight -days later.

    Only that hour, as a day of scrapes would be thousands of samples a series; backfilled samples say in the morning
    what their day's end knew. They go first: whoever backfills a scraped day knows more of it, as bills are corrected.
    """

    def summed(metric: Metric, selector: str) -> str:
        backfilled, scraped = _also(selector, BACKFILLED), _also(selector, SCRAPED)
        past = f"last_over_time({backfilled}[1h] offset {24 * days + 22}h)"
        told = f"last_over_time({scraped}[1h] offset {days}d)"
        if days < 0:
            told = f"({told} or {_so_far(scraped, -days)})"
        return f"({total(metric, by, past)} or {total(metric, by, told)})"

    return summed


NOW = "${__to:date:seconds}"


def _so_far(selector: str, days: int) -> str:
    """Return what is said now, for the day whose hour is still to come.

    Now is written into the query, since Grafana moves the range's end to a midnight when it asks for daily points. In
    the first hour of a day the exporter may still serve what it said the day before.
    """
    unfinished = f"vector(time()) > {NOW} - {days * DAY_SECONDS} <= {NOW} - {(days - 1) * DAY_SECONDS + 3600}"
    return f"last_over_time({selector}[1h] @ {NOW}) and on () ({unfinished})"


EVERYONE = (
    'label_replace(vector(1), "all", "yes", "", "$tenant") unless on (all) label_replace(vector(1), "all", "", "", "")'
)
"""1 where All is chosen: the only choice that matches an empty text."""


def _of_chosen(metric: Metric, by: tuple[str, ...], summed: Summed, labels: Mapping[str, str | Match]) -> str:
    """Return what `summed` makes of the selector; the cost of All from the company's few series, not all tenants' many.

    Where All is chosen, instance!~".*" leaves no series of tenants to read, and what all of them cost is the company's
    cost less what found no tenant.
    """
    selector = select(metric, **labels)
    if metric is not TENANT_COST or labels.get("tenant") != TENANT or "tenant" in by:
        return summed(metric, selector)
    others = {name: value for name, value in labels.items() if name != "tenant"}
    company = summed(PLATFORM_COST, select(PLATFORM_COST, **others))
    nobodys = summed(UNALLOCATED, select(UNALLOCATED, **others))
    everyones = f"({company} - {nobodys} or {company})"
    chosen = summed(metric, _also(selector, 'instance!~"$tenant"'))
    return f"({chosen} or ({everyones} and on () ({EVERYONE})))"


def compared(expression: str, *, ago: str = PREVIOUS) -> str:
    """Return the expression where figures of that long ago are known, else nothing.

    ago: PREVIOUS for figures of 30 days, 1d for those of a day.
    """
    window = "30d" if ago == PREVIOUS else "1d"
    history = latest(select(PLATFORM_COST, window=window), before=ago)
    return f"({expression} and on () group({history}))"


def earlier_or_zero(current: str, earlier: str, *, ago: str = PREVIOUS) -> str:
    """Return earlier values, and 0 for what is new since; nothing where there are no earlier figures at all.

    Grafana reckons with what both queries know: a difference from nothing would be shown as NaN.
    """
    return f"({earlier} or {compared(f'0 * {current}', ago=ago)})"


def current_or_zero(current: str, earlier: str, *, ago: str = PREVIOUS) -> str:
    """Return current values, and 0 for what is gone since; nothing where there are no earlier figures at all."""
    return compared(f"({current} or 0 * {earlier})", ago=ago)


def otherwise(expression: str, known: str, label: str, text: str) -> str:
    """Return the expression; where it gives nothing though `known` gives something, one 0 whose label says so.

    Else a table could not tell that nobody loses money from that nobody knows.
    """
    return f'({expression} or on () label_replace(0 * group({known}), "{label}", "{text}", "", ""))'


def with_plan(expression: str, *, names: bool = False) -> str:
    """Add plan (and name) to series by tenant; none is lost where the directory does not know the tenant."""
    labels = ("name", "plan") if names else ("plan",)
    return f"({expression} * on (tenant) group_left ({', '.join(labels)}) {info(*labels)})"


def info(*labels: str, **where: str | Match) -> str:
    """Return 1 per tenant with labels of tenant_info (name, plan, status), one series per tenant.

    Right after a tenant changes its plan both are known for a while; a join may not see both.
    """
    return f"topk by (tenant) (1, {once(('tenant', *labels), latest(select(TENANT_INFO, **where)))})"
