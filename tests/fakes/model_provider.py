"""A model provider on loopback with the answers of OpenAI and Anthropic, that keeps its own bill.

What a call costs stands in its prompt, as `asked` writes it, so that whoever asks decides it, from any process and by
any client: `tenant=acme feature=chat input=100 cache_read=40 output=7`. A real provider sees neither tenant nor
feature: they are here for the bill alone.
"""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIRECTIONS = ("input", "cache_read", "cache_write", "output")
PRICES = {
    "gpt-4o": (2.5, 1.25, 2.5, 10),
    "gpt-4o-mini": (0.15, 0.075, 0.15, 0.6),
    "text-embedding-3-small": (0.02, 0.02, 0.02, 0),
    "claude-sonnet-4-5": (3, 0.3, 3.75, 15),
}
"""Dollars for a million tokens of each direction: list prices of November 2026."""
PIECES = 50
"""Of text in a stream."""


def asked(tenant: str, feature: str = "", /, **told: int) -> str:
    """Return the prompt of a call.

    input, cache_read, cache_write, output: tokens, each in one direction. status: fail so, the first `fails` times.
    cut: break the stream off after so many pieces. hold: milliseconds that it rests after the third.
    """
    return " ".join(f"{name}={value}" for name, value in {"tenant": tenant, "feature": feature, **told}.items())


@dataclass(frozen=True)
class Billed:
    """A call that the provider charges for."""

    tenant: str
    feature: str
    model: str
    path: str
    tokens: Mapping[str, int]


