"""The same FOCUS rows through cloud-cost-allocation 2.3.4 and through a whole first refresh, as rows per second.

It allocates rows of a CSV to the service that a tag names; a refresh reads, stores, derives and renders them. Both
start from the same daily charges of 1,000 tenants, each in a process of its own; we from Parquet too, which it cannot
read. The other one is installed into a temporary environment, for which PyPI must answer.
"""

from __future__ import annotations

import subprocess
import tempfile
import venv
from pathlib import Path

import duckdb

from bench.bill import TENANTS, measured

ROWS = 1_000_000
BILLS = ("bill.csv", "bill.parquet")
PEER = ("cloud-cost-allocation==2.3.4", "python-dateutil==2.9.0.post0", "requests", "validators")
CONFIG = """[General]
DateFormat = %%Y-%%m-%%d
DefaultService = -
Amounts = AmortizedCost
AllocationKeys = Key
AmountAllocationKeys = AmortizedCost:Key
[TagKey]
Service = tenant
[FocusUnusedCommitment]
UnusedCommitmentService = unused
"""
DRIVER = """
import resource, sys, time
from configparser import ConfigParser
from cloud_cost_allocation.cloud_cost_allocator import CloudCostAllocator
from cloud_cost_allocation.config import Config
from cloud_cost_allocation.cost_items import CostItemFactory
from cloud_cost_allocation.reader.csv_focus_reader import CSV_FocusReader
from cloud_cost_allocation.utils.utils import read_csv
began = time.perf_counter()
given = ConfigParser()
given.read(sys.argv[1])
factory = CostItemFactory(Config(given))
items = []
read_csv(sys.argv[2], CSV_FocusReader(factory), items)
allocator = CloudCostAllocator(factory)
allocator.currency, allocator.date_str = items[0].currency, items[0].date_str
assert allocator.allocate([], items, ["AmortizedCost"]) and len(items) == int(sys.argv[3]), len(items)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def write(folder: Path) -> None:
    """Write a day of charges, the same rows as CSV and as Parquet: one tag each, costs with ten decimals."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            COPY (
                SELECT 'USD' AS BillingCurrency, '2026-10-01T00:00:00Z' AS BillingPeriodStart,
                    '2026-11-01T00:00:00Z' AS BillingPeriodEnd, '2026-10-05T00:00:00Z' AS ChargePeriodStart,
                    '2026-10-06T00:00:00Z' AS ChargePeriodEnd, 'Usage' AS ChargeCategory,
                    'NULL' AS CommitmentDiscountStatus,
                    (hash(n) % 9000000 / 1e10)::DECIMAL(20, 10) AS EffectiveCost, EffectiveCost AS ContractedCost,
                    'service ' || (n % 10) AS ServiceName, 'Compute' AS ServiceCategory, 'i-' || n AS ResourceId,
                    '{{"tenant": "tenant-' || (hash(n, 2) % {TENANTS}) || '"}}' AS Tags
                FROM range({ROWS}) r(n)
            ) TO '{folder / BILLS[0]}' (FORMAT csv, QUOTE '"', ESCAPE '"')
            """
        )
        connection.execute(f"COPY (FROM read_csv('{folder / BILLS[0]}')) TO '{folder / BILLS[1]}' (FORMAT parquet)")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        (folder / "peer.ini").write_text(CONFIG)
        (folder / "driver.py").write_text(DRIVER)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", *PEER], check=True)
        given = [str(python), str(folder / "driver.py"), str(folder / "peer.ini"), str(folder / BILLS[0]), str(ROWS)]
        seconds, peak = map(float, subprocess.run(given, check=True, capture_output=True, text=True).stdout.split())
        print(f"{ROWS:,} FOCUS rows, {TENANTS:,} tenants")
        print(f"cloud-cost-allocation 2.3.4, {BILLS[0]}: {ROWS / seconds:,.0f} rows/s, {peak:,.0f} MiB")
        for bill in BILLS:
            (folder / "unitcost.yaml").write_text(f"sources: {{bill: {{type: focus, path: {bill}}}}}\n")
            ours, mine = measured(folder, bill, "whole")
            print(f"whole first refresh, {bill}: {ROWS / ours:,.0f} rows/s, {mine:,.0f} MiB")
            print(f"rows per second / those of cloud-cost-allocation: {seconds / ours:.0f}")


if __name__ == "__main__":
    main()
