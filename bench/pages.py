"""What each page and panel costs with 2,000 customers and 90 days, on a real Prometheus.

    python -m bench.pages [TENANTS]

Writes a made-up history (a sample a day and series, as `unitcost backfill` does) with the series that the pages read,
and half an hour of scrapes a minute apart, imports both and asks every query as Grafana would: for one customer and for
all. Prints what each page costs, its queries one after the other, as a multiple of one plain query (the sum of all
customers' costs of 30 days, now); then the slowest panels (until the last of a panel's queries is answered, the faster
of two runs) and how many are under 1 s.
Needs prometheus and promtool on PATH and some 3 GB in the temporary folder.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import requests

from dashboards.panels import DAILY
from tests.fakes.pages import DAY, UIDS, filled, page, panels
from tests.fakes.processes import PrometheusServer, prometheus
from unitcost.metrics.catalogue import ALL, EVENT
from unitcost.metrics.exposition import openmetrics_head, timed_lines
from unitcost.metrics.metric import Metric

TENANTS = 2000
DAYS = 91
"""The page's 90 days, and one."""
PLAIN = 'sum(tenant_cost_dollars{window="30d"})'
SCRAPED_MINUTES = 30
LIMIT_SECONDS = 1.0
SLOWEST = 12
QUERIES_AT_ONCE = 10
BLOCK = "744h"

CHOICES = {"dimension": "feature", "period": "30d", "month": "30d"}
"""What is chosen on the pages; a closed month has as many series as any window."""
VALUES = {
    "component": ("compute", "gpu", "database", "storage", "network", "ai", "idle"),
    "window": ("1d", "30d", "mtd", "last_month", "prev_1d", "prev_30d", "prev_mtd", "prev_last_month"),
    "measure": ("requests", "ai_requests", "active_users"),
    "unit": ("ai_requests", "active_users"),
    "bound": ("low", "expected", "high"),
    "plan": ("enterprise", "pro", "starter", "free"),
    "dimension": ("feature", "environment"),
    "value": ("api", "search", "reports", "web", "ingest", "assistant"),
    "source": ("bill", "cluster"),
    "cluster": ("prod",),
    "reason": ("timeout",),
    "version": ("1",),
}


