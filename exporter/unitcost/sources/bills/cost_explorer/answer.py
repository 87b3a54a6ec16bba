"""What Cost Explorer answers to a question, page by page, as days; they are whole once its last page is there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from unitcost.errors import SourceError
from unitcost.facts import Cost
from unitcost.sources import values
from unitcost.sources.bills.cost_explorer.due import DAY, Span
from unitcost.sources.bills.cost_explorer.services import category
from unitcost.sources.bills.cost_explorer.views import View, Whose

ODD_HINT = "See what changes the answer on its way, or report it"
CODE = 3
"""Letters of a currency's code."""


@dataclass
class Day:
    """What is said of a UTC day.

    groups: the keys of all groups, those of $0 too. amounts: what each comes to, by currency. estimated: whether there
    is no invoice of it. wrong: the first thing that cannot be counted.
    """

    estimated: bool = False
    groups: set[tuple[str, ...]] = field(default_factory=set)
    amounts: dict[tuple[Whose, str], Decimal] = field(default_factory=dict)
    wrong: str = ""

    def add(self, whose: Whose, currency: str, amount: Decimal) -> None:
        """Add an amount."""
        at = whose, currency
        self.amounts[at] = values.EXACT.add(self.amounts.get(at, Decimal(0)), amount)

    def facts(self, day: date) -> tuple[list[Cost], str]:
        """Return its costs, and a digest of all that is said."""
        costs = [
            Cost(
                day, whose.tenant, whose.service, category(whose.service), amount, currency, whose.scope,
                charge=whose.charge,
            )
            for (whose, currency), amount in sorted(self.amounts.items(), key=repr)
        ]  # fmt: skip
        return costs, hashlib.sha256(repr((costs, self.estimated)).encode()).hexdigest()


class Answer:
    """The answer to a question about a span of days. where: what is said of it in errors."""

    def __init__(self, span: Span, metric: str, view: View, where: str) -> None:
        self.days: dict[date, Day] = {}
        self.view = view
        self._span = span
        self._metric = metric
        self._where = where

    def take(self, page: Mapping[str, Any]) -> None:
        """Add a page; a day may go on from one page to the next. Raises SourceError `format`, and adds nothing then."""
        results = page.get("ResultsByTime")
        if not isinstance(results, list):
            raise self._odd("has no ResultsByTime")
        for day, result in [(self._day(result), result) for result in results]:
            found = self.days.setdefault(day, Day())
            found.estimated = found.estimated or result.get("Estimated") is not False
            for group in result["Groups"]:
                try:
                    self._add(found, group)
                except ValueError as error:
                    found.wrong = found.wrong or str(error)

    def _day(self, result: object) -> date:
        period = result.get("TimePeriod") if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(period, dict) or not isinstance(result.get("Groups"), list):
            raise self._odd("has a result without TimePeriod or Groups")
        try:
            first, end = values.day(str(period.get("Start"))), values.day(str(period.get("End")))
        except ValueError as error:
            raise self._odd(f"has a TimePeriod that {error}") from None
        if end - first != DAY or not self._span.first <= first < self._span.end:
            raise self._odd(f"tells of {first} to {end}, where days of {self._span} were asked for")
        return first

    def _add(self, found: Day, group: object) -> None:
        said = group if isinstance(group, dict) else {}
        keys, metrics = said.get("Keys"), said.get("Metrics")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ValueError(f"a group has the keys {values.spelt(keys)}")
        of = values.shown(", ".join(keys))
        if tuple(keys) in found.groups:
            raise ValueError(f"the group {of} is told twice")
        found.groups.add(tuple(keys))
        told = metrics.get(self._metric) if isinstance(metrics, dict) else None
        amount, unit = (told.get("Amount"), told.get("Unit")) if isinstance(told, dict) else (None, None)
        if not isinstance(amount, str):
            raise ValueError(f"{self._metric} of {of} is {values.spelt(amount)}, not a number in a text")  # noqa: TRY004
        try:
            counted = values.signed(amount)
        except ValueError as error:
            raise ValueError(f"{self._metric} of {of}: {error}") from None
        whose = self.view.read(keys, negative=counted < 0)
        if not counted:
            return
        if not isinstance(unit, str) or not (
            unit.isascii() and unit.isalpha() and unit.isupper() and len(unit) == CODE
        ):
            raise ValueError(f"the currency of {of} is {values.spelt(unit)}, not the code of one")
        found.add(whose, unit, counted)

    def _odd(self, text: str) -> SourceError:
        return SourceError("format", self._where, f"the answer {text}", ODD_HINT)


def together(day: date, answers: Sequence[Answer]) -> Day:
    """Return what all questions' answers say of a day."""
    whole = Day()
    for answer in answers:
        found = answer.days.get(day)
        if found is None:
            whole.wrong = whole.wrong or "the answer does not tell of the day"
            continue
        whole.estimated |= found.estimated
        whole.groups |= found.groups
        whole.wrong = whole.wrong or found.wrong
        for (whose, currency), amount in found.amounts.items():
            whole.add(whose, currency, amount)
    return whole
