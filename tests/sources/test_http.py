"""Nothing that a server does holds a source longer than its timeout, fills the memory, or gets another's secrets."""

from __future__ import annotations

import base64
import gc
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes.faults import faults
from tests.fakes.faulty import (
    CHUNKED,
    FULL,
    Behaviour,
    Call,
    Fault,
    bomb,
    certificate,
    drips,
    endless,
    head,
    running,
    says,
    silent,
    slow_redirect,
)
from tests.fakes.server import Fake, Reply, Request, serve
from tests.fakes.stored import asked, utc
from unitcost.errors import SourceError
from unitcost.facts import Problem
from unitcost.sources.base import Context, HttpSettings, Waiting
from unitcost.sources.http import Answer, Client
from unitcost.sources.usage.prometheus import Prometheus, PrometheusSettings

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
"""CPython 3.11 leaves a socket whose server hangs up while TLS begins to the garbage collector."""

SECRET = "hunter2-do-not-show"
QUERY = "sum by (tenant) (increase(requests_total[$window]))"
TIMEOUT = 0.6
SCHEDULING = 1.0
"""Seconds that a busy machine may take to run a thread; bench/servers.py holds the 10 % on a quiet one."""


def client(url: str, *, waiting: Waiting | None = None, **given: Any) -> Client:
    settings = HttpSettings.model_validate({"type": "prometheus", "url": url, "timeout": 5, **given})
    return Client(settings, backoff=0.01, waiting=waiting)


