"""A bill that stands in an engine's table: its billing periods, each asked for when it is due and never otherwise."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb

from unitcost.days import month_before, month_of
from unitcost.errors import SourceError
from unitcost.facts import COST, Asked, Batch, Note, Problem
from unitcost.in_memory import in_memory
from unitcost.sources.base import Waiting
from unitcost.sources.bills.focus.contents import Facts, told_by_sums
from unitcost.sources.bills.focus.engines.answer import kept
from unitcost.sources.bills.focus.engines.engine import Engine, QueryError, Scan, connected_to, table, where
from unitcost.sources.bills.focus.engines.settings import EngineSettings
from unitcost.sources.bills.focus.engines.statement import Table
from unitcost.sources.bills.focus.engines.wrong import Counted, counted, wrong
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.known import Restatements, is_settled, known_days
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.query import Bill, build
from unitcost.sources.bills.focus.scan import EXACT, Schema
from unitcost.sources.daily import midnight

log = logging.getLogger(__name__)

FORMAT = 1
"""Part of every fingerprint; raised when the same table would give other rows."""
EMPTY_AGAIN = timedelta(days=7)
"""When a past month of which the table has nothing is asked for again."""
FAILED_AGAIN = timedelta(minutes=30)
"""When a statement that failed in the engine is sent again, at the earliest."""
EMPTY_HINT = "Wait for the first export, or set engine.partition to the column that holds the billing period"
OPEN = timedelta(days=31 + 6)
"""So long after its first day a month may still be open: providers close one within five days after its end."""


@dataclass(frozen=True)
class Answer:
    """What the engine said of a billing period, and when it was asked (UTC). bill: None where it has no charge."""

    at: datetime
    bill: Bill | None
    counted: Counted
    problem: Problem | None = None


@dataclass(frozen=True)
class Planned:
    """A statement that is to be sent for a billing period, and what it would read."""

    key: str
    sql: str
    scan: Scan


class TableBill:
    """The billing periods of one table; a batch is a billing period, as of files.

    Only those that can still change, or are not stored, are asked for. A fingerprint says of which table a batch is,
    when that was read, and whether the period was closed by then, so that this survives a restart. The period before,
    which tells whether a bill has usage every day, is known where it was asked for since the start.
    """

    def __init__(self, name: str, settings: EngineSettings, options: Options, *, zero: bool, waiting: Waiting) -> None:
        self.name = name
        self._settings = settings
        self._options = options
        self._zero = zero
        self._waiting = waiting
        self._where = where(settings)
        made_of = (FORMAT, type(settings).__name__, settings.table, settings.partition, options)
        self._digest = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
        self._answers: dict[str, Answer] = {}
        self._failed: dict[str, tuple[datetime, Problem]] = {}
        self._restatements = Restatements(name)

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield what changed, newest first, and what is wrong with each billing period.

        Raises SourceError when the engine cannot be reached or refuses the table, and `empty` when it holds no charge.
        """
        self._ask(self.due(asked), asked)
        for key in months(asked):
            if key in self._failed:
                yield self._failed[key][1]
            elif key in self._answers:
                yield from self._told(key, asked)
        said = self._failed or any(one.bill or one.problem for one in self._answers.values())
        if not said and not asked.stored.keys():
            text = f"holds no charge of {months(asked)[-1]} to {months(asked)[0]}"
            raise SourceError("empty", self._where, text, EMPTY_HINT)

    def due(self, asked: Asked) -> list[str]:
        """Return the billing periods that the next refresh would ask for, newest first."""
        return [key for key in months(asked) if self._is_due(key, asked)]

    def planned(self, asked: Asked) -> Iterator[Planned]:
        """Yield what the next refresh would ask for, newest first; nothing that costs is asked. Raises SourceError."""
        with self._waiting.on(self._where), connected_to(self._settings) as engine:
            found = table(self._settings, engine)
            found.require(self._options)
            for key in self.due(asked):
                sql = found.statement(self._options, key).sql
                yield Planned(key, sql, engine.scan(sql))

    def _is_due(self, key: str, asked: Asked) -> bool:
        if key in self._failed:
            return asked.now - self._failed[key][0] >= FAILED_AGAIN
        answer = self._answers.get(key)
        read = Read.of(asked.stored.fingerprint(key), self._digest)
        if read is not None and read.closed:
            return False
        times = [one for one in (answer and answer.at, read and read.at, asked.stored.asked_empty(key)) if one]
        nothing = read is None and (answer is None or answer.problem is None)
        rare = nothing and asked.now - midnight(month_of(key)) >= OPEN
        return not times or asked.now - max(times) >= (EMPTY_AGAIN if rare else self._settings.every)

    def _ask(self, due: list[str], asked: Asked) -> None:
        if not due:
            return
        with self._waiting.on(self._where), connected_to(self._settings) as engine:
            found = table(self._settings, engine)
            found.require(self._options)
            for key in due:
                try:
                    self._answers[key] = self._answer(engine, found, key, asked.now)
                    self._failed.pop(key, None)
                except QueryError as error:
                    if error.reason == "stopped":
                        raise
                    self._failed[key] = asked.now, Problem.of(error)

    def _answer(self, engine: Engine, found: Table, key: str, now: datetime) -> Answer:
        statement = found.statement(self._options, key)
        log.info("%s: asks %s for %s", self.name, self._where, key)
        with in_memory() as connection:
            try:
                sums = kept(engine.rows(statement.sql), statement.columns, self._where, connection)
                if sums is None:
                    return Answer(now, None, Counted())
                periods, _ = told_by_sums(sums, self._options, connection)
                count = counted(sums, self._options, connection)
            except duckdb.Error as error:  # no room for it, or sums beyond all bounds
                text = f"its answer for {key} cannot be summed up: {str(error).splitlines()[0]}"
                raise QueryError("unreadable", self._where, text, "Make room in TMPDIR") from error
        if problem := wrong(key, periods, count, self._options, self._where):
            return Answer(now, None, count, problem)
        file = BillFile(Path(self._where), self._settings.table, 0, 0)
        schema = Schema("parquet", ((self._options.cost, EXACT),))
        return Answer(now, Bill.of(key, [Facts(file, schema, periods, sums=sums)]), count)

    def _told(self, key: str, asked: Asked) -> Iterator[Batch | Problem | Note]:
        answer = self._answers[key]
        if answer.problem is not None:
            yield answer.problem
            return
        if answer.bill is None:
            if asked.stored.fingerprint(key) is not None:
                yield Note(f"{key}: the table holds no charge of it any more; what was stored of it stays")
            last = asked.stored.asked_empty(key)
            if last is None or last < answer.at:
                yield Batch(key, ())
            return
        bill, settled = answer.bill, is_settled(answer.bill, answer.at)
        days, holes = known_days(bill, self._before(key), answer.at, zero=self._zero)
        fingerprint = f"{Read(self._digest, answer.at, settled)}"
        stored = asked.stored.fingerprint(key)
        if stored != fingerprint:
            self._restatements.compare(bill, asked.stored, settled=settled)
            yield Batch(key, days, fingerprint, cost=build(bill, self._options, kept=True), says=COST)
        else:  # it is stored, so that its rows are needed no longer
            facts = [replace(one, sums=None) for one in bill.facts]
            self._answers[key] = replace(answer, bill=replace(bill, facts=facts))
        yield from self._restatements.notes(bill, holes, settled=settled)
        yield from answer.counted.notes(key, self._options)

    def _before(self, key: str) -> Bill | None:
        """Return the billing period before this one, where the engine said it since the start."""
        known = sorted(month for month, answer in self._answers.items() if answer.bill is not None)
        earlier = {later: month for month, later in pairwise(known)}
        return self._answers[earlier[key]].bill if key in earlier else None


@dataclass(frozen=True)
class Read:
    """What a fingerprint says: of which table and settings, when it was read (UTC), whether it was closed by then."""

    digest: str
    at: datetime
    closed: bool

    @classmethod
    def of(cls, fingerprint: str | None, digest: str) -> Read | None:
        """Return what a fingerprint says; None where it is of another table, or of files."""
        found = re.fullmatch(rf"{digest} (\S+)( closed)?", fingerprint or "")
        return None if found is None else cls(digest, datetime.fromisoformat(found[1]), found[2] is not None)

    def __str__(self) -> str:
        return f"{self.digest} {self.at.isoformat()}{' closed' if self.closed else ''}"


def months(asked: Asked) -> list[str]:
    """Return the billing periods of the history, newest first."""
    found = []
    month = asked.today.replace(day=1)
    while month >= asked.first_day.replace(day=1):
        found.append(f"{month:%Y-%m}")
        month = month_before(month)
    return found
