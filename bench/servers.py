"""Sources against servers that go wrong: how long each takes, what memory, and whether the others notice.

Alone: each server of tests/fakes/faults.py is asked by a real source in a process of its own, with the default
limits. Together: one exporter asks all of them and a healthy server, twice.
Run as `python -m bench.servers [--timeout 2] [--only WORD]`.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.faults import faults
from tests.fakes.faulty import FULL, certificate, running
from tests.fakes.server import Reply, serve
from tests.fakes.stored import asked
from unitcost.config.load import load
from unitcost.errors import SourceError
from unitcost.facts import Problem
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import PATIENCE, Refresher
from unitcost.sources.base import Context
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost
from unitcost.sources.usage.prometheus import Prometheus, PrometheusSettings
from unitcost.web.snapshot import Current

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
QUERY = "sum by (tenant) (increase(requests_total[$window]))"
SLACK = 1.1
GIB = 1 << 30


def reach(url: str, timeout: float, ca_file: Path) -> dict[str, Any]:
    return {"url": url, "timeout": timeout, "ca_file": str(ca_file), "headers": {"X-Key": "secret"}}


def ask(url: str, kind: str, timeout: float, ca_file: Path, out: Connection) -> None:
    """Ask one server for one day; send the reason of the failure, the seconds, and the peak of memory."""
    given = reach(url, timeout, ca_file)
    source: Prometheus | OpenCost
    if kind == "prometheus":
        source = Prometheus("usage", PrometheusSettings(measures={"requests": QUERY}, **given), Context())
    else:
        source = OpenCost("cluster", OpenCostSettings(type="opencost", **given), Context())
    started = time.monotonic()
    try:
        found = list(source.batches(asked(NOW, NOW.date())))
        outcome = next((item.reason for item in found if isinstance(item, Problem)), "answered")
    except SourceError as error:
        outcome = error.reason
    except Exception as error:  # noqa: BLE001 - what the bench is looking for
        outcome = f"FOREIGN {error!r}"
    out.send((outcome, time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10))


def alone(url: str, kind: str, timeout: float, ca_file: Path) -> tuple[str, float, int]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["unitcost.sources.usage.prometheus", "unitcost.sources.cluster.opencost.source", "unitcost.run.fetch"]
    )
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=ask, args=(url, kind, timeout, ca_file, there))
    process.start()
    there.close()
    try:
        found: tuple[str, float, int] = here.recv()
    except EOFError:
        found = "DIED", 0.0, 0
    process.join()
    return found


@contextmanager
def servers(folder: Path) -> Iterator[list[str]]:
    """Run them in a process of their own, so that its memory is not ours."""
    program = [sys.executable, "-m", "bench.servers", "--serve", str(folder)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.communicate("")


def serve_until_told(folder: Path) -> None:
    tls, _ = certificate(folder)
    with serve(lambda _: Reply(FULL)) as good, running(faults(), good.url, tls) as urls:
        print(json.dumps([good.url, *urls]), flush=True)
        sys.stdin.read()
    os._exit(0)


def measure_alone(urls: list[str], timeout: float, ca_file: Path, only: str) -> None:
    jobs = [
        (fault.name, url, "prometheus" if number % 2 or fault.name.startswith("JSON") else "opencost")
        for number, (fault, url) in enumerate(zip(faults(), urls, strict=True))
        if only in fault.name
    ]
    found = []
    for name, url, kind in jobs:
        found.append(alone(url, kind, timeout, ca_file))
        outcome, seconds, peak = found[-1]
        print(f"{seconds:6.2f} s {peak / (1 << 20):6.0f} MB  {outcome:12} {kind:10} {name}", flush=True)
    late = [job[0] for job, (_, seconds, _) in zip(jobs, found, strict=True) if seconds > timeout * SLACK]
    large = [job[0] for job, (_, _, peak) in zip(jobs, found, strict=True) if peak > GIB]
    foreign = [job[0] for job, (outcome, _, _) in zip(jobs, found, strict=True) if outcome[:4] in {"FORE", "DIED"}]
    print(f"alone: {len(jobs)} faulty servers, timeout {timeout:g} s")
    print(f"beyond timeout + 10 %: {len(late)} {late}; above 1 GiB: {len(large)} {large}; foreign errors: {foreign}")
    print(f"slowest {max(one[1] for one in found):.2f} s, largest {max(one[2] for one in found) / (1 << 20):.0f} MB")
    print(f"outcomes: {dict(Counter(one[0] for one in found).most_common())}")


def measure_together(good: str, urls: list[str], timeout: float, ca_file: Path) -> None:
    logging.disable()  # of hundreds of failures
    measures = {"measures": {"requests": QUERY}}
    small = {"body_size_limit": "5MB"}
    sources: dict[str, Any] = {"good": {"type": "prometheus", "url": good, **measures}}
    for number, url in enumerate(urls):
        kind = {"type": "prometheus", **measures} if number % 2 else {"type": "opencost"}
        sources[f"faulty{number}"] = {**kind, **reach(url, timeout, ca_file), **small}
    (ca_file.parent / "unitcost.yaml").write_text(yaml.safe_dump({"sources": sources, "history": "2d"}))
    config, directory = load(ca_file.parent / "unitcost.yaml")
    with closing(Ledger(None)) as ledger:
        refresher = Refresher(config, directory, ledger, Current(), lambda: datetime.now(UTC))
        for turn in (1, 2):
            started = time.monotonic()
            when: list[float] = []
            watcher = threading.Thread(target=watch, args=(refresher, started, when))
            watcher.start()
            refresher.refresh(PATIENCE)
            seconds = time.monotonic() - started
            watcher.join()
            up = [runner.name for runner in refresher.runners if runner.up]
            print(
                f"together, refresh {turn}: good was up after {when[0]:.2f} s, published after {seconds:.2f} s; up {up}"
            )
        while any(runner.thread is not None and runner.thread.is_alive() for runner in refresher.runners):
            time.sleep(0.05)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    time.sleep(1)
    left = [thread.name for thread in threading.enumerate() if thread.name == "exchange"]
    print(f"together: {len(urls)} faulty servers, peak {peak:.0f} MB, threads of exchanges left behind: {len(left)}")


def watch(refresher: Refresher, started: float, when: list[float]) -> None:
    good = next(runner for runner in refresher.runners if runner.name == "good")
    before = good.last_success
    while good.last_success == before:
        time.sleep(0.01)
    when.append(time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds, of each source")
    parser.add_argument("--only", default="", help="only servers whose name holds this")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve_until_told(given.serve)
        return
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as [good, *urls]:
        ca_file = Path(folder) / "certificate.pem"
        measure_alone(urls, given.timeout, ca_file, given.only)
        if not given.only:
            measure_together(good, urls, 5 * given.timeout, ca_file)


if __name__ == "__main__":
    main()