def failure(url: str, **given: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        client(url, **given).get("/api", {"q": "1"})
    return caught.value


@pytest.fixture(autouse=True)
def _collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the collector find such a socket here, not in a test of something else."""
    yield
    if "TLS" in request.node.name:
        gc.collect()


@contextmanager
def behaving(behave: Behaviour) -> Iterator[str]:
    """Run one raw server."""
    with running([Fault("", behave)], "http://127.0.0.1:1") as [url]:
        yield url


def settled(count: Callable[[], int], expected: int) -> bool:
    until = time.monotonic() + 5
    while count() > expected and time.monotonic() < until:
        time.sleep(0.02)
    return count() <= expected


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def exchanges() -> int:
    return sum(thread.name == "exchange" for thread in threading.enumerate())


# ------------------------------------------------------------------------------------------------ one deadline

SLOW = ("bomb", " MB of", "million", "deep", "20 MB")
"""Faults that are about memory and take their time on a busy machine; bench/servers.py has them."""
FEW = [one for one in faults() if not any(word in one.name for word in SLOW)][::3]


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Fault], tuple[str, Path | None]]]:
    """Run every server that goes wrong."""
    folder = tmp_path_factory.mktemp("tls")
    tls, ca_file = certificate(folder)
    with serve(lambda _: Reply(FULL)) as good, running(faults(), good.url, tls) as urls:
        by_name = {fault.name: url for fault, url in zip(faults(), urls, strict=True)}
        yield lambda fault: (by_name[fault.name], ca_file)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    "fault", [one for one in faults() if not any(word in one.name for word in SLOW)], ids=lambda one: one.name
)
def test_no_server_holds_a_source_longer_than_its_timeout(
    fault: Fault, trouble: Callable[[Fault], tuple[str, Path | None]]
) -> None:
    url, ca_file = trouble(fault)
    given = {"url": url, "timeout": TIMEOUT, "ca_file": ca_file, "body_size_limit": "1MB"}
    settings = PrometheusSettings.model_validate({"measures": {"requests": QUERY}, **given})
    source = Prometheus("usage", settings, Context())
    now = utc(2026, 11, 18, 12)
    started = time.monotonic()
    try:
        said = [
            f"{item.text} {item.hint}" for item in source.batches(asked(now, now.date())) if isinstance(item, Problem)
        ]
    except SourceError as error:
        said = [f"{error.text} {error.hint}"]
    assert time.monotonic() - started < TIMEOUT * 1.1 + SCHEDULING
    for text in said:
        assert "Error(" not in text
        assert "Exception" not in text
        assert "Decimal(" not in text
    assert settled(exchanges, 0), "the thread of the exchange ends with it"


@pytest.mark.parametrize(
    "behave",
    [
        silent,
        endless("HTTP/1.1 100 Continue\r\n\r\n", every=0.01),
        drips("b" * 9999, "HTTP/1.1 200 OK\r\nX-A: "),
        drips("x" * 99, head(length=99)),
        slow_redirect,
    ],
    ids=["silent", "100 Continue", "dripped header", "dripped body", "slow redirects"],
)
def test_what_is_late_says_so_in_one_way_and_leaves_no_socket(behave: Behaviour) -> None:
    with behaving(behave) as url:
        before = open_files()
        error = failure(url, timeout=0.4)
        assert settled(exchanges, 0)
        assert settled(open_files, before)
    assert error.reason == "timeout"
    assert error.text == "no complete answer within 0.4 s"


def test_a_name_that_nobody_looks_up_in_time_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: asleep.wait(3))
    started = time.monotonic()
    error = failure("http://prometheus.invalid", timeout=0.3)
    asleep.set()
    assert error.reason == "timeout"
    assert time.monotonic() - started < 0.3 + SCHEDULING


def test_an_exchange_says_what_it_waits_for_and_when_it_is_over() -> None:
    waiting = Waiting()
    seen: list[str] = []

    def answer(_: Request) -> Reply:
        seen.append(waiting.on_what)
        return Reply(FULL)

    with serve(answer) as fake:
        client(fake.url, waiting=waiting).get("/api", {"query": SECRET})
    assert seen == [f"{fake.url}/api"]
    assert waiting.on_what == ""


def test_a_connection_is_kept_for_the_next_question() -> None:
    connections: list[Call] = []

    def behave(call: Call) -> None:
        connections.append(call)
        while True:
            call.asked()
            call.send(head(length=len(FULL)), FULL)

    with behaving(behave) as url:
        asking = client(url)
        assert [asking.get("/api", {}).body for _ in range(3)] == [FULL] * 3
        assert len(connections) == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    def behave(call: Call) -> None:
        call.asked()
        call.send(head(length=len(FULL)), FULL)

    with behaving(behave) as url:
        asking = client(url)
        assert [asking.get("/api", {}).body for _ in range(3)] == [FULL] * 3


# ------------------------------------------------------------------------------------------------ Retry-After


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "wait", ["1000000000", "1e9", "9" * 40, "inf", "Fri, 31 Dec 2100 23:59:59 GMT", "Friday, 31-Dec-2100 23:59:59 GMT"]
)
def test_a_wait_that_would_end_after_the_timeout_fails_at_once_and_is_told(status: int, wait: str) -> None:
    with serve(lambda _: Reply("no", status, {"Retry-After": wait})) as fake:
        started = time.monotonic()
        error = failure(fake.url, timeout=20)
        assert time.monotonic() - started < 5
        assert len(fake.requests) == 1
    assert error.reason == "retry_later"
    assert f"answered {status}" in error.text
    assert f"Retry-After: {wait}" in error.text


@pytest.mark.parametrize(
    "wait", ["0", "-5", "soon", "nan", "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 99999 1:2:3 GMT"]
)
def test_a_wait_that_is_over_or_unreadable_is_no_reason_to_give_up(wait: str) -> None:
    replies = [Reply("no", 429, {"Retry-After": wait}), Reply(FULL)]
    with serve(lambda _: replies.pop(0)) as fake:
        assert client(fake.url).get("/api", {}).status == 200


def test_a_server_that_is_always_busy_is_asked_four_times_and_its_answer_is_returned() -> None:
    with serve(lambda _: Reply("busy", 503)) as fake:
        assert client(fake.url).get("/api", {}).status == 503
        assert len(fake.requests) == 4


def test_a_try_that_would_not_fit_into_the_timeout_is_not_made() -> None:
    with serve(lambda _: Reply("busy", 503)) as fake:
        given = HttpSettings.model_validate({"type": "prometheus", "url": fake.url, "timeout": 2})
        started = time.monotonic()
        assert Client(given, backoff=60).get("/api", {}).status == 503
        assert time.monotonic() - started < 2


# ------------------------------------------------------------------------------------------------ redirects

GIVEN: list[dict[str, Any]] = [
    {"headers": {"X-Api-Key": SECRET}},
    {"bearer_token": SECRET},
    {"username": "u", "password": SECRET},
]


@contextmanager
def redirecting(to: Callable[[Fake], str], status: int = 302) -> Iterator[tuple[Fake, Fake]]:
    """Run a server that redirects /api/…, and another one; yield both."""
    with serve(lambda _: Reply(FULL)) as other:

        def answer(request: Request) -> Reply:
            return Reply("", status, {"Location": to(other)}) if request.path == "/api" else Reply(FULL)

        with serve(answer) as fake:
            yield fake, other


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("given", GIVEN)
def test_a_redirect_to_another_server_is_refused_and_nothing_is_sent_there(given: dict[str, Any], status: int) -> None:
    with redirecting(lambda other: f"{other.url}/elsewhere?token={SECRET}", status) as (fake, other):
        error = failure(fake.url, **given)
        assert other.requests == []
    assert error.reason == "redirect"
    assert f"redirects to '{other.url}'" in error.text
    assert SECRET not in f"{error} {vars(error)}"


@pytest.mark.parametrize(
    "to",
    [
        lambda other: other.url.replace("127.0.0.1", "localhost"),
        lambda other: other.url.partition(":")[2],
        lambda _: "https://127.0.0.1/",
        lambda _: "file:///etc/passwd",
        lambda _: "http://[::x",
        lambda _: "http://127.0.0.1:99999/",
    ],
    ids=["another name", "no scheme", "https of another port", "a file", "no URL", "no port"],
)
def test_whatever_is_not_the_same_server_is_another_one(to: Callable[[Fake], str]) -> None:
    with redirecting(to) as (fake, other):
        assert failure(fake.url, headers={"X-Api-Key": SECRET}).reason == "redirect"
        assert other.requests == []


@pytest.mark.needs("openssl")
def test_a_redirect_from_https_to_http_of_the_same_port_is_refused(tmp_path: Path) -> None:
    tls, ca_file = certificate(tmp_path)
    to: list[str] = []
    with serve(lambda _: Reply("", 302, {"Location": to[0]}), tls) as fake:
        to.append(fake.url.replace("https:", "http:"))
        error = failure(fake.url, ca_file=ca_file, bearer_token=SECRET)
        assert len(fake.requests) == 1
    assert error.reason == "redirect"


@pytest.mark.parametrize("to", ["/on", "on?x=1", "on?x=a b", "on?x=é", "on?x=%zz", "{url}/on", "{url}/on#part"])
@pytest.mark.parametrize("given", GIVEN)
def test_a_redirect_within_the_server_is_followed_with_what_it_takes(given: dict[str, Any], to: str) -> None:
    where: list[str] = []

    def answer(request: Request) -> Reply:
        return Reply("", 307, {"Location": where[0]}) if request.path == "/api" else Reply(FULL)

    with serve(answer) as fake:
        where.append(to.format(url=fake.url))
        assert client(fake.url, **given).get("/api", {"q": "1"}).body == FULL
    first, second = fake.requests
    assert second.path == "/on"
    basic = base64.b64encode(f"u:{SECRET}".encode()).decode()
    for header in ("x-api-key", "authorization"):
        assert first.headers.get(header) == second.headers.get(header)
    assert second.headers.get("x-api-key", second.headers.get("authorization")) in {
        SECRET,
        f"Bearer {SECRET}",
        f"Basic {basic}",
    }


def test_a_circle_of_redirects_ends() -> None:
    with serve(lambda request: Reply("", 302, {"Location": request.path})) as fake:
        error = failure(fake.url)
        assert len(fake.requests) == 6
    assert (error.reason, error.text) == ("redirect", "redirects more than 5 times")


def test_cookies_are_neither_kept_nor_sent() -> None:
    with serve(lambda _: Reply(FULL, headers={"Set-Cookie": "a=b"})) as fake:
        asking = client(fake.url)
        asking.get("/api", {})
        asking.get("/api", {})
    assert "cookie" not in fake.requests[1].headers


# ------------------------------------------------------------------------------------------------ size


@pytest.mark.parametrize(
    ("given", "size"),
    [("50MB", 50 << 20), ("50MiB", 50 << 20), ("1.5GB", 3 << 29), ("64KB", 1 << 16), ("7B", 7), (0, 0), ("0", 0)],
)
def test_a_limit_is_written_as_prometheus_writes_it(given: object, size: int) -> None:
    settings = HttpSettings.model_validate({"type": "x", "url": "http://a", "body_size_limit": given})
    assert settings.body_size_limit == size


@pytest.mark.parametrize("given", ["50", 50, "50 MB", "MB", "-1MB", "1e3MB", "50mb", True, None, [], "9" * 20 + "MB"])
def test_a_limit_that_is_none_is_a_mistake(given: object) -> None:
    with pytest.raises(ValidationError, match="must be a size such as 50MB"):
        HttpSettings.model_validate({"type": "x", "url": "http://a", "body_size_limit": given})


@pytest.mark.parametrize(
    "behave",
    [
        says(head(length=1 << 40), then="stall"),
        endless("[" * 9999, head()),
        endless("1\r\n[\r\n" * 9999, head("200 OK", CHUNKED)),
        bomb,
    ],
    ids=["promised", "until close", "in chunks", "gzip bomb"],
)
def test_an_answer_beyond_the_limit_is_refused_with_what_to_set(behave: Behaviour) -> None:
    with behaving(behave) as url:
        error = failure(url, body_size_limit="64KB", timeout=20)
    assert error.reason == "too_large"
    assert error.text == "the answer is larger than 64KB"
    assert "body_size_limit" in error.hint


def test_an_answer_of_just_the_limit_is_read_and_without_a_limit_any() -> None:
    with serve(lambda _: Reply(b"x" * 1024)) as fake:
        assert len(client(fake.url, body_size_limit="1KB").get("/api", {}).body) == 1024
        assert len(client(fake.url, body_size_limit=0).get("/api", {}).body) == 1024
        assert failure(fake.url, body_size_limit="1023B").reason == "too_large"


def test_packed_answers_are_unpacked_member_by_member() -> None:
    packed = gzip.compress(FULL[:50]) + gzip.compress(b"") + gzip.compress(FULL[50:])
    with serve(lambda _: Reply(packed, headers={"Content-Encoding": "gzip"})) as fake:
        assert client(fake.url).get("/api", {}).body == FULL
        assert fake.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("gzip that is cut off", "truncated"),
        ("gzip that is damaged", "format"),
        ("gzip that is none", "format"),
        ("gzip in gzip", "format"),
        ("brotli that nobody asked for", "format"),
    ],
)
def test_what_cannot_be_unpacked_is_no_answer(fault: str, reason: str) -> None:
    with behaving(next(one.behave for one in faults() if one.name == fault)) as url:
        assert failure(url).reason == reason


def test_an_answer_that_takes_too_long_to_read_is_late() -> None:
    answer = Answer("http://a", 200, b"[" + b"1," * 100_000 + b"1]", deadline=time.monotonic() - 1)
    with pytest.raises(SourceError, match="200,003 bytes could not be read in time") as caught:
        list(answer.pieces(lambda path: not path))
    assert caught.value.reason == "timeout"


def test_a_secret_that_is_no_text_is_not_shown_in_part(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfesecret")
    error = failure("http://127.0.0.1:1", bearer_token_file=tmp_path / "token")
    assert str(error) == f"{tmp_path / 'token'}: is not UTF-8"


def test_a_server_that_is_away_is_said_in_the_words_of_the_system() -> None:
    with behaving(silent) as url:
        pass
    assert failure(url).text == "cannot be reached: Connection refused"


@pytest.mark.needs("openssl")
def test_a_certificate_of_nobody_is_said_in_the_words_of_tls(tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path)
    with serve(lambda _: Reply(FULL), tls) as fake:
        assert failure(fake.url, headers={"X-Key": SECRET}).text == "TLS failed: self-signed certificate"
