"""Passwords: a right one waits for no guess, a known one for nothing, and web.yml is read again when it changes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import bcrypt
import pytest

from tests.fakes.web_server import SNAPSHOT, ask, basic, filled, running
from unitcost.web import checks, reload
from unitcost.web.accept import party
from unitcost.web.server import Server
from unitcost.web.web_config import WebConfig

USERS = {name: bcrypt.hashpw(b"right", bcrypt.gensalt(4)) for name in ("prometheus", "grafana")}
CHECK_SECONDS = 0.05
GUESSERS = 140


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Make a check take as long as at cost 10, without the work; collect the passwords that are checked."""
    found: list[bytes] = []
    real = bcrypt.checkpw

    def slow(password: bytes, hashed: bytes) -> bool:
        found.append(password)
        time.sleep(CHECK_SECONDS)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    monkeypatch.setattr(checks, "THREADS", 1)
    return found


@contextmanager
def guessers(port: int, user: str = "prometheus", address: str = "127.0.0.1", count: int = GUESSERS) -> Iterator[None]:
    """Guess over many connections, each again as soon as it is refused."""
    stop = threading.Event()

    def guess(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            login = basic(user, f"guess {number} {turn}")["Authorization"]
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0)) as client:
                    client.settimeout(0.1)
                    client.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\n\r\n".encode())
                    while not stop.is_set():
                        try:
                            assert client.recv(1 << 16)[:12] in {b"HTTP/1.1 401", b""}
                            break
                        except TimeoutError:
                            continue
            except OSError:
                time.sleep(0.1)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    ("user", "address"),
    [("prometheus", "127.0.0.1"), ("grafana", "127.0.0.1"), ("nobody", "127.0.0.1"), ("prometheus", "127.0.0.2")],
    ids=["his own name and address", "another name", "no user's name", "another address"],
)
def test_an_unseen_right_user_waits_for_no_queue_of_guesses(checked: list[bytes], user: str, address: str) -> None:
    with running(filled(), WebConfig(users=USERS)) as server, guessers(server.port, user, address):
        time.sleep(10 * CHECK_SECONDS)
        begin = time.perf_counter()
        assert ask(server.port, "/metrics", basic("prometheus", "right"))[0].status == 200
        assert time.perf_counter() - begin < 2
        assert len(checked) < GUESSERS / 2  # there was a queue

        begin = time.perf_counter()
        for _ in range(10):
            assert ask(server.port, "/metrics", basic("prometheus", "right"))[0].status == 200
        assert time.perf_counter() - begin < 1
        assert checked.count(b"right") == 1


