"""How a scrape of 100,000 series compares with prometheus_client and with a server that does nothing else.

    python bench/scrape.py

Prints ratios and milliseconds, on loopback, with a bounded number of requests. Every server runs in a process of
its own, and so does the load of many connections.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, cast

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily

from unitcost.metrics.catalogue import TENANT_COST
from unitcost.metrics.exposition import Family
from unitcost.web.app import make_app
from unitcost.web.server import Server
from unitcost.web.snapshot import Current, Snapshot

SERIES = 100_000
SCRAPES = 300
CLIENTS = 50
CLIENT_SCRAPES = 120
"""How many times each of CLIENTS connections scrapes."""

spawn = get_context("spawn")


def rows() -> list[tuple[str, str, str, float]]:
    """Return the series: 2,500 tenants with 8 components in 5 windows, cents as OpenCost would have them."""
    chance = random.Random(9488)
    components = ("compute", "gpu", "database", "storage", "network", "ai", "idle", "support")
    return [
        (
            f"tenant-{n // 40:05d}",
            components[n % 8],
            ("1d", "7d", "30d", "mtd", "last_month")[n // 8 % 5],
            chance.random() * 1e3,
        )
        for n in range(SERIES)
    ]


def registry() -> CollectorRegistry:
    """Return the same series as a collector of prometheus_client."""
    given = rows()

    class Costs:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            family = GaugeMetricFamily(TENANT_COST.name, TENANT_COST.help, labels=TENANT_COST.labels)
            for row in given:
                family.add_metric(row[:-1], row[-1])
            yield family

    found = CollectorRegistry(auto_describe=False)
    found.register(Costs())
    return found


def snapshot() -> Snapshot:
    return Snapshot.of([Family(TENANT_COST, rows())], "", datetime.now(UTC))


def serve_unitcost(ready: Connection) -> None:
    current = Current()
    current.publish(snapshot())
    server = Server(current, "127.0.0.1:0")
    ready.send(server.port)
    server.run()


def serve_prometheus_client(ready: Connection) -> None:
    server, thread = start_http_server(0, "127.0.0.1", registry())
    ready.send(server.server_port)
    thread.join()


def serve_bare(ready: Connection) -> None:
    """Serve as many bytes as the compressed snapshot has from an application that looks at nothing."""
    body = snapshot().text_gzip
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    listening = socket.create_server(("127.0.0.1", 0))
    ready.send(listening.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_level="warning")).run(
        [listening]
    )


@contextmanager
def running(serve: Callable[[Connection], None]) -> Iterator[int]:
    """Run a server in a process of its own; give its port."""
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    port = ours.recv()
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    try:
        yield port
    finally:
        process.kill()
        process.join()


def scrape(port: int, encoding: str, times: int) -> list[float]:
    """Scrape one after the other; return the seconds each took, to the last byte.

    The connection is kept as Prometheus keeps it, unless the server closes it.
    """
    taken = []
    connection = HTTPConnection("127.0.0.1", port)
    for _ in range(times):
        begin = time.perf_counter()
        connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
        size = len(connection.getresponse().read())
        taken.append(time.perf_counter() - begin)
        assert size > SERIES
    connection.close()
    return taken


REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"


class Scraper(asyncio.BufferedProtocol):
    """Asks again as soon as an answer is complete; only counts its bytes, so that the load is not the limit."""

    buffer = bytearray(1 << 18)

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._left = 0
        self._answers = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._answers += 1
        if self._answers == CLIENT_SCRAPES:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._transport.write(REQUEST)

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Receive into the one buffer of all connections."""
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        """Count; an answer begins with its head, which the server writes at once."""
        if self._left == 0:
            head, _, _ = bytes(self.buffer[:count]).partition(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self._left = len(head) + len(b"\r\n\r\n") + int(length.partition(b":")[2])
        self._left -= count
        if self._left == 0:
            self._ask()


async def load(port: int) -> float:
    """Scrape gzip over CLIENTS connections at once; return scrapes per second."""
    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    scrapers = [(await loop.create_connection(Scraper, "127.0.0.1", port))[1] for _ in range(CLIENTS)]
    await asyncio.gather(*(scraper.done for scraper in scrapers))
    return CLIENTS * CLIENT_SCRAPES / (time.perf_counter() - begin)


def load_process(port: int, result: Connection) -> None:
    result.send(asyncio.run(load(port)))


def scrapes_a_second(port: int) -> float:
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=load_process, args=(port, theirs))
    process.start()
    rate: float = ours.recv()
    process.join()
    return rate


def seconds(run: Callable[[], object], times: int) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def in_process() -> None:
    """Compare what the server's process does for one scrape, without the network."""
    current = Current()
    current.publish(snapshot())
    app = make_app(current)
    headers = [(b"accept-encoding", b"gzip")]
    scope = {"type": "http", "path": "/metrics", "method": "GET", "headers": headers}

    async def send(_message: Any) -> None:
        pass

    async def receive() -> dict[str, object]:
        return {}

    async def scrapes() -> None:
        for _ in range(1000):
            await app(scope, receive, send)

    ours = seconds(lambda: asyncio.run(scrapes()), 5) / 1000
    given = registry()
    latest = seconds(lambda: generate_latest(given), 5)
    with_gzip = seconds(lambda: gzip.compress(generate_latest(given)), 3)
    print(f"in process: generate_latest takes {latest / ours:,.0f} times as long as serving the snapshot")
    print(f"in process, compressed: {with_gzip / ours:,.0f} times as long")


def over_http() -> None:
    with running(serve_unitcost) as ours, running(serve_prometheus_client) as theirs:
        for encoding in ("identity", "gzip"):
            scrape(ours, encoding, 20)
            mine = sorted(scrape(ours, encoding, SCRAPES))
            other = statistics.median(scrape(theirs, encoding, 5))
            p50, p99 = statistics.median(mine), mine[int(len(mine) * 0.99)]
            print(f"over HTTP, {encoding}: prometheus_client takes {other / p50:,.0f} times as long")
            print(f"  one scraper: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms")


def many() -> None:
    """Compare the scrapes a second with a bare application's on the same server library."""
    rates: dict[Callable[[Connection], None], list[float]] = {}
    for serve in (serve_unitcost, serve_bare, serve_unitcost, serve_bare):
        with running(serve) as port:
            rates.setdefault(serve, []).append(scrapes_a_second(port))
    mine, bare = max(rates[serve_unitcost]), max(rates[serve_bare])
    print(
        f"{CLIENTS} scrapers at once, gzip: {mine:,.0f} a second, {mine / bare:.2f} of a bare application's {bare:,.0f}"
    )


def main() -> None:
    size = snapshot()
    print(f"{SERIES:,} series: {len(size.text) / 1e6:.1f} MB, compressed {len(size.text_gzip) / 1e6:.2f} MB")
    print(f"event loop: {'uvloop' if find_spec('uvloop') else 'asyncio'}")
    in_process()
    over_http()
    many()


if __name__ == "__main__":
    main()
