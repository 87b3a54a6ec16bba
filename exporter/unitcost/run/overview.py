"""Fills what the page shows (web/pages/view.py) from the ledger's window tables and the state of the sources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from unitcost import __version__
from unitcost.config.model import Config
from unitcost.days import LAST_MONTH, MONTH, MTD, window
from unitcost.economics.margin import margin_rows, missing_days
from unitcost.ledger.store import Ledger
from unitcost.redaction import visible
from unitcost.run.runner import SourceRunner
from unitcost.web.pages.view import (
    ComponentCost,
    Gap,
    PageView,
    Reconciliation,
    SourceRow,
    WindowTotals,
)

MAIN_WINDOWS = (LAST_MONTH, MONTH, MTD)
"""The page is about the first of these that is configured: whole periods before unfinished ones."""


def overview(
    ledger: Ledger, config: Config, runners: Sequence[SourceRunner], now: datetime, main: str | None = None
) -> PageView:
    """Return the page's content. main: the window it is about. look() must have been run for `now`."""
    main = main or next((name for name in MAIN_WINDOWS if name in config.windows), config.windows[0])
    names = [main, *sorted((name for name in config.windows if name != main), key=_rank)]
    components = ledger.rows(
        "SELECT component, sum(cost) FROM shown_cost WHERE span = ? GROUP BY ALL ORDER BY 2 DESC", [main]
    )
    reconciled = ledger.rows(
        "SELECT source, substr(scope, 5), ratio FROM window_reconciled WHERE span = ? ORDER BY ALL", [main]
    )
    return PageView(
        made_at=now,
        version=__version__,
        currency=config.currency.code,
        windows=[_totals(ledger, name, now) for name in names],
        components=[ComponentCost(*row) for row in components],
        customers=[row for row in margin_rows(ledger, main) if row.kind == "tenant" and row.cost is not None],
        sources=[_source(ledger, config, runner) for runner in runners],
        reconciliations=[Reconciliation(*row) for row in reconciled],
    )


def _rank(name: str) -> tuple[bool, str]:
    return (name != MTD, name)


def _totals(ledger: Ledger, name: str, now: datetime) -> WindowTotals:
    span = window(name, now)
    [(cost, unallocated, revenue, ratio, tenants, requests, per_request, per_tenant)] = ledger.rows(
        "SELECT cost, unallocated, revenue, margin_ratio, tenants, requests, cost_per_request, cost_per_tenant"
        " FROM platform WHERE span = ?",
        [name],
    )
    [(estimated,)] = ledger.rows("SELECT sum(amount) FROM window_counted WHERE span = ? AND estimated", [name])
    return WindowTotals(
        name=name,
        first_day=span.first,
        last_day=span.end - timedelta(1),
        cost=cost,
        revenue=revenue,
        margin_ratio=ratio,
        requests=requests,
        cost_per_request=per_request,
        cost_per_tenant=per_tenant,
        active_tenants=tenants if cost is not None or tenants else None,
        unallocated=unallocated,
        estimated=estimated,
        gaps=[Gap(source, days) for source, days in missing_days(ledger, name)],
    )


def _source(ledger: Ledger, config: Config, runner: SourceRunner) -> SourceRow:
    known = ledger.known(runner.name)
    return SourceRow(
        name=runner.name,
        type=config.settings(runner.name).type,
        brings=config.brings(runner.name),
        up=runner.verdict,
        last_success=runner.last_success,
        days=known.days,
        rows=known.rows,
        problems=runner.said(),
        notes=[visible(note.text) for note in runner.notes],
    )
