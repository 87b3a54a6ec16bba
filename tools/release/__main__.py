"""`python -m tools.release`: make every part of a release, check each in a clean place, and put them into dist/.

Exit 0: all parts are there and passed. 1: a part failed, which is said, and dist/ is as it was.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.release import bundle, chart, packages, sbom
from tools.release.changelog import notes
from tools.release.steps import ROOT, Release, ReleaseError, must, run, version

FINE, FAILED = 0, 1
SUMS = "SHA256SUMS"


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="DIR", help="default: dist/")
    parser.add_argument("--tag", metavar="vX.Y.Z", help="of the release: the version and CHANGELOG.md must be of it")
    parser.add_argument("--notes", type=Path, metavar="FILE", help="with --tag: write what CHANGELOG.md says of it")
    args = parser.parse_args(argv)
    try:
        release = of_this_tree(args.tag)
        if args.tag is not None and args.notes is not None:
            text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
            args.notes.write_text(notes(text, release.version), encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix="unitcost-release-") as folder:
            made = Path(folder, "dist")
            made.mkdir()
            everything(made, release, Path(folder))
            shutil.rmtree(args.output, ignore_errors=True)
            shutil.copytree(made, args.output)
    except ReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return FAILED
    print(f"{release.version} is in {args.output}")
    return FINE


def of_this_tree(tag: str | None) -> Release:
    """Return what this tree would release. Raises ReleaseError where a tag is given and does not fit it."""
    release = Release(version(), int(run("no commit", ["git", "log", "-1", "--format=%ct"])))
    changed = run("no tree", ["git", "status", "--porcelain", "--untracked-files=no"]).splitlines()
    if tag is not None:
        must(tag == f"v{release.version}", f"the tag is {tag}, the version {release.version}")
        notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), release.version)
        must(not changed, f"{len(changed)} tracked files are not as committed")
    elif changed:
        print(f"{len(changed)} tracked files are not as committed: this is a trial, nothing to hand out")
    return release


def everything(made: Path, release: Release, folder: Path) -> None:
    """Write every part into the folder `made`, each checked; folder is for what is needed on the way."""
    clock = Clock()
    wheel = packages.wheel(made, release.when)
    packages.holds_the_package_alone(wheel, release)
    (folder / "empty").mkdir()
    packages.runs(packages.installed(folder / "clean", wheel), release, folder / "empty")
    clock.told(wheel, "the package alone; in a clean environment serves the sample")
    source = packages.sdist(made, release.when)
    (folder / "sdist").mkdir()
    packages.gives_the_same_wheel(source, wheel, folder / "sdist", release.when)
    clock.told(source, "gives the same wheel, to the byte")
    (folder / "bundle").mkdir()
    pages_and_rules = bundle.package(made, release)
    bundle.is_fine(pages_and_rules, folder / "bundle")
    clock.told(pages_and_rules, "promtool and amtool take it, pages are whole")
    (folder / "chart").mkdir()
    packed = chart.package(made, release)
    chart.is_fine(packed, release, folder / "chart")
    clock.told(packed, "Helm finds no fault and renders it")
    (folder / "sbom").mkdir()
    materials = sbom.write(made, release, wheel, folder / "sbom")
    sbom.is_fine(materials, release)
    clock.told(materials, "every package with version and licence")
    sums = sorted(made.iterdir())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sums]
    (made / SUMS).write_text("".join(lines), encoding="utf-8")


class Clock:
    """Says what was made, and how long it took."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def told(self, path: Path, proof: str) -> None:
        """Print a line about a part that has passed."""
        now = time.monotonic()
        print(f"{path.name:<36} {path.stat().st_size / 1024:>7,.0f} KiB {now - self._since:>5.1f} s  {proof}")
        self._since = now


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
