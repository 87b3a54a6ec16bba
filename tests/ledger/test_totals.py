"""Real files in, the same totals out, to the last digit; what has no tenant is unallocated."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.sample_ledger import AS_OF
from unitcost.cli.main import main
from unitcost.config.load import load
from unitcost.economics.margin import margin_rows
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

DATA = Path(__file__).parents[1] / "data"
NOW = datetime(2024, 11, 10, tzinfo=UTC)
PARTS = ("cpuCost", "ramCost", "gpuCost", "pvCost", "networkCost", "loadBalancerCost", "sharedCost", "externalCost")


def opencost_total() -> Decimal:
    answer = json.loads((DATA / "opencost-allocation.json").read_text(), parse_float=Decimal)
    entries = [entry for step in answer["data"] for entry in step.values()]
    adjustments = [f"{part}Adjustment" for part in PARTS]
    return sum((Decimal(entry.get(part, 0)) for entry in entries for part in (*PARTS, *adjustments)), Decimal(0))


def bill_total(tag: str | None = None) -> Decimal:
    with (DATA / "focus-1.0-sample.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return sum((Decimal(row["BilledCost"]) for row in rows if tag is None or f'"{tag}"' in row["Tags"]), Decimal(0))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "unitcost.yaml"
    path.write_text(
        f"""
        tenants: {{key: application}}
        history: 1000d
        windows: [900d]
        sources:
          cluster: {{type: opencost, path: "{DATA / "opencost-allocation.json"}", aggregate: [namespace]}}
          bill: {{type: focus, path: "{DATA / "focus-1.0-sample.csv"}", cost: BilledCost}}
        """
    )
    return path


def test_the_totals_served_are_the_totals_in_the_files(config: Path) -> None:
    settings, directory = load(config)
    ledger = Ledger(None)
    refresher = Refresher(settings, directory, ledger, Current(), lambda: NOW)
    refresher.refresh()
    problems = [line for runner in refresher.runners for line in runner.problems]
    assert [line.partition(":")[0] for line in problems] == ["cluster"], problems
    assert "no workload has a tenant" in problems[0]
    *tenants, unallocated, total = margin_rows(ledger, "900d")
    assert sum(line.cost or 0 for line in tenants) == bill_total("application")
    assert unallocated.cost == opencost_total() + bill_total() - bill_total("application")
    assert total.cost == opencost_total() + bill_total()
    counted = dict(ledger.rows("SELECT source, sum(amount) FROM counted_day GROUP BY source"))
    nobody = dict(ledger.rows("SELECT source, sum(amount) FROM unallocated_day GROUP BY source"))
    assert counted == {"cluster": opencost_total(), "bill": bill_total()}
    assert nobody == {"cluster": opencost_total(), "bill": bill_total() - bill_total("application")}
    ledger.close()


def test_the_report_of_the_sample_is_the_table_of_the_design(
    sample_company: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = shutil.copytree(sample_company, tmp_path / "sample") / "unitcost.yaml"
    assert main(["report", "--config", str(config), "--window", "last_month", "--as-of", AS_OF.isoformat()]) == 0
    lines = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert lines["acme"][-6:] == ["850.00", "5,000.00", "4,150.00", "83%", "800,000", "0.00106"]
    assert lines["beta"][-6:-2] == ["120.00", "299.00", "179.00", "60%"]
    assert lines["gamma"][-6:-2] == ["68.00", "49.00", "-19.00", "-39%"]
    assert lines["delta"][-6:-2] == ["22.00", "0.00", "-22.00", "-100%"]
    assert lines[""][:2] == ["Total", "51,000.00"]
    assert lines[""][-2:] == ["50,000,000", "0.00102"]
