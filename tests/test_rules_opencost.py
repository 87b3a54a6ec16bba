"""The live rules over what a running OpenCost exposed, against what its own API billed that day."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from demo.processes import answers, free_port, running, wait_for
from rules.live import live
from rules.write import prometheus
from tests.fakes.server import Reply, serve
from unitcost.catalogue_external import CPU_ALLOCATION, MEMORY_ALLOCATION, NODE_CPU_PRICE, NODE_MEMORY_PRICE
from unitcost.catalogue_recorded import LIVE_ALLOCATED, LIVE_COMPUTE, LIVE_NODES

DATA = Path(__file__).parent / "data" / "opencost-real"
EXPOSITION = (DATA / "metrics.txt").read_text()
ACME = 0.278473
"""Dollars an hour of acme's cores and memory: $6.68335 on 2026-11-22, divided by 24."""

STEADY = ("acme", "beta", "delta", "Gamma-Corp")
"""Tenants that used less than they requested all day: now and the day's mean are the same."""

SERIES = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")


def values(name: str) -> list[tuple[dict[str, str], float]]:
    """Return the exposition's series of a metric: labels, value."""
    found = (SERIES.fullmatch(line) for line in EXPOSITION.splitlines())
    return [
        (dict(re.findall(r'(\w+)="([^"]*)"', match[2] or "")), float(match[3]))
        for match in found
        if match is not None and match[1] == name
    ]


def billed() -> dict[str, float]:
    """Return dollars an hour by tenant, as OpenCost's API billed the day: each figure rounded to 5 decimals a day."""
    entries = json.loads((DATA / "tenant-2026-11-22.json").read_text())["data"][0]
    return {name: (entries[name]["cpuCost"] + entries[name]["ramCost"]) / 24 for name in STEADY}


def allocated() -> float:
    """Return dollars an hour of all containers, without any join with labels."""
    cpu = {labels["node"]: price for labels, price in values(NODE_CPU_PRICE.name)}
    ram = {labels["node"]: price for labels, price in values(NODE_MEMORY_PRICE.name)}
    cores = sum(count * cpu[labels["node"]] for labels, count in values(CPU_ALLOCATION.name))
    return cores + sum(count / 2**30 * ram[labels["node"]] for labels, count in values(MEMORY_ALLOCATION.name))


def scraped(job: str, only: str = "") -> list[dict[str, str]]:
    """Return the exposition's series as promtool's input, under a job."""
    found = []
    for line in EXPOSITION.splitlines():
        match = SERIES.fullmatch(line)
        if match is not None and match[1].startswith(only or ("node_", "container_", "kube_")):
            labels = f'{match[2]},job="{job}"' if match[2] else f'job="{job}"'
            found.append({"series": f"{match[1]}{{{labels}}}", "values": f"{match[3]}x5"})
    return found


def without_label(given: Iterable[dict[str, str]], label: str) -> list[dict[str, str]]:
    return [one | {"series": re.sub(rf'\b{label}="[^"]*",?', "", one["series"])} for one in given]


