"""The live rules over what a running OpenCost exposed, against what its own API billed that day."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from dashboards.__main__ import rendered
from dashboards.style import Settings
from demo.processes import answers, free_port, running, wait_for
from rules.live import live
from rules.write import prometheus
from tests.fakes.server import Reply, serve
from unitcost.metrics.external import (
    CLUSTER,
    CPU_ALLOCATION,
    MEMORY_ALLOCATION,
    NAMESPACE_LABELS,
    NODE_CPU_PRICE,
    NODE_MEMORY_PRICE,
    POD_LABELS,
)
from unitcost.metrics.recorded import LIVE_ALLOCATED, LIVE_COMPUTE, LIVE_NODES

DATA = Path(__file__).parents[1] / "data" / "opencost-real"
EXPOSITION = (DATA / "metrics.txt").read_text()
ACME = 0.278473
"""Dollars an hour of acme's cores and memory: $6.68335 on 2026-11-22, divided by 24."""

STEADY = ("acme", "beta", "delta", "Gamma-Corp")
"""Tenants that used less than they requested all day: now and the day's mean are the same."""

SERIES = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")

OTHER_NODES = {"node-app-1": "node-app-1", "node-gpu-1": "b-gpu", "node-spot-1": "b-spot"}
"""Nodes of a second cluster made from the same page: one of them is called like one of the first."""


def second_cluster() -> str:
    """Return the page of another cluster: pods of the same names on fewer nodes, every tenant another one."""
    lines = []
    for line in EXPOSITION.splitlines():
        node = re.search(r'\bnode="([^"]*)"', line)
        if node is None or node[1] in OTHER_NODES:
            moved = re.sub(r'\bnode="([^"]*)"', lambda found: f'node="{OTHER_NODES[found[1]]}"', line)
            lines.append(re.sub(r'label_tenant="([^"]*)"', r'label_tenant="\1-b"', moved))
    return "\n".join(lines)


OTHER = second_cluster()


def values(name: str, page: str = EXPOSITION) -> list[tuple[dict[str, str], float]]:
    """Return the exposition's series of a metric: labels, value."""
    found = (SERIES.fullmatch(line) for line in page.splitlines())
    return [
        (dict(re.findall(r'(\w+)="([^"]*)"', match[2] or "")), float(match[3]))
        for match in found
        if match is not None and match[1] == name
    ]


def billed() -> dict[str, float]:
    """Return dollars an hour by tenant, as OpenCost's API billed the day: each figure rounded to 5 decimals a day."""
    entries = json.loads((DATA / "tenant-2026-11-22.json").read_text())["data"][0]
    return {name: (entries[name]["cpuCost"] + entries[name]["ramCost"]) / 24 for name in STEADY}


def by_tenant(page: str, *, pod_labels: bool = True) -> dict[str, float]:
    """Return dollars an hour of a page's pods by tenant, without PromQL. pod_labels: else only namespaces have any."""
    cpu = {labels["node"]: price for labels, price in values(NODE_CPU_PRICE.name, page)}
    ram = {labels["node"]: price for labels, price in values(NODE_MEMORY_PRICE.name, page)}
    pods = {
        (labels["namespace"], labels["pod"]): labels.get("label_tenant", "")
        for labels, _ in values(POD_LABELS.name, page)
    }
    spaces = {labels["namespace"]: labels.get("label_tenant", "") for labels, _ in values(NAMESPACE_LABELS.name, page)}
    found: dict[str, float] = {}
    for metric, price in ((CPU_ALLOCATION, cpu), (MEMORY_ALLOCATION, {node: at / 2**30 for node, at in ram.items()})):
        for labels, amount in values(metric.name, page):
            own = pods.get((labels["namespace"], labels["pod"]), "") if pod_labels else ""
            tenant = own or spaces.get(labels["namespace"], "")
            found[tenant] = found.get(tenant, 0) + amount * price[labels["node"]]
    return found


def allocated(page: str = EXPOSITION) -> float:
    """Return dollars an hour of all containers."""
    return sum(by_tenant(page).values())


def scraped(job: str, only: str = "", page: str = EXPOSITION, **target: str) -> list[dict[str, str]]:
    """Return the exposition's series as promtool's input, under a job.

    target: what else the target is labelled with; a series' own label of that name is renamed, as without honor_labels.
    """
    found = []
    for line in page.splitlines():
        match = SERIES.fullmatch(line)
        if match is not None and match[1].startswith(only or ("node_", "container_", "kube_")):
            own = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            labels = {f"exported_{name}" if name in target else name: value for name, value in own.items()}
            labels |= {"job": job, **target}
            written = ",".join(f'{name}="{value}"' for name, value in labels.items() if value)
            found.append({"series": f"{match[1]}{{{written}}}", "values": f"{match[3]}x5"})
    return found


