"""The example for Alertmanager: what amtool says of it, who hears of what, what is held back, how a message reads."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from rules.model import Alert
from tests.fakes.alert_rules import ALERTS
from tests.fakes.processes import alertmanager, wait_for

FOLDER = Path(__file__).parents[2] / "rules" / "alertmanager"
CONFIG = FOLDER / "alertmanager.yml"


def amtool(*args: str) -> str:
    done = subprocess.run(["amtool", *args], capture_output=True, text=True, check=False, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.needs("amtool")
def test_amtool_finds_nothing_wrong() -> None:
    said = amtool("check-config", str(CONFIG))
    assert "1 templates\n  SUCCESS" in said


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    ("alert", "labels", "receivers"),
    [
        ("UnitcostBudgetUsed100", {"tenant": "maple", "plan": "pro"}, "finance-urgent"),
        ("UnitcostBudgetUsed90", {"tenant": "maple", "plan": "pro"}, "finance"),
        ("UnitcostBudgetUsed75", {"tenant": "maple", "plan": "pro"}, "nobody"),
        ("UnitcostBudgetUsed75", {"tenant": "birch", "plan": "enterprise"}, "nobody"),
        ("UnitcostBudgetUsed100", {"tenant": "birch", "plan": "enterprise"}, "enterprise"),
        ("UnitcostCostSpike", {"tenant": "birch", "plan": "enterprise"}, "enterprise"),
        ("UnitcostCostSpike", {"tenant": "maple", "plan": "pro"}, "engineering"),
        ("UnitcostBudgetUsed100", {"tenant": "acme", "plan": "enterprise"}, "account-acme,enterprise"),
        ("UnitcostBudgetUsed100", {"tenant": "nobody"}, "finance-urgent"),
        ("UnitcostMarginNegative", {"tenant": "gamma", "plan": "starter"}, "finance"),
        ("UnitcostMarginBelowTarget", {"tenant": "gamma", "plan": "starter"}, "nobody"),
        ("UnitcostPlanMarginBelowTarget", {"plan": "starter"}, "finance"),
        ("UnitcostAiSpendSpike", {}, "engineering"),
        ("UnitcostUnallocatedShareHigh", {}, "platform"),
        ("UnitcostSourceStale", {"source": "bill"}, "platform"),
        ("UnitcostTenantsFolded", {}, "nobody"),
        ("UnitcostExporterDown", {}, "platform-pager"),
    ],
)
def test_each_alert_reaches_those_it_is_for(alert: str, labels: dict[str, str], receivers: str) -> None:
    rule = ALERTS[alert]
    given = {"alertname": alert, "severity": rule.severity, "owner": rule.owner, **labels}
    pairs = [f"{name}={value}" for name, value in given.items()]
    amtool("config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receivers}", *pairs)


@pytest.mark.needs("amtool")
def test_alerts_of_others_are_left_alone() -> None:
    said = amtool("config", "routes", "test", f"--config.file={CONFIG}", "alertname=NodeDown", "severity=critical")
    assert said.strip() == "others"


@pytest.mark.needs("amtool")
@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_an_alert_that_is_more_than_info_reaches_somebody(alert: Alert) -> None:
    pairs = [f"alertname={alert.name}", f"severity={alert.severity}", f"owner={alert.owner}"]
    said = amtool("config", "routes", "test", f"--config.file={CONFIG}", *pairs).strip()
    assert (said == "nobody") == (alert.severity == "info")
    assert said != "others"


def test_every_alert_that_a_rule_of_the_example_names_exists() -> None:
    text = CONFIG.read_text()
    named = re.findall(r'alertname(=~?|!=|!~)"([^"]+)"', text)
    for _, pattern in named:
        for part in re.sub(r"\(([^)]*)\)", r"(?:\1)", pattern).split("|Unitcost"):
            regex = part if part.startswith("Unitcost") else f"Unitcost{part}"
            assert any(re.fullmatch(regex, name) for name in ALERTS), regex
    assert len(named) > 10


def alert(name: str, **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus posts it."""
    rule = ALERTS[name]
    return {
        "labels": {"alertname": name, "severity": rule.severity, "owner": rule.owner, **labels},
        "annotations": {"summary": f"{name} of {labels.get('tenant', 'the company')}"},
        "startsAt": datetime.now(UTC).isoformat(),
    }


