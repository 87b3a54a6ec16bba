"""The history in the ledger as samples: what the windows said at the end of each past day, kept until it is written."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from unitcost.days import LAST_MONTH, served
from unitcost.economics.windows import Terms, look
from unitcost.ledger.changes import SECONDS_PER_REVISION
from unitcost.ledger.files import statements
from unitcost.ledger.store import Ledger
from unitcost.metrics.catalogue import ALL
from unitcost.metrics.metric import NO_WINDOW, Label, Select, Served, columns, query

MORNING = time(1, 0, 1, tzinfo=UTC)
"""Early, so that who asks what was said on a day finds it at every hour of that day, and not the day before's."""

LAST_MILLISECOND = 3_599_000 - 1
"""The last of that hour, counted from MORNING: a sample stands a millisecond later for every revision since then. It is
reached by what is derived 11 years later."""

ROWS_AT_ONCE = 50_000
MOMENT = "__moment"
NEVER = date(9999, 12, 31)


def known_days(ledger: Ledger) -> list[date]:
    """Return every day that a configured source knows, sorted. derive() must have been run."""
    return [day for (day,) in ledger.rows("SELECT DISTINCT day FROM known_day JOIN source USING (source) ORDER BY day")]


class Past:
    """Samples of past days in temporary tables of the ledger, one a metric: DuckDB spills them when they are many.

    metrics: those of which the ledger can say what they were on a past day.
    """

    def __init__(
        self, ledger: Ledger, terms: Terms, now: datetime | None = None, metrics: Sequence[Served] = ALL
    ) -> None:
        """Find the events once, as seen at `now`; None: when the last known day is over. derive() must have been run.

        A day's sample tells those of the days until then, with the texts of today: one series an event.
        """
        self._ledger = ledger
        self._terms = terms
        self._first_days = _first_known(ledger)
        self._selects = {metric: metric.filled for metric in metrics if isinstance(metric.filled, Select)}
        for metric in self._selects:
            *labels, value = columns(metric)
            kinds = "".join(f"{label} VARCHAR, " for label in labels)
            ledger.rows(f"CREATE OR REPLACE TEMP TABLE {_table(metric)} ({kinds}{value} DOUBLE, {MOMENT} BIGINT)")
        known = known_days(ledger)
        if known:
            over = datetime.combine(known[-1] + timedelta(1), time(), UTC)
            look(ledger, terms, over if now is None else now)

    @property
    def metrics(self) -> Sequence[Served]:
        """The metrics that there are samples of."""
        return tuple(self._selects)

    def add(self, day: date) -> None:
        """Keep what the exporter would have said when `day` ended, had it known what the ledger knows now."""
        now = datetime.combine(day, time(23, 59, 59), UTC)
        look(self._ledger, self._terms, now, closed_months=False, events=False)
        fixed = [select.window for select in self._selects.values() if isinstance(select.window, str) and select.window]
        named = sorted({*self._terms.windows, *fixed, LAST_MONTH})
        began = {one.name: one.first for one in served(named, now, self._terms.history, months=0)}
        at = self._time_of(day, min(began.values()))
        began[NO_WINDOW] = day
        known = [
            _need(need, name) for need, first in self._first_days.items() for name in began if began[name] >= first
        ]
        with self._ledger.transaction() as connection:
            for metric, select in self._selects.items():
                params: dict[str, Any] = {"at": at}
                if select.needs:
                    params["known"] = known
                connection.execute(
                    f"INSERT INTO {_table(metric)} SELECT *, $at FROM ({query(metric, select.sql)})"
                    f" WHERE {_is_known(select)}",
                    params,
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

    def samples(self, metric: Served) -> Generator[Sequence[tuple[Any, ...]], None, None]:
        """Yield the samples of a metric: labels, value, milliseconds since 1970; a series is in one piece.

        Holds the ledger until it is read to its end or closed.
        """
        *labels, _ = columns(metric)
        with self._ledger.transaction() as connection:
            found = connection.execute(f"SELECT * FROM {_table(metric)} ORDER BY {', '.join([*labels, MOMENT])}")
            while rows := found.fetchmany(ROWS_AT_ONCE):
                yield rows

    def _time_of(self, day: date, first: date) -> int:
        """Return the samples' time: later whenever a day that they speak of, the first one on, was derived again."""
        [(revision,)] = self._ledger.rows(
            "SELECT max(revision) FROM changed_day WHERE day BETWEEN ? AND ?", [first, day]
        )
        morning = int(datetime.combine(day, MORNING).timestamp())
        later = 0 if revision is None else revision - morning // SECONDS_PER_REVISION
        return morning * 1000 + min(max(later, 0), LAST_MILLISECOND)


def _first_known(ledger: Ledger) -> dict[str, date]:
    """Return the first day since when costs, revenue and each measure are known as a whole."""
    return dict(ledger.rows(statements("first_known", "metrics")))


def _table(metric: Served) -> str:
    return f"past_{metric.name}"


def _need(need: str, window: str) -> str:
    """Return what stands for a need, known as a whole since a window began."""
    return f"{need}|{window}"


def _is_known(select: Select) -> str:
    """Return SQL that is true of a row of which all that is needed is known since its window began."""
    window = _text(select.window)
    return " AND ".join(f"list_contains($known, {_text(need)} || '|' || {window})" for need in select.needs) or "true"


def _text(said: str | Label) -> str:
    """Return SQL for a text, or for what a row says in a label."""
    return f"'{said.behind}' || \"{said.name}\"" if isinstance(said, Label) else f"'{said}'"
