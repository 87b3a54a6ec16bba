"""The alerts on the page about budgets: what a real Prometheus that evaluates our rules gives its queries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dashboards.style import Settings
from rules.alerts import Runbooks
from tests.fakes.alert_rules import ALERTS, promtool
from tests.fakes.pages import asked, filled, page, panel
from unitcost.config.model import Config
from unitcost.metrics.recorded import ALERT_RULES

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "rules" / "prometheus" / "unitcost-alerts.yml"
UID = "unitcost-budgets"
KINDS, INFO, TABLE = "Alerts firing, by kind", "For information", "Alerts firing"
EXTERNAL = Runbooks("https://costs.example.com/runbooks/", "")

GAMMA = 'tenant="gamma",name="Gamma LLC",plan="starter"'
SERIES = {
    f'tenant_info{{{GAMMA},status="active"}}': "1x60",
    'tenant_budget_dollars{tenant="gamma"}': "100x60",
    'tenant_budget_used_ratio{tenant="gamma"}': "0.1x9 0.92x50",
    # unknown to the directory
    'tenant_margin_dollars{tenant="stray",window="30d"}': "-500x60",
    'tenant_revenue_dollars{tenant="stray",window="30d"}': "10x60",
    'reconciliation_ratio{source="bill",scope="k8s/eu",window="30d"}': "0.5x60",
    'unitcost_source_up{source="bill"}': "1x60",
    'unitcost_source_last_success_timestamp_seconds{source="bill"}': "-90000x60",
    "unitcost_build_info": "1x60",
}
CRITICAL = {key: value for key, value in SERIES.items() if key != "unitcost_build_info"}


def query(title: str, tenant: str = ".*", given: Settings | None = None) -> str:
    (target,) = panel(page(UID, given), title)["targets"]
    return filled(target["expr"], {"tenant": tenant})


def check(
    folder: Path, expr: str, samples: Mapping[str, float], series: Mapping[str, str] | None = None, rules: Path = RULES
) -> None:
    """Assert what a query gives 40 minutes after the first sample: labels → value."""
    given = [{"series": name, "values": values} for name, values in (SERIES if series is None else series).items()]
    wanted = [{"labels": labels, "value": value} for labels, value in samples.items()]
    asks = [{"expr": expr, "eval_time": "40m", "exp_samples": wanted}]
    tests = [{"interval": "1m", "input_series": given, "promql_expr_test": asks}]
    promtool(folder, {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests})


STRAY = '{severity="warning",alertname="UnitcostMarginNegative",tenant="stray",who="stray",runbook="%s"}'
BUDGET = (
    '{severity="warning",alertname="UnitcostBudgetUsed90",tenant="gamma",name="Gamma LLC",plan="starter",'
    'who="Gamma LLC",about="starter",runbook="%s"}'
)
STALE = '{severity="warning",alertname="UnitcostSourceStale",source="bill",about="bill",runbook="%s"}'
OFF = (
    '{severity="warning",alertname="UnitcostReconciliationOff",source="bill",scope="k8s/eu",about="bill k8s/eu",'
    'runbook="%s"}'
)
MINUTE = 60_000


@pytest.mark.needs("promtool")
def test_the_table_tells_each_alert_but_info_since_when_about_whom_and_where_the_runbook_is(tmp_path: Path) -> None:
    check(
        tmp_path,
        query(TABLE),
        {
            STRAY % "UnitcostMarginNegative.md": 0,
            BUDGET % "UnitcostBudgetUsed.md": 10 * MINUTE,
            STALE % "UnitcostSourceStale.md": 0,
            OFF % "UnitcostReconciliationOff.md": 0,
        },
    )


@pytest.mark.needs("promtool")
def test_alerts_of_other_customers_are_left_out_and_those_of_none_are_kept(tmp_path: Path) -> None:
    linked = Settings(runbooks=EXTERNAL)
    shown = {BUDGET % "UnitcostBudgetUsed": 10 * MINUTE, STALE % "UnitcostSourceStale": 0}
    check(tmp_path, query(TABLE, "gamma", linked), shown | {OFF % "UnitcostReconciliationOff": 0})


@pytest.mark.needs("promtool")
def test_info_is_counted_only(tmp_path: Path) -> None:
    check(tmp_path, query(INFO), {"{}": 2})  # half and three quarters of the budget
    kinds = ("UnitcostBudgetUsed90", "UnitcostMarginNegative", "UnitcostReconciliationOff", "UnitcostSourceStale")
    check(tmp_path, query(KINDS), {f'{{severity="warning",alertname="{kind}"}}': 1 for kind in kinds})
    kinds_and_down = {f'{{severity="warning",alertname="{kind}"}}': 1.0 for kind in kinds}
    kinds_and_down['{severity="critical",alertname="UnitcostExporterDown"}'] = 1
    check(tmp_path, query(KINDS), kinds_and_down, CRITICAL)


QUIET = {"unitcost_build_info": "1x60"}


@pytest.mark.needs("promtool")
def test_that_none_fires_is_said_only_where_the_rules_of_alerts_are_evaluated(tmp_path: Path) -> None:
    none = '{alertname="no warning or worse"}'
    check(tmp_path, query(TABLE), {none: 0}, QUIET)
    check(tmp_path, query(KINDS), {none: 0}, QUIET)
    check(tmp_path, query(INFO), {"{}": 0}, QUIET)
    recording = RULES.with_name("unitcost-recording.yml")  # the alerts themselves are not loaded, or Grafana has them
    cost = QUIET | {'platform_cost_dollars{component="ai",window="30d"}': "1x60"}
    for title in (TABLE, KINDS, INFO):
        check(tmp_path, query(title), {}, cost, recording)


@pytest.mark.needs("promtool")
def test_the_marker_counts_the_alerts(tmp_path: Path) -> None:
    check(tmp_path, ALERT_RULES.name, {ALERT_RULES.name: len(ALERTS)}, {})


def cells(given: Settings, header: str) -> dict[str, Any]:
    (found,) = (
        {prop["id"]: prop["value"] for prop in one["properties"]}
        for one in panel(page(UID, given), TABLE)["fieldConfig"]["overrides"]
        if one["matcher"]["options"] == header
    )
    return found


def test_what_to_do_is_a_link_where_the_runbooks_can_be_opened_and_their_file_where_not() -> None:
    assert "links" not in cells(Settings(), "What to do")
    (link,) = cells(Settings(runbooks=EXTERNAL), "What to do")["links"]
    assert link["url"] == 'https://costs.example.com/runbooks/${__data.fields["runbook"]:percentencode}'
    wiki = Settings(runbooks=Runbooks("http://wiki/"))
    assert cells(wiki, "What to do")["links"][0]["url"].endswith(":percentencode}.md")


def test_every_alert_is_told_in_words() -> None:
    (mapping,) = cells(Settings(), "Alert")["mappings"]
    assert mapping["options"].keys() == ALERTS.keys()
    for name, shown in mapping["options"].items():
        assert shown["text"].lower() == ALERTS[name].meaning.lower()
        assert len(shown["text"]) <= 56, "it must fit a column"
        assert "{{" not in shown["text"]


def test_the_words_and_the_address_are_those_of_the_configuration() -> None:
    config = Config.model_validate(
        {
            "sources": {},
            "alerts": {"budget": {"levels": {"33": "critical"}}, "disabled": ["UnitcostCostSpike"]},
            "web": {"external_url": "https://costs.example.com"},
        }
    )
    given = Settings.of(config)
    words = cells(given, "Alert")["mappings"][0]["options"]
    assert words["UnitcostBudgetUsed33"]["text"] == "33 % of a customer's budget is used"
    assert "UnitcostCostSpike" not in words
    assert cells(given, "What to do")["links"][0]["url"].startswith("https://costs.example.com/runbooks/$")


def test_queries_about_alerts_are_short() -> None:
    for given in (Settings(), Settings(runbooks=EXTERNAL)):
        lengths = [len(query.expr) for query in asked(page(UID, given)) if "ALERTS" in query.expr]
        assert len(lengths) == 3
        assert max(lengths) <= 620
