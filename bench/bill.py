"""One and ten million FOCUS rows as Parquet and CSV.gz, 1,000 tenants: a whole refresh against the bare GROUP BY."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from unitcost.config.load import load
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

SIZES, TENANTS, RESOURCES, RUNS = (1_000_000, 10_000_000), 1_000, 50_000, 3
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BARE = """
SELECT json_extract_string(Tags, '$."tenant"') AS tenant, CAST(ChargePeriodStart AS DATE) AS day, ServiceName,
    ServiceCategory, BillingCurrency, sum(EffectiveCost) AS cost
FROM {read}(?) GROUP BY ALL
"""
READERS = {"bill.parquet": "read_parquet", "bill.csv.gz": "read_csv"}
"""File → how DuckDB reads it."""


def write_bill(path: Path, rows: int) -> None:
    """Write a month of hourly rows: 90 % with a tenant tag, ten services, costs with ten decimals."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            COPY (
                SELECT
                    'acct' AS BillingAccountId, 'USD' AS BillingCurrency,
                    TIMESTAMP '2026-10-01' AS BillingPeriodStart, TIMESTAMP '2026-11-01' AS BillingPeriodEnd,
                    TIMESTAMP '2026-10-01' + INTERVAL 1 HOUR * (n % 744) AS ChargePeriodStart,
                    TIMESTAMP '2026-10-01' + INTERVAL 1 HOUR * (n % 744 + 1) AS ChargePeriodEnd,
                    'Usage' AS ChargeCategory, NULL::VARCHAR AS ChargeClass,
                    (hash(n) % 10000000 / 1e10)::DECIMAL(20, 10) AS BilledCost,
                    (hash(n) % 9000000 / 1e10)::DECIMAL(20, 10) AS EffectiveCost,
                    'AWS' AS ProviderName, 'service ' || (hash(n, 1) % 10) AS ServiceName,
                    ['Compute', 'Storage', 'Databases', 'Networking', 'Other'][1 + (hash(n, 1) % 5)::INT]
                        AS ServiceCategory,
                    'arn:aws:ec2:us-east-1:1:instance/i-' || resource AS ResourceId,
                    CASE WHEN resource % 10 > 0 THEN '{{"Name": "web-' || resource || '", "application": "app-'
                        || (resource % 40) || '", "environment": "production", "team": "team-' || (resource % 7)
                        || '", "tenant": "tenant-' || (resource % {TENANTS}) || '"}}'
                        ELSE '{{"Name": "shared-' || resource || '", "team": "core"}}' END AS Tags
                FROM (SELECT n, hash(n, 2) % {RESOURCES} AS resource FROM range({rows}) r(n))
            ) TO '{path}' (FORMAT {"parquet" if path.suffix == ".parquet" else "csv"})
            """
        )


def bare(path: Path) -> float:
    """Time the GROUP BY alone, its result kept in a table."""
    with duckdb.connect() as connection:
        before = time.perf_counter()
        connection.execute(f"CREATE TABLE result AS {BARE.format(read=READERS[path.name])}", [str(path)])
        return time.perf_counter() - before


def whole(folder: Path) -> tuple[float, Decimal]:
    """Time a first refresh: read, store, derive, render; return seconds and the total served."""
    config, directory = load(folder / "unitcost.yaml")
    ledger = Ledger(folder / f"state-{time.monotonic_ns()}")
    current = Current()
    refresher = Refresher(config, directory, ledger, current, lambda: NOW)
    before = time.perf_counter()
    good = refresher.refresh()
    spent = time.perf_counter() - before
    assert good, refresher.runners[0].problems
    [(total,)] = ledger.rows("SELECT sum(amount) FROM counted_day")
    ledger.close()
    return spent, total


def one(bill: Path, case: str) -> None:
    """Run one case in this process and print seconds and peak memory."""
    if case == "bare":
        spent = bare(bill)
    else:
        spent, total = whole(bill.parent)
        reader = READERS.get(bill.name, "read_csv")
        with duckdb.connect() as connection:
            cost = "CAST(EffectiveCost AS DECIMAL(38, 10))"
            found = connection.execute(f"SELECT sum({cost}) FROM {reader}(?)", [str(bill)]).fetchone()
        assert found is not None
        assert total == found[0], (total, found)
    print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(folder: Path, bill: str, case: str) -> tuple[float, float]:
    """Run one case in a process of its own; return seconds and peak memory in MiB."""
    command = [sys.executable, "-m", "bench.bill", str(folder / bill), case]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def compare(rows: int, bill: str) -> None:
    """Run both cases in turn, each in its own process, and print the ratio of the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bill(folder / bill, rows)
        (folder / "unitcost.yaml").write_text(
            f"sources: {{bill: {{type: focus, path: {bill}, cost: EffectiveCost}}}}\nlimits: {{tenants: 2000}}\n"
        )
        times: dict[str, list[float]] = {"bare": [], "whole": []}
        peaks: dict[str, float] = {}
        for _ in range(RUNS):
            for case, spent in times.items():
                seconds, peaks[case] = measured(folder, bill, case)
                spent.append(seconds)
    groupby, refresh = (statistics.median(spent) for spent in times.values())
    print(f"{rows:,} FOCUS rows in {bill}, {TENANTS:,} tenants, median of {RUNS}, each in its own process")
    print(f"bare GROUP BY {groupby:.2f} s, {rows / groupby:,.0f} rows/s, {peaks['bare']:,.0f} MiB")
    print(f"whole refresh {refresh:.2f} s, {rows / refresh:,.0f} rows/s, {peaks['whole']:,.0f} MiB")
    print(f"whole refresh / bare GROUP BY: {refresh / groupby:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(Path(sys.argv[1]), sys.argv[2])
    else:
        for size in SIZES:
            for kind in READERS:
                compare(size, kind)
