"""Questions on lines: 10,000 tenants × 90 days × 12 lines, explained for one tenant, and what changed most.

It prints milliseconds of this machine, the best of five, and what they are as a multiple of one plain DuckDB GROUP BY
over all lines by day and component.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import duckdb

from unitcost.ledger.store import Ledger

TENANTS, DAYS, LINES, FEATURES, RUNS = 10_000, 90, 12, 40, 5
FILL = f"""
INSERT INTO line BY NAME
SELECT DATE '2026-08-26' + d::INTEGER AS day, 't' || t AS tenant, 'cluster' AS source, 'service ' || k AS service,
    ['compute', 'storage', 'ai', 'network', 'database', 'gpu'][1 + (k % 6)::INTEGER] AS component, 'sku ' || k AS item,
    (hash(t, k) % {FEATURES})::INTEGER AS dims, 'k8s/prod' AS scope, 0 AS via, 'billed' AS basis, 'hours' AS unit,
    (hash(d, t, k) % 1000 / 7.0)::DECIMAL(38, 12) AS quantity,
    (hash(d, t, k) % 100000 / 7.0)::DECIMAL(38, 12) AS amount,
    (hash(d, t, k) % 100000 / 6.0)::DECIMAL(38, 12) AS list_amount
FROM range({DAYS}) a(d), range({TENANTS}) b(t), range({LINES}) e(k)
"""
PLAIN = "SELECT day, component, sum(amount) FROM line GROUP BY ALL"
EXPLAIN = """
SELECT source, component, service, item, dims, via, basis, unit, sum(quantity), sum(amount), sum(list_amount) FROM line
WHERE tenant = 't4711' AND day BETWEEN DATE '2026-10-25' AND DATE '2026-11-23' GROUP BY ALL
"""
CHANGES = """
WITH change AS (
    SELECT tenant, component, dims, sum(CASE WHEN day >= DATE '2026-10-25' THEN amount ELSE -amount END) AS amount
    FROM line WHERE day BETWEEN DATE '2026-09-25' AND DATE '2026-11-23' GROUP BY ALL
)
SELECT c.tenant, c.component, s.dimensions['feature'] AS feature, sum(c.amount) AS amount
FROM change c JOIN dimension_set s ON s.id = c.dims GROUP BY ALL ORDER BY abs(sum(c.amount)) DESC LIMIT 20
"""


def best(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    """Return the shortest of several runs, in seconds."""
    times = []
    for _ in range(RUNS):
        before = time.perf_counter()
        assert connection.execute(sql).fetchall()
        times.append(time.perf_counter() - before)
    return min(times)


def main() -> None:
    """Write the lines, and ask."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        with ledger.transaction() as connection:
            connection.execute(
                f"INSERT INTO dimension_set SELECT i, MAP {{'feature': 'f' || i}} FROM range(1, {FEATURES}) r(i)"
            )
            connection.execute(FILL)
        ledger.close()
        ledger = Ledger(Path(folder))
        size = (Path(folder) / "ledger.duckdb").stat().st_size / 2**20
        with ledger.transaction() as connection:
            plain, explain, changes = (best(connection, sql) for sql in (PLAIN, EXPLAIN, CHANGES))
        ledger.close()
    print(f"{TENANTS:,} tenants × {DAYS} days × {LINES} lines, {size:,.0f} MiB; plain GROUP BY {plain * 1000:.0f} ms")
    for name, spent in (("explain one tenant's 30 days", explain), ("the 20 largest changes of 30 days", changes)):
        print(f"{name}: {spent * 1000:.0f} ms, {spent / plain:.2f} times the plain GROUP BY")


if __name__ == "__main__":
    main()
