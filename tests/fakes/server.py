"""A small loopback HTTP server whose answers a test decides, good and bad ones alike."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked: path, query parameters (the first value of each, and all of them), headers, body, method."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    every: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    method: str = "GET"


@dataclass(frozen=True)
class Reply:
    """What the server says. cut: promise the whole body, send so many bytes, hang up. stall: seconds first."""

    body: str | bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: float = 0.0


@dataclass
class Fake:
    """A running server: its URL and the requests it saw."""

    url: str
    requests: list[Request]


@contextmanager
def serve(answer: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """Serve answer(request) on a free loopback port until the block ends; with tls over HTTPS."""
    seen: list[Request] = []
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms for the client to acknowledge the headers

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            every = parse_qs(parts.query, keep_blank_values=True)
            params = {k: v[0] for k, v in every.items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(
                parts.path, params, {k.lower(): v for k, v in self.headers.items()}, every, body, self.command
            )
            seen.append(request)
            reply = answer(request)
            if reply.stall:
                until = time.monotonic() + reply.stall
                while time.monotonic() < until and not stopping.wait(0.02):
                    pass
            said = reply.body.encode() if isinstance(reply.body, str) else reply.body
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said if reply.cut is None else said[: reply.cut])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
                return
            if reply.cut is not None:
                self.close_connection = True

        do_POST = do_DELETE = do_GET  # noqa: N815 - names that the library looks for

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Fake(f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}", seen)
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