def series(metric: Metric, tenants: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the label values of a metric's series."""
    if "status" in metric.labels:
        plans, rest = VALUES["plan"], tuple(VALUES[label][0] for label in metric.labels[4:])
        return [(name, name.title(), plans[n % len(plans)], "active", *rest) for n, name in enumerate(tenants)]
    return list(product(*(tenants if label == "tenant" else VALUES[label] for label in metric.labels)))


def write(file: Path, metrics: Sequence[Metric], tenants: Sequence[str], times: Sequence[int]) -> int:
    """Write a sample of every series at each time (milliseconds); return how many samples."""
    count = 0
    with file.open("wb") as out:
        for metric in metrics:
            out.write(openmetrics_head(metric).encode())
            for number, labels in enumerate(series(metric, tenants)):
                rows = [(*labels, 1.0 + (number * 7 + place * 3) % 101, at) for place, at in enumerate(times)]
                out.write(timed_lines(metric, rows))
                count += len(rows)
        out.write(b"# EOF\n")
    return count


def scraped(metrics: Sequence[Metric]) -> list[Metric]:
    """Return the metrics with the labels that scraping adds."""
    return [replace(metric, labels=(*metric.labels, "job", "instance")) for metric in metrics]


def bring_in(folder: Path, metrics: Sequence[Metric], tenants: Sequence[str], times: Sequence[int]) -> int:
    """Write samples and import them."""
    file = folder / "samples.om"
    count = write(file, metrics, tenants, times)
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", f"--max-block-duration={BLOCK}"]
    subprocess.run([*command, str(file), str(folder / "tsdb")], check=True, stdout=subprocess.DEVNULL)
    file.unlink()
    return count


def ask(server: PrometheusServer, expr: str, now: float, *, instant: bool, step: int) -> None:
    """Ask as Grafana does. Fails with Prometheus' words."""
    if instant:
        path, params = "query", {"time": str(now)}
    else:
        start = now - (90 * DAY if step == DAY else DAY)
        path, params = "query_range", {"start": str(start // step * step), "end": str(now // step * step)}
        params["step"] = str(step)
    answer = requests.post(f"{server.url}/api/v1/{path}", data={"query": expr, **params}, timeout=120)
    if answer.status_code != requests.codes.ok:
        raise SystemExit(f"{answer.text}\n{expr}")


def timings(server: PrometheusServer, chosen: str, now: float) -> Iterator[tuple[float, str]]:
    """Return (seconds, page and panel) of every panel; its queries are asked at once, as Grafana 12 does."""
    with ThreadPoolExecutor(QUERIES_AT_ONCE) as pool:
        for uid in UIDS:
            board = page(uid)
            for one in panels(board):
                step = DAY if one.get("interval") == DAILY else 300
                queries = [
                    (filled(target["expr"], CHOICES | {"tenant": chosen}), target["instant"])
                    for target in one.get("targets", [])
                ]
                runs = []
                for _ in range(2):
                    began = time.monotonic()
                    asked = [
                        pool.submit(ask, server, expr, now, instant=instant, step=step) for expr, instant in queries
                    ]
                    for answer in asked:
                        answer.result()
                    runs.append(time.monotonic() - began)
                yield min(runs), f"{uid} {one['id']} {one['title'] or '(note)'}"


def least(server: PrometheusServer, queries: Sequence[tuple[str, bool, int]], now: float) -> float:
    """Return the seconds that queries (expression, instant, step) take one after the other, the fastest of 3 runs."""
    runs = []
    for _ in range(3):
        began = time.monotonic()
        for expr, instant, step in queries:
            ask(server, expr, now, instant=instant, step=step)
        runs.append(time.monotonic() - began)
    return min(runs)


def costs(server: PrometheusServer, chosen: str, now: float) -> Iterator[tuple[float, str]]:
    """Yield (multiple of the plain query, page) of every page."""
    plain = least(server, [(PLAIN, True, 60)] * 20, now) / 20
    for uid in UIDS:
        queries = [
            (
                filled(target["expr"], CHOICES | {"tenant": chosen}),
                target["instant"],
                DAY if one.get("interval") == DAILY else 300,
            )
            for one in panels(page(uid))
            for target in one.get("targets", [])
        ]
        yield least(server, queries, now) / plain, uid


def main() -> None:
    """Run the bench."""
    VALUES["job"], VALUES["instance"] = ("unitcost",), ("a:9488",)
    tenants = [f"tenant-{number:04}" for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else TENANTS)]
    metrics = [metric for metric in ALL if metric.type == "gauge" and metric is not EVENT]  # which no panel reads
    now = int(time.time())
    today = now // DAY * DAY
    mornings = [(today - DAY * ago + 5400) * 1000 for ago in range(DAYS, 0, -1)]
    minutes = [(now - 60 * ago) * 1000 for ago in range(SCRAPED_MINUTES, -1, -1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tsdb").mkdir()
        began = time.monotonic()
        count = bring_in(folder, metrics, tenants, mornings) + bring_in(folder, scraped(metrics), tenants, minutes)
        print(
            f"{len(tenants):,} customers, {DAYS} days: {count:,} samples imported in {time.monotonic() - began:.0f} s"
        )
        with prometheus(folder, {}) as server:
            for text, chosen in (("one customer", tenants[-1]), ("all customers", ".*")):
                for multiple, uid in costs(server, chosen, float(now)):
                    print(f"{text}: {uid} costs {multiple:.0f} plain queries")
                found = sorted(timings(server, chosen, float(now)), reverse=True)
                fine = sum(seconds < LIMIT_SECONDS for seconds, _ in found)
                print(f"\n{text}: {fine} of {len(found)} panels under {LIMIT_SECONDS:g} s, slowest {found[0][0]:.2f} s")
                for seconds, panel in found[:SLOWEST]:
                    print(f"  {seconds:6.3f} s  {panel}")


if __name__ == "__main__":
    main()
