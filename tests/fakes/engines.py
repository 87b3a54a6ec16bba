"""An engine that holds a FOCUS table and runs what it is sent, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Self

import pytest

from tests.fakes.focus_tables import FocusTable, focus_table
from unitcost.sources.bills.focus.engines import table as tables
from unitcost.sources.bills.focus.engines.dialect import Column
from unitcost.sources.bills.focus.engines.engine import Rows, Scan


@dataclass
class FakeEngine:
    """An engine that answers from a table in DuckDB, and notes what it was asked. fails: what it raises instead.

    bytes: what it says that any statement reads.
    """

    table: FocusTable
    where: str = "engine billing.focus"
    statements: list[str] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    bytes: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def columns(self) -> Sequence[Column]:
        return self.table.columns

    def rows(self, sql: str) -> Iterator[Rows]:
        self.statements.append(sql)
        if self.fails:
            raise self.fails.pop(0)
        _, found = self.table.run(sql)
        yield from (found[at : at + 7] for at in range(0, len(found), 7))

    def scan(self, sql: str) -> Scan:
        dollars = None if self.bytes is None else Decimal(self.bytes) * 5 / 10**12
        return Scan("a fake" if sql else "", self.bytes, dollars)


def fake(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """Let every bill be asked of one engine, whose table is empty; yield it once."""
    with focus_table(name) as table:
        made = FakeEngine(table)
        monkeypatch.setattr(tables, "connected_to", lambda _: made)
        yield made
