"""What the page `/` shows, as plain data: filled from the ledger, turned into HTML by page.py.

Money is Decimal in the configured currency, days are UTC, ratios are 1 for 100 %. None means unknown and is
shown as a dash with the reason, never as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from unitcost.days import DAY, LAST_MONTH, MTD, day_count
from unitcost.economics.margin import MarginRow
from unitcost.facts import OTHER
from unitcost.figures import day_range


@dataclass(frozen=True, slots=True)
class Gap:
    """Days of a window that a required source does not know."""

    source: str
    days: Sequence[date]


@dataclass(frozen=True, slots=True)
class WindowTotals:
    """The whole company in one window, from first_day to last_day inclusive.

    cost holds all that was counted, unallocated included. estimated: the part of it that is OpenCost's
    estimate until a bill covers the day, None where nothing is. gaps: why the window is not complete, empty
    where it is.
    """

    name: str
    first_day: date
    last_day: date
    cost: Decimal | None
    revenue: Decimal | None = None
    margin_ratio: float | None = None
    requests: Decimal | None = None
    cost_per_request: float | None = None
    cost_per_tenant: float | None = None
    active_tenants: int | None = None
    unallocated: Decimal | None = None
    estimated: Decimal | None = None
    gaps: Sequence[Gap] = ()

    @property
    def label(self) -> str:
        """The window's name as a person would say it: October 2026, November 2026 so far, last 30 days."""
        if self.name == LAST_MONTH:
            return f"{self.first_day:%B %Y}"
        if self.name == MTD:
            return f"{self.first_day:%B %Y} so far"
        if self.name == DAY:
            return day_range(self.first_day, self.last_day)
        return f"Last {day_count(self.name)} days"

    @property
    def day_count(self) -> int:
        """How many days it has, the current one included."""
        return (self.last_day - self.first_day).days + 1


@dataclass(frozen=True, slots=True)
class ComponentCost:
    """What one component cost in the main window, without its unallocated part."""

    component: str
    cost: Decimal


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source. type: as in unitcost.yaml; brings: cluster, bill, usage or revenue.

    up is None until the source was asked. days and rows: what the ledger holds. problems and notes: one line
    each, of the last refresh.
    """

    name: str
    type: str
    brings: tuple[str, ...]
    up: bool | None
    last_success: datetime | None
    days: int
    rows: int
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How a bill's Kubernetes rows of a cluster compare with OpenCost's figures: bill ÷ OpenCost."""

    source: str
    cluster: str
    ratio: float


@dataclass(frozen=True, slots=True)
class PageView:
    """Everything the page says.

    windows: the first is the main one, which the sentence, the components and the customers are about; the
    others are compared with it. customers: every tenant of the main window in any order, `__other__`
    included, so that Σ customers + unallocated = cost. components: in any order; Σ components + unallocated =
    cost. made_at: when the numbers were derived, UTC. links: (text, address).
    """

    made_at: datetime
    version: str
    currency: str = "USD"
    company: str = ""
    windows: Sequence[WindowTotals] = ()
    components: Sequence[ComponentCost] = ()
    customers: Sequence[MarginRow] = ()
    sources: Sequence[SourceRow] = ()
    reconciliations: Sequence[Reconciliation] = ()
    links: Sequence[tuple[str, str]] = (("Metrics", "/metrics"), ("Runbooks", "/runbooks/"))

    @property
    def main(self) -> WindowTotals | None:
        """The window that the sentence, the components and the customers are about."""
        return self.windows[0] if self.windows else None

    @property
    def has_revenue_source(self) -> bool:
        """Whether any source could bring revenue, so that its absence is a gap and not a choice."""
        return any("revenue" in source.brings for source in self.sources)

    def losing(self) -> list[MarginRow]:
        """Return the customers whose margin is below 0, the greatest loss first."""
        found = [row for row in self.customers if row.margin is not None and row.margin < 0 and row.tenant != OTHER]
        return sorted(found, key=lambda row: (row.margin or 0, row.tenant))
