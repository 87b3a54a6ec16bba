"""The rule files: what Prometheus thinks of them, that they follow the configuration, and that every name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules.__main__ import main, rule_files
from rules.layout import layout
from rules.model import Alert, Record, RuleFile
from rules.write import operator, prometheus
from tests.fakes.alert_rules import ALERTS, DEFAULTS
from tests.fakes.promql_names import Reading, everything
from unitcost.config.alerts import Alerts
from unitcost.config.model import Config
from unitcost.errors import ConfigError
from unitcost.metrics.recorded import RECORDED

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
RULE_FILES = sorted((RULES / "prometheus").glob("*.yml"))
RULE_TESTS = sorted((RULES / "tests").glob("*.yml"))


def records_of(files: tuple[RuleFile, ...]) -> dict[str, Record]:
    rules = [rule for file in files for group in file.groups for rule in group.rules]
    return {rule.metric.name: rule for rule in rules if isinstance(rule, Record)}


RECORDS = records_of(DEFAULTS)
RULES_BY_NAME: dict[str, Alert | Record] = {**ALERTS, **RECORDS}


def configured(tmp_path: Path, text: str) -> Path:
    """Write a configuration with one source and this text."""
    (tmp_path / "mrr.csv").write_text("tenant,month,mrr\nacme,2026-10,5000\n")
    path = tmp_path / "unitcost.yaml"
    path.write_text("sources: {revenue: {type: csv_revenue, path: mrr.csv}}\n" + text)
    return path


# -- what Prometheus' own tools say -----------------------------------------------------------------------------------


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_wrong() -> None:
    command = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = sum(map(int, re.findall(r"SUCCESS: (\d+) rules found", done.stdout)))
    assert found == len(ALERTS) + len(RECORDS)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    command = ["promtool", "test", "rules", path.name]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_to_fire_with_its_text_and_every_recorded_series_is_tested() -> None:
    told = {
        case["alertname"]
        for path in RULE_TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if any(set(alert["exp_annotations"]) == ANNOTATIONS for alert in case["exp_alerts"] or ())
    }
    assert told == set(ALERTS)
    texts = "".join(path.read_text() for path in RULE_TESTS)
    assert [metric.name for metric in RECORDED if metric.name not in texts] == []


# -- the generator ----------------------------------------------------------------------------------------------------


def test_the_tracked_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    assert main(["--output", str(tmp_path)]) == 0
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.y*ml")}
    tracked = {
        path.relative_to(RULES): path.read_bytes()
        for folder in ("prometheus", "operator", "grafana")
        for path in (RULES / folder).iterdir()
    }
    assert written == tracked


@pytest.mark.parametrize("file", DEFAULTS, ids=lambda file: file.name)
def test_the_operators_resource_holds_the_same_groups(file: RuleFile) -> None:
    resource = yaml.safe_load(operator(file))
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", resource["metadata"]["name"])
    assert resource["spec"]["groups"] == yaml.safe_load(prometheus(file))["groups"]


def test_nothing_is_lost_on_the_way_into_yaml() -> None:
    for file in DEFAULTS:
        groups = yaml.safe_load(prometheus(file))["groups"]
        for group, written in zip(file.groups, groups, strict=True):
            for rule, one in zip(group.rules, written["rules"], strict=True):
                assert one["expr"].split() == layout(rule.expression).split()
                if isinstance(rule, Alert):
                    assert one["annotations"]["summary"] == rule.summary.strip()
                    assert one["annotations"]["description"] == rule.description.strip()


def test_line_breaks_change_only_white_space() -> None:
    laid_out = {name: (rule.expression, layout(rule.expression)) for name, rule in RULES_BY_NAME.items()}
    changed = [name for name, (before, after) in laid_out.items() if "".join(before.split()) != "".join(after.split())]
    too_long = [name for name, (_, after) in laid_out.items() if max(map(len, after.splitlines())) > 130]
    assert (changed, too_long) == ([], [])


ANNOTATIONS = {"summary", "description", "runbook_url", "dashboard"}
SECTIONS = ["## What it means", "## See the numbers", "## What to do", "## When to silence it"]


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_every_alert_says_whose_it_is_how_bad_it_is_and_what_to_do(alert: Alert) -> None:
    written = next(
        rule
        for file in DEFAULTS
        for group in yaml.safe_load(prometheus(file))["groups"]
        for rule in group["rules"]
        if rule.get("alert") == alert.name
    )
    assert alert.name.startswith("Unitcost")
    assert written["labels"]["severity"] in ("info", "warning", "critical")
    assert written["labels"]["owner"]
    assert set(written["annotations"]) == ANNOTATIONS
    assert all(written["annotations"].values())
    page = ROOT / written["annotations"]["runbook_url"]
    assert page.parent == ROOT / "docs" / "runbooks"
    text = page.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    assert re.search(r"```promql\n.+?```", text, re.DOTALL), "no query to see the numbers with"


def test_there_is_no_runbook_without_an_alert() -> None:
    linked = {Path(alert.runbook).name for alert in ALERTS.values()}
    assert {path.name for path in (ROOT / "docs" / "runbooks").iterdir()} == linked


# -- the configuration ------------------------------------------------------------------------------------------------


def test_thresholds_owners_links_and_words_follow_the_configuration(tmp_path: Path) -> None:
    path = configured(
        tmp_path,
        """
