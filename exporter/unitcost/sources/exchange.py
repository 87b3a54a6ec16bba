"""One deadline for everything that a server does: the caller is back in time, and no thread or socket stays behind.

A time limit of a socket is one of each read: a server that sends a byte a second, or `100 Continue` without end, keeps
it for ever, and looking up a name has none at all. So the work is done by a thread that is waited for only so long;
then its sockets are shut down, which ends what it waits for.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

T = TypeVar("T")

_running = threading.local()


class OverdueError(Exception):
    """The deadline of an exchange has passed."""


class Exchange:
    """What one question to a server may use: time, and the sockets that are shut down when it is over."""

    def __init__(self, limit: float) -> None:
        self.deadline = time.monotonic() + limit
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least a moment. Raises OverdueError when it has passed."""
        left = self.deadline - time.monotonic()
        if left <= 0 or self._over.is_set():
            raise OverdueError
        return left

    def pause(self, seconds: float) -> None:
        """Wait so long. Raises OverdueError when the deadline passes meanwhile."""
        if self._over.wait(seconds):
            raise OverdueError

    def watch(self, sock: socket.socket) -> None:
        """Shut a socket down at the deadline.

        A second descriptor is kept: TLS takes the socket that it is given out of its owner's hands.
        """
        with self._lock:
            guard = socket.fromfd(sock.fileno(), sock.family, sock.type)
            self._sockets.append(guard)
            if self._over.is_set():
                _shut(guard)

    def expire(self) -> None:
        """End whatever is under way."""
        with self._lock:
            self._over.set()
            for guard in self._sockets:
                _shut(guard)

    def close(self) -> None:
        """Let the sockets go; those that are still good go back to their pool."""
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()


def within(limit: float, work: Callable[[Exchange], T]) -> T:
    """Return what work returns. Raises what it raises, or OverdueError after so many seconds."""
    exchange = Exchange(limit)
    outcome: Future[T] = Future()

    def run() -> None:
        _running.exchange = exchange
        try:
            outcome.set_result(work(exchange))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            outcome.set_exception(error)
        finally:
            exchange.close()

    threading.Thread(target=run, name="exchange", daemon=True).start()
    if not wait([outcome], limit).done:
        exchange.expire()
        raise OverdueError
    return outcome.result()


def _shut(guard: socket.socket) -> None:
    with suppress(OSError):  # the server may have hung up first
        guard.shutdown(socket.SHUT_RDWR)


def _watch(sock: socket.socket) -> None:
    exchange: Exchange | None = getattr(_running, "exchange", None)
    if exchange is not None:
        exchange.watch(sock)


class _HTTP(HTTPConnection):
    """A connection whose socket the running exchange knows, new or kept alive."""

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _watch(sock)
        return sock

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request."""
        if self.sock is not None:
            _watch(self.sock)
        super().request(*args, **options)


class _HTTPS(_HTTP, HTTPSConnection):
    """The same with TLS, whose handshake may hang as well."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class Adapter(HTTPAdapter):
    """Sends one request and tries nothing again; its sockets are known to the exchange that runs in this thread."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
