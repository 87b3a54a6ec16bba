"""The alerts that Grafana evaluates itself: they fire for what Prometheus' fire for, and say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import alerting as model

from rules.__main__ import main, rule_files
from rules.provisioning import CONDITION, EXPRESSION, FIRES, VALUE, Sentences, fires, grafana, of_all
from tests.fakes.alert_rules import ALERTS, promtool
from tests.fakes.promql_names import Reading, everything
from unitcost.config.model import Config

register_default_plugins()

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "rules" / "grafana" / "unitcost-alerts.yaml"
TESTS = sorted((ROOT / "rules" / "tests").glob("*.yml"))
KNOWN = everything()
WRITTEN = yaml.safe_load(FILE.read_text())
RULES: dict[str, dict[str, Any]] = {rule["uid"]: rule for group in WRITTEN["groups"] for rule in group["rules"]}

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def queries(rule: dict[str, Any]) -> dict[str, str]:
    """Return letter → PromQL of a rule."""
    return {one["refId"]: one["model"]["expr"] for one in rule["data"] if "expr" in one["model"]}


def figures(rule: dict[str, Any]) -> dict[str, str]:
    return {letter: query for letter, query in queries(rule).items() if letter not in (VALUE, FIRES)}


# what Grafana is given


def test_every_alert_is_there_with_the_names_labels_and_times_of_prometheus() -> None:
    assert WRITTEN["apiVersion"] == 1
    assert RULES.keys() == ALERTS.keys()
    for group in WRITTEN["groups"]:
        assert group.keys() == {"orgId", "name", "folder", "interval", "rules"}
        assert group["folder"]
        assert group["interval"] == "1m"
    for name, alert in ALERTS.items():
        rule = RULES[name]
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", rule["uid"]), "Grafana takes no other"
        assert rule["title"] == name, "alertname, which routes and pages know"
        assert rule["labels"] == {"severity": alert.severity, "owner": alert.owner}
        assert rule["for"] == alert.wait
        assert rule["annotations"]["runbook_url"] == alert.runbook
        assert rule["annotations"]["dashboard"] == alert.dashboard


@each_rule
def test_grafanas_own_model_reads_a_rule_without_loss(rule: dict[str, Any]) -> None:
    back = json.loads(JSONEncoder().encode(model.Rule.from_json(rule)))
    only_in_files = {"keepFiringFor", "missing_series_evals_to_resolve"}  # the API spells them otherwise
    for key in rule.keys() - only_in_files - {"data"}:
        assert back[key] == rule[key], key
    for given, read in zip(rule["data"], back["data"], strict=True):
        assert {key: read[key] for key in given} == given


@each_rule
def test_the_condition_asks_whether_the_query_that_does_not_look_at_the_value_is_above_0(rule: dict[str, Any]) -> None:
    data = {one["refId"]: one for one in rule["data"]}
    assert len(data) == len(rule["data"])
    assert rule["condition"] == CONDITION
    threshold = data[CONDITION]
    assert threshold["datasourceUid"] == threshold["model"]["datasource"]["uid"] == EXPRESSION
    assert threshold["model"]["type"] == "threshold"
    assert threshold["model"]["expression"] == FIRES
    assert threshold["model"]["conditions"] == [{"evaluator": {"type": "gt", "params": [0]}}]
    alert = ALERTS[rule["uid"]]
    assert re.sub(r"\s", "", data[VALUE]["model"]["expr"]) == re.sub(r"\s", "", alert.expression)
    assert re.sub(r"\s", "", data[FIRES]["model"]["expr"]) == re.sub(r"\s", "", fires(alert.expression))
    for letter, one in data.items():
        assert one["model"]["refId"] == letter
        if letter != CONDITION:
            assert one["datasourceUid"] == one["model"]["datasource"]["uid"] == "prometheus"
            assert (one["model"]["instant"], one["model"]["range"]) == (True, False)
            assert one["relativeTimeRange"]["from"] > one["relativeTimeRange"]["to"] == 0


@each_rule
def test_what_is_over_is_ok_and_outlives_it_as_long_as_in_prometheus(rule: dict[str, Any]) -> None:
    assert rule["noDataState"] == "OK", "no series is what Prometheus calls no alert"
    assert rule["execErrState"] == "Error"
    keep = ALERTS[rule["uid"]].keep
    assert rule.get("keepFiringFor", "0s") == keep
    assert rule["missing_series_evals_to_resolve"] == {"15m": 15, "0s": 1}[keep]


@each_rule
def test_every_query_reads_what_exists_and_its_figures_fit_the_alerts_labels(rule: dict[str, Any]) -> None:
    readings = {letter: Reading(query, KNOWN) for letter, query in queries(rule).items()}
    assert [reading.problems for reading in readings.values() if reading.problems] == []
    assert readings[FIRES].labels == readings[VALUE].labels
    for letter in figures(rule):
        assert readings[letter].labels <= readings[VALUE].labels, "Grafana would find none, or several"


@each_rule
def test_sentences_are_what_grafana_can_fill_in(rule: dict[str, Any]) -> None:
    for key in ("summary", "description"):
        text = rule["annotations"][key]
        said = " ".join(re.findall(r"\{\{.*?\}\}", text))
        assert not re.search(r"\bquery\b|\bfirst\b|%q|\$value\b", said), said
        assert "  " not in text
        assert "${" not in text, "Grafana takes it for a variable of its environment"
        assert set(re.findall(r"\$values\.(\w)", text)) <= queries(rule).keys()
        assert len(re.findall(r"\{\{ (?:if|with|range|define)\b", text)) == text.count("{{ end }}")
        assert ("{{ define" in text) == ('{{ template "money"' in text)
    told = "".join(rule["annotations"].values())
    assert [letter for letter in figures(rule) if f"$values.{letter} " not in told] == [], "asked for and not told"


# the same as Prometheus


def read(path: Path) -> Any:
    """Read a test of rules; everything is text, as 1x30 would be a number to Python's YAML and is none."""
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)


