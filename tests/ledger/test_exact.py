"""Conversions are exact to the ledger's last digit, at every size that it holds and for every rate that is allowed."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitcost.facts import LARGEST_RATE, RATE_DIGITS, RATE_PLACES, SMALLEST_RATE
from unitcost.ledger.derive import fraction
from unitcost.ledger.store import Ledger

DIGIT = Decimal("1e-12")
WIDE = Context(prec=200)


def half_away(value: Fraction) -> Decimal:
    """Round to 12 decimals, half away from zero, as an invoice does."""
    exact = WIDE.divide(Decimal(value.numerator), Decimal(value.denominator))
    return exact.quantize(DIGIT, rounding=ROUND_HALF_UP, context=WIDE)


units = st.one_of(
    st.integers(-(10**15), 10**15), st.integers(-(10**27), 10**27), st.integers(-(10**34), 10**34), st.just(10**27)
)
amounts = units.map(lambda count: WIDE.scaleb(Decimal(count), -12))
rates = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places, WIDE),
    st.one_of(st.integers(1, 10**6), st.integers(1, 10**RATE_DIGITS - 1)),
    st.integers(0, RATE_PLACES),
).filter(lambda rate: SMALLEST_RATE <= rate <= LARGEST_RATE)


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger(None)


def ask(ledger: Ledger, expression: str, *values: object) -> Decimal:
    [(found,)] = ledger.rows(f"SELECT {expression}", [str(value) for value in values])
    assert isinstance(found, Decimal)
    return found


def test_an_amount_times_a_rate_is_that_of_exact_fractions(ledger: Ledger) -> None:
    @settings(max_examples=300, deadline=None)
    @given(amounts, rates)
    def check(amount: Decimal, rate: Decimal) -> None:
        expected = half_away(Fraction(amount) * Fraction(rate))
        if abs(expected) >= Decimal(10) ** 26:
            return
        factor, divisor = fraction(rate)
        found = ask(
            ledger,
            "converted(units(?::VARCHAR::DECIMAL(38, 12)), ?::VARCHAR::HUGEINT, ?::VARCHAR::HUGEINT)",
            format(amount, "f"),
            factor,
            divisor,
        )
        assert found == expected

    check()


def test_units_and_dollars_undo_each_other_at_every_size(ledger: Ledger) -> None:
    @settings(max_examples=200, deadline=None)
    @given(st.integers(-(10**38) + 1, 10**38 - 1))
    def check(count: int) -> None:
        amount = format(WIDE.scaleb(Decimal(count), -12), "f")
        assert ask(ledger, "units(?::VARCHAR::DECIMAL(38, 12))::VARCHAR::DECIMAL(38, 0)", amount) == count
        assert ask(ledger, "dollars(?::VARCHAR::HUGEINT)", count) == Decimal(amount)

    check()


@pytest.mark.parametrize("rate", ["0.000000001", "1e-9", "1234567.00000000001", "6.134969325153374e-07", "10000000000"])
def test_a_rate_is_the_fraction_that_is_written(rate: str) -> None:
    factor, divisor = fraction(Decimal(rate))
    assert Fraction(factor, divisor) == Fraction(Decimal(rate))
    assert factor < 10**RATE_DIGITS
    assert divisor <= 10**RATE_PLACES
