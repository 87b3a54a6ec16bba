"""Real shapes of bills come into the ledger whole: every cost column, currency, billing period and tenant."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.focus_shapes import COSTS, SHAPES, Row, amount, generated, oci, other_month, sums
from tests.fakes.refreshed import Sources, refreshed, said
from tests.fakes.stored import utc
from unitcost.ledger.store import Ledger

SAMPLE = Path(__file__).parents[1] / "data" / "focus-1.0-sample.csv"
NOW = utc(2026, 11, 20, 12)
ROUNDED = Decimal("0.0000000000005")
"""What the ledger's last digit may differ by in a row."""
FRANCS = Decimal("1.25")
OWN: Mapping[str, Mapping[str, str]] = {"oci": {"overlapping_files": "sum"}}
"""Oracle's files share days, and say nowhere which of them are of one report."""


def stored(folder: Path, sources: Sources, key: str = "tenant", now: datetime = NOW) -> tuple[Ledger, list[str]]:
    """Return a ledger with what a refresh brings from these sources, derived, and what was said to be wrong."""
    currency = {"code": "USD", "rates": {"CHF": str(FRANCS)}, "as_of": "2026-05-01"}
    ledger, fetcher = refreshed(folder, now, tenants={"key": key}, history="1000d", currency=currency, sources=sources)
    return ledger, said(fetcher)


def told(ledger: Ledger, of: str, source: str = "bill") -> dict[object, Decimal]:
    """Return what the ledger holds of a source, by billing period, currency and another column."""
    found = ledger.rows(f"SELECT batch, currency, {of}, sum(amount) FROM cost WHERE source = ? GROUP BY ALL", [source])
    return {(period, currency, value): amount for period, currency, value, amount in found}


def alike(found: Mapping[object, Decimal], expected: Mapping[object, Decimal], rows: int) -> None:
    """Hold sums against each other; what costs nothing at all may be left out."""
    for at in {*found, *expected}:
        assert abs(found.get(at, Decimal(0)) - expected.get(at, Decimal(0))) <= rows * ROUNDED, at


def named(row: Row, key: str) -> str | None:
    tags = json.loads(row["Tags"]) if row["Tags"] not in {"", "NULL"} else {}
    value: str | None = tags.get(key)
    return value


def held(rows: Iterable[Row], cost: str) -> bool:
    """Tell whether the ledger's 12 decimals hold every one of these costs."""
    return all(amount(row, cost) == round(amount(row, cost), 12) for row in rows)


@pytest.mark.parametrize("seed", [1, 2026])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_generated_bill_comes_in_whole(tmp_path: Path, shape: str, version: str, seed: int) -> None:
    provider, write = SHAPES[shape]
    count = 60 if shape == "oci" else 400  # a file for each quarter of a day
    july = other_month(generated(provider, version, seed + 1, count), datetime(2026, 7, 1), "CHF")  # noqa: DTZ001 - UTC
    rows = [*generated(provider, version, seed, count), *july]
    key = next(name for name in json.loads(rows[0]["Tags"]) if name.lower() == "owner")
    path = write(tmp_path / "bill", rows)
    bill = {"type": "focus", "path": str(path), "missing_days": "zero", **OWN.get(shape, {})}
    ledger, wrong = stored(tmp_path, {cost: {**bill, "cost": cost} for cost in COSTS}, key)
    with closing(ledger):
        assert not wrong
        for cost in COSTS:
            alike(told(ledger, "NULL", cost), sums(rows, cost), len(rows))
            alike(told(ledger, "tenant", cost), sums(rows, cost, lambda row: named(row, key)), len(rows))
            alike(told(ledger, "service", cost), sums(rows, cost, lambda row: row["ServiceName"]), len(rows))
            if held(rows, cost):
                assert told(ledger, "NULL", cost) == sums(rows, cost)
            [(dollars,)] = ledger.rows("SELECT sum(amount) FROM line WHERE source = ?", [cost])
            rate = {"USD": Decimal(1), "CHF": FRANCS}
            whole = sum((amount(row, cost) * rate[row["BillingCurrency"]] for row in rows), Decimal(0))
            assert abs(dollars - whole) <= 31 * len(rows) * ROUNDED * 2
            assert ledger.known(cost).days == 62


def test_the_real_rows_come_in_whole_by_each_cost(tmp_path: Path) -> None:
    """But for October 2024, whose only row has no ContractedCost: that period is refused, and told."""
    with SAMPLE.open(encoding="utf-8", newline="") as opened:
        rows = [dict(row) for row in csv.DictReader(opened)]
    sources = {cost: {"type": "focus", "path": str(SAMPLE), "cost": cost} for cost in COSTS}
    ledger, _ = stored(tmp_path, sources, "business_unit")
    with closing(ledger):
        for cost in COSTS:
            counted = [row for row in rows if cost != "ContractedCost" or row["BillingPeriodStart"] < "2024-10"]
            assert told(ledger, "tenant", cost) == sums(counted, cost, lambda row: named(row, "business_unit"))
            assert told(ledger, "service", cost) == sums(counted, cost, lambda row: row["ServiceName"])


def test_a_file_of_oracles_more_is_the_same_bill(tmp_path: Path) -> None:
    rows = generated("azure", "1.2", 3, 60)
    first = [row for row in rows if row["ChargePeriodStart"] < "2026-05-10"]
    path = oci(tmp_path / "bill", first)
    settings = {"bill": {"type": "focus", "path": str(path), **OWN["oci"]}}
    for charges in (first, rows):
        oci(path, charges)
        ledger, wrong = stored(tmp_path, settings, "Owner", utc(2026, 5, 20))
        with closing(ledger):
            assert not wrong
            alike(told(ledger, "NULL"), sums(charges, "EffectiveCost"), len(charges))


def test_days_of_generated_bills_are_known_as_they_are_delivered(tmp_path: Path) -> None:
    rows = [row for row in generated("aws", "1.3", 1) if row["ChargePeriodStart"] < "2026-05-12"]
    path = SHAPES["aws"][1](tmp_path / "bill", rows)
    ledger, _ = stored(tmp_path, {"bill": {"type": "focus", "path": str(path)}}, "Owner", utc(2026, 5, 13))
    used = {row["ChargePeriodStart"][:10] for row in rows if row["ChargeCategory"] == "Usage" and _of_a_day(row)}
    with closing(ledger):
        assert {str(day) for (day,) in ledger.rows("SELECT day FROM known_day")} == used


def _of_a_day(row: Row) -> bool:
    start, end = (datetime.fromisoformat(row[f"ChargePeriod{at}"].rstrip("Z")) for at in ("Start", "End"))
    return end - start <= timedelta(days=1)