def without_label(given: Iterable[dict[str, str]], label: str) -> list[dict[str, str]]:
    return [one | {"series": re.sub(rf'\b{label}="[^"]*",?', "", one["series"])} for one in given]


def evaluated(
    folder: Path, given: Sequence[dict[str, str]], promql: str, cluster_label: str = CLUSTER
) -> dict[str, float]:
    """Return tenant → value of a query after two minutes, by promtool: what it got instead of nonsense."""
    (folder / "rules.yml").write_text(prometheus(live("tenant", cluster_label)))
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
    assert evaluated(folder, given, f"count({LIVE_COMPUTE.name})") == {"": len(tenants)}
    assert round(tenants["acme"], 6) == ACME
    # A day's figure is rounded to 5 decimals, cpu and ram each.
    assert {name: tenants[name] for name in STEADY} == pytest.approx(billed(), abs=0.00001 / 24)
    assert set(tenants) == {*STEADY, "gamma", ""}
    assert tenants == pytest.approx(by_tenant(EXPOSITION), rel=1e-9)
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


# -- several clusters -------------------------------------------------------------------------------------------------

BY_CLUSTER = f'label_join({LIVE_COMPUTE.name}, "tenant", "/", "cluster", "tenant")'
NAMES = pytest.mark.parametrize(("first", "second"), [("a", "b"), ("", "b")], ids=["named", "one without a name"])


def in_clusters(first: str, second: str, **pages: bool) -> dict[str, float]:
    """Return what the two clusters' tenants cost, as BY_CLUSTER names them."""
    found = {f"{first}/{tenant}": cost for tenant, cost in by_tenant(EXPOSITION, **pages).items()}
    return found | {f"{second}/{tenant}": cost for tenant, cost in by_tenant(OTHER, **pages).items()}


def both(first: str, second: str) -> list[dict[str, str]]:
    """Return the series of an OpenCost and a kube-state-metrics in each cluster."""
    given = []
    for name, page in ((first, EXPOSITION), (second, OTHER)):
        given += scraped("opencost", page=page, cluster=name)
        given += scraped("ksm", "kube_pod_labels", page, cluster=name)
    return given


@pytest.mark.needs("promtool")
@NAMES
def test_an_equally_named_node_of_two_clusters_counts_in_both(tmp_path: Path, first: str, second: str) -> None:
    given = both(first, second)
    nodes = evaluated(tmp_path, given, f"sum({LIVE_NODES.name})")
    assert round(nodes[""], 3) == 2.530
    blind = evaluated(tmp_path, given, f"sum({LIVE_NODES.name})", "no_such_label")
    assert round(blind[""], 3) == 2.141


@pytest.mark.needs("promtool")
@NAMES
def test_equally_named_pods_of_two_clusters_have_their_own_tenants(tmp_path: Path, first: str, second: str) -> None:
    given = both(first, second)
    tenants = evaluated(tmp_path, given, BY_CLUSTER)
    assert tenants == pytest.approx(in_clusters(first, second), rel=1e-9)
    assert {"b/acme-b", f"{first}/acme"} <= set(tenants)
    whole = allocated() + allocated(OTHER)
    assert evaluated(tmp_path, given, f"sum({LIVE_COMPUTE.name})") == pytest.approx({"": whole}, rel=1e-9)
    assert evaluated(tmp_path, given, f"sum({LIVE_ALLOCATED.name})") == pytest.approx({"": whole}, rel=1e-9)


@pytest.mark.needs("promtool")
def test_a_tenant_in_two_clusters_is_the_sum_of_both(tmp_path: Path) -> None:
    given = scraped("opencost", cluster="a") + scraped("opencost", page=OTHER.replace('-b"', '"'), cluster="b")
    tenants = evaluated(tmp_path, given, f"sum by (tenant) ({LIVE_COMPUTE.name})")
    assert tenants["acme"] == pytest.approx(by_tenant(EXPOSITION)["acme"] + by_tenant(OTHER)["acme-b"], rel=1e-9)


