"""What a closed month came to when it was settled is kept, so that a later delivery does not change it silently."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from tests.fakes.company import Company, cost
from tests.fakes.stored import utc

OCTOBER = [date(2026, 10, 1) + timedelta(n) for n in range(31)]
SETTLED = utc(2026, 11, 6, 1)


def company(days: list[date] = OCTOBER) -> Company:
    made = Company(sources=[("bill", "bill", True)])
    deliver(made, "1", days)
    return made


def deliver(made: Company, amount: str, days: list[date] = OCTOBER) -> None:
    made.put_all("bill", days, cost=[cost("acme", amount, day=day) for day in days])


def changed(made: Company, now: datetime) -> dict[tuple[str, ...], float]:
    """Return what is told of October after a refresh at that time."""
    found = made.gauges(("2026-10",), now=now, months=3)["restated_cost_dollars"]
    return dict(found)


def test_what_comes_after_a_month_was_settled_is_told_and_counted_in_it() -> None:
    made = company()
    assert changed(made, utc(2026, 11, 5, 23)) == {}, "five days are not over"
    assert changed(made, SETTLED) == {("bill", "2026-10"): 0.0}
    deliver(made, "1.5")
    assert changed(made, utc(2026, 11, 9)) == {("bill", "2026-10"): 15.5}
    deliver(made, "0.5")
    assert changed(made, utc(2026, 11, 20)) == {("bill", "2026-10"): -15.5}, "it is held against what it was settled at"
    assert made.ledger.rows("SELECT sum(amount) FROM line") == [(Decimal("15.5"),)]


def test_the_delivery_that_comes_at_that_moment_is_held_against_what_stood() -> None:
    """A month is settled by the time alone: what was counted before a delivery is what was settled."""
    made = company()
    changed(made, utc(2026, 11, 2))
    deliver(made, "2")
    assert changed(made, utc(2026, 11, 12)) == {("bill", "2026-10"): 31.0}


def test_a_month_with_a_hole_is_not_settled() -> None:
    made = company(OCTOBER[1:])
    assert changed(made, SETTLED) == {}
    deliver(made, "1")
    assert changed(made, utc(2026, 11, 7)) == {("bill", "2026-10"): 0.0}


def test_a_bill_that_a_source_gave_up_is_told_as_gone() -> None:
    made = company()
    changed(made, SETTLED)
    deliver(made, "0")
    assert changed(made, utc(2026, 11, 9)) == {("bill", "2026-10"): -31.0}


def test_other_rates_settle_it_anew() -> None:
    made = company()
    changed(made, SETTLED)
    made.model = type(made.model)(**{**vars(made.model), "rates": [("USD", Decimal(2))]})
    assert changed(made, utc(2026, 11, 9)) == {("bill", "2026-10"): 0.0}
