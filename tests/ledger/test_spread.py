"""A cost of several days is divided evenly over them, to the last digit, and counts by day in everything after."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.model import by_day
from tests.fakes.stored import utc
from unitcost.errors import SourceError
from unitcost.facts import LARGEST_DAY, Batch, Cost, Query
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.store import Ledger
from unitcost.sources.values import EXACT

NOW = utc(2026, 11, 23, 12)
RATES = {"USD": Decimal(1)}
MODEL = Model([("bill", "bill", True)], [], [("USD", Decimal(1))], [], [], [], [])
KEY = "2026-11"


def november(day: int) -> date:
    return date(2026, 11, day)


def fee(first: date, last: date | None, amount: str, tenant: str = "acme", list_amount: str | None = None) -> Cost:
    listed = None if list_amount is None else Decimal(list_amount)
    return Cost(first, tenant, "support", "support", Decimal(amount), "USD", last_day=last, list_amount=listed)


def put(ledger: Ledger, cost: Sequence[Cost] | Query, days: Sequence[date] = ()) -> None:
    ledger.put("bill", "s", Batch(KEY, days, cost=cost), NOW, RATES)


def held(ledger: Ledger) -> list[Cost]:
    return sorted(ledger.stored("bill", "s").costs(KEY), key=lambda row: (row.day, row.tenant or ""))


def written(cost: Cost) -> str:
    """Return all of a cost as text, its numbers in one way: 0E-12 is 0."""
    numbers = {"amount": cost.amount, "list_amount": cost.list_amount, "quantity": cost.quantity}
    plain = {name: None if number is None else str(EXACT.normalize(number)) for name, number in numbers.items()}
    return repr((replace(cost, amount=Decimal(0), list_amount=None, quantity=None), plain))


def amounts(ledger: Ledger) -> dict[int, Decimal]:
    return {row.day.day: row.amount for row in held(ledger)}


numbers = st.one_of(st.integers(-100, 100), st.integers(-(10**15), 10**15), st.integers(-(10**28), 10**28)).map(
    lambda units: EXACT.scaleb(Decimal(units), -12)
)
spans = st.one_of(st.integers(-1, 1), st.integers(2, 45), st.just(400))


@st.composite
def long_costs(draw: st.DrawFn) -> list[Cost]:
    """Costs of one day and of several; few kinds of them, so that some are alike."""
    firsts = [november(draw(st.integers(1, 30))) for _ in range(draw(st.integers(1, 12)))]
    return [
        Cost(
            first,
            draw(st.sampled_from([None, "acme", "beta"])),
            "support",
            draw(st.sampled_from(["support", "other"])),
            draw(numbers),
            "USD",
            draw(st.sampled_from([None, "k8s/prod"])),
            draw(st.sampled_from([{}, {"feature": "search"}])),
            charge=draw(st.sampled_from(["usage", "purchase"])),
            quantity=draw(st.none() | numbers),
            list_amount=draw(st.none() | numbers),
            last_day=draw(st.sampled_from([None, first + timedelta(draw(spans))])),
        )
        for first in firsts
    ]


def test_each_day_has_what_whole_numbers_say() -> None:
    with closing(Ledger(None)) as ledger:

        @settings(max_examples=60, deadline=None)
        @given(long_costs())
        def check(costs: list[Cost]) -> None:
            put(ledger, costs)
            expected = costs if all(cost.last_day is None for cost in costs) else by_day(costs)
            assert sorted(map(written, held(ledger))) == sorted(map(written, expected))

        check()


def test_the_first_days_have_the_digits_that_are_left_over() -> None:
    with closing(Ledger(None)) as ledger:
        put(ledger, [fee(november(1), november(3), "0.000000000005")])
        assert list(amounts(ledger).values()) == [Decimal("2e-12"), Decimal("2e-12"), Decimal("1e-12")]
        put(ledger, [fee(november(1), november(3), "-0.000000000002")])
        assert list(amounts(ledger).values()) == [Decimal("-1e-12"), Decimal("-1e-12"), 0]


def test_a_list_amount_that_is_known_of_a_part_is_unknown() -> None:
    with closing(Ledger(None)) as ledger:
        put(ledger, [fee(november(1), november(2), "4", list_amount="6"), fee(november(2), None, "1")])
        assert [(row.amount, row.list_amount) for row in held(ledger)] == [(Decimal(2), Decimal(3)), (Decimal(3), None)]


def test_a_query_may_leave_out_what_has_a_default() -> None:
    sql = (
        "SELECT DATE '2026-11-01' AS day, DATE '2026-11-02' AS last_day, 'acme' AS tenant, 'support' AS service,"
        " 'support' AS category, {} AS amount, 'USD' AS currency"
    )
    with closing(Ledger(None)) as ledger:
        put(ledger, Query(sql.format("3::DECIMAL(38, 12)")))
        assert held(ledger) == [fee(november(day), None, "1.5") for day in (1, 2)]
        with pytest.raises(duckdb.ConstraintException, match="amount"):
            put(ledger, Query(sql.format("NULL")))
        assert len(held(ledger)) == 2


def test_a_change_derives_the_days_of_the_charge_and_no_others() -> None:
    days = [november(day) for day in range(1, 23)]
    month = [fee(november(1), november(22), "22")]
    with closing(Ledger(None)) as ledger:
        put(ledger, [*month, fee(november(5), november(8), "4", "beta")], days)
        assert derive(ledger, MODEL, NOW, timedelta(90)) == days
        put(ledger, [*month, fee(november(5), november(8), "8", "beta")], days)
        assert derive(ledger, MODEL, NOW, timedelta(90)) == [november(day) for day in (5, 6, 7, 8)]
        put(ledger, [*month, fee(november(7), november(10), "8", "beta")], days)
        assert derive(ledger, MODEL, NOW, timedelta(90)) == [november(day) for day in (5, 6, 9, 10)]
        assert ledger.rows("SELECT sum(direct) FROM tenant_day") == [(Decimal(30),)]


def test_days_count_from_the_first_of_the_history_to_the_end_of_this_month() -> None:
    with closing(Ledger(None)) as ledger:
        put(ledger, [fee(date(2026, 10, 2), date(2026, 12, 10), "70")])
        found = derive(ledger, MODEL, NOW, timedelta(30))
        assert found == [date(2026, 10, 24) + timedelta(day) for day in range(38)]
        assert ledger.rows("SELECT min(day), max(day), sum(direct) FROM tenant_day") == [
            (found[0], november(30), Decimal(38))
        ]


def test_whether_it_can_be_counted_is_looked_at_by_day() -> None:
    with closing(Ledger(None)) as ledger:
        put(ledger, [fee(november(1), november(3), f"{2 * LARGEST_DAY:f}")])
        assert len(held(ledger)) == 3
        with pytest.raises(SourceError, match="2026-11-01: its cost in USD comes to"):
            put(ledger, [fee(november(1), november(2), f"{3 * LARGEST_DAY:f}")])
        assert len(held(ledger)) == 3
