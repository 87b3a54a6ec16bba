"""Real processes for tests: the exporter as a user starts it, and a Prometheus that scrapes."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

PATIENCE = 60.0


def wait_for(what: Callable[[], bool], text: str, patience: float = PATIENCE) -> None:
    """Wait until what() is true; fail with the text after patience seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if what():
                return
        except (requests.RequestException, KeyError, IndexError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"{text}: not within {patience:g} s")


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Exporter:
    """A running `unitcost serve`."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def get(self, path: str = "/metrics", **headers: str) -> requests.Response:
        """GET a path."""
        return requests.get(self.url + path, headers=headers, timeout=10)

    def ready(self) -> bool:
        """Tell whether the first snapshot is there."""
        return self.get("/-/ready").status_code == 200

    def values(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return the series of a metric: labels → value."""
        found = {}
        for line in self.get().text.splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match:
                labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1] or "")
                found[frozenset(labels)] = float(match[2])
        return found


@contextmanager
def exporter(folder: Path, *args: str) -> Iterator[Exporter]:
    """Run `unitcost serve ARGS` on a free port until the block ends."""
    log = folder / f"serve-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "unitcost", "serve", "--listen", "127.0.0.1:0", *args]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, text=True)
    try:
        wait_for(lambda: "serving on " in log.read_text() or process.poll() is not None, "the exporter listens")
        found = re.search(r"serving on (\S+)", log.read_text())
        assert found is not None, log.read_text()
        yield Exporter(process, found[1], log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class PrometheusServer:
    """A running Prometheus."""

    url: str

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Evaluate a query now."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": promql}, timeout=10).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def has(self, promql: str) -> bool:
        """Tell whether a query finds anything now."""
        return bool(self.query(promql))


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[PrometheusServer]:
    """Run a Prometheus that scrapes job → host:port every second."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    server = PrometheusServer(f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: requests.get(f"{server.url}/-/ready", timeout=2).ok, "Prometheus is ready")
        yield server
    finally:
        process.terminate()
        process.wait()
