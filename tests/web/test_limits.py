"""What strangers can do to the web server: the crowd, huge and malformed requests, and what of it reaches the log."""

from __future__ import annotations

import logging
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import bcrypt
import pytest

from tests.fakes.certificates import self_signed
from tests.fakes.web_server import SNAPSHOT, ask, basic, filled, running
from unitcost.web import connections, log, protocol
from unitcost.web.log import SPARSE, thin_out
from unitcost.web.snapshot import Current
from unitcost.web.web_config import WebConfig

USERS = WebConfig(users={"prometheus": bcrypt.hashpw(b"right", bcrypt.gensalt(4))})
RIGHT = basic("prometheus", "right")
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@contextmanager
def crowd(port: int, count: int, says: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open many connections that all say the same, and no more."""
    clients = [connect(port) for _ in range(count)]
    for client in clients:
        client.sendall(says)
    yield clients
    for client in clients:
        client.close()


def everything(client: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    found = b""
    try:
        while piece := client.recv(1 << 16):
            found += piece
    except ConnectionResetError:
        pass
    return found


def say(port: int, text: bytes) -> bytes:
    """Send, and return what comes until the server ends the connection."""
    with connect(port) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(text)
        return everything(client)


# How many at once


@pytest.mark.parametrize(
    "says", [b"", b"G", b"\r\n", GET, GET + b"\r\n", GET + b"Authorization: Basic eDp5\r\n\r\n"], ids=repr
)
def test_a_crowd_of_any_kind_does_not_keep_a_right_user_out(says: bytes) -> None:
    with running(filled(), USERS, limit=16) as server, crowd(server.port, 100, says):
        for _ in range(3):
            begin = time.perf_counter()
            assert ask(server.port, "/metrics", RIGHT)[0].status == 200
            assert time.perf_counter() - begin < 2


def test_who_was_let_in_keeps_his_connection_while_the_crowd_comes_and_goes() -> None:
    with running(filled(), USERS, limit=16) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.connect()
        connection.auto_open = 0
        for _ in range(3):
            connection.request("GET", "/metrics", headers=RIGHT)
            assert connection.getresponse().read() == SNAPSHOT.text
            with crowd(server.port, 50), crowd(server.port, 50, GET):
                pass
        connection.close()


def test_the_longest_standing_of_those_who_asked_for_nothing_is_closed_and_no_more_are_open_than_allowed() -> None:
    with running(filled(), limit=8) as server, crowd(server.port, 20) as clients:
        assert all(everything(client) == b"" for client in clients[:12])
        for client in clients[12:]:
            client.sendall(GET + b"Connection: close\r\n\r\n")
            assert everything(client).startswith(b"HTTP/1.1 200")


def test_everybody_at_once_keeps_no_right_user_out_and_costs_little_memory() -> None:
    guess = GET + b"Authorization: Basic cHJvbWV0aGV1czp3cm9uZw==\r\n\r\n"
    with running(filled(), USERS, limit=64) as server, ExitStack() as stack:
        before = memory()
        for says, count in ((b"", 200), (GET, 50), (guess, 40), (b"", 200)):
            stack.enter_context(crowd(server.port, count, says))
            begin = time.perf_counter()
            assert ask(server.port, "/metrics", RIGHT)[0].status == 200
            assert time.perf_counter() - begin < 2
        assert memory() - before < 10 << 20


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    "says", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_handshakes_that_never_end_keep_no_right_user_out_and_no_descriptor(tmp_path: Path, says: bytes) -> None:
    self_signed(tmp_path)
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
    with running(filled(), WebConfig.load(tmp_path / "web.yml"), limit=16) as server:
        assert ask(server.port, "/metrics", tls=trusting)[1] == SNAPSHOT.text
        before = open_files()
        with crowd(server.port, 100, says):
            for _ in range(3):
                assert ask(server.port, "/metrics", tls=trusting)[1] == SNAPSHOT.text
        wait_until(lambda: open_files() <= before + 1)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_readers_who_do_not_read_make_room_for_one_who_does() -> None:
    current = Current()
    current.publish(replace(SNAPSHOT, text=b"#" * (16 << 20)))
    with running(current, limit=8) as server, crowd(server.port, 30, GET + b"\r\n"):
        assert len(ask(server.port, "/metrics")[1]) == 16 << 20


def test_a_connection_that_says_nothing_is_closed_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    with running(filled()) as server:
        assert say(server.port, b"") == b""


PROGRAM = """
import logging, resource, sys
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from unitcost.web import server as web
from unitcost.web.snapshot import Current
{change}
web.serve(Current(), "127.0.0.1:0", max_connections=512)
"""


@contextmanager
def few_descriptors(folder: Path, change: str = "") -> Iterator[tuple[int, int, Path]]:
    """Run a server that may have 64 files open; give its pid, its port and its log."""
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(change=change)], stderr=out)
    try:
        wait_until(lambda: "serving on" in log.read_text())
        [port] = re.findall(r"serving on http://127\.0\.0\.1:(\d+)", log.read_text())
        yield process.pid, int(port), log
    finally:
        process.terminate()
        assert process.wait(10) == 0


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_where_few_files_may_be_open_half_of_them_are_for_connections(tmp_path: Path) -> None:
    with few_descriptors(tmp_path) as (_, port, log), crowd(port, 200):
        assert ask(port, "/-/healthy")[0].status == 200
        assert (
            "web.max_connections is 512, but only 64 files may be open here: at most 32 connections" in log.read_text()
        )


def test_a_server_out_of_descriptors_answers_is_not_busy_and_logs_little(tmp_path: Path) -> None:
    with few_descriptors(tmp_path, "web.places = lambda wanted: wanted") as (pid, port, log), crowd(port, 200):
        before = cpu_seconds(pid)
        time.sleep(1)
        assert cpu_seconds(pid) - before < 0.5
        assert ask(port, "/-/healthy")[0].status == 200
        assert "no connection can be accepted (Too many open files)" in log.read_text()
        assert len(log.read_text().splitlines()) < 20


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_all_the_files_that_a_process_may_open_are_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = (
        "import resource; from unitcost.web.accept import places;"
        f" resource.setrlimit(resource.RLIMIT_NOFILE, (128, {hard})); print(places(10), places({hard}));"
        " print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert soft <= hard
    assert out.splitlines() == [f"10 {hard // 2}", str((hard, hard))]


# How much in a request


def assert_refused(answer: bytes, status: int) -> None:
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert b"\r\nconnection: close\r\n" in answer
    assert b"\r\nx-frame-options: DENY\r\n" in answer
    assert b"\r\ncontent-security-policy: default-src 'none';" in answer
    assert b"\r\ncache-control: no-store\r\n" in answer


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(filled(), USERS) as server:
        yield server.port


@pytest.mark.parametrize(
    "text",
    [
        b"GET /" + b"a" * (1 << 18),
        GET + b"X: " + b"a" * (1 << 18),
        GET + b"X" * (1 << 18),
        GET + b"A: b\r\n" * (1 << 15),
        GET + b"Authorization: Basic eDp5\r\n" * 101,
        b"\r\n" * (1 << 17),
        b"G" + b" " * (1 << 18),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_a_head_without_end_is_refused_before_anybody_logs_in(port: int, text: bytes) -> None:
    answer = say(port, text)
    assert_refused(answer, 400 if text.startswith(b"G ") else 431)


def test_a_head_just_below_the_limits_is_served(port: int) -> None:
    long = {"X-Long": "a" * (60 << 10), **RIGHT}
    many = {**{f"X-{n}": "a" for n in range(90)}, **RIGHT}
    assert ask(port, "/metrics", long)[0].status == 200
    assert ask(port, "/metrics", many)[0].status == 200


@pytest.mark.parametrize(
    "begin",
    [
        GET + b"X: ",
        GET + b"Transfer-Encoding: chunked\r\n\r\n8000000\r\n",
        GET + b"Transfer-Encoding: chunked\r\n\r\n1;",
        GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 60000\r\n\r\n",
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=lambda begin: repr(begin[-30:]),
)
def test_a_connection_that_sends_without_end_costs_little_memory(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.3)
    with running(filled()) as server, connect(server.port) as client:
        before = memory()
        sent = 0
        try:
            client.sendall(begin)
            while sent < 200 << 20:
                client.sendall(b"a" * (1 << 20))
                sent += 1 << 20
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 20 << 20
        assert memory() - before < 10 << 20


def memory() -> int:
    """Bytes this process has in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_thousands_of_requests_in_one_packet_are_one_and_the_connection_ends_with_its_answer(port: int) -> None:
    authorized = GET + f"Authorization: {RIGHT['Authorization']}\r\n\r\n".encode()
    answer = say(port, authorized * 1000)
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.endswith(SNAPSHOT.text)


@pytest.mark.parametrize("length", [0, 1, 60_000])
def test_a_small_body_is_thrown_away_and_the_connection_stays(port: int, length: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.connect()
    connection.auto_open = 0
    for _ in range(3):
        connection.request("GET", "/metrics", body=b"a" * length, headers=RIGHT)
        assert connection.getresponse().read() == SNAPSHOT.text
        connection.request("POST", "/metrics", body=iter([b"a" * length] if length else []), headers=RIGHT)
        response = connection.getresponse()
        assert (response.status, response.read()) == (405, b"Only GET and HEAD.\n")
    connection.close()


def test_a_body_that_says_it_is_huge_is_refused_before_it_comes(port: int) -> None:
    assert_refused(say(port, b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n"), 413)
    assert_refused(say(port, b"GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 65537\r\n\r\n"), 413)


def test_who_waits_to_be_told_to_go_on_gets_the_answer_instead(port: int) -> None:
    answer = say(port, b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize(
    "text",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\rHost: x\r\r",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=repr,
)
def test_what_is_no_request_is_refused_with_the_headers_of_every_answer(port: int, text: bytes) -> None:
    assert_refused(say(port, text), 400)


@pytest.mark.parametrize(
    "line", [b"GET http://example.com/metrics HTTP/1.1", b"GET /metrics HTTP/1.0", b"GET /metrics?a=%00#b HTTP/1.1"]
)
def test_odd_forms_of_a_request_are_served(line: bytes) -> None:
    with running(filled()) as server:
        answer = say(server.port, line + b"\r\nConnection: close\r\nUpgrade: h2c\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(SNAPSHOT.text)


def test_an_upgrade_is_not_taken_and_ends_with_the_answer() -> None:
    with running(filled()) as server:
        answer = say(
            server.port, GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02GET / HTTP/1.1\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(SNAPSHOT.text)


def test_a_client_that_goes_on_sending_still_gets_its_refusal(port: int) -> None:
    for _ in range(5):
        assert_refused(say(port, GET + b"X: " + b"a" * 900_000), 431)


# What every answer carries


def test_every_answer_carries_the_configured_and_the_security_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    config = replace(USERS, headers={"Strict-Transport-Security": "max-age=600", "X-Frame-Options": "SAMEORIGIN"})
    authorized = f"HTTP/1.1\r\nConnection: close\r\nAuthorization: {RIGHT['Authorization']}\r\n\r\n".encode()
    requests = {
        400: b"?\r\n",
        401: GET + b"Connection: close\r\n\r\n",
        404: b"GET /nothing " + authorized,
        405: b"PUT /metrics " + authorized,
        408: b"GET ",
        413: b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        431: b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200,
        503: b"GET /metrics " + authorized,
    }
    with running(Current(), config) as server:
        for status, text in requests.items():
            answer = say(server.port, text)
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            for header in (
                b"strict-transport-security: max-age=600",
                b"x-frame-options: SAMEORIGIN",
                b"x-content-type-options: nosniff",
                b"cache-control: no-store",
                b"content-security-policy: default-src",
            ):
                assert answer.count(b"\r\n" + header) == 1, (status, header)


# What of it is logged


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    thin_out()
    SPARSE.tell(at_once=True)
    caplog.set_level(logging.INFO)
    caplog.clear()

    def lines() -> list[str]:
        SPARSE.tell(at_once=True)
        return caplog.messages

    yield lines
    SPARSE.tell(at_once=True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"\x00\x1b[31mevil\r\n", "was refused with 400"),
        (b"GET /" + b"a" * 100_000, "was refused with 431"),
        (GET + b"Authorization: Basic eDp5\r\nConnection: close\r\n\r\n", "a login from 127.0.0.1 failed"),
    ],
    ids=["malformed", "too large", "wrong password"],
)
def test_what_strangers_do_is_logged_a_few_times_and_counted(
    port: int, logged: Callable[[], list[str]], text: bytes, line: str
) -> None:
    for _ in range(40):
        say(port, text)
    lines = logged()
    assert len(lines) == 6
    assert all(line in each for each in lines)
    assert lines[-1].endswith(" (and 34 more like it)")
    assert all(each.isprintable() and "evil" not in each for each in lines)


def test_connections_that_are_closed_for_others_are_logged_a_few_times(logged: Callable[[], list[str]]) -> None:
    with running(filled(), limit=4) as server, crowd(server.port, 100) as clients:
        everything(clients[0])
        wait_until(lambda: ask(server.port, "/-/healthy")[0].status == 200)
    lines = logged()
    assert len(lines) == 6
    assert lines[0] == ("all 4 connections (web.max_connections) are taken; those that have asked for nothing go first")


def test_kinds_of_lines_do_not_hide_each_other(port: int, logged: Callable[[], list[str]]) -> None:
    for _ in range(20):
        say(port, b"?\r\n")
    logging.getLogger("unitcost.web").info("something else")
    assert "something else" in logged()


def test_what_was_left_out_is_told_when_its_minute_is_over(
    port: int, logged: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        say(port, b"?\r\n")
    assert len(caplog.messages) == 5
    monkeypatch.setattr(log, "MINUTE", 0.0)
    wait_until(lambda: caplog.messages[-1].endswith("(and 14 more like it)"))  # the server does it by itself
    assert len(logged()) == 6
