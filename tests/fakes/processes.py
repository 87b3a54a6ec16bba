"""Real processes for tests: the exporter as a user starts it, a Prometheus that scrapes, an Alertmanager that sends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from demo.processes import answers, free_port, running, stop, wait_for
from unitcost.metrics.metric import Metric

__all__ = ["Exporter", "PrometheusServer", "alertmanager", "exporter", "free_port", "prometheus", "wait_for"]


@dataclass
class Exporter:
    """A running `unitcost serve`."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str = "/metrics", **headers: str) -> requests.Response:
        """GET a path."""
        return requests.get(self.url + path, headers=headers, timeout=10)

    def ready(self) -> bool:
        """Tell whether the first snapshot is there."""
        return self.get("/-/ready").status_code == 200

    def value(self, metric: Metric, **labels: str) -> float:
        """Return the value of a metric's series with these labels, which must be all it has. Raises KeyError."""
        return self.values(metric.name)[frozenset(labels.items())]

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
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
    try:
        wait_for(lambda: "serving on " in log.read_text() or process.poll() is not None, "the exporter listens")
        found = re.search(r"serving on (\S+)", log.read_text())
        assert found is not None, log.read_text()
        yield Exporter(process, found[1], log)
    finally:
        stop(process)


@dataclass
class PrometheusServer:
    """A running Prometheus."""

    url: str

    def get(self, path: str, **params: str) -> Any:
        """Return the data of an API answer."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=params, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, promql: str, time: str | None = None) -> list[dict[str, Any]]:
        """Evaluate a query now, or at a time: Unix or RFC 3339."""
        return list(self.get("query", query=promql, **({} if time is None else {"time": time}))["result"])

    def has(self, promql: str) -> bool:
        """Tell whether a query finds anything now."""
        return bool(self.query(promql))


@contextmanager
def prometheus(
    folder: Path,
    targets: Mapping[str, str],
    *,
    rules: Sequence[Path] = (),
    alertmanager_url: str | None = None,
    every: str = "1s",
) -> Iterator[PrometheusServer]:
    """Run a Prometheus that scrapes job → host:port and evaluates rules every second.

    Its data are in folder/tsdb, whatever is there already included.
    """
    port = free_port()
    config: dict[str, Any] = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ],
    }
    if alertmanager_url is not None:
        target = alertmanager_url.removeprefix("http://")
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [target]}]}]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--storage.tsdb.retention.time=400d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{port}"
    with running("prometheus", command, folder, lambda: answers(f"{url}/-/ready")):
        yield PrometheusServer(url)


@contextmanager
def alertmanager(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Run an Alertmanager until the block ends; yield its URL."""
    port = free_port()
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    command = [
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    with running("alertmanager", command, folder, lambda: answers(f"{url}/-/ready")):
        yield url
