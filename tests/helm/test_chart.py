"""The chart through Helm's own engine: what it makes is what Kubernetes and the operators accept, and fits together."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.__main__ import made
from tests.fakes import chart
from tests.fakes.chart import CHART, Object, of_kind, render
from tests.golden.make_chart import CASES, GOLDEN, text
from unitcost import __version__
from unitcost.config.load import load
from unitcost.config.model import Config


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_say_of_it(case: str) -> None:
    report = chart.helm().lint(str(CHART), CASES[case], strict=True)
    assert report["total_charts_linted"] == 1
    assert report["errors"] == []
    assert [one for one in report["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_one_that_an_api_server_accepts(case: str) -> None:
    objects = render(CASES[case])
    assert of_kind(objects, "Deployment")
    assert list(chart.wrong(objects)) == []


def test_the_schemas_do_refuse() -> None:
    objects = render(CASES["full"])
    of_kind(objects, "Deployment")[0]["spec"]["replica"] = 1
    of_kind(objects, "PodMonitor")[0]["spec"]["podMetricsEndpoints"][0]["interval"] = "soon"
    of_kind(objects, "GrafanaDashboard")[0]["spec"]["fold"] = "x"
    found = "\n".join(chart.wrong(objects))
    assert all(named in found for named in ("Deployment", "PodMonitor", "GrafanaDashboard"))


def test_all_kinds_are_among_the_cases() -> None:
    objects = [one for case in CASES.values() for one in render(case)]
    assert {one["kind"] for one in objects} == {
        *("ConfigMap", "Deployment", "PersistentVolumeClaim", "Service", "ServiceAccount", "NetworkPolicy"),
        *("PodDisruptionBudget", "ServiceMonitor", "PodMonitor", "PrometheusRule", "AlertmanagerConfig"),
        "GrafanaDashboard",
    }


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_is_tracked(case: str) -> None:
    assert text(case) == (GOLDEN / f"{case}.yaml").read_text(encoding="utf-8"), "run make golden"


def test_what_is_made_is_up_to_date() -> None:
    contents = made()
    stale = [name for name, content in contents.items() if (CHART / name).read_text(encoding="utf-8") != content]
    assert stale == [], "run make chart"
    there = {path.relative_to(CHART).as_posix() for path in (CHART / "files").rglob("*") if path.is_file()}
    assert there == {name for name in contents if name.startswith("files/")}


def test_the_image_that_the_chart_names_is_of_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert f"unitcost:{__version__}\n" in about["annotations"]["artifacthub.io/images"]


def test_a_release_fits_into_the_secret_that_helm_keeps_it_in() -> None:
    files = {str(path): path.read_text(encoding="utf-8") for path in CHART.rglob("*") if path.is_file()}
    manifest = "\n".join(chart.files_of(CASES["full"]).values())
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps([files, manifest]).encode())))
    assert len(packed) < 1024 * 1024 * 0.75


# ------------------------------------------------------------------------------------- what fits together


def pod(objects: list[Object]) -> Object:
    template: Object = of_kind(objects, "Deployment")[0]["spec"]["template"]
    return template


def selects(labels: Mapping[str, str], given: Mapping[str, str]) -> bool:
    return labels.items() <= given.items()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("release", ["unitcost", "costs-of-production", "r" * 53])
def test_names_labels_and_ports_fit(case: str, release: str) -> None:
    objects = render(CASES[case], name=release)
    [service], labels = of_kind(objects, "Service"), pod(objects)["metadata"]["labels"]
    assert selects(service["spec"]["selector"], labels)
    assert selects(of_kind(objects, "Deployment")[0]["spec"]["selector"]["matchLabels"], labels)
    [container] = [one for one in pod(objects)["spec"]["containers"] if one["name"] == "unitcost"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for monitor in of_kind(objects, "ServiceMonitor"):
        assert selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        assert {one["port"] for one in monitor["spec"]["endpoints"]} <= {
            one["name"] for one in service["spec"]["ports"]
        }
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
    for monitor in of_kind(objects, "PodMonitor"):
        assert selects(monitor["spec"]["selector"]["matchLabels"], labels)
        assert {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} <= ports
    for policy in of_kind(objects, "NetworkPolicy"):
        if policy["metadata"]["namespace"] == "finops":
            assert selects(policy["spec"]["podSelector"]["matchLabels"], labels)
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, _, name in names)
    assert all(len(value) <= 63 for one in objects for value in one["metadata"].get("labels", {}).values())


def test_a_label_of_ones_own_takes_the_place_of_the_charts() -> None:
    objects = render({"podLabels": {"app.kubernetes.io/version": "mine"}, "commonLabels": {"team": "x"}})
    assert pod(objects)["metadata"]["labels"]["app.kubernetes.io/version"] == "mine"
    assert all(one["metadata"]["labels"]["team"] == "x" for one in objects)


def test_the_pod_is_one_that_the_restricted_standard_admits() -> None:
    for case in CASES.values():
        spec = pod(render(case))["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        ours = [one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] != "proxy"]
        for container in ours:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        assert spec["automountServiceAccountToken"] is False


# ------------------------------------------------------------------------------------- configuration


def mounted(objects: list[Object], folder: Path) -> Path:
    """Lay out the pod's /etc/unitcost in a folder as a kubelet would; objects that are not ours hold something."""
    contents = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    spec = pod(objects)["spec"]
    [volume] = [one for one in spec["volumes"] if one["name"] == "config"]
    for source in volume["projected"]["sources"]:
        [(kind, given)] = source.items()
        ours = contents.get(given["name"], {}) if kind == "configMap" else {}
        for item in given.get("items", [{"key": key, "path": key} for key in ours]):
            path = folder / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(ours.get(item["key"], FOREIGN.get(item["path"], "something")), encoding="utf-8")
    return folder / "unitcost.yaml"


