"""What only says how stored facts are counted asks no source again: a components line, a node, a sharing rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.company import NOW, RATES, YESTERDAY
from unitcost.config.load import load
from unitcost.facts import Batch, Cost, Query, Resource
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

YAML = """
sources:
  cluster: {{type: opencost, path: opencost}}
  bill: {{type: focus, path: bill.csv, cost: BilledCost}}
  usage: {{type: csv_usage, path: usage.csv}}
components: {components}
sharing: {sharing}
dimensions: []
"""
BILL = """\
BillingPeriodStart,ChargePeriodStart,BillingCurrency,BilledCost,ServiceName,ServiceCategory,ResourceId,Tags
2026-11-01,2026-11-22,USD,12,EC2,Compute,i-0a1,
2026-11-01,2026-11-22,USD,5,S3,Storage,bucket,"{""tenant"": ""acme""}"
"""
OPENCOST = """{"code": 200, "data": [{"acme": {"properties": {"cluster": "prod"}, "cpuCost": 10,
"window": {"start": "2026-11-22T00:00:00Z", "end": "2026-11-23T00:00:00Z"}}}]}"""


class Counting(Ledger):
    """A ledger that counts how often each source's queries are read, and its batches stored."""

    def __init__(self, folder: Path) -> None:
        self.stored_batches: Counter[str] = Counter()
        super().__init__(folder)

    def put(
        self,
        source: str,
        settings: str,
        batch: Batch,
        now: datetime,
        rates: Mapping[str, Decimal],
        clusters: Sequence[str] = (),
    ) -> None:
        self.stored_batches[source] += 1
        self.stored_batches[f"{source}, read"] += isinstance(batch.cost, Query)
        super().put(source, settings, batch, now, rates, clusters)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "opencost").mkdir()
    (tmp_path / "opencost" / "day.json").write_text(OPENCOST)
    (tmp_path / "bill.csv").write_text(BILL)
    (tmp_path / "usage.csv").write_text("day,tenant,measure,quantity\n2026-11-22,acme,requests,7\n")
    return tmp_path


def refreshed(folder: Path, ledger: Ledger, components: str = "{}", sharing: str = "[]") -> dict[str, Decimal]:
    """Refresh once under this configuration; return what the bill came to, by component."""
    (folder / "unitcost.yaml").write_text(YAML.format(components=components, sharing=sharing))
    config, directory = load(folder / "unitcost.yaml")
    assert Refresher(config, directory, ledger, Current(), lambda: NOW).refresh()
    return dict(ledger.rows("SELECT component, sum(amount) FROM line WHERE source = 'bill' GROUP BY component"))


def test_another_components_line_or_sharing_rule_counts_at_once_and_reads_nothing_again(folder: Path) -> None:
    with closing(Counting(folder)) as ledger:
        assert refreshed(folder, ledger) == {"compute": 12, "storage": 5}
        assert ledger.stored_batches == {"cluster": 1, "bill": 1, "bill, read": 1, "usage": 1, "cluster, read": 0} | {
            "usage, read": 0
        }
        ledger.stored_batches.clear()
        assert refreshed(folder, ledger, "{Storage: other}") == {"compute": 12, "other": 5}
        assert refreshed(folder, ledger, "{EC2: gpu}", "[{match: {component: gpu}, by: requests}]") == {
            "gpu": 12,
            "storage": 5,
        }
        assert ledger.rows("SELECT shared FROM tenant_day WHERE component = 'gpu'") == [(12,)]
        assert not +ledger.stored_batches, "no source is asked again, and no bill is read"


def test_a_new_node_takes_the_bills_charge_to_its_user_and_reads_no_bill_again(folder: Path) -> None:
    with closing(Counting(folder)) as ledger:
        refreshed(folder, ledger)
        assert ledger.rows("SELECT tenant FROM line WHERE service = 'EC2'") == [(None,)]
        ledger.stored_batches.clear()
        rows = [Cost(YESTERDAY, "acme", "cpu", "compute", Decimal(10), "USD", "k8s/prod", resource="i-0a1")]
        batch = Batch("nodes", [], cost=rows, resources=[Resource(YESTERDAY, "i-0a1", "k8s/prod")])
        Ledger.put(ledger, "cluster", "", batch, NOW, RATES)
        refreshed(folder, ledger)
        paid = ledger.rows("SELECT tenant, amount FROM line WHERE basis = 'reconciled'")
        assert paid == [("acme", 12)]
        assert not +ledger.stored_batches
