"""HTTP for sources: one deadline and one limit of size for a whole exchange, and no secret sent to another host."""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from math import inf, isnan
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3
from requests.utils import requote_uri

from unitcost.errors import SourceError
from unitcost.redaction import SECRETS
from unitcost.sources.base import HttpSettings, Waiting, basic
from unitcost.sources.exchange import Adapter, Exchange, OverdueError, within
from unitcost.sources.json_pieces import Path, pieces
from unitcost.sources.values import exact_json

CHUNK = 1 << 16
CONNECT = 10.0
"""Seconds for a connection, where the timeout allows more."""
SHOWN = 200
"""How many characters of a foreign answer an error shows."""
SMALL = 1 << 20
"""Bytes of an answer that may be read in one piece."""
AGAIN = (429, 502, 503, 504)
"""Statuses after which the server may answer a moment later."""
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
DIGITS = 18
"""More of them are no size of an answer."""
GZIP = 16 + zlib.MAX_WBITS
PORTS = {"http": 80, "https": 443}


class Answer:
    """A complete HTTP answer: its status and its body as text, or as JSON with every number a Decimal.

    deadline: until when (monotonic seconds) it has to be read.
    """

    def __init__(self, url: str, status: int, body: bytes | bytearray, deadline: float = inf) -> None:
        self.url = url
        self.status = status
        self.body = body
        self._deadline = deadline

    @property
    def text(self) -> str:
        """The start of the body, fit to be shown in an error."""
        whole = self.body[: SHOWN * 4].decode("utf-8", "replace")
        return SECRETS.hide(whole)[:SHOWN]  # cut behind that, so that no half of a secret is left

    def json(self) -> Any:
        """Parse a small body; raise SourceError `format` when it is not JSON (a login page, half an answer)."""
        if len(self.body) > SMALL:
            raise self._no_json(f"{len(self.body):,} bytes are too many for an answer of this kind")
        try:
            return exact_json(bytes(self.body))
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise self._no_json(error) from error

    def pieces(self, opened: Callable[[Path], bool]) -> Iterator[tuple[Path, Any]]:
        """Yield a body of any size as json_pieces does.

        Raises SourceError `format` where it is no JSON any more, and `timeout`.
        """
        try:
            for piece in pieces(self.body, opened):
                if time.monotonic() > self._deadline:
                    text = f"the answer of {len(self.body):,} bytes could not be read in time"
                    raise SourceError("timeout", self.url, text, "Raise timeout, or ask for less")
                yield piece
        except ValueError as error:
            raise self._no_json(error) from error

    def _no_json(self, why: object) -> SourceError:
        return SourceError(
            "format",
            self.url,
            f"answered something that is not JSON ({why}): {self.text!r}",
            "Check that the URL is the API itself and not a login page or a proxy's error page",
        )


