"""The margin table as rows: from the ledger, or from the copy that a running exporter leaves beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from unitcost.errors import LedgerError
from unitcost.ledger.files import quoted
from unitcost.ledger.store import Ledger

COPY_NAME = "report.parquet"
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


def leave_copy(ledger: Ledger) -> None:
    """Write every window's lines to report.parquet beside the ledger, for readers while this process holds it."""
    if ledger.path is None:
        return
    target = ledger.path.with_name(COPY_NAME)
    draft = target.with_suffix(".tmp")
    with ledger.transaction() as connection:
        copied = "SELECT l.*, (SELECT count(*) FROM missing_day d WHERE d.span = l.span) AS missing FROM report_line l"
        connection.execute(f"COPY ({copied}) TO '{quoted(draft)}' (FORMAT parquet)")
    draft.replace(target)


def read_copy(folder: Path, window: str) -> tuple[list[ReportLine], int]:
    """Return the lines of a window from a running exporter's copy, and how many days sources lack in it.

    Raises LedgerError when there is no copy, or it does not hold the window.
    """
    path = folder / COPY_NAME
    try:
        with duckdb.connect() as connection:
            found: list[Any] = connection.execute(
                f"SELECT {_COLUMNS}, missing FROM read_parquet(?) WHERE span = ? {_ORDER}", [str(path), window]
            ).fetchall()
    except duckdb.Error as error:
        raise LedgerError(
            f"{path}: cannot be read while another process holds the ledger ({error}); try again after its next refresh"
        ) from error
    if not found:
        raise LedgerError(f"{path}: the running exporter serves no window {window}; add it to `windows`, or stop it")
    return [ReportLine(*row[:-1]) for row in found], int(found[0][-1])
