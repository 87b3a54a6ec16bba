"""How a page reads daily gauges: figures of a period, and graphs with a point per UTC day.

Prometheus looks back 5 minutes only, and a backfilled day holds one sample, between 1 and 2 o'clock (UTC). So:
- `now(metric, by)`: what is said at the range's end, or was backfilled for the day that it lies in.
- `daily(metric, by)`: on a graph with a point per UTC day, puts the figures of complete days (windows 1d, 30d) on the
  day they end with. The cost of day D is said during D + 1, so a point looks ahead.
- `day_end(metric, by)`: the same for what is of the day itself (window mtd, budgets, forecasts).
- `each_day(reckon, series, ...)`: the same for what is reckoned day by day from several, such as a ratio.
Where a day is backfilled, that goes first: whoever backfills a scraped day knows more of it, as bills are corrected.
Each counts once what two replicas of the exporter say. `of_tenants` does all this for the customers chosen at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rules.expressions import info as one_info
from rules.expressions import with_plan
from rules.promql import Match, labelled, matches, over, select
from unitcost.metrics.catalogue import (
    ALLOCATED_COST,
    PLATFORM_REVENUE,
    PLATFORM_USAGE,
    TENANT_COST,
    TENANT_INFO,
    TENANT_REVENUE,
    TENANT_USAGE,
)
from unitcost.metrics.metric import Metric

PERIOD = "$period"
"""The period chosen at the top of a page, a window's name."""
BEFORE = "prev_$period"
"""The one that it is compared with."""

TENANT = matches("$tenant")
"""The tenants chosen at the top of a page; All is the regular expression .*"""

BACKFILLED = 'job=""'
SCRAPED = 'job!=""'


def _also(selector: str, matcher: str) -> str:
    """Return a selector with one more matcher."""
    return f"{selector[:-1]},{matcher}}}" if selector.endswith("}") else f"{selector}{{{matcher}}}"


class Series(NamedTuple):
    """What is asked of a metric: the series with these labels, summed by others. chosen: one more matcher.

    by: None leaves each exporter's series as they are, for a reckoning that sums up.
    """

    metric: Metric
    by: tuple[str, ...] | None
    labels: Mapping[str, str | Match]
    chosen: str = ""

    @property
    def selector(self) -> str:
        """Return the instant selector."""
        selector = select(self.metric, **self.labels)
        return _also(selector, self.chosen) if self.chosen else selector

    def total(self, expression: str) -> str:
        """Return the sum over the labels that have several values, each series counted once.

        Every exporter serves the whole company, and so does a backfill: each is summed up for itself, which is many
        times cheaper than to look for each series' twins first.
        """
        if self.by is None:
            return expression
        told = {label for label, value in self.labels.items() if isinstance(value, str)}
        others = [label for label in self.metric.labels if label not in {"window", *self.by, *told}]
        return over("max", self.by, f"sum without({','.join(others)})({expression})" if others else expression)


def series(metric: Metric, by: tuple[str, ...] | None = (), **labels: str | Match) -> Series:
    """Return what `each_day` reckons with."""
    return Series(metric, by, labels)


