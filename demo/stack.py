"""The demo's servers, started in order and stopped in the reverse one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
import yaml

from demo.cluster_metrics import Cluster, whole_day
from demo.company import bring_in, bring_in_cluster, keep_up, write_company
from demo.listen import listening
from demo.notices import show
from demo.processes import Program, StartError, answers, find, running, wait_for
from demo.settings import SHIPPED, Ports, alertmanager_config, prometheus_config
from rules.__main__ import main as write_rules
from rules.promql import select
from unitcost.days import DAY
from unitcost.metrics.catalogue import PLATFORM_ACTIVE_TENANTS

RETENTION = "400d"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Stack:
    """The running demo: its programs, the addresses, and the days that Prometheus holds."""

    programs: tuple[Program, ...]
    ports: Ports
    days: int

    def ended(self) -> str:
        """Return what ended by itself, and its last lines; "" while everything runs."""
        return "\n".join(filter(None, (program.ended() for program in self.programs)))


@contextmanager
def stack(folder: Path, ports: Ports, say: Callable[[str], None]) -> Iterator[Stack]:
    """Run the demo on loopback until the block ends; its files are in folder.

    say takes a line at each step. Raises StartError.
    """
    promtool = find("promtool", package="prometheus")
    prometheus = find("prometheus", package="prometheus")
    alertmanager = find("alertmanager", "prometheus-alertmanager", package="prometheus-alertmanager")
    ports.check()
    began = time.monotonic()
    config = write_company(folder / "company", f"http://{HOST}:{ports.exporter}")
    say(f"wrote the sample company to {config.parent} in {time.monotonic() - began:.1f} s")

    bring_in(promtool, config, folder, folder / "prometheus", say)
    if write_rules(["--config", str(config), "--output", str(folder / "rules")]):
        raise StartError("the rules could not be written")
    _write(folder / "prometheus.yml", prometheus_config(ports, folder / "rules" / "prometheus"))
    notices_url = f"http://{HOST}:{ports.notices}"
    _write(folder / "alertmanager.yml", alertmanager_config(SHIPPED, SHIPPED.parent, notices_url))

    now = datetime.now(UTC)
    cluster = Cluster(whole_day(config.parent, now), now.timestamp())
    bring_in_cluster(promtool, cluster, folder, folder / "prometheus")
    with ExitStack() as stops:
        stops.enter_context(listening(HOST, ports.cluster, get=cluster.page))
        stops.enter_context(listening(HOST, ports.notices, post=show))
        began = time.monotonic()
        programs = (
            stops.enter_context(_exporter(folder, config, ports.exporter)),
            stops.enter_context(_alertmanager(folder, alertmanager, ports.alertmanager)),
            stops.enter_context(_prometheus(folder, prometheus, ports.prometheus)),
        )
        say(f"started the exporter, Alertmanager and Prometheus in {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        url = f"http://{HOST}:{ports.prometheus}"
        wait_for(lambda: _all_up(url), "every target is scraped and every rule evaluated")
        say(f"all targets are up and all rules have been evaluated after {time.monotonic() - began:.1f} s")
        stopped = threading.Event()
        renewing = threading.Thread(target=keep_up, args=(config, stopped), daemon=True)
        renewing.start()
        try:
            yield Stack(programs, ports, days(url))
        finally:
            stopped.set()
            renewing.join()


def days(url: str) -> int:
    """Return of how many days a Prometheus holds figures."""
    gauge = select(PLATFORM_ACTIVE_TENANTS, window=DAY)
    answer = _get(f"{url}/api/v1/query", query=f"max(count_over_time(last_over_time({gauge}[1d])[{RETENTION}:1d]))")
    return int(float(answer["result"][0]["value"][1]))


def _all_up(url: str) -> bool:
    """Tell whether every target was scraped and every rule evaluated. Raises StartError when a rule fails."""
    targets = _get(f"{url}/api/v1/targets")["activeTargets"]
    rules = [rule for group in _get(f"{url}/api/v1/rules")["groups"] for rule in group["rules"]]
    failed = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] == "err"]
    if failed:
        raise StartError("\n".join(["Prometheus cannot evaluate:", *failed]))
    return all(target["health"] == "up" for target in targets) and all(rule["health"] == "ok" for rule in rules)


def _get(url: str, **params: str) -> Any:
    answer = requests.get(url, params=params, timeout=10)
    answer.raise_for_status()
    return answer.json()["data"]


def _exporter(folder: Path, config: Path, port: int) -> Any:
    command = [sys.executable, "-m", "unitcost", "serve", "--config", str(config), "--listen", f"{HOST}:{port}"]
    return running("unitcost", command, folder, lambda: answers(f"http://{HOST}:{port}/-/ready"))


def _alertmanager(folder: Path, program: str, port: int) -> Any:
    command = [
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
    ]
    return running("alertmanager", command, folder, lambda: answers(f"http://{HOST}:{port}/-/ready"))


def _prometheus(folder: Path, program: str, port: int) -> Any:
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]
    return running("prometheus", command, folder, lambda: answers(f"http://{HOST}:{port}/-/ready"))


def _write(path: Path, settings: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
