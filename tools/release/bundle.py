"""What Grafana, Prometheus and Alertmanager take, in one archive: pages, rules, examples of how to bring them in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tools.release import archive
from tools.release.steps import ROOT, Release, ReleaseError, must, run, same, tracked

PLACES = (
    "compose/grafana",  # provisioning files
    "dashboards/json",
    "rules/alertmanager",
    "rules/grafana",
    "rules/operator",
    "rules/prometheus",
    "examples/grafana",
    "examples/terraform",
)
"""The folders that are in it, each where it is in the tree, so that paths between them hold."""
ALONE = {"README.md": "examples/README.md", "LICENSE": "LICENSE"}
"""Single files: name in the bundle → in the tree."""


def package(out: Path, release: Release) -> Path:
    """Write unitcost-bundle-VERSION.tar.gz into out; return it."""
    made = out / f"unitcost-bundle-{release.version}.tar.gz"
    files = {str(path): (ROOT / path).read_bytes() for path in tracked(*PLACES)}
    files |= {name: (ROOT / path).read_bytes() for name, path in ALONE.items()}
    archive.write(made, made.name.removesuffix(".tar.gz"), files, release.when)
    return made


def is_fine(made: Path, folder: Path) -> None:
    """Raise ReleaseError where the unpacked bundle lacks something, or a program does not take what is in it."""
    top = archive.unpack(made, folder)
    found = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    same("the bundle", found, {*map(str, tracked(*PLACES)), *ALONE})
    for path in sorted(top.glob("dashboards/json/*.json")):
        page = json.loads(path.read_text(encoding="utf-8"))
        must(page["uid"] == path.stem, f"{path.name} holds the page {page['uid']}")
    rules = sorted(top.glob("rules/prometheus/*.yml"))
    must(len(rules) > 0, "the bundle has no rules for Prometheus")
    run("promtool does not take the rules", [_program("promtool", "prometheus"), "check", "rules", *rules], top)
    amtool = _program("amtool", "prometheus-alertmanager")
    run("amtool does not take its example", [amtool, "check-config", "rules/alertmanager/alertmanager.yml"], top)
    for script in sorted(top.glob("examples/**/*.sh")):
        run(f"{script.name} is no shell script", ["sh", "-n", script], top)
        must(script.stat().st_mode & 0o100 != 0, f"{script.name} cannot be executed")


def _program(name: str, package_of_debian: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ReleaseError(f"no {name} on PATH: apt-get install {package_of_debian}, or let `make release` fetch it")
    return path
