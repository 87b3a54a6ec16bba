"""The web server over real loopback connections: what it answers, whom it lets in, how it starts and stops."""

from __future__ import annotations

import base64
import gzip
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.fakes.web_server import COST, SNAPSHOT, ask, basic, filled, running
from unitcost.errors import ConfigError
from unitcost.metrics.exposition import Family
from unitcost.sources.base import HttpSettings
from unitcost.sources.http import Client
from unitcost.web import connections, reload
from unitcost.web import server as web
from unitcost.web.app import wants_gzip, wants_openmetrics
from unitcost.web.server import Server, bind, serve
from unitcost.web.snapshot import Current, Snapshot
from unitcost.web.web_config import WebConfig

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(filled()) as server:
        yield server.port


def test_metrics_are_the_text_format_unless_openmetrics_is_asked_for(port: int) -> None:
    response, body = ask(port, "/metrics")
    assert (response.status, body) == (200, SNAPSHOT.text)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"

    response, body = ask(port, "/metrics", {"Accept": PROMETHEUS_3})
    assert (response.status, body) == (200, SNAPSHOT.openmetrics)
    assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(("accept", "expected"), [("", SNAPSHOT.text), (PROMETHEUS_3, SNAPSHOT.openmetrics)])
def test_a_client_that_accepts_gzip_gets_the_same_compressed(port: int, accept: str, expected: bytes) -> None:
    response, body = ask(port, "/metrics", {"Accept": accept, "Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/html", False),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ('Application/OpenMetrics-Text; Version="1.0.0"', True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=1.0.0;q=0", False),
        ("application/openmetrics-text;version=1.0.0;q=0.2, text/plain;q=0.5", False),
        ("application/openmetrics-text;version=1.0.0;q=0.5, text/plain;q=0.2", True),
        ("application/openmetrics-text;version=1.0.0, */*", True),
        ("application/openmetrics-text;version=1.0.0;q=high", False),
        (",;,;;=,", False),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, expected: bool) -> None:
    assert wants_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*", True),
        ("identity", False),
        ("identity;q=0.5, gzip;q=1", True),
        ("identity, gzip;q=0.5", False),
        ("br", False),
        ("gzip;q=nan", False),
    ],
)
def test_the_encoding_follows_the_accept_encoding_header(accept: str, expected: bool) -> None:
    assert wants_gzip(accept) is expected


def test_the_page_is_html_and_may_load_and_run_nothing(port: int) -> None:
    response, body = ask(port, "/")

    assert (response.status, body) == (200, b"<p>margin</p>")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert "script-src" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Server"] is None
    response, body = ask(port, "/", {"Accept-Encoding": "gzip"})
    assert gzip.decompress(body) == b"<p>margin</p>"


def test_before_the_first_snapshot_it_is_healthy_but_not_ready_and_says_so() -> None:
    current = Current()
    with running(current) as server:
        assert ask(server.port, "/-/healthy")[0].status == 200
        for path in ("/-/ready", "/metrics"):
            response, body = ask(server.port, path)
            assert response.status == 503
            assert body == b"The first refresh is not complete yet; the metrics come with it.\n"
        response, body = ask(server.port, "/")
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert b"unitcost is starting" in body

        current.publish(SNAPSHOT)

        assert ask(server.port, "/-/ready")[0].status == 200
        assert ask(server.port, "/metrics")[1] == SNAPSHOT.text


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
def test_head_answers_as_get_does_without_the_body(port: int, path: str) -> None:
    head, nothing = ask(port, path, method="HEAD")
    get, body = ask(port, path)

    assert (head.status, nothing) == (get.status, b"")
    assert head.headers["Content-Length"] == str(len(body))
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_405_with_what_is_allowed(port: int, method: str) -> None:
    response, _ = ask(port, "/metrics", method=method)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/favicon.ico", "/metrics/", "/-/", "//metrics", "/%2e%2e/etc/passwd"])
