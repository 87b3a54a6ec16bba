"""Servers that go wrong in every way that HTTP, TLS, gzip and JSON leave open, over raw loopback sockets."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PULSE = 0.05
"""Seconds between two bytes of what drips: far below any time limit of a read."""
MB = 1 << 20
BLOCK = b"x" * (1 << 16)
FULL = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"tenant":"acme"},"value":[1,"7"]}]}}'


@dataclass
class Call:
    """One connection of a client. url: of this server; other: of another one that answers well."""

    sock: socket.socket
    stopping: threading.Event
    url: str
    other: str

    def asked(self) -> None:
        """Read the request, up to the end of its headers."""
        seen = b""
        while b"\r\n\r\n" not in seen:
            part = self.sock.recv(1 << 16)
            if not part:
                raise ConnectionError
            seen += part

    def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.sock.sendall(part.encode() if isinstance(part, str) else part)

    def drip(self, data: bytes | str) -> None:
        """Send a byte at a time."""
        for byte in data.encode() if isinstance(data, str) else data:
            self.sock.sendall(bytes([byte]))
            self.wait(PULSE)

    def wait(self, seconds: float = 3600.0) -> None:
        if self.stopping.wait(seconds):
            raise ConnectionError

    def until_closed(self) -> None:
        """Read until the client hangs up."""
        while self.sock.recv(1 << 16):
            pass

    def for_ever(self, data: bytes | str, every: float = 0.0) -> None:
        block = data.encode() if isinstance(data, str) else data
        while not self.stopping.is_set():
            self.sock.sendall(block)
            if every:
                self.wait(every)


Behaviour = Callable[[Call], None]


@dataclass(frozen=True)
class Fault:
    """A server that goes wrong. scheme: https where the client is to start TLS; speaks: whether the server can too."""

    name: str
    behave: Behaviour
    scheme: str = "http"
    speaks: bool = False


def head(status: str = "200 OK", *fields: str, length: int | None = None) -> str:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""])


CHUNKED = "Transfer-Encoding: chunked"
GZIP = "Content-Encoding: gzip"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def after(do: Behaviour) -> Behaviour:
    """Read the request first."""

    def behave(call: Call) -> None:
        call.asked()
        do(call)

    return behave


def says(*parts: bytes | str, then: str = "close") -> Behaviour:
    """Say something; then close, stall, or half-close and stall."""

    def do(call: Call) -> None:
        call.send(*parts)
        if then == "half":
            call.sock.shutdown(socket.SHUT_WR)
        if then != "close":
            call.wait()

    return after(do)


def drips(text: bytes | str, *first: bytes | str) -> Behaviour:
    def do(call: Call) -> None:
        call.send(*first)
        call.drip(text)

    return after(do)


def endless(block: bytes | str, *first: bytes | str, every: float = 0.0) -> Behaviour:
    def do(call: Call) -> None:
        call.send(*first)
        call.for_ever(block, every)

    return after(do)


def silent(call: Call) -> None:
    call.until_closed()


def reset(call: Call) -> None:
    """Hang up with a reset instead of an end."""
    call.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def says_then_reset(*parts: bytes | str) -> Behaviour:
    def do(call: Call) -> None:
        call.send(*parts)
        reset(call)

    return after(do)


def bomb(call: Call, size: int = 10 << 30) -> None:
    """Send so many packed zeros: a thousandth of it on the wire."""
    call.asked()
    call.send(head("200 OK", GZIP, CHUNKED))
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for _ in range(size >> 20):
        packed = packer.compress(bytes(1 << 20))
        if packed:
            call.send(chunk(packed))
    call.send(chunk(packer.flush()), b"0\r\n\r\n")


def redirects(to: Callable[[Call], str], status: str = "302 Found", **how: str) -> Behaviour:
    return after(lambda call: call.send(head(status, f"Location: {to(call)}", length=0), **how))


def ever_new(call: Call) -> None:
    """Redirect to a new path each time."""
    call.asked()
    call.send(head("302 Found", f"Location: /{time.monotonic_ns()}", "Connection: close", length=0))


def slow_redirect(call: Call) -> None:
    call.asked()
    call.wait(0.2)
    call.send(head("307 Temporary Redirect", "Location: /again", "Connection: close", length=0))


def repeated(status: str, *fields: str, body: bytes = b"no") -> Behaviour:
    """Answer every request on every connection so."""

    def behave(call: Call) -> None:
        while True:
            call.asked()
            call.send(head(status, *fields, length=len(body)), body)

    return behave


def json_of(size: int, text: Callable[[int], str], *, front: str, back: str) -> Behaviour:
    """Answer a JSON document of about so many bytes, made as it is sent."""

    def do(call: Call) -> None:
        call.send(head("200 OK", "Connection: close"), front)
        sent = 0
        for number in itertools.count():
            if sent >= size or call.stopping.is_set():
                break
            block = "".join(text(number * 1000 + n) + "," for n in range(1000))
            sent += len(block)
            call.send(block)
        call.send(text(-1), back)

    return after(do)


def half_a_record(call: Call) -> None:
    call.send(b"\x16\x03\x03\x40\x00\x02")
    call.wait()


@contextmanager
def running(given: Sequence[Fault], other: str, tls: ssl.SSLContext | None = None) -> Iterator[list[str]]:
    """Run servers that go wrong on loopback ports of their own; yield the URL of each.

    other: the URL of a server that answers well. tls: for those that speak TLS.
    """
    stopping = threading.Event()
    listeners = []
    urls = []
    for fault in given:
        listener = socket.create_server(("127.0.0.1", 0), backlog=32)
        url = f"{fault.scheme}://127.0.0.1:{listener.getsockname()[1]}"
        context = tls if fault.speaks else None
        threading.Thread(target=_accept, args=(listener, fault, url, other, context, stopping), daemon=True).start()
        listeners.append(listener)
        urls.append(url)
    try:
        yield urls
    finally:
        stopping.set()
        for listener in listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _accept(
    listener: socket.socket, fault: Fault, url: str, other: str, tls: ssl.SSLContext | None, stopping: threading.Event
) -> None:
    while not stopping.is_set():
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        args = (sock, fault, url, other, tls, stopping)
        threading.Thread(target=_serve, args=args, daemon=True).start()


def _serve(
    sock: socket.socket, fault: Fault, url: str, other: str, tls: ssl.SSLContext | None, stopping: threading.Event
) -> None:
    with sock, suppress(OSError):
        if tls is None:
            fault.behave(Call(sock, stopping, url, other))
        else:
            with tls.wrap_socket(sock, server_side=True) as wrapped:
                fault.behave(Call(wrapped, stopping, url, other))


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return what a server of 127.0.0.1 speaks TLS with, and the CA file that trusts it; needs openssl."""
    import subprocess  # noqa: PLC0415 - few need it

    key, cert = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    return tls, cert
