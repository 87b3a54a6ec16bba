"""A loopback server in front of another one: it notes every request, and can answer otherwise, as networks do."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.server import Reply

HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True)
class Passed:
    """A request that went through, and how many bytes of a body it was answered with."""

    method: str
    path: str
    params: dict[str, str]
    status: int
    size: int


@dataclass
class Relay:
    """A running relay. otherwise: is told method, path and query of a request, and may answer it.

    cut: is told the path, and may say after how many bytes the server's answer breaks off.
    """

    url: str
    passed: list[Passed] = field(default_factory=list)
    otherwise: Callable[[str, str, str], Reply | None] = lambda *_: None
    cut: Callable[[str], int | None] = lambda _: None

    def forget(self) -> None:
        """Begin to count anew."""
        self.passed.clear()

    def read(self) -> list[str]:
        """Return the paths that were read and are no listings."""
        listed = {"list-type", "comp", "prefix"}
        return [one.path for one in self.passed if one.method == "GET" and not listed & one.params.keys()]


@contextmanager
def relay(to: str) -> Iterator[Relay]:  # noqa: C901 - a handler is a class of its own
    """Pass everything on to a server of this address, until the block ends."""
    target = urlsplit(to)
    found = Relay("")
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass(self) -> None:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = found.otherwise(self.command, unquote(parts.path), parts.query)
            if answer is None:
                connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=30)
                connection.request(self.command, self.path, sent, dict(self.headers.items()))
                said = connection.getresponse()
                headers = {name: value for name, value in said.getheaders() if name.lower() not in HOP}
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                answer = Reply(said.read(), said.status, headers, found.cut(unquote(parts.path)))
                connection.close()
                if length is not None:
                    answer.headers["Content-Length"] = length
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            params = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            found.passed.append(Passed(self.command, unquote(parts.path), params, answer.status, len(body)))
            until = time.monotonic() + answer.stall
            while time.monotonic() < until and not stopping.wait(0.02):
                pass
            try:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if not any(name.lower() == "content-length" for name in answer.headers):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body[: answer.cut])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            if answer.cut is not None:
                self.close_connection = True

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815 - http.server's names

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
