"""Texts of others command no terminal and turn no line around: what would do that is shown written out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.server import Reply, serve
from unitcost.cli.main import main
from unitcost.errors import ConfigError, describe
from unitcost.redaction import escaped

CODES = "\x1b[31m \x1b]0;gone\x07 \x9b2J \x7f \x08 \u202e \u2066 \u200f \u2028 \U000e0041"
"""Of terminals in 7 and 8 bits, of the direction of texts, and what hides in them."""
BREAKS = "\r \n2026-11-23 ERROR all is lost"


def raw(text: str) -> list[str]:
    """Return what would do something: codes, and a line that a foreign text began."""
    codes = [code for code in CODES + "\r" if code in text and not (code.isascii() and code.isprintable())]
    return codes + [line for line in text.splitlines() if line.startswith("2026-11-23 ERROR")]


def test_codes_are_written_out_wherever_a_foreign_text_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cell = f"ev{CODES}il"
    (tmp_path / "mrr.csv").write_text(f"tenant,mrr,plan\n{cell},50,{cell}\nE{cell[1:]},50,x\n", newline="")
    (tmp_path / "bad.csv").write_text(f"tenant,mrr\n{cell},5{CODES}0\n", newline="")
    (tmp_path / "tenants.csv").write_text(f"id,name\n{cell},{cell}\n", newline="")
    text = f"no{CODES}{BREAKS}"
    said = json.dumps({"status": "error", "errorType": text, "error": text, "message": text})
    with serve(lambda _: Reply(said, 500)) as server:
        (tmp_path / "unitcost.yaml").write_text(
            "history: 60d\ntenants: {directory: tenants.csv}\nsources:\n"
            "  revenue: {type: csv_revenue, path: mrr.csv}\n  bad: {type: csv_revenue, path: bad.csv}\n"
            f"  cluster: {{type: opencost, url: '{server.url}'}}\n"
            f"  usage: {{type: prometheus, url: '{server.url}', measures: {{requests: 'x[$window]'}}}}\n"
        )
        shown = {}
        for name in ("check", "report", "report --format html", "serve --once"):
            main([*name.split(), "--config", str(tmp_path / "unitcost.yaml")])
            shown[name], logged = capfd.readouterr()
            assert raw(logged) == []
    assert {name: raw(shown[name]) for name in ("check", "report", "report --format html")} == {
        "check": [],
        "report": [],
        "report --format html": [],
    }  # what `serve --once` prints is data
    assert r"\x1b[31m" in shown["check"]
    assert r"ev\x1b[31m" in shown["report"]
    assert "all is lost" in shown["check"]
    assert "failed" in shown["report --format html"]


def test_a_key_of_the_configuration_is_shown_in_one_line() -> None:
    [line] = ConfigError(["a\nb: \x1b[31munknown"]).mistakes
    assert line == r"a b: \x1b[31munknown"


def test_code_points_that_stand_for_nothing_are_written_out() -> None:
    assert describe("", "a\u0a00b\U000e0fffc") == r"a\u0a00b\U000e0fffc"


def test_letters_of_any_language_stay_as_they_are() -> None:
    text = "Zoë 東京 مرحبا שלום नमस्ते 👩‍💻 naïve — “quoted”"
    assert escaped(text) == text
    assert describe("", text) == text
