"""Accounts at the fakes of model providers, and a source that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from tests.fakes.ai_providers import ADMIN_KEY, AnthropicFake, Calls, Charge, OpenAIFake, ProviderFake
from tests.fakes.server import serve
from tests.fakes.stored import MemoryStored, rows, utc
from unitcost.facts import Cost, Usage
from unitcost.sources.ai.anthropic import Anthropic, AnthropicSettings
from unitcost.sources.ai.openai import OpenAI, OpenAISettings
from unitcost.sources.ai.provider import Provider
from unitcost.sources.base import Context
from unitcost.sources.http import Client

NOW = utc(2026, 11, 18, 12, 34)
TODAY = NOW.date()
DAY = timedelta(days=1)
LINES = ("gpt-4o-2024-08-06, input", "gpt-4o-2024-08-06, cached input", "gpt-4o-2024-08-06, output", "Vector storage")


def source(fake: ProviderFake, url: str, *, retries: int = 1, **given: Any) -> Provider:
    """Return the source that asks a fake at its address."""
    said = {"url": url, "admin_key": ADMIN_KEY, **given}
    connect = partial(Client, retries=retries, backoff=0)
    if isinstance(fake, AnthropicFake):
        return Anthropic("anthropic", AnthropicSettings.model_validate(said), Context(), connect)
    return OpenAI("openai", OpenAISettings.model_validate(said), Context(), connect)


@contextmanager
def asking(fake: ProviderFake, **given: Any) -> Iterator[Provider]:
    """Serve a fake until the block ends; yield the source that asks it."""
    with serve(fake) as server:
        yield source(fake, server.url, **given)


def openai_account(first: date, end: date) -> OpenAIFake:
    """Return an organization whose every day cost something else, in every way that an amount is spelt."""
    fake = OpenAIFake(names={"proj_a": "customer-acme", "proj_b": "internal"})
    for n, day in enumerate(days(first, end)):
        for number, line in enumerate(LINES):
            dollars = Decimal(7 * n + number + 1) / 1000 + Decimal("0.000000000001")
            spelt = format(dollars, "f") if number % 2 else ""
            fake.charges.append(Charge(day, ("proj_a", "proj_b", None)[n % 3], dollars, line, spelt))
        fake.charges.append(Charge(day, "proj_a", Decimal(0), "o1-2024-12-17, input", "0E-6176"))
        counts = {"input_tokens": 1000 + n, "input_cached_tokens": 400, "output_tokens": 50, "num_model_requests": 3}
        fake.calls.append(Calls(day, "completions", "proj_a", "key_1", "gpt-4o-2024-08-06", counts))
    return fake


KINDS = {
    "uncached_input_tokens": "uncached_input_tokens",
    "cache_read_input_tokens": "cache_read_input_tokens",
    "ephemeral_5m_input_tokens": "cache_creation.ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens": "cache_creation.ephemeral_1h_input_tokens",
    "output_tokens": "output_tokens",
}
"""What Anthropic's usage report calls a kind of token, and what its cost report does."""
CLAUDE = "claude-sonnet-4-5-20250929"


def anthropic_account(first: date, end: date) -> AnthropicFake:
    """Return an organization whose every day cost something else, in its default workspace too."""
    fake = AnthropicFake(names={"wrkspc_a": "customer-acme", "wrkspc_b": "internal"})
    for n, day in enumerate(days(first, end)):
        workspace = ("wrkspc_a", "wrkspc_b", None)[n % 3]
        for number, kind in enumerate(KINDS.values()):
            dollars = Decimal(11 * n + number + 1) / 700
            dollars = dollars.quantize(Decimal("1e-12"))
            more = {"cost_type": "tokens", "model": CLAUDE, "token_type": kind, "service_tier": "standard"}
            fake.charges.append(Charge(day, workspace, dollars, f"Claude Sonnet 4.5 Usage - {kind}", more=more))
        fake.charges.append(
            Charge(day, workspace, Decimal("0.01"), "Web Search Usage", "1", more={"cost_type": "web_search"})
        )
        fake.charges.append(Charge(day, None, Decimal(0), "Nothing", "0E-6176", more={"cost_type": "session_usage"}))
        counts = {name: 100 * n + number for number, name in enumerate(KINDS)}
        fake.calls.append(Calls(day, "messages", workspace, "apikey_1", CLAUDE, {**counts, "web_search_requests": 1}))
    return fake


def costs(stored: MemoryStored, day: date | str) -> list[Cost]:
    """Return the costs of a stored day."""
    return stored.costs(str(day))


def usage(stored: MemoryStored, day: date | str) -> list[Usage]:
    """Return the usage of a stored day."""
    return rows(Usage, stored.batches[str(day)].usage)


def days(first: date, end: date) -> list[date]:
    """Return the days from the first to before the end."""
    return [first + n * DAY for n in range((end - first).days)]


def at(seconds: str | int) -> date:
    """Return the UTC day of a time in seconds since 1970."""
    return date(1970, 1, 1) + timedelta(seconds=int(seconds))
