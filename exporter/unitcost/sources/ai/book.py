"""The price book: what a unit of a model costs on a day, and by which rule.

Rules of the configuration come first, then genai-prices: the data of the pinned wheel, never its remote update. A price
of 0 there means that it is not known; what has no price is unpriced, never free. Sums of many requests are priced, so
that what holds for one request only cannot be told: where a long request costs more its base price counts, and where
the hour matters the price of noon (UTC).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TypeVar

from unitcost.sources.ai.listed import Price, begins, entry, listed, providers
from unitcost.sources.ai.names import ModelName, read
from unitcost.sources.ai.settings import PriceRule
from unitcost.sources.ai.units import UNITS

Said = TypeVar("Said")

MEANT_AT_MOST = 10
"""How many deployments may stand behind each other."""


class PriceBook:
    """The prices that hold for a configuration."""

    def __init__(self, rules: Sequence[PriceRule] = ()) -> None:
        self._rules = rules

    def price(self, model: str, unit: str, day: date, provider: str = "", *, batch: bool = False) -> Price | None:
        """Return the price of a unit (of units.UNITS) on a UTC day, or None where nobody says one.

        model, provider: as anybody spells them. batch: whether it was asked in a batch.
        """
        name = self._meant(read(model, provider), day)
        found = self._ruled(name, unit, day) or listed(name, unit, day)
        if found is None:
            return None
        if unit == "cache_read":
            found = self._not_above_input(found, name, day)
        if (said := self._said(name, day, lambda rule: rule.discount)) is not None:
            found = _lowered(found, 1 - said[0], f"{said[2]}: discount {said[0]}")
        if batch and (said := self._said(name, day, lambda rule: rule.batch)) is not None:
            found = _lowered(found, said[0], f"{said[2]}: {said[0]} of it in a batch")
        return found

    def batch_share(self, model: str, day: date, provider: str = "") -> Decimal | None:
        """Return the part of a price that is paid for what was asked in a batch, or None where no rule says it."""
        said = self._said(self._meant(read(model, provider), day), day, lambda rule: rule.batch)
        return None if said is None else said[0]

    def name(self, model: str, day: date, provider: str = "") -> ModelName:
        """Return what a model is called on a UTC day, whoever spells it: as genai-prices does, where that knows it."""
        name = self._meant(read(model, provider), day)
        known = entry(name)
        return name if known is None else ModelName(known[0].id, known[1].id)

    def changes(self, model: str, first: date, last: date, provider: str = "") -> list[date]:
        """Return the UTC days after the first, up to the last, on which a price of a model may begin, sorted."""
        name = read(model, provider)
        starts = {rule.from_ for rule in self._rules if rule.from_ is not None}
        for day in (first, last):
            known = entry(self._meant(name, day))
            starts |= set() if known is None else set(begins(known[1]))
        return sorted(day for day in starts if first < day <= last)

    def elsewhere(self, model: str, unit: str, day: date, provider: str = "") -> list[tuple[str, Price]]:
        """Return what other providers ask for a model of this name, the cheapest first: the provider and the price."""
        name = self._meant(read(model, provider), day)
        known = entry(name)
        own = name.provider if known is None else known[0].id
        found = []
        for other in (other for other in providers() if other != own):
            for spelt in (name.model, f"{own}/{name.model}"):
                price = listed(ModelName(other, spelt), unit, day)
                if price is not None:
                    found.append((other, price))
                    break
        return sorted(found, key=lambda one: (one[1].dollars, one[0]))

    def _said(
        self, name: ModelName, day: date, says: Callable[[PriceRule], Said | None]
    ) -> tuple[Said, PriceRule, str] | None:
        """Return what the first rule about a model says that counts, the rule, and where it stands."""
        found = [(rule, f"ai.prices[{at}]") for at, rule in enumerate(self._rules) if rule.matches(name, day)]
        for rule, where in sorted(found, key=lambda one: one[0].from_ or date.min, reverse=True):
            said = says(rule)
            if said is not None:
                return said, rule, where
        return None

    def _meant(self, name: ModelName, day: date) -> ModelName:
        for _ in range(MEANT_AT_MOST):
            said = self._said(name, day, lambda rule: rule.means)
            if said is None:
                break
            name = read(said[0], name.provider)
        return name

    def _ruled(self, name: ModelName, unit: str, day: date) -> Price | None:
        said = self._said(name, day, lambda rule: rule.prices.get(unit))
        if said is None:
            return None
        dollars, rule, where = said
        return Price(dollars, UNITS[unit].per, dollars, where, name, rule.from_)

    def _not_above_input(self, price: Price, name: ModelName, day: date) -> Price:
        """Return the price of cached input, which nobody charges more for than for the same input."""
        whole = self._ruled(name, "input", day) or listed(name, "input", day)
        if whole is None or price.dollars <= whole.dollars:
            return price
        return replace(whole, remarks=(*whole.remarks, "cached input is listed above input, which counts"))


def _lowered(price: Price, factor: Decimal, remark: str) -> Price:
    return replace(price, dollars=price.dollars * factor, remarks=(*price.remarks, remark))
