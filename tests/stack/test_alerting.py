"""From the gauge to the person, with real programs: exporter, Prometheus with our rules, Alertmanager, a webhook."""

from __future__ import annotations

import csv
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from demo.listen import listening
from demo.notices import text_of
from demo.settings import SHIPPED, alertmanager_config
from rules.__main__ import main as write_rules
from rules.promql import select
from tests.fakes.opencost import record
from tests.fakes.processes import alertmanager, exporter, free_port, prometheus, wait_for
from unitcost.metrics.catalogue import TENANT_BUDGET, TENANT_BUDGET_USED
from unitcost.metrics.catalogue_exporter import SOURCE_LAST_SUCCESS, SOURCE_UP
from unitcost.metrics.external import ALERTS

TENANT, NAME = "maple-homes", "Maple Homes GmbH"
SOURCE = "revenue"
TOLD = f"{NAME} has used"
RESOLVED = "No longer true"
MARGIN_ALERT = "UnitcostMarginNegative"
STALE_SECONDS = 15
"""Many refreshes of a small company on a busy machine too: a source that is only slow is not stale."""
KEEP_SECONDS = 25
CONFIG = f"""
tenants: {{directory: tenants.csv}}
history: 62d   # enough for every window
refresh: {{every: 1s}}
sources:
  cluster: {{type: opencost, path: opencost}}
  {SOURCE}: {{type: csv_revenue, path: mrr.csv}}
alerts: {{wait: 0s, keep: {KEEP_SECONDS}s, data: {{source_stale: {STALE_SECONDS}s}}}}
"""


@dataclass
class Inbox:
    """What arrived, as text, in order."""

    texts: list[str] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        self.texts.append(text_of(body))

    def about(self, *words: str) -> list[str]:
        """Return the notifications in which all these words are."""
        return [text for text in self.texts if all(word in text for word in words)]


def company(folder: Path) -> Path:
    """Write a company that is over its budget on each day of a month, and one that costs more than it pays."""
    folder.mkdir()
    today = datetime.now(UTC).date()
    for ago in range(63):
        record(folder, today - timedelta(ago), {TENANT: Decimal(600), "beta": Decimal(40)})
    (folder / "tenants.csv").write_text(f"id,name,plan,budget_dollars\n{TENANT},{NAME},pro,500\nbeta,Beta,pro,9000\n")
    since = today - timedelta(62)
    (folder / "mrr.csv").write_text(f"tenant,mrr,as_of\n{TENANT},90000,{since}\nbeta,30,{since}\n")
    config = folder / "unitcost.yaml"
    config.write_text(CONFIG)
    return config


def suppressed(manager: str, name: str) -> bool:
    """Tell whether there are alerts of this name, and all are held back."""
    answer = requests.get(f"{manager}/api/v2/alerts", params={"filter": f'alertname="{name}"'}, timeout=10).json()
    return bool(answer) and all(alert["status"]["inhibitedBy"] for alert in answer)


def raise_budget(directory: Path, tenant: str, dollars: int) -> None:
    rows = list(csv.DictReader(directory.read_text().splitlines()))
    for row in rows:
        if row["id"] == tenant:
            row["budget_dollars"] = str(dollars)
    with directory.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.needs("prometheus", "prometheus-alertmanager")
def test_an_over_budget_customer_arrives_once_a_stale_source_silences_margins_and_a_raised_budget_resolves(
    tmp_path: Path,
) -> None:
    config = company(tmp_path / "company")
    mrr = config.parent / "mrr.csv"
    good = mrr.read_bytes()
    assert write_rules(["--config", str(config), "--output", str(tmp_path / "rules")]) == 0
    rules = sorted((tmp_path / "rules" / "prometheus").iterdir())
    target = f"127.0.0.1:{free_port()}"
    serve = ("--config", str(config), "--listen", target)
    inbox = Inbox()
    with ExitStack() as stops:
        webhook = stops.enter_context(listening("127.0.0.1", 0, post=inbox.take))
        # the shipped routes, grouping, inhibition and texts; only in a hurry, and to one webhook for everybody
        hurried = alertmanager_config(
            SHIPPED, SHIPPED.parent, webhook, group_wait="4s", group_interval="2s", repeat_interval="1h"
        )
        manager = stops.enter_context(alertmanager(tmp_path, hurried))

        with exporter(tmp_path, *serve) as unitcost:
            wait_for(unitcost.ready, "the first snapshot")
            budget = unitcost.value(TENANT_BUDGET, tenant=TENANT)
            spent = unitcost.value(TENANT_BUDGET_USED, tenant=TENANT) * budget
            assert spent > budget
            mrr.write_text("this is no revenue\n")
            wait_for(lambda: unitcost.value(SOURCE_UP, source=SOURCE) == 0, "the revenue fails", every=1)
            succeeded = unitcost.value(SOURCE_LAST_SUCCESS, source=SOURCE)
            wait_for(lambda: time.time() > succeeded + STALE_SECONDS + 1, "the revenue is stale")

            began = time.monotonic()
            server = stops.enter_context(
                prometheus(tmp_path, {"unitcost": target}, rules=rules, alertmanager_url=manager, every="2s")
            )
            wait_for(lambda: bool(inbox.about(TOLD)), "the notification", patience=90)
            assert time.monotonic() - began < 90
            told = re.search(rf"{TOLD} ([\d.]+)% of its budget of \$([\d,]+): \$([\d,]+) since", inbox.about(TOLD)[0])
            assert told is not None, inbox.texts
            figures = [float(figure.replace(",", "")) for figure in told.groups()]
            assert figures == pytest.approx([100 * spent / budget, budget, spent], rel=1e-3)
            wait_for(lambda: bool(inbox.about("The source revenue was last read")), "the stale source arrives")
            wait_for(lambda: suppressed(manager, MARGIN_ALERT), "the margins fire and are held back")
            time.sleep(8)  # four more group intervals
            assert len(inbox.about(TOLD)) == 1, inbox.texts
            assert inbox.about("costs more than it pays") == [], "margins are not sent while revenue is stale"
            assert inbox.about(RESOLVED, NAME) == []

        mrr.write_bytes(good)
        raise_budget(config.parent / "tenants.csv", TENANT, round(spent * 3))
        with exporter(tmp_path, *serve) as unitcost:
            wait_for(
                lambda: unitcost.value(TENANT_BUDGET, tenant=TENANT) == round(spent * 3), "the new budget", every=1
            )
            raised = f"{select(TENANT_BUDGET, tenant=TENANT)} > {2 * spent} and on () {select(ALERTS, tenant=TENANT)}"
            wait_for(lambda: server.has(raised), "Prometheus knows the new budget while the alert is still kept")
            assert inbox.about(RESOLVED, NAME) == [], "a restart alone resolves nothing"
            wait_for(lambda: bool(inbox.about(RESOLVED, NAME)), "the resolved notice")
            wait_for(lambda: bool(inbox.about("costs more than it pays")), "margins are sent now that revenue is fresh")
