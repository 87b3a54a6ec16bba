"""Takes connections in: so many at most, no TLS for who says nothing, and never out of descriptors for long."""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import errno
import ipaddress
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from unitcost.web.connections import REQUEST_SECONDS, Connection, Connections, Rank

log = logging.getLogger("unitcost.web")

AT_ONCE = 32
"""Connections taken in before those that are there are served again."""

PAUSE_SECONDS = 0.1
"""How long nobody is taken in after the system refused a descriptor."""

asyncio.sslproto.SSLProtocol.max_size = 1 << 14
"""asyncio gives each TLS connection a buffer of 256 KB to receive into; a request has little more than a packet."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def places(wanted: int) -> int:
    """Allow this process all the descriptors it may have; return how many of `wanted` connections they are enough for.

    Half of them stay for the sources, the ledger and connections that are just being closed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    most = wanted if soft == resource.RLIM_INFINITY else max(1, soft // 2)
    if most < wanted:
        log.warning(
            "web.max_connections is %d, but only %d files may be open here: at most %d connections, see `ulimit -n`",
            wanted,
            soft,
            most,
        )
    return min(wanted, most)


class Acceptor:
    """Accepts on a listening socket and hands over to a protocol once the client has said something.

    Until then a connection costs a descriptor, and no memory or handshake.
    """

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        protocol: Callable[[Connection], asyncio.Protocol],
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = listening
        self._connections = connections
        self._protocol = protocol
        self._tls = tls
        self._starting: set[asyncio.Task[None]] = set()
        self._closed = False
        listening.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        self._loop.remove_reader(self._socket)

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    log.warning("no connection can be accepted (%s); a quarter of those there go", error.strerror)
                    for _ in range(max(1, len(self._connections) // 4)):
                        self._connections.evict()
                    self._loop.remove_reader(self._socket)
                    self._loop.call_later(PAUSE_SECONDS, self._resume)
                # Anything else is the one connection's: a network that went away before it was accepted.
                return
            self._take(accepted, peer)

    def _take(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        accepted.setblocking(False)

        # By number: asyncio would look a socket up by its text, which costs as much as all the rest.
        descriptor = accepted.fileno()

        def close() -> None:
            self._loop.remove_reader(descriptor)
            accepted.close()

        connection = Connection(party(peer[0]), close)
        if self._connections.add(connection):
            log.warning(
                "all %d connections (web.max_connections) are taken; those that have asked for nothing go first",
                self._connections.limit,
            )
        self._loop.add_reader(descriptor, self._begin, accepted, connection)

    def _begin(self, accepted: socket.socket, connection: Connection) -> None:
        """Start the protocol; with TLS, once the handshake is done."""
        self._loop.remove_reader(accepted.fileno())
        self._connections.move(connection, Rank.BEGUN)
        task = self._loop.create_task(self._connect(accepted, connection))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

        def close() -> None:
            task.cancel()
            accepted.close()

        connection.close = close

    async def _connect(self, accepted: socket.socket, connection: Connection) -> None:
        connection.close = partial(_cancel, asyncio.current_task())  # from here on, the transport closes the socket
        tls = self._tls()
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(connection),
                accepted,
                ssl=tls,
                ssl_handshake_timeout=REQUEST_SECONDS if tls is not None else None,
            )
        except OSError as error:  # ssl.SSLError and timeouts are some
            log.info("a connection from %s failed before its first request: %s", connection.address, error)
            self._connections.remove(connection)
        except asyncio.CancelledError:
            self._connections.remove(connection)


def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()


def party(host: str) -> str:
    """Return whom to hold an address against: an IPv4 address, or the /64 network that an IPv6 host has to itself."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
