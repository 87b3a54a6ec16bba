"""The section `ai` of unitcost.yaml: prices that come before those of the price book, and what-ifs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, model_validator

from unitcost.sources.ai.names import ModelName, provider_of, read
from unitcost.sources.ai.units import UNITS
from unitcost.sources.base import ANumber, Section

Dollars = Annotated[Decimal, Field(ge=0, le=10_000, allow_inf_nan=False)]
PartOfOne = Annotated[Decimal, ANumber, Field(ge=0, le=1, allow_inf_nan=False)]


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


class Route(Section):
    """A tier: which model could serve a feature, for the question what that would save.

    from_: only what models of this name or pattern with * serve; None: any. tokenizer_ratio: how many tokens the other
    model makes of one. fallback_share: the part of requests that the model of now must answer after all.
    """

    feature: str = Field(min_length=1, max_length=200)
    to: str = Field(min_length=1, max_length=500)
    from_: str | None = Field(default=None, alias="from", min_length=1, max_length=500)
    tokenizer_ratio: Annotated[Decimal, ANumber, Field(gt=0, le=100, allow_inf_nan=False)] = Decimal(1)
    fallback_share: PartOfOne = Decimal(0)


class SemanticCache(Section):
    """What one's own cache of answers costs: its embeddings, by a measure of usage that counts their tokens."""

    embedding_tokens: str = Field(min_length=1, max_length=200)
    embedding_model: str = Field(min_length=1, max_length=500)


class Ai(Section):
    """ai: prices of models, and what is asked of what AI could cost instead.

    cacheable_share: feature → the part of its input that a prompt cache could hold. Of routes that match, the first
    counts.
    """

    prices: tuple[PriceRule, ...] = ()
    routing: Annotated[tuple[Route, ...], Field(max_length=100)] = ()
    cacheable_share: Mapping[str, PartOfOne] = {}
    semantic_cache: SemanticCache | None = None