def test_an_unknown_path_is_404_and_lists_what_there_is(port: int, path: str) -> None:
    response, body = ask(port, path)
    assert (response.status, body) == (
        404,
        b"Not found. There are: / /metrics /-/healthy /-/ready /-/reload /runbooks/\n",
    )


def test_one_connection_serves_many_scrapes_and_takes_in_new_snapshots() -> None:
    current = filled()
    with running(current) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        for value in range(5):
            snapshot = Snapshot.of([Family(COST, [("acme", value)])], "", datetime.now(UTC))
            current.publish(snapshot)
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == snapshot.text
        connection.close()


def test_a_client_that_does_not_read_holds_up_nobody_and_little_memory() -> None:
    with running(large()) as server:
        before = memory()
        lazy = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
        for client in lazy:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)

        begin = time.perf_counter()
        assert ask(server.port, "/-/ready")[0].status == 200
        assert time.perf_counter() - begin < 0.5
        assert memory() - before < 30 * LARGE / 10
        for client in lazy:
            client.close()


LARGE = 16 << 20


def large() -> Current:
    """Return a snapshot whose answer does not fit into the buffers of a connection."""
    current = Current()
    current.publish(replace(SNAPSHOT, text=b"#" * LARGE))
    return current


def memory() -> int:
    """Bytes this process has in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.3)
    with running(filled()) as server:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address, timeout=5) as slow, socket.create_connection(address, timeout=5) as mute:
            slow.sendall(b"GET /metrics HTTP/1.1\r\nX-Never: e")
            assert slow.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
            assert is_cut_off(slow)
            assert is_cut_off(mute)


def is_cut_off(client: socket.socket) -> bool:
    """Wait for the server to end the connection, orderly or with a reset."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_an_idle_connection_is_kept_between_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    with running(filled()) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.auto_open = 0
        connection.connect()
        for _ in range(2):
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == SNAPSHOT.text
            time.sleep(0.4)
        connection.close()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "0.0.0.0:0", ":0"])
def test_it_listens_where_it_is_told_and_knows_its_port(listen: str) -> None:
    with running(filled(), listen=listen) as server:
        assert server.port > 0
        assert server.url.endswith(f":{server.port}")
        assert ask(server.port, "/-/ready")[0].status == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_written_in_brackets() -> None:
    with bind("[::1]:0") as bound:
        assert bound.getsockname()[0] == "::1"


@pytest.mark.parametrize(
    "listen", ["", "9488", "localhost", "::1:9488", "0.0.0.0:http", "0.0.0.0:65536", "x:-1", "x:²"]
)
def test_what_is_no_address_is_refused_with_examples(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"is no address; write 0\.0\.0\.0:9488, :9488 or \[::1\]:9488"):
        bind(listen)


def test_an_address_in_use_says_so_and_what_to_do() -> None:
    with bind("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            Server(filled(), f"127.0.0.1:{port}")
    assert caught.value.mistakes == [
        (
            f"web.listen: cannot listen on 127.0.0.1:{port}: Address already in use."
            " Stop the program that uses the port, or choose another with --listen or web.listen"
        )
    ]


def test_an_address_of_another_machine_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"must be an address of this machine; 0\.0\.0\.0 means all"):
        bind("192.0.2.1:9488")