def held_back(folder: Path, given: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return (alert, tenant) of what a real Alertmanager with the example's rules holds back."""
    given = list(given)
    inhibiting = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
    config = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}], "inhibit_rules": inhibiting}
    with alertmanager(folder, config) as url:
        assert requests.post(f"{url}/api/v2/alerts", json=given, timeout=10).ok
        wait_for(lambda: len(requests.get(f"{url}/api/v2/alerts", timeout=10).json()) == len(given), "all are there")
        found = requests.get(f"{url}/api/v2/alerts", timeout=10).json()
    return {(a["labels"]["alertname"], a["labels"].get("tenant", "")) for a in found if a["status"]["inhibitedBy"]}


@pytest.mark.needs("prometheus-alertmanager")
def test_the_highest_level_of_a_budget_speaks_for_the_rest_of_the_same_customer(tmp_path: Path) -> None:
    budget = [name for name in ALERTS if "Budget" in name]
    maple = [alert(name, tenant="maple") for name in budget]
    birch = [alert(name, tenant="birch") for name in budget if name != "UnitcostBudgetUsed100"]
    others = [alert("UnitcostCostSpike", tenant="maple"), alert("UnitcostBudgetUsed50", tenant="fern")]
    assert held_back(tmp_path, [*maple, *birch, *others]) == {
        *((name, "maple") for name in budget if name != "UnitcostBudgetUsed100"),
        ("UnitcostBudgetUsed75", "birch"),
        ("UnitcostBudgetUsed50", "birch"),
        ("UnitcostBudgetBurnSlow", "birch"),
    }


@pytest.mark.needs("prometheus-alertmanager")
def test_a_stale_source_holds_back_what_it_makes_unreliable_and_nothing_else(tmp_path: Path) -> None:
    told_anyway = {
        "UnitcostSourceStale",
        "UnitcostSnapshotOld",
        "UnitcostConfigReloadFailed",
        "UnitcostTenantsFolded",
        "UnitcostAiTokensUnpriced",
        *(name for name in ALERTS if "Budget" in name),
    }
    # Every alert of its own customer, so that budgets do not hold each other back.
    given = [alert(name, tenant=name) for name in ALERTS if name != "UnitcostExporterDown"]
    held = held_back(tmp_path, given)
    assert {name for name, _ in held} == set(ALERTS) - told_anyway - {"UnitcostExporterDown"}


@pytest.mark.needs("prometheus-alertmanager")
def test_without_an_exporter_only_that_is_told(tmp_path: Path) -> None:
    held = held_back(tmp_path, [alert(name, tenant=name) for name in ALERTS])
    assert {name for name, _ in held} == set(ALERTS) - {"UnitcostExporterDown"}


# -- messages ---------------------------------------------------------------------------------------------------------

