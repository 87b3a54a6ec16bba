"""A pool is split to the last digit, whatever the size of the weights: requests, dollars, or bytes of a day."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.model import split
from unitcost.ledger.store import Ledger
from unitcost.sources.values import EXACT

amounts = st.one_of(st.integers(-(10**21), 10**21), st.integers(-(10**32), 10**32)).map(
    lambda units: EXACT.scaleb(Decimal(units), -12)
)


def apportion(ledger: Ledger, amount: Decimal, weights: list[int]) -> list[Decimal]:
    with ledger.transaction() as connection:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE whole AS SELECT 1 AS pool, ?::DECIMAL(38, 12) AS amount", [amount]
        )
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE parts AS SELECT 1 AS pool, unnest(range(?)) AS recipient,"
            " unnest(?::VARCHAR[])::HUGEINT AS weight",
            [len(weights), [str(weight) for weight in weights]],
        )
        found = connection.execute("SELECT amount FROM apportioned('whole', 'parts') ORDER BY recipient").fetchall()
        return [part for (part,) in found]


@pytest.mark.parametrize("largest", [10**3, 10**18, 10**19, 10**21, 10**25])
def test_the_split_is_that_of_exact_fractions(largest: int) -> None:
    ledger = Ledger(None)

    @settings(max_examples=60, deadline=None)
    @given(amounts, st.lists(st.integers(1, largest), min_size=1, max_size=7))
    def check(amount: Decimal, weights: list[int]) -> None:
        found = apportion(ledger, amount, weights)
        expected = split(amount, {f"{place:02d}": Fraction(weight) for place, weight in enumerate(weights)})
        assert found == list(expected.values())

    check()
    ledger.close()


def test_weights_beyond_every_measure_still_split_the_whole_pool() -> None:
    ledger = Ledger(None)
    found = apportion(ledger, Decimal("1000.000000000001"), [10**30, 2 * 10**30, 1])
    assert sum(found) == Decimal("1000.000000000001")
    assert found[0] == Decimal("333.333333333334")
    ledger.close()
