"""Days that nothing can show any more are forgotten, and nothing else is."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.batches import MODEL, batch
from tests.fakes.company import NOW, RATES, YESTERDAY
from tests.fakes.stored import utc
from unitcost.cli.main import main
from unitcost.facts import COST, Batch, Cost, Resource, Revenue, Usage
from unitcost.ledger.derive import DAY_TABLES, derive
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.prune import first_kept, prune
from unitcost.ledger.store import Ledger

DEFAULT = ("1d", "30d", "mtd", "last_month")
DAYS = 90 * timedelta(days=1)


def held(ledger: Ledger) -> list[date]:
    return [day for (day,) in ledger.rows("SELECT DISTINCT day FROM known_day ORDER BY day")]


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(n) for n in range((last - first).days + 1)]


@pytest.mark.parametrize(
    ("windows", "history", "kept"),
    [
        (DEFAULT, 90, date(2026, 7, 1)),  # 90 days before the 22nd is 24 August, whose last month is July
        (("1d",), 90, date(2026, 7, 1)),
        (("365d",), 30, date(2025, 10, 1)),
        (("9999d",), 1, date(1999, 7, 1)),
    ],
)
def test_kept_is_what_the_longest_window_needs_on_the_first_day_of_the_history(
    windows: tuple[str, ...], history: int, kept: date
) -> None:
    ledger = Ledger(None)
    ledger.put("bill", "s", batch(YESTERDAY, 1), NOW, RATES)
    assert first_kept(ledger, NOW, timedelta(history), windows) == kept


def test_a_clock_that_is_years_ahead_forgets_nothing() -> None:
    ledger = Ledger(None)
    for back in (0, 60):
        ledger.put("bill", "s", batch(YESTERDAY - timedelta(back), 1), NOW, RATES)
    prune(ledger, first_kept(ledger, utc(2036, 1, 1), DAYS, DEFAULT))
    assert len(held(ledger)) == 2


def test_of_what_is_older_nothing_is_left_in_any_table() -> None:
    ledger = Ledger(None)
    old, kept = date(2026, 6, 30), date(2026, 7, 1)
    for day in (old, kept, YESTERDAY):
        cost = [Cost(day, "acme", "EC2", "compute", Decimal(1), "USD")]
        ledger.put("bill", "s", Batch(day.isoformat(), [day], cost=cost), NOW, RATES)
        ledger.put("usage", "s", Batch(day.isoformat(), [day], usage=[Usage(day, "acme", "r", Decimal(1))]), NOW, RATES)
        mrr = [Revenue(day, day, "acme", Decimal(1), "USD")]
        ledger.put("revenue", "s", Batch(day.isoformat(), [day], revenue=mrr), NOW, RATES)
        ids = [Resource(day, "i-1", "k8s/prod")]
        ledger.put("cluster", "s", Batch(day.isoformat(), [day], resources=ids, says=COST), NOW, RATES)
    ledger.put("cluster", "s", Batch("2026-06-29", []), utc(2026, 6, 30), RATES)
    derive(ledger, MODEL, NOW, timedelta(400))
    prune(ledger, first_kept(ledger, NOW, DAYS, DEFAULT))
    derive(ledger, MODEL, NOW, NOW.date() - kept)
    assert held(ledger) == [kept, YESTERDAY]
    for table in ("cost", "usage", "resource", "derived_day", "changed_day", *DAY_TABLES):
        assert ledger.rows(f"SELECT count(*) FROM {table} WHERE day < ?", [kept]) == [(0,)], table
    assert ledger.rows("SELECT count(*) FROM revenue WHERE first_day < ?", [kept]) == [(0,)]
    assert ledger.rows("SELECT count(*) FROM batch") == [(8,)]
    assert ledger.rows("SELECT sum(direct) FROM tenant_day") == [(Decimal(2),)]


def test_a_batch_with_a_day_that_is_kept_stays_whole() -> None:
    ledger = Ledger(None)
    ledger.put("bill", "s", batch(YESTERDAY, 1), NOW, RATES)
    rows = [Cost(day, "acme", "EC2", "compute", Decimal(1), "USD") for day in (date(2026, 6, 30), date(2026, 7, 1))]
    ledger.put("bill", "s", Batch("all", [row.day for row in rows], cost=rows), NOW, RATES)
    prune(ledger, date(2026, 7, 1))
    assert ledger.rows("SELECT count(*) FROM cost WHERE batch = 'all'") == [(2,)]


def test_a_bill_of_fees_only_stays_as_its_source_would_tell_it_again_and_again() -> None:
    ledger = Ledger(None)
    fee = [Cost(date(2026, 1, 1), None, "Support", "support", Decimal(1), "USD", charge="purchase")]
    ledger.put("bill", "s", Batch("2026-01", [], cost=fee), NOW, RATES)
    prune(ledger, date(2026, 7, 1))
    assert ledger.rows("SELECT count(*) FROM cost") == [(1,)]


def test_a_refresh_forgets_no_more_than_some_batches_the_oldest_first() -> None:
    ledger = Ledger(None)
    for day in days(date(2026, 1, 1), date(2026, 1, 10)):
        ledger.put("bill", "s", batch(day, 1), NOW, RATES)
    for left in (6, 2, 0, 0):
        prune(ledger, date(2026, 7, 1), at_once=4)
        assert held(ledger) == days(date(2026, 1, 1), date(2026, 1, 10))[10 - left :] if left else not held(ledger)


YAML = """
history: {history}
windows: [1d, mtd]
state_dir: state
refresh: {{restate_days: 0}}
sources:
  bill: {{type: focus, path: exports, missing_days: zero}}
  usage: {{type: csv_usage, path: usage.csv, required: false}}
