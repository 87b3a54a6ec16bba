"""The same bill of a million rows through DuckDB, Spark and Trino: the same rows, the same decimals, or it fails.

`make engines`, or `python -m bench.engines.compare [ROWS [ENGINE ...]]` with pyspark and Java 17 or later. TRINO_HOME
names a folder with Trino's jars, TRINO_JAVA a Java 25 (its program `java`); without them Trino is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import trino

from tests.fakes.processes import free_port
from tests.fakes.stored import MemoryStored, asked, rows, utc
from unitcost.facts import Batch, Cost
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

HERE = Path(__file__).parent
NOW, FIRST = utc(2026, 11, 23, 12), date(2026, 10, 1)
CONTEXT = Context(tenant_keys=("tenant", "team's.own"), dimensions=("cost-center",), metered=True)
TENANTS, RESOURCES = 200, 100
START = 180.0
"""Seconds until a server is up."""

CHARGES = """
SELECT 'USD' AS BillingCurrency, TIMESTAMP '2026-10-01' AS BillingPeriodStart,
    TIMESTAMP '2026-11-01' AS BillingPeriodEnd, start AS ChargePeriodStart,
    CASE n % 97 WHEN 0 THEN TIMESTAMP '2026-11-01' WHEN 1 THEN NULL ELSE start + INTERVAL 1 HOUR END AS ChargePeriodEnd,
    CASE n % 53 WHEN 0 THEN 'Purchase' WHEN 1 THEN 'Credit' WHEN 2 THEN 'Tax' ELSE 'Usage' END AS ChargeCategory,
    CASE n % 101 WHEN 0 THEN 'Correction' WHEN 1 THEN 'NULL' END AS ChargeClass, 'AWS' AS ProviderName,
    CASE n % 11 WHEN 0 THEN 'Amazon Elastic Kubernetes Service (EKS)' ELSE 'service ' || (hash(n, 1) % 10) END
        AS ServiceName,
    ['Compute', 'Storage', 'Databases', 'Networking', 'Other'][1 + (hash(n, 1) % 5)::INT] AS ServiceCategory,
    CASE n % 11 WHEN 0 THEN 'arn:aws:eks:eu-central-1:1:cluster/prod' WHEN 1 THEN '' WHEN 2 THEN 'NULL'
        ELSE 'arn:aws:ec2:eu-central-1:1:instance/i-' || (hash(n, 2) % {resources}) END AS ResourceId,
    CASE n % 89 WHEN 0 THEN 'Unused' WHEN 1 THEN 'Used' END AS CommitmentDiscountStatus,
    CASE n % 89 WHEN 0 THEN ['', 'sp-1'][1 + (n % 2)::INT] WHEN 1 THEN 'sp-1' END AS CommitmentDiscountId,
    CASE WHEN n % 1009 = 0 THEN -1234567.891 ELSE (hash(n) % 9000000 / 1e10)::DOUBLE END AS cost, n
FROM (SELECT n, TIMESTAMP '2026-10-01' + INTERVAL 1 HOUR * (n % 744) + INTERVAL 1 MINUTE * (n % 3 * 20) AS start
    FROM range({rows}) r(n))
"""
TAGS = """
CASE n % 13 WHEN 0 THEN NULL WHEN 1 THEN MAP {} WHEN 2 THEN MAP {'tenant': ''} WHEN 3 THEN MAP {'tenant': 'NULL'}
    WHEN 4 THEN MAP {'kubernetes.io/cluster/prod': 'owned', 'team''s.own': 'Ünïts "r" us'}
    WHEN 5 THEN MAP {'kubernetes.io/service': 'x', 'tenant': 'a\\b'}
    ELSE MAP {'tenant': 'tenant-' || (hash(n, 3) % %TENANTS%), 'cost-center': 'c' || (n % 7),
        'aws:eks:cluster-name': ['', 'prod', 'dev'][1 + (n % 3)::INT]} END
""".replace("%TENANTS%", str(TENANTS))

SHAPES = {
    "aws": """
        SELECT * EXCLUDE (cost, n), cost AS EffectiveCost, cost * 2 AS ListCost, cost AS BilledCost, {tags} AS Tags""",
    "azure": """
        SELECT * EXCLUDE (cost, n) REPLACE (
            strftime(BillingPeriodStart, '%Y-%m-%dT%H:%M:%SZ') AS BillingPeriodStart,
            strftime(BillingPeriodEnd, '%Y-%m-%dT%H:%M:%SZ') AS BillingPeriodEnd,
            strftime(ChargePeriodStart, '%Y-%m-%dT%H:%M:%SZ') AS ChargePeriodStart,
            strftime(ChargePeriodEnd, '%Y-%m-%dT%H:%M:%SZ') AS ChargePeriodEnd),
            CASE n % 211 WHEN 0 THEN 'NULL' ELSE CAST(cost / 3 AS DECIMAL(30, 17))::VARCHAR END AS EffectiveCost,
            cost::VARCHAR AS BilledCost, CAST(to_json({tags}) AS VARCHAR) AS Tags""",
    "exact": """
        SELECT * EXCLUDE (cost, n), cost::DECIMAL(28, 10) AS EffectiveCost, cost::DECIMAL(28, 10) AS ListCost,
            cost::DECIMAL(28, 10) AS BilledCost, {tags} AS Tags""",
}
"""AWS: MAPs and doubles. Azure: everything is text. An engine's own: MAPs and decimals."""
TRINO_TYPES = {"VARCHAR": "varchar", "TIMESTAMP": "timestamp(3)", "DOUBLE": "double"}


