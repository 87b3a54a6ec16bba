"""A made-up company whose AI is metered by counters and billed by a provider, who reports what it was used for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from tests.fakes.company import YESTERDAY, Company
from unitcost.facts import Cost, Usage
from unitcost.run.pricing import pricing
from unitcost.sources.ai.settings import PriceRule

SOURCES = [
    ("counters", "tokens", True),
    ("counters", "usage", True),
    ("openai", "bill", True),
    ("openai", "usage", True),
]
SCOPE = "openai/acme-org"
MILLION = Decimal(1_000_000)
PRICES = (PriceRule(model="nova", provider="openai", prices={"input": Decimal(2), "output": Decimal(10)}),)
"""Dollars a million."""


def ai_company(prices: tuple[PriceRule, ...] = PRICES, currency: str = "USD") -> Company:
    """Make it: `counters` and the bill and report of `openai`."""
    made = Company(sources=SOURCES)
    rates = [("USD", Decimal(1))] if currency == "USD" else [("EUR", Decimal(1)), ("USD", Decimal("0.9"))]
    made.model = replace(
        made.model,
        billed_by=[("counters", "openai"), ("openai", "openai")],
        pricing=pricing(prices),
        rates=rates,
    )
    return made


def tokens(
    tenant: str | None, unit: str, millions: str, model: str = "nova", day: date = YESTERDAY, **given: Any
) -> Usage:
    """Build so many millions of a unit. given: feature, measure, scope."""
    dims = {"feature": given["feature"]} if "feature" in given else {}
    scope, measure = given.get("scope", SCOPE), given.get("measure", "ai_tokens")
    return Usage(day, tenant, measure, Decimal(millions) * MILLION, model, dims, unit, scope)


def charge(amount: str, item: str | None = None, unit: str | None = None, tenant: str | None = None) -> Cost:
    """Build a line of the provider's bill, in dollars."""
    return Cost(YESTERDAY, tenant, "OpenAI API", "ai", Decimal(amount), "USD", SCOPE, item=item, unit=unit)
