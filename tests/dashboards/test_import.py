"""The ways into Grafana without a click: by its API with curl, by provisioning files, by Terraform."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import requests
import yaml

from tests.fakes.grafana_api import TOKEN, VIEWER, Grafana
from tests.fakes.pages import UIDS
from tests.fakes.server import Fake, serve

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "grafana" / "import.sh"
PAGES = sorted((ROOT / "dashboards" / "json").glob("*.json"))
TERRAFORM = ROOT / "examples" / "terraform"

curl = pytest.mark.needs("curl")


@pytest.fixture
def grafana() -> Grafana:
    return Grafana()


@pytest.fixture
def server(grafana: Grafana) -> Iterator[Fake]:
    with serve(grafana) as fake:
        yield fake


def brought(url: str, *args: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GRAFANA_URL": url, "GRAFANA_TOKEN": TOKEN, **variables}
    return subprocess.run([str(SCRIPT), *args], cwd=cwd, env=env, capture_output=True, text=True, check=False)


# by its API


@curl
def test_all_pages_are_brought_in_whole_into_a_folder_that_is_made(
    grafana: Grafana, server: Fake, tmp_path: Path
) -> None:
    done = brought(server.url + "/", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert grafana.folders == {"unitcost": "unitcost"}
    assert grafana.pages == {
        page["uid"]: {**page, "folder": "unitcost", "version": 1}
        for page in (json.loads(path.read_text()) for path in PAGES)
    }
    assert grafana.pages.keys() == set(UIDS)
    assert [line.rpartition("/")[0] for line in done.stdout.splitlines()] == [
        f"{server.url}/d/{path.stem}" for path in PAGES
    ]
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {TOKEN}"}


@curl
def test_a_page_that_is_there_becomes_the_one_that_is_here(grafana: Grafana, server: Fake) -> None:
    grafana.folders["finance"] = "Finance"
    first = json.loads(PAGES[0].read_text())
    grafana.pages[first["uid"]] = {**first, "folder": "finance", "version": 7, "panels": []}
    refused = {"dashboard": first, "folderUid": "finance"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(f"{server.url}/api/dashboards/db", json=refused, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()["status"]) == (412, "version-mismatch"), "it is a clash without overwrite"
    done = brought(server.url, str(PAGES[0]), GRAFANA_FOLDER="finance")
    assert (done.returncode, done.stderr) == (0, "")
    assert grafana.folders == {"finance": "Finance"}, "the folder is there and keeps its title"
    assert grafana.pages == {first["uid"]: {**first, "folder": "finance", "version": 8}}


@curl
def test_a_page_that_grafana_refuses_is_told_in_its_words_and_the_others_are_brought_in(
    grafana: Grafana, server: Fake
) -> None:
    grafana.provisioned.add("unitcost-ai")
    done = brought(server.url)
    assert done.returncode == 1
    assert re.fullmatch(r".*unitcost-ai\.json: HTTP 400: .*Cannot save provisioned dashboard.*\n", done.stderr)
    assert grafana.pages.keys() == set(UIDS) - {"unitcost-ai"}
    assert len(done.stdout.splitlines()) == len(UIDS) - 1


@curl
@pytest.mark.parametrize(
    ("token", "said"),
    [("wrong", "folder unitcost: HTTP 401: .*Invalid API key"), (VIEWER, "folder unitcost: HTTP 403: .*permissions")],
)
def test_a_token_that_may_not_is_told_and_nothing_is_written(
    grafana: Grafana, server: Fake, token: str, said: str
) -> None:
    done = brought(server.url, GRAFANA_TOKEN=token)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(said, done.stderr)
    assert token not in done.stderr
    assert (grafana.folders, grafana.pages) == ({}, {})


@curl
def test_a_file_that_is_no_page_is_told(grafana: Grafana, server: Fake, tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"uid": "half"')
    done = brought(server.url, str(tmp_path / "half.json"))
    assert done.returncode == 1
    assert "half.json: HTTP 400" in done.stderr
    assert grafana.pages == {}


@curl
def test_where_nobody_answers_it_ends_with_what_curl_says(server: Fake) -> None:
    done = brought("http://127.0.0.1:9")
    assert done.returncode == 1
    assert "curl:" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize("lacking", ["GRAFANA_URL", "GRAFANA_TOKEN"])
def test_without_a_variable_it_says_how_to_call_it(lacking: str) -> None:
    given = {"GRAFANA_URL": "http://127.0.0.1:9", "GRAFANA_TOKEN": TOKEN} | {lacking: ""}
    done = subprocess.run([SCRIPT], env={**os.environ, **given}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: GRAFANA_URL=")


@curl
def test_the_token_is_no_argument_of_a_program(server: Fake, tmp_path: Path) -> None:
    (tmp_path / "curl").write_text('#!/bin/sh\necho "$@" >&2\nexec "$CURL" "$@"\n')
    (tmp_path / "curl").chmod(0o755)
    real = subprocess.run(["sh", "-c", "command -v curl"], capture_output=True, text=True, check=True).stdout.strip()
    done = brought(server.url, PATH=f"{tmp_path}:{os.environ['PATH']}", CURL=real)
    assert done.returncode == 0
    assert done.stderr.count("--request POST") == 1 + len(PAGES)
    assert TOKEN not in done.stderr


@curl
def test_the_command_for_one_page_in_the_documentation_works(grafana: Grafana, server: Fake) -> None:
    text = (ROOT / "docs" / "grafana-import.md").read_text()
    [command] = [block for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "--data-binary" in block]
    env = {**os.environ, "GRAFANA_URL": server.url, "GRAFANA_TOKEN": TOKEN}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = json.loads((ROOT / "dashboards/json/unitcost-ai.json").read_text())
    assert grafana.pages == {"unitcost-ai": {**page, "folder": "", "version": 1}}
    refused = {**env, "GRAFANA_TOKEN": "wrong"}
    assert subprocess.run(["sh", "-c", command], cwd=ROOT, env=refused, capture_output=True, check=False).returncode


# by Terraform


@pytest.fixture(scope="module")
def terraform() -> dict[str, Any]:
    (file,) = TERRAFORM.glob("*.tf")
    text = file.read_text()
    loaded: dict[str, Any] = hcl2.loads(text)
    return loaded


def named(blocks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return "type.name" or "name" → content of blocks, without quotes."""
    found: dict[str, dict[str, Any]] = {}
    for label, content in (item for block in blocks for item in block.items()):
        inner = {key: value for key, value in content.items() if key != "__is_block__"}
        names = [key for key in inner if key.startswith('"')]
        found |= {f"{label}.{name}": inner[name] for name in names} if names else {label: inner}
    for content in found.values():
        content.pop("__is_block__", None)
    return {name.replace('"', ""): content for name, content in found.items()}