@pytest.mark.needs("promtool")
def test_a_namespace_of_the_same_name_gives_each_clusters_pods_their_own_tenant(tmp_path: Path) -> None:
    given = [one for one in both("a", "b") if not one["series"].startswith("kube_pod_labels")]
    tenants = evaluated(tmp_path, given, BY_CLUSTER)
    assert tenants == pytest.approx(in_clusters("a", "b", pod_labels=False), rel=1e-9)
    assert {"a/acme", "b/acme-b"} <= set(tenants)


@pytest.mark.needs("promtool")
def test_a_pod_costs_what_the_node_of_its_own_cluster_does(tmp_path: Path) -> None:
    dear = OTHER.replace(" 0.031611", " 0.31611")
    given = scraped("opencost", cluster="a") + scraped("opencost", page=dear, cluster="b")
    whole = evaluated(tmp_path, given, LIVE_ALLOCATED.name + '{cluster="a"}')
    assert whole == pytest.approx({"": allocated()}, rel=1e-9)
    whole = evaluated(tmp_path, given, LIVE_ALLOCATED.name + '{cluster="b"}')
    assert whole == pytest.approx({"": allocated(dear)}, rel=1e-9)
    assert allocated(dear) > 2 * allocated(OTHER)


@pytest.mark.needs("promtool")
def test_the_label_of_clusters_can_have_another_name(tmp_path: Path) -> None:
    given = scraped("opencost", cluster_id="a") + scraped("opencost", page=OTHER, cluster_id="b")
    tenants = evaluated(tmp_path, given, BY_CLUSTER.replace('"cluster"', '"cluster_id"'), "cluster_id")
    assert tenants == pytest.approx(in_clusters("a", "b"), rel=1e-9)


@pytest.mark.needs("promtool")
def test_replicas_of_a_clusters_prometheus_count_once(tmp_path: Path) -> None:
    hold(tmp_path, scraped("opencost", cluster="a", replica="0") + scraped("opencost", cluster="a", replica="1"))


@pytest.mark.needs("promtool")
def test_pod_labels_of_another_cluster_name_nobody(tmp_path: Path) -> None:
    costs = [one for one in scraped("opencost", cluster="a") if not one["series"].startswith("kube_")]
    tenants = evaluated(tmp_path, costs + scraped("ksm", "kube_", OTHER, cluster="b"), LIVE_COMPUTE.name)
    assert tenants == pytest.approx({"": allocated()}, rel=1e-9)


def nodes_on_the_page(settings: Settings) -> str:
    """Return the expression of the figure of all nodes on the page about efficiency."""
    page = json.loads(rendered(settings)["unitcost-efficiency.json"])
    [panel] = [one for one in page["panels"] if one["title"] == "Nodes now"]
    return str(panel["targets"][0]["expr"])


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("label", ["cluster", "cluster_id"])
def test_the_page_adds_up_clusters_whose_own_replicas_recorded_them(tmp_path: Path, label: str) -> None:
    """As they come by remote write: the label and the replica's are external ones, unknown where the rules ran."""
    given = [
        {"series": f'{LIVE_NODES.name}{{{label}="{cluster}",replica="{replica}"}}', "values": f"{dollars}x5"}
        for cluster, dollars in (("a", 1.5), ("b", 2))
        for replica in (0, 1)
    ]
    asked = nodes_on_the_page(Settings(cluster_label=label))
    assert evaluated(tmp_path, given, asked, label) == {"": 3.5}


# -- honor_labels -----------------------------------------------------------------------------------------------------

TARGET = {"namespace": "opencost", "pod": "opencost-7d9", "container": "opencost", "service": "opencost", "node": "n9"}


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("there", [*TARGET, "all"])
def test_without_honor_labels_every_tenant_costs_the_same(tmp_path: Path, there: str) -> None:
    target = TARGET if there == "all" else {there: TARGET[there]}
    given = scraped("opencost", **target)
    assert there in ("service", "all") or any(f"exported_{there}=" in one["series"] for one in given)
    hold(tmp_path, given)


@pytest.mark.needs("promtool")
def test_one_opencost_with_honor_labels_and_one_without_count_once(tmp_path: Path) -> None:
    hold(
        tmp_path, scraped("opencost-a") + scraped("opencost-b", **TARGET) + scraped("ksm", "kube_pod_labels", **TARGET)
    )


@pytest.mark.needs("promtool")
def test_targets_that_only_their_renamed_labels_tell_apart_do_not_stop_the_rules(tmp_path: Path) -> None:
    hold(tmp_path, scraped("opencost", **TARGET) + scraped("opencost", **TARGET | {"pod": "opencost-8f2"}))


