"""What cannot be counted: refused when a batch is stored, and left out by day when a ledger holds it all the same.

A ledger can hold it from a version that did not look, and since a rate was taken away. Sums are looked at as floats,
which end at 1e308: what is looked for could not be added up exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import duckdb

from unitcost.errors import SourceError
from unitcost.facts import LARGEST_DAY, LARGEST_USAGE, Batch


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a source says of a UTC day in one of its batches ("": it is not known in which) cannot be counted."""

    source: str
    day: date
    batch: str
    reason: str
    text: str


@dataclass(frozen=True)
class _Kind:
    """Records of one table: the columns of their unit and number, the most of a day, and their rows by day."""

    name: str
    table: str
    unit: str
    number: str
    most: Decimal
    rows: str
    money: bool = True


_KINDS = (
    _Kind("cost", "cost", "currency", "amount", LARGEST_DAY, "cost"),
    _Kind("MRR", "revenue", "currency", "mrr", LARGEST_DAY, "mrr_day"),
    _Kind("usage", "usage", "measure", "quantity", LARGEST_USAGE, "usage", money=False),
)


def uncountable(
    connection: duckdb.DuckDBPyConnection,
    rates: Mapping[str, Decimal],
    where: str,
    params: Sequence[object],
    days: Sequence[date] | None = None,
    kinds: Sequence[_Kind] | None = None,
) -> list[Doubt]:
    """Return what cannot be counted of these days (None: all) among the rows that a condition selects.

    where: over source and batch.
    """
    found = []
    for kind in _KINDS if kinds is None else kinds:
        # First at a glance: hardly ever could so many records of that size be too much.
        on_days = " AND day BETWEEN ? AND ?" if days and kind.rows == kind.table else ""
        seen = connection.execute(
            f"SELECT {kind.unit}, count(*), max(abs({kind.number})) FROM {kind.table}"
            f" WHERE {where}{on_days} GROUP BY ALL",
            [*params, *([min(days), max(days)] if days and on_days else [])],
        ).fetchall()
        if all(_fits(kind, unit, float(largest) * count, rates) for unit, count, largest in seen):
            continue
        sums = connection.execute(
            f"SELECT source, batch, day, {kind.unit}, sum(abs({kind.number})::DOUBLE) FROM {kind.rows} WHERE {where}"
            f"{'' if days is None else ' AND day IN (SELECT unnest(?::DATE[]))'} GROUP BY ALL ORDER BY ALL",
            [*params, *([] if days is None else [days])],
        ).fetchall()
        for source, batch, day, unit, whole in sums:
            if kind.money and unit not in rates:
                text = f"holds {unit}, which has no rate; add {unit} to currency.rates"
                found.append(Doubt(source, day, batch, "currency", text))
            elif not _fits(kind, unit, whole, rates):
                text = _too_large(connection, kind, (source, batch, day, unit), whole)
                found.append(Doubt(source, day, batch, "value", text))
    return found


def _fits(kind: _Kind, unit: str, whole: float, rates: Mapping[str, Decimal]) -> bool:
    if not kind.money:
        return whole <= kind.most
    return unit in rates and whole * max(float(rates[unit]), 1) <= kind.most


def _too_large(connection: duckdb.DuckDBPyConnection, kind: _Kind, where: tuple[object, ...], whole: float) -> str:
    """Say what sums to too much, and the largest record of it."""
    service = "service" if kind.name == "cost" else "NULL"
    [(tenant, of, number)] = connection.execute(
        f"SELECT tenant, {service}, {kind.number} FROM {kind.rows}"
        f" WHERE source = ? AND batch = ? AND day = ? AND {kind.unit} = ? ORDER BY abs({kind.number}) DESC LIMIT 1",
        [*where],
    ).fetchall()
    whose = f"tenant {tenant!r}" if tenant is not None else "nobody"
    return (
        f"its {kind.name} in {where[-1]} comes to {whole:.4g}, and more than {kind.most:.0e} cannot be counted; the"
        f" largest is {number.normalize():f} of {whose}{f' ({of})' if of else ''}"
    )


HINT = "Correct it where it comes from; no company's numbers are that large"


def refuse_uncountable(
    connection: duckdb.DuckDBPyConnection, source: str, batch: Batch, rates: Mapping[str, Decimal]
) -> None:
    """Raise SourceError for a batch, as it has just been written, that holds what cannot be counted."""
    given = {"cost": batch.cost, "revenue": batch.revenue, "usage": batch.usage}
    kinds = [kind for kind in _KINDS if given[kind.table]]
    found = uncountable(connection, rates, "source = ? AND batch = ?", [source, batch.key], kinds=kinds)
    if found:
        more = f"; and {len(found) - 1} more days like it" if len(found) > 1 else ""
        raise SourceError("value", batch.key, f"{found[0].day}: {found[0].text}{more}", f"{HINT}. What is stored stays")
