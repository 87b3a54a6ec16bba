"""The demo's company: the sample as files that keep up with the clock, and its history as Prometheus takes it."""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from demo.cluster_history import write as write_cluster_history
from demo.cluster_metrics import Cluster
from demo.processes import run
from unitcost import sample

log = logging.getLogger(__name__)

RENEW_SECONDS = 300.0
DAYS = 91
"""How many past days Prometheus gets: 90 to show, and one."""

OF_THE_DEMO = """\
alerts: {{wait: 30s, keep: 1m}}   # of the demo: nobody waits a quarter of an hour for the first alert
web: {{external_url: "{url}"}}   # so that alerts lead to their runbooks
"""


def write_company(folder: Path, url: str) -> Path:
    """Write the sample company as of now into folder; return the path of its unitcost.yaml. url: the exporter's."""
    config = sample.write(folder, datetime.now(UTC))
    text = config.read_text(encoding="utf-8")
    if "\nalerts:" not in text:
        config.write_text(text + OF_THE_DEMO.format(url=url), encoding="utf-8")
    return config


def renew(config: Path) -> None:
    """Bring the company's files up to now, each in one step; the configuration stays as it is."""
    with tempfile.TemporaryDirectory(dir=config.parent.parent) as fresh:
        sample.write(Path(fresh), datetime.now(UTC))
        for file in sorted(path for path in Path(fresh).rglob("*") if path.is_file()):
            name = file.relative_to(fresh)
            if name.name != config.name:
                (config.parent / name).parent.mkdir(parents=True, exist_ok=True)
                file.replace(config.parent / name)


def keep_up(config: Path, stopped: threading.Event) -> None:
    """Renew the company every RENEW_SECONDS until stopped: else tomorrow would find today cut off at the start."""
    while not stopped.wait(RENEW_SECONDS):
        try:
            renew(config)
        except OSError as error:
            log.warning("the sample company was not brought up to now: %s", error)


def write_history(config: Path, folder: Path, first: date, output: Path) -> int:
    """Write the days from first to yesterday as OpenMetrics; return how many samples these are.

    Raises StartError when `unitcost backfill` fails.
    """
    days = ["--config", str(config), "--from", str(first), "--output", str(output)]
    run("backfill", [sys.executable, "-m", "unitcost", "backfill", *days], folder)
    with output.open("rb") as lines:
        return sum(not line.startswith(b"#") for line in lines)


def bring_in(promtool: str, config: Path, folder: Path, data: Path, say: Callable[[str], None]) -> None:
    """Import the company's last DAYS days until yesterday into Prometheus' folder data; days it has are left alone.

    Prometheus must not run. say takes a line with figures. Raises StartError when a program fails.
    """
    data.mkdir(exist_ok=True)
    marker = data / "imported-until"
    last = datetime.now(UTC).date() - timedelta(1)
    first = last - timedelta(DAYS - 1)
    if marker.exists():
        first = max(first, date.fromisoformat(marker.read_text(encoding="utf-8").strip()) + timedelta(1))
    if first > last:
        say(f"Prometheus has the days until {last} already")
        return
    began = time.monotonic()
    output = folder / "history.txt"
    samples = write_history(config, folder, first, output)
    say(f"wrote {first} to {last}, {samples:,} samples, in {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    _import(promtool, output, data)
    marker.write_text(f"{last}\n", encoding="utf-8")
    say(f"imported {samples:,} samples in {time.monotonic() - began:.1f} s")


def bring_in_cluster(promtool: str, cluster: Cluster, folder: Path, data: Path) -> None:
    """Import the made-up cluster's last day, once. Prometheus must not run. Raises StartError when promtool fails."""
    marker = data / "cluster-imported"
    if not marker.exists():
        output = folder / "cluster.txt"
        write_cluster_history(cluster, output, cluster.started)
        _import(promtool, output, data)
        marker.touch()


def _import(promtool: str, output: Path, data: Path) -> None:
    """Make blocks of a file of samples, and remove it."""
    # With blocks of two hours promtool would read the file anew for each: over five months some ten times slower.
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"]
    run("import", [*command, str(output), str(data)], data.parent)
    output.unlink()