@dataclass
class Provider:
    """A running provider: its URL, what was asked of it (path and body) and its bill."""

    url: str
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    bill: list[Billed] = field(default_factory=list)
    arrived: Callable[[], object] = bool
    """Called when a request is there, before its answer."""

    def totals(self) -> dict[tuple[str, str, str], int]:
        """Return the billed tokens by tenant, model and direction."""
        sums: dict[tuple[str, str, str], int] = defaultdict(int)
        for call in self.bill:
            for direction, tokens in call.tokens.items():
                if tokens:
                    sums[call.tenant, call.model, direction] += tokens
        return dict(sums)

    def dollars(self) -> dict[str, Decimal]:
        """Return what each tenant is billed."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for (tenant, model, direction), tokens in self.totals().items():
            sums[tenant] += tokens * Decimal(str(PRICES[model][DIRECTIONS.index(direction)])) / 1_000_000
        return dict(sums)


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve on a free port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = server.provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        there: Provider = self.server.provider  # type: ignore[attr-defined]
        prompt = body["messages"][-1]["content"] if "messages" in body else body["input"]
        told = dict(word.split("=", 1) for word in prompt.split())
        before = sum(seen == body for _, seen in there.requests)
        path = self.path.partition("?")[0]
        there.requests.append((path, body))
        there.arrived()
        if "status" in told and before < int(told.get("fails", "1000")):
            error = {"type": "api_error", "message": "not now", "code": None, "param": None}
            self.say(int(told["status"]), {"type": "error", "error": error})
            return
        tokens = {direction: int(told.get(direction, "0")) for direction in DIRECTIONS}
        there.bill.append(Billed(told["tenant"], told["feature"], body["model"], path, tokens))
        answer = ANSWERS[path](body, tokens)
        if isinstance(answer, dict):
            self.say(200, answer)
        else:
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
                self.stream(answer, int(told.get("cut", "1000")), int(told.get("hold", "0")) / 1000)

    def say(self, status: int, answer: Mapping[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, events: Iterator[str], cut: int, hold: float) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(events):
            if number == cut:
                return
            if number == 3:
                time.sleep(hold)
            content = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: object) -> None:
        pass


def event(data: Mapping[str, Any], *, named: bool = True) -> str:
    return (f"event: {data['type']}\n" if named else "") + f"data: {json.dumps(data)}\n\n"


def openai_usage(tokens: Mapping[str, int], read: str, said: str) -> dict[str, Any]:
    """Return a usage as OpenAI tells it: what a cache took part in is part of the input."""
    whole = tokens["input"] + tokens["cache_read"] + tokens["cache_write"]
    inside = {"cached_tokens": tokens["cache_read"], "cache_write_tokens": tokens["cache_write"], "audio_tokens": 0}
    return {
        read: whole,
        f"{read}_details": inside,
        said: tokens["output"],
        f"{said}_details": {"reasoning_tokens": tokens["output"] // 2},
        "total_tokens": whole + tokens["output"],
    }


def chat(body: Mapping[str, Any], tokens: Mapping[str, int]) -> dict[str, Any] | Iterator[str]:
    usage = openai_usage(tokens, "prompt_tokens", "completion_tokens")
    head = {"id": "chatcmpl-1", "created": 1795000000, "model": body["model"], "system_fingerprint": "fp_1"}
    if not body.get("stream"):
        message = {"role": "assistant", "content": "well", "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    return chat_chunks(head, usage, include_usage=bool((body.get("stream_options") or {}).get("include_usage")))


def chat_chunks(head: Mapping[str, Any], usage: Mapping[str, int], *, include_usage: bool) -> Iterator[str]:
    empty = {"usage": None} if include_usage else {}
    for number in range(PIECES + 1):
        last = number == PIECES
        delta = {} if last else {"role": "assistant", "content": "well "} if number == 0 else {"content": "well "}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop" if last else None}
        yield event({**head, "object": "chat.completion.chunk", "choices": [choice], **empty}, named=False)
    if include_usage:
        yield event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}, named=False)
    yield "data: [DONE]\n\n"


def responses(body: Mapping[str, Any], tokens: Mapping[str, int]) -> dict[str, Any] | Iterator[str]:
    text = {"type": "output_text", "text": "well", "annotations": [], "logprobs": []}
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [text]}
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1795000000,
        "model": body["model"],
        "status": "completed",
        "error": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "output": [message],
        "usage": openai_usage(tokens, "input_tokens", "output_tokens"),
    }
    return responses_events(answer) if body.get("stream") else answer


def responses_events(answer: Mapping[str, Any]) -> Iterator[str]:
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    yield event({"type": "response.created", "sequence_number": 0, "response": begun})
    for number in range(PIECES):
        yield event({"type": "response.output_text.delta", "sequence_number": number + 1, **where, "delta": "well "})
    yield event({"type": "response.completed", "sequence_number": PIECES + 1, "response": answer})


def embeddings(body: Mapping[str, Any], tokens: Mapping[str, int]) -> dict[str, Any]:
    numbers = [0.5, -0.25]
    vector = base64.b64encode(struct.pack("<2f", *numbers)).decode() if body["encoding_format"] == "base64" else numbers
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    usage = {"prompt_tokens": tokens["input"], "total_tokens": tokens["input"]}
    return {"object": "list", "model": body["model"], "data": data, "usage": usage}


def messages(body: Mapping[str, Any], tokens: Mapping[str, int]) -> dict[str, Any] | Iterator[str]:
    """Answer as Anthropic does: what a cache took part in stands beside the input."""
    usage = {
        "input_tokens": tokens["input"],
        "cache_creation_input_tokens": tokens["cache_write"],
        "cache_read_input_tokens": tokens["cache_read"],
        "output_tokens": tokens["output"],
        "service_tier": "standard",
    }
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": "well"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    return messages_events(answer) if body.get("stream") else answer


def messages_events(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the events of a stream: the first tells the input and one token of output, the last but one all output."""
    usage = answer["usage"]
    begun = {**answer, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield event({"type": "message_start", "message": begun})
    yield event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    yield event({"type": "ping"})
    for _ in range(PIECES):
        delta = {"type": "text_delta", "text": "well "}
        yield event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield event({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": usage["output_tokens"]}})
    yield event({"type": "message_stop"})


ANSWERS = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/embeddings": embeddings,
    "/v1/messages": messages,
}
