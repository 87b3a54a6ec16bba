"""Rules and pages as the chart fills them in are those that `python -m rules` and `python -m dashboards` write."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboards.__main__ import rendered
from dashboards.style import Settings
from rules.__main__ import rule_files
from rules.write import operator
from tests.fakes import chart
from tests.fakes.chart import of_kind, render
from unitcost.config.load import load
from unitcost.config.model import Config

CLUSTER = {"type": "opencost", "url": "http://opencost.opencost:9003"}


def config_of(values: Mapping[str, Any], folder: Path) -> Config:
    """Return the configuration as unitcost reads it from the ConfigMap."""
    [found] = [one for one in of_kind(render({"config": values}), "ConfigMap") if "unitcost.yaml" in one["data"]]
    path = folder / "unitcost.yaml"
    path.write_text(found["data"]["unitcost.yaml"], encoding="utf-8")
    return load(path)[0]


def in_chart(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the groups of rules by their file's name, and the pages by theirs."""
    objects = render({"config": values, "prometheusRule": {"enabled": True}})
    rules = {one["metadata"]["name"]: one["spec"]["groups"] for one in of_kind(objects, "PrometheusRule")}
    pages = [one["data"] for one in of_kind(objects, "ConfigMap") if "page" in one["metadata"]["name"]]
    return rules, {name: json.loads(text) for data in pages for name, text in data.items()}


def plain(groups: list[Any]) -> list[Any]:
    """Return rules without what means nothing: white space, how a number is spelt, `for: 0s`."""
    text = json.dumps(groups)
    text = re.sub(r"(?:\\n|\s)+", " ", text).replace("( ", "(").replace(" )", ")")
    text = re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])", lambda found: repr(float(found[0])), text)
    return [
        {**group, "rules": [{k: v for k, v in rule.items() if (k, v) not in NOTHING} for rule in group["rules"]]}
        for group in json.loads(text)
    ]


NOTHING = [("for", "0s"), ("keep_firing_for", "0s")]


def rules_of(config: Config) -> dict[str, Any]:
    return {file.name: plain(yaml.safe_load(operator(file))["spec"]["groups"]) for file in rule_files(config)}


dollars = st.one_of(st.integers(0, 10**9), st.floats(0.01, 1e6).map(lambda value: round(value, 2)))
# Whole percents, as sentences have them: of half a one Python and Go take either neighbour.
factor = st.floats(0.01, 100).map(lambda value: round(value, 2))
share = st.floats(0, 1).map(lambda value: round(value, 2))
span = st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 300), st.sampled_from("smhd")) | st.just("0s")
owner = st.sampled_from(["finance", 'the "money" people', "a: b", "ünï", "back\\slash", "{{ }}"])


def at_rate(rate: float) -> dict[str, float]:
    return {"rate": rate}


