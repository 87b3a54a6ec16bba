"""Counts the tokens of OpenAI and Anthropic clients by tenant, model and feature for Prometheus. Copy this file.

    client = count_tokens(OpenAI(), "openai")  # or AsyncOpenAI(), Anthropic(), AsyncAnthropic(): once for each client
    with tokens_of("acme", "search"):          # around what is done for a tenant, such as in a middleware
        client.chat.completions.create(...)

It needs prometheus_client alone. What it counts and what it cannot see: docs/ai-instrumentation.md of unitcost.
"""

import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from inspect import isawaitable, iscoroutinefunction
from typing import Any, TypeVar

from prometheus_client import Counter

LABELS = ("tenant", "model", "feature", "provider")
DIRECTIONS = ("input", "output", "cache_read", "cache_write")  # disjoint: input is what no cache took part in
REASONS = ("failed", "left", "unsaid")  # it raised; its stream was not read to the end; its answer says no usage
TOKENS = Counter("ai_tokens_total", "Tokens of AI models, each in one direction.", (*LABELS, "direction"))
REQUESTS = Counter("ai_requests_total", "Calls of AI models, whatever came of them.", LABELS)
WITHOUT = Counter("ai_requests_without_usage_total", "Calls that did not tell all their tokens.", (*LABELS, "reason"))
MOST = 1000  # combinations of labels; what comes beyond them counts as tenant and feature __other__
CALLS = {  # resource: its methods that are calls
    "chat.completions": ("create", "parse"),
    "completions": ("create",),
    "embeddings": ("create",),
    "responses": ("create", "parse"),
    "messages": ("create", "parse", "stream"),
    "beta.chat.completions": ("create", "parse"),
    "beta.responses": ("create",),
    "beta.messages": ("create", "parse", "stream"),
}

whose: ContextVar[tuple[str, str]] = ContextVar("whose", default=("", ""))
seen: set[tuple[str, ...]] = set()
lock = threading.Lock()
Client = TypeVar("Client")


@contextmanager
def tokens_of(tenant: str, feature: str = "") -> Iterator[None]:
    """Count calls that begin in this block, or in tasks that do, as a tenant's."""
    token = whose.set((tenant, feature))
    try:
        yield
    finally:
        whose.reset(token)


def count_tokens(client: Client, provider: str) -> Client:
    """Count the calls of a client from now on, and return it. The provider is openai, anthropic, azure or the like."""
    for path, methods in CALLS.items():
        resource: Any = client
        for name in path.split("."):
            resource = getattr(resource, name, None)
        for name in methods:
            method = getattr(resource, name, None)
            if method is not None and not hasattr(method, "counts"):
                setattr(resource, name, counted(method, f"{path}.{name}", provider))
    return client


def counted(create: Any, path: str, provider: str) -> Any:
    """Return a method of a client that counts."""

    def create_counted(*args: Any, **kwargs: Any) -> Any:
        call = Call(kwargs.get("model"), provider)
        if kwargs.get("stream") is True and path.endswith("completions.create"):
            given = kwargs.get("stream_options")
            given = given if isinstance(given, dict) else {}
            call.hides = "include_usage" not in given  # who did not ask for a chunk without choices expects none
            kwargs["stream_options"] = {"include_usage": True, **given}
        call.raw = (kwargs.get("extra_headers") or {}).get("X-Stainless-Raw-Response") in {"true", "raw"}
        with call.ending("failed"):
            answer = create(*args, **kwargs)
        if path.endswith("messages.stream"):
            return entered_async(answer, call) if hasattr(answer, "__aenter__") else entered(answer, call)
        return awaited(answer, call) if isawaitable(answer) else call.answered(answer)

    create_counted.counts = True  # type: ignore[attr-defined]  # a client that is given twice counts once
    return create_counted


async def awaited(answer: Any, call: "Call") -> Any:
    with call.ending("failed"):
        found = await answer
    return call.answered(found)


@contextmanager
def entered(manager: Any, call: "Call") -> Iterator[Any]:
    with call.ending("failed"), manager as stream:
        yield call.answered(stream)


