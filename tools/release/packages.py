"""The wheel and the sdist, and the proof that a stranger can install and run them."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import requests

from demo.processes import StartError, answers, free_port, running
from tools.release import archive
from tools.release.steps import ROOT, Release, ReleaseError, must, run, same, tracked

PACKAGE = Path("exporter", "unitcost")
PATIENCE = 180.0
"""Seconds until the sample must be served, on a machine that is busy with other things too."""


def wheel(out: Path, when: int, tree: Path = ROOT) -> Path:
    """Build the wheel of a source tree into out; return it. Raises ReleaseError."""
    return _built("wheel", out, when, tree)


def sdist(out: Path, when: int) -> Path:
    """Build the source distribution into out; return it. Raises ReleaseError."""
    return _built("sdist", out, when, ROOT)


def _built(kind: str, out: Path, when: int, tree: Path) -> Path:
    run(f"the {kind} cannot be built", [sys.executable, "-m", "build", f"--{kind}", "-o", out, tree], tree, when)
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def content(made: Path) -> dict[str, bytes]:
    """Return the files of a wheel: name → content."""
    with zipfile.ZipFile(made) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def holds_the_package_alone(made: Path, release: Release) -> None:
    """Raise ReleaseError where a wheel has anything but the tracked files of the package and its metadata."""
    about = f"unitcost-{release.version}.dist-info/"
    wanted = {str(path.relative_to(PACKAGE.parent)) for path in tracked(str(PACKAGE))}
    wanted |= {about + name for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    same("the wheel", content(made), wanted)


def gives_the_same_wheel(source: Path, made: Path, folder: Path, when: int) -> None:
    """Raise ReleaseError where the wheel that the sdist gives is not, to the byte, the one of the tree."""
    (folder / "again").mkdir()
    again = wheel(folder / "again", when, archive.unpack(source, folder))
    one, other = content(made), content(again)
    same("the sdist's wheel", other, one)
    differing = [name for name in one if one[name] != other[name]]
    must(not differing, f"the sdist's wheel differs in {', '.join(differing[:5])}")
    must(made.read_bytes() == again.read_bytes(), "the sdist's wheel has the same files, and is not the same")


def installed(folder: Path, *what: str | Path) -> Path:
    """Make an environment with nothing but what pip is given, and what that needs; return its folder of programs."""
    run("no environment can be made", [sys.executable, "-m", "venv", "--without-pip", folder])
    pip(folder / "bin", "install", "--quiet", *what)
    return folder / "bin"


def pip(programs: Path, *args: str | Path) -> None:
    """Run pip on an environment. Raises ReleaseError with what it said where it fails."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        programs / "python",
    ]
    run(f"pip {args[0]} fails", [*command, *args], programs)


def runs(programs: Path, release: Release, folder: Path) -> None:
    """Raise ReleaseError where the installed command does not say its version, serve the sample, and end when told.

    folder: an empty one to run in.
    """
    command = str(programs / "unitcost")
    said = run("unitcost --version fails", [command, "--version"], folder).strip()
    must(said == f"unitcost {release.version}", f"unitcost --version says {said!r}, not {release.version}")
    place = f"127.0.0.1:{free_port()}"
    url = f"http://{place}"
    try:
        with running(
            "unitcost",
            [command, "serve", "--sample", "--listen", place],
            folder,
            lambda: answers(f"{url}/-/ready"),
            PATIENCE,
        ) as program:
            metrics, page = requests.get(f"{url}/metrics", timeout=10), requests.get(f"{url}/", timeout=10)
    except (StartError, requests.RequestException) as error:
        raise ReleaseError(f"unitcost serve --sample does not answer: {error}") from error
    must(metrics.ok and "\ntenant_cost_dollars{" in metrics.text, f"/metrics has no tenants ({metrics.status_code})")
    must(page.ok and "<html" in page.text, f"/ is no page ({page.status_code})")
    must(program.process.returncode == 0, f"told to end, unitcost serve ends with {program.process.returncode}")
