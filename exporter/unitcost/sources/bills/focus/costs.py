"""Charges that have no cost in the chosen column: an empty one is unknown, and unknown is not 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import duckdb

from unitcost.facts import Note, Problem
from unitcost.in_memory import in_memory
from unitcost.sources.bills.focus.asking import period_rows
from unitcost.sources.bills.focus.errors import explain
from unitcost.sources.bills.focus.query import Bill
from unitcost.sources.bills.focus.scan import COSTS


@dataclass
class Others:
    """What the other cost columns of a billing period say, in the bill's currency.

    lost: rows without the chosen cost that another column charges for, and lost_sums what they hold. charged: rows
    of each provider with a chosen cost other than 0, and billed its BilledCost.
    """

    sums: dict[str, Decimal] = field(default_factory=dict)
    lost: int = 0
    lost_sums: dict[str, Decimal] = field(default_factory=dict)
    charged: Counter[str] = field(default_factory=Counter)
    billed: dict[str, Decimal] = field(default_factory=dict)


def empty_cost(bill: Bill, cost: str, where: str) -> Problem | None:
    """Return the problem of a billing period in which no row at all has the chosen cost. Raises SourceError."""
    rows = bill.sum("rows")
    if not rows or bill.sum("costless") < rows:
        return None
    text = f"{cost} is empty in every one of {rows:,} rows of {bill.key}"
    sums = {name: amount for name, amount in _others(bill, cost).sums.items() if amount}
    if not sums:
        return Problem("cost", where, f"{text}, and so are or sum to 0 all other costs", "Repair the export")
    return Problem("cost", where, f"{text}; {_said(sums)}", f"Set cost: {next(iter(sums))}")


def missing_costs(bill: Bill, cost: str, where: str) -> Iterator[Problem | Note]:
    """Say what of a billing period is not counted for want of the chosen cost. Raises SourceError."""
    costless = bill.sum("costless")
    others = _others(bill, cost) if costless or (cost != "BilledCost" and bill.any_free) else Others()
    if others.lost:
        text = f"{others.lost:,} rows of {bill.key} have no {cost} and are not counted, though of these rows"
        hint = "Set cost to a column that holds them, or repair the export"
        yield Problem("cost", where, f"{text} {_said(others.lost_sums)}", hint)
    if costless > others.lost:
        yield Note(f"{bill.key}: {costless - others.lost} rows have no {cost} and count as 0")
    if cost == "BilledCost":
        return
    for provider, amount in sorted(others.billed.items()):
        if amount and not others.charged[provider]:
            whose = f" of {provider}" if provider else ""
            yield Note(f"{bill.key}: {cost}{whose} is 0 in every row, while BilledCost sums to {_money(amount)}")


def _others(bill: Bill, cost: str) -> Others:
    found = Others()
    for schema, file in bill.scans:
        names = [name for name in COSTS if name != cost and schema.has(name)]
        given = ", ".join([*(schema.cost(name, trying=True) for name in names), "0"])
        # A commitment's purchase has its effective cost in the rows that use it, and none of its own.
        lost = (
            f"{schema.given(cost)} IS NULL AND coalesce({given}) <> 0"
            f" AND {schema.text('ChargeCategory')} IS DISTINCT FROM 'Purchase'"
        )
        provider = f"coalesce({schema.text('ServiceProviderName')}, {schema.text('ProviderName')}, '')"
        charged = f"{schema.cost(cost, trying=True)} <> 0"
        sums = [f"sum({schema.cost(name, trying=True)})" for name in names]
        columns = [*sums, *(f"{one} FILTER ({lost})" for one in sums)]
        sql = (
            f"SELECT {', '.join([provider, f'count(*) FILTER ({charged})', f'count(*) FILTER ({lost})', *columns])}"
            f" FROM ({period_rows(schema)}) GROUP BY ALL"
        )
        try:
            with in_memory() as connection:
                rows = connection.execute(sql, [[file.pattern], bill.key]).fetchall()
        except duckdb.Error as error:
            raise explain(error, [file]) from error
        for name, count, lost_rows, *amounts in rows:
            found.charged[name] += count
            found.lost += lost_rows
            whole = dict(zip(names, amounts, strict=False))
            found.billed[name] = found.billed.get(name, Decimal(0)) + (whole.get("BilledCost") or 0)
            _add(found.sums, whole)
            _add(found.lost_sums, dict(zip(names, amounts[len(names) :], strict=True)))
    return found


def _add(sums: dict[str, Decimal], more: dict[str, Decimal | None]) -> None:
    for name, amount in more.items():
        sums[name] = sums.get(name, Decimal(0)) + (amount or 0)


def _said(sums: dict[str, Decimal]) -> str:
    return ", ".join(f"{name} sums to {_money(amount)}" for name, amount in sums.items() if amount)


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}" if abs(amount) >= 1 else f"{amount.normalize():f}"
