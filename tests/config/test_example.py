"""`unitcost config example` is a unitcost.yaml that is right, whatever sources it is asked for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest

from tests.config.test_schema import places
from tests.fakes.shown import put
from unitcost.cli.main import main
from unitcost.config.example import DEFAULT, example, whole
from unitcost.config.load import load
from unitcost.config.model import Config
from unitcost.errors import ConfigError
from unitcost.sources.registry import TYPES
from unitcost.yaml_file import read_yaml

SAME_TOKENS = {"ai_tokens", "csv_tokens"}
"""Two that may count the same: of them the example has the first only."""


def begin(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an example and do what its head says, nothing else."""
    for command in re.findall(r"^#   (.*)", text, re.MULTILINE):
        if exported := re.fullmatch(r"export (\w+)=(\S+)", command):
            monkeypatch.setenv(exported[1], exported[2])
        else:
            subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    path = folder / "unitcost.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def optional_too(text: str) -> str:
    """Return an example with all that is optional."""
    return re.sub(r"^( *)#(?=[a-z-])", r"\1", text, flags=re.MULTILINE)


def types(path: Path) -> set[str]:
    config, _ = load(path)
    return {config.settings(name).type for name in config.sources}


CHOICES = [
    *[(kind,) for kind in TYPES],
    *[pair for pair in combinations(TYPES, 2) if set(pair) != SAME_TOKENS],
    tuple(kind for kind in TYPES if kind != "csv_tokens"),
    tuple(kind for kind in TYPES if kind != "ai_tokens"),
]


@pytest.mark.parametrize("chosen", CHOICES, ids="+".join)
def test_every_choice_of_sources_is_loaded_once_its_head_is_followed(
    chosen: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begin(example(chosen), tmp_path, monkeypatch)
    assert types(path) == set(chosen)
    assert places(read_yaml(path)) == set()


@pytest.mark.parametrize("chosen", [(kind,) for kind in TYPES], ids="+".join)
def test_the_head_names_all_that_is_missing_and_nothing_else(
    chosen: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = example(chosen)
    path = tmp_path / "unitcost.yaml"
    path.write_text(text, encoding="utf-8")
    files = set(re.findall(r"^#   printf .* > (\S+)$", text, re.MULTILINE))
    variables = set(re.findall(r"^#   export (\w+)=", text, re.MULTILINE))
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    missing = set()
    try:
        load(path)
    except ConfigError as error:
        said = "\n".join(error.mistakes)
        missing = set(re.findall(r"(\S+) (?:is not set$|does not exist;)", said, re.MULTILINE))
    assert missing == {*variables, *(str(tmp_path / name) for name in files)}
    assert ("What this file needs" in text) == bool(missing)


def test_two_sources_that_count_the_same_tokens_are_not_both_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = example(["csv_tokens", "ai_tokens"])
    assert types(begin(text, tmp_path, monkeypatch)) == {"ai_tokens"}
    assert "# csv_tokens (tokens from a file) is left out" in text
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("chosen", CHOICES, ids="+".join)
def test_what_is_optional_is_right_as_well(
    chosen: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = example(chosen)
    begin(text, tmp_path, monkeypatch)
    path = put(optional_too(text), tmp_path, monkeypatch)
    config, _ = load(path)
    assert places(read_yaml(path)) == set()
    sections = set(Config.model_fields) - (
        set() if config.kinds().keys() & {"tokens", "openai", "anthropic"} else {"ai"}
    )
    assert config.model_fields_set == sections


def test_what_is_optional_is_told_from_what_is_said() -> None:
    text = example(list(TYPES))
    optional = re.findall(r"^ *#(\S.*)", text, re.MULTILINE)
    assert len(optional) > 40
    assert all(re.match(r"[a-z_-]+:|- \{", line) for line in optional)
    assert max(map(len, text.splitlines())) <= 120


def test_the_first_line_names_the_schema_for_an_editor() -> None:
    assert example(["focus"]).splitlines()[0] == "# yaml-language-server: $schema=unitcost.schema.json"


def test_conditions_name_types_and_are_not_printed() -> None:
    named = re.findall(r"^ *# \[(.*)\]$", whole(), re.MULTILINE)
    words = {word for condition in named for word in condition.split()} - {"and", "or", "not", "any"}
    assert words == set(TYPES)
    for chosen in CHOICES:
        assert "# [" not in example(chosen)
        assert "\n\n\n" not in example(chosen)


def test_the_command_prints_what_check_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "example"]) == 0
    text = capsys.readouterr().out
    assert text == example(DEFAULT)
    path = begin(text, tmp_path, monkeypatch)
    assert main(["check", "--dry-run", "--config", str(path)]) == 0
    assert main(["config", "example", "--sources", "prometheus, focus"]) == 0
    assert types(begin(capsys.readouterr().out.partition("\n\n")[2], tmp_path, monkeypatch)) == {"focus", "prometheus"}


@pytest.mark.parametrize("wrong", ["stripe", "focus,stripe", "", "focus,"])
def test_a_type_that_is_none_ends_with_exit_2_and_all_that_are(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example", "--sources", wrong]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert f"{wrong.rpartition(',')[2]!r} is none of {', '.join(sorted(TYPES))}" in err
