"""An application that asks models for its tenants: POST /call makes a call, GET /metrics tells of all of them.

    python -m tests.fakes.ai_app PROVIDER_URL PORT LABELS

The same as tests/instrumentation/app.ts in TypeScript.
"""

from __future__ import annotations

import gc
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anthropic import Anthropic
from openai import OpenAI
from prometheus_client import REGISTRY, generate_latest

from instrumentation.python import ai_tokens
from tests.fakes.ai_calls import ask

URL, PORT, MOST = sys.argv[1:]
ai_tokens.MOST = int(MOST)
OPENAI: Any = ai_tokens.count_tokens(OpenAI(api_key="x", base_url=f"{URL}/v1", max_retries=1), "openai")
ANTHROPIC: Any = ai_tokens.count_tokens(Anthropic(api_key="x", base_url=URL, max_retries=1), "anthropic")


def call(api: str, prompt: str, read: str, more: dict[str, Any]) -> int:
    """Make a call and read its stream to the end, or leave it after its first chunk, or abort it, or read none."""
    messages = [{"role": "user", "content": prompt}]
    match api:
        case "stream":
            with ANTHROPIC.messages.stream(messages=messages, max_tokens=1000, **more) as helper:
                helper.get_final_message()
            return 0
        case "parse":
            OPENAI.chat.completions.parse(messages=messages, **more)
            return 0
        case "raw":
            OPENAI.chat.completions.with_raw_response.create(messages=messages, **more)
            return 0
    answer = ask(ANTHROPIC if api == "messages" else OPENAI, api, prompt, **more)
    if "stream" not in more or read == "none":
        return 0
    chunks = 0
    for _ in answer:
        chunks += 1
        if read == "first":
            break
        if read == "abort":
            answer.close()
            break
    return chunks


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        gc.collect()  # what is told of only when it is gone
        self.say(generate_latest(REGISTRY))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with ai_tokens.tokens_of(asked["tenant"], asked["feature"]):
            try:
                answer: dict[str, object] = {
                    "chunks": call(asked["api"], asked["prompt"], asked["read"], asked["more"])
                }
            except Exception as error:  # noqa: BLE001
                answer = {"error": str(getattr(error, "status_code", type(error).__name__))}
        self.say(json.dumps(answer).encode())

    def say(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
