"""The price book, in the words of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from unitcost.economics.audit_ai import BatchShare
from unitcost.ledger.prices import PriceRow, Pricing
from unitcost.sources.ai.settings import PriceRule
from unitcost.sources.ai.units import OWN

if TYPE_CHECKING:
    from unitcost.sources.ai.book import PriceBook
    from unitcost.sources.ai.listed import Price


def pricing(rules: Sequence[PriceRule]) -> Pricing:
    """Return what tells the prices of models that the ledger holds; genai-prices is loaded with the first of them.

    What was asked is remembered: each refresh asks for the same again.
    """

    @lru_cache(maxsize=ASKED)
    def rows(scope: str, item: str, units: tuple[str, ...], first: date, last: date) -> Sequence[PriceRow]:
        provider, _, account = scope.partition("/")
        if provider == OWN:
            of = PriceRow("", date.min, date.max, scope, item, rule=OWN)
            return [of, *(of._replace(unit=unit, factor=0, divisor=1) for unit in units)]
        book = _book(rules)
        found = []
        for begin, end in pairwise([date.min, *book.changes(item, first, last, provider), date.max]):
            day = max(begin, first)
            name = book.name(item, day, provider)
            whose = provider or name.provider
            of = PriceRow("", begin, end, f"{whose}/{account}" if whose else None, name.model)
            found.append(of)
            found += [_priced(of._replace(unit=unit), book.price(item, unit, day, provider)) for unit in units]
        return found

    return lambda scope, item, units, first, last: rows(scope, item, tuple(units), first, last)


ASKED = 10_000


def _book(rules: Sequence[PriceRule]) -> PriceBook:
    from unitcost.sources.ai.book import PriceBook  # noqa: PLC0415 - with all of genai-prices

    return PriceBook(rules)


def _priced(of: PriceRow, price: Price | None) -> PriceRow:
    """Return what a unit costs; what has no price is unpriced, but for requests."""
    if price is None:
        return of._replace(factor=0, divisor=1, rule="sold by other units") if of.unit == REQUESTS else of
    each = Fraction(price.dollars.quantize(LAST_DIGIT)) / price.per
    return of._replace(
        factor=each.numerator,
        divisor=each.denominator,
        dollars=f"{price.dollars:f}",
        list_dollars=f"{price.list_dollars:f}",
        per=price.per,
        rule=price.rule,
    )


def batch_shares(rules: Sequence[PriceRule]) -> BatchShare:
    """Return what tells which part of its price a model of a scope costs in a batch on a UTC day."""

    def share(scope: str, model: str, day: date) -> Decimal:
        said = _book(rules).batch_share(model, day, scope.partition("/")[0])
        return HALF if said is None else said

    return share


HALF = Decimal("0.5")
"""What OpenAI and Anthropic ask for a batch."""

REQUESTS = "requests"
"""What nearly no model is sold by: without a price of its own a request costs what its tokens do and no more."""

LAST_DIGIT = Decimal("1e-12")
"""Prices have no more digits: then the ledger multiplies exactly (session.sql, converted)."""
