"""tools/setup finds out what really runs: a program that only lies there is told, and what was unpacked goes first."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNPACKED = ROOT / ".make" / "tools" / "usr"
SERVER = "prometheus-alertmanager"
TEMPLATE = Path("share", "prometheus", "alertmanager", "default.tmpl")

unpacked = pytest.mark.needs(str(UNPACKED / "bin" / SERVER))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a checkout with the unpacked Alertmanager, on a machine where nothing can be fetched and nothing is."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup", tmp_path / "tools")
    usr = tmp_path / ".make" / "tools" / "usr"
    for folder in ("bin", "lib"):
        (usr / folder).mkdir(parents=True)
    for name in (f"bin/{SERVER}", "bin/amtool", f"lib/{SERVER}"):
        shutil.copy(UNPACKED / name, usr / name)
    shutil.copytree(UNPACKED / "share" / "prometheus" / "alertmanager", usr / "share" / "prometheus" / "alertmanager")
    (tmp_path / "path").mkdir()
    for name in ("apt-get", SERVER):
        program(tmp_path / "path" / name, "exit 1")
    return tmp_path


def program(path: Path, does: str) -> None:
    path.write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
    path.chmod(0o755)


def setup(place: Path, tool: str = "alertmanager") -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PATH": f"{place / 'path'}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    command = [str(place / "tools" / "setup"), tool]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@unpacked
def test_an_unpacked_alertmanager_that_runs_is_kept(place: Path) -> None:
    done = setup(place)
    assert (done.returncode, done.stderr) == (0, "")


@unpacked
def test_an_alertmanager_without_its_template_is_told_wherever_the_machine_has_that_template(place: Path) -> None:
    (place / ".make" / "tools" / "usr" / TEMPLATE).unlink()
    done = setup(place)
    assert done.returncode == 1
    assert f"no {SERVER} that runs here" in done.stderr
    assert f"apt-get install {SERVER}" in done.stderr


@unpacked
def test_one_that_does_not_run_makes_room_for_the_one_on_path(place: Path) -> None:
    (place / ".make" / "tools" / "usr" / TEMPLATE).unlink()
    program(place / "path" / SERVER, "echo address nowhere")
    assert setup(place).returncode == 0
    assert not (place / ".make" / "tools" / "usr" / "bin" / SERVER).exists()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a checkout on a machine where no package can be had."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup", tmp_path / "tools")
    (tmp_path / "path").mkdir()
    return tmp_path


def test_a_node_that_runs_typescript_is_taken_where_none_can_be_had(bare: Path) -> None:
    program(bare / "path" / "node", "exit 0")
    assert setup(bare, "node").returncode == 0
    assert (bare / ".make" / "tools" / "usr" / "bin" / "node").resolve() == bare / "path" / "node"


def test_one_that_is_too_old_for_typescript_is_told(bare: Path) -> None:
    program(bare / "path" / "node", 'test "$1" = --version')
    done = setup(bare, "node")
    assert done.returncode == 1
    assert "no Node.js 22.18 or newer that runs here" in done.stderr


def test_an_azurite_that_cannot_be_had_is_told(bare: Path) -> None:
    program(bare / "path" / "node", "exit 0")
    program(bare / "path" / "npm", "exit 1")
    done = setup(bare, "azurite")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "no Azurite that runs here, so the tests of Azure's bills cannot: npm install azurite\n"
    )
