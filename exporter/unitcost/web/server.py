"""The web server: uvicorn, bound before anything else starts, stopped within seconds, bounded in all it takes in."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import uvicorn

from unitcost.address import split_address
from unitcost.errors import ConfigError
from unitcost.web.accept import Acceptor, places
from unitcost.web.app import Headers, headers_with, make_app
from unitcost.web.auth import BasicAuth
from unitcost.web.connections import KEEP_ALIVE_SECONDS, Connection, Connections, Rank
from unitcost.web.lifecycle import Lifecycle
from unitcost.web.log import SPARSE, thin_out
from unitcost.web.protocol import Protocol
from unitcost.web.reload import Reloader
from unitcost.web.snapshot import Current
from unitcost.web.web_config import WebConfig

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
"""At once; Prometheus' default of --web.max-connections."""

BACKLOG = 4096
"""Connections that the system completes before they are accepted, or as many as net.core.somaxconn allows."""

STOP_SECONDS = 3

SWITCH_SECONDS = 0.00002
"""How long a thread may keep the interpreter from others. Python's own 5 ms let a server in a crowd stand still for
seconds: it has to wait for a refresh's threads after each of the system calls that thousands of connections take."""


def serve(
    current: Current,
    listen: str,
    web_config: WebConfig | None = None,
    *,
    max_connections: int = MAX_CONNECTIONS,
    lifecycle: Lifecycle | None = None,
    on_start: Callable[[Server], None] = lambda _: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT; call it from the main thread.

    lifecycle: what /-/reload asks. on_start is called with the server once the address is bound, on_stop when serving
    has ended, for whatever reason.
    Raises ConfigError when `listen` is no address or cannot be bound.
    """
    thin_out()
    server = Server(current, listen, web_config, places(max_connections), lifecycle)
    log.info("serving on %s", server.url)
    _warn(web_config)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        on_start(server)
        server.run()
    finally:
        server.close()
        on_stop()
        SPARSE.tell(at_once=True)


def _warn(web_config: WebConfig | None) -> None:
    if web_config is not None and web_config.users and web_config.tls is None:
        log.warning("passwords travel unencrypted: basic_auth_users without tls_server_config")


class Server:
    """A bound server. The address is taken when it is made; port 0 takes a free one. run() serves once."""

    def __init__(
        self,
        current: Current,
        listen: str,
        web_config: WebConfig | None = None,
        max_connections: int = MAX_CONNECTIONS,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        always: Headers = []
        connections = Connections(max_connections)
        auth = BasicAuth(make_app(current, always, lifecycle), always, connections)
        config = uvicorn.Config(
            auth,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Uvicorn(config, connections, always, auth)
        self._reloader = Reloader(web_config or WebConfig(), self._server.use)
        self._socket = bind(listen)
        host, self.port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if self._server.tls is None else 'https'}://{shown}:{self.port}"

    def run(self) -> None:
        """Serve until stop(), or, in the main thread, until SIGTERM or SIGINT."""
        self._reloader.start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._reloader.stop()
            self.close()

    def follow(self, web_config: WebConfig, max_connections: int) -> None:
        """Go on with another web config file and another number of connections; from any thread.

        Raises ConfigError where the file takes a restart or cannot be used; then nothing changes.
        """
        self._reloader.follow(web_config)
        _warn(web_config)
        self._server.allow(places(max_connections))

    def close(self) -> None:
        """Give the address back."""
        self._socket.close()

    def stop(self) -> None:
        """End run() within a few seconds; from any thread."""
        self._server.should_exit = True


def bind(listen: str) -> socket.socket:
    """Listen on `0.0.0.0:9488`, `:9488` (every address, IPv6 too), `[::1]:9488` or `name:9488`.

    Raises ConfigError that says what to do.
    """
    try:
        host, port = split_address(listen)
    except ValueError as error:
        raise ConfigError([f"web.listen: {error}"]) from None
    try:
        if not host and socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):  # IPv6 may be compiled in and switched off
                return _listen("", port, socket.AF_INET6)
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
        return _listen(str(address[0]), port, family)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigError([f"web.listen: cannot listen on {listen}: {reason}. {_advice(error)}"]) from error


def _listen(host: str, port: int, family: int) -> socket.socket:
    dual = family == socket.AF_INET6 and not host
    return socket.create_server((host, port), family=family, dualstack_ipv6=dual, backlog=BACKLOG)


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Stop the program that uses the port, or choose another with --listen or web.listen"
    if error.errno == errno.EACCES:
        return "Ports below 1024 need privileges; choose a higher one"
    return "The host must be an address of this machine; 0.0.0.0 means all of them"


class _Uvicorn(uvicorn.Server):
    """uvicorn with connections that are counted, and TLS, users and headers that may change while it runs."""

    def __init__(self, config: uvicorn.Config, connections: Connections, always: Headers, auth: BasicAuth) -> None:
        super().__init__(config)
        self.tls: ssl.SSLContext | None = None
        self._connections = connections
        self._always = always
        self._auth = auth
        self._loop: asyncio.AbstractEventLoop | None = None
        self._acceptors: list[Acceptor] = []

    def use(self, config: WebConfig, tls: ssl.SSLContext | None) -> None:
        """Serve as this says from the next request on, with TLS from the next connection on; from any thread."""

        def change() -> None:
            self.tls = tls
            self._always[:] = headers_with(config.headers)
            self._auth.use(config.users)

        self._do(change)

    def allow(self, connections: int) -> None:
        """Serve so many at once from now on; from any thread."""
        self._do(partial(self._connections.allow, connections))

    def _do(self, change: Callable[[], None]) -> None:
        """Do something in the thread that serves; in any before there is one."""
        if self._loop is None:
            change()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(change)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept on the sockets; uvicorn's own server would accept without end, and not before a TLS handshake."""
        await self.lifespan.startup()
        self._loop = asyncio.get_running_loop()
        self.servers = []
        self._acceptors = [
            Acceptor(listening, self._connections, self._protocol, lambda: self.tls) for listening in sockets or []
        ]
        self.started = True

    def _protocol(self, connection: Connection) -> Protocol:
        return Protocol(
            self.config, self.server_state, connection, self._connections, self._always, self._auth.protected
        )

    async def on_tick(self, counter: int) -> bool:
        """Cut off who takes too long; every tenth of a second."""
        self._connections.expire()
        if counter % 10 == 0:
            SPARSE.tell()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers under way end, and cut off who has not read them by then, and everybody else at once."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._connections.close(below=Rank.ANSWERING)
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, no more: uvicorn would raise it again and kill before the ledger is closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
