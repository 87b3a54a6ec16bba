"""Why AI cost changed: volume, mix and price sum to it exactly, by whatever it is told."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.ai_company import ai_company, charge, tokens
from tests.fakes.company import YESTERDAY
from unitcost.economics.ai_change import Cell, Change, cells, changes
from unitcost.ledger.store import Ledger

TOKENS = ("input", "cache_read", "output")
AMOUNTS = st.decimals("0", "1000000", places=12)
COUNTS = st.integers(0, 10**12).map(Decimal)
CELLS = st.lists(
    st.builds(
        Cell,
        st.sampled_from(["acme", "beta", ""]),
        st.sampled_from(["chat", "search", ""]),
        st.sampled_from(["nova", "mini"]),
        st.sampled_from([*TOKENS, ""]),
        AMOUNTS,
        AMOUNTS,
        COUNTS,
        COUNTS,
    ),
    max_size=12,
)


@given(CELLS, st.sampled_from(["tenant", "feature", "model", "unit"]))
def test_the_parts_sum_to_the_change_whatever_it_is_told_by(given: list[Cell], name: str) -> None:
    found = changes(given, lambda cell: str(getattr(cell, name)))
    for key, one in found.items():
        assert one.volume + one.mix + one.price + one.other == one.dollars
        mine = [cell for cell in given if getattr(cell, name) == key]
        assert one.dollars == sum((cell.cost - cell.cost_before for cell in mine), Decimal(0))
    sizes = [abs(one.dollars) for one in found.values()]
    assert sizes == sorted(sizes, reverse=True)


def cell(tenant: str, model: str, cost_before: int, cost: int, before: int, now: int) -> Cell:
    return Cell(tenant, "chat", model, "input", *map(Decimal, (cost_before, cost, before, now)))


def test_twice_the_use_is_volume() -> None:
    found = changes([cell("acme", "nova", 10, 20, 100, 200), cell("beta", "mini", 1, 2, 50, 100)], lambda _: "")
    assert found == {"": Change(Decimal(11), Decimal(11), Decimal(0), Decimal(0))}


def test_a_dearer_model_is_mix() -> None:
    found = changes([cell("acme", "nova", 10, 20, 100, 200), cell("acme", "mini", 1, 0, 100, 0)], lambda _: "")
    assert found == {"": Change(Decimal(9), Decimal(0), Decimal(9), Decimal(0))}


def test_a_higher_price_is_price_and_a_new_cell_has_none_of_before() -> None:
    found = changes([cell("acme", "nova", 10, 30, 100, 100), cell("beta", "nova", 0, 5, 0, 50)], lambda one: one.tenant)
    assert found["acme"].price == 20
    assert found["beta"] == Change(Decimal(5), mix=Decimal(5))
    assert found["acme"].volume == 5
    assert found["acme"].mix == -5


def test_without_any_use_before_all_of_it_is_mix() -> None:
    assert changes([cell("acme", "nova", 0, 7, 0, 10)], lambda _: "") == {"": Change(Decimal(7), mix=Decimal(7))}


def test_it_is_told_of_what_was_billed_and_what_has_no_tokens_is_apart() -> None:
    made = ai_company()
    before = YESTERDAY - timedelta(1)
    used = [tokens("acme", "input", "1", day=before), tokens("acme", "input", "2")]
    made.put("counters", [before, YESTERDAY], usage=used)
    made.put("openai", [YESTERDAY], cost=[charge("6", "nova", "input"), charge("4", None, "images")])
    made.gauges()
    days = ((before, YESTERDAY), (YESTERDAY, YESTERDAY + timedelta(1)))
    found = changes(cells(made.ledger, *days, TOKENS), lambda one: one.tenant)
    assert found == {
        "acme": Change(Decimal(4), Decimal(2), Decimal(0), Decimal(2)),
        "": Change(Decimal(4), other=Decimal(4)),
    }


NOW = (date(2026, 11, 1), date(2026, 11, 23))
BEFORE = (date(2026, 10, 1), date(2026, 10, 23))


def test_who_and_what_is_behind_the_samples_new_feature(sample_company: Path, tmp_path: Path) -> None:
    """It adds 15,000 dollars a month; until the 22nd, since the 4th, 19/27 of it."""
    shutil.copytree(sample_company / "state", tmp_path / "state")
    with closing(Ledger(tmp_path / "state")) as ledger:
        found = cells(ledger, BEFORE, NOW, TOKENS)
    whole = changes(found, lambda _: "")[""]
    assert whole.volume + whole.mix + whole.price == whole.dollars
    features = changes(found, lambda one: one.feature)
    assert next(iter(features)) == "assistant"
    added = features["assistant"]
    assert abs(added.dollars - Decimal(15_000) * 19 / 27) < Decimal("0.05"), "tokens are whole"
    assert added == Change(added.dollars, mix=added.dollars), "it was not there before"
    assistant = [one for one in found if one.feature == "assistant"]
    models = changes(assistant, lambda one: one.model)
    assert [(name, round(one.dollars / added.dollars, 3)) for name, one in models.items()] == [
        ("gpt-5", Decimal("0.7")),
        ("gpt-4o", Decimal("0.3")),
    ]
    tenants = list(changes(assistant, lambda one: one.tenant).values())
    assert sum(one.dollars for one in tenants[:3]) > added.dollars * Decimal("0.75")
    rest = changes([one for one in found if one.feature != "assistant"], lambda _: "")[""]
    assert abs(rest.price) < 1, "prices are what they were"
