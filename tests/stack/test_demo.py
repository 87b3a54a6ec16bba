"""The parts of the demo; test_demo_whole.py is about all of it together."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from demo import notices
from demo.cluster_metrics import CADVISOR, KUBE_STATE_METRICS, OPENCOST, PATHS, WARNING, Cluster, whole_day
from demo.company import renew, write_company
from demo.listen import listening
from demo.processes import StartError, find, free_port, run, running
from demo.settings import Ports
from unitcost.metrics.external import EXTERNAL

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# programs


def test_a_program_that_ends_before_it_is_ready_says_so_with_its_last_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('port in use'); raise SystemExit(3)"]
    said = r"web ended with exit code 3:\nport in use"
    with pytest.raises(StartError, match=said), running("web", command, tmp_path, lambda: False):
        pass


def test_a_program_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = [sys.executable, "-c", f"import os,time; open({str(pid)!r},'w').write(str(os.getpid())); time.sleep(60)"]
    with pytest.raises(StartError, match="slow is ready"), running("slow", command, tmp_path, lambda: False, 1):
        pass
    assert not alive(int(pid.read_text()))


def test_a_program_that_does_not_listen_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.processes.STOP_SECONDS", 0.3)
    deaf = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    log = tmp_path / "deaf.log"
    with running("deaf", [sys.executable, "-c", deaf], tmp_path, lambda: "up" in log.read_text()) as program:
        assert program.ended() == ""
    assert program.process.returncode == -signal.SIGKILL
    assert program.ended() == f"deaf ended with exit code {-signal.SIGKILL}:\nup"


def test_a_command_that_fails_and_a_program_that_is_not_there_say_what_to_do(tmp_path: Path) -> None:
    run("fine", [sys.executable, "-c", ""], tmp_path)
    with pytest.raises(StartError, match="bad ended with exit code 1:\nno such day"):
        run("bad", [sys.executable, "-c", "raise SystemExit('no such day')"], tmp_path)
    with pytest.raises(StartError, match="no nowhere on PATH: apt-get install somewhere"):
        find("nowhere", package="somewhere")


def test_taken_ports_are_all_named_with_the_flag_for_another() -> None:
    with listening("127.0.0.1", 0) as one, listening("127.0.0.1", 0) as two:
        taken = [int(url.rpartition(":")[2]) for url in (one, two)]
        ports = Ports(taken[0], free_port(), taken[1], free_port(), free_port())
        with pytest.raises(StartError) as caught:
            ports.check()
    assert f"port {taken[0]} for exporter is taken; choose another with --exporter" in str(caught.value)
    assert f"port {taken[1]} for prometheus is taken; choose another with --prometheus" in str(caught.value)
    assert "cluster" not in str(caught.value)
    with pytest.raises(StartError, match="twice"):
        Ports(1, 1, 2, 3, 4).check()
    with pytest.raises(StartError, match="--notices 65536 is no port: 1 to 65535"):
        Ports.from_base(65_532).check()


# the made-up cluster

URL = "http://127.0.0.1:9488"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company") / "company"
    write_company(folder, URL)
    return folder


@pytest.fixture(scope="module")
def answer(company: Path) -> Path:
    return whole_day(company, datetime.now(UTC))


def samples(page: bytes | None) -> dict[str, list[tuple[dict[str, str], float]]]:
    assert page is not None
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_every_page_of_the_cluster_says_that_it_is_made_up_and_promtool_accepts_it(answer: Path) -> None:
    cluster = Cluster(answer, NOW.timestamp())
    for path in PATHS:
        page = cluster.page(path)
        assert page is not None
        assert page.startswith(WARNING)
        assert list(samples(page))
    assert cluster.page("/metrics") is None


def test_the_cluster_costs_what_opencost_says_of_that_day(answer: Path) -> None:
    [entries] = json.loads(answer.read_text())["data"]
    page = samples(Cluster(answer, NOW.timestamp()).page(OPENCOST))
    core = {labels["node"]: value for labels, value in page["node_cpu_hourly_cost"]}
    gib = {labels["node"]: value for labels, value in page["node_ram_hourly_cost"]}
    tenant_of = {labels["pod"]: labels["label_tenant"] for labels, _ in page["kube_pod_labels"]}
    hourly: dict[str, float] = {}
    for name, price, unit in (
        ("container_cpu_allocation", core, 1),
        ("container_memory_allocation_bytes", gib, 2**30),
    ):
        for labels, value in page[name]:
            tenant = tenant_of[labels["pod"]]
            hourly[tenant] = hourly.get(tenant, 0) + value / unit * price[labels["node"]]
    expected: dict[str, float] = {}
    for name, entry in entries.items():
        if name != "__idle__":
            tenant = name.split("/")[0].replace("__unallocated__", "")
            expected[tenant] = expected.get(tenant, 0) + entry["cpuCost"] + entry["ramCost"]
    assert {tenant: value * 24 for tenant, value in hourly.items()} == pytest.approx(expected)
    nodes = sum(value for _, value in page["node_total_hourly_cost"]) * 24
    assert nodes == pytest.approx(sum(e["cpuCost"] + e["ramCost"] + e["gpuCost"] for e in entries.values()))


def test_pods_use_less_than_they_are_allocated_and_their_counters_only_grow(answer: Path) -> None:
    cluster = Cluster(answer, NOW.timestamp())
    for pod in cluster.pods:
        before = 0.0
        for hour in range(1, 49):
            used = pod.cores_used(NOW.timestamp(), NOW.timestamp() + 3600 * hour)
            assert 0 <= used - before <= pod.cores * 3600
            before = used


def test_the_cluster_has_the_metrics_and_labels_that_the_rules_read_and_opencost_s_own_labels(answer: Path) -> None:
    cluster = Cluster(answer, NOW.timestamp())
    pages = {path: samples(cluster.page(path)) for path in PATHS}
    assert pages[KUBE_STATE_METRICS].keys() == {"kube_pod_labels"}
    assert pages[CADVISOR].keys() == {"container_cpu_usage_seconds_total", "container_memory_working_set_bytes"}
    served = {name: set(rows[0][0]) for page in pages.values() for name, rows in page.items()}
    by_prometheus = {"up", "ALERTS", "ALERTS_FOR_STATE"}
    for metric in EXTERNAL:
        if metric.name not in by_prometheus:
            wanted = set(metric.labels) - ({"label_tenant"} if metric.name == "kube_namespace_labels" else set())
            assert wanted <= served[metric.name], metric.name
    for line in (ROOT / "tests/data/opencost-real/metrics.txt").read_text().splitlines():
        match = re.match(r"(\w+)\{(.*)\} ", line)
        if match and match[1] in served and not match[1].startswith("kube_"):
            assert set(re.findall(r'(\w+)="', match[2])) == served[match[1]], line


# the company keeps up with the clock


def test_renewing_leaves_the_past_and_the_configuration_and_no_draft(tmp_path: Path) -> None:
    config = write_company(tmp_path / "company", URL)
    yesterday = whole_day(tmp_path / "company", datetime.now(UTC))
    before = {path: path.read_bytes() for path in (yesterday, config)}
    names = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    (tmp_path / "company" / "mrr.csv").unlink()
    renew(config)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == names
    assert list(tmp_path.iterdir()) == [tmp_path / "company"]


# notifications


def notification(**alert: Any) -> bytes:
    whole = {"status": "firing", "labels": {"alertname": "A"}, "annotations": {}, **alert}
    return json.dumps({"receiver": "finance", "groupLabels": {"tenant": "acme"}, "alerts": [whole]}).encode()


def test_a_notification_reads_as_who_it_is_for_what_happened_and_where_to_look() -> None:
    body = notification(
        labels={"alertname": "Over", "severity": "critical"},
        annotations={"summary": "Acme has used 102 %.", "description": "Most of it is ai.\nSee the page.\n"},
    )
    assert notices.text_of(body) == (
        "to finance: 1 firing (tenant acme)\n"
        "  CRITICAL: Acme has used 102 %.\n"
        "      Most of it is ai.\n"
        "      See the page."
    )
    assert "  RESOLVED: A" in notices.text_of(notification(status="resolved"))
    assert "1 resolved" in notices.text_of(notification(status="resolved"))


def test_a_message_that_templates_made_is_printed_without_slack_s_marks() -> None:
    text = "• *R&amp;D has used 3*4 %.* It is ai. <http://localhost:3000/d/x|Page>\n\n"
    part = {"pretext": "to #finance", "title": "budget, R&amp;D", "text": text, "fallback": "no"}
    assert notices.text_of(json.dumps({"channel": "x", "attachments": [part]}).encode()) == (
        "to #finance\n  budget, R&D\n  • R&D has used 3*4 %. It is ai. Page http://localhost:3000/d/x"
    )


def test_what_is_no_notification_is_refused_and_does_not_end_the_listening() -> None:
    seen: list[str] = []
    with listening("127.0.0.1", 0, post=lambda body: seen.append(notices.text_of(body))) as url:
        for bad in (b"", b"{", b"[]", b"{}", b'{"alerts": 3}'):
            answer = requests.post(url, data=bad, timeout=5)
            assert answer.status_code in {400, 413}, bad
        assert requests.get(url, timeout=5).status_code == 404
        assert requests.post(url, data=notification(), timeout=5).text == "ok"
    assert len(seen) == 1
