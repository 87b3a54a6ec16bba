"""Days that nothing can show any more are forgotten, a few batches at a refresh, so that the ledger does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from unitcost.days import window
from unitcost.ledger.files import statements
from unitcost.ledger.store import Ledger

AT_ONCE = 60
"""So many batches are forgotten at a refresh: a source has one a day, or one a billing period."""

NEEDED = ("mtd", "last_month")
"""Windows whose days are needed whatever is configured: budgets and forecasts are made of them."""


def first_kept(ledger: Ledger, now: datetime, history: timedelta, windows: Sequence[str]) -> date:
    """Return the first day that is kept and counted, as seen at `now` (UTC): one before the history begins.

    A window that is looked at from the first day of the history (backfill) reaches back behind it; and as bills come
    by the month, so are days forgotten. A clock that is ahead forgets nothing: "now" is no later than the newest day
    that was delivered of costs or usage.
    """
    [(newest,)] = ledger.rows(
        "SELECT max(day) FROM known_day WHERE source IN (SELECT source FROM cost UNION SELECT source FROM usage)"
    )
    seen = now.date() if newest is None else min(now.date(), newest)
    first = datetime.combine(seen - history, time(), UTC)
    return min(window(name, first).first for name in (*windows, *NEEDED)).replace(day=1)


def prune(ledger: Ledger, kept: date, at_once: int = AT_ONCE) -> None:
    """Forget the oldest batches of which all days are before the first that is kept.

    Raises LedgerError when the ledger cannot be written; then all stays.
    """
    with ledger.transaction() as connection:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE pruned_before AS SELECT ?::DATE AS day, ?::BIGINT AS batches", [kept, at_once]
        )
        connection.execute(statements("prune"))