FOREIGN = {"tenants.csv": "id\nacme\nbeta\n"}


def loaded(values: Mapping[str, Any], folder: Path) -> tuple[Config, list[Object]]:
    objects = render(values)
    return load(mounted(objects, folder))[0], objects


@pytest.mark.parametrize("case", CASES)
def test_the_configuration_is_one_that_unitcost_reads(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_PASSWORD", "not for everybody")
    config, objects = loaded(CASES[case], tmp_path)
    [container] = [one for one in pod(objects)["spec"]["containers"] if one["name"] == "unitcost"]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    assert mounts[str(config.state_dir)] == "state"
    assert mounts["/etc/unitcost"] == "config"
    assert container["args"][:3] == ["serve", "--config", "/etc/unitcost/unitcost.yaml"]
    assert container["ports"][0]["containerPort"] == int(config.web.listen.rpartition(":")[2])
    named = {one["name"] for one in container.get("env", [])}
    written = (tmp_path / "unitcost.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)\}", written)) <= named


def test_numbers_come_through_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_PASSWORD", "not for everybody")
    config, _ = loaded(CASES["full"], tmp_path)
    assert config.limits.tenants == 1_000_000
    assert str(config.currency.rates["USD"]) == "0.8123456789"
    assert str(config.currency.as_of) == "2026-11-01"
    assert config.settings("usage").model_dump()["measures"] == CASES["full"]["config"]["sources"]["usage"]["measures"]


def test_what_asks_opencost_may_reach_it() -> None:
    values = {**CASES["beside"], "networkPolicy": {"enabled": True, "openCost": {"allow": True}}}
    objects = render(values)
    config = yaml.safe_load(of_kind(objects, "ConfigMap")[0]["data"]["unitcost.yaml"])
    host, _, port = config["sources"]["cluster"]["url"].removeprefix("http://").partition(":")
    service, _, namespace = host.partition(".")
    ours, theirs = of_kind(objects, "NetworkPolicy")
    [way] = [one for one in ours["spec"]["egress"] if one["ports"][0]["port"] == int(port)]
    assert way["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": namespace}
    assert way["to"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": service}
    assert theirs["metadata"]["namespace"] == namespace
    [source] = theirs["spec"]["ingress"][0]["from"]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "finops"}
    assert selects(source["podSelector"]["matchLabels"], pod(objects)["metadata"]["labels"])
    assert theirs["spec"]["ingress"][0]["ports"] == [{"port": int(port), "protocol": "TCP"}]


