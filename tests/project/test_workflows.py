"""The workflows of CI: no GitHub runs here, but what they call must exist, and they may do no more than they need."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import unitcost

ROOT = Path(__file__).parents[2]
FILES = {path.stem: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
WORKFLOWS: dict[str, dict[str, Any]] = {
    name: yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # else `on` is true
    for name, path in FILES.items()
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
MORE_THAN_READ = {
    ("image", "image"): {"packages", "id-token"},
    ("release", "publish"): {"contents", "id-token", "attestations"},
    ("release", "pypi"): {"id-token"},
}
"""Jobs that may write → what."""

each_workflow = pytest.mark.parametrize("name", FILES)


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for workflow, content in WORKFLOWS.items():
        for name, job in content["jobs"].items():
            yield workflow, name, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow, name, job in jobs():
        for step in job["steps"]:
            yield f"{workflow}/{name}", step


def commands() -> str:
    return "\n".join(step["run"] for _, step in steps() if "run" in step)


def test_there_are_those_for_changes_releases_and_the_image() -> None:
    assert FILES.keys() == {"ci", "image", "release"}
    assert WORKFLOWS["ci"]["on"].keys() == {"push", "pull_request", "schedule"}
    assert WORKFLOWS["release"]["on"] == {"push": {"tags": ["v*"]}}
    assert WORKFLOWS["image"]["on"]["push"] == {"tags": ["v*"]}


def test_the_matrix_is_every_python_that_the_package_says_it_runs_on() -> None:
    matrix = WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    told = [text.rpartition(" :: ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
    assert matrix == told
    assert PROJECT["requires-python"] == f">={matrix[0]}"


def test_each_python_is_linted_and_tested_one_of_them_with_the_generated_files_too() -> None:
    runs = [(step["run"], step.get("if")) for step in WORKFLOWS["ci"]["jobs"]["test"]["steps"] if "run" in step]
    once = "matrix.python == '3.11'"
    assert ("bash .ci/run", once) in runs
    assert {run for run, condition in runs if condition == once.replace("==", "!=")} == {"make check", "make test"}


def test_what_they_call_exists() -> None:
    called = set(re.findall(r"\bmake ([a-z-]+)", commands()))
    assert called >= {"check", "test", "release", "audit"}
    assert called <= TARGETS, called - TARGETS
    assert re.findall(r"^bash (\S+)$", commands(), re.MULTILINE) == [".ci/run"]
    assert (ROOT / ".ci" / "run").is_file()


def test_the_release_is_told_its_tag_by_flags_that_exist() -> None:
    [flags] = re.findall(r'make release RELEASE="(.*)"', commands())
    helped = subprocess.run(
        [sys.executable, "-m", "tools.release", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    named = re.findall(r"--[a-z]+", flags)
    assert named == ["--tag", "--notes"]
    assert all(re.search(rf"^  {flag} ", helped.stdout, re.MULTILINE) for flag in named), helped.stdout


def test_pypi_gets_the_wheel_and_the_sdist_and_nothing_else() -> None:
    [patterns] = re.findall(r"cp (.*) upload/", commands())
    names = ["-py3-none-any.whl", ".tar.gz", ".tgz", ".cdx.json"]
    made = [f"dist/unitcost-{unitcost.__version__}{name}" for name in names]
    made += [f"dist/unitcost-bundle-{unitcost.__version__}.tar.gz", "dist/SHA256SUMS"]
    taken = [name for name in made if any(fnmatch.fnmatch(name, pattern) for pattern in patterns.split())]
    assert taken == made[:2]


def test_the_image_is_built_with_arguments_that_the_dockerfile_has() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    [given] = [step["with"] for _, step in steps() if step.get("uses", "").startswith("docker/build-push-action@")]
    names = set(re.findall(r"^(\w+)=", given["build-args"], re.MULTILINE))
    assert names == {"BASE", "VERSION"}
    assert names <= set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    [pattern] = re.findall(r"sed -n 's/(\^ARG BASE=)//p' Dockerfile", commands())
    assert re.search(rf"{pattern}\w+:\S+$", text, re.MULTILINE), "what a digest is asked for"
    assert given["platforms"] == "linux/amd64,linux/arm64"
    assert (given["sbom"], given["provenance"]) == ("true", "mode=max")


def test_actions_are_pinned_to_a_version_and_dependabot_raises_them() -> None:
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert len(used) > 10
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", one)] == []
    assert len(set(used)) == len({one.partition("@")[0] for one in used}), "one version of each"
    told = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    assert {update["package-ecosystem"] for update in told["updates"]} == {"github-actions", "docker"}


@each_workflow
def test_one_may_read_alone_and_does_not_run_beside_itself(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    assert WORKFLOWS[name]["concurrency"]["group"] == f"{name}-${{{{ github.ref }}}}"


def test_jobs_end_and_write_what_they_are_known_to_write() -> None:
    writing = {}
    for workflow, name, job in jobs():
        assert 0 < int(job["timeout-minutes"]) <= 120, name
        given = {what for what, how in job.get("permissions", {}).items() if how == "write"}
        if given:
            writing[workflow, name] = given
    assert writing == MORE_THAN_READ


def test_what_runs_this_code_has_no_token_that_writes() -> None:
    for workflow, name, job in jobs():
        runs_code = any("make " in step.get("run", "") or ".ci/" in step.get("run", "") for step in job["steps"])
        if runs_code:
            assert (workflow, name) not in MORE_THAN_READ
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false", name


def test_no_text_of_others_becomes_a_command() -> None:
    """${{ }} in a script is put in before the shell reads it: a branch may be named like a command."""
    assert re.findall(r"\$\{\{.*?\}\}", commands()) == []
