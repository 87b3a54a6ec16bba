"""The rooms of the house: who may import whom, as CONTRIBUTING.md draws it, and what a light command must not load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "exporter" / "unitcost"
GROUND = "unitcost"
"""The modules beside the rooms, which every room may use and which use none."""


def modules() -> dict[str, Path]:
    """Return the name of every module of the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else node.module for name in names)


IMPORTS = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def room(module: str) -> str:
    """Return the room that a module stands in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else GROUND


def drawn() -> dict[str, set[str]]:
    """Return the drawing of CONTRIBUTING.md: each room → the rooms that it uses."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^ {4}([a-z]+) +→ *([a-z ]*)$", text, re.MULTILINE)
    return {name: set(uses.split()) for name, uses in lines}


def test_the_arrows_between_rooms_are_those_that_are_drawn() -> None:
    found: dict[str, set[str]] = {room(module): set() for module in MODULES if room(module) != GROUND}
    for module, uses in IMPORTS.items():
        if module != "unitcost.__main__":
            found.setdefault(room(module), set()).update(map(room, uses))
    assert found.pop(GROUND) <= {GROUND}, "what all rooms share uses none"
    assert {name: uses - {name, GROUND} for name, uses in found.items()} == drawn()


def test_no_arrow_leads_back() -> None:
    assert drawn()
    list(TopologicalSorter(drawn()).static_order())


def test_no_modules_import_one_another_in_a_circle() -> None:
    list(TopologicalSorter(IMPORTS).static_order())


def test_a_command_loads_what_it_needs_itself() -> None:
    """A container is asked every few seconds whether it is healthy."""
    code = (
        "import sys\n"
        "from unitcost.cli.main import main\n"
        "main(['healthy', '--listen', '127.0.0.1:1'])\n"
        "print(*sorted(set(sys.modules) & {'duckdb', 'requests', 'uvicorn', 'sqlglot', 'unitcost.cli.check'}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-1] == "", run.stdout
    assert run.stdout.startswith("http://127.0.0.1:1/-/healthy: "), run.stderr


@pytest.mark.parametrize("command", ["rules", "dashboards"])
def test_rules_and_pages_load_neither_the_ledger_nor_a_source(command: str, tmp_path: Path) -> None:
    """Even with a configuration that names sources: their settings are read, nothing is asked."""
    bill = tmp_path / "bill.csv"
    bill.write_text("")
    config = tmp_path / "unitcost.yaml"
    config.write_text(
        f"sources:\n  bill: {{type: focus, path: {bill}}}\n"
        "  stored: {type: focus, path: 's3://bucket/export'}\n"
        "  cluster: {type: opencost, url: 'http://opencost:9003'}\n"
    )
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{command}', '--config', '{config}', '--output', '{tmp_path}']\n"
        "try:\n"
        f"    runpy.run_module('{command}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print(*sorted(set(sys.modules) & {'duckdb', 'requests', 'uvicorn', 'boto3', 'obstore', 'genai_prices'}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[-2] == "", run.stdout
    assert list(tmp_path.rglob("unitcost-*")), "it wrote its files"