MAPLE = {
    "status": "firing",
    "labels": {
        "alertname": "UnitcostBudgetUsed100",
        "tenant": "maple-homes",
        "name": "Maple Homes GmbH",
        "plan": "pro",
        "severity": "critical",
        "owner": "finance",
    },
    "annotations": {
        "summary": "Maple Homes GmbH has used 181% of its budget of $4,107: $7,434 since the first of the month.",
        "description": "The largest parts so far: ai $7,000, compute $434. Its page shows the month day by day.",
        "runbook_url": "https://docs.example.com/runbooks/UnitcostBudgetUsed.md",
        "dashboard": "https://grafana.example.com/d/unitcost-tenant?var-tenant=maple-homes",
    },
    "startsAt": "2026-11-23T06:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
}
BIRCH = MAPLE | {
    "labels": {**MAPLE["labels"], "tenant": "birch", "name": "Birch & Söhne <Inc>"},  # type: ignore[dict-item]
    "annotations": {**MAPLE["annotations"], "summary": "Birch & Söhne <Inc> has used 100% of its budget."},  # type: ignore[dict-item]
}
FERN = MAPLE | {
    "status": "resolved",
    "labels": {**MAPLE["labels"], "tenant": "fern", "name": "Fern Co"},  # type: ignore[dict-item]
    "annotations": {**MAPLE["annotations"], "summary": "Fern Co has used 101% of its budget."},  # type: ignore[dict-item]
}
STALE = MAPLE | {
    "labels": {"alertname": "UnitcostSourceStale", "source": "bill", "severity": "warning", "owner": "platform"},
    "annotations": {**MAPLE["annotations"], "summary": "The source bill was last read 7h ago."},  # type: ignore[dict-item]
}
SPIKE = MAPLE | {
    "labels": {**MAPLE["labels"], "alertname": "UnitcostCostSpike", "severity": "warning"},  # type: ignore[dict-item]
    "annotations": {**MAPLE["annotations"], "summary": "Maple Homes GmbH cost $160 yesterday (UTC)."},  # type: ignore[dict-item]
}


def rendered(tmp_path: Path, template: str, *alerts: dict[str, Any], kind: str = "text") -> str:
    """Return a template over a message of these alerts, as Alertmanager puts it together."""
    labels = [one["labels"] for one in alerts]
    data = {
        "receiver": "finance",
        "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {
            name: value for name, value in labels[0].items() if all(other.get(name) == value for other in labels)
        },
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com",
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    return amtool(
        "template",
        "render",
        f"--template.glob={FOLDER / 'templates' / '*.tmpl'}",
        f"--template.type={kind}",
        f"--template.data={tmp_path / 'data.json'}",
        f'--template.text={{{{ template "{template}" . }}}}',
    )


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    ("alerts", "title"),
    [
        ([MAPLE], "budget used 100 %, Maple Homes GmbH"),
        ([MAPLE, BIRCH], "2 × budget used 100 %: Maple Homes GmbH, Birch & Söhne <Inc>"),
        ([MAPLE, BIRCH, FERN], "2 × budget used 100 %: Maple Homes GmbH, Birch & Söhne <Inc>"),
        (
            [MAPLE] * 2 + [BIRCH] * 38,
            "40 × budget used 100 %: Maple Homes GmbH, Maple Homes GmbH, Birch & Söhne <Inc>, …",
        ),
        ([MAPLE, SPIKE], "2 alerts, Maple Homes GmbH"),
        ([FERN], "Resolved: budget used 100 %, Fern Co"),
        ([STALE], "source stale: bill"),
    ],
)
def test_a_subject_says_what_it_is_about(tmp_path: Path, alerts: list[dict[str, Any]], title: str) -> None:
    assert rendered(tmp_path, "unitcost.title", *alerts) == title


@pytest.mark.needs("amtool")
def test_a_message_is_a_list_a_person_can_read(tmp_path: Path) -> None:
    assert (
        rendered(tmp_path, "unitcost.text", MAPLE, FERN)
        == """\
- Maple Homes GmbH has used 181% of its budget of $4,107: $7,434 since the first of the month.
  The largest parts so far: ai $7,000, compute $434. Its page shows the month day by day.
  Page: https://grafana.example.com/d/unitcost-tenant?var-tenant=maple-homes
  What to do: https://docs.example.com/runbooks/UnitcostBudgetUsed.md
  Since 23 Nov 06:00 UTC, critical.

No longer true; as it was last:
- Fern Co has used 101% of its budget.
"""
    )


@pytest.mark.needs("amtool")
@pytest.mark.parametrize("template", ["unitcost.text", "unitcost.slack", "unitcost.html"])
def test_a_storm_is_one_message_of_twenty(tmp_path: Path, template: str) -> None:
    said = rendered(tmp_path, template, *[MAPLE] * 41)
    assert "The first 20 of 41:" in said
    assert said.count("$7,434") == 20


