"""`--as-of` before what the ledger holds: nothing later counts, and nothing of it is written back."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.stored import utc
from unitcost.cli.main import main
from unitcost.facts import Batch, Cost, Revenue
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.store import Ledger

RATES = {"USD": Decimal(1)}
NOON = "2026-11-20T12:00:00Z"
LATER = utc(2026, 11, 22, 6)
YAML = """
windows: [1d, mtd]
state_dir: state
sources:
  bill: {type: focus, path: exports}
"""
HEADER = "BillingPeriodStart,ChargePeriodStart,BillingCurrency,EffectiveCost,ServiceName"


def cost(day: date, amount: str) -> Cost:
    return Cost(day, "acme", "EC2", "compute", Decimal(amount), "USD")


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """Write a configuration whose bill is empty now, and a ledger that was filled until the 22nd."""
    (tmp_path / "unitcost.yaml").write_text(YAML)
    (tmp_path / "exports").mkdir()
    fill(tmp_path / "state", LATER)
    return tmp_path


def fill(folder: Path, now: datetime) -> None:
    ledger = Ledger(folder)
    days = [date(2026, 11, n) for n in range(1, now.day)]
    ledger.put("bill", "s", Batch("2026-11", days, "f", cost=[cost(day, "10") for day in days]), now, RATES)
    ledger.succeeded("bill", now)
    ledger.close()


def said(capsys: pytest.CaptureFixture[str], folder: Path, as_of: str, window: str = "mtd") -> str:
    main(["report", "--config", str(folder / "unitcost.yaml"), "--as-of", as_of, "--window", window, "--format", "csv"])
    line = next(line for line in capsys.readouterr().out.splitlines() if ",tenant,acme," in line)
    return line.split(",")[5]


def test_the_clocks_own_day_does_not_count_whole_for_the_half_of_it(
    company: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, company, NOON) == "190"
    assert said(capsys, company, "2026-11-22T07:00:00Z") == "210"


def test_what_was_stored_before_the_clock_counts_on_its_own_day(
    company: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(company / "state")
    ledger.put("other", "s", Batch("x", [date(2026, 11, 21)], cost=[cost(date(2026, 11, 21), "1")]), LATER, RATES)
    today = date(2026, 11, 20)
    ledger.put("bill", "s", Batch("today", [today], cost=[cost(today, "4")]), utc(2026, 11, 20, 11), RATES)
    ledger.close()
    assert said(capsys, company, NOON) == "194"


def test_the_ledger_itself_is_left_as_it_was(company: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = company / "state" / FILE_NAME
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    (company / "exports" / "bill.csv").write_text(
        f"{HEADER}\n2026-11-01T00:00:00Z,2026-11-05T00:00:00Z,USD,777,EC2\n", encoding="utf-8"
    )
    said_now = main(["report", "--config", str(company / "unitcost.yaml"), "--as-of", NOON, "--window", "mtd"])
    assert said_now in {0, 1}
    assert "777" in capsys.readouterr().out
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert not [name for name in (company / "state").iterdir() if "unitcost-" in name.name]


def test_revenue_of_days_that_came_later_does_not_count(company: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(company / "state")
    for day in (19, 20, 21):
        on = date(2026, 11, day)
        rows = [Revenue(on, on, "acme", Decimal(30), "USD")]
        ledger.put("revenue", "s", Batch(on.isoformat(), [on], revenue=rows), LATER, RATES)
    ledger.close()
    (company / "mrr.csv").write_text("tenant,mrr,as_of\nbeta,1,2026-11-01\n")
    (company / "unitcost.yaml").write_text(YAML + "  revenue: {type: csv_revenue, path: mrr.csv, required: false}\n")
    main(["report", "--config", str(company / "unitcost.yaml"), "--as-of", NOON, "--window", "mtd", "--format", "csv"])
    total = next(line for line in capsys.readouterr().out.splitlines() if ",total," in line)
    # beta's of 20 days; acme's are replaced by the file, and the 21st has not come.
    assert Decimal(total.split(",")[7]).quantize(Decimal("0.0001")) == Decimal("0.6667")
