"""What a large answer of a Prometheus or an OpenCost takes: memory and time, read and stored.

Each is asked in a process of its own, over loopback. Run as `python -m bench.answers [--megabytes 50 200]`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.stored import asked
from unitcost.errors import SourceError
from unitcost.facts import Batch
from unitcost.ledger.store import Ledger
from unitcost.sources.base import Context
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost
from unitcost.sources.usage.prometheus import Prometheus, PrometheusSettings

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
MB = 1 << 20
TENANTS = 2500
SERIES = '{"metric":{"tenant":"tenant-%05d","path":"/api/v1/things/%d","method":"GET"},"value":[1763424000,"%d.5"]}'
RECORDED = Path(__file__).parents[1] / "tests" / "data" / "opencost-real" / "tenant-2026-11-22.json"
KINDS = {
    "prometheus": "2,500 tenants",
    "prometheus-tenants": "a tenant for each series",
    "opencost": "2,500 tenants, a feature for each entry",
}


class Handler(BaseHTTPRequestHandler):
    """Answers /KIND/MEGABYTES/… with so much, made as it is sent."""

    def do_GET(self) -> None:
        """Answer."""
        parts = urlsplit(self.path)
        _, kind, size, *_ = parts.path.split("/")
        self.send_response(200)
        self.end_headers()
        if kind == "opencost":
            self._opencost(int(size) * MB, parse_qs(parts.query)["window"][0].split(","))
        else:
            self._prometheus(int(size) * MB, TENANTS if kind == "prometheus" else 1 << 40)

    def _prometheus(self, size: int, tenants: int) -> None:
        self.wfile.write(b'{"status":"success","data":{"resultType":"vector","result":[')
        sent = 0
        for number in count():
            lines = [SERIES % ((1000 * number + n) % tenants, n, n) for n in range(1000)]
            block = (",".join(lines) + ("," if sent < size else "]}}")).encode()
            self.wfile.write(block)
            if sent >= size:
                return
            sent += len(block)

    def _opencost(self, size: int, window: list[str]) -> None:
        entry = next(iter(json.loads(RECORDED.read_text())["data"][0].values()))
        entry |= {"window": {"start": window[0], "end": window[1]}, "cpuCost": 1.25, "ramCost": 0.5, "pvCost": 0.125}
        entry["properties"] = {**entry["properties"], "cluster": "prod"}
        text = json.dumps(entry)
        self.wfile.write(b'{"code":200,"data":[{')
        sent = 0
        for number in count():
            names = [(100 * number + n) for n in range(100)]
            block = ",".join(f'"prod/tenant-{name % TENANTS:05d}/feature-{name}":{text}' for name in names)
            self.wfile.write((block + ("," if sent < size else "}]}")).encode())
            if sent >= size:
                return
            sent += len(block)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def settings(kind: type[Any], url: str, **given: Any) -> Any:
    limit = {"body_size_limit": 0} if "body_size_limit" in kind.model_fields else {}
    return kind.model_validate({"url": url, "timeout": 600, **limit, **given})


def ask(url: str, kind: str, out: Connection) -> None:
    """Read one day and store it; send what came of it, the seconds and the peak of memory of both."""
    source: Any
    if kind == "opencost":
        context = Context(dimensions=("feature",))
        source = OpenCost("s", settings(OpenCostSettings, url, type="opencost"), context)
    else:
        source = Prometheus("s", settings(PrometheusSettings, url, measures={"requests": "x[$window]"}), Context())
    started = time.monotonic()
    try:
        found = list(source.batches(asked(NOW, NOW.date())))
        read = time.monotonic() - started, peak()
        batch = next(item for item in found if isinstance(item, Batch))
        with tempfile.TemporaryDirectory() as folder, closing(Ledger(Path(folder))) as ledger:
            ledger.put("s", "", batch, NOW, {"USD": Decimal(1)})
        out.send((f"{len(batch.cost or batch.usage):,} rows", *read, time.monotonic() - started, peak()))  # type: ignore[arg-type]
    except (SourceError, MemoryError) as error:
        out.send((str(error)[:60], time.monotonic() - started, peak(), 0.0, 0))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 50, 200])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        print(server.server_address[1], flush=True)
        server.serve_forever()
    program = [sys.executable, "-m", "bench.answers", "--serve"]
    context = multiprocessing.get_context("spawn")
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for kind, what in KINDS.items():
            for size in given.megabytes:
                here, there = context.Pipe(duplex=False)
                child = context.Process(target=ask, args=(f"http://127.0.0.1:{port}/{kind}/{size}", kind, there))
                child.start()
                there.close()
                try:
                    said, seconds, read, stored_after, stored = here.recv()
                    print(
                        f"{size:4} MB of {kind.partition('-')[0]} ({what}): read in {seconds:.1f} s, {read} MB;"
                        f" stored after {stored_after:.1f} s, {stored} MB; {said}",
                        flush=True,
                    )
                except EOFError:
                    print(f"{size:4} MB of {kind}: the process died", flush=True)
                child.join()
        process.terminate()


if __name__ == "__main__":
    main()
