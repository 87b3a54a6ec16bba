"""The reports of model providers: what their rows say, and what those of a UTC day come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from unitcost.facts import Cost, Usage
from unitcost.sources import values
from unitcost.sources.ai.attribution import DEFAULT, Attribution
from unitcost.sources.ai.pages import Params, Row
from unitcost.sources.ai.units import measure_of


class Billed(NamedTuple):
    """A line of a bill. item, unit: as of a Cost. project: the project or workspace it is of, None: the default one."""

    project: str | None
    amount: Decimal
    currency: str
    item: str | None
    unit: str | None = None
    quantity: Decimal | None = None
    batch: bool = False


class Used(NamedTuple):
    """A row of a usage report: how much of each unit a model was asked for. key: the id of an API key, or None."""

    project: str | None
    key: str | None
    model: str | None
    quantities: Mapping[str, Decimal]
    batch: bool = False


@dataclass(frozen=True)
class Report:
    """A report by UTC day. read: turns a row into what it says, or raises ValueError.

    needed: whether a day is known only with it; without, an account that does not have it is told of.
    """

    path: str
    params: Params
    read: Callable[[Row], Billed | Used]
    needed: bool = True


class _CostKey(NamedTuple):
    tenant: str | None
    item: str | None
    unit: str | None
    currency: str
    charge: str
    batch: bool


class _UsageKey(NamedTuple):
    tenant: str | None
    item: str | None
    unit: str
    batch: bool


@dataclass
class Day:
    """What the reports say of a UTC day.

    told: the reports that have it, with a hash of what each of its rows is of. nobodys: project, currency → what is no
    tenant's.
    """

    costs: dict[_CostKey, tuple[Decimal, Decimal | None]] = field(default_factory=dict)
    usage: dict[_UsageKey, Decimal] = field(default_factory=dict)
    told: dict[str, set[int]] = field(default_factory=dict)
    nobodys: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    wrong: str = ""

    def take(self, report: Report, rows: Sequence[Row], whose: Attribution) -> None:
        """Add the rows of a report. One that cannot be read spoils the day, and is remembered.

        A day may go on on a second page; with a row that the first one has, it would be counted twice.
        """
        before = self.told.setdefault(report.path, set())
        of = {hash(frozenset(item for item in row.items() if isinstance(item[1], str | bool))) for row in rows}
        if before & of:
            self.wrong = self.wrong or f"{report.path}: tells a part of the day on two pages"
        before |= of
        for row in rows:
            try:
                said = report.read(row)
            except ValueError as error:
                self.wrong = self.wrong or f"{report.path}: {error}"
                return
            if isinstance(said, Billed):
                self._bill(said, whose.tenant(said.project))
            else:
                self._use(said, whose.tenant(said.project, said.key))

    def _bill(self, said: Billed, tenant: str | None) -> None:
        charge = "credit" if said.amount < 0 else "usage"
        key = _CostKey(tenant, said.item, said.unit, said.currency, charge, said.batch)
        amount, quantity = self.costs.get(key, (Decimal(0), Decimal(0)))
        known = None if quantity is None or said.quantity is None else values.EXACT.add(quantity, said.quantity)
        self.costs[key] = values.EXACT.add(amount, said.amount), known
        if tenant is None:
            of = said.project or DEFAULT, said.currency
            self.nobodys[of] = values.EXACT.add(self.nobodys.get(of, Decimal(0)), said.amount)

    def _use(self, said: Used, tenant: str | None) -> None:
        for unit, quantity in said.quantities.items():
            key = _UsageKey(tenant, said.model, unit, said.batch)
            if quantity:
                self.usage[key] = values.EXACT.add(self.usage.get(key, Decimal(0)), quantity)

    def facts(self, day: date, service: str, scope: str) -> tuple[list[Cost], list[Usage]]:
        """Return the costs and the usage of the day, in an order that is always the same."""
        cost = [
            Cost(
                day, of.tenant, service, "ai", amount, of.currency, scope, _dimensions(batch=of.batch), of.charge,
                item=of.item, unit=of.unit, quantity=quantity,
            )
            for of, (amount, quantity) in self.costs.items()
        ]  # fmt: skip
        usage = [
            Usage(day, of.tenant, measure_of(of.unit), quantity, of.item, _dimensions(batch=of.batch), of.unit, scope)
            for of, quantity in self.usage.items()
        ]
        return sorted(cost, key=repr), sorted(usage, key=repr)


def _dimensions(*, batch: bool) -> dict[str, str]:
    return {"service_tier": "batch"} if batch else {}


def not_a(name: str, found: object, wanted: str) -> ValueError:
    """Return what is wrong with a value that is not what it should be."""
    return ValueError(f"{name} is {values.spelt(found)}, not {wanted}")


def text_of(row: Row, name: str) -> str | None:
    """Return a text of a row; None where it is null, empty or not there. Raises ValueError for anything else."""
    found = row.get(name)
    if found is None or found == "":
        return None
    if not isinstance(found, str):
        raise not_a(name, found, "a text")
    return values.plain(found)


def number_of(row: Row, name: str, *, needed: bool = False) -> Decimal:
    """Return a quantity of a row, 0 where it is null or not there and not needed. Raises ValueError."""
    found = row.get(name)
    if found is None and not needed:
        return Decimal(0)
    if not isinstance(found, Decimal | str):
        raise not_a(name, found, "a number")
    try:
        return values.quantity(str(found))
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def money(amount: object, currency: object, *, shift: int = 0) -> tuple[Decimal, str]:
    """Return an amount of either sign and its currency in upper case. shift: -2 for cents. Raises ValueError."""
    if not isinstance(amount, Decimal | str):
        raise not_a("an amount", amount, "a number")
    if not isinstance(currency, str) or re.fullmatch("[A-Za-z]{3}", currency) is None:
        raise not_a("the currency of an amount", currency, "the code of one")
    try:
        return values.signed(str(amount), shift=shift), currency.upper()
    except ValueError as error:
        raise ValueError(f"an amount {error}") from None