"""
HEADER = "BillingPeriodStart,ChargePeriodStart,BillingCurrency,EffectiveCost,ServiceName\n"


def test_months_that_the_export_still_holds_do_not_come_back_and_a_longer_history_asks_for_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    months = [date(2026, n, 1) for n in range(1, 12)]
    lines = [f"{m}T00:00:00Z,{m.replace(day=3)}T00:00:00Z,USD,10,EC2\n" for m in months]
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "bill.csv").write_text(HEADER + "".join(lines))
    (tmp_path / "usage.csv").write_text("day,tenant,measure,quantity\n2026-11-22,acme,requests,1\n")
    config = tmp_path / "unitcost.yaml"

    def batches(history: str) -> list[str]:
        config.write_text(YAML.format(history=history))
        for _ in range(3):
            main(["report", "--config", str(config), "--window", "mtd", "--as-of", "2026-11-23T12:00:00Z"])
        capsys.readouterr()
        ledger = Ledger(tmp_path / "state")
        found = [key for (key,) in ledger.rows("SELECT key FROM batch WHERE source = 'bill' ORDER BY key")]
        ledger.close()
        return found

    assert batches("30d") == ["2026-09", "2026-10", "2026-11"]
    assert batches("90d") == ["2026-07", "2026-08", "2026-09", "2026-10", "2026-11"]
    assert (tmp_path / "state" / FILE_NAME).exists()


def test_a_window_longer_than_the_history_counts_its_days_also_after_a_change_of_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path / "state")
    for day in days(date(2026, 9, 1), YESTERDAY):
        ledger.put("bill", "s", batch(day, 2), NOW, RATES)
    ledger.close()
    (tmp_path / "exports").mkdir()
    config = tmp_path / "unitcost.yaml"
    text = "history: 10d\nwindows: [60d]\nstate_dir: state\nsources: {bill: {type: focus, path: exports}}\n"

    def total(rules: str) -> str:
        config.write_text(text + rules)
        at = ["--as-of", "2026-11-23T13:00:00Z"]
        main(["report", "--config", str(config), "--window", "60d", "--format", "csv", *at])
        line = next(line for line in capsys.readouterr().out.splitlines() if ",total," in line)
        return line.split(",")[5]

    assert total("") == total("sharing: [{match: {component: idle}, by: even}]\n") == "8.57142857142"
