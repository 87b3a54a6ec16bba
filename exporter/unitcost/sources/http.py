"""HTTP for sources: one session per source, retries that listen to the server, a limit on the whole answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from unitcost.errors import SourceError
from unitcost.redaction import SECRETS
from unitcost.sources.base import HttpSettings, basic, read_secret
from unitcost.sources.values import exact_json

CHUNK = 1 << 16
MAX_BYTES = 512 << 20
SHOWN = 200
"""How many characters of a foreign answer an error shows."""


class Answer:
    """A complete HTTP answer: its status and its body as text, or as JSON with every number a Decimal."""

    def __init__(self, url: str, status: int, body: bytes) -> None:
        self.url = url
        self.status = status
        self.body = body

    @property
    def text(self) -> str:
        """The start of the body, fit to be shown in an error."""
        whole = self.body[: SHOWN * 4].decode("utf-8", "replace")
        return SECRETS.hide(whole)[:SHOWN]  # cut behind that, so that no half of a secret is left

    def json(self) -> Any:
        """Parse the body; raise SourceError `format` when it is not JSON (a login page, half an answer)."""
        try:
            return exact_json(self.body)
        except (ValueError, RecursionError) as error:
            raise SourceError(
                "format",
                self.url,
                f"answered something that is not JSON ({error}): {self.text!r}",
                "Check that the URL is the API itself and not a login page or a proxy's error page",
            ) from error


class Client:
    """GETs from one server. 429, 502, 503 and 504 are tried again, after Retry-After where the server says so."""

    def __init__(self, settings: HttpSettings, *, retries: int = 3, backoff: float = 0.5) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = False  # no ~/.netrc credentials or proxies that the configuration does not name
        retry = Retry(
            total=retries,
            connect=1,
            read=0,
            backoff_factor=backoff,
            status_forcelist=(429, 502, 503, 504),
            respect_retry_after_header=True,
            retry_after_max=30,
            raise_on_status=False,
        )
        self._session.mount("http://", HTTPAdapter(max_retries=retry))
        self._session.mount("https://", HTTPAdapter(max_retries=retry))
        self._session.verify = (
            False if settings.insecure_skip_verify else str(settings.ca_file) if settings.ca_file else True
        )

    def get(self, path: str, params: Mapping[str, str]) -> Answer:
        """GET url+path; return the complete answer whatever its status.

        Raises SourceError: `unreachable`, `timeout` (the whole answer took longer than settings.timeout),
        `auth` (401, 403), `truncated` (the connection broke), `too_large`.
        """
        limit = self._settings.timeout
        deadline = time.monotonic() + limit
        url = at(self._settings.url, path)
        shown = _without_credentials(url)
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        if self._settings.username is not None:
            headers["Authorization"] = f"Basic {basic(self._settings.username, self._password())}"
        token = self._token()
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            with self._session.get(
                url, params=dict(params), headers=headers, timeout=(min(10.0, limit), limit), stream=True
            ) as response:
                answer = Answer(shown, response.status_code, _read(response, shown, limit, deadline))
        except requests.exceptions.RequestException as error:
            raise _translated(error, shown, limit) from error
        if answer.status in {401, 403}:
            raise SourceError(
                "auth", shown, f"answered {answer.status}", "Check username and password, or the bearer token"
            )
        return answer

    def _password(self) -> str:
        if self._settings.password_file is not None:
            return read_secret(self._settings.password_file)
        return self._settings.password.get_secret_value() if self._settings.password is not None else ""

    def _token(self) -> str | None:
        if self._settings.bearer_token_file is not None:
            return read_secret(self._settings.bearer_token_file)
        return self._settings.bearer_token.get_secret_value() if self._settings.bearer_token is not None else None


TLS_HINT = (
    "Set ca_file to the server's CA; Python 3.13 and later want a CA that states its key usage (docs/configuration.md)"
)
TIMEOUT_HINT = "Raise timeout, or see why the server is slow; the next refresh asks again"


def _read(response: requests.Response, shown: str, limit: float, deadline: float) -> bytes:
    """Read the whole body, or raise when it takes too long or grows too large."""
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if time.monotonic() > deadline:
            raise SourceError("timeout", shown, f"the answer was not complete after {limit:g} s", TIMEOUT_HINT)
        if len(body) > MAX_BYTES:
            raise SourceError("too_large", shown, f"the answer is larger than {MAX_BYTES >> 20} MiB")
    return bytes(body)


def _translated(error: requests.exceptions.RequestException, shown: str, limit: float) -> SourceError:
    if isinstance(error, requests.exceptions.Timeout) or "Read timed out" in str(error):
        return SourceError("timeout", shown, f"no answer within {limit:g} s", TIMEOUT_HINT)
    if isinstance(error, requests.exceptions.SSLError):
        return SourceError("unreachable", shown, f"TLS failed: {error}", TLS_HINT)
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return SourceError("truncated", shown, "the connection broke in the middle of the answer")
    if isinstance(error, requests.exceptions.ConnectionError):
        hint = "Check the url, and that a NetworkPolicy lets unitcost in"
        return SourceError("unreachable", shown, "cannot be reached", hint)
    return SourceError("http", shown, f"the request failed: {type(error).__name__}")


def at(url: str, path: str) -> str:
    """Return the address of a path below a url, whose query stays."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/") + path).geturl()


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl()
