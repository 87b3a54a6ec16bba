"""A bill of a hundred tenants a day, and ledgers that are filled with it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from tests.fakes.company import NOW, RATES, YESTERDAY
from unitcost.facts import Batch, Cost
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.store import Ledger

PART = Decimal("0.142857142857")
EACH = 4950 * PART
"""What a batch of a hundred tenants sums to."""
MODEL = Model([("bill", "bill", True)], [], [("USD", Decimal(1))], [], [], [], [])


def batch(day: date, rows: int = 100) -> Batch:
    """Return a day of the bill, which costs EACH."""
    costs = [Cost(day, f"tenant-{n}", "EC2", "compute", n * PART, "USD") for n in range(rows)]
    return Batch(day.isoformat(), [day], cost=costs)


def filled(folder: Path) -> Path:
    """Fill a ledger with twenty days and derive them; return its file."""
    ledger = Ledger(folder)
    for back in range(20):
        ledger.put("bill", "s", batch(YESTERDAY - timedelta(back)), NOW, RATES)
    derive(ledger, MODEL, NOW, timedelta(90))
    ledger.close()
    return folder / FILE_NAME