@asynccontextmanager
async def entered_async(manager: Any, call: "Call") -> AsyncIterator[Any]:
    with call.ending("failed"):
        async with manager as stream:
            yield call.answered(stream)


def watched(chunks: Iterator[Any], call: "Call") -> Iterator[Any]:
    with call.ending("left"):
        yield from (chunk for chunk in chunks if call.see(chunk))
    call.end("unsaid")


async def watched_async(chunks: AsyncIterator[Any], call: "Call") -> AsyncIterator[Any]:
    with call.ending("left"):
        async for chunk in chunks:
            if call.see(chunk):
                yield chunk
    call.end("unsaid")


class Call:
    """One call: its series are there before it is sent, its tokens are added once."""

    def __init__(self, model: str | None, provider: str) -> None:
        tenant, feature = whose.get()
        self.labels = (tenant, model or "unknown", feature, provider)
        with lock:
            if self.labels not in seen and len(seen) >= MOST:
                known = self.labels[1] if len(seen) < 2 * MOST else "__other__"
                self.labels = ("__other__", known, "__other__", provider)
            seen.add(self.labels)
        for direction in DIRECTIONS:
            TOKENS.labels(*self.labels, direction)
        for reason in REASONS:
            WITHOUT.labels(*self.labels, reason)
        REQUESTS.labels(*self.labels).inc()
        self.tokens: dict[str, int] = {}
        self.whole = self.ended = self.hides = self.raw = False

    def answered(self, answer: Any) -> Any:
        """Have the usage of an answer counted: at once, or as the chunks of a stream are read."""
        if self.raw and not iscoroutinefunction(answer.parse):  # it parses once: the caller is given the same later
            self.raw = False
            with self.ending("failed"):
                self.answered(answer.parse())
        elif hasattr(answer, "_iterator"):
            watch, close = watched_async if hasattr(answer, "__aiter__") else watched, answer.close

            def leave() -> Any:
                self.end("left")
                return close()

            answer._iterator, answer.close = watch(answer._iterator, self), leave
            weakref.finalize(answer, self.end, "left")
        else:
            self.see(answer)
            self.end("unsaid")
        return answer

    def see(self, answer: Any) -> bool:
        """Remember the usage of an answer or a chunk; tell whether the caller expects this chunk."""
        for name in ("", "response", "message"):
            usage = getattr(getattr(answer, name, None) if name else answer, "usage", None)
            if usage is not None:
                self.tokens |= tokens_in(usage)
                self.whole = self.whole or name != "message"  # Anthropic's first event has a message, and little output
        return not self.hides or getattr(answer, "choices", None) != []

    def end(self, reason: str) -> None:
        """Count what was seen, once; reason: why that is not all, where it is not."""
        if not self.ended:
            self.ended = True
            for direction, tokens in self.tokens.items():
                TOKENS.labels(*self.labels, direction).inc(tokens)
            if not self.whole:
                WITHOUT.labels(*self.labels, reason).inc()

    @contextmanager
    def ending(self, reason: str) -> Iterator[None]:
        """End the call where the block fails."""
        try:
            yield
        except BaseException:
            self.end(reason)
            raise


def tokens_in(usage: Any) -> dict[str, int]:
    """Return what a usage tells: OpenAI's input includes what a cache took part in, Anthropic's does not."""
    details = getattr(usage, "prompt_tokens_details", None) or getattr(usage, "input_tokens_details", None)

    def said(*names: str) -> int | None:
        found = (getattr(holder, name, None) for holder in (details, usage) for name in names)
        return next((number for number in found if number is not None), None)

    tokens = {
        "input": said("prompt_tokens", "input_tokens"),
        "output": said("completion_tokens", "output_tokens"),
        "cache_read": said("cached_tokens", "cache_read_input_tokens"),
        "cache_write": said("cache_write_tokens", "cache_creation_input_tokens"),
    }
    known = {direction: number for direction, number in tokens.items() if number is not None}
    if details and "input" in known:
        known["input"] = max(known["input"] - known.get("cache_read", 0) - known.get("cache_write", 0), 0)
    return known
