"""A release: what its parts hold, that a stranger can use them, and that the checks of `make release` can fail."""

from __future__ import annotations

import email
import gzip
import json
import os
import re
import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

import unitcost
from tests.fakes.lacking import without
from tools.release import archive, bundle, chart, packages, sbom
from tools.release.__main__ import FAILED, main
from tools.release.changelog import notes
from tools.release.steps import Release, ReleaseError, version

ROOT = Path(__file__).parents[2]
WHEN = 1_790_000_000
RELEASE = Release(unitcost.__version__, WHEN)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return packages.wheel(tmp_path_factory.mktemp("wheel"), WHEN)
    except ReleaseError as error:
        without(f"what it needs cannot be installed: {str(error)[-300:]}")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    assert wheel.exists()
    return packages.sdist(tmp_path_factory.mktemp("sdist"), WHEN)


# the version and the licence


def test_the_version_stands_in_one_place() -> None:
    assert version() == unitcost.__version__
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]


def test_the_charts_versions_are_that_of_the_package() -> None:
    assert chart.versions() == (unitcost.__version__, unitcost.__version__)


def test_the_licence_is_whole_and_named() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.split("\n", 2)[:2] == [f"{' ' * 33}Apache License", f"{' ' * 27}Version 2.0, January 2004"]
    assert [f"\n   {number}. " in text for number in range(1, 11)] == [True] * 9 + [False]
    assert (PROJECT["license"], PROJECT["license-files"]) == ("Apache-2.0", ["LICENSE"])


# the wheel and the sdist


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    packages.holds_the_package_alone(wheel, RELEASE)
    names = packages.content(wheel)
    assert {name.partition("/")[0] for name in names} == {"unitcost", f"unitcost-{RELEASE.version}.dist-info"}
    told = email.message_from_bytes(names[f"unitcost-{RELEASE.version}.dist-info/METADATA"])
    assert (told["Version"], told["License-Expression"]) == (unitcost.__version__, "Apache-2.0")
    assert names[f"unitcost-{RELEASE.version}.dist-info/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", ["tests/test_more.py", "dashboards/json/more.json", "unitcost/more.py"])
def test_a_wheel_with_anything_more_is_refused(tmp_path: Path, wheel: Path, name: str) -> None:
    shutil.copy(wheel, tmp_path)
    with zipfile.ZipFile(tmp_path / wheel.name, "a") as opened:
        opened.writestr(name, "")
    with pytest.raises(ReleaseError, match=rf"the wheel has also {name}"):
        packages.holds_the_package_alone(tmp_path / wheel.name, RELEASE)


def test_a_wheel_that_lacks_a_file_is_refused(tmp_path: Path, wheel: Path) -> None:
    with zipfile.ZipFile(tmp_path / wheel.name, "w") as opened:
        for name, content in packages.content(wheel).items():
            if name != "unitcost/py.typed":
                opened.writestr(name, content)
    with pytest.raises(ReleaseError, match=r"the wheel lacks unitcost/py\.typed"):
        packages.holds_the_package_alone(tmp_path / wheel.name, RELEASE)


def test_the_sdist_gives_the_same_wheel(tmp_path: Path, wheel: Path, sdist: Path) -> None:
    packages.gives_the_same_wheel(sdist, wheel, tmp_path, WHEN)


def test_an_sdist_that_gives_another_wheel_is_refused(tmp_path: Path, wheel: Path, sdist: Path) -> None:
    top = sdist.name.removesuffix(".tar.gz")
    files = {name.removeprefix(f"{top}/"): content for name, content in archive.read(sdist).items()}
    files["exporter/unitcost/days.py"] += b"# more\n"
    archive.write(tmp_path / sdist.name, top, files, WHEN)
    with pytest.raises(ReleaseError, match=r"the sdist's wheel differs in unitcost/days\.py, .*RECORD"):
        packages.gives_the_same_wheel(tmp_path / sdist.name, wheel, tmp_path, WHEN)


def test_the_installed_wheel_serves_the_sample(tmp_path: Path, wheel: Path) -> None:
    """What it needs is lent by this environment: `make release` installs that too, which takes a minute."""
    programs = packages.installed(tmp_path / "clean", "--no-deps", wheel)
    site = next((tmp_path / "clean").glob("lib/python*/site-packages"))
    assert {path.name for path in site.iterdir()} == {"unitcost", f"unitcost-{RELEASE.version}.dist-info"}
    (site / "lent.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    (tmp_path / "empty").mkdir()
    packages.runs(programs, RELEASE, tmp_path / "empty")
    with pytest.raises(ReleaseError, match=r"unitcost --version says .* not 99\.0"):
        packages.runs(programs, Release("99.0", WHEN), tmp_path / "empty")


def test_a_wheel_that_cannot_serve_is_refused(tmp_path: Path, wheel: Path) -> None:
    programs = packages.installed(tmp_path / "clean", "--no-deps", wheel)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match=r"(?s)unitcost serve --sample does not answer.*No module named"):
        packages.runs(programs, RELEASE, tmp_path / "empty")


# archives