@pytest.mark.needs("amtool")
def test_names_do_not_break_the_mail(tmp_path: Path) -> None:
    said = rendered(tmp_path, "unitcost.html", BIRCH, kind="html")
    assert "<strong>Birch &amp; Söhne &lt;Inc&gt; has used 100% of its budget.</strong>" in said
    assert '<a href="https://docs.example.com/runbooks/UnitcostBudgetUsed.md">What to do</a>' in said
    assert said.count("<div") == said.count("</div>") == 1


@pytest.mark.needs("amtool")
def test_slack_gets_links_only_where_there_are_addresses(tmp_path: Path) -> None:
    assert rendered(tmp_path, "unitcost.slack", MAPLE) == (
        "• *Maple Homes GmbH has used 181% of its budget of $4,107: $7,434 since the first of the month.*"
        " The largest parts so far: ai $7,000, compute $434. Its page shows the month day by day."
        " <https://grafana.example.com/d/unitcost-tenant?var-tenant=maple-homes|Page>"
        " · <https://docs.example.com/runbooks/UnitcostBudgetUsed.md|What to do>\n"
    )
    relative = MAPLE | {"annotations": {**MAPLE["annotations"], "runbook_url": "docs/runbooks/X.md"}}  # type: ignore[dict-item]
    assert "What to do" not in rendered(tmp_path, "unitcost.slack", relative)


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("R&D Labs", "R&amp;D Labs"),
        ("<https://evil.example.com|Invoice>", "&lt;https://evil.example.com|Invoice&gt;"),
        ("AT&amp;T", "AT&amp;amp;T"),
    ],
)
def test_a_customers_name_is_no_command_to_slack(tmp_path: Path, name: str, shown: str) -> None:
    def of(labels: dict[str, str], status: str) -> dict[str, Any]:
        said = {"summary": f"{name} has used 3%.", "description": f"Ask {name}."}
        return MAPLE | {"status": status, "labels": labels, "annotations": {**MAPLE["annotations"], **said}}  # type: ignore[dict-item]

    severity = {"alertname": "UnitcostBudgetUsed100", "severity": "critical"}
    named, unnamed = {**severity, "tenant": "x", "name": name}, {**severity, "tenant": name}
    of_plan, of_source = {**severity, "plan": name}, {**severity, "source": name}
    for status in ("firing", "resolved"):
        for labels in (named, unnamed, of_plan, of_source):
            said = rendered(tmp_path, "unitcost.slack", of(labels, status))
            assert name not in said.replace(shown, "")
            assert said.count(shown) == (2 if status == "firing" else 1)
    lead = "budget used 100 %"
    assert rendered(tmp_path, "unitcost.slack_title", of(named, "firing")) == f"{lead}, {shown}"
    two = [of(labels, "firing") for labels in (unnamed, of_plan)]
    assert rendered(tmp_path, "unitcost.slack_title", *two) == f"2 × {lead}: {shown}, plan {shown}"
    assert rendered(tmp_path, "unitcost.title", *two) == f"2 × {lead}: {name}, plan {name}"


def test_every_receiver_uses_templates_that_exist() -> None:
    text = (FOLDER / "templates" / "unitcost.tmpl").read_text()
    defined = set(re.findall(r'define "([^"]+)"', text))
    used = set(re.findall(r'template "([^"]+)"', CONFIG.read_text()))
    assert used <= defined
    assert used == {f"unitcost.{name}" for name in ("title", "slack_title", "link", "text", "slack", "html")}
    for receiver in yaml.safe_load(CONFIG.read_text())["receivers"]:
        for slack in receiver.get("slack_configs", ()):
            assert "unitcost.slack_title" in slack["title"]
            assert "unitcost.slack" in slack["text"]


def test_no_secret_stands_in_the_example() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    words = json.dumps(config)
    assert "api_url_file" in words
    assert not re.search(r'"(slack_api_url|api_url|smtp_auth_password|credentials|bearer_token|password)"', words)