alerts = st.fixed_dictionaries(
    {},
    optional={
        "wait": span,
        "keep": span,
        "grafana": st.sampled_from(["https://grafana.example.com/", "http://localhost:3000/sub?".rstrip("?")]),
        "runbooks": st.sampled_from(["https://wiki.example.com/costs/", "docs/runbooks"]),
        "cluster_label": st.sampled_from(["cluster", "cluster_id", "k8s_cluster"]),
        "disabled": st.lists(st.sampled_from(["UnitcostFreePlanCost", "UnitcostCostSpike"]), unique=True),
        "owners": st.fixed_dictionaries({}, optional={"money": owner, "product": owner, "data": owner}),
        "margin": st.fixed_dictionaries({}, optional={"loss_dollars": dollars, "shortfall_dollars": dollars}),
        "budget": st.fixed_dictionaries(
            {}, optional={"minimum_dollars": dollars, "forecast_ratio": factor, "wait": span}
        ),
        "burn": st.fixed_dictionaries(
            {}, optional={"fast": st.builds(lambda rate: {"window": "1d", "rate": rate}, factor)}
        ),
        "cost_spike": st.fixed_dictionaries({}, optional={"factor": factor, "dollars": dollars}),
        "ai_loss": st.fixed_dictionaries(
            {}, optional={"left": share, "days": st.integers(0, 31), "minimum_requests": st.integers(1, 10**6)}
        ),
        "cost_per_request": st.fixed_dictionaries({}, optional={"factor": factor}),
        "free_plan": st.fixed_dictionaries({}, optional={"share": share, "dollars": dollars}),
        "unallocated": st.fixed_dictionaries({}, optional={"share": share, "dollars": dollars}),
        "reconciliation": st.builds(lambda low, more: {"low": low, "high": round(low + more, 2)}, factor, factor),
        "ai": st.builds(
            lambda low, more, coverage: {"low": low, "high": round(low + more, 2), "coverage": coverage},
            *(factor, factor, share),
        ),
        "data": st.fixed_dictionaries({}, optional={"source_stale": span, "snapshot_old": span, "incomplete": span}),
    },
)
configurations = st.fixed_dictionaries(
    {"sources": st.just({"cluster": CLUSTER}), "alerts": alerts},
    optional={
        "currency": st.sampled_from(["USD", "EUR", "CHF", "XOF", "SEK"]).map(lambda code: {"code": code}),
        "tenants": st.sampled_from(["customer", "team/name", ["customer", "tenant"]]).map(lambda key: {"key": key}),
        "limits": st.integers(1, 1_000_000).map(lambda tenants: {"tenants": tenants}),
        "web": st.sampled_from(["https://costs.example.com/", "https://x.example.com/unitcost"]).map(
            lambda url: {"external_url": url}
        ),
    },
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(configurations)
def test_rules_and_pages_are_those_of_the_configuration(tmp_path: Path, values: dict[str, Any]) -> None:
    if "runbooks" not in values["alerts"] and "external_url" not in values.get("web", {}):
        values = {**values, "web": {"external_url": "http://unitcost.finops.svc:9488"}}  # what the chart falls back to
    config = config_of(values, tmp_path)
    rules, pages = in_chart(values)
    assert {name: plain(groups) for name, groups in rules.items()} == rules_of(config)
    if config.alerts.runbooks != "docs/runbooks":  # pages link to what can be opened
        wanted = {name: json.loads(text) for name, text in rendered(Settings.of(config)).items()}
        assert without_meanings(pages) == without_meanings(wanted)


def without_meanings(pages: dict[str, Any]) -> dict[str, Any]:
    """Leave out what disabled alerts mean, which pages of the chart go on saying in lists where none of them is."""
    loaded: dict[str, Any] = json.loads(re.sub(r'"Unitcost\w+": \{[^{}]*\},? ?', "", json.dumps(pages)))
    return loaded


def test_without_anything_the_links_are_to_the_exporters_own_service(tmp_path: Path) -> None:
    values = {"sources": {"cluster": CLUSTER}}
    rules, _ = in_chart(values)
    links = re.findall(r'"runbook_url": "([^"]*)"', json.dumps(rules))
    assert links
    assert all(link.startswith("http://unitcost.finops.svc:9488/runbooks/Unitcost") for link in links)
    assert in_chart({**values, "web": {"external_url": "http://unitcost.finops.svc:9488"}})[0] == rules
    config = config_of(values, tmp_path)
    assert len(rules["unitcost-alerts"]) == len(rules_of(config)["unitcost-alerts"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"alerts": {"margin": {"window": "1d"}}}, 'config.alerts.margin.window: .* made for "30d"'),
        ({"alerts": {"budget": {"levels": {"80": "warning"}}}}, "config.alerts.budget.levels: "),
        ({"alerts": {"data": {"incomplete_windows": ["30d"]}}}, "config.alerts.data.incomplete_windows: "),
        ({"alerts": {"disabled": ["Unitcost"]}}, "config.alerts.disabled: Unitcost is no alert; the alerts are Unit"),
        ({"alerts": {"owners": {"money": "${OWNER}"}}}, r"config.alerts.owners.money: .*the pod's environment"),
        ({"alerts": {"margin": {"loss_dollars": "50"}}}, "config.alerts.margin.loss_dollars: must be a number"),
        ({"tenants": {"key": "tenantId"}}, "config.tenants.key: .*prometheusRule.live"),
        ({"windows": ["1d", "30d", "mtd"]}, "config.windows: last_month is missing"),
    ],
)
def test_what_the_files_are_not_made_for_is_refused(values: Mapping[str, Any], words: str) -> None:
    with pytest.raises(chart.helm().HelmRenderError, match=words):
        in_chart({"sources": {"cluster": CLUSTER}, **values})


def test_more_windows_and_a_level_as_it_is_are_no_reason_to_refuse() -> None:
    levels = {"50": "info", "75": "info", "90": "warning", "100": "critical"}
    rules, _ = in_chart(
        {
            "sources": {"cluster": CLUSTER},
            "windows": ["1d", "7d", "30d", "mtd", "last_month"],
            "alerts": {"budget": {"levels": levels}},
        }
    )
    assert rules


def test_live_rules_can_be_left_out_for_a_label_with_capitals() -> None:
    given = {"config": {"tenants": {"key": "tenantId"}}, "prometheusRule": {"enabled": True, "live": False}}
    names = {one["metadata"]["name"] for one in of_kind(render(given), "PrometheusRule")}
    assert names == {"unitcost-alerts", "unitcost-recording"}


@pytest.mark.needs("promtool")
def test_promtool_reads_the_rules(tmp_path: Path) -> None:
    full = yaml.safe_load((Path(__file__).parent / "values" / "full.yaml").read_text(encoding="utf-8"))
    for one in of_kind(render(full), "PrometheusRule"):
        path = tmp_path / f"{one['metadata']['name']}.yml"
        path.write_text(yaml.safe_dump(one["spec"]), encoding="utf-8")
        subprocess.run(["promtool", "check", "rules", str(path)], check=True, capture_output=True)
