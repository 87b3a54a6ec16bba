"""pyproject.toml tells the truth: each dependency is used, each import is declared, and the lowest versions work."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import bcrypt
import pytest
import requests

from tests.fakes.cost_explorer import DAY, KEY_ID, SECRET, account
from tests.fakes.lacking import without
from tests.fakes.processes import free_port, wait_for
from tests.fakes.server import Reply, Request, serve
from unitcost.config.schema import schema

ROOT = Path(__file__).parents[2]
AS_OF = "2026-11-23T12:00:00Z"
MODULES = {"pyyaml": "yaml", "genai-prices": "genai_prices"}
COME_WITH = {"grpc": "pyspark", "pydantic_core": "pydantic"}
"""A part of a dependency → the dependency."""
EXTRAS = {"google-cloud-bigquery": "google", "pyspark-client": "pyspark"}


def dependencies() -> dict[str, str]:
    """Return each dependency with its lowest version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [re.fullmatch(r"([a-z0-9-]+)[>=]=([0-9.]+)", text) for text in project["dependencies"]]
    return {match[1]: match[2] for match in found if match is not None} | {
        text: "" for text, match in zip(project["dependencies"], found, strict=True) if match is None
    }


def extras() -> set[str]:
    """Return the modules of what not everybody needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    given = [text for texts in project["optional-dependencies"].values() for text in texts]
    found = [re.fullmatch(r"([a-z0-9-]+)>=[0-9.]+", text) for text in given]
    assert all(found), given
    return {EXTRAS.get(match[1], match[1]) for match in found if match is not None}


def imported() -> set[str]:
    """Return every module that the exporter imports."""
    found = set()
    for path in (ROOT / "exporter").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                found.add(node.module)
    return found


def test_every_dependency_has_a_lowest_version() -> None:
    assert all(dependencies().values())


def test_every_dependency_is_imported_and_every_import_is_a_dependency() -> None:
    tops = {name.partition(".")[0] for name in imported()} - set(sys.stdlib_module_names) - {"unitcost", "__future__"}
    assert tops - COME_WITH.keys() == {MODULES.get(name, name) for name in dependencies()} | extras()
    assert set(COME_WITH.values()) <= tops


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python that has the lowest versions, and the newest of what these need."""
    folder = tmp_path_factory.mktemp("lowest")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pins = [f"{name}=={version}" for name, version in dependencies().items()]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--only-binary=:all:", *pins]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        without(f"the lowest versions cannot be installed: {done.stderr[-300:]}")
    return python


def command(python: Path, *args: str) -> list[str]:
    return [str(python), "-W", "error", "-m", "unitcost", *args]


ENV = {**os.environ, "PYTHONPATH": str(ROOT / "exporter")}


def test_the_lowest_versions_report_the_sample_to_the_last_cent(lowest: Path) -> None:
    done = subprocess.run(
        command(lowest, "report", "--sample", "--as-of", AS_OF), capture_output=True, text=True, check=False, env=ENV
    )
    assert (done.stdout, done.stderr) == ((ROOT / "tests/golden/report.txt").read_text(encoding="utf-8"), "")


def test_the_lowest_versions_print_the_same_schema(lowest: Path) -> None:
    done = subprocess.run(command(lowest, "config", "schema"), capture_output=True, text=True, check=False, env=ENV)
    assert (done.stdout, done.stderr) == (f"{json.dumps(schema(), ensure_ascii=False, indent=2)}\n", "")


def answer(request: Request) -> Reply:
    assert request.headers["authorization"] == "Bearer a-token"
    result = [{"metric": {"tenant": "acme"}, "value": [1, "5"]}]
    return Reply(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}))


@contextmanager
def company(folder: Path) -> Iterator[Path]:
    """Write a configuration that uses every dependency: YAML, HTTP, AWS, files, basic authentication."""
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    (folder / "web.yml").write_text(f"basic_auth_users: {{me: {hashed}}}", encoding="utf-8")
    (folder / "mrr.csv").write_text("tenant,mrr\nacme,50\n", encoding="utf-8")
    today = datetime.now(UTC).date()
    with serve(answer) as server, serve(account(today - 4 * DAY, today + DAY)) as explorer:
        aws = (
            f"{{type: aws_cost_explorer, endpoint: '{explorer.url}', access_key_id: {KEY_ID},"
            f" secret_access_key: {SECRET}, tenant: customer}}"
        )
        usage = (
            f"{{type: prometheus, url: '{server.url}', bearer_token: a-token, measures: {{requests: 'x[$window]'}}}}"
        )
        (folder / "unitcost.yaml").write_text(
            "history: 3d\nweb: {config_file: web.yml}\n"
            f"sources: {{aws: {aws}, usage: {usage}, revenue: {{type: csv_revenue, path: mrr.csv}}}}",
            encoding="utf-8",
        )
        yield folder / "unitcost.yaml"


def test_the_lowest_versions_ask_a_server_and_serve_with_a_password(lowest: Path, tmp_path: Path) -> None:
    with company(tmp_path) as config:
        checked = subprocess.run(
            command(lowest, "check", "--config", str(config)), capture_output=True, text=True, check=False, env=ENV
        )
        assert (checked.returncode, checked.stderr) == (0, "")
        assert "usage (prometheus): fine" in checked.stdout
        assert "aws (aws_cost_explorer): fine" in checked.stdout
        url = f"http://127.0.0.1:{free_port()}"
        listen = ("serve", "--config", str(config), "--listen", url.removeprefix("http://"))
        with subprocess.Popen(command(lowest, *listen), env=ENV, stderr=subprocess.PIPE) as process:
            try:
                wait_for(lambda: requests.get(f"{url}/-/ready", auth=("me", "right"), timeout=5).ok, "it is ready")
                assert b"tenant_mrr_dollars" in requests.get(f"{url}/metrics", auth=("me", "right"), timeout=5).content
                assert requests.get(f"{url}/metrics", timeout=5).status_code == 401
            finally:
                process.terminate()
            assert process.wait(timeout=20) == 0
