"""How a page reads daily gauges: figures of a period, and graphs with a point per UTC day.

Prometheus looks back 5 minutes only, and a backfilled day holds one sample, between 1 and 2 o'clock (UTC). So:
- `now(metric, by)`: what is said at the range's end, or was backfilled for the day that it lies in.
- `daily(metric, by)`: on a graph with a point per UTC day, puts the figures of complete days (windows 1d, 30d) on the
  day they end with. The cost of day D is said during D + 1, so a point looks ahead.
- `day_end(metric, by)`: the same for what is of the day itself (window mtd, budgets, forecasts).
Where a day is backfilled, that goes first: whoever backfills a scraped day knows more of it, as bills are corrected.
Each counts once what two replicas of the exporter say. `of_tenants` does all this for the customers chosen at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rules.promql import Match, matches, over, select
from unitcost.catalogue import ALLOCATED_COST, TENANT_COST, TENANT_INFO, Metric

PERIOD = "$period"
"""The period chosen at the top of a page, a window's name."""
BEFORE = "prev_$period"
"""The one that it is compared with."""

TENANT = matches("$tenant")
"""The tenants chosen at the top of a page; All is the regular expression .*"""

BACKFILLED = 'job=""'


def _also(selector: str, matcher: str) -> str:
    """Return a selector with one more matcher."""
    return f"{selector[:-1]},{matcher}}}" if selector.endswith("}") else f"{selector}{{{matcher}}}"


def _total(metric: Metric, by: tuple[str, ...], expression: str) -> str:
    """Return the sum over the metric's other labels, each series counted once.

    Every exporter serves the whole company, and so does a backfill: each is summed up for itself, which is many times
    cheaper than to look for each series' twins first.
    """
    others = [label for label in metric.labels if label not in {"window", *by}]
    return over("max", by, f"sum without ({', '.join(others)}) ({expression})" if others else expression)


def now(metric: Metric, by: tuple[str, ...] = (), *, at: str = "", **labels: str | Match) -> str:
    """Return a metric's values at the range's end, summed by labels. at: such as " @ end()", for graphs.

    Five minutes are what Prometheus itself looks back, but over a restart of the exporter too.
    """
    return _now(metric, by, select(metric, **labels), at)


def _now(metric: Metric, by: tuple[str, ...], selector: str, at: str = "") -> str:
    past = _total(metric, by, f"last_over_time({_also(selector, BACKFILLED)}[23h]{at})")
    return f"({past} or {_total(metric, by, f'last_over_time({selector}[5m]{at})')})"


def present(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return what an exporter says at the range's end, summed by labels: of closed months, which no backfill writes."""
    return _total(metric, by, f"last_over_time({select(metric, **labels)}[5m])")


def daily(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return figures of complete days (windows 1d, 30d) on the day they end with, summed by labels."""
    return _by_day(metric, by, select(metric, **labels), ahead=24)


def day_end(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return what was said last on each day (window mtd, budgets, forecasts), summed by labels."""
    return _by_day(metric, by, select(metric, **labels), ahead=0)


def _by_day(metric: Metric, by: tuple[str, ...], selector: str, *, ahead: int) -> str:
    """Return, at each point of a graph of days, what was said `ahead` hours after the day began."""
    return on_days(_said(metric, by, selector, ahead=ahead))


def said(metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return figures of complete days at their midnights (UTC): to reckon with them within one `on_days`."""
    return _said(metric, by, select(metric, **labels), ahead=24)


def _said(metric: Metric, by: tuple[str, ...], selector: str, *, ahead: int) -> str:
    """Return, at a day's midnight, what was said `ahead` hours after.

    Of a scraped day only the full hours from 1 to 23 o'clock are looked at: all scrapes would be thousands of samples a
    series, and in the first hour an exporter may still serve what it said the day before. The last one counts; of the
    present day that is the latest until now.
    """
    past = _total(metric, by, f"last_over_time({_also(selector, BACKFILLED)}[1h] offset {-ahead - 2}h)")
    told = f"last_over_time({_total(metric, by, selector)}[22h30m:1h] offset {-ahead - 23}h)"
    return f"({past} or {told})"


def on_days(said_then: str) -> str:
    """Return, at each point of a graph of days, what an expression says at the day's midnight (UTC).

    Which midnight a point stands for does not depend on the time zone of who looks: Grafana puts points on local
    midnights, and 13 hours later it is the same UTC day from Honolulu to Auckland.
    """
    return f"last_over_time({said_then}[1d:1d] offset -13h)"


class Read(NamedTuple):
    """Reads costs of the chosen tenants: theirs, or where All is chosen, what all of them cost, in a few series."""

    metric: Metric
    chosen: str

    def now(self, by: tuple[str, ...] = (), *, at: str = "", **labels: str | Match) -> str:
        """Return the costs at the range's end, summed by labels other than tenant."""
        return _now(self.metric, by, _also(select(self.metric, **labels), self.chosen), at)

    def daily(self, by: tuple[str, ...] = (), *, days_before: int = 0, **labels: str | Match) -> str:
        """Return the costs of complete days on the day they end with, or of so many days before it."""
        ahead = 24 * (1 - days_before)
        return _by_day(self.metric, by, _also(select(self.metric, **labels), self.chosen), ahead=ahead)

    def day_end(self, by: tuple[str, ...] = (), **labels: str | Match) -> str:
        """Return the costs as they were said last on each day."""
        return _by_day(self.metric, by, _also(select(self.metric, **labels), self.chosen), ahead=0)


CHOSEN = Read(TENANT_COST, 'tenant=~"$tenant",instance!~"$tenant"')
"""Nothing where All is chosen: .* matches every instance."""
EVERYONE = Read(ALLOCATED_COST, 'tenant=~"$tenant"')
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
    return f'({expression} or on () label_replace(0 * group({known}), "{label}", "{text}", "", ""))'


def with_plan(expression: str, *, names: bool = False) -> str:
    """Add plan (and name) to series by tenant; none is lost where the directory does not know the tenant."""
    labels = ("name", "plan") if names else ("plan",)
    return f"({expression} * on (tenant) group_left ({', '.join(labels)}) {info(*labels)})"


def info(*labels: str, at: str = "", **where: str | Match) -> str:
    """Return 1 per tenant with labels of tenant_info (name, plan, status), one series per tenant.

    Right after a tenant changes its plan both are known for a while; a join may not see both.
    """
    selector = select(TENANT_INFO, **where)
    read = f"last_over_time({_also(selector, BACKFILLED)}[23h]{at}) or last_over_time({selector}[5m]{at})"
    return f"topk by (tenant) (1, {over('max', ('tenant', *labels), read)})"
