"""Backfill of 90 days with 500 and 2,000 tenants × 6 components, and the import of the file by promtool.

Run alone it prints seconds of this machine, the same as multiples of promtool's import (0 where there is no promtool),
and peak memory; each case runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from unitcost.cli.backfill import write
from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.facts import Batch, Query
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.store import Ledger
from unitcost.metrics.history import Past
from unitcost.run.setup import terms

DAYS = 90
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIRST = NOW.date() - timedelta(days=DAYS)
MODEL = Model(
    sources=[("bill", "bill", True), ("usage", "usage", True), ("revenue", "revenue", True)],
    billed_by=[],
    rates=[("USD", Decimal(1))],
    aliases=[],
    rules=[(0, {"component": "idle"}, "direct_cost", None), (1, {"component": "database"}, "measure", "requests")],
    fixed=[],
    dimensions=[],
)
COMPONENTS = "['compute', 'ai', 'storage', 'network']"


def fill(ledger: Ledger, tenants: int) -> list[date]:
    """Fill 90 days: four components of direct cost a tenant and day and two to share, requests, users and MRR."""
    days = [FIRST + timedelta(n) for n in range(DAYS)]
    span = [FIRST, days[-1]]
    cost = Query(
        f"""
        SELECT d::DATE AS day, 't' || t AS tenant, 's' AS service, c AS category,
            (hash(d, t, c) % 100000 / 7.0)::DECIMAL(38, 12) AS amount, 'USD' AS currency
        FROM generate_series(?::DATE, ?::DATE, INTERVAL 1 DAY) a(d), range({tenants}) b(t), unnest({COMPONENTS}) e(c)
        UNION ALL
        SELECT d::DATE, NULL, 's', c, (hash(d, c) % 100000000 / 7.0)::DECIMAL(38, 12), 'USD'
        FROM generate_series(?::DATE, ?::DATE, INTERVAL 1 DAY) a(d), unnest(['idle', 'database']) e(c)
        """,
        [*span, *span],
    )
    usage = Query(
        f"""
        SELECT d::DATE AS day, 't' || t AS tenant, m AS measure, (hash(d, t, m) % 100000)::DECIMAL(38, 12) AS quantity
        FROM generate_series(?::DATE, ?::DATE, INTERVAL 1 DAY) a(d), range({tenants}) b(t),
            unnest(['requests', 'active_users', 'ai_requests']) e(m)
        """,
        span,
    )
    mrr = Query(
        "SELECT ?::DATE AS first_day, 't' || t AS tenant, 100::DECIMAL(38, 12) AS mrr, 'USD' AS currency, 'pro' AS plan"
        f" FROM range({tenants}) b(t)",
        [FIRST],
    )
    rates = {"USD": Decimal(1)}
    ledger.put("bill", "", Batch("all", days, cost=cost), NOW, rates)
    ledger.put("usage", "", Batch("all", days, usage=usage), NOW, rates)
    ledger.put("revenue", "", Batch("all", days, revenue=mrr), NOW, rates)
    return days


def timed(tenants: int) -> None:
    """Run one case; print samples, seconds for the days, the file and its import, and peak MiB."""
    config = Config.model_validate({"sources": {}, "budgets": {"default": {"share_of_mrr": 0.5}}})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = Ledger(folder)
        days = fill(ledger, tenants)
        derive(ledger, MODEL, NOW, timedelta(days=DAYS))
        started = time.perf_counter()
        past = Past(ledger, terms(config, Directory()))
        for day in days:
            past.add(day)
        looked = time.perf_counter()
        with (folder / "past.om").open("wb") as file:
            write(past, file)
        written = time.perf_counter()
        ledger.close()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with (folder / "past.om").open("rb") as file:
            samples = sum(not line.startswith(b"#") for line in file)
        before = time.perf_counter()
        if shutil.which("promtool") is not None:
            command = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics"]
            subprocess.run([*command, str(folder / "past.om"), str(folder / "tsdb")], check=True, capture_output=True)
            imported = time.perf_counter() - before
        else:
            imported = 0.0
    print(samples, looked - started, written - looked, imported, peak)


def main() -> None:
    """Run every case in its own process and print the table."""
    for tenants in (500, 2_000):
        out = subprocess.run([sys.executable, __file__, str(tenants)], check=True, capture_output=True, text=True)
        samples, looked, written, imported, peak = (float(part) for part in out.stdout.split())
        whole = looked + written
        ratio = whole / imported if imported else 0.0
        print(
            f"{tenants:,} tenants × {DAYS} days, {samples:,.0f} samples: {whole:.1f} s (windows {looked:.1f}, file"
            f" {written:.1f}), {ratio:.1f} times promtool's import ({imported:.1f} s); peak {peak:,.0f} MiB"
        )


if __name__ == "__main__":
    timed(int(sys.argv[1])) if len(sys.argv) > 1 else main()