class Client:
    """GETs from one server. 429, 502, 503 and 504 are tried again, after Retry-After where the server says so.

    waiting: where it says what it waits for at the moment.
    """

    def __init__(
        self, settings: HttpSettings, *, retries: int = 3, backoff: float = 0.5, waiting: Waiting | None = None
    ) -> None:
        self._settings = settings
        self._retries = retries
        self._backoff = backoff
        self._waiting = waiting or Waiting()
        self._adapter = Adapter(max_retries=0)
        self._verify: bool | str = (
            False if settings.insecure_skip_verify else str(settings.ca_file) if settings.ca_file else True
        )

    def get(self, path: str, params: Mapping[str, str | Sequence[str]]) -> Answer:
        """GET url+path; return the complete answer whatever its status. A parameter of several values is repeated.

        settings.timeout is for all of it: the name, the connection, TLS, redirects, tries, headers and body.
        Raises SourceError: `unreachable`, `timeout`, `auth` (401, 403), `truncated` (the connection broke),
        `too_large`, `redirect` (to another host), `retry_later` (the server asks for more time than there is),
        `format` (the body is packed in a way that was not asked for, or damaged).
        """
        limit = self._settings.timeout
        url = at(self._settings.url, path)
        shown = _without_credentials(url)
        headers = {"User-Agent": "unitcost", "Accept-Encoding": "gzip"}
        headers |= {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        if self._settings.username is not None:
            headers["Authorization"] = (
                f"Basic {basic(self._settings.username, self._settings.secret('password') or '')}"
            )
        token = self._settings.secret("bearer_token")
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            request = requests.Request("GET", url, params=dict(params), headers=headers).prepare()
            with self._waiting.on(shown):
                answer = within(limit, lambda exchange: self._exchange(exchange, request, shown))
        except OverdueError as error:
            raise SourceError("timeout", shown, f"no complete answer within {limit:g} s", TIMEOUT_HINT) from error
        except FAILURES as error:
            raise _translated(error, shown, limit) from error
        if answer.status in {401, 403}:
            raise SourceError(
                "auth", shown, f"answered {answer.status}", "Check username and password, or the bearer token"
            )
        return answer

    def _exchange(self, exchange: Exchange, request: requests.PreparedRequest, shown: str) -> Answer:
        """Ask, and ask again where that may help, until there is an answer."""
        tries = 0
        while True:
            try:
                response = self._follow(exchange, request, shown)
            except requests.exceptions.ConnectionError as error:
                if tries or isinstance(error, requests.exceptions.SSLError | requests.exceptions.Timeout):
                    raise
                tries += 1  # a connection that was kept alive may have been closed just now
                continue
            with response:
                asked = response.headers.get("Retry-After")
                seconds = _seconds(asked, self._backoff * 2**tries)
                again = response.status_code in AGAIN and tries < self._retries
                if not again or (asked is None and seconds >= exchange.left):
                    body = self._body(exchange, response, shown)
                    return Answer(shown, response.status_code, body, exchange.deadline)
            if seconds >= exchange.left:
                raise SourceError(
                    "retry_later",
                    shown,
                    f"answered {response.status_code} and asks to be left alone for longer than timeout allows "
                    f"(Retry-After: {str(asked)[:SHOWN]})",
                    "See the server's limits; the next refresh asks again",
                )
            exchange.pause(seconds)
            tries += 1

    def _follow(self, exchange: Exchange, request: requests.PreparedRequest, shown: str) -> requests.Response:
        """Send a request, and follow redirects within the same server: credentials and headers go nowhere else."""
        request = request.copy()
        for _ in range(MAX_REDIRECTS + 1):
            left = exchange.left
            timeout = (min(CONNECT, left), left)
            response = self._adapter.send(request, stream=True, timeout=timeout, verify=self._verify)
            location = response.headers.get("Location")
            if response.status_code not in REDIRECTS or location is None:
                return response
            response.close()
            request.url = _same_server(str(request.url), location, shown)
        raise SourceError(
            "redirect", shown, f"redirects more than {MAX_REDIRECTS} times", "Set url to where the API answers"
        )

    def _body(self, exchange: Exchange, response: requests.Response, shown: str) -> bytearray:
        """Read the whole body; what is packed counts unpacked."""
        limit = self._settings.body_size_limit
        length = response.headers.get("Content-Length", "")
        if limit and length.isdecimal() and (len(length) > DIGITS or int(length) > limit):
            raise _too_large(limit, shown)
        packing = response.headers.get("Content-Encoding", "identity").strip().lower()
        if packing not in {"identity", "gzip", "x-gzip", ""}:
            raise SourceError(
                "format",
                shown,
                f"answered with Content-Encoding {packing[:SHOWN]!r}, where gzip or none was asked for",
                "See what stands between unitcost and the server",
            )
        body = bytearray()
        chunks = _chunks(response)
        for chunk in _unpacked(chunks, shown) if "gzip" in packing else chunks:
            _ = exchange.left
            body += chunk
            if limit and len(body) > limit:
                raise _too_large(limit, shown)
        return body


TLS_HINT = (
    "Set ca_file to the server's CA; Python 3.13 and later want a CA that states its key usage (docs/configuration.md)"
)
TIMEOUT_HINT = "Raise timeout, or see why the server is slow; the next refresh asks again"
FAILURES = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError)
"""What the libraries raise; ValueError for a URL or header that cannot be sent."""


def _chunks(response: requests.Response) -> Iterator[bytes]:
    while chunk := response.raw.read(CHUNK, decode_content=False):
        yield chunk


