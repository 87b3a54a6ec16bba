"""requirements/: what the image and CI install has a version in range and hashes, on every system and Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fakes.locks import linux, locked

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements"
PLACES = [linux(python, machine) for machine in ("x86_64", "aarch64") for python in ("3.11", "3.12", "3.13", "3.14")]
"""Where a lock is to be installed."""
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def members(groups: dict[str, list[Any]], name: str) -> list[str]:
    """Return what a dependency group names, with the groups it includes."""
    found: list[str] = []
    for one in groups[name]:
        found += [one] if isinstance(one, str) else members(groups, one["include-group"])
    return found


def asked(lock: str, project: str) -> list[str]:
    """Return what pyproject.toml asks for in a lock."""
    read = tomllib.loads(project)
    extras = read["project"]["optional-dependencies"]
    package = read["project"]["dependencies"]
    found: dict[str, list[str]] = {
        "build": read["build-system"]["requires"],
        "image": [*package, *(one for name in image_extras() for one in extras[name])],
        "ci": [
            *package,
            *(one for name in read["dependency-groups"] for one in members(read["dependency-groups"], name)),
        ],
    }
    return found[lock]


def image_extras() -> list[str]:
    return re.findall(r"--extra (\w+)", (ROOT / "tools" / "lock").read_text(encoding="utf-8"))


def wrong(lock: str, text: str, project: str) -> list[str]:
    """Return what keeps a lock from being installed with hashes, or from being what pyproject.toml asks for."""
    lines = list(locked(text))
    found = [f"{line.requirement} has no hash" for line in lines if not line.hashes]
    found += [f"{one}: no hash of {line.name}" for line in lines for one in line.hashes if not SHA256.fullmatch(one)]
    found += [f"{line.requirement} is not one version" for line in lines if not line.version]
    for place in PLACES:
        here = [line for line in lines if line.counts(place)]
        versions = {line.name: line.version for line in here}
        if len(versions) < len(here):
            found.append(f"two versions of a package with Python {place['python_version']}")
        for one in map(Requirement, asked(lock, project)):
            version = versions.get(canonicalize_name(one.name))
            if version is None or not one.specifier.contains(version):
                found.append(f"{one} is asked for, {version} locked")
    return sorted(set(found))


NAMES = ("build", "ci", "image")


def test_these_are_the_locks() -> None:
    assert sorted(path.name for path in LOCKS.iterdir()) == [f"{name}.txt" for name in NAMES]
    assert image_extras() == ["azure", "gcs", "bigquery"]


def given(name: str) -> str:
    return (LOCKS / f"{name}.txt").read_text(encoding="utf-8")


def project() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_is_what_pyproject_asks_for_with_hashes(name: str) -> None:
    assert wrong(name, given(name), project()) == [], "make lock writes it"


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_names_no_index_and_no_place_of_a_machine(name: str) -> None:
    assert not re.search(r"://|--(index|find-links|extra-index)|^\s*-e| @ |(?<![\w.])/", given(name), re.MULTILINE)


def test_ci_tests_the_versions_that_the_image_holds() -> None:
    tested = {line.name: line.version for line in locked(given("ci"))}
    shipped = {line.name: line.version for line in locked(given("image"))}
    assert {name: tested.get(name) for name in shipped} == shipped


def test_the_page_about_the_image_names_the_packages_that_it_holds() -> None:
    page = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
    [told] = re.findall(r"^Python packages: ([\w\s.-]+),", page, re.MULTILINE)
    for place in PLACES:
        if place["python_version"] == "3.13":
            assert told.split() == sorted(line.name for line in locked(given("image")) if line.counts(place))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"duckdb>=2"', '"duckdb>=99"', "duckdb>=99 is asked for, 2"),
        ('"duckdb>=2"', '"duckdb>=2", "a-new-one>=1"', "a-new-one>=1 is asked for, None locked"),
        ('"obstore>=0.12"', '"obstore>=77"', "obstore>=77 is asked for, 0"),
    ],
)
def test_a_change_of_pyproject_without_make_lock_is_told(old: str, new: str, told: str) -> None:
    changed = project().replace(old, new)
    assert changed != project()
    assert any(one.startswith(told) for one in wrong("image", given("image"), changed))


@pytest.mark.parametrize(
    ("pattern", "new", "told"),
    [
        (r"^(bcrypt==[\w.]+) \\\n(?:    --hash=\S+(?: \\)?\n)+", r"\1\n", "bcrypt==.* has no hash"),
        (r"^bcrypt==", "bcrypt>=", "bcrypt>=.* is not one version"),
        (r"^(bcrypt==)([\w.]+)", r"\g<1>3.0.0", "bcrypt>=4 is asked for, 3.0.0 locked"),
        (r"^(bcrypt==[\w.]+)", r"\1 ; python_version < '3.13'", "bcrypt>=4 is asked for, None locked"),
        (r"^bcrypt==", "bcrypt==1 --hash=sha256:0\nbcrypt==", "--hash=sha256:0: no hash of bcrypt"),
    ],
    ids=["no hash", "a range", "too old", "not for every Python", "half a hash"],
)
def test_a_lock_that_cannot_be_trusted_is_told(pattern: str, new: str, told: str) -> None:
    text, changes = re.subn(pattern, new, given("image"), count=1, flags=re.MULTILINE)
    assert changes == 1
    assert any(re.fullmatch(told, one) for one in wrong("image", text, project()))
