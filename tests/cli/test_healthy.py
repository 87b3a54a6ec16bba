"""`unitcost healthy` against a server on this machine: another port, TLS, passwords, client certificates, no server."""

from __future__ import annotations

import time
from pathlib import Path

import bcrypt
import pytest

from tests.fakes.certificates import self_signed
from tests.fakes.server import Reply, serve
from tests.fakes.web_server import filled, running
from unitcost.cli.healthy import healthy
from unitcost.cli.main import main
from unitcost.web.web_config import WebConfig

needs_openssl = pytest.mark.needs("openssl")


def company(folder: Path, listen: str, web: str | None = None) -> Path:
    """Write what `healthy` reads of a configuration."""
    path = folder / "unitcost.yaml"
    file = "" if web is None else ", config_file: web.yml"
    path.write_text(f'web: {{listen: "{listen}"{file}}}\n', encoding="utf-8")
    if web is not None:
        (folder / "web.yml").write_text(web, encoding="utf-8")
    return path


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0", "", "localhost"])
def test_it_asks_where_the_configuration_says_that_the_server_listens(
    tmp_path: Path, listen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(filled()) as server:
        path = company(tmp_path, f"{listen}:{server.port}")
        assert main(["healthy", "--config", str(path)]) == 0
    host = "localhost" if listen == "localhost" else "127.0.0.1"
    assert capsys.readouterr().out == f"http://{host}:{server.port}/-/healthy: 200 healthy\n"


def test_the_address_may_come_from_the_environment_or_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(filled()) as server:
        monkeypatch.setenv("PORT", str(server.port))
        assert healthy(company(tmp_path, "0.0.0.0:${PORT}"), None)[0]
        assert healthy(company(tmp_path, "0.0.0.0:1"), f"127.0.0.1:{server.port}")[0]


def test_without_a_name_the_configuration_is_the_one_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with running(filled()) as server:
        company(tmp_path, f":{server.port}")
        assert healthy(None, None)[0]


def test_passwords_are_not_needed(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"a", bcrypt.gensalt(4)).decode()
    text = f"basic_auth_users: {{a: {hashed}}}"
    with running(filled(), WebConfig(users={"a": hashed.encode()})) as server:
        assert healthy(company(tmp_path, f":{server.port}", text), None) == (
            True,
            f"http://127.0.0.1:{server.port}/-/healthy: 200 healthy",
        )


TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key"
MUTUAL = f"{TLS}, client_ca_file: server.crt, client_auth_type: RequireAndVerifyClientCert}}"


@needs_openssl
@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (TLS + "}", (), "200 healthy"),
        (MUTUAL, (), "200 healthy"),
        (MUTUAL, ("-addext", "extendedKeyUsage=serverAuth"), "answers, but tells only who has a client certificate"),
    ],
    ids=["TLS", "client certificate", "a certificate that is for servers only"],
)
def test_tls_is_spoken_where_web_yml_says_so(tmp_path: Path, text: str, more: tuple[str, ...], said: str) -> None:
    self_signed(tmp_path, *more)
    (tmp_path / "web.yml").write_text(text, encoding="utf-8")
    with running(filled(), WebConfig.load(tmp_path / "web.yml")) as server:
        path = company(tmp_path, f":{server.port}", text)
        assert healthy(path, None) == (True, f"https://127.0.0.1:{server.port}/-/healthy: {said}")


@pytest.mark.parametrize("text", ["sources: [", "- a", "web: 5", "web: {config_file: gone.yml}", ""])
def test_a_file_that_was_broken_later_does_not_make_a_server_unhealthy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "unitcost.yaml"
    path.write_text(text, encoding="utf-8")
    with running(filled()) as server:
        assert healthy(path, f":{server.port}")[0]


@needs_openssl
def test_a_web_yml_that_was_broken_later_does_not_make_a_server_with_tls_unhealthy(tmp_path: Path) -> None:
    self_signed(tmp_path)
    (tmp_path / "web.yml").write_text(TLS + "}", encoding="utf-8")
    with running(filled(), WebConfig.load(tmp_path / "web.yml")) as server:
        path = company(tmp_path, f":{server.port}", "tls_server_config: [")
        assert healthy(path, None) == (True, f"https://127.0.0.1:{server.port}/-/healthy: 200 healthy")


def test_no_server_is_not_healthy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["healthy", "--config", str(company(tmp_path, ":1"))]) == 1
    assert capsys.readouterr().out == "http://127.0.0.1:1/-/healthy: [Errno 111] Connection refused\n"


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_any_other_answer_is_not_healthy_and_is_shown(tmp_path: Path, status: int) -> None:
    with serve(lambda _: Reply(status=status, body=b"the refresh\nis dead\n")) as server:
        port = server.url.rpartition(":")[2]
        assert healthy(company(tmp_path, f":{port}"), None) == (
            False,
            f"http://127.0.0.1:{port}/-/healthy: {status} the refresh is dead",
        )


def test_a_server_that_does_not_answer_is_not_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unitcost.cli.healthy.TIMEOUT_SECONDS", 0.2)

    def slow(_: object) -> Reply:
        time.sleep(1)
        return Reply(body=b"")

    with serve(slow) as server:
        good, line = healthy(company(tmp_path, f":{server.url.rpartition(':')[2]}"), None)
    assert not good
    assert line.endswith("/-/healthy: timed out")
