"""Calls of the official clients, and what the counters of the application say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.fakes.model_provider import Billed
from tests.fakes.recorded_pages import samples_in
from unitcost.sources.ai.counters import Counted, count, presets

MODELS = {
    "chat": "gpt-4o",
    "responses": "gpt-4o-mini",
    "embeddings": "text-embedding-3-small",
    "messages": "claude-sonnet-4-5",
}
"""API: the model that is asked there."""

Tokens = Mapping[tuple[str, str, str, str], Mapping[str, int]]
"""(tenant, feature, provider, model) → direction → tokens that are not 0."""


def ask(client: Any, api: str, prompt: str, **more: Any) -> Any:
    """Call a client; return its answer, or what an asynchronous client has one awaited by."""
    more.setdefault("model", MODELS[api])
    messages = [{"role": "user", "content": prompt}]
    match api:
        case "chat":
            return client.chat.completions.create(messages=messages, **more)
        case "messages":
            return client.messages.create(messages=messages, max_tokens=1000, **more)
        case _:
            return getattr(client, api).create(input=prompt, **more)


def counted(page: str) -> Tokens:
    """Return the tokens that the preset `plain` reads from a page, without the requests."""
    found: Counted = count(presets()["plain"], samples_in(page))
    assert not found.unmapped
    assert not found.overlap
    tokens = {
        (cell.tenant, cell.feature, cell.provider, cell.model): {
            unit: int(n) for unit, n in units.items() if n and unit != "requests"
        }
        for cell, units in found.tokens.items()
    }
    return {cell: units for cell, units in tokens.items() if units}


def billed(bill: Iterable[Billed]) -> Tokens:
    """Return a provider's bill the same way."""
    found: dict[tuple[str, str, str, str], dict[str, int]] = {}
    for call in bill:
        provider = "anthropic" if call.path == "/v1/messages" else "openai"
        cell = found.setdefault((call.tenant, call.feature, provider, call.model), {})
        for direction, tokens in call.tokens.items():
            if tokens:
                cell[direction] = cell.get(direction, 0) + tokens
    return {whose: cell for whose, cell in found.items() if cell}


def values(page: str, metric: str) -> dict[tuple[str, str], int]:
    """Return a counter's sums by tenant and reason (of calls without usage; "" of others), where they are not 0."""
    found: dict[tuple[str, str], int] = {}
    for name, labels, value in samples_in(page):
        if name == metric and value:
            key = (labels["tenant"], labels.get("reason", ""))
            found[key] = found.get(key, 0) + int(value)
    return found