def test_an_archive_is_the_same_whatever_the_order_and_of_nobody(tmp_path: Path) -> None:
    files = {"b/run.sh": b"#!/bin/sh\n", "a.txt": b"text"}
    archive.write(tmp_path / "one.tar.gz", "top", files, WHEN)
    archive.write(tmp_path / "two.tar.gz", "top", dict(reversed(files.items())), WHEN)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as opened:
        told = [(e.name, e.mode, e.uid, e.gid, e.uname, e.gname, e.mtime) for e in opened.getmembers()]
    assert told == [("top/a.txt", 0o644, 0, 0, "", "", WHEN), ("top/b/run.sh", 0o755, 0, 0, "", "", WHEN)]
    assert archive.read(tmp_path / "one.tar.gz") == {f"top/{name}": content for name, content in files.items()}


def test_an_archive_is_unpacked_below_its_folder_only(tmp_path: Path) -> None:
    archive.write(tmp_path / "good.tar.gz", "top", {"b/run.sh": b"#!/bin/sh\n", "a.txt": b"text"}, WHEN)
    top = archive.unpack(tmp_path / "good.tar.gz", tmp_path / "here")
    assert top == tmp_path / "here" / "top"
    assert (top / "a.txt").read_bytes() == b"text"
    assert os.access(top / "b" / "run.sh", os.X_OK)
    assert not (top / "a.txt").stat().st_mode & 0o111
    archive.write(tmp_path / "bad.tar.gz", "top", {"../../out.txt": b"text"}, WHEN)
    with pytest.raises(ValueError, match=r"out\.txt"):
        archive.unpack(tmp_path / "bad.tar.gz", tmp_path / "here")
    assert not (tmp_path / "out.txt").exists()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return bundle.package(tmp_path, RELEASE)


@pytest.mark.needs("promtool", "amtool")
def test_the_bundle_has_pages_rules_and_examples_that_programs_take(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    bundle.is_fine(packed, tmp_path / "unpacked")
    files = archive.read(packed)
    top = f"unitcost-bundle-{RELEASE.version}/"
    pages = {path.name for path in (ROOT / "dashboards/json").iterdir()}
    assert {top + "dashboards/json/" + page for page in pages} <= files.keys()
    told = files[top + "README.md"].decode()
    named = re.findall(r"`((?:dashboards|compose|rules|examples)/[\w./-]+)`", told)
    assert len(named) >= 8
    assert all(any(name.startswith(top + place) for name in files) for place in named), named


@pytest.mark.needs("promtool", "amtool")
@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("rules/prometheus/unitcost-alerts.yml", b"sum by", b"sum of", "promtool does not take the rules"),
        ("rules/alertmanager/alertmanager.yml", b"receivers:", b"receiver:", "amtool does not take its example"),
        (
            "dashboards/json/unitcost-ai.json",
            b'"uid":"unitcost-ai"',
            b'"uid":"ai"',
            "unitcost-ai.json holds the page ai",
        ),
        ("examples/grafana/import.sh", b"#!/bin/sh", b"# a shell script", "import.sh cannot be executed"),
        ("examples/grafana/import.sh", b"\ndone", b"\n", "import.sh is no shell script"),
    ],
)
def test_a_bundle_that_a_program_does_not_take_is_refused(
    tmp_path: Path, packed: Path, name: str, old: bytes, new: bytes, said: str
) -> None:
    top = packed.name.removesuffix(".tar.gz")
    files = {path.removeprefix(f"{top}/"): content for path, content in archive.read(packed).items()}
    assert old in files[name]
    files[name] = files[name].replace(old, new)
    (tmp_path / "spoilt").mkdir()
    archive.write(tmp_path / "spoilt" / packed.name, top, files, WHEN)
    with pytest.raises(ReleaseError, match=re.escape(said)):
        bundle.is_fine(tmp_path / "spoilt" / packed.name, tmp_path / "spoilt")


# the chart


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Return a chart as Helm begins one, of the version of the package."""
    helm_python.Chart.create("unitcost", tmp_path).close()
    path = tmp_path / "unitcost" / "Chart.yaml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(told | {"version": RELEASE.version, "appVersion": RELEASE.version}))
    return tmp_path / "unitcost"


def test_a_chart_is_packed_as_helm_does_it_and_the_same_each_time(tmp_path: Path, started: Path) -> None:
    (started / ".helmignore").write_text("notes/\n")
    (started / "notes").mkdir()
    (started / "notes" / "mine.txt").write_text("mine")
    one = chart.package(tmp_path, RELEASE, started)
    assert one.name == f"unitcost-{RELEASE.version}.tgz"
    first = one.read_bytes()
    os.utime(started / "values.yaml", (0, 0))
    assert chart.package(tmp_path, RELEASE, started).read_bytes() == first
    names = archive.read(one)
    assert {"unitcost/Chart.yaml", "unitcost/values.yaml", "unitcost/templates/service.yaml"} <= names.keys()
    assert not [name for name in names if "notes/" in name or not name.startswith("unitcost/")]
    assert gzip.decompress(first)
    (tmp_path / "unpacked").mkdir()
    chart.is_fine(one, RELEASE, tmp_path / "unpacked")


def test_a_chart_of_another_version_is_refused(tmp_path: Path, started: Path) -> None:
    with pytest.raises(ReleaseError, match=rf"Chart\.yaml says version {RELEASE.version} .* not 99\.0"):
        chart.package(tmp_path, Release("99.0", WHEN), started)


def test_a_chart_with_a_mistake_is_refused(tmp_path: Path, started: Path) -> None:
    (started / "templates" / "service.yaml").write_text("kind: {{ .Values.nothing.there }}\n")
    made = chart.package(tmp_path, RELEASE, started)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(ReleaseError, match=r"(?s)Helm.*nil pointer"):
        chart.is_fine(made, RELEASE, tmp_path / "unpacked")


# the SBOM, the notes and the command


def test_what_a_lock_file_pins_here_is_found_by_the_names_of_the_index() -> None:
    text = """\
