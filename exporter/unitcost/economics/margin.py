"""The margin table as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from unitcost.ledger.store import Ledger

_COLUMNS = "kind, tenant, name, plan, cost, shared, revenue, margin, margin_ratio, requests, cost_per_request"
_ORDER = "ORDER BY kind = 'total', kind = 'unallocated', cost DESC NULLS LAST, tenant"


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One line: a tenant, what is unallocated, or the total. Money in the configured currency; None is unknown.

    kind: tenant, unallocated or total. cost, revenue and margin are None where no source of that kind knows a day
    of the window; shared is of tenants only; requests and cost_per_request where there were none.
    """

    kind: str
    tenant: str
    name: str
    plan: str
    cost: Decimal | None
    shared: Decimal | None
    revenue: Decimal | None
    margin: Decimal | None
    margin_ratio: float | None
    requests: Decimal | None
    cost_per_request: float | None


def read_lines(ledger: Ledger, window: str) -> list[ReportLine]:
    """Return the lines of a window, dearest tenant first, then unallocated, then the total."""
    found = ledger.rows(f"SELECT {_COLUMNS} FROM report_line WHERE span = ? {_ORDER}", [window])
    return [ReportLine(*row) for row in found]


def missing_days(ledger: Ledger, window: str) -> list[tuple[str, list[date]]]:
    """Return the required sources that lack days of the window, with these days."""
    sql = "SELECT source, list(day ORDER BY day) FROM missing_day WHERE span = ? GROUP BY source ORDER BY source"
    return [(source, days) for source, days in ledger.rows(sql, [window])]
