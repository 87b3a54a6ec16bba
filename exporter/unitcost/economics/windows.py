"""What the days of the ledger come to, as seen at a time: windows, budgets, forecast, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from unitcost.days import days_in_month, served
from unitcost.economics.ai_savings import WhatIf, tell_savings
from unitcost.economics.events import tell_events
from unitcost.ledger.derive import fraction
from unitcost.ledger.files import statements
from unitcost.ledger.store import Ledger
from unitcost.ledger.temporary import temporary_table


@dataclass(frozen=True)
class Terms:
    """What the configuration says of the questions, as rows for the tables that the .sql files read.

    tenants, models: how many are served apart. token_units: what of AI is counted in tokens. directory: (id, name,
    plan, status, budget in dollars a month). targets: (plan, the margin it should earn, its list price a month).
    budgets: (plan or "default", dollars a month, share of the MRR), one of the two. what_if: what AI could cost
    instead.
    """

    windows: Sequence[str]
    history: timedelta
    months: int
    tenants: int
    currency: str
    models: int = 50
    token_units: Sequence[str] = ()
    directory: Sequence[tuple[str, str, str | None, str, Decimal | None]] = ()
    targets: Sequence[tuple[str, Decimal | None, Decimal | None]] = ()
    budgets: Sequence[tuple[str, Decimal | None, Decimal | None]] = ()
    what_if: WhatIf = field(default_factory=WhatIf)


def look(ledger: Ledger, terms: Terms, now: datetime, *, closed_months: bool = True, events: bool = True) -> None:
    """Sum the days that derive() left up as seen at `now`: windows, budgets, forecast, events, as temporary tables.

    Their .sql files say which. Days after now are left out, whatever the ledger holds. closed_months: whether they are
    windows too. Without `events` those that were found before stay.
    """
    with ledger.transaction() as connection:
        table = partial(temporary_table, connection)
        spans = served(terms.windows, now, terms.history, terms.months if closed_months else 0)
        table(
            "window_span",
            {"name": "VARCHAR", "first_day": "DATE", "end_day": "DATE", "needs_until": "DATE"},
            [(span.name, span.first, span.end, span.needs_until) for span in spans],
        )
        today = now.date()
        month_days = days_in_month(today)
        table(
            "clock",
            {**dict.fromkeys(("today", "first_day", "month_first", "month_last"), "DATE"), "month_days": "INTEGER"},
            [(today, today - terms.history, today.replace(day=1), today.replace(day=month_days), month_days)],
        )
        table("tenant_limit", {"tenants": "BIGINT"}, [(terms.tenants,)])
        table("model_limit", {"models": "BIGINT"}, [(terms.models,)])
        table("token_unit", {"unit": "VARCHAR"}, [(unit,) for unit in terms.token_units])
        table(
            "directory",
            dict.fromkeys(("tenant", "name", "plan", "status"), "VARCHAR") | {"budget_dollars": "DECIMAL(38, 12)"},
            [*terms.directory],
        )
        table(
            "plan",
            {"plan": "VARCHAR", "target_margin": "DOUBLE", "price": "DECIMAL(38, 12)"},
            [*terms.targets],
        )
        table(
            "budget",
            {"plan": "VARCHAR", "dollars": "DECIMAL(38, 12)", "factor": "HUGEINT", "divisor": "HUGEINT"},
            [
                (plan, dollars, *(fraction(share_of_mrr) if share_of_mrr else (None, None)))
                for plan, dollars, share_of_mrr in terms.budgets
            ],
        )
        for name in ("recent", "windows", "zeros", "ai", "outlook"):
            connection.execute(statements(name, "economics"))
        tell_savings(connection, terms.what_if)
        if events:
            tell_events(connection, terms.currency)
