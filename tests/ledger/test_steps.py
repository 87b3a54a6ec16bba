"""Each .sql file says in its first lines what it reads and writes, and that is what it does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from unitcost.ledger.order import LOOKUPS, STEPS, names

PACKAGE = Path(__file__).parents[2] / "exporter" / "unitcost"
FILES = {path.stem: path for path in sorted(PACKAGE.rglob("*.sql"))}
MIGRATIONS = {"schema_2", "schema_3", "schema_4"}
"""They read tables that are no more."""
ALL_TABLES = {"prune", "schema", *MIGRATIONS}
"""What these write is every table, or as good as."""
DERIVED = (*names(LOOKUPS), *names(STEPS))
SEEN = ("recent", "windows", "zeros", "ai", "outlook", "ai_savings", "events")
"""The order that economics/windows.py runs its files in."""


@dataclass(frozen=True)
class Step:
    """The names of tables and views that a file's statements read and write; those it made itself it does not read."""

    reads: frozenset[str]
    writes: frozenset[str]


def _target(statement: exp.Expr) -> exp.Table | None:
    """Return the table or view that a statement makes or changes."""
    if isinstance(statement, exp.Create) and isinstance(statement.this, exp.UserDefinedFunction):
        return None
    if isinstance(statement, exp.Create | exp.Insert | exp.Delete | exp.Update | exp.Drop):
        return (statement.this or statement).find(exp.Table)
    return None


@cache
def step(name: str) -> Step:
    """Return what a file does, by its statements."""
    reads, writes = set(), set()
    for statement in sqlglot.parse(FILES[name].read_text(encoding="utf-8"), dialect="duckdb"):
        if statement is None:
            continue
        defined = {common.alias for common in statement.find_all(exp.CTE)}
        defined |= {macro.this.name for macro in statement.find_all(exp.UserDefinedFunction)}
        target = _target(statement)
        if target is not None:
            writes.add(target.name)
        reads |= {
            table.name
            for table in statement.find_all(exp.Table)
            if table is not target and isinstance(table.this, exp.Identifier) and table.name not in defined | writes
        }
    return Step(frozenset(reads), frozenset(writes))


@cache
def made_in_python() -> frozenset[str]:
    """Return the temporary tables that Python fills."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    filled = re.findall(r"\btable\(\s*\"(\w+)\"|temporary_table\(\s*\w+,\s*\"(\w+)\"", text)
    created = re.findall(r"CREATE OR REPLACE TEMP TABLE (\w+)", text)
    return frozenset({*created, *(one or other for one, other in filled)})


@cache
def read_in_python() -> frozenset[str]:
    """Return the tables that SQL in Python reads."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    return frozenset(re.findall(r"\b(?:FROM|JOIN) (\w+)", text))


def said(name: str) -> tuple[set[str], set[str]]:
    """Return the words of a file's two headers. A line that is indented goes on with the one before."""
    found = re.match(r"-- reads: (.*(?:\n-- {8,}.*)*)\n-- writes: (.*(?:\n-- {8,}.*)*)", FILES[name].read_text("utf-8"))
    assert found, f"{name}.sql must begin with `-- reads: …` and `-- writes: …`"
    reads, writes = (set(re.findall(r"\w+", words)) for words in found.groups())
    return reads, writes


def tables() -> set[str]:
    return {table for name in FILES for table in step(name).writes} | made_in_python()


@pytest.mark.parametrize("name", sorted(FILES.keys() - MIGRATIONS))
def test_a_file_reads_what_it_says(name: str) -> None:
    reads, _ = said(name)
    assert step(name).reads - reads == set(), "read, and not said"
    assert (reads & tables()) - step(name).reads == set(), "said, and not read"


@pytest.mark.parametrize("name", sorted(FILES.keys() - ALL_TABLES))
def test_a_file_writes_what_it_says_and_names_all_that_others_read(name: str) -> None:
    _, writes = said(name)
    elsewhere = {table for other in FILES if other != name for table in step(other).reads}
    missing = {table for table in step(name).writes - writes if table in elsewhere or table in read_in_python()}
    assert missing == set(), "written for others, and not said"


@pytest.mark.parametrize("order", [DERIVED, SEEN])
def test_what_a_step_reads_was_written_before_it(order: tuple[str, ...]) -> None:
    known = {*step("schema").writes, *step("session").writes, *made_in_python()}
    if order is SEEN:
        known |= {table for name in DERIVED for table in step(name).writes}
    for name in order:
        assert step(name).reads - known == set(), name
        known |= step(name).writes


def test_the_order_is_that_of_the_headers() -> None:
    assert names(LOOKUPS).index("scopes") < names(LOOKUPS).index("billed")
    assert names(STEPS)[0] == "attribute"
    assert names(STEPS)[-1] == "settle"


def test_what_the_parser_finds_is_what_a_statement_does() -> None:
    assert step("first_known").reads == {"told_day", "usage_day", "source"}
    assert step("first_known").writes == set()
    assert step("apportion") == Step(frozenset(), frozenset())
