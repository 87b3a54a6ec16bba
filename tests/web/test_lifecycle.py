"""`/-/reload`, and what of the web server may change while it runs: nobody who scrapes waits for it."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import bcrypt
import pytest

from tests.fakes.processes import wait_for
from tests.fakes.web_server import SNAPSHOT, ask, basic, filled, running
from unitcost.errors import ConfigError
from unitcost.web.lifecycle import Lifecycle, Reloaded
from unitcost.web.server import MAX_CONNECTIONS, Server
from unitcost.web.web_config import WebConfig

USERS = {"prometheus": bcrypt.hashpw(b"pw", bcrypt.gensalt(4))}
FINE = Reloaded(True, ["unitcost.yaml was read again"])
WRONG = Reloaded(False, ["unitcost.yaml was not taken over", "sharing.0.by: 'x' is no method"])


class Readings:
    """Counts what is asked for; answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Future[Reloaded]] = []

    def begin(self) -> Future[Reloaded]:
        self.asked.append(Future())
        return self.asked[-1]


def at_once(said: Reloaded) -> Callable[[], Future[Reloaded]]:
    def begin() -> Future[Reloaded]:
        done: Future[Reloaded] = Future()
        done.set_result(said)
        return done

    return begin


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("said", "status"), [(FINE, 200), (WRONG, 500)])
def test_the_answer_says_what_came_of_it_a_line_each(method: str, said: Reloaded, status: int) -> None:
    with running(filled(), lifecycle=Lifecycle(at_once(said), enabled=True)) as server:
        response, body = ask(server.port, "/-/reload", method=method)
    assert (response.status, body.decode()) == (status, "".join(f"{line}\n" for line in said.lines))
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_it_is_switched_on_by_the_configuration_and_while_it_runs() -> None:
    readings = Readings()
    lifecycle = Lifecycle(readings.begin, enabled=False)
    with running(filled(), lifecycle=lifecycle) as server:
        response, body = ask(server.port, "/-/reload", method="POST")
        assert response.status == 403
        assert b"set web.enable_lifecycle to true" in body
        assert readings.asked == []
    lifecycle = Lifecycle(at_once(FINE), enabled=False)
    with running(filled(), lifecycle=lifecycle) as server:
        lifecycle.enabled = True
        assert ask(server.port, "/-/reload", method="POST")[0].status == 200


def test_where_there_is_no_file_to_read_it_is_switched_off() -> None:
    with running(filled()) as server:
        assert ask(server.port, "/-/reload", method="POST")[0].status == 403


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_other_methods_read_nothing(method: str, *, enabled: bool) -> None:
    readings = Readings()
    with running(filled(), lifecycle=Lifecycle(readings.begin, enabled=enabled)) as server:
        response, body = ask(server.port, "/-/reload", method=method)
    assert (response.status, response.headers["Allow"]) == (405, "POST, PUT")
    assert body == (b"" if method == "HEAD" else b"Only POST and PUT.\n")
    assert readings.asked == []


def test_only_who_has_a_password_may_have_it_read() -> None:
    readings = Readings()
    with running(filled(), WebConfig(users=USERS), lifecycle=Lifecycle(readings.begin, enabled=True)) as server:
        for headers in ({}, basic("prometheus", "wrong")):
            assert ask(server.port, "/-/reload", headers, method="POST")[0].status == 401
        assert readings.asked == []
    with running(filled(), WebConfig(users=USERS), lifecycle=Lifecycle(at_once(FINE), enabled=True)) as server:
        assert ask(server.port, "/-/reload", basic("prometheus", "pw"), method="POST")[0].status == 200


def test_nobody_waits_for_a_reading_that_takes_long_and_who_goes_away_ends_it_for_nobody() -> None:
    readings = Readings()
    shared: Future[Reloaded] = Future()

    def begin() -> Future[Reloaded]:
        readings.asked.append(shared)
        return shared

    with running(filled(), lifecycle=Lifecycle(begin, enabled=True)) as server:
        clients = []
        for number in (1, 2):
            clients.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            clients[-1].sendall(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            wait_for(lambda number=number: len(readings.asked) == number, "it is asked")  # type: ignore[misc]
        begun = time.monotonic()
        for _ in range(20):
            assert ask(server.port, "/metrics")[1] == SNAPSHOT.text
        assert time.monotonic() - begun < 2
        clients[0].close()
        time.sleep(0.2)
        shared.set_result(FINE)
        assert clients[1].recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        clients[1].close()


# What of `web` may change


def yml(folder: Path, name: str, text: str) -> WebConfig:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return WebConfig.load(path)


def users(password: bytes = b"pw") -> str:
    return f"basic_auth_users: {{prometheus: {bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()}}}\n"


def status(server: Server, headers: dict[str, str] | None = None) -> int:
    return ask(server.port, "/metrics", headers)[0].status


def test_another_web_config_file_is_followed_and_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unitcost.web.reload.LOOK_SECONDS", 0.02)
    with running(filled()) as server:
        assert status(server) == 200
        server.follow(yml(tmp_path, "a.yml", users()), MAX_CONNECTIONS)
        wait_for(lambda: status(server) == 401, "a password is asked for")
        assert status(server, basic("prometheus", "pw")) == 200
        server.follow(yml(tmp_path, "b.yml", users(b"other")), MAX_CONNECTIONS)
        wait_for(lambda: status(server, basic("prometheus", "other")) == 200, "the other file counts")
        assert status(server, basic("prometheus", "pw")) == 401
        (tmp_path / "a.yml").write_text(users(b"nobody's"))
        (tmp_path / "b.yml").write_text(users(b"changed") + "\n")
        wait_for(lambda: status(server, basic("prometheus", "changed")) == 200, "it is read again")


@pytest.mark.parametrize("text", ["", "http_server_config: {headers: {X-Frame-Options: SAMEORIGIN}}"])
def test_a_file_that_would_let_everybody_in_takes_a_restart(tmp_path: Path, text: str) -> None:
    with running(filled(), yml(tmp_path, "a.yml", users())) as server:
        open_to_all = yml(tmp_path, "b.yml", text) if text else WebConfig()
        with pytest.raises(ConfigError) as caught:
            server.follow(open_to_all, 7)
        assert caught.value.mistakes == [
            "web.config_file: letting everybody in without a password takes a restart",
        ]
        assert status(server) == 401


def test_fewer_connections_are_served_from_then_on_and_who_has_proved_least_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running(filled()) as server, caplog.at_level(logging.WARNING):
        silent = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(6)]
        wait_for(lambda: status(server) == 200, "they are accepted")
        server.follow(WebConfig(), 2)
        # One of the two that stay may be the answered one, which goes by itself: more than two want a place now.
        silent += [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(3)]
        assert status(server) == 200
        gone = 0
        for client in silent:
            client.settimeout(0.5)
            try:
                gone += client.recv(1) == b""
            except ConnectionResetError:
                gone += 1
            except TimeoutError:
                pass
            client.close()
        assert gone >= 7
        assert "all 2 connections (web.max_connections) are taken" in caplog.text
