"""What all steps of a release share: its version and time, commands that must not fail, and tracked files."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONED = ROOT / "exporter" / "unitcost" / "__init__.py"
"""The one file that says the version."""
OF_THE_CALLER = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV")
"""What would let a clean place see what is installed here."""


class ReleaseError(Exception):
    """A part cannot be made, or does not pass its check: says which, and why."""


@dataclass(frozen=True)
class Release:
    """What is released: its version, and the Unix time of its commit, which stands in every archive."""

    version: str
    when: int


def version() -> str:
    """Return the package's version, without importing it."""
    for node in ast.parse(VERSIONED.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__version__"]:
            return str(ast.literal_eval(node.value))
    raise ReleaseError(f"{VERSIONED.relative_to(ROOT)} has no __version__")


def environment(when: int | None = None) -> dict[str, str]:
    """Return this process' environment without what leads back to what is installed here. when: of the archives."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_THE_CALLER}
    return kept if when is None else {**kept, "SOURCE_DATE_EPOCH": str(when)}


def run(what: str, command: Sequence[str | Path], cwd: Path = ROOT, when: int | None = None) -> str:
    """Run a command to its end; return its standard output.

    Raises ReleaseError with what failed and the last lines it said.
    """
    done = subprocess.run(  # noqa: S603 - the commands are ours
        [str(part) for part in command],
        cwd=cwd,
        env=environment(when),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise ReleaseError(f"{what} (exit code {done.returncode}):\n{said}")
    return done.stdout


def tracked(*places: str) -> list[Path]:
    """Return the files below these places that git knows, relative to the tree, in order."""
    listed = run("git lists no files", ["git", "ls-files", "-z", "--", *places])
    return sorted(Path(name) for name in listed.split("\0") if name)


def must(holds: bool, what: str) -> None:
    """Raise ReleaseError with what is wrong where something does not hold."""
    if not holds:
        raise ReleaseError(what)


def same(what: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise ReleaseError where two sets of names differ, with the names that are on one side only."""
    more, fewer = sorted({*found} - {*wanted}), sorted({*wanted} - {*found})
    parts = [f"{word} {', '.join(names[:5])}" for word, names in (("has also", more), ("lacks", fewer)) if names]
    must(not parts, f"{what} {' and '.join(parts)}")
