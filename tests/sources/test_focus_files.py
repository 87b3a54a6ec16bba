"""FOCUS files as people have them: the same numbers however they are spelt, or the real cause and its row."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.stored import asked
from tests.sources.test_focus import (
    FIRST,
    HEADER,
    NOW,
    bills,
    charge,
    costs,
    focus,
    items,
    november,
    one_cost,
    problems,
    total,
    write_csv,
    write_parquet,
)
from unitcost.errors import SourceError
from unitcost.facts import Batch, Problem
from unitcost.scratch import scratch
from unitcost.sources.base import Context

CHARGES = [
    charge(EffectiveCost="1.5", ServiceName='Say "hi"; or, not'),
    charge(EffectiveCost="2.25", Tags='{"tenant": "beta",\n"note": "b"}'),
    charge(EffectiveCost="-0.5", ServiceName="NULL"),
]


def spelt(
    charges: Sequence[dict[str, Any]], ends: Sequence[str] = ("\n",), mark: str = ",", *, quoted: bool = False
) -> str:
    """Return a bill as CSV, its line ends in turn."""
    text = ""
    for at, row in enumerate([dict(zip(HEADER, HEADER, strict=True)), *charges]):
        cells = [str(row[name]) for name in HEADER]
        special = (mark, '"', "\r", "\n")
        cells = [
            '"' + cell.replace('"', '""') + '"' if quoted or any(one in cell for one in special) else cell
            for cell in cells
        ]
        text += mark.join(cells) + ends[at % len(ends)]
    return text


def write(path: Path, content: str | bytes) -> Path:
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def refused(path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        items(path)
    assert str(path) in str(caught.value)
    assert "copy it again" not in str(caught.value)
    return caught.value


# ------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    "content",
    [
        spelt(CHARGES, ("\r\r\n",)),
        spelt(CHARGES, ("\r",)),
        spelt(CHARGES, ("\n", "\r\n")),
        spelt(CHARGES, ("\r\n", "\n")),
        spelt(CHARGES, ("\r", "\n", "\r\n")),
        spelt(CHARGES, mark=";"),
        spelt(CHARGES, ("\r\n", "\n"), ";"),
        spelt(CHARGES, mark="\t"),
        spelt(CHARGES).encode("utf-8-sig"),
        spelt(CHARGES, quoted=True).encode("utf-8-sig"),
        spelt(CHARGES, ("\r\n",), "\t").encode("utf-16"),
        b"\xfe\xff" + spelt(CHARGES).encode("utf-16-be"),
        "\r\n\r\n" + spelt(CHARGES, ("\r\n",)),
        spelt(CHARGES, (",\n",)),
        spelt(CHARGES, (",\n", ",\r\n")),
    ],
)
@pytest.mark.parametrize("name", ["bill.csv", "bill.csv.gz"])
def test_a_bill_reads_the_same_however_it_is_spelt(tmp_path: Path, name: str, content: str | bytes) -> None:
    path = write(tmp_path / name, content)
    assert {(one.tenant, one.service): one.amount for one in costs(path)} == {
        ("acme", 'Say "hi"; or, not'): Decimal("1.5"),
        ("acme", "Compute"): Decimal("-0.5"),
        ("beta", "Amazon EC2"): Decimal("2.25"),
    }
    assert problems(path) == []


TEXTS = st.text(st.sampled_from("ab ,;\t\"'\n\\é{[0"), min_size=1, max_size=6).filter(lambda text: text.strip())


@given(
    services=st.lists(TEXTS, min_size=1, max_size=4),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]), min_size=5, max_size=5),
    mark=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=40, deadline=None)
def test_any_bill_reads_to_the_same_rows(services: list[str], ends: list[str], mark: str, encoding: str) -> None:
    charges = [charge(ServiceName=name, EffectiveCost=str(10**at)) for at, name in enumerate(services)]
    expected: dict[str, Decimal] = {}
    for at, name in enumerate(services):
        expected[name] = expected.get(name, Decimal(0)) + 10**at
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "bill.csv", spelt(charges, ends, mark).encode(encoding))
        assert {one.service: one.amount for one in costs(path)} == expected


def test_a_file_that_was_read_through_a_copy_is_handed_over_once_and_its_copy_goes_with_the_source(
    tmp_path: Path,
) -> None:
    before = set(scratch().glob("*.csv"))
    path = write(tmp_path / "bill.csv", spelt(CHARGES, ("\n", "\r\n")))
    source = focus(path)
    assert [one.key for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Batch)] == ["2026-10"]
    (copy,) = set(scratch().glob("*.csv")) - before
    copy.unlink()
    assert [one.key for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Batch)] == ["2026-10"], "made anew"
    del source
    assert set(scratch().glob("*.csv")) <= before


def test_bills_with_semicolons_and_commas_are_added_up(tmp_path: Path) -> None:
    write(tmp_path / "2026-10.csv", spelt([charge()], mark=";"))
    write(tmp_path / "2026-11.csv", spelt([november()], ("\r\r\n",)))
    assert bills(tmp_path).keys() == {"2026-10", "2026-11"}
    assert total(costs(tmp_path)) == 2


# --------------------------------------------------------------------------------------- what is refused


def lines(*changed: bytes) -> bytes:
    """Return a bill whose lines from the third on are as given, in place of a good one."""
    return spelt([charge()]).encode() + b"".join(changed)


GOOD = spelt([charge()]).encode().splitlines(keepends=True)[1]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (lines(GOOD.replace(b'""', b'\\"')), "line 3: is not CSV (its quotes are escaped by a backslash)"),
        (lines(GOOD.replace(b"Amazon EC2", b'"Amazon EC2')), "line 3: is not CSV"),
        (lines(GOOD.replace(b"Amazon EC2", b'"Amazon" EC2')), "line 3: is not CSV (',' expected after '\"'"),
        (lines(GOOD.replace(b"Amazon EC2", b"Amazon, Inc, EC2")), "line 3: has 14 cells and line 1 has 12; quote"),
        (lines(GOOD, b"Total\n"), "line 4: has 1 cells and line 1 has 12; it reads as a line of totals: remove it"),
        (lines(b"Total" + b"," * 11 + b"\n"), "row 3: BillingPeriodStart holds an empty value"),
        (lines(GOOD.replace(b"Amazon", b"\xc4mazon")), "line 3: is not UTF-8"),
        (spelt([charge()]).encode("utf-16-le"), "has zero bytes in its first line"),
        (gzip.compress(lines()), "is no CSV but a gzip file. Name it .csv.gz"),
        (b"PK\x03\x04" + bytes(99), "is no CSV but a zip file or an Excel workbook"),
        (b"PAR1" + bytes(99), "is no CSV but a Parquet file. Name it .parquet"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused_with_its_line_and_cause(
    tmp_path: Path, content: bytes, text: str
) -> None:
    assert text in str(refused(write(tmp_path / "bill.csv", content)))


def test_a_cut_line_is_named_and_said_to_be_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "bill.csv", lines(GOOD[:40]))
    with pytest.raises(
        SourceError, match=r"line 3: has .* cells and line 1 has 12; if it was cut off, write or copy it again"
    ):
        items(path)


@pytest.mark.parametrize("cost", ["1,5", "1.234,50", "1,234.50"])
def test_decimal_commas_are_refused_with_row_and_column(tmp_path: Path, cost: str) -> None:
    (problem,) = problems(write(tmp_path / "bill.csv", spelt([charge(), charge(EffectiveCost=cost)], mark=";")))
    assert problem.where.endswith("row 3")
    assert problem.text == f"EffectiveCost holds '{cost}', which is no cost"
    assert "a point for decimals" in problem.hint


def test_a_backslash_that_ends_a_value_is_no_escape(tmp_path: Path) -> None:
    path = write(tmp_path / "bill.csv", spelt([charge(ServiceName='C:\\ "x"\\')], ("\n", "\r\n")))
    assert one_cost(path).service == 'C:\\ "x"\\'


# --------------------------------------------------------------------------------------------- parquet types


@pytest.mark.parametrize("kind", ["BIGINT", "INTEGER", "DOUBLE", "BLOB", "TIME"])
@pytest.mark.parametrize("column", ["ChargePeriodStart", "BillingPeriodStart", "ChargePeriodEnd"])
def test_times_that_say_no_unit_are_refused_by_column_and_type(tmp_path: Path, kind: str, column: str) -> None:
    sql = f"NULL::{kind}" if kind in {"BLOB", "TIME"} else f"1762000000::{kind}"
    path = write_parquet(tmp_path / "bill.parquet", [charge()], **{column: sql})
    error = refused(path)
    assert error.reason == "time"
    assert f"{column} is {kind}" in error.text
    assert "timestamp" in error.hint


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_S", "VARCHAR"])
def test_times_that_are_dates_or_timestamps_are_read(tmp_path: Path, kind: str) -> None:
    sql = {name: f"{name}::TIMESTAMP::{kind}" for name in HEADER if "Period" in name}
    found = one_cost(write_parquet(tmp_path / "bill.parquet", [charge()], **sql))
    assert str(found.day) == "2026-10-05"
    assert found.amount == 1


@pytest.mark.parametrize("kind", ["VARCHAR", "DECIMAL(10, 2)", "INTEGER", "BIGINT", "UBIGINT", "FLOAT"])
def test_costs_of_any_type_of_number_are_read(tmp_path: Path, kind: str) -> None:
    path = write_parquet(tmp_path / "bill.parquet", [charge(EffectiveCost="7")], EffectiveCost=f"EffectiveCost::{kind}")
    assert one_cost(path).amount == 7


@pytest.mark.parametrize("sql", ["true", "[1.5]", "{'amount': 1.5}", "'1.5'::BLOB"])
def test_costs_that_are_no_numbers_are_refused_by_column_and_type(tmp_path: Path, sql: str) -> None:
    error = refused(write_parquet(tmp_path / "bill.parquet", [charge()], EffectiveCost=sql))
    assert error.reason == "number"
    assert error.text.startswith("EffectiveCost is ")


# ------------------------------------------------------------------------------------------------------- tags


@pytest.mark.parametrize(
    ("tags", "tenant"),
    [
        ('[{"Key": "tenant", "Value": "acme"}, {"Key": "n", "Value": 1}]', "acme"),
        ('[{"key":"n","value":null},{"key":"tenant","value":"acme"}]', "acme"),
        ('[{"name":"tenant","value":42}]', "42"),
        ('[{"Name":"tenant","Value":true}]', "true"),
        ("[]", None),
    ],
)
def test_a_json_list_of_keys_and_values_is_read(tmp_path: Path, tags: str, tenant: str | None) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(Tags=tags), charge(ServiceName="z")])
    assert [one.tenant for one in costs(path) if one.service != "z"] == [tenant]
    assert problems(path) == []
    parquet = write_parquet(tmp_path / "b" / "bill.parquet", [charge(Tags=tags), charge(ServiceName="z")])
    assert [one.tenant for one in costs(parquet) if one.service != "z"] == [tenant]


def test_a_json_list_of_tags_names_clusters_and_dimensions_too(tmp_path: Path) -> None:
    tags = '[{"Key":"tenant","Value":"a"},{"Key":"eks:cluster-name","Value":"prod"},{"Key":"feature","Value":"chat"}]'
    context = Context(tenant_keys=("tenant",), dimensions=("feature",))
    found = one_cost(write_csv(tmp_path / "bill.csv", [charge(Tags=tags)]), context=context)
    assert (found.tenant, found.scope, found.dimensions) == ("a", "k8s/prod", {"feature": "chat"})


@pytest.mark.parametrize("tags", ['["tenant=acme"]', '[{"Key":"tenant"}]', "[1, 2]", '[{"Key":"a","Value":1}' * 2])
def test_another_list_loses_no_money_and_is_told(tmp_path: Path, tags: str) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(Tags=tags), charge()])
    assert {one.tenant: one.amount for one in costs(path)} == {None: 1, "acme": 1}
    (problem,) = problems(path)
    assert (problem.reason, problem.text[:6]) == ("tags", "1 rows")


@pytest.mark.parametrize("value", ['{"v": "acme"}', '["acme", "beta"]', '"null"', '"Null"', "{}", '"[\\"acme\\"]"'])
def test_a_tag_value_that_is_no_scalar_names_nobody_and_is_told_with_its_row(tmp_path: Path, value: str) -> None:
    odd = charge(Tags=f'{{"tenant": {value}}}')
    path = write_csv(tmp_path / "bill.csv", [charge(), odd, odd])
    assert {one.tenant: one.amount for one in costs(path)} == {None: 2, "acme": 1}
    (problem,) = problems(path)
    assert (problem.reason, problem.where) == ("tags", f"{path}, row 3")
    assert "the tag tenant holds " in problem.text
    assert problem.text.endswith("which names nobody; 2 such values in 2026-10")


@pytest.mark.parametrize(
    ("value", "tenant"),
    [("42", "42"), ("true", "true"), ('"[acme"', "[acme"), ('"{acme}"', "{acme}"), ('"nullify"', "nullify")],
)
def test_a_tag_value_that_only_looks_odd_is_a_name(tmp_path: Path, value: str, tenant: str) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(Tags=f'{{"tenant": {value}}}')])
    assert one_cost(path).tenant == tenant
    assert problems(path) == []


def test_a_dimension_that_is_no_scalar_is_left_out_and_told(tmp_path: Path) -> None:
    context = Context(tenant_keys=("tenant",), dimensions=("feature",))
    path = write_csv(tmp_path / "bill.csv", [charge(Tags='{"tenant": "acme", "feature": ["a", "b"]}')])
    assert one_cost(path, context=context).dimensions == {}
    (problem,) = [one for one in items(path, context=context) if isinstance(one, Problem)]
    assert "the tag feature holds" in problem.text


@pytest.mark.parametrize(
    "sql",
    [
        "MAP {'tenant': {'v': 'acme'}}",
        "MAP {'tenant': ['acme', 'beta']}",
        "MAP {'tenant': MAP {'a': 'b'}}",
        "{'tenant': ['acme']}",
        "[{'key': 'tenant', 'value': {'v': 'acme'}}]",
        "[{'key': 'tenant', 'value': ['acme']}]",
        "MAP {'tenant': 'null'}",
    ],
)
def test_nested_values_of_parquet_tags_name_nobody_and_are_told(tmp_path: Path, sql: str) -> None:
    path = write_parquet(tmp_path / "bill.parquet", [charge()], Tags=sql)
    assert one_cost(path).tenant is None
    assert [one.where for one in problems(path) if one.reason == "tags"] == [f"{path}, row 1"]


@pytest.mark.parametrize(
    "sql",
    [
        "[{'name': 'tenant', 'val': 'acme'}]",
        "[{'Name': 'tenant', 'Value': 'acme'}]",
        "[{'Key': 'tenant', 'Value': 'acme'}]",
        "[{'value': 'acme', 'key': 'tenant'}]",
        "MAP {'tenant': '\"acme\"'::JSON}",
        '\'{"tenant": "acme"}\'::JSON',
    ],
)
def test_pairs_of_parquet_tags_are_read_by_either_name(tmp_path: Path, sql: str) -> None:
    path = write_parquet(tmp_path / "bill.parquet", [charge()], Tags=sql)
    assert one_cost(path).tenant == "acme"
    assert problems(path) == []


def test_a_list_of_structs_without_key_and_value_is_refused_with_its_type(tmp_path: Path) -> None:
    error = refused(write_parquet(tmp_path / "bill.parquet", [charge()], Tags="[{'label': 'tenant', 'is': 'acme'}]"))
    assert error.reason == "tags"
    assert 'Tags is STRUCT("label" VARCHAR' in error.text.replace("STRUCT(label", 'STRUCT("label"')
