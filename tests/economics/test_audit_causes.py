"""Why a bill is another than what counters say: each cause by an example, and they always sum to the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitcost.economics import audit_causes as causes
from unitcost.economics.audit_causes import BillRow, ByModel, Explained, Seen
from unitcost.economics.audit_explain import explain

MILLION = 1_000_000
TOKENS = frozenset({"input", "cache_read", "cache_write", "cache_write_1h", "output"})
DOLLARS: Mapping[str, int] = {"input": 2, "cache_read": 1, "cache_write": 3, "cache_write_1h": 4, "output": 10}
"""Dollars for a million tokens of `nova`; `mini` costs half, `new` has no price; a search costs a cent."""

Given = Mapping[str, Mapping[str, str]]


def prices() -> dict[tuple[str, str], Fraction | None]:
    found: dict[tuple[str, str], Fraction | None] = {}
    for unit, dollars in DOLLARS.items():
        for model, factor in {"nova": Fraction(1), "mini": Fraction(1, 2), "nova-2026": Fraction(1)}.items():
            found[model, unit] = Fraction(dollars, MILLION) * factor
    found["nova", "searches"] = Fraction(1, 100)
    found["nova", "requests"] = Fraction(0)
    return found


def millions(given: Given | None) -> ByModel:
    return {m: {u: Decimal(n) * MILLION for u, n in units.items()} for m, units in (given or {}).items()}


def bill(*rows: tuple[str, str | None, str] | tuple[str, str | None, str, str]) -> list[BillRow]:
    """Build rows: model, unit, dollars and, where it is not usage, what kind of charge it is."""
    return [BillRow(row[0], row[1], row[3] if len(row) > 3 else "usage", 1, Decimal(row[2])) for row in rows]


def seen(
    counted: Given,
    reported: Given | None,
    billed: Sequence[BillRow] | None,
    provider: str = "openai",
    batch: Given | None = None,
) -> Seen:
    known = None if reported is None else millions(reported)
    return Seen(provider, millions(counted), known, billed, prices(), TOKENS, millions(batch))


def told(said: Seen) -> dict[str, tuple[str | None, str | None]]:
    """Return cause → millions of tokens and dollars, summed over models, and hold them against the differences."""
    found: dict[str, list[causes.Cause]] = {}
    for one in explain(said):
        conserved(one)
        for cause in one.causes:
            found.setdefault(cause.kind, []).append(cause)
    return {
        kind: (_sum([one.tokens for one in some], MILLION), _sum([one.dollars for one in some]))
        for kind, some in found.items()
    }


def _sum(parts: Sequence[Decimal | None], per: int = 1) -> str | None:
    known = [part for part in parts if part is not None]
    return f"{(sum(known, Decimal(0)) / per).normalize():f}" if known else None


def conserved(one: Explained) -> None:
    """Causes sum exactly to the difference of a model, in tokens and in money, where it is known."""
    exact = localcontext(prec=causes.DIGITS)
    with exact:
        if one.reported is not None:
            assert sum((cause.tokens or 0 for cause in one.causes), Decimal(0)) == one.reported - one.counted
        if one.billed is not None:
            assert sum((cause.dollars or 0 for cause in one.causes), Decimal(0)) == one.billed - one.booked
        else:
            assert not any(cause.dollars for cause in one.causes)


IN_OUT = {"nova": {"input": "3", "output": "1"}}
"""Worth 16 dollars."""
PAID = bill(("nova", "input", "6"), ("nova", "output", "10"))

EXAMPLES: dict[str, tuple[Seen, dict[str, tuple[str | None, str | None]]]] = {
    "no difference": (seen(IN_OUT, IN_OUT, PAID), {}),
    "not metered": (
        seen({"nova": {"input": "2", "output": "1"}}, IN_OUT, PAID),
        {causes.NOT_METERED: ("1", "2")},
    ),
    "counted and not reported": (
        seen({"nova": {"input": "3", "output": "1.5"}}, IN_OUT, PAID),
        {causes.NOT_REPORTED: ("-0.5", "-5")},
    ),
    "more of one and less of another": (
        seen({"nova": {"input": "2", "output": "1.5"}}, IN_OUT, PAID),
        {causes.NOT_METERED: ("1", "2"), causes.NOT_REPORTED: ("-0.5", "-5")},
    ),
    "counters that know no cached input": (
        seen(
            {"nova": {"input": "3"}},
            {"nova": {"input": "1", "cache_read": "2"}},
            bill(("nova", "input", "2"), ("nova", "cache_read", "2")),
        ),
        {causes.CACHED_AS_INPUT: ("0", "-2")},
    ),
    "cached input counted as input too": (
        seen(
            {"nova": {"input": "3", "cache_read": "2"}},
            {"nova": {"input": "1", "cache_read": "2"}},
            bill(("nova", "input", "2"), ("nova", "cache_read", "2")),
        ),
        {causes.CACHED_TWICE: ("-2", "-4")},
    ),
    "never beyond what the provider reports as cached": (
        seen(
            {"nova": {"input": "9", "cache_read": "2"}},
            {"nova": {"input": "1", "cache_read": "2"}},
            bill(("nova", "input", "2"), ("nova", "cache_read", "2")),
        ),
        {causes.CACHED_TWICE: ("-2", "-4"), causes.NOT_REPORTED: ("-6", "-12")},
    ),
    "nor where less is counted too much": (
        seen(
            {"nova": {"input": "2", "cache_read": "2"}},
            {"nova": {"input": "1", "cache_read": "2"}},
            bill(("nova", "input", "2"), ("nova", "cache_read", "2")),
        ),
        {causes.NOT_REPORTED: ("-1", "-2")},
    ),
    "a batch at half price": (
        seen(IN_OUT, IN_OUT, bill(("nova", "input", "4"), ("nova", "output", "10")), batch={"nova": {"input": "2"}}),
        {causes.BATCH: ("0", "-2")},
    ),
    "a batch that the bill does not show": (
        seen(IN_OUT, IN_OUT, PAID, batch={"nova": {"input": "2"}}),
        {},
    ),
    "another price": (
        seen(IN_OUT, IN_OUT, bill(("nova", "input", "5.4"), ("nova", "output", "10"))),
        {causes.PRICE: ("0", "-0.6")},
    ),
    "less than a cent": (
        seen(IN_OUT, IN_OUT, bill(("nova", "input", "6.004"), ("nova", "output", "9.998"))),
        {causes.ROUNDING: ("0", "0.002")},
    ),
    "blocked requests": (
        seen(
            {"nova": {"input": "2", "output": "1"}},
            IN_OUT,
            bill(("nova", "input", "4"), ("nova", "output", "10")),
            "anthropic",
        ),
        {causes.BLOCKED: ("1", "0")},
    ),
    "blocked requests that nobody can tell": (
        seen(IN_OUT, IN_OUT, bill(("nova", "input", "5"), ("nova", "output", "10")), "anthropic"),
        {causes.PRICE_OR_BLOCKED: ("0", "-1")},
    ),
    "others report what they bill": (
        seen({"nova": {"input": "2", "output": "1"}}, IN_OUT, bill(("nova", "input", "4"), ("nova", "output", "10"))),
        {causes.NOT_METERED: ("1", "2"), causes.PRICE: ("0", "-2")},
    ),
    "used and not billed": (
        seen(IN_OUT, IN_OUT, bill(("nova", "input", "6"))),
        {causes.NOT_BILLED: ("0", "-10")},
    ),
    "two names": (
        seen(IN_OUT, {"nova-2026": {"input": "2", "cache_read": "1", "output": "1"}}, bill(("nova-2026", None, "15"))),
        {causes.TWO_NAMES: ("0", "-1")},
    ),
    "the same tokens of several": (
        seen(
            {"nova": {"input": "1"}, "mini": {"input": "1"}},
            {"nova-2026": {"input": "1"}},
            bill(("nova-2026", "input", "2")),
        ),
        {causes.NOT_REPORTED: ("-2", "-3"), causes.NOT_METERED: ("1", "2")},
    ),
    "searches, storage and credits": (
        seen(
            IN_OUT,
            IN_OUT,
            [*PAID, *bill(("nova", "searches", "3"), ("storage", None, "2"), ("", None, "-4", "credit"))],
        ),
        {causes.NOT_TOKENS: ("0", "1")},
    ),
    "searches that are counted": (
        seen(
            {"nova": {"searches": "0.000100"}},
            {"nova": {"searches": "0.000200"}},
            bill(("nova", "searches", "2")),
        ),
        {causes.NOT_METERED: ("0", "1")},
    ),
    "searches that the bill tells of no model": (
        seen(
            {"nova": {"searches": "0.000100"}},
            {"nova": {"searches": "0.000200"}},
            bill(("", "searches", "1.5"), ("", "storage", "1")),
            "anthropic",
        ),
        {causes.NOT_METERED: ("0", "1"), causes.PRICE_OR_BLOCKED: ("0", "-0.5"), causes.NOT_TOKENS: ("0", "1")},
    ),
    "no price": (
        seen({"new": {"input": "1"}}, {"new": {"input": "1"}}, bill(("new", "input", "7"))),
        {causes.UNPRICED: ("0", "7")},
    ),
    "a model whose bill tells no directions": (
        seen({"nova": {"input": "2", "output": "1"}}, IN_OUT, bill(("nova", None, "20"))),
        {causes.NOT_METERED: ("1", "2"), causes.PRICE: ("0", "4")},
    ),
    "a bill that tells no models": (
        seen({"nova": {"input": "2", "output": "1"}}, IN_OUT, bill(("", None, "20"))),
        {causes.NOT_METERED: ("1", "2"), causes.PRICE: ("0", "4")},
    ),
    "no report, a bill of the same": (
        seen(IN_OUT, None, bill(("nova", None, "16.001"))),
        {causes.ROUNDING: (None, "0.001")},
    ),
    "no report": (seen(IN_OUT, None, bill(("nova", None, "20"))), {causes.UNKNOWN: (None, "4")}),
    "no report, a model that no counter knows": (
        seen(IN_OUT, None, [*PAID, *bill(("mini", "input", "3"))]),
        {causes.NOT_METERED: (None, "3")},
    ),
    "billed, not reported": (
        seen(IN_OUT, IN_OUT, [*PAID, *bill(("mini", "input", "3"))]),
        {causes.UNKNOWN: ("0", "3")},
    ),
    "no bill yet": (
        seen({"nova": {"input": "2", "output": "1"}}, IN_OUT, None),
        {causes.NOT_METERED: ("1", None)},
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_cause_is_called_by_its_name(example: str) -> None:
    said, expected = EXAMPLES[example]
    assert told(said) == expected


def test_every_cause_has_an_example() -> None:
    shown = {kind for _, expected in EXAMPLES.values() for kind in expected}
    assert shown == {*causes.CAUSES} - {causes.UNMAPPED}  # which is of no model: test_audit_ai


def test_two_names_name_each_other() -> None:
    said, _ = EXAMPLES["two names"]
    assert {(one.model, cause.about) for one in explain(said) for cause in one.causes} == {
        ("nova", "also nova-2026"),
        ("nova-2026", "also nova"),
    }


MODELS = st.sampled_from(["nova", "mini", "new", "nova-2026"])
UNITS = st.sampled_from([*sorted(TOKENS), "searches", "requests"])
QUANTITIES = st.integers(0, 5).map(Decimal) | st.decimals("0", "100000000000000000000", places=12)
CELLS = st.dictionaries(MODELS, st.dictionaries(UNITS, QUANTITIES, max_size=5), max_size=4)
ROWS = st.builds(
    BillRow,
    MODELS | st.sampled_from(["", "storage"]),
    st.none() | UNITS,
    st.sampled_from(["usage", "usage", "credit"]),
    st.integers(1, 3),
    st.decimals("-1000000000000000", "1000000000000000", places=12) | st.decimals("-3", "3", places=6),
)


@settings(max_examples=400, deadline=None)
@given(CELLS, st.none() | CELLS, st.none() | st.lists(ROWS, max_size=8), st.booleans(), st.data())
def test_whatever_is_said_the_causes_sum_to_the_difference(
    counted: Any, reported: Any, billed: list[BillRow] | None, anthropic: bool, data: st.DataObject
) -> None:
    batch = {
        model: {unit: data.draw(st.sampled_from([Decimal(0), count, count / 2])) for unit, count in units.items()}
        for model, units in (reported or {}).items()
    }
    provider = "anthropic" if anthropic else "openai"
    found = explain(Seen(provider, counted, reported, billed, prices(), TOKENS, batch))
    for one in found:
        conserved(one)
    with localcontext(prec=causes.DIGITS):
        if billed is not None:
            whole = sum((one.billed for one in found if one.billed is not None), Decimal(0))
            assert whole == sum((row.amount for row in billed), Decimal(0))
        total = sum((n for units in counted.values() for unit, n in units.items() if unit in TOKENS), Decimal(0))
        assert sum((one.counted for one in found), Decimal(0)) == total