def now(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return a metric's values at the range's end, summed by labels.

    Five minutes are what Prometheus itself looks back, but over a restart of the exporter too.
    """
    return _now(series(metric, by, **labels))


def _now(asked: Series) -> str:
    past = asked.total(f"last_over_time({_also(asked.selector, BACKFILLED)}[23h])")
    return f"({past} or {_said(asked)})"


def _said(asked: Series) -> str:
    return asked.total(f"last_over_time({asked.selector}[5m])")


def present(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return what an exporter says at the range's end, summed by labels: of closed months, which no backfill writes."""
    return _said(series(metric, by, **labels))


def daily(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return figures of complete days (windows 1d, 30d) on the day they end with, summed by labels."""
    return each_day(str, series(metric, by, **labels))


def day_end(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return what was said last on each day (window mtd, budgets, forecasts), summed by labels."""
    return each_day(str, series(metric, by, **labels), ahead=0)


def each_day(reckon: Callable[..., str], *asked: Series, ahead: int = 24) -> str:
    """Return, at each point of a graph of days, what was said `ahead` hours after the day began.

    reckon: makes one expression of those of what is asked, such as a ratio, in parentheses; `str` leaves a single one
    as it is.

    Of a scraped day only the full hours from 1 to 23 o'clock are looked at: all scrapes would be thousands of samples a
    series, and in the first hour an exporter may still serve what it said the day before. The last one counts; of the
    present day that is the latest until now. Which midnight a point stands for does not depend on the time zone of who
    looks: Grafana puts points on local midnights, and 13 hours later it is the same UTC day from Honolulu to Auckland.
    """
    filed = f"[1h] offset {-ahead - 2}h"
    past = reckon(*(one.total(f"last_over_time({_also(one.selector, BACKFILLED)}{filed})") for one in asked))
    told = reckon(*(one.total(_also(one.selector, SCRAPED)) for one in asked))
    return f"last_over_time(({past} or last_over_time({told}[22h30m:1h] offset {-ahead - 23}h))[1d:1d] offset -13h)"


class Read(NamedTuple):
    """Reads what the chosen tenants cost, used or paid: theirs, or where All is chosen, that of all, in a few series.

    metrics: those read instead of a tenant's. chosen: the matcher that lets only one of the two ways give something.
    beside: the same for what is reckoned with a cost, which has chosen already.
    """

    metrics: Mapping[Metric, Metric]
    chosen: str
    beside: str

    def series(self, by: tuple[str, ...] = (), *, metric: Metric = TENANT_COST, **labels: str | Match) -> Series:
        """Return what `each_day` reckons with: the costs, or another metric, summed by labels other than tenant."""
        return Series(self.metrics.get(metric, metric), by, labels, self.chosen)

    def with_cost(self, metric: Metric, **labels: str | Match) -> Series:
        """Return another metric that `each_day` reckons with beside a cost, such as what it is divided by."""
        return Series(self.metrics.get(metric, metric), (), labels, self.beside)

    def now(self, by: tuple[str, ...] = (), **labels: str | Match) -> str:
        """Return the costs at the range's end."""
        return _now(self.series(by, metric=TENANT_COST, **labels))

    def daily(
        self,
        by: tuple[str, ...] = (),
        *,
        metric: Metric = TENANT_COST,
        days_before: int = 0,
        **labels: str | Match,
    ) -> str:
        """Return the costs, or another metric, of complete days on the day they end with, or of days before it."""
        return each_day(str, self.series(by, metric=metric, **labels), ahead=24 * (1 - days_before))

    def day_end(self, by: tuple[str, ...] = (), **labels: str | Match) -> str:
        """Return the costs as they were said last on each day."""
        return each_day(str, self.series(by, metric=TENANT_COST, **labels), ahead=0)


CHOSEN = Read({}, 'tenant=~"$tenant",instance!~"$tenant"', 'tenant=~"$tenant"')
"""Nothing where All is chosen: .* matches every instance."""
EVERYONE = Read(
    {TENANT_COST: ALLOCATED_COST, TENANT_USAGE: PLATFORM_USAGE, TENANT_REVENUE: PLATFORM_REVENUE},
    'tenant=~"$tenant"',
    "",
)
"""Series without a tenant: only All matches that."""


def of_tenants(make: Callable[[Read], str]) -> tuple[str, str]:
    """Return an expression over the costs of the chosen tenants, and that for All; one of them gives something."""
    return make(CHOSEN), make(EVERYONE)


def either(make: Callable[[Read], str]) -> str:
    """Return the same as one expression, for a column of a table."""
    return f"({' or '.join(of_tenants(make))})"


def otherwise(expression: str, known: str, label: str, text: str) -> str:
    """Return the expression; where it gives nothing though `known` gives something, one 0 whose label says so.

    Else a table could not tell that nobody loses money from that nobody knows.
    """
    return f"({expression} or on () {labelled(f'0 * group({known})', label, text)})"


def by_plan(expression: str) -> str:
    """Sum series by tenant into their plans; tenant_info knows every tenant that costs something."""
    return over("sum", ("plan",), f"({with_plan(expression, info('plan'))})")


def info(*labels: str, **where: str | Match) -> str:
    """Return 1 per tenant with labels of tenant_info (name, plan, status), one series per tenant.

    Right after a tenant changes its plan both are known for a while; a join may not see both.
    """
    selector = select(TENANT_INFO, **where)
    read = f"last_over_time({_also(selector, BACKFILLED)}[23h]) or last_over_time({selector}[5m])"
    return one_info(*labels, read=read)
