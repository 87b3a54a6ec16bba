"""A small HTTP server for the demo's made-up metrics and for its notifications; not for the open network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGEST = 4 * 1024 * 1024
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _nothing(_: str) -> bytes | None:
    return None


def _refuse(_: bytes) -> None:
    raise ValueError("takes no POST")


@contextmanager
def listening(
    address: str,
    port: int,
    *,
    get: Callable[[str], bytes | None] = _nothing,
    post: Callable[[bytes], None] = _refuse,
) -> Iterator[str]:
    """Listen until the block ends; yield the URL. port 0 takes a free one.

    get(path) returns a page, or None for 404. post(body) takes what was sent; its ValueError answers 400. Raises
    OSError when the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            body = get(self.path.partition("?")[0])
            self._answer(404 if body is None else 200, b"not here\n" if body is None else body)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > LARGEST:
                self.close_connection = True
                self._answer(413, f"at most {LARGEST} bytes, and say how many\n".encode())
                return
            try:
                post(self.rfile.read(int(length)))
            except ValueError as error:
                self._answer(400, f"{error}\n".encode())
            else:
                self._answer(200, b"ok")  # what Slack answers

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet: the demo prints notifications, not requests."""

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