PROGRAM = """
import sys
from unitcost.web.snapshot import Current
from unitcost.web.server import serve
serve(Current(), "127.0.0.1:0", on_start=lambda _: print("start", flush=True), on_stop=lambda: print("stop"))
print("closed")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serving_and_lets_the_program_close_what_it_holds(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "start\n"
        time.sleep(0.3)
        begin = time.perf_counter()
        process.send_signal(number)
        rest, _ = process.communicate(timeout=10)

        assert (rest, process.returncode) == ("stop\nclosed\n", 0)
        assert time.perf_counter() - begin < 3


def test_stopping_does_not_wait_for_a_client_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "STOP_SECONDS", 1)
    with running(large()) as server:
        lazy = socket.create_connection(("127.0.0.1", server.port))
        lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        begin = time.perf_counter()
    assert time.perf_counter() - begin < 3
    lazy.close()


def test_on_stop_is_called_when_starting_fails() -> None:
    called = []

    def fail(_: Server) -> None:
        raise RuntimeError("no refresh")

    with pytest.raises(RuntimeError, match="no refresh"):
        serve(filled(), "127.0.0.1:0", on_start=fail, on_stop=lambda: called.append("stop"))
    assert called == ["stop"]


# Basic auth


@pytest.fixture(scope="module")
def secured() -> Iterator[Server]:
    users = {
        "prometheus": bcrypt.hashpw(b"s3cret:\xc3\xa9", bcrypt.gensalt(4)),
        "long": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).replace(b"$2b$", b"$2y$"),
    }
    with running(filled(), WebConfig(users=users, headers={"X-Frame-Options": "SAMEORIGIN"})) as server:
        yield server


def test_the_right_password_gets_in_again_and_again(secured: Server) -> None:
    for _ in range(3):
        response, body = ask(secured.port, "/metrics", basic("prometheus", "s3cret:é"))
        assert (response.status, body) == (200, SNAPSHOT.text)


@pytest.mark.parametrize("path", ["/", "/metrics", "/nothing", "/-/", "/-/healthy/", "/-/%72eady/metrics"])
def test_no_path_is_open_without_a_password(secured: Server, path: str) -> None:
    response, body = ask(secured.port, path)

    assert (response.status, body) == (401, b"Unauthorized.\n")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="unitcost", charset="UTF-8"'


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
@pytest.mark.parametrize("headers", [{}, basic("prometheus", "an old password")])
def test_a_probe_needs_no_password(secured: Server, path: str, headers: dict[str, str]) -> None:
    assert ask(secured.port, path, headers)[0].status == 200


@pytest.mark.parametrize(
    "headers",
    [
        basic("prometheus", "wrong"),
        basic("prometheus", ""),
        basic("prometheus", "s3cret:é\0"),
        basic("nobody", "s3cret:é"),
        basic("", ""),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"prometheus").decode()},
        {"Authorization": "Bearer s3cret:é".encode().decode("latin-1")},
    ],
)
def test_wrong_credentials_of_any_kind_are_refused(secured: Server, headers: dict[str, str]) -> None:
    assert ask(secured.port, "/metrics", basic("prometheus", "s3cret:é"))[0].status == 200
    assert ask(secured.port, "/metrics", headers)[0].status == 401


def test_a_long_password_counts_as_far_as_bcrypt_looks(secured: Server) -> None:
    assert ask(secured.port, "/metrics", basic("long", "x" * 80))[0].status == 200
    assert ask(secured.port, "/metrics", basic("long", "x" * 71))[0].status == 401


def test_a_scrape_does_not_wait_for_someone_who_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    guess, checking = threading.Event(), threading.Event()
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4))
    real = bcrypt.checkpw

    def slow(password: bytes, known: bytes) -> bool:
        if password == b"guess":
            checking.set()
            guess.wait(5)
        return real(password, known)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    with running(filled(), WebConfig(users={"prometheus": hashed})) as server:
        assert ask(server.port, "/metrics", basic("prometheus", "right"))[0].status == 200
        guesser = threading.Thread(target=ask, args=(server.port, "/metrics", basic("prometheus", "guess")))
        guesser.start()
        assert checking.wait(5)

        assert ask(server.port, "/metrics", basic("prometheus", "right"))[0].status == 200

        guess.set()
        guesser.join()


def test_an_unknown_user_costs_as_much_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    hashes = {"cheap": bcrypt.hashpw(b"a", bcrypt.gensalt(4)), "dear": bcrypt.hashpw(b"b", bcrypt.gensalt(5))}

    def yes(_: bytes, hashed: bytes) -> bool:
        checked.append(hashed)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", yes)
    with running(filled(), WebConfig(users=hashes)) as server:
        assert ask(server.port, "/metrics", basic("nobody", "b"))[0].status == 401
    assert checked == [hashes["dear"]]


# TLS and the web config file


def openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


USAGE = "digitalSignature,keyCertSign"


def make_certificate(folder: Path, name: str, issuer: str | None = None) -> None:
    """Write name.crt and name.key; self-signed, or signed by issuer.key."""
    key, certificate = str(folder / f"{name}.key"), str(folder / f"{name}.crt")
    signed = ["-CA", str(folder / f"{issuer}.crt"), "-CAkey", str(folder / f"{issuer}.key")] if issuer else []
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]
    # Python 3.13 refuses a CA without key usage.
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-addext", f"keyUsage=critical,{USAGE}"]
    openssl("req", "-x509", *new, "-out", certificate, "-days", "2", *names, *signed)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder, "ca")
    for name in ("server", "client", "renewed"):
        make_certificate(folder, name, "ca")
    return folder


def web_file(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text, encoding="utf-8")
    return path


def trusting(folder: Path, client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
    if client is not None:
        context.load_cert_chain(folder / f"{client}.crt", folder / f"{client}.key")
    return context


TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key"
needs_openssl = pytest.mark.needs("openssl")


@needs_openssl
def test_tls_is_served_from_paths_relative_to_the_file(certificates: Path) -> None:
    config = WebConfig.load(web_file(certificates, f"{TLS}, min_version: TLS13}}"))
    with running(filled(), config) as server:
        assert server.url.startswith("https://")
        _, body = ask(server.port, "/metrics", tls=trusting(certificates))
        assert body == SNAPSHOT.text
        old = trusting(certificates)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            ask(server.port, "/metrics", tls=old)


@needs_openssl
def test_the_certificates_of_the_docs_are_served_and_trusted(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    [commands] = re.findall(r"```sh\n(openssl req -x509.*?)```", page, re.DOTALL)
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)
    with running(filled(), WebConfig.load(web_file(tmp_path, f"{TLS}}}"))) as server:
        assert ask(server.port, "/metrics", tls=trusting(tmp_path))[1] == SNAPSHOT.text
        source = HttpSettings(type="any", url=f"https://localhost:{server.port}", ca_file=tmp_path / "ca.crt")
        assert Client(source).get("/metrics", {}).status == 200


@needs_openssl
@pytest.mark.parametrize(
    ("kind", "without", "other"),
    [("RequireAndVerifyClientCert", False, False), ("VerifyClientCertIfGiven", True, False)],
)
def test_a_client_certificate_is_verified_as_configured(
    certificates: Path, tmp_path: Path, kind: str, *, without: bool, other: bool
) -> None:
    make_certificate(tmp_path, "stranger")
    text = f"{TLS}, client_auth_type: {kind}, client_ca_file: ca.crt}}"
    stranger = trusting(certificates)
    stranger.load_cert_chain(tmp_path / "stranger.crt", tmp_path / "stranger.key")
    with running(filled(), WebConfig.load(web_file(certificates, text))) as server:
        assert lets_in(server, trusting(certificates, "client"))
        assert lets_in(server, trusting(certificates)) is without
        assert lets_in(server, stranger) is other


def lets_in(server: Server, tls: ssl.SSLContext) -> bool:
    try:
        return ask(server.port, "/metrics", tls=tls)[0].status == 200
    except (ssl.SSLError, ConnectionError):
        return False


@needs_openssl
def test_a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 0.02)
    for kind in ("crt", "key"):
        (tmp_path / f"server.{kind}").write_bytes((certificates / f"server.{kind}").read_bytes())
    config = WebConfig.load(web_file(tmp_path, TLS + "}"))
    with running(filled(), config) as server:
        assert served_name(server, certificates) == "server"
        (tmp_path / "server.crt").write_text("no certificate", encoding="utf-8")
        wait_until(lambda: "changed and is wrong" in caplog.text)
        assert served_name(server, certificates) == "server"
        for kind in ("key", "crt"):
            (tmp_path / f"server.{kind}").write_bytes((certificates / f"renewed.{kind}").read_bytes())
        wait_until(lambda: served_name(server, certificates) == "renewed")


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def served_name(server: Server, folder: Path) -> str:
    """The common name of the certificate that the server shows."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
        trusting(folder).wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        found: Any = wrapped.getpeercert()
        [((_, name),)] = found["subject"]
        return str(name)


