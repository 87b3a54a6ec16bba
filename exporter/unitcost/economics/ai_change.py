"""Why AI cost more, or less, than before: who, which feature and which model, by volume, mix and price.

A cell is what one tenant used of a model in one direction for a feature. With its quantities q0 and q1, its prices p0
and p1 (cost / quantity) and Q0, Q1 all quantities together:

- volume: what it would have cost more if all use had grown alike, q0 p0 (Q1/Q0 - 1);
- mix: what shifted between cells, to dearer models, say, or to output, (q1 - q0 Q1/Q0) p0, where what is
  new has its price of now;
- price: q1 (p1 - p0).

The three sum to the change of each cell, q1 p1 - q0 p0, exactly: they are reckoned as fractions, and what they are
rounded by to the ledger's last digit goes to the mix. Cost of what is not counted in tokens is none of the three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

from unitcost.ledger.files import statements
from unitcost.ledger.store import Ledger
from unitcost.ledger.temporary import temporary_table

LAST_DIGIT, DIGITS = 12, 60


class Cell(NamedTuple):
    """What was used of a model: "" where it is not told. Dollars and quantities, before and now."""

    tenant: str
    feature: str
    model: str
    unit: str
    cost_before: Decimal
    cost: Decimal
    before: Decimal
    now: Decimal


@dataclass(frozen=True, slots=True)
class Change:
    """A change in dollars, and what it is made of: they sum to it exactly. other: cost of unknown quantity."""

    dollars: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    mix: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    other: Decimal = Decimal(0)

    def __add__(self, more: Change) -> Change:
        return Change(
            self.dollars + more.dollars,
            self.volume + more.volume,
            self.mix + more.mix,
            self.price + more.price,
            self.other + more.other,
        )


def cells(ledger: Ledger, before: tuple[date, date], now: tuple[date, date], token_units: Sequence[str]) -> list[Cell]:
    """Return every cell of the two spans, each from its first UTC day to the one after its last.

    token_units: what is counted in tokens; only these quantities can be added up.
    """
    with ledger.transaction() as connection:
        columns = {"earlier": "BOOLEAN", "first_day": "DATE", "end_day": "DATE"}
        temporary_table(connection, "token_unit", {"unit": "VARCHAR"}, [(unit,) for unit in token_units])
        temporary_table(connection, "two_spans", columns, [(True, *before), (False, *now)])
        return [Cell(*row) for row in connection.execute(statements("ai_change", "economics")).fetchall()]


def changes(given: Iterable[Cell], by: Callable[[Cell], str]) -> dict[str, Change]:
    """Return the changes of what `by` says of each cell, the largest first; all together are the whole change.

    Without any use before there is no volume to grow: then all of it is mix.
    """
    known = list(given)
    with localcontext(prec=DIGITS):
        return _changes(known, by)


def _changes(known: Sequence[Cell], by: Callable[[Cell], str]) -> dict[str, Change]:
    told = [cell for cell in known if _has_quantities(cell)]
    whole_before = sum((Fraction(cell.before) for cell in told), Fraction())
    whole_now = sum((Fraction(cell.now) for cell in told), Fraction())
    growth = whole_now / whole_before if whole_before else None
    found: dict[str, Change] = defaultdict(Change)
    for cell in known:
        found[by(cell)] += _change(cell, growth) if _has_quantities(cell) else _other(cell)
    return dict(sorted(found.items(), key=lambda one: (-abs(one[1].dollars), one[0])))


def _has_quantities(cell: Cell) -> bool:
    return bool((cell.before or not cell.cost_before) and (cell.now or not cell.cost))


def _other(cell: Cell) -> Change:
    change = cell.cost - cell.cost_before
    return Change(change, other=change)


def _change(cell: Cell, growth: Fraction | None) -> Change:
    before, now = Fraction(cell.before), Fraction(cell.now)
    price_now = Fraction(cell.cost) / now if now else Fraction()
    price_before = Fraction(cell.cost_before) / before if before else price_now
    volume = _rounded(before * price_before * (growth - 1)) if growth is not None else Decimal(0)
    price = _rounded(now * (price_now - price_before))
    dollars = cell.cost - cell.cost_before
    return Change(dollars, volume, dollars - volume - price, price)


def _rounded(amount: Fraction) -> Decimal:
    return Decimal(round(amount * 10**LAST_DIGIT)).scaleb(-LAST_DIGIT)
