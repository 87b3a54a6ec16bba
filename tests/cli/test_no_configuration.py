"""A command without a configuration says where one belongs, how to get one, and that the sample needs none."""

from __future__ import annotations

from pathlib import Path

import pytest

from unitcost.cli.main import main

COMMANDS = ["serve", "check", "report", "limits", "ledger check", "audit ai", "backfill --output past.om"]


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_wrong_usage_and_says_what_to_do(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "--config", "missing/unitcost.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith(
        "missing/unitcost.yaml: there is no such file; put a configuration there (in a container: mount"
    )
    assert "`unitcost config example`" in line
    assert "`unitcost serve --sample`" in line
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_and_cannot_be_read_is_told_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "file" / "unitcost.yaml", "Not a directory")):
        assert main(["check", "--config", str(path)]) == 2
        assert capsys.readouterr().err == f"{path}: cannot be read: {reason}\n"
