"""The margin table as rows, and what its ratios mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from unitcost.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class MarginRow:
    """A tenant in a window, what is unallocated there, or the total. Money in the configured currency; None is unknown.

    cost, revenue and margin (revenue less cost) are None where no source of that kind knows a day of the window;
    shared is of tenants only; requests and cost_per_request where there were none.
    """

    kind: Literal["tenant", "unallocated", "total"]
    tenant: str
    name: str
    plan: str
    cost: Decimal | None
    shared: Decimal | None = None
    revenue: Decimal | None = None
    margin: Decimal | None = None
    margin_ratio: float | None = None
    requests: Decimal | None = None
    cost_per_request: float | None = None


def margin_ratio(revenue: Decimal | None, cost: Decimal | None) -> float | None:
    """Return (revenue - cost) / revenue; -1 where there is cost and no revenue; None where both are 0, or one unknown.

    session.sql has the same for what the ledger sums up, and rules/recording.py for plans, with the same result.
    """
    if revenue is None or cost is None:
        return None
    if revenue > 0:
        return float(revenue - cost) / float(revenue)
    return -1.0 if revenue == 0 and cost > 0 else None


def per_unit(cost: Decimal | None, count: Decimal | None) -> float | None:
    """Return what one of so many cost, as session.sql does; None where there were none, or one of both is unknown."""
    return float(cost) / float(count) if cost is not None and count is not None and count > 0 else None


def margin_rows(ledger: Ledger, window: str) -> list[MarginRow]:
    """Return the rows of a window, dearest tenant first, then unallocated, then the total."""
    found = ledger.rows(
        f"SELECT {', '.join(MarginRow.__slots__)} FROM report_line WHERE span = ?"
        " ORDER BY kind = 'total', kind = 'unallocated', cost DESC NULLS LAST, tenant",
        [window],
    )
    return [MarginRow(*row) for row in found]


def missing_days(ledger: Ledger, window: str) -> list[tuple[str, list[date]]]:
    """Return the required sources that lack days of the window, with these days."""
    sql = "SELECT source, list(day ORDER BY day) FROM missing_day WHERE span = ? GROUP BY source ORDER BY source"
    return [(source, days) for source, days in ledger.rows(sql, [window])]