currency: {code: EUR}
tenants: {key: app.io/tenantID}
windows: [1d, 7d, 30d, mtd, last_month]
alerts:
  owners: {money: cfo}
  runbooks: https://wiki.example.com/unitcost/
  grafana: https://grafana.example.com/
  wait: 1h
  keep: 0s
  disabled: [UnitcostTenantsFolded]
  cluster_label: cluster_id
  margin: {window: 7d, loss_dollars: 12.5}
  budget: {levels: {80: warning, 120: critical}, minimum_dollars: 0, wait: 3m}
  burn: {fast: {window: 7d, rate: 2.5}}
  data: {source_stale: 90m, incomplete_windows: [mtd]}
""",
    )
    assert main(["--config", str(path), "--output", str(tmp_path / "out")]) == 0
    written = {
        rule["alert"]: rule
        for group in yaml.safe_load((tmp_path / "out/prometheus/unitcost-alerts.yml").read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    levels = [name for name in written if name.startswith("UnitcostBudgetUsed")]
    assert levels == ["UnitcostBudgetUsed80", "UnitcostBudgetUsed120"]
    used = written["UnitcostBudgetUsed120"]
    assert ">= 1.2" in used["expr"]
    assert used["labels"] == {"severity": "critical", "owner": "cfo"}
    assert used["for"] == "3m"
    assert "keep_firing_for" not in used
    assert used["annotations"]["runbook_url"] == "https://wiki.example.com/unitcost/UnitcostBudgetUsed.md"
    assert used["annotations"]["dashboard"].startswith("https://grafana.example.com/d/unitcost-tenant?")
    assert '{{ define "money" }}€' in used["annotations"]["summary"]
    margin = written["UnitcostMarginNegative"]
    assert '{tenant!="__other__",window="7d"}) < -12.5' in margin["expr"]
    assert "lost in the last 7 days" in margin["annotations"]["summary"]
    assert margin["for"] == "1h"
    burn = " ".join(written["UnitcostBudgetBurnFast"]["expr"].split())
    assert 'window="7d"}) ) / 7 / on (tenant)' in burn
    assert ">= 2.5" in burn
    assert "> 5400" in written["UnitcostSourceStale"]["expr"]
    assert 'window=~"mtd"' in written["UnitcostWindowIncomplete"]["expr"]
    assert "UnitcostTenantsFolded" not in written
    live = (tmp_path / "out/prometheus/unitcost-opencost.yml").read_text()
    assert 'kube_pod_labels{label_app_io_tenantID!=""}' in live
    assert 'kube_pod_labels{label_app_io_tenant_id!=""}' in live
    assert '"label_app_io_tenant_id"' in live
    assert "on (cluster_id, node) group_left" in live
    assert re.search(r"\bcluster\b", live) is None


@pytest.mark.needs("promtool")
def test_the_rules_of_another_configuration_are_rules_too(tmp_path: Path) -> None:
    text = "currency: {code: CHF}\ntenants: {key: tenantID}\nalerts: {budget: {levels: {33: info}}}\n"
    path = configured(tmp_path, text)
    assert main(["--config", str(path), "--output", str(tmp_path)]) == 0
    made = [str(one) for one in (tmp_path / "prometheus").iterdir()]
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", *made], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("windows: [1d, 30d, mtd]", "windows: last_month is missing, alerts.cost_per_request.baseline needs it;"),
        ("windows: [1d, mtd, last_month]", "windows: 30d is missing, the recording rules delta30d and growth30d needs"),
        (
            "alerts: {margin: {window: 90d}}",
            "windows: 90d is missing, alerts.margin.window needs it; served are 1d,",
        ),
        (
            "alerts: {disabled: [Nonsense]}",
            "alerts.disabled: 'Nonsense' is no alert; the alerts are Unitcost",
        ),
        ("alerts: {margin: {window: 3w}}", "alerts.margin.window: must be Nd (such as 30d), mtd or last_month"),
        ("alerts: {burn: {slow: {window: mtd, rate: 2}}}", "alerts.burn.slow.window: must be a number of days"),
        ("alerts: {budget: {levels: {ninety: warning}}}", "alerts.budget.levels.ninety"),
        ("alerts: {budget: {levels: {90: loud}}}", "alerts.budget.levels.90: Input should be 'info', 'warning'"),
        ("alerts: {wait: soon}", "alerts.wait: must be a duration such as 30s, 5m, 2h or 90d, or 0s"),
        ("alerts: {cost_spike: {baseline: 1d}}", "alerts.cost_spike: baseline must be longer than a day"),
        ("alerts: {cost_per_request: {baseline: 30d}}", "cost_per_request: window and baseline are the same"),
        ("alerts: {reconciliation: {low: 1.2}}", "reconciliation: low must be less than high"),
        ("alerts: {cluster_label: cluster-id}", "alerts.cluster_label: must be the name of a label, such as cluster"),
        ("alerts: {cluster_label: ''}", "alerts.cluster_label: must be the name of a label, such as cluster"),
        ("alerts: {grafana_datasource: 'a b'}", "alerts.grafana_datasource: "),
        ("alerts: {cluster_label: node}", "alerts.cluster_label: must tell clusters apart: node has another meaning"),
        ("alerts: {margin: {loss: 3}}", "alerts.margin.loss: unknown key"),
    ],
)
def test_a_configuration_the_rules_cannot_be_made_from_is_refused_with_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    out = tmp_path / "out"
    assert main(["--config", str(configured(tmp_path, text)), "--output", str(out)]) == 2
    assert complaint in capsys.readouterr().err
    assert not out.exists()


def test_every_mistake_of_the_windows_is_told_at_once() -> None:
    config = Config(sources={}, windows=("1d",))
    with pytest.raises(ConfigError) as error:
        rule_files(config)
    assert {line.split()[1] for line in error.value.mistakes} == {"30d", "mtd", "last_month"}


# -- names ------------------------------------------------------------------------------------------------------------

KNOWN = everything()


@pytest.mark.parametrize("record", RECORDS.values(), ids=lambda record: record.metric.name)
def test_a_recorded_series_reads_what_exists_and_has_the_labels_of_its_catalogue_entry(record: Record) -> None:
    reading = Reading(record.expression, KNOWN)
    assert reading.problems == []
    assert reading.labels == set(record.metric.labels)


def test_the_catalogue_of_recorded_series_is_what_the_rules_write() -> None:
    assert {metric.name for metric in RECORDED} == set(RECORDS)
    assert len(RECORDED) == len(RECORDS) == sum(len(g.rules) for f in DEFAULTS for g in f.groups) - len(ALERTS)
    assert all(re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9]+", name) for name in RECORDS)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_an_alert_and_its_sentences_read_what_exists(alert: Alert) -> None:
    reading = Reading(alert.expression, KNOWN)
    assert reading.problems == []
    assert not reading.labels & {"job", "instance"}, "two replicas would make two alerts"
    assert "_over_time(" not in alert.expression, "an alert looks at now"
    for text in (alert.summary, alert.description, alert.dashboard):
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= reading.labels
        for query in queries(text):
            inner = Reading(query, KNOWN)
            assert inner.problems == []
            shown = set(re.findall(r"\$s\.Labels\.(\w+)", text))
            assert inner.labels <= shown | {"reason"}


def queries(template: str) -> list[str]:
    """Return the queries of a template, with something for each label."""
    return [query.replace("%q", '"x"') for query in re.findall(r"(?:query|printf) `([^`]*)`", template)]


def test_every_query_of_the_sentences_is_read() -> None:
    told = [query for alert in ALERTS.values() for query in queries(alert.summary + alert.description)]
    assert sum(text.count("query") for a in ALERTS.values() for text in (a.summary, a.description)) == len(told)
    assert len(told) > 30


@pytest.mark.parametrize(
    ("promql", "problem"),
    [
        ("tenant_cost_dollar", "tenant_cost_dollar is not in the catalogue"),
        ('tenant_cost_dollars{plan="pro"}', "tenant_cost_dollars: no label plan"),
        ("sum by (plan) (tenant_cost_dollars)", "sum by: no label plan"),
        ("sum by (component) (max by (tenant) (tenant_cost_dollars))", "sum by: no label component"),
        ("sum(tenant_cost_dollars) * on (tenant) tenant_info", "left of * on: no label tenant"),
        ("tenant_mrr_dollars * on (tenant) group_left (region) tenant_info", "group_left: no label region"),
        ("sum by (tenant) (a:b:c)", "a:b:c is not in the catalogue"),
        ('label_replace(tenant_mrr_dollars, "a", "$1", "nmae", "(.+)")', "label_replace from: no label nmae"),
        ("rate(unitcost_source_errors_total[5m]) > on (tenant) tenant_mrr_dollars", "left of > on: no label tenant"),
        ("max_over_time((sum by (plan) (tenant_mrr_dollars))[1h:5m])", "sum by: no label plan"),
        ("topk by (plan) (3, tenant_mrr_dollars)", "topk by: no label plan"),
        ("-sum without (windw) (margin_ratio)", "sum by: no label windw"),
        ('label_join(tenant_mrr_dollars, "a", "/", "tenant", "nod")', "label_join from: no label nod"),
        ("max by (cluster) (tenant_mrr_dollars)", "max by: no label cluster"),
        ("max by (exported_pod) (node_cpu_hourly_cost)", "max by: no label exported_pod"),
    ],
)
def test_the_reader_of_names_sees_what_would_be_silently_empty(promql: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in Reading(promql, KNOWN).problems), Reading(promql, KNOWN).problems


def test_a_renamed_metric_is_missed_wherever_it_was_read() -> None:
    known = {name: metric for name, metric in KNOWN.items() if name != "tenant_margin_dollars"}
    missed = {
        name
        for name, rule in RULES_BY_NAME.items()
        if any(
            problem.startswith("tenant_margin_dollars is not") for problem in Reading(rule.expression, known).problems
        )
    }
    assert missed == {"UnitcostMarginNegative", "UnitcostMarginBelowTarget", "plan:tenant_margin_dollars:sum"}


def test_the_documentation_shows_the_defaults_and_every_alert() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    shown = next(
        yaml.safe_load(block)
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        if block.startswith("alerts:")
    )
    assert Alerts.model_validate(shown["alerts"]) == Alerts()
    assert [name for name in ALERTS if name not in text and not name.startswith("UnitcostBudgetUsed")] == []
    linked = re.findall(r"\]\(([^)]*/runbooks/[^)]+)\)", text)
    assert {Path(link).name for link in linked} == {path.name for path in (ROOT / "docs" / "runbooks").iterdir()}
    assert all((ROOT / "docs" / link).is_file() for link in linked)


def test_the_documentation_says_of_every_alert_what_it_means_and_how_bad_it_is() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    told = {
        name: (meaning.replace("`", ""), severity)
        for name, severity, meaning in re.findall(r"(?m)^\| \[(Unitcost\w+)\S* \| (\w+) \| (.+) \|$", text)
    }
    wanted = {alert.name: (alert.meaning, alert.severity) for alert in ALERTS.values()}
    levels = {name for name in wanted if name.startswith("UnitcostBudgetUsed")}
    assert told == {name: wanted[name] for name in wanted.keys() - levels}
    for name in levels:
        assert wanted[name][0] == f"{name.removeprefix('UnitcostBudgetUsed')} % of a customer's budget is used"
    assert "| so much % of a customer's budget is used |" in text


def test_the_defaults_are_quiet_about_pennies() -> None:
    """A floor in dollars for everything that is about single customers or shares of little."""
    settings = Alerts()
    floors: list[Any] = [
        settings.margin.loss_dollars,
        settings.margin.shortfall_dollars,
        settings.budget.minimum_dollars,
        settings.cost_spike.dollars,
        settings.ai_spike.dollars,
        settings.free_plan.dollars,
        settings.unallocated.dollars,
    ]
    assert min(floors) >= 20
