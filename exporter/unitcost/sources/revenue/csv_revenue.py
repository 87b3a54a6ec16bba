"""Monthly recurring revenue from a CSV file: tenant, mrr and, where they are there, currency, plan, as_of.

A tenant is whom a spelling means, through aliases and folding: a renamed customer is one. With a column
`subscription` a tenant may have several lines that hold together, one a subscription, and their sum is its MRR.

With `as_of` the file is its own history. `rows: changes`: a line holds from its as_of until the next line of the same
tenant and subscription; a customer who left needs a line with mrr 0. `rows: snapshots`: a line holds until the next
as_of that appears anywhere in the file; who is absent there has left. Days before the first as_of stay unknown, and an
as_of after today waits for its day.

Without `as_of` the file says what is so now. That counts for today and for days of the history of which
nothing is stored yet (the first load, days unitcost did not run or the file was refused); a Note names those. Until
today is over the file speaks for all of them: a correction corrects them too. What was stored on an earlier day is
never written again, so that a change counts from the day it was seen; a file with `as_of` corrects it.

Batches: one per UTC day, key = the ISO day, either way, so that a day can never be counted by two batches,
not even after a file got its `as_of` later. fingerprint: digest of what holds on that day; behind the day it was seen
on where the file has no `as_of`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from unitcost.errors import SourceError
from unitcost.facts import REVENUE, Asked, Batch, Note, Problem, Query
from unitcost.sources import values
from unitcost.sources.base import Context, FilePath, Settings, SourceKind
from unitcost.sources.csv_file import Mistakes, Row, Table, totals

NEEDED = ("tenant", "mrr")
OPTIONAL = ("currency", "plan", "as_of", "subscription")
DAY = timedelta(days=1)

HOLDING = """
SELECT ?::DATE AS first_day, ?::DATE AS last_day, unnest(?::VARCHAR[]) AS tenant,
    unnest(?::VARCHAR[])::DECIMAL(38, 12) AS mrr, unnest(?::VARCHAR[]) AS currency,
    unnest(?::VARCHAR[]) AS plan
