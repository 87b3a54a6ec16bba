"""uvicorn's HTTP/1.1, with limits to what one connection may send, keep in memory, and how long it may take.

No request that is served has a body to read, so nothing but its first line and a few headers is kept. A request that
comes before the answer to the one before is not read: the connection ends with that answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from unitcost.web import connections as times
from unitcost.web.app import PLAIN, Headers
from unitcost.web.connections import Connection, Connections, Rank

log = logging.getLogger("unitcost.web")

REQUEST_BYTES = 64 << 10
"""Request line, headers, body and trailers together. Prometheus' 1 MB for 512 connections would be 512 MB."""

MAX_HEADERS = 100
"""As in Apache's LimitRequestFields."""

SLICE_BYTES = 16 << 10
"""The parser gets so much at once, and the limits are looked at in between."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 1 << 20
"""How long, and how much, a refused client may go on sending: a reset would take the refusal from it."""

READ_HEADERS = frozenset({b"accept", b"accept-encoding", b"authorization", b"connection", b"upgrade"})

REFUSALS = {
    400: "This is no HTTP/1.1 request.",
    408: "The request took too long.",
    413: f"A request has at most {REQUEST_BYTES} bytes.",
    431: f"A request has at most {MAX_HEADERS} headers and {REQUEST_BYTES} bytes.",
}


class Protocol(HttpToolsProtocol):
    """One connection. always: the headers of every answer, also of refusals."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        connection: Connection,
        connections: Connections,
        always: Headers,
        protected: Callable[[], bool],
    ) -> None:
        super().__init__(config, state, {"connection": connection})
        self._connection = connection
        self._places = connections
        self._always = always
        self._protected = protected
        self._size = 0
        """Bytes of the request that is being read."""
        self._count = 0
        """Of its headers."""
        self._length = 0
        """Of its body, as it says."""
        self._in_head = True
        self._refusal = 400
        self._ended = False
        """Whatever still comes is thrown away."""
        self._discarded = 0

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take over the place that the connection has had since it was accepted."""
        super().connection_made(transport)
        self._connection.close = self._close
        self._connection.idle = self._idle
        if self._connection.gone.is_set():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._places.remove(self._connection)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, or throw away what follows a refusal."""
        if not self._ended:
            self._unset_keepalive_if_required()
            for begin in range(0, len(data), SLICE_BYTES):
                self._feed(data if len(data) <= SLICE_BYTES else data[begin : begin + SLICE_BYTES])
                if self._ended:
                    break
            if self._size and self._idle() and self._connection.rank != Rank.BEGUN:
                self._places.move(self._connection, Rank.BEGUN, times.REQUEST_SECONDS)
        else:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.transport.pause_reading()

    def _feed(self, data: bytes) -> None:
        self._size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._last()  # what follows would be in the protocol that is not switched to
        except httptools.HttpParserError:
            self._refuse(self._refusal)
        else:
            if self._size > REQUEST_BYTES:
                self._refuse(431)

    # What the parser calls. What it raises becomes a refusal with the status of _refusal.

    def on_message_begin(self) -> None:
        """Begin a request, unless the one before is not answered yet."""
        if self._busy():
            raise ValueError("a request before the answer to the one before")
        super().on_message_begin()
        self._count = self._length = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what is read here; count all."""
        self._count += 1
        if self._count > MAX_HEADERS:
            self._refusal = 431
            raise ValueError("too many headers")
        name = name.lower()
        if not self._in_head:  # a trailer
            return
        if name in READ_HEADERS:
            self.headers.append((name, value))
        elif name == b"content-length":
            self._length = int(value)
        elif name == b"expect":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self._length > REQUEST_BYTES:
            self._refusal = 413
            raise ValueError("too large a body")
        super().on_headers_complete()
        self._in_head = False
        if self.expect_100_continue:  # the answer comes without it, so the body may or may not
            self._last()
        rank = Rank.ASKING if self._protected() else Rank.ANSWERING
        self._places.move(self._connection, rank, times.EXCHANGE_SECONDS)

    def on_body(self, body: bytes) -> None:
        """Nothing here reads a body."""

    def on_message_complete(self) -> None:
        """Begin to count anew."""
        super().on_message_complete()
        self._in_head = True
        self._size = 0

    # What follows from it

    def on_response_complete(self) -> None:
        """Rank the connection by whether it was let in."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        rank = Rank.KEPT if self._connection.rank == Rank.ANSWERING else Rank.STRANGER
        seconds = times.KEEP_ALIVE_SECONDS if self._idle() else times.EXCHANGE_SECONDS
        self._places.move(self._connection, rank, seconds)

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _idle(self) -> bool:
        """Whether everything that was asked for is answered, and read."""
        return not self._busy() and not self.transport.get_write_buffer_size()

    def _last(self) -> None:
        """End the connection with the answer that is under way."""
        self._ended = True
        self.cycle.keep_alive = False

    def _refuse(self, status: int) -> None:
        """Answer and end the connection; if an answer is under way, or was given to this request, only the latter."""
        if self._busy():
            self._last()
        elif not self._in_head:
            self.transport.close()
        else:
            self._ended = True
            log.info("a request from %s was refused with %d: %s", self._connection.address, status, REFUSALS[status])
            self._say(status)
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._places.move(self._connection, Rank.BEGUN, LINGER_SECONDS)

    def _say(self, status: int) -> None:
        text = f"{REFUSALS[status]}\n".encode()
        fields = (b"content-length", str(len(text)).encode()), (b"content-type", PLAIN), (b"connection", b"close")
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *self._always, *fields):
            lines += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*lines, b"\r\n", text]))

    def _close(self) -> None:
        """End the connection now; who is in the middle of a request is told."""
        if self._size and self._in_head and not self._ended and not self._busy():
            self._say(408)
        self.transport.abort()
