"""The web server: uvicorn, bound before anything else starts, stopped within seconds, TLS renewed from its files."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from unitcost.address import split_address
from unitcost.errors import ConfigError
from unitcost.snapshot import Current
from unitcost.web_app import make_app
from unitcost.web_auth import BasicAuth
from unitcost.web_config import Tls, WebConfig

log = logging.getLogger(__name__)

EXCHANGE_SECONDS = 60.0
"""From a connection's or a request's first byte to the end of its answer; a slower client is cut off."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: more than a scrape interval, so that Prometheus keeps its own."""

STOP_SECONDS = 3
CERTIFICATE_SECONDS = 30
"""How often the certificate's files are looked at."""


def serve(
    current: Current,
    listen: str,
    web_config: WebConfig | None = None,
    *,
    on_start: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT; call it from the main thread.

    on_start is called once the address is bound, on_stop when serving has ended, for whatever reason.
    Raises ConfigError when `listen` is no address or cannot be bound.
    """
    server = Server(current, listen, web_config)
    log.info("serving on %s", server.url)
    if web_config is not None and web_config.users and web_config.tls is None:
        log.warning("passwords travel unencrypted: basic_auth_users without tls_server_config")
    try:
        on_start()
        server.run()
    finally:
        server.close()
        on_stop()


class Server:
    """A bound server. The address is taken when it is made; port 0 takes a free one. run() serves once."""

    def __init__(self, current: Current, listen: str, web_config: WebConfig | None = None) -> None:
        web_config = web_config or WebConfig()
        app = make_app(current, web_config.headers)
        certificate = _Certificate(web_config.tls) if web_config.tls is not None else None
        config = uvicorn.Config(
            BasicAuth(app, web_config.users) if web_config.users else app,
            interface="asgi3",
            http=_Protocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_context_factory=certificate.of if certificate is not None else None,
            callback_notify=certificate.renew if certificate is not None else None,
            timeout_notify=CERTIFICATE_SECONDS,
        )
        self._server = _Uvicorn(config)
        self._socket = bind(listen)
        host, self.port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if certificate is None else 'https'}://{shown}:{self.port}"

    def run(self) -> None:
        """Serve until stop(), or, in the main thread, until SIGTERM or SIGINT."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.close()

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
    return socket.create_server((host, port), family=family, dualstack_ipv6=dual)


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Stop the program that uses the port, or choose another with --listen or web.listen"
    if error.errno == errno.EACCES:
        return "Ports below 1024 need privileges; choose a higher one"
    return "The host must be an address of this machine; 0.0.0.0 means all of them"


class _Certificate:
    """The server's TLS context; certificate and key are read again when their files change.

    That is what a renewal, as by cert-manager, does. A changed client_ca_file needs a restart: a context
    forgets no CA.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = self._stamps()
        self._context = tls.context()

    def of(self, _config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Return the context, in the form uvicorn asks for it."""
        return self._context

    async def renew(self) -> None:
        """Read the files if they changed; a pair that does not work leaves the old one in use."""
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            self._tls.context()
            self._tls.load_certificate(self._context)
        except OSError as error:
            log.warning("the certificate %s changed and cannot be used: %s", self._tls.cert_file, error)
        else:
            log.info("the certificate %s was read again", self._tls.cert_file)

    def _stamps(self) -> list[tuple[int, int]]:
        found = [path.stat() for path in (self._tls.cert_file, self._tls.key_file)]
        return [(status.st_mtime_ns, status.st_ino) for status in found]


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP with an end to every exchange: neither a request nor a reader may take for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._begin()
        super().data_received(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._end()
        if self.pipeline or self.transport.get_write_buffer_size():
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._deadline = self.loop.call_later(EXCHANGE_SECONDS, self._late)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        answered = self.timeout_keep_alive_task is not None and not self.transport.get_write_buffer_size()
        if not answered:
            self.transport.abort()


class _Uvicorn(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut off who has not read the answer by now: the event loop would wait for such clients for ever."""
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