"""


CODE_LENGTH = 3
"""Letters of an ISO 4217 code."""


Column = Literal["tenant", "mrr", "currency", "plan", "as_of", "subscription"]


class CsvRevenueSettings(Settings):
    """A CSV file of monthly recurring revenue.

    path: the file. rows: what a line with `as_of` means. columns: our names → the file's, where they differ.
    """

    type: Literal["csv_revenue"] = "csv_revenue"
    path: FilePath
    rows: Literal["changes", "snapshots"] = "changes"
    columns: dict[Literal["tenant", "mrr", "currency", "plan", "as_of", "subscription"], str] = Field(
        default_factory=dict
    )

    def identity(self, context: Context) -> list[object]:
        """Amounts without a currency are in the configured one."""
        return [*super().identity(context), context.currency]


class Line(NamedTuple):
    """One line of the file; as_of is date.min where the file has no such column.

    tenant: as it is spelt. whose: the tenant that is meant, and the subscription ("" where the file has none).
    """

    as_of: date
    whose: tuple[str, str]
    tenant: str
    mrr: Decimal
    currency: str
    plan: str | None


class CsvRevenue:
    """A CSV file of monthly recurring revenue per tenant."""

    kind: ClassVar[SourceKind] = "revenue"

    def __init__(self, name: str, settings: CsvRevenueSettings, context: Context) -> None:
        self.name = name
        self._settings = settings
        self._currency = context.currency
        self._names = context.names

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield each UTC day whose revenue differs from what is stored, newest first.

        Raises SourceError `missing`, `unreadable`, `format` or `value`; then nothing of the file is used.
        """
        table = Table(self._settings.path, NEEDED, OPTIONAL, self._settings.columns)
        lines, told = self._lines(table)
        yield from told
        if "as_of" in table:
            yield from self._history(lines, asked)
        else:
            yield from self._present(lines, asked)

    def _present(self, lines: Sequence[Line], asked: Asked) -> Iterator[Batch | Problem | Note]:
        holding = Holding(lines)
        filled = []
        for day in _days_back(asked.today, asked.first_day):
            seen, _, digest = (asked.stored.fingerprint(day.isoformat()) or "").rpartition(" ")
            if digest and (digest == holding.fingerprint or (day != asked.today and seen != asked.today.isoformat())):
                continue
            yield holding.batch(day, seen=asked.today)
            filled += [day] if day != asked.today else []
        if filled:
            yield Note(
                f"{self._settings.path} has no as_of: its amounts of today are taken for {len(filled)}"
                f" earlier days, {filled[-1]} to {filled[0]}. Add as_of where they were different"
            )

    def _history(self, lines: Sequence[Line], asked: Asked) -> Iterator[Batch | Problem | Note]:
        ordered = sorted(line for line in lines if line.as_of <= asked.today)
        if not ordered:
            raise SourceError(
                "value", str(self._settings.path), "every as_of is after today", f"Today is {asked.today} (UTC)"
            )
        if self._settings.rows == "changes":
            yield from _renamed(ordered, str(self._settings.path))
        holding: Holding | None = None
        for day in _days_back(asked.today, max(asked.first_day, ordered[0].as_of)):
            if holding is None or day < holding.since:
                holding = Holding(self._holding_on(day, ordered))
            _, _, digest = (asked.stored.fingerprint(day.isoformat()) or "").rpartition(" ")
            if digest != holding.fingerprint:
                yield holding.batch(day)

    def _holding_on(self, day: date, ordered: Sequence[Line]) -> list[Line]:
        until = [line for line in ordered if line.as_of <= day]
        if self._settings.rows == "snapshots":
            return [line for line in until if line.as_of == until[-1].as_of]
        return list({line.whose: line for line in until}.values())

    def _lines(self, table: Table) -> tuple[list[Line], list[Problem]]:
        mistakes = Mistakes(table.where)
        first_seen: dict[tuple[tuple[str, str], date], tuple[int, str]] = {}
        lines = []
        rows: dict[date, list[Row]] = defaultdict(list)
        for number, cells in table.lines(mistakes):
            line = self._line(number, cells, table, mistakes)
            if line is None:
                continue
            first, spelt = first_seen.setdefault((line.whose, line.as_of), (number, line.tenant))
            if first != number:
                as_of = f" as of {line.as_of}" if "as_of" in table else ""
                same = "" if spelt == line.tenant else f" as {values.shown(spelt)}, the same tenant"
                again = f"tenant {values.shown(line.tenant)}{as_of} stands on line {first} already{same}"
                mistakes.add(
                    number, f"{again}; several subscriptions need a column subscription, or one line with their sum"
                )
            lines.append(line)
            rows[line.as_of].append(Row(number, line.tenant, line.mrr))
        told = totals(rows.values(), mistakes)
        mistakes.refuse()
        return lines, told

    def _line(self, number: int, cells: dict[str, str], table: Table, mistakes: Mistakes) -> Line | None:
        names = table.names
        tenant = mistakes.parse(number, names["tenant"], cells["tenant"], values.tenant)
        mrr = mistakes.parse(number, names["mrr"], cells["mrr"], values.amount)
        currency: str | None = self._currency
        # A customer who pays nothing has no currency in many a billing system, and needs none.
        if "currency" in cells and (cells["currency"].strip() or mrr != 0):
            currency = mistakes.parse(number, names["currency"], cells["currency"], _currency)
        as_of: date | None = date.min
        if "as_of" in cells:
            as_of = mistakes.parse(number, names["as_of"], cells["as_of"], values.day)
        if tenant is None or mrr is None or currency is None or as_of is None:
            return None
        whose = self._names().tenant(tenant), cells.get("subscription", "").strip()
        return Line(as_of, whose, tenant, mrr, currency, cells.get("plan", "").strip() or None)


def _renamed(ordered: Sequence[Line], where: str) -> Iterator[Note]:
    """Say where a line of one spelling ends what another spelling of the same tenant said."""
    before: dict[tuple[str, str], Line] = {}
    for line in ordered:
        old = before.get(line.whose)
        before[line.whose] = line
        if old is not None and old.tenant != line.tenant and old.mrr and line.mrr:
            yield Note(
                f"{where}: {values.shown(line.tenant)} with {line.mrr.normalize():f} from {line.as_of} replaces"
                f" {values.shown(old.tenant)} with {old.mrr.normalize():f}: both mean {values.shown(line.whose[0])}."
                " If they are two subscriptions, tell them apart with a column subscription"
            )


class Holding:
    """The lines that hold together on a day, and on every day back to `since`."""

    def __init__(self, lines: Sequence[Line]) -> None:
        ordered = sorted(lines, key=lambda line: line.tenant)
        self.since = max(line.as_of for line in lines)
        self._columns = (
            [line.tenant for line in ordered],
            [format(line.mrr, "f") for line in ordered],
            [line.currency for line in ordered],
            [line.plan for line in ordered],
        )
        self.fingerprint = hashlib.sha256(repr(self._columns).encode()).hexdigest()

    def batch(self, day: date, seen: date | None = None) -> Batch:
        """Return the batch of one day; DuckDB unfolds the columns, which all days share.

        seen: the day on which the file said so, where it does not say itself since when.
        """
        return Batch(
            key=day.isoformat(),
            days=[day],
            fingerprint=self.fingerprint if seen is None else f"{seen} {self.fingerprint}",
            revenue=Query(HOLDING, (day, day, *self._columns)),
            says=REVENUE,
        )


def _days_back(last: date, first: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield last - number * DAY


def _currency(text: str) -> str:
    code = text.strip().upper()
    if len(code) != CODE_LENGTH or not code.isascii() or not code.isalpha():
        raise ValueError(f"{values.shown(text)} is not a currency code of three letters")
    return code
