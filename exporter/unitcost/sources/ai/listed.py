"""The list prices of genai-prices: the data of the pinned wheel, never its remote update. Loading them takes 0.2 s."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TimeOfDateConstraint

from unitcost.sources.ai.names import ModelName
from unitcost.sources.ai.units import UNITS

VERSION = f"genai-prices {version('genai-prices')}"


@dataclass(frozen=True)
class Price:
    """What a unit of a model costs: so many dollars for `per` of it.

    list_dollars: before a discount. since: the first UTC day of this price, None: as far back as is known. rule: where
    it stands. model: as it is called there. remarks: what the price does not say.
    """

    dollars: Decimal
    per: int
    list_dollars: Decimal
    rule: str
    model: ModelName
    since: date | None = None
    remarks: tuple[str, ...] = ()

    def of(self, quantity: Decimal) -> Decimal:
        """Return what a quantity costs, in dollars."""
        return quantity * self.dollars / self.per


def providers() -> Iterator[str]:
    """Return every provider that is known."""
    return (provider.id for provider in get_snapshot().providers)


@cache
def entry(name: ModelName) -> tuple[Provider, ModelInfo] | None:
    """Return whose the model is and what genai-prices knows of it, or None."""
    try:
        return get_snapshot().find_provider_model(name.model, None, name.provider or None, None)
    except LookupError:
        return None


def listed(name: ModelName, unit: str, day: date) -> Price | None:
    """Return the list price of genai-prices, or None where it has none or knows it no better than 0."""
    known = entry(name)
    if known is None:
        return None
    provider, model = known
    price, since, remarks = _on(model, day)
    for key in UNITS[unit].keys:
        found = getattr(price, key, None)
        if found is None:
            continue
        dollars = found if isinstance(found, Decimal) else found.base
        if not isinstance(found, Decimal):
            remarks.append("a long request costs more; the base price counts")
        if dollars == 0:
            return None
        where = f"{VERSION}: {provider.id}/{model.id}"
        return Price(dollars, UNITS[unit].per, dollars, where, ModelName(provider.id, model.id), since, tuple(remarks))
    return None


def _on(model: ModelInfo, day: date) -> tuple[ModelPrice, date | None, list[str]]:
    """Return the prices of a UTC day at noon, since when they hold, and what they leave out."""
    begun = [start for start in begins(model) if start <= day]
    hourly = not isinstance(model.prices, ModelPrice) and any(
        isinstance(one.constraint, TimeOfDateConstraint) for one in model.prices
    )
    remarks = ["at some hours it costs something else; the price of noon (UTC) counts"] if hourly else []
    return model.get_prices(datetime.combine(day, time(12), UTC)), max(begun, default=None), remarks


def begins(model: ModelInfo) -> list[date]:
    """Return the days on which prices of a model begin."""
    if isinstance(model.prices, ModelPrice):
        return []
    constraints = [one.constraint for one in model.prices]
    return [one.start_date for one in constraints if isinstance(one, StartDateConstraint)]
