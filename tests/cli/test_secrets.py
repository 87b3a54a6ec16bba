"""No secret is shown: not in a page, a metric, a log, an error, `check`, `report` or the ledger's files.

The servers here repeat whatever they were sent, as debugging proxies do.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml

from tests.fakes.processes import exporter, wait_for
from tests.fakes.server import Reply, Request, serve
from unitcost.cli.main import main
from unitcost.config.load import load
from unitcost.errors import ConfigError, SourceError, describe
from unitcost.redaction import SECRETS, SHORTEST, LogFormatter, visible
from unitcost.sources.base import read_secret

SET = {
    "URL_PATH": "path-7f3a9c2e",
    "URL_KEY": "query/key+8b1d==",
    "URL_USER": "user-5c2e71",
    "URL_PASSWORD": "url:pass@5c2e",
    "HEADER": 'header "1a2b" <&>',
    "PROMQL": "promql-9d8e7f",
    "BEARER": "bearer.eyJ4NzE.c0ffee",
    "PASSWORD": "pässwört & <1234>",
    "FILE_NAME": "file-name-66aa",
}
QUOTED = {f"{name}_QUOTED": quote(SET[name], safe="") for name in ("URL_KEY", "URL_PASSWORD")}
IN_FILES = {"token": "token-in-a-file-77bb", "password": "password in a file: 88cc"}
IN_CLEAR = {"query": "clear-query-11dd", "token": "clear-token-22ee", "header": "clear-header-33ff"}
ALL = (*SET.values(), *IN_FILES.values(), *IN_CLEAR.values())

GOOD = {
    "status": "success",
    "data": {"resultType": "vector", "result": [{"metric": {"tenant": "acme"}, "value": [1, "5"]}]},
}


def usage(url: str, measure: str, **more: object) -> dict[str, object]:
    query = 'sum by (tenant) (x{key="${PROMQL}"}[$window])'
    return {"type": "prometheus", "url": url, "timeout": 5, "measures": {measure: query}, **more}


def company(folder: Path, url: str) -> None:
    """Write a configuration with a secret in every place that it has for one."""
    host = url.removeprefix("http://")
    config = {
        "tenants": {"directory": "${FILE_NAME}.csv"},
        "history": "2d",
        "refresh": {"every": "1s"},
        "sources": {
            "path": {"type": "opencost", "url": f"{url}/${{URL_PATH}}/x", "timeout": 5},
            "query": usage(f"{url}/?key=${{URL_KEY_QUOTED}}&other={IN_CLEAR['query']}", "a"),
            "user": usage(f"http://${{URL_USER}}:${{URL_PASSWORD_QUOTED}}@{host}", "b"),
            "header": usage(url, "c", headers={"X-Key": "${HEADER}", "X-Clear": IN_CLEAR["header"]}),
            "bearer": usage(url, "d", bearer_token="${BEARER}"),
            "basic": usage(url, "e", username="me", password="${PASSWORD}"),
            "clear": usage(url, "f", bearer_token=IN_CLEAR["token"]),
            "token_file": usage(url, "g", bearer_token_file="token"),
            "password_file": usage(url, "h", username="me", password_file="password"),
            "revenue": {"type": "csv_revenue", "path": "${FILE_NAME}-mrr.csv"},
            "broken": {"type": "csv_revenue", "path": "${FILE_NAME}-broken.csv", "required": False},
            "bill": {"type": "focus", "path": "${FILE_NAME}-bill.csv"},
        },
    }
    (folder / "unitcost.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for name, secret in IN_FILES.items():
        (folder / name).write_text(secret + "\n", encoding="utf-8")
    for name, text in {"": "id,name\nacme,Acme\n", "-mrr": "tenant,mrr\nacme,50\n", "-broken": "a\n"}.items():
        (folder / f"{SET['FILE_NAME']}{name}.csv").write_text(text, encoding="utf-8")
    (folder / f"{SET['FILE_NAME']}-bill.csv").write_text("BilledCost\nx\n", encoding="utf-8")


def spelt(secret: str) -> set[str]:
    """Return a secret as anybody may spell it."""
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return forms | {base64.b64encode(f"{user}:{secret}".encode()).decode() for user in ("me", SET["URL_USER"])}


def leaks(text: str | bytes) -> list[str]:
    """Return the secrets that a text holds in any spelling."""
    content = text.encode() if isinstance(text, str) else text
    return sorted({secret for secret in ALL for form in spelt(secret) if form.encode().lower() in content.lower()})


def sent(request: Request) -> str:
    """Return all that a server was sent, as it may repeat it."""
    return json.dumps([request.path, request.params, request.headers], ensure_ascii=False)


def works(_: Request) -> Reply:
    return Reply(json.dumps(GOOD))


ANSWERS: dict[str, Callable[[Request], Reply]] = {
    "works": works,
    "repeats it in an error of the API": lambda request: Reply(
        json.dumps({"status": "error", "errorType": "bad_data", "error": sent(request), "message": sent(request)}), 400
    ),
    "repeats it as a page": lambda request: Reply(f"<html>{html.escape(sent(request))}</html>", 500),
    "repeats it as text": lambda request: Reply(sent(request)),
    "repeats it in a warning": lambda request: Reply(json.dumps({**GOOD, "warnings": [sent(request)]})),
    "repeats it as a tenant": lambda request: Reply(json.dumps({"code": 500, "message": sent(request), "data": []})),
    "refuses": lambda _: Reply("no", 403),
    "redirects": lambda request: Reply("", 302, {"Location": f"http://127.0.0.1:9/{quote(sent(request))}"}),
    "hangs up": lambda _: Reply("x" * 100, cut=5),
}


def stored(folder: Path) -> list[bytes]:
    """Return the files that the exporter keeps."""
    return [path.read_bytes() for path in (folder / "state").rglob("*") if path.is_file()]


@pytest.mark.parametrize("what", ANSWERS)
def test_no_secret_is_shown_whatever_a_server_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    for name, value in {**SET, **QUOTED}.items():
        monkeypatch.setenv(name, value)
    shown: list[str | bytes] = []
    with serve(ANSWERS[what]) as server:
        company(tmp_path, server.url)
        for command in (["-v", "serve", "--once"], ["-v", "check"], ["report"], ["-v", "report", "--format", "html"]):
            main([*command, "--config", str(tmp_path / "unitcost.yaml")])
            shown += capfd.readouterr()
        shown += stored(tmp_path)
        requests = "".join(map(sent, server.requests))
    assert "Traceback" not in str(shown)
    assert [leaks(text) for text in shown] == [[]] * len(shown)
    assert len(leaks(requests)) == len(ALL) - 2  # all of them were sent, but the name of the file and a user's
    assert "${FILE_NAME}-broken.csv" in str(shown)  # the log, the page and `check` say which file


def test_no_secret_is_on_the_page_or_in_the_log_of_the_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SET, **QUOTED}.items():
        monkeypatch.setenv(name, value)
    with serve(ANSWERS["repeats it in an error of the API"]) as server:
        company(tmp_path, server.url)
        with exporter(tmp_path, "--config", str(tmp_path / "unitcost.yaml")) as unitcost:
            wait_for(unitcost.ready, "the first snapshot")
            shown = [unitcost.get(path).content for path in ("/", "/metrics", "/-/ready", "/nothing")]
            shown.append(unitcost.get("/metrics", Accept="application/openmetrics-text").content)
        shown.append(unitcost.log.read_bytes())
    shown += stored(tmp_path)
    assert [leaks(text) for text in shown] == [[]] * len(shown)
    assert b"${PROMQL}" in shown[0]  # where a secret stood, the page says which
    assert b"${PROMQL}" in b"".join(shown[5:])


def test_a_mistake_beside_a_secret_does_not_show_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SET, **QUOTED}.items():
        monkeypatch.setenv(name, value)
    company(tmp_path, "http://127.0.0.1:9")
    path = tmp_path / "unitcost.yaml"
    good = yaml.safe_load(path.read_text())
    wrong = []
    for name, settings in good["sources"].items():
        for key in settings:
            broken = {**settings, key: {"${BEARER}": "${BEARER}"}}
            wrong += [{**good, "sources": {name: broken}}, {**good, "sources": {name: {**settings, "colour": 1}}}]
    wrong += [{**good, "windows": ["${BEARER}"]}, {**good, "${BEARER}": 1}, {**good, "history": "${BEARER}"}]
    wrong += [{**good, "sources": {"a": {"type": "${BEARER}"}}}, {**good, "web": {"listen": "${BEARER}"}}]
    for config in wrong:
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert leaks(str(caught.value).replace("${BEARER}", "")) == []


@pytest.mark.parametrize(
    "text", ["*hunter2", "!hunter2 x", "[hunter2", "'hunter2", "&hunter2 *hunter3", '"hunter2\\q"']
)
def test_what_is_no_yaml_shows_nothing_of_the_value(tmp_path: Path, text: str) -> None:
    path = tmp_path / "unitcost.yaml"
    path.write_text(f"sources: {{a: {{type: opencost, password: {text}}}}}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "hunter" not in str(caught.value)


def test_the_name_of_a_variable_is_shown_for_its_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t/value")
    path = tmp_path / "unitcost.yaml"
    path.write_text('sources: {a: {type: opencost, url: "http://c/${TOKEN}/x"}}', encoding="utf-8")
    config, _ = load(path)
    assert "s3cr3t" not in repr(config)
    assert describe("http://c/s3cr3t/value/x", "refused s3cr3t%2Fvalue") == "http://c/${TOKEN}/x: refused ${TOKEN}"
    assert describe("", "x" * 590 + "s3cr3t/value") == "x" * 590 + "${TOKEN}"


def test_a_short_value_is_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORT", "9" * (SHORTEST - 1))
    path = tmp_path / "unitcost.yaml"
    path.write_text('sources: {a: {type: opencost, url: "http://c/${PORT}"}}', encoding="utf-8")
    load(path)
    assert visible("99999 rows") == "99999 rows"


def test_a_token_that_is_renewed_is_hidden_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "token"
    for number in range(20):
        path.write_text(f"token-number-{number:03}-of-many")
        read_secret(path)
    assert visible("token-number-019-of-many token-number-018-of-many") == "<token> <token>"
    assert visible("token-number-001-of-many") == "token-number-001-of-many"  # long gone: nothing grows for ever


def test_a_secret_file_that_cannot_be_read_is_an_error_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="is not UTF-8"):
        read_secret(path)


def test_a_traceback_holds_no_secret_and_no_control_code() -> None:
    SECRETS.add("<password>", "hunter2-in-a-traceback")
    try:
        raise ValueError("hunter2-in-a-traceback \x1b[31m\rgone")  # noqa: TRY301 - what is logged
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s\x1b[2J", ("hunter2-in-a-traceback",), sys.exc_info())
    text = LogFormatter("%(levelname)s %(message)s").format(record)
    assert text.startswith("ERROR <password>\\x1b[2J\nTraceback")
    assert text.endswith("ValueError: <password> \\x1b[31m\\rgone")
    assert len(text.splitlines()) > 3
