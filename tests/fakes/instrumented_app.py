"""Applications that count their tokens by the modules of instrumentation/, as processes of their own.

with provider() as there, python_app(folder, there) as app:
    app.call("chat", "acme", "search", told={"input": 100, "cache_read": 40, "output": 7})
    app.metrics()      # what a Prometheus scrapes at app.url/metrics
    there.totals()     # what the provider bills: tenant, model, direction → tokens
    there.dollars()    # tenant → dollars
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from demo.processes import stop, wait_for
from tests.fakes.ai_calls import MODELS
from tests.fakes.model_provider import Provider, asked

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".make" / "tools" / "usr" / "bin" / "node"
"""Where tools/setup puts it."""
STAND_INS = ROOT / "tests" / "instrumentation" / "stand_ins"
PACKAGES = {
    "stand-in-client": "client",
    "openai": "openai",
    "@anthropic-ai/sdk": "anthropic",
    "prom-client": "prom-client",
}


@dataclass(frozen=True)
class App:
    """A running application."""

    url: str

    def call(
        self,
        api: str,
        tenant: str,
        feature: str = "",
        /,
        *,
        told: Mapping[str, int],
        read: str = "all",
        more: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a call and return how many chunks came or which error. told: its tokens and so on, as `asked` says.

        api: one of MODELS, or what else the clients offer: parse and raw (OpenAI), stream (Anthropic). read: of a
        stream all of it, the first chunk, or none; or abort it. more: arguments of the client.
        """
        model = MODELS[{"parse": "chat", "raw": "chat", "stream": "messages"}.get(api, api)]
        body = {
            "tenant": tenant,
            "feature": feature,
            "api": api,
            "prompt": asked(tenant, feature, **told),
            "read": read,
            "more": {"model": model, **(more or {})},
        }
        answer: dict[str, Any] = requests.post(f"{self.url}/call", json=body, timeout=30).json()
        return answer

    def metrics(self) -> str:
        """Return the page that Prometheus scrapes."""
        return requests.get(f"{self.url}/metrics", timeout=30).text


@contextmanager
def python_app(folder: Path, there: Provider, *, port: int = 0, labels: int = 1000) -> Iterator[App]:
    """Run it in Python until the block ends. labels: the limit of their combinations."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.fakes.ai_app", there.url, str(port), str(labels)]
    with running(folder, command) as app:
        yield app


@contextmanager
def node_app(
    folder: Path, there: Provider, *, port: int = 0, labels: int = 1000, packages: Path | None = None
) -> Iterator[App]:
    """Run it in TypeScript until the block ends. packages: real ones, in place of the stand-ins for them."""
    place = folder / f"node-{time.monotonic_ns()}"
    place.mkdir()
    shutil.copy(ROOT / "instrumentation" / "typescript" / "ai_tokens.ts", place)
    shutil.copy(ROOT / "tests" / "instrumentation" / "app.ts", place)
    (place / "package.json").write_text('{"type": "module"}')
    if packages is not None:
        (place / "node_modules").symlink_to(packages)
    else:
        for name, file in PACKAGES.items():
            package = place / "node_modules" / name
            package.mkdir(parents=True)
            (package / "package.json").write_text(json.dumps({"name": name, "exports": "./index.mjs"}))
            shutil.copy(STAND_INS / f"{file}.mjs", package / "index.mjs")
    with running(folder, [str(NODE), "--expose-gc", str(place / "app.ts"), there.url, str(port), str(labels)]) as app:
        yield app


@contextmanager
def running(folder: Path, command: Sequence[str]) -> Iterator[App]:
    """Run an application that prints its URL."""
    log = folder / f"app-{time.monotonic_ns()}.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        wait_for(lambda: "http://" in log.read_text() or process.poll() is not None, "the application listens")
        assert process.poll() is None, log.read_text()
        yield App(log.read_text().strip().splitlines()[-1])
    finally:
        stop(process)
