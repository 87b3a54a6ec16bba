"""Days of a source that are left out, as the ledger holds what cannot be counted or derived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date

import duckdb

from unitcost.facts import Problem
from unitcost.ledger.bounds import Doubt
from unitcost.ledger.store import Ledger

TRIALS = 24
"""So many derivations are tried at most to find the days that fail; then what is left is taken together."""


def remember(connection: duckdb.DuckDBPyConnection, doubts: Sequence[Doubt]) -> None:
    """Write doubts down; `told_day` and the derivation leave their days out."""
    if doubts:
        connection.executemany(
            "INSERT INTO doubt VALUES (?, ?, ?, ?, ?)", [(d.source, d.day, d.batch, d.reason, d.text) for d in doubts]
        )


def told(ledger: Ledger) -> dict[str, list[Problem]]:
    """Return what was left out of each source at the last derivation, a Problem for each reason."""
    found = ledger.rows(
        "SELECT source, reason, count(DISTINCT day), min(day), max(day), arg_max(text, day)"
        " FROM doubt GROUP BY source, reason ORDER BY source, reason"
    )
    problems: dict[str, list[Problem]] = {}
    for source, reason, days, first, last, text in found:
        more = f"; {days} days, {first} to {last}, are left out" if days > 1 else "; the day is left out"
        hint = "Windows with them are incomplete until it is mended"
        problems.setdefault(source, []).append(Problem(reason, f"the ledger, {last}", f"{text}{more}", hint))
    return problems


def blame(
    days: Sequence[date], sources: Sequence[str], works: Callable[[Sequence[date], Sequence[str]], bool], why: str
) -> list[Doubt]:
    """Return the days of sources without which the others can be derived, where deriving all of them failed.

    works: tells whether these days can be derived without these sources. Of a day that no single source spoils, all
    sources are left out.
    """
    doubts = []
    for part in _failing(days, works):
        alone = next(([name] for name in sources if works(part, [name])), [*sources])
        text = f"cannot be derived ({why}); this is a defect of unitcost, please report it"
        doubts += [Doubt(name, day, "", "defect", text) for name in alone for day in part]
    return doubts


def _failing(days: Sequence[date], works: Callable[[Sequence[date], Sequence[str]], bool]) -> Iterator[Sequence[date]]:
    """Yield the days that cannot be derived, one by one as far as TRIALS go."""
    parts = [days]
    trials = 0
    while parts:
        part = parts.pop()
        if len(part) == 1 or trials >= TRIALS:
            yield part
            continue
        halves = [half for half in (part[: len(part) // 2], part[len(part) // 2 :]) if not works(half, ())]
        trials += 2
        if not halves:  # only together
            yield part
        parts += halves
