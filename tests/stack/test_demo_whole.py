"""The whole demo as `make demo` starts it, once for all these tests; and the pages on its Prometheus."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from demo.cluster_metrics import whole_day
from demo.processes import stop, wait_for
from demo.settings import Ports
from rules.promql import select
from tests.fakes.pages import DAY, UIDS, Json, expressions, filled, page, panel, panels
from tests.fakes.processes import PrometheusServer
from unitcost.metrics.catalogue import TENANT_COST
from unitcost.metrics.catalogue_exporter import SOURCE_DURATION
from unitcost.metrics.external import ALERTS
from unitcost.metrics.metric import Metric
from unitcost.metrics.recorded import LIVE_ALLOCATED, LIVE_COMPUTE, LIVE_CPU, LIVE_CPU_USED, LIVE_NODES

pytestmark = pytest.mark.needs("prometheus", "promtool", "prometheus-alertmanager")

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Demo:
    process: subprocess.Popen[bytes]
    folder: Path
    ports: Ports
    output: Path

    @property
    def prometheus(self) -> PrometheusServer:
        return PrometheusServer(f"http://127.0.0.1:{self.ports.prometheus}")

    def said(self) -> str:
        return self.output.read_text()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder, ports = tmp_path_factory.mktemp("demo"), Ports.free()
    flags = [f"--{field.name}={getattr(ports, field.name)}" for field in fields(ports)]
    output = folder.parent / "demo.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--folder", str(folder), *flags], cwd=ROOT, stdout=out, stderr=out
        )
    found = Demo(process, folder, ports, output)
    try:
        wait_for(lambda: "Everything runs" in found.said() or process.poll() is not None, "the demo is ready", 400)
        assert process.poll() is None, found.said()
        yield found
    finally:
        stop(process)


def test_the_demo_has_ninety_days_and_a_day_in_it_is_the_ledger_s(demo: Demo) -> None:
    match = re.search(r"Everything runs, with (\d+) days of history", demo.said())
    assert match is not None, demo.said()
    assert int(match[1]) >= 90
    assert re.search(r"imported [\d,]{7,} samples in [\d.]+ s", demo.said())
    day = datetime.now(UTC).date() - timedelta(45)
    gauge = select(TENANT_COST, window="1d")
    # what was said during the day after it
    found = demo.prometheus.query(f"sum by (tenant) (last_over_time({gauge}[23h]))", f"{day + timedelta(1)}T23:59:59Z")
    said = {row["metric"]["tenant"]: float(row["value"][1]) for row in found}
    # of a copy of the exporter's ledger
    command = [sys.executable, "-m", "unitcost", "report", "--config", str(demo.folder / "company" / "unitcost.yaml")]
    command += ["--window", "1d", "--format", "csv", "--as-of", f"{day + timedelta(1)}T12:00:00Z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    costs = {row["tenant"]: float(row["cost"]) for row in rows if row["kind"] == "tenant"}
    assert len(costs) > 400
    assert said == pytest.approx(costs)


def test_every_rule_is_evaluated_without_an_error_and_every_target_is_up(demo: Demo) -> None:
    rules = [rule for group in demo.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 30
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
    targets = demo.prometheus.get("targets")["activeTargets"]
    health = {target["labels"]["job"]: target["health"] for target in targets}
    assert health == dict.fromkeys(("unitcost", "opencost", "kube-state-metrics", "kubelet"), "up")


def test_the_live_rules_say_what_the_made_up_cluster_costs(demo: Demo) -> None:
    now = datetime.now(UTC)
    [entries] = json.loads(whole_day(demo.folder / "company", now).read_text())["data"]
    acme = sum(e["cpuCost"] + e["ramCost"] for name, e in entries.items() if name.startswith("acme/"))
    for one in (LIVE_CPU_USED, LIVE_COMPUTE, LIVE_CPU):  # the live rules are groups of their own, and begin apart
        wait_for(partial(demo.prometheus.has, select(one, tenant="acme")), f"{one.name} is evaluated", 90)
    [live] = demo.prometheus.query(select(LIVE_COMPUTE, tenant="acme"))
    assert float(live["value"][1]) * 24 == pytest.approx(acme)
    [allocated] = demo.prometheus.query(select(LIVE_CPU, tenant="acme"))
    [used] = demo.prometheus.query(select(LIVE_CPU_USED, tenant="acme"))
    assert 0 < float(used["value"][1]) < float(allocated["value"][1])


@pytest.mark.parametrize("metric", [LIVE_NODES, LIVE_ALLOCATED, LIVE_CPU, LIVE_CPU_USED], ids=lambda one: one.name)
def test_the_cluster_has_a_day_of_history_and_the_rules_continue_its_series(demo: Demo, metric: Metric) -> None:
    wait_for(lambda: demo.prometheus.has(select(metric)), "the rule is evaluated", 90)
    [every] = demo.prometheus.query(f"count(last_over_time({select(metric)}[25h]))")
    [now] = demo.prometheus.query(f"count({select(metric)})")
    assert every["value"][1] == now["value"][1], "the same labels then and now"
    for hours in (1, 12, 23):
        [before] = demo.prometheus.query(f"sum({select(metric)} offset {hours}h)")
        # What is used is known of no pod as soon as the demo has begun, and of each a part of what it is allocated.
        [whole] = demo.prometheus.query(f"sum({select(LIVE_CPU if metric is LIVE_CPU_USED else metric)})")
        part = float(before["value"][1]) / float(whole["value"][1])
        assert 0.2 < part < 0.75 if metric is LIVE_CPU_USED else part == pytest.approx(1), hours


def test_alerts_are_printed_as_a_person_reads_them(demo: Demo) -> None:
    wait_for(lambda: "Maple Homes GmbH" in demo.said(), "a notification about the customer over its budget", 120)


def test_alerts_lead_to_the_runbooks_that_the_demos_exporter_serves(demo: Demo) -> None:
    wait_for(lambda: "/runbooks/" in demo.said(), "a notification that says what to do", 120)
    for url in set(re.findall(r"http://\S+/runbooks/\w+", demo.said())):
        assert url.rpartition("/")[2] in requests.get(url, timeout=10).text


def test_every_page_that_the_demo_names_is_there_with_its_scripts_and_styles(demo: Demo) -> None:
    servers = re.findall(r"^  \w+ +(http://127\.0\.0\.1:\d+)/(?:   (.*))?$", demo.said(), re.MULTILINE)
    pages = [server + path for server, paths in servers for path in ("/", *re.findall(r"/[\w/]+", paths))]
    assert len(pages) == 3 + 1 + 3, demo.said()
    for url in pages:
        answer = requests.get(url, timeout=10)
        assert answer.ok, url
        assert len(answer.content) > 1000, f"{url}: a page and not only a word"
        for part in re.findall(r'(?:src|href)="([^"]+\.(?:js|css)[^"]*)"', answer.text):
            assert requests.get(urljoin(answer.url, part), timeout=10).ok, (url, part)


# every query of the pages


@dataclass(frozen=True)
class Seen:
    """The demo's Prometheus, and the page's time range."""

    server: PrometheusServer
    start: float
    end: float

    def ask(self, expr: str, *, instant: bool, step: int, hours: float | None = None) -> list[dict[str, Any]]:
        """Ask as Grafana does; fail with Prometheus' words."""
        expr = filled(expr, {"__to": f"{self.end:.0f}"})
        if instant:
            path, params = "query", {"time": str(self.end)}
        else:
            start = self.start if hours is None else self.end - hours * 3600
            path, params = (
                "query_range",
                {
                    "start": str(start // step * step),
                    "end": str(self.end // step * step),
                    "step": str(step),
                },
            )
        answer = requests.get(f"{self.server.url}/api/v1/{path}", params={"query": expr, **params}, timeout=60).json()
        assert answer["status"] == "success", (answer.get("error"), expr)
        return list(answer["data"]["result"])

    def values(self, board: Json) -> dict[str, str]:
        """Return a value for every variable of a page but the customers: what the page opens with, else the first."""
        found = {}
        for variable in board["templating"]["list"][1:]:
            if variable["type"] == "custom":
                found[variable["name"]] = variable["current"]["value"]
            elif variable["name"] == "month":
                found["month"] = max(self.choices(variable).values())
            elif variable["query"].startswith("label_values("):
                metric, label = variable["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
                known = self.server.get(f"label/{label}/values", **{"match[]": metric})
                found[variable["name"]] = variable["current"].get("value") or known[0]
                assert found[variable["name"]] in known
        return found

    def choices(self, variable: Json, at: float | None = None) -> dict[str, str]:
        """Return text → value as Grafana fills the drop-down: from each series, written in one line, by the regex.

        at: the end of the time range (Unix time), else that of the page.
        """
        expr = variable["query"].removeprefix("query_result(").removesuffix(")")
        regex = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
        found = {}
        for series in self.server.query(expr, str(at or self.end)):
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(series["metric"].items()))
            match = regex.search(f"{{{labels}}} {series['value'][1]} {series['value'][0] * 1000:.0f}")
            assert match, labels
            value = match.groupdict().get("value") or match[1]
            found[match.groupdict().get("text") or value] = value
        return found


@pytest.fixture(scope="module")
def seen(demo: Demo) -> Seen:
    """Return the demo as looked at when an alert about a customer fires and live graphs have a point.

    The alert may fire at the first evaluation; a graph's last point is up to a step before the end.
    """
    server = demo.prometheus
    firing = select(ALERTS, alertstate="firing", tenant="maple-homes")
    wait_for(lambda: server.has(firing), "an alert about maple-homes fires", 180)
    for live in (LIVE_CPU_USED, SOURCE_DURATION):
        begun = f"{select(live)} offset {LIVE_STEP}s"
        wait_for(lambda begun=begun: server.has(begun), "what is live is older than a step of its graphs", 120)  # type: ignore[misc]
    now = time.time()
    return Seen(server, now - 90 * DAY, now)


NO_REVENUE = {
    "unitcost-tenant": {"Margin", "Margin, over 30 days up to each day"},
    "unitcost-ai": {
        "Margin",
        "Margin, with and without AI",
        "AI requests that a price still carries this month",
    },
}
"""Page → panels that a customer without revenue leaves empty: there is no ratio of nothing."""

EMPTY: Mapping[str, Mapping[str, set[str]]] = {"delta": NO_REVENUE}
"""Customer → page → panels that have nothing to show of it, and say so."""

NO_REPORT = {"unitcost-ai": {"Coverage"}}
"""The same of every customer: the sample's model provider charges, and does not report."""

LIVE_STEP = 15
"""Seconds between the points of a graph of live figures."""

CUSTOMERS = {"acme": "acme", "maple-homes": "maple-homes", "delta": "delta", "All": ".*"}


def without_an_answer(seen: Seen, uid: str, tenant: str) -> list[str]:
    """Ask every query of a page; return the panels of which none has an answer."""
    board = page(uid)
    values = seen.values(board) | {"tenant": tenant}
    found = []
    for one in panels(board):
        targets = one.get("targets", [])
        hours = float(one["timeFrom"].removesuffix("h")) if "timeFrom" in one else None
        step = {None: 60, "1d": DAY, "5m": LIVE_STEP}[one.get("interval")]
        answers = [
            seen.ask(filled(target["expr"], values), instant=target["instant"], step=step, hours=hours)
            for target in targets
        ]
        if targets and not any(answers):
            found.append(str(one["title"]))
    return found


OF_CUSTOMERS = {uid for uid in UIDS if any(one["name"] == "tenant" for one in page(uid)["templating"]["list"])}
"""Pages on which customers are chosen; the others are of all."""


@pytest.mark.parametrize(
    ("uid", "tenant"), [(uid, name) for uid in UIDS for name in CUSTOMERS if uid in OF_CUSTOMERS or name == "All"]
)
def test_no_query_fails_and_no_panel_is_empty_without_a_reason(seen: Seen, uid: str, tenant: str) -> None:
    silent = EMPTY.get(tenant, {}).get(uid, set()) | NO_REPORT.get(uid, set())
    assert set(without_an_answer(seen, uid, CUSTOMERS[tenant])) == silent


def test_customers_are_chosen_by_their_names(seen: Seen) -> None:
    [variable] = [one for one in page("unitcost-tenant")["templating"]["list"] if one["name"] == "tenant"]
    found = seen.choices(variable)
    assert found["Acme Corp"] == "acme"
    assert found["Maple Homes GmbH"] == "maple-homes"
    assert len(found) >= 500


def test_closed_months_are_there_to_choose_now(seen: Seen) -> None:
    [variable] = [one for one in page("unitcost-close")["templating"]["list"] if one["name"] == "month"]
    this = datetime.fromtimestamp(seen.end, UTC).date().replace(day=1)
    last = f"{this - timedelta(1):%Y-%m}"
    assert max(seen.choices(variable)) == last
    assert len(seen.choices(variable)) == 3


CLOSED = "Each customer and component"


def test_the_closed_month_adds_up_to_the_invoice_in_every_column(seen: Seen) -> None:
    """The table, as it is taken along: the sample's last month is a bill of $51,000."""
    board = page("unitcost-close")
    values = seen.values(board)
    columns = []
    for target in panel(board, CLOSED)["targets"][1:]:
        answer = seen.ask(filled(target["expr"], values), instant=True, step=60)
        columns.append({series["metric"]["tenant"]: float(series["value"][1]) for series in answer})
    *components, cost, revenue = columns
    for column in (*filter(None, components), cost):
        total = column.pop("Total")
        assert sum(column.values()) == pytest.approx(total)
    assert total == pytest.approx(51_000)
    assert sum(sum(column.values()) for column in components) == pytest.approx(total)
    assert sum(value for tenant, value in revenue.items() if tenant != "Total") == pytest.approx(revenue["Total"])
    [verdict] = expressions(panel(board, "Does it add up to the invoices?"), "verdict", values)
    assert [series["value"][1] for series in seen.ask(verdict, instant=True, step=60)] == ["0"]


# the end


def test_ctrl_c_stops_the_demo_and_leaves_no_process_and_no_port(demo: Demo) -> None:
    assert in_folder(demo.folder)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0
    assert demo.said().endswith("stopped\n")
    assert in_folder(demo.folder) == []
    demo.ports.check()


def in_folder(folder: Path) -> list[str]:
    """Return the command lines of running programs that name a folder; our own is not meant."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
        except OSError:
            continue
        if str(folder).encode() + b"/" in command:
            found.append(command.replace(b"\0", b" ").decode())
    return found
