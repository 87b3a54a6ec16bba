"""Whatever a field holds: it is read exactly, or the source says what is wrong and where, in its own error."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.config.directory import Directory
from unitcost.errors import SourceError
from unitcost.facts import LARGEST_AMOUNT, LARGEST_QUANTITY, Batch, Note, Problem, cluster_scope
from unitcost.ledger.store import Ledger
from unitcost.sources.base import Context, Source
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost
from unitcost.sources.http import Answer
from unitcost.sources.revenue.csv_revenue import CsvRevenue, CsvRevenueSettings
from unitcost.sources.usage.csv_usage import CsvUsage, CsvUsageSettings
from unitcost.sources.usage.promql import read_vector
from unitcost.sources.values import EXACT, LEDGER, exact_json

NOW = utc(2026, 11, 18, 12)
DAY = date(2026, 11, 17)
RATES = {"USD": Decimal(1), "EUR": Decimal("1.08")}
BRIEF = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NUMBERS = [
    *(
        "1e1000000",
        "1e-1000000",
        "-1e1000000",
        "1e16",
        "1e400",
        "9e25",
        "1" * 400,
        f"0.{'0' * 400}1",
        "1e99999999999999",
    ),
    *("NaN", "nan", "sNaN", "inf", "-Infinity", "Infinity", "-0", "-0.0", "0e1000000", "0E-1000000", "-1", "-1e-15"),
    *("1_000", "٤٩", "１２", "0x10", "1e", "--1", "+5", ".5", "5.", "1.5e3", "1,5", "1 000", "0.1234567890125", "true"),
]
DAYS = [
    *("0001-01-01", "9999-12-31", "0000-01-01", "10000-01-01", "1969-12-31", "2026-02-30", "2026-11-17T00:00:00Z"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "2026-11-17T24:00:00Z"),
    *("infinity", "-infinity", "epoch", "now", "20261117", "2026-W47-2", "1763337600", "٢٠٢٦-11-17"),
]
TEXTS = [
    "",
    " ",
    "\t",
    "NULL",
    "null",
    "__idle__",
    "a\u2028b",
    "\ufeffx",
    "x" * 5000,
    "😀",
    'a"b',
    "a\nb",
    "{}",
    "[]",
    "=1",
]
cells = st.one_of(
    st.sampled_from([*NUMBERS, *DAYS, *TEXTS]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)


@dataclass
class Taken:
    """What came of a source: its batches in a ledger, its problems, or its one error."""

    ledger: Ledger
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def all(self, sql: str) -> list[Decimal]:
        return [value for (value,) in self.ledger.rows(sql)]


def take(source: Source, ledger: Ledger) -> Taken:
    """Ask a source and store what it says, as a refresh does; no other error than SourceError may come."""
    taken = Taken(ledger)
    for table in ("cost", "usage", "revenue", "resource", "known_day", "batch"):
        ledger.rows(f"DELETE FROM {table}")
    try:
        for item in source.batches(asked(NOW, NOW.date() - timedelta(days=30), MemoryStored(NOW))):
            try:
                if isinstance(item, Batch):
                    ledger.put(source.name, "", item, NOW, RATES)  # type: ignore[attr-defined]
                elif isinstance(item, Problem):
                    taken.problems.append(f"{item.where}: {item.text}")
                elif isinstance(item, Note):
                    taken.notes.append(item.text)
            except SourceError as error:
                taken.problems.append(str(error))
    except SourceError as error:
        taken.problems.append(str(error))
    return taken


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with closing(Ledger(None)) as made:
        yield made


def written(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)  # Python 3.11 forgets a lone CR
    return text.getvalue()


def exactly(spelt: str) -> Decimal:
    return Decimal(spelt).quantize(LEDGER, context=EXACT)


REVENUE = {"tenant": "acme", "mrr": "7", "currency": "USD", "plan": "pro", "as_of": "2026-11-17", "subscription": "a"}


@BRIEF
@given(st.sampled_from([*REVENUE]), cells)
@example("mrr", "1e1000000")
@example("as_of", "0001-01-01")
@example("as_of", "9999-12-31")
def test_any_cell_of_a_revenue_file_is_read_exactly_or_named(
    tmp_path: Path, ledger: Ledger, column: str, cell: str
) -> None:
    path = tmp_path / "mrr.csv"
    other = {**REVENUE, "tenant": "other", "mrr": "1"}
    odd = {**REVENUE, column: cell}
    path.write_text(written([[*REVENUE], [*other.values()], [*odd.values()]]), encoding="utf-8", newline="")
    taken = take(CsvRevenue("mrr", CsvRevenueSettings(path=path), Context()), ledger)
    found = taken.all("SELECT DISTINCT mrr FROM revenue WHERE tenant <> 'other'")
    if taken.problems:
        assert any("line 3" in problem or "currency.rates" in problem for problem in taken.problems), taken.problems
    elif column == "mrr":
        assert found == [exactly(cell)]
        assert 0 <= exactly(cell) <= LARGEST_AMOUNT
    elif column != "as_of":
        assert found == [Decimal(7)]


USAGE = {"day": "2026-11-17", "tenant": "acme", "measure": "requests", "quantity": "7"}


@BRIEF
@given(st.sampled_from([*USAGE]), cells)
@example("day", "0001-01-01")
@example("day", "9999-12-31")
def test_any_cell_of_a_usage_file_is_read_exactly_or_named(
    tmp_path: Path, ledger: Ledger, column: str, cell: str
) -> None:
    path = tmp_path / "usage.csv"
    odd = {**USAGE, column: cell}
    rows = [[*USAGE], ["2026-11-16", "other", "requests", "1"], [*odd.values()]]
    path.write_text(written(rows), encoding="utf-8", newline="")
    taken = take(CsvUsage("usage", CsvUsageSettings(path=path), Context()), ledger)
    if taken.problems:
        assert any("line 3" in problem or "after today" in problem for problem in taken.problems), taken.problems
    elif column == "quantity":
        assert taken.all("SELECT quantity FROM usage WHERE tenant = 'acme'") == [exactly(cell)]
        assert 0 <= exactly(cell) <= LARGEST_QUANTITY


@BRIEF
@given(cells)
@example("1e-1000000")
@example("1_000")
def test_any_budget_of_the_directory_is_read_exactly_or_named(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "tenants.csv"
    path.write_text(written([["id", "budget_dollars"], ["acme", cell]]), encoding="utf-8", newline="")
    directory, mistakes = Directory.read(path)
    if mistakes:
        assert any("line 2" in mistake for mistake in mistakes), mistakes
    elif cell.strip():
        assert [tenant.budget_dollars for tenant in directory.tenants] == [exactly(cell)]


# ------------------------------------------------------------------------------------------------------- JSON

SNIPPETS = [
    *("1e1000000", "-1e1000000", "1e-1000000", "1e16", "1" * 400, "1e99999999999999999999", "-0", "-0.0", "0e1000000"),
    *("NaN", "Infinity", "-Infinity", "null", "true", "false", "0", "2.5", "-2.5", '""', '"x"', '"2.5"', '"a/b"'),
    *("[]", "[1]", '["acme"]', "{}", '{"a": 1}', '{"a": 1, "a": 2}', '"\\ud800"', '"a\\u0000b"', '"\\udc00x"'),
    *(f"{'[' * 100_000}{']' * 100_000}", '"__idle__"', '"2026-11-17T00:00:00Z"', *(json.dumps(day) for day in DAYS)),
]
snippets = st.one_of(
    st.sampled_from(SNIPPETS),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ).map(json.dumps),
)

ALLOCATION = """{"code": @code, "data": [{@name: {"name": "x", "properties": @properties, "minutes": @minutes,
 "window": {"start": @start, "end": @end}, "cpuCost": @cpuCost, "cpuCostAdjustment": @adjustment, "ramCost": 1.5}}]}"""
GOOD = {
    "code": "200",
    "name": '"acme"',
    "properties": '{"cluster": "prod"}',
    "minutes": "1440",
    "start": '"2026-11-17T00:00:00Z"',
    "end": '"2026-11-18T00:00:00Z"',
    "cpuCost": "2.25",
    "adjustment": "0",
}


def filled(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}", value)
    return template


def opencost(path: Path) -> OpenCost:
    return OpenCost("cluster", OpenCostSettings(type="opencost", path=path), Context())


@BRIEF
@given(st.sampled_from([*GOOD, "cluster"]), snippets)
@example("cluster", '["prod"]')
@example("name", '"\\ud800"')
@example("start", '"0001-01-01T00:00:00+14:00"')
@example("end", '"9999-12-31T23:59:59Z"')
@example("cpuCost", "1e1000000")
def test_any_field_of_an_opencost_answer_is_read_exactly_or_named(
    tmp_path: Path, ledger: Ledger, name: str, snippet: str
) -> None:
    odd = {"properties": f'{{"cluster": {snippet}}}'} if name == "cluster" else {name: snippet}
    if name == "name" and not snippet.startswith('"'):
        return
    path = tmp_path / "answer.json"
    path.write_text(filled(ALLOCATION, {**GOOD, **odd}), encoding="utf-8")
    taken = take(opencost(path), ledger)
    cpu = taken.all("SELECT amount FROM cost WHERE service = 'cpu'")
    assert all("answer.json" in problem or "cluster" in problem for problem in taken.problems), taken.problems
    if name in {"cpuCost", "adjustment"} and not taken.problems:
        said = exact_json(snippet.encode())
        both = {"cpuCost": Decimal("2.25"), "adjustment": Decimal(0), name: said}
        assert said is None or isinstance(said, Decimal)
        known = [] if said is None else [EXACT.add(*(one.quantize(LEDGER, context=EXACT) for one in both.values()))]
        assert cpu == [amount for amount in known if amount]
    if name in {"cluster", "properties"} and not taken.problems:
        clusters = [one for (one,) in ledger.rows("SELECT DISTINCT scope FROM cost")]
        given = exact_json(odd["properties"].encode())
        assert clusters == [cluster_scope((given or {}).get("cluster") or "cluster")]


ASSETS = """{"code": 200, "data": {"node-1": {"type": @type, "properties": @properties, "totalCost": @total,
 "window": {"start": @start, "end": @end}, "cpuCost": @cpuCost, "adjustment": @adjustment, "discount": @discount}}}"""
ASSET = {
    **{name: GOOD[name] for name in ("start", "end", "cpuCost", "adjustment")},
    "type": '"Node"',
    "properties": '{"cluster": "prod", "providerID": "i-1"}',
    "total": "3",
    "discount": "0",
}


@BRIEF
@given(st.sampled_from([*ASSET, "cluster", "id"]), snippets)
@example("properties", "[1]")
@example("type", "[1]")
@example("id", '{"a": 1}')
def test_any_field_of_an_assets_answer_is_read_or_named(
    tmp_path: Path, ledger: Ledger, name: str, snippet: str
) -> None:
    odd = {
        "cluster": {"properties": f'{{"cluster": {snippet}, "providerID": "i-1"}}'},
        "id": {"properties": f'{{"cluster": "prod", "providerID": {snippet}}}'},
    }.get(name, {name: snippet})
    (tmp_path / "allocation.json").write_text(filled(ALLOCATION, GOOD), encoding="utf-8")
    (tmp_path / "assets.json").write_text(filled(ASSETS, {**ASSET, **odd}), encoding="utf-8")
    taken = take(opencost(tmp_path), ledger)
    assert sum(taken.all("SELECT amount FROM cost")) == Decimal("3.75"), "the other file counts"
    assert all("assets.json" in problem for problem in taken.problems), taken.problems
    if name in {"id", "cluster"} and not taken.problems:
        told = exact_json(snippet.encode())
        assert told is None or isinstance(told, str), "no list, number or map becomes a name"


VECTOR = """{"status": @status, "data": {"resultType": @kind, "result": [{"metric": {"tenant": @tenant},
 "value": [@time, @value]}]}}"""
SERIES = {"status": '"success"', "kind": '"vector"', "tenant": '"acme"', "time": "1763337600", "value": '"7"'}


@BRIEF
@given(st.sampled_from([*SERIES]), st.one_of(snippets, st.sampled_from([json.dumps(number) for number in NUMBERS])))
@example("tenant", '["acme"]')
@example("tenant", '"\\ud800"')
@example("value", '"1e1000000"')
def test_any_field_of_a_prometheus_answer_is_read_exactly_or_named(name: str, snippet: str) -> None:
    body = filled(VECTOR, {**SERIES, name: snippet}).encode()
    try:
        found = read_vector(Answer("http://prometheus", 200, body), ("tenant",), "2026-11-17 requests").sums
    except SourceError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "2026-11-17 requests" in refused
        return
    if name == "value":
        assert found == {"acme": exactly(exact_json(snippet.encode()))}
    elif name == "tenant":
        assert found == {exact_json(snippet.encode()): Decimal(7)}
    else:
        assert found == {"acme": Decimal(7)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' stands twice in one object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": 1e99999999999999999999}', "a number whose exponent is none"),
        (b"{", "line 1"),
        (b"\xff\xfe\x00", "truncated data"),
    ],
)
def test_json_that_would_have_to_be_guessed_is_a_plain_value_error(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        exact_json(text)


# ------------------------------------------------------------------------------------------------------ FOCUS

CHARGE = {
    "EffectiveCost": "7",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-11-01T00:00:00Z",
    "BillingPeriodEnd": "2026-12-01T00:00:00Z",
    "ChargePeriodStart": "2026-11-17T00:00:00Z",
    "ChargePeriodEnd": "2026-11-18T00:00:00Z",
    "ServiceName": "EC2",
    "ServiceCategory": "Compute",
    "ChargeCategory": "Usage",
    "ChargeClass": "",
    "ResourceId": "i-1",
    "Tags": '{"tenant": "acme"}',
}


@settings(BRIEF, max_examples=100)
@given(st.sampled_from([*CHARGE]), cells)
@example("EffectiveCost", "1_000")
@example("EffectiveCost", "1e1000000")
@example("EffectiveCost", "9e19")
@example("BillingPeriodEnd", "9999-12-31T00:00:00Z")
@example("BillingPeriodStart", "0001-01-01T00:00:00Z")
@example("ChargePeriodStart", "9999-12-31T23:59:59-14:00")
@example("ChargePeriodEnd", "9999-12-30T23:59:59Z")
@example("ServiceName", "a\0b")
def test_any_cell_of_a_bill_is_read_exactly_or_named(tmp_path: Path, ledger: Ledger, column: str, cell: str) -> None:
    path = tmp_path / "bill.csv"
    odd = {**CHARGE, column: cell}
    path.write_text(written([[*CHARGE], [*CHARGE.values()], [*odd.values()]]), encoding="utf-8", newline="")
    taken = take(Focus("bill", FocusSettings(type="focus", path=path), Context()), ledger)
    counted = sum(taken.all("SELECT amount FROM cost"), Decimal(0))
    assert all("bill.csv" in one or "currency.rates" in one or "2026-11" in one for one in taken.problems)
    if column == "EffectiveCost":
        if counted != 7 and counted:
            assert counted == 7 + Decimal(cell).quantize(LEDGER, ROUND_HALF_UP, context=EXACT), "halves away from zero"
        assert counted or taken.problems
    elif not taken.problems:
        assert counted == 14, "no dollar is lost"


PARQUET = {
    "EffectiveCost": ["'nan'::DOUBLE", "'inf'::DOUBLE", "'-inf'::DOUBLE", "1e300::DOUBLE", "9e19::DECIMAL(38, 12)"],
    "BillingPeriodStart": ["'infinity'::TIMESTAMP", "'-infinity'::TIMESTAMP", "'290000-01-01'::TIMESTAMP"],
    "BillingPeriodEnd": ["'infinity'::TIMESTAMP", "'0001-01-01 (BC)'::TIMESTAMP"],
    "ChargePeriodStart": ["'infinity'::TIMESTAMPTZ", "'0001-01-01 00:00+14'::TIMESTAMPTZ"],
    "ChargePeriodEnd": ["'infinity'::TIMESTAMP_S", "'-infinity'::DATE"],
}


@pytest.mark.parametrize(("column", "value"), [(name, value) for name, given in PARQUET.items() for value in given])
def test_an_odd_value_of_a_parquet_bill_is_named(tmp_path: Path, ledger: Ledger, column: str, value: str) -> None:
    columns = {name: f"TIMESTAMP '{text[:10]}'" if "Period" in name else f"'{text}'" for name, text in CHARGE.items()}
    columns = {**columns, "EffectiveCost": "7.5::DOUBLE", column: value}
    path = tmp_path / "bill.parquet"
    listed = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {listed}) TO '{path}' (FORMAT parquet)")
    taken = take(Focus("bill", FocusSettings(type="focus", path=path), Context()), ledger)
    assert any(f"{path}, row 1: {column} holds" in problem for problem in taken.problems), taken.problems
    assert taken.all("SELECT amount FROM cost") == []