def test_terraform_makes_a_folder_and_each_page_in_it(terraform: dict[str, Any]) -> None:
    resources = named(terraform["resource"])
    assert resources.keys() == {"grafana_folder.unitcost", "grafana_dashboard.page"}
    page = resources["grafana_dashboard.page"]
    assert page["for_each"] == '${fileset(local.pages, "*.json")}'
    assert page["config_json"] == '${file("${local.pages}/${each.value}")}'
    assert page["folder"] == "${grafana_folder.unitcost.uid}"
    assert page["overwrite"] is True
    [place] = [one["pages"] for one in terraform["locals"]]
    assert place == '"${path.module}/${var.pages}"'
    given = named(terraform["variable"])["pages"]["default"].strip('"')
    assert sorted((TERRAFORM / given).glob("*.json")) == [TERRAFORM / given / path.name for path in PAGES]


def test_terraform_declares_what_it_uses_and_hides_the_token(terraform: dict[str, Any]) -> None:
    text = (TERRAFORM / "main.tf").read_text()
    variables = named(terraform["variable"])
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables.keys()
    assert variables["grafana_token"]["sensitive"] is True
    assert all("default" not in variables[name] for name in ("grafana_url", "grafana_token"))
    [needed] = [one["required_providers"] for one in terraform["terraform"]]
    assert needed[0]["grafana"]["source"] == '"grafana/grafana"'
    assert named(terraform["provider"])["grafana"] == {"url": "${var.grafana_url}", "auth": "${var.grafana_token}"}


def test_a_mistake_in_it_is_found() -> None:
    text = (TERRAFORM / "main.tf").read_text()
    with pytest.raises(Exception, match=r"Unexpected token"):
        hcl2.loads(text.replace("for_each = fileset(", "for_each = fileset((", 1))


# by files


def test_the_provisioning_files_are_those_of_compose_and_the_pages_say_so() -> None:
    [provider] = yaml.safe_load((ROOT / "compose/grafana/dashboards/unitcost.yaml").read_text())["providers"]
    assert (provider["type"], provider["folder"]) == ("file", "unitcost")
    for told in ("docs/grafana-import.md", "examples/README.md"):
        text = (ROOT / told).read_text()
        assert "compose/grafana/dashboards/unitcost.yaml" in text
        assert provider["options"]["path"] in text, told