def write(folder: Path, count: int) -> None:
    """Write the bill in each shape, FOLDER/SHAPE/bill.parquet."""
    with duckdb.connect() as connection:
        for name, shape in SHAPES.items():
            (folder / name).mkdir()
            selected = shape.replace("{tags}", TAGS)
            source = CHARGES.replace("{rows}", str(count)).replace("{resources}", str(RESOURCES))
            connection.execute(
                f"COPY ({selected} FROM ({source})) TO '{folder / name / 'bill.parquet'}' (FORMAT parquet)"
            )


def read(settings: dict[str, Any]) -> tuple[float, list[Cost], Batch]:
    """Ask a bill once; return the seconds, its rows in order, and the batch without them."""
    checked = FocusSettings.model_validate({"type": "focus", **settings}, context={"folder": Path()})
    source = Focus("bill", checked, CONTEXT)
    began = time.perf_counter()
    found = list(source.batches(asked(NOW, FIRST, MemoryStored(NOW))))
    batches = [one for one in found if isinstance(one, Batch) and not one.empty]
    assert len(batches) == 1, found
    costs = rows(Cost, batches[0].cost)
    spent = time.perf_counter() - began
    return spent, sorted(costs, key=lambda cost: repr({**asdict(cost), "amount": ""})), batches[0]


@contextmanager
def server(command: list[str]) -> Iterator[None]:
    """Run a server until the block ends; it is up when it says ready."""
    with (
        tempfile.NamedTemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + START
            while "ready" not in Path(log.name).read_text(errors="replace"):
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.5)
            yield
        finally:
            process.kill()


@contextmanager
def spark(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the settings of a Spark Connect server with the tables."""
    port = free_port()
    with server([sys.executable, str(HERE / "spark_server.py"), str(folder), str(port)]):
        yield {"type": "spark", "url": f"sc://127.0.0.1:{port}"}


@contextmanager
def trino_server(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the settings of a Trino server with the tables."""
    port = free_port()
    home = Path(os.environ["TRINO_HOME"])
    java = [os.environ["TRINO_JAVA"], "-Xmx3g", "--add-modules", "jdk.incubator.vector"]
    java += ["--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", f"{home}/*"]
    with server([*java, str(HERE / "Trino.java"), str(folder), str(port)]):
        connection = trino.dbapi.Connection(host="127.0.0.1", port=port, user="bench", catalog="hive")
        cursor = connection.cursor()
        cursor.execute("CREATE SCHEMA hive.billing").fetchall()
        for name in SHAPES:
            columns = ", ".join(f"{column} {kind}" for column, kind in trino_columns(folder / name / "bill.parquet"))
            cursor.execute(
                f"CREATE TABLE hive.billing.{name} ({columns})"
                f" WITH (external_location = 'local:///{name}', format = 'PARQUET')"
            ).fetchall()
        cursor.close()
        yield {"type": "trino", "url": f"http://127.0.0.1:{port}"}


def trino_columns(path: Path) -> Iterator[tuple[str, str]]:
    """Yield a file's columns with Trino's types."""
    with duckdb.connect() as connection:
        for name, kind, *_ in connection.execute(f"DESCRIBE FROM '{path}'").fetchall():
            yield name, "map(varchar, varchar)" if kind.startswith("MAP") else TRINO_TYPES.get(kind, kind.lower())


def same(engine: str, found: tuple[float, list[Cost], Batch], expected: tuple[float, list[Cost], Batch]) -> None:
    """Fail where an engine's rows or days are not DuckDB's."""
    assert list(found[2].days) == list(expected[2].days), engine
    assert len(found[1]) == len(expected[1]), (engine, len(found[1]), len(expected[1]))
    for one, other in zip(found[1], expected[1], strict=True):
        assert one == other, (engine, one, other)


def main(count: int, wanted: Sequence[str]) -> None:
    """Compare, and print the number of rows and each engine's time beside DuckDB's. wanted: engines, default all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write(folder, count)
        expected = {shape: read({"path": str(folder / shape)}) for shape in SHAPES}
        for shape, (spent, costs, batch) in expected.items():
            said = f"{len(costs):,} rows, {len(batch.days)} days known"
            print(f"{shape}: {count:,} rows → {said}; DuckDB {spent:.1f} s", flush=True)
        engines = {"spark": (spark, "billing")}
        if os.environ.get("TRINO_JAVA") and any(Path(os.environ.get("TRINO_HOME", "nowhere")).glob("*.jar")):
            engines["trino"] = trino_server, "hive.billing"
        for engine in wanted or engines:
            started, database = engines[engine]
            with started(folder) as settings:
                for shape in SHAPES:
                    found = read({"engine": {**settings, "table": f"{database}.{shape}"}})
                    same(engine, found, expected[shape])
                    print(
                        f"{shape}: {engine} the same rows and decimals, {found[0] / expected[shape][0]:.1f} × DuckDB",
                        flush=True,
                    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, sys.argv[2:])
