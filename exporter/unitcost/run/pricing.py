"""The price book, in the words of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from unitcost.economics.audit_ai import BatchShare
from unitcost.ledger.prices import PriceRow, Pricing
from unitcost.sources.ai.settings import PriceRule
from unitcost.sources.ai.units import OWN


def pricing(rules: Sequence[PriceRule]) -> Pricing:
    """Return what tells the prices of models that the ledger holds; genai-prices is loaded with the first of them."""

    def rows(scope: str, item: str, units: Sequence[str], first: date, last: date) -> list[PriceRow]:
        from unitcost.sources.ai.book import PriceBook  # noqa: PLC0415 - with all of genai-prices

        book = PriceBook(rules)
        provider, _, account = scope.partition("/")
        if provider == OWN:
            of = PriceRow("", date.min, date.max, None, item, rule=OWN)
            return [of, *(of._replace(unit=unit, factor=0, divisor=1) for unit in units)]
        found = []
        for begin, end in pairwise([date.min, *book.changes(item, first, last, provider), date.max]):
            day = max(begin, first)
            name = book.name(item, day, provider)
            whose = provider or name.provider
            of = PriceRow("", begin, end, f"{whose}/{account}" if whose else None, name.model)
            found.append(of)
            for unit in units:
                price = book.price(item, unit, day, provider)
                if price is None and unit == REQUESTS:
                    found.append(of._replace(unit=unit, factor=0, divisor=1, rule="sold by other units"))
                    continue
                if price is None:
                    found.append(of._replace(unit=unit))
                    continue
                each = Fraction(price.dollars.quantize(LAST_DIGIT)) / price.per
                found.append(
                    of._replace(
                        unit=unit,
                        factor=each.numerator,
                        divisor=each.denominator,
                        dollars=f"{price.dollars:f}",
                        list_dollars=f"{price.list_dollars:f}",
                        per=price.per,
                        rule=price.rule,
                    )
                )
        return found

    return rows


def batch_shares(rules: Sequence[PriceRule]) -> BatchShare:
    """Return what tells which part of its price a model of a scope costs in a batch on a UTC day."""

    def share(scope: str, model: str, day: date) -> Decimal:
        from unitcost.sources.ai.book import PriceBook  # noqa: PLC0415 - with all of genai-prices

        said = PriceBook(rules).batch_share(model, day, scope.partition("/")[0])
        return HALF if said is None else said

    return share


HALF = Decimal("0.5")
"""What OpenAI and Anthropic ask for a batch."""

REQUESTS = "requests"
"""What nearly no model is sold by: without a price of its own a request costs what its tokens do and no more."""

LAST_DIGIT = Decimal("1e-12")
"""Prices have no more digits: then the ledger multiplies exactly (session.sql, converted)."""