def test_a_changed_configuration_rolls_the_pod_and_a_changed_file_does_not() -> None:
    def template(values: Mapping[str, Any]) -> Object:
        return pod(render({**CASES["minimal"], **values}))

    before = template({})
    file = {"files": {"mrr.csv": {"content": "tenant,mrr,currency,as_of\nacme,6000,USD,2026-10-01\n"}}}
    assert template(file) == before
    assert template({"prometheusRule": {"enabled": True}}) == before
    assert template({"config": {**CASES["minimal"]["config"], "months": 4}}) != before


def test_beside_kube_prometheus_stack_everything_is_selected_by_its_defaults() -> None:
    """As kube-prometheus-stack 88.5 and its Grafana select: by the label release, and by grafana_dashboard."""
    objects = render(CASES["beside"])
    for kind in ("ServiceMonitor", "PrometheusRule"):
        found = of_kind(objects, kind)
        assert found
        assert all(one["metadata"]["labels"]["release"] == "kube-prometheus-stack" for one in found)
    pages = [one for one in of_kind(objects, "ConfigMap") if "page" in one["metadata"]["name"]]
    assert len(pages) == len(list((CHART / "files" / "dashboards").iterdir()))
    assert all(one["metadata"]["labels"]["grafana_dashboard"] == "1" for one in pages)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sevice": {}}, ["sevice"]),
        ({"service": {"type": "Foo"}}, ["/service/type", "ClusterIP"]),
        ({"image": {"digest": "sha256:abc"}}, ["/image/digest"]),
        ({"files": {"a.csv": {}}}, ["/files/a.csv", "configMap", "secret", "content"]),
        ({"files": {"../a": {"content": ""}}}, ["../a"]),
        ({"config": {"month": 3}}, ["/config", "month"]),
        ({"config": {"months": "abc"}}, ["/config/months"]),
        ({"config": {"months": -1}}, ["/config/months", "minimum"]),
        ({"config": {"sources": {"cluster": {"urll": "x"}}}}, ["/config/sources/cluster", "urll"]),
        ({"config": {"sources": {"cluster": {"type": "opencosts"}}}}, ["/config/sources/cluster/type", "opencost"]),
        ({"config": {"sources": {"cluster": None}}}, ["/config/sources"]),
        ({"config": {"refresh": {"every": "5 minutes"}}}, ["/config/refresh/every"]),
        ({"config": {"alerts": {"margin": {"loss_dollar": 1}}}}, ["/config/alerts/margin", "loss_dollar"]),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(values: Mapping[str, Any], words: list[str]) -> None:
    with pytest.raises(chart.helm().HelmValuesError) as caught:
        render(values)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("key", ["password", "bearer_token"])
def test_a_secret_in_the_values_is_refused_and_not_repeated(key: str) -> None:
    source = {"type": "prometheus", "url": "http://p:9090", "measures": {"requests": "x"}, key: "hunter2"}
    with pytest.raises(chart.helm().HelmValuesError, match=rf"/config/sources/p/{key}.*extraEnv") as caught:
        render({"config": {"sources": {"p": source}}})
    assert "hunter2" not in str(caught.value)
    header = {**source, key: None, "headers": {"X-Api-Key": "hunter2"}}
    with pytest.raises(chart.helm().HelmValuesError, match=r"headers/X-Api-Key.*extraEnv") as caught:
        render({"config": {"sources": {"p": header}}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"config": {"state_dir": "state"}}, "config.state_dir: state must be a whole path"),
        ({"config": {"web": {"listen": "localhost:9488"}}}, "config.web.listen: .* inside of the pod"),
        (
            {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
            "podMonitor.enabled: .*one of the two",
        ),
        ({"config": {"windows": ["1d"]}}, "config.windows: 30d is missing"),
    ],
)
def test_what_no_schema_can_tell_is_refused_too(values: Mapping[str, Any], words: str) -> None:
    with pytest.raises(chart.helm().HelmRenderError, match=words):
        render(values)


def test_notes_say_what_to_do_by_the_users_own_names() -> None:
    notes = chart.files_of(CASES["beside"], name="costs", namespace="money")["NOTES.txt"]
    for words in (
        *("kubectl -n money rollout status deployment/costs-unitcost", "release=kube-prometheus-stack"),
        *("keeps 10 days", "metricLabelsAllowlist={pods=[tenant]}", "defaultClusterId", "create-blocks-from"),
        "cluster: opencost at http://opencost.opencost:9003",
    ):
        assert words in notes
    assert "<no value>" not in "".join(chart.files_of(CASES["full"]).values())