def _unpacked(chunks: Iterator[bytes], shown: str) -> Iterator[bytes]:
    """Unpack gzip a bounded piece at a time: 200 KB can hold 200 MB."""
    unpacker = zlib.decompressobj(GZIP)
    begun = False
    try:
        for chunk in chunks:
            left = chunk
            while left:
                if unpacker.eof:  # gzip may consist of several members
                    unpacker = zlib.decompressobj(GZIP)
                yield unpacker.decompress(left, CHUNK)
                left = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
                begun = True
    except zlib.error as error:
        raise SourceError("format", shown, "answered gzip that is damaged", "See the server, or a proxy") from error
    if begun and not unpacker.eof:
        raise _truncated(shown)


def _seconds(asked: str | None, otherwise: float) -> float:
    """Return how long a Retry-After asks to wait: seconds or a date (RFC 9110); otherwise where it is neither."""
    if asked is None:
        return otherwise
    try:
        seconds = float(asked)
        return max(seconds, 0.0) if not isnan(seconds) else otherwise
    except ValueError:
        pass  # a date
    try:
        until = parsedate_to_datetime(asked)
        until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        return max((until - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return otherwise


def _same_server(url: str, location: str, shown: str) -> str:
    """Return where a redirect leads to. Raises SourceError `redirect` where that is another server."""
    here = urlsplit(url)
    try:
        there = urlsplit(urljoin(url, location))
        same = _origin(there) == _origin(here)
    except ValueError:
        raise SourceError("redirect", shown, "redirects to something that is no URL", "See the server") from None
    if not same:
        other = there._replace(netloc=there.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
        raise SourceError(
            "redirect",
            shown,
            f"redirects to {other[:SHOWN]!r}, and is not followed there: another server gets no credentials",
            "If that is right, set url to it",
        )
    return requote_uri(there._replace(netloc=here.netloc, fragment="").geturl())


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _too_large(limit: int, shown: str) -> SourceError:
    return SourceError(
        "too_large",
        shown,
        f"the answer is larger than {_size(limit)}",
        "Raise body_size_limit of this source, or ask for less (fewer dimensions, one number per tenant)",
    )


def _size(count: int) -> str:
    for unit, power in (("GB", 30), ("MB", 20), ("KB", 10)):
        if count >= 1 << power:
            return f"{count / (1 << power):.4g}{unit}"
    return f"{count}B"


def _truncated(shown: str) -> SourceError:
    hint = "See the server's log; the next refresh asks again"
    return SourceError("truncated", shown, "the connection broke in the middle of the answer", hint)


def _translated(error: Exception, shown: str, limit: float) -> SourceError:
    """Say in words what a library raised; its own text holds the whole URL, and names of classes."""
    timeouts = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    root = _root(error)
    if isinstance(error, timeouts) or isinstance(root, timeouts):
        connecting = isinstance(error, requests.exceptions.ConnectTimeout)
        what = "connection" if connecting else "complete answer"
        return SourceError(
            "timeout", shown, f"no {what} within {min(CONNECT, limit) if connecting else limit:g} s", TIMEOUT_HINT
        )
    if isinstance(root, ssl.SSLError):
        why = "the server hung up" if isinstance(root, ssl.SSLEOFError) else str(root.reason).replace("_", " ").lower()
        why = getattr(root, "verify_message", "") or why
        return SourceError("unreachable", shown, f"TLS failed: {why}", TLS_HINT)
    if isinstance(error, urllib3.exceptions.ProtocolError | requests.exceptions.ChunkedEncodingError):
        return _truncated(shown)
    if isinstance(error, requests.exceptions.ConnectionError | urllib3.exceptions.HTTPError | OSError):
        why = f": {root.strerror}" if isinstance(root, OSError) and root.strerror else ""
        hint = "Check the url, and that a NetworkPolicy lets unitcost in"
        return SourceError("unreachable", shown, f"cannot be reached{why}", hint)
    return SourceError("http", shown, "the request cannot be sent as it is", "Check the url and headers")


def _root(error: BaseException) -> BaseException:
    """Return what an error was made of in the end."""
    for _ in range(10):
        inner = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        found = next((one for one in inner if isinstance(one, BaseException)), None)
        if found is None:
            break
        error = found
    return error


def at(url: str, path: str) -> str:
    """Return the address of a path below a url, whose query stays."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/") + path).geturl()


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl()