def test_every_one_of_many_right_users_gets_in_past_the_guesses(checked: list[bytes]) -> None:
    users = {f"user{n}": USERS["prometheus"] for n in range(10)}
    statuses = []
    with running(filled(), WebConfig(users=users)) as server, guessers(server.port, "user1"):
        time.sleep(5 * CHECK_SECONDS)

        def scrape(user: str) -> None:
            statuses.append(ask(server.port, "/metrics", basic(user, "right"))[0].status)

        threads = [threading.Thread(target=scrape, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 10
    assert checked


def test_a_right_password_that_came_before_all_guesses_is_checked_too(checked: list[bytes]) -> None:
    """The newest are first, but every now and then it is the turn of the oldest."""
    with running(filled(), WebConfig(users=USERS)) as server, ExitStack() as stack:
        first = raw(stack, server, "a guess that is being checked")
        right = raw(stack, server, "right")
        guesses = [raw(stack, server, f"guess {n}") for n in range(60)]
        right.settimeout(30 * CHECK_SECONDS)
        assert right.recv(12) == b"HTTP/1.1 200"
        assert first
        assert len(checked) < len(guesses) / 2


def raw(stack: ExitStack, server: Server, password: str) -> socket.socket:
    client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
    login = basic("prometheus", password)["Authorization"]
    client.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\n\r\n".encode())
    return client


def test_a_password_that_was_wrong_is_not_checked_again(checked: list[bytes]) -> None:
    with running(filled(), WebConfig(users=USERS)) as server:
        for user in ("prometheus", "nobody", "prometheus", "nobody"):
            assert ask(server.port, "/metrics", basic(user, "wrong"))[0].status == 401
        assert checked == [b"wrong", b"wrong"]
        assert ask(server.port, "/metrics", basic("grafana", "wrong"))[0].status == 401
        assert len(checked) == 3


def test_the_same_password_over_many_connections_is_checked_once(checked: list[bytes]) -> None:
    with running(filled(), WebConfig(users=USERS)) as server, ExitStack() as stack:
        clients = [raw(stack, server, "right") for _ in range(10)]
        assert [client.recv(12) for client in clients] == [b"HTTP/1.1 200"] * 10
        assert checked == [b"right"]


def test_somebody_who_mistyped_is_told_at_once(checked: list[bytes]) -> None:
    with running(filled(), WebConfig(users=USERS)) as server:
        begin = time.perf_counter()
        for n in range(3):
            assert ask(server.port, "/metrics", basic("prometheus", f"wrong {n}"))[0].status == 401
        assert time.perf_counter() - begin < 1
    assert len(checked) == 3


def test_who_goes_away_while_he_waits_is_not_checked(checked: list[bytes]) -> None:
    with running(filled(), WebConfig(users=USERS)) as server:
        with ExitStack() as stack:
            for n in range(30):
                raw(stack, server, f"guess {n}")
            time.sleep(2 * CHECK_SECONDS)
        time.sleep(2 * CHECK_SECONDS)
        begun = len(checked)
        assert ask(server.port, "/metrics", basic("prometheus", "right"))[0].status == 200
        assert len(checked) <= begun + 2
        assert begun < 15


def test_stopping_does_not_wait_for_guesses(checked: list[bytes]) -> None:
    with ExitStack() as stack:
        with running(filled(), WebConfig(users=USERS)) as server:
            for n in range(60):
                raw(stack, server, f"guess {n}")
            time.sleep(CHECK_SECONDS)
            begin = time.perf_counter()
        assert time.perf_counter() - begin < 2.5
    assert len(checked) < 30


@pytest.mark.parametrize(
    ("host", "whose"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_failures_are_held_against_an_address_or_the_network_that_a_host_has_to_itself(host: str, whose: str) -> None:
    assert party(host) == whose


# web.yml changes


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 0.02)


def write(path: Path, text: str) -> None:
    """Replace the file as an editor or Kubernetes does, at once."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def users(**passwords: str) -> str:
    hashes = (f"{user}: {bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}" for user, word in passwords.items())
    return f"basic_auth_users: {{{', '.join(hashes)}}}\n"


@pytest.fixture
def web_yml(tmp_path: Path) -> Path:
    path = tmp_path / "web.yml"
    write(path, users(old="a", kept="b"))
    return path


def status(server: Server, user: str, password: str) -> int:
    return ask(server.port, "/metrics", basic(user, password))[0].status


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("quick")
def test_users_come_go_and_change_their_password_without_a_restart(web_yml: Path) -> None:
    with running(filled(), WebConfig.load(web_yml)) as server:
        assert [status(server, *login) for login in (("old", "a"), ("kept", "b"), ("new", "c"))] == [200, 200, 401]
        write(web_yml, users(kept="b2", new="c"))
        wait_until(lambda: status(server, "new", "c") == 200)
        assert [status(server, *login) for login in (("old", "a"), ("kept", "b"), ("kept", "b2"))] == [401, 401, 200]


@pytest.mark.usefixtures("quick")
def test_a_user_who_is_removed_is_out_on_the_connection_that_he_has(web_yml: Path) -> None:
    with running(filled(), WebConfig.load(web_yml)) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)

        def seen() -> int:
            connection.request("GET", "/metrics", headers=basic("old", "a"))
            response = connection.getresponse()
            response.read()
            return response.status

        assert seen() == 200
        write(web_yml, users(kept="b"))
        wait_until(lambda: seen() == 401)
        connection.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("basic_auth_users: [", "is wrong, what it said before stays in use"),
        ("basic_auth_users: {old: secret-in-plain-text}", "is wrong, what it said before stays in use"),
        ("", "letting everybody in without a password takes a restart"),
        ("basic_auth_users: {}", "letting everybody in without a password takes a restart"),
        (None, "is wrong, what it said before stays in use"),
    ],
    ids=["broken", "no hash", "empty", "no users", "gone"],
)
def test_a_file_that_is_wrong_or_opens_everything_changes_nothing_and_is_told_once(
    web_yml: Path, caplog: pytest.LogCaptureFixture, text: str | None, said: str
) -> None:
    with running(filled(), WebConfig.load(web_yml)) as server:
        if text is None:
            web_yml.unlink()
        else:
            write(web_yml, text)
        wait_until(lambda: said in caplog.text)
        time.sleep(0.2)
        assert len(caplog.messages) == 1
        assert "plain-text" not in caplog.text
        assert [status(server, "old", "a"), status(server, "old", "x")] == [200, 401]

        write(web_yml, users(new="c"))
        wait_until(lambda: status(server, "new", "c") == 200)


@pytest.mark.usefixtures("quick")
def test_users_may_be_asked_for_where_everybody_was_let_in(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    write(path, "")
    with running(filled(), WebConfig.load(path)) as server:
        assert ask(server.port, "/metrics")[1] == SNAPSHOT.text
        write(path, users(new="c"))
        wait_until(lambda: ask(server.port, "/metrics")[0].status == 401)
        assert status(server, "new", "c") == 200


@pytest.mark.usefixtures("quick")
def test_headers_change_without_a_restart(web_yml: Path) -> None:
    with running(filled(), WebConfig.load(web_yml)) as server:
        assert ask(server.port, "/")[0].headers["X-Frame-Options"] == "DENY"
        write(web_yml, users(old="a") + "http_server_config: {headers: {X-Frame-Options: SAMEORIGIN}}")
        wait_until(lambda: ask(server.port, "/")[0].headers["X-Frame-Options"] == "SAMEORIGIN")
        assert status(server, "old", "a") == 200


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("after", "expected"), [("new", 401), ("old", 200)])
def test_a_password_counts_as_web_yml_says_when_its_check_is_over(
    web_yml: Path, monkeypatch: pytest.MonkeyPatch, after: str, expected: int
) -> None:
    """A user whose password changes while it is checked is not let in with the old one, nor refused with the new."""
    checking, go = threading.Event(), threading.Event()
    real = bcrypt.checkpw

    def slow(password: bytes, hashed: bytes) -> bool:
        if password:  # what is read from web.yml is tried with none
            checking.set()
            go.wait(5)
        return real(password, hashed)

    write(web_yml, users(prometheus="old"))
    with running(filled(), WebConfig.load(web_yml)) as server, ExitStack() as stack:
        monkeypatch.setattr(bcrypt, "checkpw", slow)
        client = raw(stack, server, "old")
        assert checking.wait(5)
        write(web_yml, users(prometheus=after) + "http_server_config: {headers: {X-XSS-Protection: '1'}}")
        wait_until(lambda: ask(server.port, "/-/ready")[0].headers["X-XSS-Protection"] == "1")
        go.set()
        assert client.recv(12) == f"HTTP/1.1 {expected}".encode()