def same_as_prometheus(alert: str, count: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Return queries, and what they must give, where so many alerts of a kind fire."""
    rule = RULES[alert]
    condition = f"({queries(rule)[FIRES]})"
    labels = ", ".join(Reading(condition, KNOWN).labels)
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    yield f"count({firing})", {"{}": count}
    yield f"{firing} unless on ({labels}) ({condition} == 1)", {}
    yield f'{condition} unless on ({labels}) ALERTS{{alertname="{alert}"}}', {}  # pending ones fulfil it too
    yield f"{condition} != 1", {}
    for query in figures(rule).values():
        yield f"{condition} unless on ({', '.join(Reading(query, KNOWN).labels)}) ({query})", {}


def derived(path: Path) -> tuple[list[dict[str, Any]], set[str]]:
    """Return the tests of a file, with what Grafana's rules must give where an alert fires; and those alerts."""
    tests, fired = [], set()
    for test in read(path)["tests"]:
        asks = []
        for case in test.get("alert_rule_test", ()):
            if case["exp_alerts"]:
                fired.add(case["alertname"])
                for query, wanted in same_as_prometheus(case["alertname"], len(case["exp_alerts"])):
                    samples = [{"labels": labels, "value": value} for labels, value in wanted.items()]
                    asks.append({"expr": query, "eval_time": case["eval_time"], "exp_samples": samples})
        if asks:
            tests.append({key: value for key, value in test.items() if key != "alert_rule_test"})
            tests[-1]["promql_expr_test"] = asks
    return tests, fired


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("path", [path for path in TESTS if derived(path)[1]], ids=lambda path: path.stem)
def test_where_prometheus_alert_fires_the_condition_is_1_and_every_figure_is_there(tmp_path: Path, path: Path) -> None:
    tests, _ = derived(path)
    content = read(path)
    content["rule_files"] = [str((path.parent / name).resolve()) for name in content["rule_files"]]
    promtool(tmp_path, content | {"tests": tests})


def test_every_alert_fires_in_one_of_these_tests() -> None:
    assert set().union(*(derived(path)[1] for path in TESTS)) == ALERTS.keys()


@pytest.mark.needs("promtool")
def test_a_series_fires_whatever_its_value(tmp_path: Path) -> None:
    values = {"zero": "0", "below": "-1", "small": "0.2", "nan": "NaN", "inf": "Inf", "minus": "-Inf"}
    series = [{"series": f'up{{instance="{name}",job="j"}}', "values": value} for name, value in values.items()]
    samples = [{"labels": f'{{instance="{name}",job="j"}}', "value": 1} for name in values]
    asks = [
        {"expr": fires("up"), "eval_time": "0m", "exp_samples": samples},
        {"expr": fires("up == 5"), "eval_time": "0m", "exp_samples": []},
    ]
    promtool(tmp_path, {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": asks}]})


# sentences


def test_a_sentence_tells_figures_of_the_rule_and_leaves_out_what_grafana_cannot_find() -> None:
    sentences = Sentences()
    budget = "{{ with printf `max(tenant_budget_dollars{tenant=%q})` $labels.tenant | query }}"
    ratio = "{{ with query `round(max(margin_ratio), 0.001)` }}"
    largest = "{{ with printf `topk(3, up{job=%q})` $labels.tenant | query }}"
    amount, percent = '{{ template "money" (. | first | value) }}', "{{ . | first | value | humanizePercentage }}"
    said = sentences.translated(
        "{{ or $labels.name $labels.tenant }} used {{ $value | humanizePercentage }} of"
        f" {budget}{amount}{{{{ end }}}}: {ratio}{percent}{{{{ end }}}}. "
        f"{largest}Most: {{{{ range $i, $s := . }}}}{{{{ if $i }}}}, {{{{ end }}}}{{{{ $s.Labels.component }}}}"
        "{{ end }}. {{ end }}Its page shows more."
    )
    assert said == (
        "{{ or $labels.name $labels.tenant }} used {{ $values.A.Value | humanizePercentage }} of"
        ' {{ with $values.D }}{{ template "money" .Value }}{{ end }}:'
        " {{ with $values.E }}{{ .Value | humanizePercentage }}{{ end }}. Its page shows more."
    )
    assert sentences.figures == {
        "max by (tenant) (tenant_budget_dollars)": "D",
        "round(max(margin_ratio), 0.001)": "E",
    }
    assert (
        sentences.translated(f"{ratio}{amount}{{{{ end }}}}")
        == '{{ with $values.E }}{{ template "money" .Value }}{{ end }}'
    )


def test_half_a_sentence_that_grafana_cannot_tell_is_an_error() -> None:
    with pytest.raises(ValueError, match="Grafana cannot tell this"):
        Sentences().translated("It costs {{ with query `up` }}{{ . | first | value | humanize }}{{ end }}.")
    with pytest.raises(ValueError, match="a block has no end"):
        Sentences().translated("It costs {{ with query `up` }}{{ if . }}a{{ end }}")


@pytest.mark.parametrize(
    ("promql", "label", "grouped"),
    [
        ("max(x{tenant=%q})", "tenant", "max by (tenant) (x)"),
        ('max(x{window="30d",tenant=%q})', "tenant", 'max by (tenant) (x{window="30d"})'),
        ('max(x{plan=%q,window="30d"})', "plan", 'max by (plan) (x{window="30d"})'),
        ("sum(max by (component) (x{tenant=%q}))", "tenant", "sum by (tenant) (max by (tenant, component) (x))"),
        ("max(a:b:sum{plan=%q}) * min(y{plan=%q})", "plan", "max by (plan) (a:b:sum) * min by (plan) (y)"),
    ],
)
def test_what_is_asked_of_one_is_asked_of_all(promql: str, label: str, grouped: str) -> None:
    assert of_all(promql, label) == grouped


def test_an_owner_and_a_currency_with_dollar_signs_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,month,mrr\nacme,2026-10,5000\n")
    (tmp_path / "unitcost.yaml").write_text(
        "sources: {revenue: {type: csv_revenue, path: mrr.csv}}\n"
        'alerts: {owners: {money: "$$$$team"}, grafana_datasource: mimir-eu, keep: 90s}\n'
    )
    assert main(["--config", str(tmp_path / "unitcost.yaml"), "--output", str(tmp_path)]) == 0
    text = (tmp_path / "grafana" / "unitcost-alerts.yaml").read_text()
    groups = yaml.safe_load(text)["groups"]
    rule = groups[0]["rules"][0]
    assert rule["missing_series_evals_to_resolve"] == 2
    uids = {one["datasourceUid"] for group in groups for made in group["rules"] for one in made["data"]}
    assert uids == {"mimir-eu", EXPRESSION}
    prometheus = yaml.safe_load((tmp_path / "prometheus" / "unitcost-alerts.yml").read_text())["groups"][1]["rules"][0]
    assert rule["labels"]["owner"] == prometheus["labels"]["owner"].replace("$", "$$")
    assert "$" in rule["labels"]["owner"]
    assert '{{ define "money" }}{{ "$" }}{{ if' in rule["annotations"]["summary"]


def test_a_file_of_alerts_that_are_all_switched_off_has_no_group() -> None:
    config = Config.model_validate({"sources": {}, "alerts": {"disabled": sorted(ALERTS)}})
    (alerts,) = (file for file in rule_files(config) if file.name == "unitcost-alerts")
    assert yaml.safe_load(grafana(alerts, "prometheus")) == {"apiVersion": 1, "groups": []}
