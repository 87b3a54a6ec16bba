"""An instrumented application, scraped by a real Prometheus through a restart: the provider's bill, to the token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.instrumented_app import NODE, App, node_app, python_app
from tests.fakes.model_provider import provider
from tests.fakes.processes import PrometheusServer, free_port, prometheus, wait_for
from tests.fakes.token_source import asked, settings, soon
from unitcost.facts import Usage
from unitcost.sources.ai.book import PriceBook
from unitcost.sources.ai.tokens import Tokens
from unitcost.sources.base import Context

Totals = Mapping[tuple[str, str, str], int]
"""(tenant, model, direction) → tokens that are not 0."""
STREAM = {"stream": True}


def read(running: PrometheusServer, *, first_samples: bool) -> list[Usage]:
    """Return the tokens that the source says of the application."""
    found = asked(Tokens("ai", settings(running, "plain", first_samples=first_samples), Context()), soon(), 1)
    return [one for one in found if one.measure == "ai_tokens"]


def totals(usage: list[Usage]) -> Totals:
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for one in usage:
        sums[one.tenant or "", one.item or "", one.unit or ""] += int(one.quantity)
    return dict(sums)


def dollars(usage: list[Usage], day: date) -> dict[str, Decimal]:
    """Return what each tenant's tokens cost by the price book."""
    book, sums = PriceBook(), defaultdict[str, Decimal](Decimal)
    for one in usage:
        price = book.price(one.item or "", one.unit or "", day, (one.scope or "").partition("/")[0])
        assert price is not None, one
        sums[one.tenant or ""] += price.of(one.quantity)
    return dict(sums)


def scraped(running: PrometheusServer, app: App) -> None:
    """Wait until Prometheus has what the application says now."""
    lines = [line for line in app.metrics().splitlines() if line.startswith("ai_tokens_total{")]
    whole = sum(float(line.rpartition(" ")[2]) for line in lines)

    def has_all() -> bool:
        return [float(one["value"][1]) for one in running.query("sum(ai_tokens_total)")] == [whole]

    wait_for(has_all, "Prometheus has scraped all tokens")


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("start", [python_app, pytest.param(node_app, marks=pytest.mark.needs(str(NODE)))])
def test_what_is_counted_is_what_is_billed_through_a_restart_a_new_tenant_and_one_that_left(
    start: Callable[..., AbstractContextManager[App]], tmp_path: Path
) -> None:
    port = free_port()
    with provider() as there, ExitStack() as first:
        app = first.enter_context(start(tmp_path, there, port=port))
        app.call("chat", "acme", "chat", told={"input": 100, "cache_read": 40, "output": 7})
        app.call("messages", "globex", "search", told={"input": 60, "cache_write": 30, "output": 20})
        born = there.totals()
        with prometheus(tmp_path, {"app": f"127.0.0.1:{port}"}) as running:
            scraped(running, app)
            app.call("chat", "acme", "chat", told={"input": 1000, "output": 70}, more=STREAM)
            app.call("messages", "globex", "search", told={"input": 5, "cache_read": 30, "output": 2}, more=STREAM)
            scraped(running, app)
            first.close()
            with start(tmp_path, there, port=port) as again:  # globex does not come again
                again.call("chat", "acme", "chat", told={"input": 30, "output": 3})
                there.arrived = lambda: wait_for(
                    lambda: running.has('ai_tokens_total{tenant="initech"}'), "the zeros of initech are scraped"
                )
                again.call("responses", "initech", "chat", told={"input": 900, "output": 90}, more=STREAM)
                scraped(running, again)
                assert not running.has('ai_tokens_total{tenant="globex"}')
            exactly = read(running, first_samples=True)
            assert totals(exactly) == there.totals()
            assert dollars(exactly, soon().date()) == there.dollars()
            rest = {whose: tokens - born.get(whose, 0) for whose, tokens in there.totals().items()}
            grown = {whose: tokens for whose, tokens in rest.items() if tokens}
            assert totals(read(running, first_samples=False)) == grown
