"""The Python module of instrumentation/ counts, with the official clients, what stands on the provider's own bill."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import APIError, AsyncOpenAI, InternalServerError, OpenAI, RateLimitError
from prometheus_client import REGISTRY, generate_latest
from pydantic import BaseModel

from tests.fakes.ai_calls import MODELS, ask, billed, counted, values
from tests.fakes.model_provider import PIECES, Provider, asked

MODULE = Path(__file__).parents[2] / "instrumentation" / "python" / "ai_tokens.py"
TOKENS = {
    "chat": {"input": 60, "cache_read": 40, "cache_write": 5, "output": 7},
    "responses": {"input": 1000, "cache_read": 512, "output": 33},
    "embeddings": {"input": 77},
    "messages": {"input": 600, "cache_read": 300, "cache_write": 100, "output": 70},
}
STREAMED = ("chat", "responses", "messages")

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # models go, and clients warn of it


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """Return the module, imported anew: its counters begin at 0."""
    spec = importlib.util.spec_from_file_location("ai_tokens", MODULE)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    yield found
    for counter in (found.TOKENS, found.REQUESTS, found.WITHOUT):
        REGISTRY.unregister(counter)


@pytest.fixture
def clients(module: ModuleType, there: Provider) -> Iterator[dict[str, Any]]:
    """Return for each API the client that is asked, counted by the module."""
    openai = module.count_tokens(OpenAI(api_key="x", base_url=f"{there.url}/v1", max_retries=1), "openai")
    anthropic = module.count_tokens(Anthropic(api_key="x", base_url=there.url, max_retries=1), "anthropic")
    with openai, anthropic:
        yield {"chat": openai, "responses": openai, "embeddings": openai, "messages": anthropic}


def page() -> str:
    return generate_latest(REGISTRY).decode()


def without() -> dict[tuple[str, str], int]:
    return values(page(), "ai_requests_without_usage_total")


def test_answers_of_every_api_are_counted_as_they_are_billed(
    module: ModuleType, clients: dict[str, Any], there: Provider
) -> None:
    for tenant, feature in (("acme", "chat"), ("acme", "search"), ("globex", "search"), ("acme", "chat")):
        with module.tokens_of(tenant, feature):
            for api, tokens in TOKENS.items():
                answer = ask(clients[api], api, asked(tenant, feature, **tokens))
                assert answer.model == MODELS[api]
    assert counted(page()) == billed(there.bill)
    assert len(there.bill) == 16
    assert without() == {}
    assert values(page(), "ai_requests_total") == {("acme", ""): 12, ("globex", ""): 4}


def test_streams_are_counted_as_they_are_billed(module: ModuleType, clients: dict[str, Any], there: Provider) -> None:
    for api in STREAMED:
        with module.tokens_of("acme", "chat"):
            stream = ask(clients[api], api, asked("acme", "chat", **TOKENS[api]), stream=True)
        assert len(list(stream)) >= PIECES
        with module.tokens_of("globex"), ask(clients[api], api, asked("globex", **TOKENS[api]), stream=True) as again:
            assert len(list(again)) >= PIECES
    assert counted(page()) == billed(there.bill)
    assert len(there.bill) == 6
    assert without() == {}


def test_asynchronous_calls_of_several_tenants_at_once_are_counted_as_each_ones_own(
    module: ModuleType, there: Provider
) -> None:
    async def one(clients: dict[str, Any], tenant: str, api: str, *, stream: bool) -> None:
        with module.tokens_of(tenant, "chat"):
            told = {name: tokens * (len(tenant) - 3) for name, tokens in TOKENS[api].items()}
            answer = await ask(clients[api], api, asked(tenant, "chat", **told), **({"stream": True} if stream else {}))
            if stream:
                assert len([chunk async for chunk in answer]) >= PIECES

    async def all_of_them() -> None:
        openai = module.count_tokens(AsyncOpenAI(api_key="x", base_url=f"{there.url}/v1"), "openai")
        anthropic = module.count_tokens(AsyncAnthropic(api_key="x", base_url=there.url), "anthropic")
        async with openai, anthropic:
            clients = {"chat": openai, "responses": openai, "embeddings": openai, "messages": anthropic}
            calls = [(api, False) for api in TOKENS] + [(api, True) for api in STREAMED]
            tenants = ("acme", "globex", "initech")
            await asyncio.gather(
                *(one(clients, tenant, api, stream=stream) for tenant in tenants for api, stream in calls)
            )

    asyncio.run(all_of_them())
    assert counted(page()) == billed(there.bill)
    assert len(there.bill) == 21
    assert without() == {}


def test_zeros_of_every_direction_are_there_before_the_request_is_sent(
    module: ModuleType, clients: dict[str, Any], there: Provider
) -> None:
    pages = []
    there.arrived = lambda: pages.append(page())
    with module.tokens_of("acme", "chat"):
        ask(clients["messages"], "messages", asked("acme", "chat", **TOKENS["messages"]))
    labels = 'feature="chat",model="claude-sonnet-4-5",provider="anthropic"'
    for direction in ("input", "output", "cache_read", "cache_write"):
        assert f'ai_tokens_total{{direction="{direction}",{labels},tenant="acme"}} 0.0' in pages[0]
    for reason in ("failed", "left", "unsaid"):
        assert f'{labels},reason="{reason}",tenant="acme"}} 0.0' in pages[0]


def test_a_stream_that_was_left_is_told_and_of_it_what_the_provider_said_until_then(
    module: ModuleType, clients: dict[str, Any]
) -> None:
    for api in STREAMED:
        with module.tokens_of(api), ask(clients[api], api, asked(api, **TOKENS[api]), stream=True) as stream:
            next(iter(stream))
    said = {"input": 600, "cache_read": 300, "cache_write": 100, "output": 1}  # in Anthropic's first event
    assert counted(page()) == {("messages", "", "anthropic", MODELS["messages"]): said}
    assert without() == {(api, "left"): 1 for api in STREAMED}


def test_a_stream_that_nobody_reads_or_closes_is_told_when_it_is_gone(
    module: ModuleType, clients: dict[str, Any]
) -> None:
    with module.tokens_of("acme"):
        for chunk in ask(clients["chat"], "chat", asked("acme", output=7), stream=True):
            assert chunk.choices
            break
        ask(clients["chat"], "chat", asked("acme", output=7), stream=True).response.close()
    del chunk
    gc.collect()
    assert counted(page()) == {}
    assert without() == {("acme", "left"): 2}


def test_asynchronous_streams_that_are_left_are_told(module: ModuleType, there: Provider) -> None:
    async def leave() -> None:
        async with AsyncOpenAI(api_key="x", base_url=f"{there.url}/v1") as client:
            with module.tokens_of("acme"):
                stream = await ask(module.count_tokens(client, "openai"), "chat", asked("acme", output=7), stream=True)
            async with stream:
                async for _ in stream:
                    break

    asyncio.run(leave())
    assert counted(page()) == {}
    assert without() == {("acme", "left"): 1}


def test_a_stream_that_breaks_off_raises_and_is_told(module: ModuleType, clients: dict[str, Any]) -> None:
    with module.tokens_of("acme"), pytest.raises(APIError):
        list(ask(clients["chat"], "chat", asked("acme", output=7, cut=3), stream=True))
    assert without() == {("acme", "left"): 1}


def test_a_call_that_fails_costs_nothing_and_is_told(
    module: ModuleType, clients: dict[str, Any], there: Provider
) -> None:
    for status, error in ((500, InternalServerError), (429, RateLimitError)):
        with module.tokens_of("acme"), pytest.raises(error):
            ask(clients["chat"], "chat", asked("acme", output=7, status=status))
    assert there.bill == []
    assert counted(page()) == {}
    assert without() == {("acme", "failed"): 2}


def test_a_call_that_the_client_tries_again_counts_once(
    module: ModuleType, clients: dict[str, Any], there: Provider
) -> None:
    with module.tokens_of("acme"):
        ask(clients["chat"], "chat", asked("acme", input=9, output=7, status=500, fails=1))
    assert len(there.requests) == 2
    assert counted(page()) == billed(there.bill)
    assert values(page(), "ai_requests_total") == {("acme", ""): 1}
    assert without() == {}


@pytest.mark.parametrize(
    ("given", "sent", "told", "chunks"),
    [
        ({}, {"include_usage": True}, True, PIECES + 1),  # and the chunk that nobody asked for is not shown
        ({"stream_options": None}, {"include_usage": True}, True, PIECES + 1),
        (
            {"stream_options": {"include_obfuscation": False}},
            {"include_usage": True, "include_obfuscation": False},
            True,
            PIECES + 1,
        ),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}, True, PIECES + 2),
        ({"stream_options": {"include_usage": False}}, {"include_usage": False}, False, PIECES + 1),
    ],
)
def test_a_stream_is_asked_for_its_usage_unless_the_caller_decided_that(
    module: ModuleType,
    clients: dict[str, Any],
    there: Provider,
    given: dict[str, Any],
    sent: dict[str, Any],
    told: bool,
    chunks: int,
) -> None:
    with module.tokens_of("acme"):
        read = list(ask(clients["chat"], "chat", asked("acme", input=9, output=7), stream=True, **given))
    assert there.requests[0][1]["stream_options"] == sent
    assert len(read) == chunks
    assert counted(page()) == (billed(there.bill) if told else {})
    assert without() == ({} if told else {("acme", "unsaid"): 1})


class Said(BaseModel):
    """What a model is to answer with."""


def test_the_helpers_of_the_clients_are_counted_too(
    module: ModuleType, clients: dict[str, Any], there: Provider
) -> None:
    openai, anthropic = clients["chat"], clients["messages"]
    prompt = [{"role": "user", "content": asked("acme", input=9, output=7)}]
    with module.tokens_of("acme"):
        with openai.chat.completions.stream(model="gpt-4o", messages=prompt) as stream:
            assert stream.get_final_completion().choices[0].finish_reason == "stop"
        with anthropic.messages.stream(model="claude-sonnet-4-5", max_tokens=9, messages=prompt) as texts:
            assert len(list(texts.text_stream)) == PIECES
        raw = openai.chat.completions.with_raw_response
        assert raw.create(model="gpt-4o", messages=prompt).parse().usage.completion_tokens == 7
        assert len(list(raw.create(model="gpt-4o", messages=prompt, stream=True).parse())) == PIECES + 1
        assert anthropic.messages.with_raw_response.create(
            model="claude-sonnet-4-5", max_tokens=9, messages=prompt
        ).headers
    assert counted(page()) == billed(there.bill)
    assert len(there.bill) == 5
    assert without() == {}


def test_an_answer_that_only_the_caller_reads_is_told(clients: dict[str, Any]) -> None:
    create = clients["chat"].chat.completions.with_streaming_response.create
    with create(model="gpt-4o", messages=[{"role": "user", "content": asked("acme", output=7)}]) as answer:
        assert answer.parse().usage.completion_tokens == 7
    assert counted(page()) == {}
    assert without() == {("", "unsaid"): 1}


def test_what_the_client_parses_is_counted_too(module: ModuleType, clients: dict[str, Any], there: Provider) -> None:
    prompt = asked("acme", input=9, output=7)
    with module.tokens_of("acme"):
        with pytest.raises(ValueError, match="JSON"):  # the provider says "well", which is none
            clients["responses"].responses.parse(model="gpt-4o", input=prompt, text_format=Said)
        parsed = clients["chat"].chat.completions.parse(model="gpt-4o", messages=[{"role": "user", "content": prompt}])
    assert parsed.usage.completion_tokens == 7
    assert counted(page()) == billed(there.bill[1:])
    assert without() == {("acme", "failed"): 1}


def test_beta_resources_are_counted_too(module: ModuleType, clients: dict[str, Any], there: Provider) -> None:
    text = asked("acme", input=9, cache_read=4, output=7)
    prompt = [{"role": "user", "content": text}]
    with module.tokens_of("acme"):
        clients["chat"].beta.chat.completions.create(model="gpt-4o", messages=prompt)
        clients["chat"].beta.chat.completions.parse(model="gpt-4o", messages=prompt)
        clients["responses"].beta.responses.create(model="gpt-4o", input=text)
        clients["messages"].beta.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=prompt)
        with clients["messages"].beta.messages.stream(
            model="claude-sonnet-4-5", max_tokens=9, messages=prompt
        ) as stream:
            stream.until_done()
    assert counted(page()) == billed(there.bill)
    assert len(there.bill) == 5
    assert without() == {}


def test_a_client_that_is_given_twice_counts_once(module: ModuleType, clients: dict[str, Any], there: Provider) -> None:
    again = module.count_tokens(clients["messages"], "anthropic")
    with module.tokens_of("acme"):
        ask(again, "messages", asked("acme", input=9, output=7))
        with again.messages.stream(
            model="claude-sonnet-4-5", max_tokens=9, messages=[{"role": "user", "content": asked("acme", output=7)}]
        ) as stream:
            stream.until_done()
    assert counted(page()) == billed(there.bill)
    assert values(page(), "ai_requests_total") == {("acme", ""): 2}


def test_messages_that_are_streamed_and_left_are_told(module: ModuleType, clients: dict[str, Any]) -> None:
    prompt = [{"role": "user", "content": asked("acme", input=9, output=70)}]
    with (
        module.tokens_of("acme"),
        clients["messages"].messages.stream(model="claude-sonnet-4-5", max_tokens=9, messages=prompt) as stream,
    ):
        next(stream)
    assert list(counted(page()).values()) == [{"input": 9, "output": 1}]
    assert without() == {("acme", "left"): 1}


def test_messages_are_streamed_asynchronously_or_left(module: ModuleType, there: Provider) -> None:
    async def both() -> None:
        async with AsyncAnthropic(api_key="x", base_url=there.url) as client:
            stream_of = module.count_tokens(client, "anthropic").messages.stream
            for tenant in ("acme", "globex"):
                prompt = [{"role": "user", "content": asked(tenant, input=9, output=70)}]
                with module.tokens_of(tenant):
                    async with stream_of(model="claude-sonnet-4-5", max_tokens=9, messages=prompt) as stream:
                        if tenant == "acme":
                            await stream.get_final_message()
                        else:
                            await anext(stream)

    asyncio.run(both())
    cells = {whose[0]: cell for whose, cell in counted(page()).items()}
    assert cells == {"acme": {"input": 9, "output": 70}, "globex": {"input": 9, "output": 1}}
    assert without() == {("globex", "left"): 1}


def test_beyond_the_limit_of_labels_tokens_are_counted_as_of_all_others(
    module: ModuleType, clients: dict[str, Any], there: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(4):
        with module.tokens_of(f"t{number}", "chat"):
            ask(clients["chat"], "chat", asked(f"t{number}", "chat", input=10, output=number))
    for number in range(9):  # names of models that somebody makes up
        with module.tokens_of("t0", "chat"):
            ask(clients["chat"], "chat", asked("t0", "chat", input=1), model=f"made-up-{number}")
    with module.tokens_of("t1", "chat"):
        ask(clients["chat"], "chat", asked("t1", "chat", input=5))
    cells = counted(page())
    assert {whose[0::3]: cell for whose, cell in cells.items()} == {
        ("t0", "gpt-4o"): {"input": 10},
        ("t1", "gpt-4o"): {"input": 15, "output": 1},
        ("__other__", "gpt-4o"): {"input": 20, "output": 5},
        ("__other__", "made-up-0"): {"input": 1},
        ("__other__", "__other__"): {"input": 8},
    }
    assert sum(sum(cell.values()) for cell in cells.values()) == sum(sum(call.tokens.values()) for call in there.bill)


def test_a_call_is_of_the_innermost_block_and_nobodys_outside_of_any(
    module: ModuleType, clients: dict[str, Any], there: Provider
) -> None:
    with module.tokens_of("acme", "chat"):
        with module.tokens_of("globex"):
            ask(clients["chat"], "chat", asked("globex", input=1, output=7))
        ask(clients["chat"], "chat", asked("acme", "chat", input=2, output=7))
    ask(clients["chat"], "chat", asked("", input=9, output=7))
    assert counted(page()) == billed(there.bill)
    assert {whose[:2] for whose in counted(page())} == {("globex", ""), ("acme", "chat"), ("", "")}