@pytest.mark.needs("promtool")
def test_without_honor_labels_in_one_cluster_only_every_cluster_is_right(tmp_path: Path) -> None:
    given = scraped("opencost", cluster="a") + scraped("opencost", page=OTHER, cluster="b", **TARGET)
    tenants = evaluated(tmp_path, given, BY_CLUSTER)
    assert tenants == pytest.approx(in_clusters("a", "b"), rel=1e-9)
    assert round(evaluated(tmp_path, given, f"sum({LIVE_NODES.name})")[""], 3) == 2.530


Job = Mapping[str, Any]


@contextmanager
def scraping(folder: Path, pages: Mapping[str, str], jobs: Mapping[str, Job]) -> Iterator[Callable[[str], list[Any]]]:
    """Run a real Prometheus with the live rules over pages; yield what asks it: an expression → its result.

    jobs: path → what its scrape_config has besides. Asserts at the end that no rule failed.
    """
    (folder / "rules.yml").write_text(prometheus(live("tenant")))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=warn",
    ]

    def ask(promql: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{url}/api/v1/query", params={"query": promql}, timeout=10).json()
        return list(answer["data"]["result"])

    with serve(lambda request: Reply(pages[request.path], headers={"Content-Type": "text/plain"})) as server:
        address = server.url.removeprefix("http://")
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {
                    "job_name": path[1:],
                    "metrics_path": path,
                    "honor_labels": job.get("honor_labels", True),
                    "static_configs": [{"targets": [address], "labels": job.get("labels", {})}],
                }
                for path, job in jobs.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        with running("prometheus", command, folder, lambda: answers(f"{url}/-/ready")):
            wait_for(lambda: len(ask("count by (job) (kube_pod_labels)")) == len(jobs), "all are scraped")
            wait_for(lambda: bool(ask(LIVE_ALLOCATED.name)) and bool(ask(LIVE_NODES.name)), "the rules have run")
            yield ask
            rules = requests.get(f"{url}/api/v1/rules", timeout=10).json()["data"]["groups"][0]["rules"]
            assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []


@pytest.mark.needs("prometheus")
def test_scraped_by_a_real_prometheus_from_two_opencosts_and_two_kube_state_metrics(tmp_path: Path) -> None:
    labels = "".join(f"{line}\n" for line in EXPOSITION.splitlines() if line.startswith("kube_pod_labels"))
    bare = re.sub(r'label_tenant="[^"]*",?', "", labels)
    pages = {"/opencost-a": EXPOSITION, "/opencost-b": EXPOSITION, "/ksm-a": labels, "/ksm-b": bare}
    with scraping(tmp_path, pages, {path: {} for path in pages}) as ask:
        assert float(ask("count(kube_pod_labels)")[0]["value"][1]) == len(pages) * labels.count("\n")
        assert round(float(ask(f'{LIVE_COMPUTE.name}{{tenant="acme"}}')[0]["value"][1]), 6) == ACME
        assert float(ask(LIVE_ALLOCATED.name)[0]["value"][1]) == pytest.approx(allocated(), rel=1e-9)


@pytest.mark.needs("prometheus")
def test_a_real_prometheus_without_honor_labels_in_one_of_two_clusters_has_every_tenants_cost(tmp_path: Path) -> None:
    pages = {"/a": EXPOSITION, "/b": f"{OTHER}\n"}
    jobs: dict[str, Job] = {
        "/a": {"honor_labels": False, "labels": {"cluster": "a", **TARGET}},
        "/b": {"labels": {"cluster": "b"}},
    }
    expected = in_clusters("a", "b")

    with scraping(tmp_path, pages, jobs) as ask:
        one_pod = ask('count(count by (pod) (container_cpu_allocation{cluster="a"}))')
        assert float(one_pod[0]["value"][1]) == 1, "Prometheus has renamed the series' own labels"
        wait_for(lambda: len(ask(LIVE_COMPUTE.name)) == len(expected), "both clusters' tenants are there")
        found = {
            f"{series['metric']['cluster']}/{series['metric'].get('tenant', '')}": float(series["value"][1])
            for series in ask(LIVE_COMPUTE.name)
        }
        assert found == pytest.approx(expected, rel=1e-9)
        assert round(found["a/acme"], 6) == ACME
        assert round(float(ask(f"sum({LIVE_NODES.name})")[0]["value"][1]), 3) == 2.530
