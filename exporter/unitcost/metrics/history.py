"""The history in the ledger as samples: what the windows said at the end of each past day, kept until it is written."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from unitcost.days import served
from unitcost.economics.windows import Terms, look
from unitcost.ledger.changes import CLOCK_STEP
from unitcost.ledger.files import statements
from unitcost.ledger.store import Ledger
from unitcost.metrics import catalogue
from unitcost.metrics.catalogue import Metric
from unitcost.metrics.families import SELECTS

MORNING = time(1, 0, 1, tzinfo=UTC)
"""Early, so that who asks what was said on a day finds it at every hour of that day, and not the day before's."""

SECONDS_PER_MILLISECOND = CLOCK_STEP // timedelta(seconds=1)
"""A sample stands a millisecond after MORNING for every so many seconds from then to the day's derivation."""

LAST_MILLISECOND = 3_599_000 - 1
"""The last of that hour, counted from MORNING: reached by what is derived 11 years later."""

ROWS_AT_ONCE = 50_000
NEVER = date(9999, 12, 31)

COST, REVENUE, MEASURE, REQUESTS = "costs", "revenue", "<measure>", "usage requests"

NEEDS: Mapping[Metric, tuple[str, ...]] = {
    catalogue.TENANT_REVENUE: (REVENUE,),
    catalogue.PLATFORM_REVENUE: (REVENUE,),
    catalogue.TENANT_MARGIN: (COST, REVENUE),
    catalogue.MARGIN_RATIO: (COST, REVENUE),
    catalogue.PLATFORM_MARGIN_RATIO: (COST, REVENUE),
    catalogue.COST_PER_REQUEST: (COST, REQUESTS),
    catalogue.PLATFORM_COST_PER_REQUEST: (COST, REQUESTS),
    catalogue.PLATFORM_USAGE: (MEASURE,),
    catalogue.COST_PER_UNIT: (COST, MEASURE),
    catalogue.TENANT_USAGE: (MEASURE,),
}
"""Metric → what must be known since a window began; all others need the costs."""

SPANS: Mapping[Metric, str] = {catalogue.TENANT_BUDGET_USED: "mtd"}
"""Metric without a label for it → the window that its number is of."""


def known_days(ledger: Ledger) -> list[date]:
    """Return every day that a configured source knows, sorted. derive() must have been run."""
    return [day for (day,) in ledger.rows("SELECT DISTINCT day FROM known_day JOIN source USING (source) ORDER BY day")]


class Past:
    """Samples of past days in temporary tables of the ledger, one a metric: DuckDB spills them when they are many."""

    def __init__(self, ledger: Ledger, terms: Terms, now: datetime | None = None) -> None:
        """Find the events once, as seen at `now`; None: when the last known day is over. derive() must have been run.

        A day's sample tells those of the days until then, with the texts of today: one series an event.
        """
        self._ledger = ledger
        self._terms = terms
        self._first_days = _first_known(ledger)
        for number, (metric, _) in enumerate(SELECTS):
            columns = "".join(f"{column} VARCHAR, " for column in _columns(metric))
            ledger.rows(f"CREATE OR REPLACE TEMP TABLE past_{number} ({columns}value DOUBLE, moment BIGINT)")
        known = known_days(ledger)
        if known:
            over = datetime.combine(known[-1] + timedelta(1), time(), UTC)
            look(ledger, terms, over if now is None else now)

    def add(self, day: date) -> None:
        """Keep what the exporter would have said when `day` ended, had it known what the ledger knows now."""
        now = datetime.combine(day, time(23, 59, 59), UTC)
        look(self._ledger, self._terms, now, closed_months=False, events=False)
        named = sorted({*self._terms.windows, *SPANS.values(), "last_month"})
        spans = {one.name: one.first for one in served(named, now, self._terms.history, months=0)}
        at = self._time_of(day, min(spans.values()))
        allowed = [
            f"{need}|{name}" for need, first in self._first_days.items() for name in spans if spans[name] >= first
        ]
        with self._ledger.transaction() as connection:
            for number, (metric, sql) in enumerate(SELECTS):
                names = ", ".join([*_columns(metric), "value"])
                where = " AND ".join(f"list_contains($allowed, {key})" for key in _keys(metric)) or "true"
                params: dict[str, Any] = {"at": at}
                if where != "true":
                    params["allowed"] = allowed
                connection.execute(
                    f"INSERT INTO past_{number} SELECT q.*, $at FROM ({sql}) q({names}) WHERE {where}", params
                )

    def left_out(self, first: date) -> list[str]:
        """Say what is not known as a whole since this day, so that its windows begin later."""
        return [
            f"{need}: a required source knows no day, so nothing of it is written"
            if day == NEVER
            else f"{need}: known as a whole since {day}; windows that begin before that are left out"
            for need, day in sorted(self._first_days.items())
            if day > first
        ]

    def samples(self, number: int) -> Generator[Sequence[tuple[Any, ...]], None, None]:
        """Yield the samples of SELECTS[number]: labels, value, milliseconds since 1970; a series is in one piece.

        Holds the ledger until it is read to its end or closed.
        """
        columns = ", ".join([*_columns(SELECTS[number][0]), "moment"])
        with self._ledger.transaction() as connection:
            found = connection.execute(f"SELECT * FROM past_{number} ORDER BY {columns}")
            while rows := found.fetchmany(ROWS_AT_ONCE):
                yield rows

    def _time_of(self, day: date, first: date) -> int:
        """Return the samples' time: later whenever a day that they speak of, the first one on, was derived again."""
        [(seconds,)] = self._ledger.rows(
            "SELECT epoch(max(changed_at)) FROM changed_day WHERE day BETWEEN ? AND ?", [first, day]
        )
        morning = int(datetime.combine(day, MORNING).timestamp())
        later = 0 if seconds is None else int(seconds - morning) // SECONDS_PER_MILLISECOND
        return morning * 1000 + min(max(later, 0), LAST_MILLISECOND)


def _first_known(ledger: Ledger) -> dict[str, date]:
    """Return the first day since when costs, revenue and each measure are known as a whole."""
    return dict(ledger.rows(statements("first_known", "metrics")))


def _columns(metric: Metric) -> list[str]:
    return [f"l{number}" for number in range(len(metric.labels))]


def _keys(metric: Metric) -> list[str]:
    """Return SQL for "need|window" of a row, for everything that must be known since the window began."""
    if "window" in metric.labels:
        span = f"l{metric.labels.index('window')}"
    elif metric in SPANS:
        span = f"'{SPANS[metric]}'"
    else:
        return []
    measure = next((f"l{n}" for n, label in enumerate(metric.labels) if label in {"measure", "unit"}), "''")
    return [
        f"'usage ' || {measure} || '|' || {span}" if need == MEASURE else f"'{need}|' || {span}"
        for need in NEEDS.get(metric, (COST,))
    ]
