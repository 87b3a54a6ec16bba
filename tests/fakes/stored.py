"""An in-memory stand-in for the ledger, for tests of a single source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

import duckdb

from unitcost.facts import Asked, Batch, Cost, Note, Problem, Query, Resource, Revenue, StoredBatch, Usage

T = TypeVar("T", Cost, Usage, Revenue)


def rows(kind: type[T], given: Iterable[T] | Query) -> list[T]:
    """Return the records of a batch, running its Query if it is one."""
    if not isinstance(given, Query):
        return list(given)
    with duckdb.connect() as connection:
        found = connection.execute(given.sql, list(given.params))
        names = [column[0] for column in found.description or []]
        return [kind(**dict(zip(names, row, strict=True))) for row in found.fetchall()]


class MemoryStored:
    """Keeps batches as a ledger would; satisfies facts.Stored."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.batches: dict[str, Batch] = {}
        self.loaded: dict[str, datetime] = {}
        self.empty: dict[str, datetime] = {}

    def batch(self, key: str) -> StoredBatch | None:
        batch = self.batches.get(key)
        return StoredBatch(batch.fingerprint, batch.until, batch.lacks, self.loaded[key]) if batch else None

    def fingerprint(self, key: str) -> str | None:
        batch = self.batches.get(key)
        return batch.fingerprint if batch else None

    def keys(self) -> set[str]:
        return set(self.batches)

    def asked_empty(self, key: str) -> datetime | None:
        return self.empty.get(key)

    def costs(self, key: str) -> list[Cost]:
        batch = self.batches.get(key)
        return rows(Cost, batch.cost) if batch else []

    def totals(self, key: str) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for cost in self.costs(key):
            found[cost.currency] = found.get(cost.currency, Decimal(0)) + cost.amount
        return found

    def resources(self, first_day: date, last_day: date) -> list[Resource]:
        found = {one for batch in self.batches.values() for one in batch.resources if first_day <= one.day <= last_day}
        return sorted(found, key=astuple)

    def take(self, given: Iterable[Batch | Problem | Note]) -> list[Problem]:
        """Store every batch at once, as the refresh does; return the problems."""
        problems = []
        for item in given:
            if isinstance(item, Problem):
                problems.append(item)
            elif isinstance(item, Batch) and not item.empty:
                # What a Query reads may change afterwards; what is stored does not.
                self.batches[item.key] = replace(item, cost=rows(Cost, item.cost))
                self.loaded[item.key] = self.now
                self.empty.pop(item.key, None)
            elif isinstance(item, Batch):
                self.empty[item.key] = self.now
        return problems

    def total(self) -> Decimal:
        """Sum every stored cost row."""
        return sum((cost.amount for key in self.batches for cost in self.costs(key)), Decimal(0))


def asked(now: datetime, first_day: date, stored: MemoryStored | None = None, restate_days: int = 3) -> Asked:
    """Build what a refresh asks."""
    return Asked(now=now, first_day=first_day, restate_days=restate_days, stored=stored or MemoryStored(now))


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return a UTC time."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