def evaluated(folder: Path, given: Sequence[dict[str, str]], promql: str) -> dict[str, float]:
    """Return tenant → value of a query after two minutes, by promtool: what it got instead of nonsense."""
    (folder / "rules.yml").write_text(prometheus(live("tenant")))
    expects = [{"expr": promql, "eval_time": "2m", "exp_samples": [{"labels": '{no="such"}', "value": 1}]}]
    test = {"interval": "1m", "input_series": list(given), "promql_expr_test": expects}
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(tests, width=1000))
    command = ["promtool", "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    got = re.search(r"got: (.*)", done.stdout + done.stderr)
    assert got is not None, done.stdout + done.stderr
    found = re.findall(r"\{([^}]*)\} ([^,\s]+)", got[1])
    return {"".join(re.findall(r'tenant="([^"]*)"', labels)): float(value) for labels, value in found}


def hold(folder: Path, given: Sequence[dict[str, str]]) -> None:
    """Hold what the live rules make of the series against OpenCost's bill."""
    tenants = evaluated(folder, given, LIVE_COMPUTE.name)
    assert round(tenants["acme"], 6) == ACME
    # A day's figure is rounded to 5 decimals, cpu and ram each.
    assert {name: tenants[name] for name in STEADY} == pytest.approx(billed(), abs=0.00001 / 24)
    assert set(tenants) == {*STEADY, "gamma", ""}
    assert sum(tenants.values()) == pytest.approx(allocated(), rel=1e-9)
    assert evaluated(folder, given, LIVE_ALLOCATED.name) == pytest.approx({"": allocated()}, rel=1e-9)


@pytest.mark.needs("promtool")
def test_the_live_rule_gives_what_opencost_billed(tmp_path: Path) -> None:
    hold(tmp_path, scraped("opencost"))


@pytest.mark.needs("promtool")
def test_a_second_opencost_changes_nothing(tmp_path: Path) -> None:
    hold(tmp_path, scraped("opencost") + scraped("opencost-b"))


@pytest.mark.needs("promtool")
def test_every_pod_label_there_twice_under_other_jobs_changes_nothing(tmp_path: Path) -> None:
    labels = scraped("ksm-a", "kube_pod_labels") + scraped("ksm-b", "kube_pod_labels")
    hold(tmp_path, scraped("opencost") + labels)


@pytest.mark.needs("promtool")
def test_a_kube_state_metrics_without_an_allowlist_for_the_label_changes_nothing(tmp_path: Path) -> None:
    bare = without_label(scraped("ksm", "kube_pod_labels"), "label_tenant")
    assert len(bare) == len(values("kube_pod_labels"))
    assert not any("label_tenant=" in one["series"] for one in bare)
    hold(tmp_path, scraped("opencost") + bare)


@pytest.mark.needs("promtool")
def test_a_label_that_only_namespaces_have_still_names_the_tenant(tmp_path: Path) -> None:
    given = [one for one in scraped("opencost") if not one["series"].startswith("kube_pod_labels")]
    tenants = evaluated(tmp_path, given, LIVE_COMPUTE.name)
    assert set(tenants) == {"acme", "beta", ""}
    assert tenants["beta"] == pytest.approx(billed()["beta"], abs=1e-6)
    assert sum(tenants.values()) == pytest.approx(allocated(), rel=1e-9)


@pytest.mark.needs("promtool")
def test_without_any_label_all_is_nobodys_and_nothing_is_lost(tmp_path: Path) -> None:
    given = [one for one in scraped("opencost") if not one["series"].startswith("kube_")]
    assert evaluated(tmp_path, given, LIVE_COMPUTE.name) == pytest.approx({"": allocated()}, rel=1e-9)


@pytest.mark.needs("prometheus")
def test_scraped_by_a_real_prometheus_from_two_opencosts_and_two_kube_state_metrics(tmp_path: Path) -> None:
    labels = "".join(f"{line}\n" for line in EXPOSITION.splitlines() if line.startswith("kube_pod_labels"))
    bare = re.sub(r'label_tenant="[^"]*",?', "", labels)
    pages = {"/opencost-a": EXPOSITION, "/opencost-b": EXPOSITION, "/ksm-a": labels, "/ksm-b": bare}
    (tmp_path / "rules.yml").write_text(prometheus(live("tenant")))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=warn",
    ]

    def ask(promql: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{url}/api/v1/query", params={"query": promql}, timeout=10).json()
        return list(answer["data"]["result"])

    def value(promql: str) -> float:
        return float(ask(promql)[0]["value"][1])

    with serve(lambda request: Reply(pages[request.path], headers={"Content-Type": "text/plain"})) as server:
        targets = [{"targets": [server.url.removeprefix("http://")]}]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": path[1:], "honor_labels": True, "metrics_path": path, "static_configs": targets}
                for path in pages
            ],
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        with running("prometheus", command, tmp_path, lambda: answers(f"{url}/-/ready")):
            wait_for(lambda: len(ask("count by (job) (kube_pod_labels)")) == len(pages), "all four are scraped")
            assert value("count(kube_pod_labels)") == len(pages) * labels.count("\n")
            wait_for(lambda: bool(ask(LIVE_ALLOCATED.name)) and bool(ask(LIVE_NODES.name)), "the rules have run")
            assert round(value(f'{LIVE_COMPUTE.name}{{tenant="acme"}}'), 6) == ACME
            assert value(LIVE_ALLOCATED.name) == pytest.approx(allocated(), rel=1e-9)
            rules = requests.get(f"{url}/api/v1/rules", timeout=10).json()["data"]["groups"][0]["rules"]
            assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