@needs_openssl
def test_users_and_headers_come_from_the_file(certificates: Path) -> None:
    hashed = bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()
    text = f"""
{TLS}}}
basic_auth_users: {{prometheus: {hashed}}}
http_server_config:
  http2: false
  headers: {{Strict-Transport-Security: max-age=600, X-Frame-Options: SAMEORIGIN}}
"""
    config = WebConfig.load(web_file(certificates, text))
    assert hashed not in repr(config)
    with running(filled(), config) as server:
        assert ask(server.port, "/", tls=trusting(certificates))[0].status == 401
        response, _ = ask(server.port, "/", basic("prometheus", "pw"), tls=trusting(certificates))
    assert response.status == 200
    assert response.headers["Strict-Transport-Security"] == "max-age=600"
    assert response.headers.get_all("X-Frame-Options") == ["SAMEORIGIN"]


@pytest.mark.parametrize("text", ["", "{}", "tls_server_config:\n", "basic_auth_users: {}"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    assert WebConfig.load(web_file(tmp_path, text)) == WebConfig()


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        WebConfig.load(path)
    prefix = f"{path}: "
    assert all(mistake.startswith(prefix) for mistake in caught.value.mistakes)
    return [mistake.removeprefix(prefix) for mistake in caught.value.mistakes]


def test_every_mistake_of_the_file_is_reported_at_once_with_its_path(tmp_path: Path) -> None:
    text = """
tls_server_config:
  cert_file: missing.crt
  cipher_suites: [TLS_AES_128_GCM_SHA256]
  client_auth_type: RequireAnyClientCert
  min_version: TLS10
  max_version: 3
  surprise: 1
basic_auth_users: {prometheus: plain-text-password, "a:b": 5}
http_server_config: {http2: maybe, headers: {X-Own: a, X-Frame-Options: "a\\nb"}}
rate_limit: {}
"""
    assert mistakes(web_file(tmp_path, text)) == [
        "rate_limit: unknown key; known are tls_server_config, basic_auth_users, http_server_config",
        "tls_server_config.cipher_suites: is not supported by unitcost; remove it",
        (
            "tls_server_config.surprise: unknown key; known are cert_file, key_file, client_auth_type, client_ca_file,"
            " min_version, max_version"
        ),
        f"tls_server_config.cert_file: {tmp_path / 'missing.crt'} cannot be read: No such file or directory",
        "tls_server_config.key_file: is missing; TLS needs cert_file and key_file",
        (
            "tls_server_config.client_auth_type: RequireAnyClientCert takes certificates without checking them, which"
            " Python cannot; use RequireAndVerifyClientCert or VerifyClientCertIfGiven with client_ca_file"
        ),
        "tls_server_config.min_version: TLS10 is no longer safe; use TLS12 or TLS13",
        "tls_server_config.max_version: must be TLS12 or TLS13",
        "basic_auth_users.prometheus: must be a bcrypt hash; make one with `htpasswd -nBC 10 prometheus`",
        "basic_auth_users.a:b: a user's name is not empty and has no colon",
        "basic_auth_users.a:b: must be a bcrypt hash; make one with `htpasswd -nBC 10 a:b`",
        "http_server_config.http2: must be true or false",
        (
            "http_server_config.headers.X-Own: unknown key; known are Content-Security-Policy,"
            " Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection"
        ),
        "http_server_config.headers.X-Frame-Options: must be one line of plain ASCII text",
    ]


HASH = "$2y$10$" + "." * 53


@pytest.mark.parametrize("cost", [17, 20, 31])
def test_a_bcrypt_cost_that_takes_minutes_is_refused_with_the_reason(tmp_path: Path, cost: int) -> None:
    [mistake] = mistakes(web_file(tmp_path, f"basic_auth_users: {{a: {HASH.replace('10', str(cost))}}}"))
    assert mistake == (
        f"basic_auth_users.a: a bcrypt cost of {cost} is too slow to check, 16 is the most;"
        " make one with `htpasswd -nBC 10 a`"
    )


@pytest.mark.parametrize(
    "hashed",
    [
        "$2y$10$",
        5,
        HASH[:-1],
        HASH + ".",
        HASH.replace("10", "03"),
        HASH.replace("10", "32"),
        HASH.replace("$2y", "$2x"),
        HASH[:28] + "z" + HASH[29:],  # a salt of 129 bits and not 128: bcrypt takes no password for it
    ],
)
def test_a_hash_that_no_password_can_match_is_refused(tmp_path: Path, hashed: object) -> None:
    [mistake] = mistakes(web_file(tmp_path, f"basic_auth_users: {{a: {hashed}}}"))
    assert mistake == "basic_auth_users.a: must be a bcrypt hash; make one with `htpasswd -nBC 10 a`"


def test_the_dearest_hash_that_is_taken_is_read_without_checking_a_password_at_its_cost(tmp_path: Path) -> None:
    begin = time.perf_counter()
    config = WebConfig.load(web_file(tmp_path, f"basic_auth_users: {{a: {HASH.replace('10', '16')}}}"))
    assert config.users == {"a": HASH.replace("10", "16").encode()}
    assert time.perf_counter() - begin < 1


@needs_openssl
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "client_auth_type: RequireAndVerifyClientCert",
            "client_ca_file: is missing; RequireAndVerifyClientCert checks",
        ),
        ("client_ca_file: ca.crt", "client_auth_type: client_ca_file checks nobody without it; set it to"),
        ("client_auth_type: Maybe", "client_auth_type: must be one of NoClientCert, VerifyClientCertIfGiven"),
        ("min_version: TLS13, max_version: TLS12", "max_version: is below min_version"),
        ("client_ca_file: 5", "client_ca_file: must be the path of a file"),
    ],
)
def test_tls_settings_that_contradict_each_other_are_mistakes(certificates: Path, settings: str, said: str) -> None:
    found = mistakes(web_file(certificates, f"{TLS}, {settings}}}"))
    assert any(mistake.startswith(f"tls_server_config.{said}") for mistake in found), found


@needs_openssl
@pytest.mark.parametrize("key", ["ca.key", "encrypted.key", "server.crt"])
def test_files_that_make_no_server_are_found_when_the_file_is_read(certificates: Path, key: str) -> None:
    encrypted = certificates / "encrypted.key"
    openssl("pkey", "-in", str(certificates / "server.key"), "-aes256", "-passout", "pass:x", "-out", str(encrypted))
    text = f"tls_server_config: {{cert_file: server.crt, key_file: {key}}}"

    [mistake] = mistakes(web_file(certificates, text))

    assert mistake.startswith("tls_server_config: these files do not make a TLS server: ")
    assert mistake.endswith("the key is the certificate's and has no passphrase")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "is not YAML (line 1)"),
        (b"\xff\xfe\xff", "is not UTF-8"),
        (b"- a", "must be a mapping"),
        (b"basic_auth_users: [a]", "basic_auth_users: must be a mapping"),
        (b"tls_server_config: yes", "tls_server_config: must be a mapping"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "web.yml"
    path.write_bytes(content)
    assert mistakes(path)[0].startswith(said)


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "web.yml") == ["cannot be read: No such file or directory"]
