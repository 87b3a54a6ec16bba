"""The section `ai` of unitcost.yaml: prices that come before those of the price book."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, model_validator

from unitcost.sources.ai.names import ModelName, provider_of, read
from unitcost.sources.ai.units import UNITS
from unitcost.sources.base import Section

Dollars = Annotated[Decimal, Field(ge=0, le=10_000, allow_inf_nan=False)]


class PriceRule(Section):
    """What a model costs, or the discount on it: of one provider or any, of a name or a pattern with *, from a day on.

    means: the model that a deployment is, whose price it has. prices: unit → dollars, for as many of it as units.UNITS
    says (tokens: a million). discount: the part of the price that is not paid. batch: the part of it that is paid for
    what was asked in a batch. Of rules that match, the one that begins last counts for each of these; of several that
    begin on one day, the first.
    """

    model: str = Field(min_length=1, max_length=500)
    provider: str | None = Field(default=None, min_length=1)
    from_: Annotated[date, Field(strict=False)] | None = Field(default=None, alias="from")
    means: str | None = Field(default=None, min_length=1)
    prices: Mapping[Literal[tuple(UNITS)], Dollars] = {}  # type: ignore[valid-type]
    discount: Annotated[Decimal, Field(ge=0, le=1)] | None = None
    batch: Annotated[Decimal, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PriceRule:
        if self.means is None and not self.prices and self.discount is None and self.batch is None:
            raise ValueError("says nothing; give prices, discount, batch or means")
        if self.means is not None and self.prices:
            raise ValueError("means another model, whose prices it has; remove prices or means")
        return self

    def matches(self, name: ModelName, day: date) -> bool:
        """Whether it is about this model on this UTC day."""
        if self.from_ is not None and day < self.from_:
            return False
        if self.provider is not None and provider_of(self.provider) != name.provider:
            return False
        pattern = self.model.lower()
        return fnmatchcase(name.model, pattern if "*" in pattern else read(pattern, name.provider).model)


class Ai(Section):
    """ai: prices of models."""

    prices: tuple[PriceRule, ...] = ()
