"""The bill of materials (CycloneDX): every package that the image installs, with version, licence and who needs it."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.licences import ALLOWED, allowed, licence
from tools.release import packages
from tools.release.steps import ROOT, Release, must, run, same

LOCK = ROOT / "requirements" / "image.txt"
"""What the image installs, to the hash."""


def write(out: Path, release: Release, wheel: Path, folder: Path) -> Path:
    """Write unitcost-VERSION.cdx.json into out; return it. It is the same each time. Raises ReleaseError.

    It is read off an environment, and not off the lock file, which knows neither licences nor who needs what.
    """
    programs = packages.installed(folder / "image", "--require-hashes", "--requirement", LOCK)
    packages.pip(programs, "install", "--quiet", "--no-deps", wheel)
    packages.pip(programs, "check")  # that the lock file lacks nothing which the wheel needs
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    versioned = project.replace('dynamic = ["version"]', f'version = "{release.version}"')
    must(versioned != project, "pyproject.toml has no dynamic version")
    (folder / "pyproject.toml").write_text(versioned, encoding="utf-8")
    made = out / f"unitcost-{release.version}.cdx.json"
    command: list[str | Path] = [sys.executable, "-m", "cyclonedx_py", "environment"]
    command += ["--pyproject", folder / "pyproject.toml"]
    command += ["--spec-version", "1.6", "--output-reproducible", "--output-format", "JSON"]
    command += ["--output-file", made, programs / "python"]
    run("the SBOM cannot be made", command, folder, release.when)
    (site,) = (folder / "image").glob("lib/python*/site-packages")
    told = json.loads(made.read_text(encoding="utf-8"))
    name_licences(told, site)
    made.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return made


def name_licences(told: dict[str, Any], site: Path) -> None:
    """Give each component without a licence the one that its metadata in site say in older words than SPDX'."""
    for part in told["components"]:
        if not part.get("licenses"):
            (found,) = metadata.distributions(name=part["name"], path=[str(site)])
            name = licence(canonicalize_name(part["name"]), found.metadata)
            said = {"license": {"id": name}} if name in ALLOWED else {"expression": name}
            part["licenses"] = [said] if allowed(name) else []


def is_fine(made: Path, release: Release) -> None:
    """Raise ReleaseError where the SBOM is of something else, lacks what is locked, or names this machine."""
    text = made.read_text(encoding="utf-8")
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    must(wrong is None, f"the SBOM is no CycloneDX 1.6: {wrong}")
    told = json.loads(text)
    root = told["metadata"]["component"]
    must((root["name"], root.get("version")) == ("unitcost", release.version), f"the SBOM is of {root}")
    must("file://" not in text and str(made.parent) not in text, "the SBOM names places of this machine")
    unlicensed = [part["name"] for part in told["components"] if not part.get("licenses")]
    must(not unlicensed, f"the SBOM knows no licence of {', '.join(unlicensed)}")
    needs = {one["ref"]: one.get("dependsOn", []) for one in told["dependencies"]}
    must(len(needs[root["bom-ref"]]) > 0, "the SBOM does not know what unitcost needs")
    same("the SBOM", pinned(told), locked(LOCK.read_text(encoding="utf-8")))


def pinned(told: dict[str, Any]) -> set[str]:
    """Return name==version of each component."""
    return {f"{canonicalize_name(part['name'])}=={part['version']}" for part in told["components"]}


def locked(text: str) -> set[str]:
    """Return name==version of what a requirements file with hashes pins for this system and Python."""
    lines = [line.partition(" --hash")[0].rstrip("\\ ") for line in text.splitlines() if line[:1].isalnum()]
    here = [one for one in map(Requirement, lines) if one.marker is None or one.marker.evaluate()]
    return {f"{canonicalize_name(one.name)}{one.specifier}" for one in here}
