"""Both modules of instrumentation/ in applications of their own: what their pages say is what the provider bills."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.ai_calls import MODELS, billed, counted, values
from tests.fakes.instrumented_app import NODE, App, node_app, python_app
from tests.fakes.model_provider import PIECES, Provider
from tests.fakes.processes import wait_for

TOKENS = {
    "chat": {"input": 60, "cache_read": 40, "cache_write": 5, "output": 7},
    "responses": {"input": 1000, "cache_read": 512, "output": 33},
    "embeddings": {"input": 77},
    "messages": {"input": 600, "cache_read": 300, "cache_write": 100, "output": 70},
}
STREAMED = ("chat", "responses", "messages")
STREAM = {"stream": True}
PACKAGES = os.environ.get("AI_NODE_MODULES")
"""A folder node_modules with openai, @anthropic-ai/sdk and prom-client, to try the real ones."""

Start = Callable[..., AbstractContextManager[App]]


@pytest.fixture(params=["python", pytest.param("typescript", marks=pytest.mark.needs(str(NODE)))])
def start(request: pytest.FixtureRequest, tmp_path: Path, there: Provider) -> Start:
    """Return what starts an application."""
    if request.param == "python":
        return partial(python_app, tmp_path, there)
    return partial(node_app, tmp_path, there, packages=None if PACKAGES is None else Path(PACKAGES))


@pytest.fixture
def app(start: Start) -> Iterator[App]:
    """Return a running application."""
    with start() as found:
        yield found


def without(app: App) -> dict[tuple[str, str], int]:
    return values(app.metrics(), "ai_requests_without_usage_total")


def test_answers_and_streams_of_many_tenants_at_once_are_counted_as_they_are_billed(app: App, there: Provider) -> None:
    calls = [
        partial(app.call, api, tenant, feature, more=more, told={name: n * size for name, n in TOKENS[api].items()})
        for size, tenant in enumerate(("acme", "globex", "initech"), start=1)
        for feature in ("chat", "search")
        for api in TOKENS
        for more in ({}, STREAM)
        if not more or api in STREAMED
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = [call.result() for call in [pool.submit(call) for call in calls]]
    assert {answer["chunks"] for answer in answers} >= {0, PIECES + 1}
    assert len(there.bill) == len(calls) == 42
    assert counted(app.metrics()) == billed(there.bill)
    assert values(app.metrics(), "ai_requests_total") == {(tenant, ""): 14 for tenant in ("acme", "globex", "initech")}
    assert without(app) == {}


def test_zeros_are_there_before_the_request_is_sent(app: App, there: Provider) -> None:
    pages = []
    there.arrived = lambda: pages.append(app.metrics())
    app.call("messages", "acme", "chat", more=STREAM, told=TOKENS["messages"])
    lines = [line for line in pages[0].splitlines() if 'tenant="acme"' in line and "_created" not in line]
    assert {float(line.rpartition(" ")[2]) for line in lines if not line.startswith("ai_requests_total")} == {0}
    assert len(lines) == 4 + 3 + 1  # directions, reasons, requests
    assert pages[0].count('model="claude-sonnet-4-5"') >= len(lines)


@pytest.mark.parametrize("read", ["first", "abort", "none"])
def test_a_stream_that_is_left_is_told_with_what_was_said_until_then(app: App, read: str) -> None:
    for api in STREAMED:
        app.call(api, api, read=read, more=STREAM, told={**TOKENS[api], "hold": 100})
    said = {"input": 600, "cache_read": 300, "cache_write": 100, "output": 1}  # in Anthropic's first event
    whose = ("messages", "", "anthropic", MODELS["messages"])
    left = {(api, "left"): 1 for api in STREAMED}
    wait_for(lambda: without(app) == left, "what nobody reads any more is gone")
    assert counted(app.metrics()) == ({} if read == "none" else {whose: said})


def test_what_fails_costs_nothing_and_is_told(app: App, there: Provider) -> None:
    answers = [app.call(api, api, told={"output": 7, "status": status}) for api in TOKENS for status in (429, 500)]
    assert answers == [{"error": "429"}, {"error": "500"}] * len(TOKENS)
    assert there.bill == []
    assert counted(app.metrics()) == {}
    assert without(app) == {(api, "failed"): 2 for api in TOKENS}


def test_a_stream_that_breaks_off_fails_and_is_told(app: App) -> None:
    assert "error" in app.call("chat", "acme", more=STREAM, told={"output": 7, "cut": 3})
    assert without(app) == {("acme", "left"): 1}


def test_a_call_that_the_client_tries_again_counts_once(app: App, there: Provider) -> None:
    app.call("chat", "acme", told={"input": 9, "output": 7, "status": 500, "fails": 1})
    assert len(there.requests) == 2
    assert counted(app.metrics()) == billed(there.bill)
    assert without(app) == {}


def test_a_stream_is_asked_for_its_usage_unless_the_caller_decided_that(app: App, there: Provider) -> None:
    for tenant, options, chunks in (
        ("a", None, 0),
        ("b", {"include_usage": True}, 1),
        ("c", {"include_usage": False}, 0),
    ):
        more = STREAM if options is None else {**STREAM, "stream_options": options}
        told = app.call("chat", tenant, more=more, told={"output": 7})
        assert told == {"chunks": PIECES + 1 + chunks}  # a chunk of usage is shown to who asked for it
    assert [body["stream_options"]["include_usage"] for _, body in there.requests] == [True, True, False]
    assert counted(app.metrics()) == billed(there.bill[:2])
    assert without(app) == {("c", "unsaid"): 1}


def test_the_helpers_of_the_clients_are_counted_too(app: App, there: Provider) -> None:
    for api in ("parse", "raw", "stream"):
        assert app.call(api, "acme", "chat", told={"input": 9, "cache_read": 5, "output": 7}) == {"chunks": 0}
    assert counted(app.metrics()) == billed(there.bill)
    assert len(there.bill) == 3
    assert without(app) == {}


def test_beyond_the_limit_of_labels_tokens_are_counted_as_of_all_others(start: Start, there: Provider) -> None:
    with start(labels=2) as app:
        for number in range(4):
            app.call("chat", f"t{number}", "chat", told={"input": 10, "output": number})
        for number in range(9):  # names of models that somebody makes up
            app.call("chat", "t0", "chat", more={"model": f"made-up-{number}"}, told={"input": 1})
        app.call("chat", "t1", "chat", told={"input": 5})
        cells = counted(app.metrics())
    assert {whose[0::3]: cell for whose, cell in cells.items()} == {
        ("t0", "gpt-4o"): {"input": 10},
        ("t1", "gpt-4o"): {"input": 15, "output": 1},
        ("__other__", "gpt-4o"): {"input": 20, "output": 5},
        ("__other__", "made-up-0"): {"input": 1},
        ("__other__", "__other__"): {"input": 8},
    }
    assert sum(sum(cell.values()) for cell in cells.values()) == sum(sum(call.tokens.values()) for call in there.bill)
