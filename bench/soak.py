"""Lets `unitcost serve` run with 2,500 tenants, a refresh every 10 s and a scrape a second, and looks at its memory.

    python -m bench.soak [--minutes M] [--tenants N] [--every SECONDS]

Every refresh finds another bill, usage and revenue: 40 days of costs in four components, usage and MRR of each tenant,
of which the newest days change. Prints the resident memory by thirds of the time (mean and peak, MiB), the size of
state_dir by thirds and at its largest (MB), and how many scrapes there were, with the slowest. Linux only.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import requests

DAYS = 40
COMPONENTS = ("Amazon EC2", "Amazon S3", "Amazon RDS", "Amazon Bedrock")
CONFIG = """
history: {days}d
refresh: {{every: {every}s}}
copies: {{every: 2m, keep: 2}}
limits: {{tenants: 3000}}
sources:
  bill:    {{type: focus, path: exports, missing_days: zero}}
  revenue: {{type: csv_revenue, path: mrr.csv}}
  usage:   {{type: csv_usage, path: usage.csv}}
sharing:
  - {{match: {{service: Amazon RDS}}, by: requests}}
"""


def write(path: Path, lines: Sequence[str]) -> None:
    """Put a file in place whole."""
    draft = path.with_suffix(".draft")
    draft.write_text("\n".join(lines) + "\n")
    draft.replace(path)


def month(first: date, last: date, tenants: int, salt: int) -> list[str]:
    """Return the lines of a billing period as FOCUS CSV; the amounts of its last three days depend on the salt."""
    begin = f"{first.replace(day=1)}T00:00:00Z"
    lines = ["BillingPeriodStart,ChargePeriodStart,BillingCurrency,EffectiveCost,ServiceName,Tags"]
    for back in range((last - first).days + 1):
        day = last - timedelta(back)
        changing = salt if back <= 2 else 0
        for tenant in range(tenants):
            service = COMPONENTS[(tenant + back) % len(COMPONENTS)]
            amount = (tenant * 7919 + back * 31 + changing) % 10_000 / 100
            lines.append(f'{begin},{day}T00:00:00Z,USD,{amount},{service},"{{""tenant"": ""t{tenant}""}}"')
    return lines


def write_all(folder: Path, tenants: int, salt: int) -> None:
    """Write the company's files as of now; the first time (salt 0) also what does not change."""
    today = datetime.now(UTC).date()
    first = today - timedelta(DAYS)
    start = today.replace(day=1)
    if salt == 0:
        (folder / "exports").mkdir()
        write(folder / "exports" / "before.csv", month(first, start - timedelta(1), tenants, 0))
    write(folder / "exports" / "now.csv", month(start, today, tenants, salt))
    write(folder / "mrr.csv", ["tenant,mrr", *(f"t{n},{50 + (n + salt) % 100}" for n in range(tenants))])
    days = [today - timedelta(back) for back in range(7)]
    write(
        folder / "usage.csv",
        [
            "day,tenant,measure,quantity",
            *(f"{day},t{n},requests,{(n * 31 + salt * (day == today)) % 1000}" for day in days for n in range(tenants)),
        ],
    )


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def size(folder: Path) -> float:
    """Return how many MB the files of a folder have."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a draft that has taken its name
            continue
    return total / 1e6


def run(folder: Path, minutes: float, tenants: int, every: int) -> None:
    """Serve and scrape for so long; print what was seen."""
    (folder / "unitcost.yaml").write_text(CONFIG.format(days=DAYS, every=every))
    write_all(folder, tenants, 0)
    log = folder / "serve.log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "unitcost", "serve", "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
    try:
        while (found := re.search(r"serving on (\S+)", log.read_text())) is None:
            time.sleep(0.1)
        while requests.get(f"{found[1]}/-/ready", timeout=10).status_code != requests.codes.ok:
            time.sleep(0.5)
        begin, changed, salt = time.monotonic(), 0.0, 0
        samples: list[tuple[float, float]] = []
        slowest = 0.0
        stamps = set()
        while (now := time.monotonic() - begin) < minutes * 60:
            if now - changed > every:
                changed, salt = now, salt + 1
                write_all(folder, tenants, salt)
            asked = time.monotonic()
            text = requests.get(f"{found[1]}/metrics", timeout=30).text
            slowest = max(slowest, time.monotonic() - asked)
            stamps.add(re.search(r"^unitcost_snapshot_timestamp_seconds (\S+)", text, re.MULTILINE)[1])  # type: ignore[index]
            samples.append((resident(process.pid), size(folder / "state")))
            time.sleep(max(0.0, 1 - (time.monotonic() - asked)))
        healthy = requests.get(f"{found[1]}/-/healthy", timeout=10).status_code
    finally:
        process.terminate()
        code = process.wait()
    third = len(samples) // 3
    print(f"{tenants:,} tenants, {minutes:g} minutes: {len(stamps)} publications, {salt} changes of the files")
    for number, name in enumerate(("first", "second", "last")):
        part = samples[number * third : (number + 1) * third]
        memory, state = zip(*part, strict=True)
        print(
            f"{name} third: memory {statistics.mean(memory):,.0f} MiB, at most {max(memory):,.0f} MiB;"
            f" state_dir {statistics.mean(state):,.0f} MB, at most {max(state):,.0f} MB"
        )
    print(f"{len(samples)} scrapes, the slowest {slowest:.2f} s; healthy {healthy}; exit code {code}")
    warnings = [line for line in log.read_text().splitlines() if " WARNING " in line or " ERROR " in line]
    print(f"{len(warnings)} warnings and errors in the log{': ' + warnings[0][:200] if warnings else ''}")


def main() -> None:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--tenants", type=int, default=2500)
    parser.add_argument("--every", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), args.minutes, args.tenants, args.every)


if __name__ == "__main__":
    main()
