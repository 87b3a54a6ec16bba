"""Whether files with charges of the same days are parts of one export, or the same charges delivered again.

Parts have names that differ by the part number, the same columns, and rows of which few stand in another part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import duckdb

from unitcost.in_memory import in_memory
from unitcost.sources.bills.focus.asking import period_rows
from unitcost.sources.bills.focus.contents import Facts
from unitcost.sources.bills.focus.days import first_day
from unitcost.sources.bills.focus.errors import explain
from unitcost.sources.bills.focus.files import BillFile, Overlap, copies, export_name, overlap
from unitcost.sources.bills.focus.scan import LEDGER, Schema

SAMPLED_BYTES = 1 << 30
"""Of an export larger than this only each second, third … row (by its hash) is compared, to bound the memory."""

NAMED = 3
"""Of the columns that one file has alone, so many are named."""


@dataclass(frozen=True)
class Part:
    """One file's charges of one billing period."""

    facts: Facts
    schema: Schema
    key: str

    @property
    def file(self) -> BillFile:
        """The file."""
        return self.facts.file

    @property
    def columns(self) -> set[str]:
        """The names of its columns, whose order and case mean nothing."""
        return {name.lower() for name, _ in self.schema.columns}

    def row(self, *, counted: bool) -> str:
        """Return SQL for a hash of a row, of all columns or (not counted) of what says which charge it is.

        That leaves out costs and quantities, and tags where there is a resource to tell charges apart: a second
        delivery often comes with other figures and other tags.
        """
        made_of = []
        for name in sorted(self.columns):
            text = f"CAST({self.schema.raw(name)} AS VARCHAR)"
            if name == "tags" and not counted:
                text = f"CASE WHEN {self.schema.text('ResourceId')} IS NULL THEN {text} END"
            if counted or not name.endswith(("cost", "quantity")):
                made_of.append(text)
        return f"hash({', '.join(made_of)})"

    def days_with(self, other: Part) -> Overlap | None:
        """Return the first day of which both have charges, or None."""
        common = self.facts.periods[self.key].days & other.facts.periods[self.key].days
        return Overlap(self.file, other.file, min(common), "") if common else None


def delivered_twice(key: str, facts: Sequence[Facts], cost: str, *, adding: bool) -> Overlap | None:
    """Return two files that hold charges of one billing period twice, or None.

    adding: files may share days and charges, so that only the very same rows are refused. Raises SourceError
    when a file can no longer be read.
    """
    days = {one.file: one.periods[key].days for one in facts}
    found = copies(days) or (None if adding else overlap(days))
    if found:
        return found
    parts = [Part(one, one.schema, key) for one in facts if one.schema is not None and one.periods[key].days]
    common = {(one.file, other.file): at for one, other in combinations(parts, 2) if (at := one.days_with(other))}
    named = {file for pair in common for file in pair}
    sharing = [part for part in parts if part.file in named]
    if not sharing:
        return None
    if adding:
        return _same_rows(sharing, common)
    columns = {part.file: part.columns for part in sharing}
    for (one, other), at in common.items():
        if differing := sorted(columns[one] ^ columns[other]):
            some = ", ".join(differing[:NAMED]) + (" …" if len(differing) > NAMED else "")
            return _because(at, f"have other columns ({some} in one of them only)")
    groups: dict[str, list[Part]] = {}
    for part in sharing:
        groups.setdefault(export_name(part.file.name), []).append(part)
    return next((found for group in groups.values() if (found := _same_charges(group, common, cost))), None)


Common = dict[tuple[BillFile, BillFile], Overlap]


def _because(at: Overlap, why: str) -> Overlap:
    return Overlap(at.first, at.second, at.day, f"{why}, so they are no parts of one export")


def _same_rows(parts: Sequence[Part], common: Common) -> Overlap | None:
    """Find two files with the same rows to the last value: another compression, line end or order of rows."""
    seen: dict[object, list[BillFile]] = {}
    with in_memory() as connection:
        for part in parts:
            asked = f"SELECT count(*), sum({part.row(counted=True)}::HUGEINT)"
            (found,) = _ask(connection, f"{asked} FROM ({period_rows(part.schema)})", part)
            same = seen.setdefault((frozenset(part.columns), found), [])
            for before in same:
                if at := common.get((before, part.file)):
                    return Overlap(at.first, at.second, at.day, "hold the same rows, costs included", same=True)
            same.append(part.file)
    return None


