"""Derivation of 10,000 tenants × 90 days × 6 components: all of it, and the usual refresh of 3 changed days.

And the refresh after that, in which nothing is new. Run alone it prints seconds of this machine and what they are as a
multiple of one plain DuckDB GROUP BY over the same cost rows, the best of three; and what the bare writing of the
derived rows takes, which no derivation goes below. Each case runs in its own process, so that its peak memory is its
own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.config.sections import Limits
from unitcost.economics.windows import look
from unitcost.facts import Batch, Query
from unitcost.ledger.derive import DAY_TABLES, Model, derive
from unitcost.ledger.store import Ledger
from unitcost.metrics.exposition import written
from unitcost.metrics.families import families, renewed
from unitcost.metrics.state import ExporterState
from unitcost.run.setup import terms
from unitcost.web.snapshot import Snapshot

TENANTS, DAYS = 10_000, 90
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIRST = NOW.date() - timedelta(days=DAYS - 1)
RATES = {"USD": Decimal(1)}
MODEL = Model(
    sources=[("bill", "bill", True), ("usage", "usage", True), ("revenue", "revenue", True)],
    billed_by=[],
    rates=[("USD", Decimal(1))],
    aliases=[],
    rules=[
        (0, {"component": "idle"}, "direct_cost", None),
        (1, {"component": "database"}, "measure", "requests"),
        (2, {"component": "support"}, "even", None),
    ],
    fixed=[],
    dimensions=[],
)
COMPONENTS = "['compute', 'ai', 'storage']"
SHARED = "['idle', 'database', 'support']"


def cost(first: date, last: date, salt: int) -> Query:
    """Three components of direct cost a tenant and day, and three to share: six components for every tenant."""
    return Query(
        f"""
        SELECT d::DATE AS day, 't' || t AS tenant, 's' AS service, c AS category,
            (hash(d, t, c, {salt}) % 100000 / 7.0)::DECIMAL(38, 12) AS amount, 'USD' AS currency
        FROM generate_series(?::DATE, ?::DATE, INTERVAL 1 DAY) a(d), range({TENANTS}) b(t), unnest({COMPONENTS}) e(c)
        UNION ALL
        SELECT d::DATE, NULL, 's', c, (hash(d, c, {salt}) % 100000000 / 7.0)::DECIMAL(38, 12), 'USD'
        FROM generate_series(?::DATE, ?::DATE, INTERVAL 1 DAY) a(d), unnest({SHARED}) e(c)
        """,
        [first, last, first, last],
    )


def usage(first: date, last: date) -> Query:
    """One measure a tenant and day."""
    return Query(
        f"""
        SELECT d::DATE AS day, 't' || t AS tenant, 'requests' AS measure,
            (hash(d, t) % 100000)::DECIMAL(38, 12) AS quantity
        FROM generate_series(?::DATE, ?::DATE, INTERVAL 1 DAY) a(d), range({TENANTS}) b(t)
        """,
        [first, last],
    )


def fill(ledger: Ledger, first: date, last: date, salt: int) -> None:
    """Store the days as batches of a day each, as sources do."""
    for n in range((last - first).days + 1):
        day = first + timedelta(n)
        batch = Batch(day.isoformat(), [day], cost=cost(day, day, salt))
        ledger.put("bill", "", batch, NOW, RATES)
        ledger.put("usage", "", Batch(day.isoformat(), [day], usage=usage(day, day)), NOW, RATES)
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    mrr = Query(
        f"""
        SELECT ?::DATE AS first_day, 't' || t AS tenant, 100::DECIMAL(38, 12) AS mrr, 'USD' AS currency, 'pro' AS plan
        FROM range({TENANTS}) b(t)
        """,
        [FIRST],
    )
    ledger.put("revenue", "", Batch("all", days if salt == 0 else [*all_days()], revenue=mrr), NOW, RATES)


def group_by(ledger: Ledger) -> float:
    """Time one plain GROUP BY of the cost rows."""
    before = time.perf_counter()
    ledger.rows("SELECT day, tenant, category, sum(amount) FROM cost GROUP BY ALL ORDER BY ALL LIMIT 1")
    return time.perf_counter() - before


def copying(ledger: Ledger) -> float:
    """Time the bare writing of all that was derived: a copy of each table in the same file."""
    before = time.perf_counter()
    with ledger.transaction() as connection:
        for table in DAY_TABLES:
            connection.execute(f"CREATE TABLE copy_of_{table} AS FROM {table}")
    return time.perf_counter() - before


def all_days() -> list[date]:
    """Every day of the history."""
    return [FIRST + timedelta(n) for n in range(DAYS)]


def timed(case: str) -> None:
    """Run one case; print seconds for days, windows, rendering, and that again; peak MiB; a plain GROUP BY, a copy."""
    config = Config.model_construct(limits=Limits(), windows=("1d", "30d", "mtd", "last_month"))
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        fill(ledger, FIRST, NOW.date(), 0)
        if case == "refresh":
            derive(ledger, MODEL, NOW, timedelta(days=DAYS))
            fill(ledger, NOW.date() - timedelta(2), NOW.date(), 1)
        laps = [time.perf_counter()]
        days = derive(ledger, MODEL, NOW, timedelta(days=DAYS))
        laps.append(time.perf_counter())
        look(ledger, terms(config, Directory()), NOW)
        laps.append(time.perf_counter())
        state = ExporterState({}, NOW, with_directory=False)
        told = written(families(ledger, state))
        Snapshot.of(told, "", NOW)
        laps.append(time.perf_counter())
        Snapshot.of(renewed(told, state), "", NOW)
        laps.append(time.perf_counter())
        assert len(days) == (3 if case == "refresh" else DAYS), days
        plain = min(group_by(ledger) for _ in range(3))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(*(end - start for start, end in pairwise(laps)), peak, plain, copying(ledger))
        ledger.close()


def main() -> None:
    """Run every case in its own process and print the table."""
    print(f"{TENANTS:,} tenants × {DAYS} days × 6 components, limit 2,000 tenants")
    for case, text in (("full", "full derivation"), ("refresh", "usual refresh, 3 days changed")):
        out = subprocess.run([sys.executable, __file__, case], check=True, capture_output=True, text=True).stdout
        days, windows, rendering, again, peak, plain, copy = (float(part) for part in out.split())
        whole = days + windows + rendering
        print(
            f"{text}: {whole:.2f} s (days {days:.2f}, windows {windows:.2f}, rendering {rendering:.2f}),"
            f" {whole / plain:.1f} times one plain GROUP BY of the cost rows; peak {peak:,.0f} MiB in all"
        )
        print(f"    and again without news: {again:.2f} s, {again / whole:.3f} of it")
        if case == "full":
            least = f"{copy / plain:.1f} times the GROUP BY"
            print(f"    days: {days / copy:.1f} times the bare writing of what is derived, which is {least}")


if __name__ == "__main__":
    timed(sys.argv[1]) if len(sys.argv) > 1 else main()
