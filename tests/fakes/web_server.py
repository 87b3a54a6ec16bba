"""A web server of unitcost on loopback, and what a client does with it."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection

from unitcost.metrics.exposition import Family
from unitcost.metrics.metric import Metric
from unitcost.web.lifecycle import Lifecycle
from unitcost.web.server import MAX_CONNECTIONS, Server
from unitcost.web.snapshot import Current, Snapshot
from unitcost.web.web_config import WebConfig

COST = Metric("tenant_cost_dollars", "Cost.", ("tenant",), unit="dollars")
SNAPSHOT = Snapshot.of([Family(COST, [("acme", 1.5)])], "<p>margin</p>", datetime(2026, 11, 1, tzinfo=UTC))


def filled() -> Current:
    current = Current()
    current.publish(SNAPSHOT)
    return current


@contextmanager
def running(
    current: Current,
    config: WebConfig | None = None,
    listen: str = "127.0.0.1:0",
    limit: int = MAX_CONNECTIONS,
    lifecycle: Lifecycle | None = None,
) -> Iterator[Server]:
    server = Server(current, listen, config, limit, lifecycle)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def ask(
    port: int,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    tls: ssl.SSLContext | None = None,
) -> tuple[HTTPResponse, bytes]:
    connection = (
        HTTPConnection("127.0.0.1", port, timeout=5)
        if tls is None
        else HTTPSConnection("localhost", port, timeout=5, context=tls)
    )
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