# by make lock
duckdb==2.0.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via unitcost
PyYAML==6.0.4 ; python_full_version >= '3.11' \\
    --hash=sha256:cc
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:dd
uvicorn[standard]==1 --hash=sha256:ee
"""
    assert sbom.locked(text) == {"duckdb==2.0.1", "pyyaml==6.0.4", "uvicorn==1"}
    assert sbom.pinned({"components": [{"name": "typing_extensions", "version": "4"}]}) == {"typing-extensions==4"}


def test_a_licence_that_the_sbom_lacks_is_read_off_the_metadata_and_none_is_made_up(tmp_path: Path) -> None:
    for name, licence in (("old", "Apache License 2.0"), ("odd", "as you like"), ("two", "MIT OR Apache-2.0")):
        (tmp_path / f"{name}-1.dist-info").mkdir()
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\nLicense: {licence}\n"
        (tmp_path / f"{name}-1.dist-info" / "METADATA").write_text(about)
    known = [{"license": {"id": "MIT"}}]
    parts: list[dict[str, Any]] = [
        {"name": "old"},
        {"name": "odd"},
        {"name": "two"},
        {"name": "new", "licenses": known},
    ]
    sbom.name_licences({"components": parts}, tmp_path)
    assert {part["name"]: part["licenses"] for part in parts} == {
        "old": [{"license": {"id": "Apache-2.0"}}],
        "odd": [],
        "two": [{"expression": "MIT OR Apache-2.0"}],
        "new": known,
    }


def sbom_of(tmp_path: Path, **changes: Any) -> Path:
    """Write a small SBOM, of what is locked where something is."""
    root = {"type": "application", "name": "unitcost", "version": RELEASE.version, "bom-ref": "root"}
    pins = [pin.split("==") for pin in sbom.locked(sbom.LOCK.read_text())]
    known = [{"license": {"id": "MIT"}}]
    told = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": root},
        "components": [{"type": "library", "name": name, "version": at, "licenses": known} for name, at in pins],
        "dependencies": [{"ref": "root", "dependsOn": ["a"]}],
    }
    (tmp_path / "some.cdx.json").write_text(json.dumps(told | changes))
    return tmp_path / "some.cdx.json"


def test_an_sbom_that_is_whole_passes(tmp_path: Path) -> None:
    sbom.is_fine(sbom_of(tmp_path), RELEASE)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metadata": {"component": {"type": "application", "name": "unitcost"}}}, "the SBOM is of"),
        ({"components": [{"name": "odd"}]}, "the SBOM is no CycloneDX 1.6: .*'type'"),
        ({"components": [{"type": "library", "name": "odd"}]}, "the SBOM knows no licence of odd"),
        ({"dependencies": [{"ref": "root"}]}, "does not know what unitcost needs"),
        (
            {"externalReferences": [{"type": "distribution", "url": "file:///somewhere/a.whl"}]},
            "names places of this machine",
        ),
    ],
)
def test_an_sbom_that_lacks_something_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        sbom.is_fine(sbom_of(tmp_path, **changes), RELEASE)


def test_an_sbom_without_a_package_that_is_locked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"the SBOM lacks annotated-types==\S+, anyio==\S+"):
        sbom.is_fine(sbom_of(tmp_path, components=[]), RELEASE)


def test_notes_are_what_the_changelog_says_of_the_version() -> None:
    later, this = "## Unreleased\n\n- later\n\n", "## 1.2.0 - 2026-11-28\n\n### Added\n\n- this\n\n"
    text = f"# Changelog\n\n{later}{this}## 1.1.0 - 2026-01-01\n"
    assert notes(text, "1.2.0") == "### Added\n\n- this\n"
    for lacking in ("1.1.0", "1.2", "Unreleased"):
        with pytest.raises(ReleaseError, match=r"CHANGELOG\.md has nothing below"):
            notes(text, lacking)


def test_a_tag_of_another_version_makes_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").write_text("")
    assert main(["--tag", "v99.0", "--output", str(tmp_path)]) == FAILED
    assert capsys.readouterr().err == f"no release: the tag is v99.0, the version {unitcost.__version__}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
