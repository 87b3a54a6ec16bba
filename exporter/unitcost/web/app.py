"""The ASGI application: picks the bytes a request asks for from the current snapshot. No I/O, no rendering.

What /-/reload asks for is done in another thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from unitcost.web.lifecycle import Lifecycle
from unitcost.web.pages.front import WAITING_PAGE
from unitcost.web.runbook_pages import INDEX, pages
from unitcost.web.snapshot import Current

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PROBES = ("/-/healthy", "/-/ready")
PATHS = ("/", "/metrics", *PROBES)
METHODS = ("GET", "HEAD")
RELOAD = "/-/reload"
RELOAD_METHODS = ("POST", "PUT")

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"

MAX_CHOICES = 4096
"""Letters of an Accept-like header that are looked at; splitting 64 KB would take tens of milliseconds."""

OWN_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer: the page holds what customers pay and is nobody else's to store or to frame."""

WAITING = b"The first refresh is not complete yet; the metrics come with it.\n"
NOT_FOUND = f"Not found. There are: {' '.join((*PATHS, RELOAD, INDEX))}\n".encode()
NO_RELOAD = (
    b"Reading the configuration again over HTTP is switched off: set web.enable_lifecycle to true, and restart or send"
    b" SIGHUP.\n"
)
PIECE = 1 << 18
"""Bytes handed to the server at once. It waits for a slow client after each, so such a client holds one piece in
memory and not the whole answer."""


def headers_with(configured: Mapping[str, str]) -> Headers:
    """Return the headers of every answer: the configured ones, and those of our own that have another name."""
    merged = {name.lower(): value for name, value in {**OWN_HEADERS, **configured}.items()}
    return [(name.encode(), value.encode()) for name, value in merged.items()]


def make_app(current: Current, always: Headers | None = None, lifecycle: Lifecycle | None = None) -> App:
    """Return the application. always: the headers of every answer; the list may change while it runs.

    lifecycle: what /-/reload asks; without, it is switched off.
    """
    always = headers_with({}) if always is None else always
    runbooks = pages()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == RELOAD:
            await _reload(scope["method"], send, always, lifecycle)
            return
        runbook = runbooks.get(path)
        if path not in PATHS and runbook is None:
            await answer(send, 404, PLAIN, NOT_FOUND, always)
            return
        if scope["method"] not in METHODS:
            await _not_allowed(send, METHODS, always)
            return
        if path in PROBES:
            status, text = _probed(path, current)
            await answer(send, status, PLAIN, text, always)
            return
        snapshot = current.get()
        kind = HTML
        if runbook is not None:
            plain, packed = runbook
        elif snapshot is None:
            retry = [*always, (b"retry-after", b"5")]
            kind, text = (PLAIN, WAITING) if path == "/metrics" else (HTML, WAITING_PAGE)
            await answer(send, 503, kind, text, retry)
            return
        elif path == "/":
            plain, packed = snapshot.page, snapshot.page_gzip
        elif wants_openmetrics(_header(scope, b"accept")):
            kind, plain, packed = OPENMETRICS, snapshot.openmetrics, snapshot.openmetrics_gzip
        else:
            kind, plain, packed = TEXT, snapshot.text, snapshot.text_gzip
        gzip = wants_gzip(_header(scope, b"accept-encoding"))
        vary = (b"vary", b"Accept, Accept-Encoding" if path == "/metrics" else b"Accept-Encoding")
        encoding = [(b"content-encoding", b"gzip")] if gzip else []
        await answer(send, 200, kind, packed if gzip else plain, [*always, vary, *encoding])

    return app


def _probed(path: str, current: Current) -> tuple[int, bytes]:
    if path == "/-/ready":
        return (503, WAITING) if current.get() is None else (200, b"ready\n")
    problem = current.health.problem()
    return (200, b"healthy\n") if problem is None else (503, f"not healthy: {problem}\n".encode())


async def _reload(method: str, send: Send, always: Headers, lifecycle: Lifecycle | None) -> None:
    """Answer when the configuration is in use, or refused; sources are asked after that."""
    if method not in RELOAD_METHODS:
        await _not_allowed(send, RELOAD_METHODS, always)
    elif lifecycle is None or not lifecycle.enabled:
        await answer(send, 403, PLAIN, NO_RELOAD, always)
    else:
        found = await lifecycle.reload()
        text = "".join(f"{line}\n" for line in found.lines)
        await answer(send, 200 if found.successful else 500, PLAIN, text.encode("utf-8", "replace"), always)


async def _not_allowed(send: Send, methods: Sequence[str], always: Headers) -> None:
    allowed = (b"allow", ", ".join(methods).encode())
    await answer(send, 405, PLAIN, f"Only {' and '.join(methods)}.\n".encode(), [*always, allowed])


async def answer(send: Send, status: int, kind: bytes, body: bytes, headers: Headers) -> None:
    """Send a complete answer; the server leaves out the body of a HEAD."""
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), length, *headers]}
    await send(start)
    view = memoryview(body)
    for begin in range(0, max(len(body), 1), PIECE):
        end = begin + PIECE
        await send({"type": "http.response.body", "body": view[begin:end], "more_body": end < len(body)})


def _header(scope: Scope, name: bytes) -> str:
    """Return a request header's values, joined as if they had come in one line; "" if it is absent or absurd."""
    joined = ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)
    return joined if len(joined) <= MAX_CHOICES else ""


def _choices(header: str) -> list[tuple[str, dict[str, str], float]]:
    """Split an Accept-like header into (name, parameters, q), all in lower case. A bad q counts as 0."""
    choices = []
    for choice in header.lower().split(","):
        name, *rest = (part.strip() for part in choice.split(";"))
        if not name:
            continue
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest)}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        choices.append((name, parameters, quality if 0 <= quality <= 1 else 0.0))
    return choices


def wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics 1.0.0 is asked for, and at least as much as the text format.

    Wildcards mean the text format: whoever did not name OpenMetrics may not know it. What neither format
    satisfies gets text too, as Prometheus servers expect.
    """
    openmetrics, text = 0.0, 0.0
    for name, parameters, quality in _choices(accept):
        version = parameters.get("version")
        if name == "application/openmetrics-text" and version in {None, "1.0.0"}:
            openmetrics = max(openmetrics, quality)
        elif name == "text/plain" and version in {None, "0.0.4"}:
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Whether gzip is accepted, and not less than the plain answer."""
    accepted = {name: quality for name, _, quality in _choices(accept_encoding)}
    gzip = accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", 0.0)))
    return gzip > 0 and gzip >= accepted.get("identity", 0.0)
