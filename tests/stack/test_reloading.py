"""SIGHUP and POST /-/reload as a running exporter meets them: its file is read again, whatever stands there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import bcrypt
import pytest
import requests

from tests.fakes.processes import Exporter, exporter, wait_for
from tests.stack.test_ending import ENDED, command, handles
from unitcost.metrics import catalogue, catalogue_exporter

COMPANY = """
history: 5d
windows: [{windows}]
web: {{{web}}}
sources:
  revenue: {{type: csv_revenue, path: mrr.csv}}
  {more}
"""
PASSWORD = "pw-of-prometheus"
TOKEN = "t0ken-of-the-environment"


def write(folder: Path, windows: str = "1d", web: str = "", more: str = "") -> None:
    (folder / "mrr.csv").write_text("tenant,mrr\nacme,30\n")
    (folder / "unitcost.yaml").write_text(COMPANY.format(windows=windows, web=web, more=more))


def good(unitcost: Exporter) -> float:
    return unitcost.value(catalogue_exporter.CONFIG_RELOAD_SUCCESSFUL)


def windows(unitcost: Exporter) -> set[str]:
    return {dict(labels)["window"] for labels in unitcost.values(catalogue.WINDOW_COMPLETE.name)}


def test_sighup_has_the_file_read_again_and_a_wrong_one_is_told_and_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    with exporter(tmp_path) as unitcost:
        wait_for(unitcost.ready, "the first snapshot")
        assert (good(unitcost), windows(unitcost)) == (1, {"1d", "prev_1d"})
        began = unitcost.value(catalogue_exporter.CONFIG_RELOAD_SUCCESS)
        assert abs(began - time.time()) < 60

        write(tmp_path, windows="1d, 2d")
        unitcost.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "2d" in windows(unitcost), "the new window")
        since = unitcost.value(catalogue_exporter.CONFIG_RELOAD_SUCCESS)
        assert since > began

        write(tmp_path, windows="3d", more="bill: {type: focus, path: nowhere, colour: red}")
        unitcost.process.send_signal(signal.SIGHUP)
        wait_for(lambda: good(unitcost) == 0, "it is told")
        assert windows(unitcost) == {"1d", "prev_1d", "2d", "prev_2d"}
        assert unitcost.value(catalogue_exporter.CONFIG_RELOAD_SUCCESS) == since
        log = unitcost.log.read_text()
        assert " ERROR unitcost.yaml was not taken over, what it said before stays in use:" in log
        assert " ERROR unitcost.yaml: sources.bill.colour: unknown key" in log
        assert f" ERROR unitcost.yaml: sources.bill.path: {tmp_path / 'nowhere'} does not exist" in log

        (tmp_path / "unitcost.yaml").unlink()
        unitcost.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "unitcost.yaml: cannot be read: No such file" in unitcost.log.read_text(), "it is told")
        assert unitcost.get("/-/healthy").status_code == 200

        write(tmp_path, windows="4d")
        for _ in range(50):
            unitcost.process.send_signal(signal.SIGHUP)
        wait_for(lambda: good(unitcost) == 1, "it is mended")
        wait_for(lambda: windows(unitcost) == {"4d", "prev_4d"}, "the newest windows")
        unitcost.process.send_signal(signal.SIGTERM)
        assert unitcost.process.wait(ENDED) == 0
        assert "Traceback" not in unitcost.log.read_text()


def test_reload_over_http_asks_for_the_password_and_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{prometheus: {hashed}}}\n")
    who = ("prometheus", PASSWORD)
    web = "config_file: web.yml"
    write(tmp_path, web=web)
    with exporter(tmp_path) as unitcost:
        url = f"{unitcost.url}/-/reload"
        refused = requests.post(url, auth=who, timeout=10)
        assert refused.status_code == 403
        assert "web.enable_lifecycle" in refused.text

        write(tmp_path, web=f"{web}, enable_lifecycle: true")
        unitcost.process.send_signal(signal.SIGHUP)
        wait_for(lambda: requests.post(url, auth=who, timeout=10).status_code == 200, "it is switched on")
        assert requests.post(url, timeout=10).status_code == 401
        assert requests.post(url, auth=("prometheus", "wrong"), timeout=10).status_code == 401
        got = requests.get(url, auth=who, timeout=10)
        assert (got.status_code, got.headers["Allow"]) == (405, "POST, PUT")

        more = 'usage: {type: prometheus, url: "http://x/${TOKEN}", password: clear-pw, colour: red}'
        write(tmp_path, web=f"{web}, enable_lifecycle: true, listen: '${{TOKEN}}'", more=more)
        wrong = requests.put(url, auth=who, timeout=10)
        assert wrong.status_code == 500
        mistakes = wrong.text.splitlines()
        assert mistakes[0] == "unitcost.yaml was not taken over, what it said before stays in use:"
        assert any("sources.usage.colour: unknown key" in line for line in mistakes)
        assert any("sources.usage.measures: " in line for line in mistakes)
        assert any("web.listen: " in line for line in mistakes)
        shown = wrong.text + unitcost.log.read_text()
        assert [secret for secret in (TOKEN, "clear-pw", PASSWORD, hashed) if secret in shown] == []

        write(tmp_path, windows="2d", web=f"{web}, enable_lifecycle: true")
        done = requests.post(url, auth=who, timeout=10)
        assert (done.status_code, done.text) == (200, "unitcost.yaml was read again: changed: windows\n")


def test_sighup_before_it_listens_ends_nothing_and_is_not_forgotten(tmp_path: Path) -> None:
    write(tmp_path)
    with command(tmp_path, "serve", "--listen", "127.0.0.1:0") as process:
        wait_for(lambda: handles(process.pid), "signals are handled")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        lines: list[str] = []
        while not lines or "was read again" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDED) == 0


@pytest.mark.parametrize("args", [("serve", "--sample", "--listen", "127.0.0.1:0"), ("serve", "--once"), ("check",)])
def test_what_has_no_file_to_read_again_ends_with_its_terminal(tmp_path: Path, args: tuple[str, ...]) -> None:
    write(tmp_path)
    run = [sys.executable, "-m", "unitcost", *args]
    process = subprocess.Popen(
        run,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_with_a_terminal,  # noqa: PLW1509 - one thread
    )
    with process:
        try:
            wait_for(lambda: handles(process.pid), "signals are handled")
            process.send_signal(signal.SIGHUP)
            assert process.wait(ENDED) == -signal.SIGHUP
        finally:
            process.kill()


def _with_a_terminal() -> None:
    """Let SIGHUP do what it does where nothing (nohup) ignores it for all that is started."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
