"""The Helm chart as one file, packed and checked by Helm's own code."""

from __future__ import annotations

from pathlib import Path

import helm_python
import yaml

from tools.release import archive
from tools.release.steps import ROOT, Release, ReleaseError, must

CHART = ROOT / "helm" / "unitcost"
WARNING = 2
"""Of a finding of Helm's lint: 1 is a hint, 3 an error."""


def versions(chart: Path = CHART) -> tuple[str, str]:
    """Return a chart's version and appVersion."""
    told = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    return str(told["version"]), str(told["appVersion"])


def package(out: Path, release: Release, chart: Path = CHART) -> Path:
    """Pack the chart into out; return unitcost-VERSION.tgz. Raises ReleaseError.

    Helm decides what belongs to it (.helmignore); its times and order are replaced, so that it is the same each time.
    """
    must(
        versions(chart) == (release.version, release.version),
        f"Chart.yaml says version {versions(chart)[0]} and appVersion {versions(chart)[1]}, not {release.version}",
    )
    try:
        made = Path(helm_python.package(chart, destination=out))
    except helm_python.HelmError as error:
        raise ReleaseError(f"Helm does not pack the chart: {error}") from error
    top = f"{chart.name}/"
    archive.write(
        made,
        chart.name,
        {name.removeprefix(top): content for name, content in archive.read(made).items()},
        release.when,
    )
    return made


def is_fine(made: Path, release: Release, folder: Path) -> None:
    """Raise ReleaseError where Helm finds a mistake or a doubt in the packed chart, or renders nothing of it."""
    unpacked = archive.unpack(made, folder)
    try:
        report = helm_python.lint(unpacked, strict=True)
        found = [f"{one['path']}: {one['error']}" for one in report["messages"] if one["severity"] >= WARNING]
        must(not found, f"Helm's lint of the chart: {'; '.join(found)}")
        with helm_python.Chart.load(made) as chart:
            must(chart.version == release.version, f"Helm reads version {chart.version} off the chart")
            rendered = chart.render(name="unitcost", namespace="unitcost")
    except helm_python.HelmError as error:
        raise ReleaseError(f"Helm does not take the chart: {error}") from error
    texts = [text for name, text in rendered.items() if name.endswith((".yaml", ".yml"))]
    kinds = {one["kind"] for text in texts for one in yaml.safe_load_all(text) if one}
    must({"Service"} < kinds, f"the chart renders only {', '.join(sorted(kinds)) or 'nothing'}")