def _same_charges(parts: Sequence[Part], common: Common, cost: str) -> Overlap | None:
    """Find two parts of which one's charges stand, for the most part, in the other too, or whose totals say so."""
    sampled = 1 + sum(part.file.size for part in parts) // SAMPLED_BYTES
    with in_memory() as connection:
        connection.execute(
            f"CREATE TABLE charges (file INT, day DATE, service VARCHAR, hash UBIGINT, n INT, total {LEDGER})"
        )
        for at, part in enumerate(parts):
            schema = part.schema
            service = "ServiceName" if schema.has("ServiceName") else "ServiceCategory"
            day = first_day(schema.time("ChargePeriodStart"), schema.time("ChargePeriodEnd"))
            rows = (
                f"SELECT {day} AS day, {schema.text(service)} AS service,"
                f" {part.row(counted=False)} AS hash, {schema.cost(cost)} AS cost"
                f" FROM ({period_rows(schema)})"
            )
            grouped = (
                f"SELECT {at}, day, service, CASE WHEN hash % {sampled} = 0 THEN hash END AS kept, count(*), sum(cost)"
            )
            _ask(connection, f"INSERT INTO charges {grouped} FROM ({rows}) GROUP BY ALL", part)
        for one, other, shared, fewer in connection.execute(SHARED).fetchall():
            if at_ := common.get((parts[one].file, parts[other].file)):
                return _because(at_, f"hold {shared} of {fewer} rows twice, costs and quantities aside")
        for one, other, equal in connection.execute(TOTALS).fetchall():
            if at_ := common.get((parts[one].file, parts[other].file)):
                return _because(at_, f"have equal totals in all {equal} of the days and services of one of them")
    return None


SHARED = """
WITH daily AS (SELECT file, day, sum(n) AS n FROM charges WHERE hash IS NOT NULL GROUP BY ALL),
rows AS (
    SELECT one.file AS one, other.file AS other, least(sum(one.n), sum(other.n)) AS fewer
    FROM daily AS one JOIN daily AS other ON one.day = other.day AND one.file < other.file GROUP BY ALL),
shared AS (
    SELECT one.file AS one, other.file AS other, sum(least(one.n, other.n)) AS shared
    FROM charges AS one JOIN charges AS other
        ON one.hash = other.hash AND one.day = other.day AND one.file < other.file GROUP BY ALL)
SELECT one, other, shared, fewer FROM shared JOIN rows USING (one, other) WHERE 2 * shared >= fewer ORDER BY ALL"""
"""Pairs of files, and how many rows of the one with fewer rows, on their common days, stand in the other."""

# One amount alone may be two customers' same fee; a day at a boundary may hold little of either file.
TOTALS = """
WITH totals AS (SELECT file, day, service, sum(total) AS total FROM charges GROUP BY ALL HAVING sum(total) <> 0),
daily AS (SELECT file, day, count(*) AS n FROM totals GROUP BY ALL),
files AS (SELECT file, sum(n) AS n FROM daily GROUP BY file),
equal AS (
    SELECT one.file AS one, other.file AS other, count(*) AS equal
    FROM totals AS one JOIN totals AS other
        ON one.day = other.day AND one.service IS NOT DISTINCT FROM other.service AND one.total = other.total
        AND one.file < other.file
    GROUP BY ALL HAVING count(DISTINCT one.total) > 1),
common AS (
    SELECT one.file AS one, other.file AS other, least(sum(one.n), sum(other.n)) AS fewer
    FROM daily AS one JOIN daily AS other ON one.day = other.day AND one.file < other.file GROUP BY ALL)
SELECT one, other, equal FROM equal JOIN common USING (one, other)
    JOIN files AS f ON f.file = one JOIN files AS s ON s.file = other
WHERE equal = fewer AND 2 * equal > least(f.n, s.n) ORDER BY ALL"""
"""Pairs of files whose totals are equal in every (day, service) of one of them, most of that file."""


def _ask(connection: duckdb.DuckDBPyConnection, sql: str, part: Part) -> list[tuple[object, ...]]:
    try:
        return connection.execute(sql, [[part.file.pattern], part.key]).fetchall()
    except duckdb.Error as error:
        raise explain(error, [part.file]) from error
