"""A short run of what bench/fuzz.py does for ten minutes: parsers refuse what is wrong in the product's own words."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.parsers import Parser, parsers

NAMES = (
    *("unitcost.yaml", "web.yml", "directory", "csv_usage", "csv_revenue", "focus_csv", "focus_parquet", "cur2"),
    *("opencost", "opencost_assets", "opencost_recorded", "prometheus", "openai", "anthropic"),
    "aws_cost_explorer",
    "accept",
)
INPUTS = {"focus_csv": 12, "focus_parquet": 12, "cur2": 12}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Parser]]:
    with parsers(tmp_path_factory.mktemp("fuzz")) as found:
        yield found


def test_every_parser_is_fuzzed(known: Mapping[str, Parser]) -> None:
    assert list(known) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_themselves_are_read(known: Mapping[str, Parser], name: str) -> None:
    known[name].run(known[name].seeds[0], random.Random(0))


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_takes_or_refuses_any_input_and_nothing_else(known: Mapping[str, Parser], name: str) -> None:
    @settings(max_examples=INPUTS.get(name, 40), deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32))
    def feed(seed: int) -> None:
        assert known[name].feed(seed) in {True, False}  # what is no UnitcostError comes out

    feed()
