"""FOCUS bills: every row counts once, on its day, for its tenant; and what cannot be read says so."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes.stored import MemoryStored, asked, rows, utc
from unitcost.config.load import load
from unitcost.errors import SourceError
from unitcost.facts import Asked, Batch, Cost, Note, Problem, Query, Resource, cluster_scope
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.store import Ledger
from unitcost.run.setup import Setup
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.files import BillFile, export_name, find
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

SAMPLE = Path(__file__).parents[1] / "data" / "focus-1.0-sample.csv"
NOW = utc(2026, 11, 20)
FIRST = date(2026, 1, 1)
CONTEXT = Context(tenant_keys=("tenant",), metered=True)
HEADER = [
    "BilledCost",
    "EffectiveCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ServiceName",
    "ServiceCategory",
    "ResourceId",
    "SubAccountId",
    "Tags",
]


def charge(**given: object) -> dict[str, Any]:
    """One charge of 1 USD by tenant acme on 2026-10-05, changed as given."""
    return {
        "BilledCost": "2",
        "EffectiveCost": "1",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-10-01 00:00:00",
        "BillingPeriodEnd": "2026-11-01 00:00:00",
        "ChargePeriodStart": "2026-10-05 00:00:00",
        "ChargePeriodEnd": "2026-10-06 00:00:00",
        "ServiceName": "Amazon EC2",
        "ServiceCategory": "Compute",
        "ResourceId": "NULL",
        "SubAccountId": "acc-1",
        "Tags": '{"tenant": "acme"}',
    } | given


def november(**given: object) -> dict[str, Any]:
    """The same charge in the next billing period."""
    month = {"BillingPeriodStart": "2026-11-01 00:00:00", "BillingPeriodEnd": "2026-12-01 00:00:00"}
    days = {"ChargePeriodStart": "2026-11-05 00:00:00", "ChargePeriodEnd": "2026-11-06 00:00:00"}
    return charge(**month, **days) | given


def write_csv(path: Path, charges: Iterable[Mapping[str, Any]], header: Sequence[str] = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, header, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(charges)
    return path


def write_parquet(path: Path, charges: Sequence[Mapping[str, Any]], **columns: str) -> Path:
    """Write with the types AWS uses; columns: SQL over the CSV's text columns that replaces a column."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = write_csv(path.with_suffix(".tmp"), charges)
    times = {name: f"{name}::TIMESTAMP" for name in HEADER if "Period" in name}
    made = times | {"EffectiveCost": "EffectiveCost::DOUBLE", "BilledCost": "BilledCost::DOUBLE"} | columns
    chosen = ", ".join(f"{made.get(name, name)} AS {name}" for name in HEADER)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {chosen} FROM read_csv('{text}', all_varchar = true, header = true, nullstr = 'NULL',"
            f" quote = '\"', escape = '\"')) TO '{path}' (FORMAT parquet)"
        )
    text.unlink()
    return path


AWS_TAGS = "CAST(Tags::JSON AS MAP(VARCHAR, VARCHAR))"
GCP_TAGS = (
    "list_transform(map_entries(CAST(Tags::JSON AS MAP(VARCHAR, VARCHAR))), lambda e: {key: e.key, value: e.value})"
)


def focus(path: Path, context: Context = CONTEXT, **settings_: object) -> Focus:
    made = FocusSettings.model_validate({"type": "focus", "path": str(path), **settings_})
    return Focus("bill", made, context)


def items(path: Path, when: Asked | None = None, context: Context = CONTEXT, **given: Any) -> list[Any]:
    return list(focus(path, context, **given).batches(when or asked(NOW, FIRST)))


def bills(path: Path, when: Asked | None = None, context: Context = CONTEXT, **given: Any) -> dict[str, Batch]:
    return {one.key: one for one in items(path, when, context, **given) if isinstance(one, Batch)}


def costs(path: Path, when: Asked | None = None, context: Context = CONTEXT, **given: Any) -> list[Cost]:
    found = [cost for bill in bills(path, when, context, **given).values() for cost in rows(Cost, bill.cost)]
    return sorted(found, key=lambda cost: (cost.day, cost.tenant or "", cost.service))


def by_day(path: Path, when: Asked | None = None, context: Context = CONTEXT, **given: Any) -> list[Cost]:
    """Return what the ledger holds of the bills: costs of several days on each of these."""
    found = []
    with closing(Ledger(None)) as ledger:
        for key, bill in bills(path, when, context, **given).items():
            ledger.put("bill", "settings", bill, NOW, {"USD": Decimal(1)})
            found += ledger.stored("bill", "settings").costs(key)
    return sorted(found, key=lambda cost: (cost.day, cost.tenant or "", cost.service))


def one_cost(path: Path, when: Asked | None = None, context: Context = CONTEXT, **given: Any) -> Cost:
    (found,) = costs(path, when, context, **given)
    return found


def problems(path: Path, **given: Any) -> list[Problem]:
    return [one for one in items(path, **given) if isinstance(one, Problem)]


def total(found: Iterable[Cost]) -> Decimal:
    return sum((cost.amount for cost in found), Decimal(0))


# ------------------------------------------------------------------------------------------ the real sample


def test_the_real_sample_sums_to_the_last_digit_per_billing_period() -> None:
    expected: dict[str, Decimal] = {}
    with SAMPLE.open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            month = row["BillingPeriodStart"][:7]
            expected[month] = expected.get(month, Decimal(0)) + Decimal(row["BilledCost"])
    found = bills(SAMPLE, cost="BilledCost", context=Context(tenant_keys=("application",)))
    assert {key: total(rows(Cost, bill.cost)) for key, bill in found.items()} == expected
    assert sum(expected.values()) == Decimal("20.52022672899")


def test_the_real_sample_sums_per_tenant_and_service_like_the_csv_module() -> None:
    expected: dict[tuple[str | None, str], Decimal] = {}
    with SAMPLE.open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            tags = {} if row["Tags"] == "NULL" else json.loads(row["Tags"])
            at = (tags.get("business_unit"), row["ServiceName"])
            expected[at] = expected.get(at, Decimal(0)) + Decimal(row["BilledCost"])
    found: dict[tuple[str | None, str], Decimal] = {}
    for cost in costs(SAMPLE, cost="BilledCost", context=Context(tenant_keys=("business_unit",))):
        found[cost.tenant, cost.service] = found.get((cost.tenant, cost.service), Decimal(0)) + cost.amount
    assert found == expected


def test_a_key_that_no_row_has_is_told_with_the_most_frequent_ones() -> None:
    found = [one for one in problems(SAMPLE, cost="BilledCost") if one.reason == "untagged"]
    assert found
    assert "has the tag tenant" in found[0].text
    assert "application" in found[0].hint
    assert "environment" in found[0].hint


# ------------------------------------------------------------------------------------------ batches


def test_a_batch_is_a_billing_period_newest_first(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(), november(), charge(EffectiveCost="3")])
    found = bills(path)
    assert list(found) == ["2026-11", "2026-10"]
    assert total(rows(Cost, found["2026-10"].cost)) == 4
    assert total(rows(Cost, found["2026-11"].cost)) == 1


@pytest.mark.parametrize(
    ("now", "days"),
    [
        (utc(2026, 11, 5, 23), [5]),
        (utc(2026, 11, 6), list(range(1, 32))),
    ],
)
def test_a_bill_speaks_for_its_days_of_usage_and_for_all_once_five_days_have_passed(
    tmp_path: Path, now: datetime, days: list[int]
) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()])
    assert [day.day for day in bills(path, asked(now, FIRST))["2026-10"].days] == days


def test_an_unchanged_bill_is_handed_over_once_and_its_problems_each_time(
    tmp_path: Path,
) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(), november(Tags="not json")])
    stored = MemoryStored(NOW)
    source = focus(path)
    stored.take(source.batches(asked(NOW, FIRST, stored)))
    for again in (source, focus(path)):
        told = list(again.batches(asked(NOW, FIRST, stored)))
        assert {one.reason for one in told if isinstance(one, Problem)} == {"tags", "untagged"}
        assert not any(isinstance(one, Batch) for one in told)
    stored.batches["nodes"] = Batch("nodes", [FIRST], resources=[Resource(date(2026, 10, 3), "i-1", "k8s/prod")])
    assert not any(isinstance(one, Batch) for one in source.batches(asked(NOW, FIRST, stored))), "a node is no matter"
    write_csv(path, [charge(EffectiveCost="7"), november()])
    stored.take(source.batches(asked(NOW, FIRST, stored)))
    assert total(stored.costs("2026-10")) == 7


def test_a_changed_setting_changes_the_fingerprint_but_that_of_components(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()])
    before = bills(path)["2026-10"].fingerprint
    assert bills(path, cost="BilledCost")["2026-10"].fingerprint != before
    assert bills(path, components={"Amazon EC2": "ai"})["2026-10"].fingerprint == before


def test_a_period_settling_changes_the_fingerprint_because_its_days_do(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()])
    before, after = (bills(path, asked(now, FIRST))["2026-10"] for now in (utc(2026, 11, 2), utc(2026, 11, 9)))
    assert before.fingerprint != after.fingerprint


# ------------------------------------------------------------------------------------------ files


def test_a_month_partitioned_tree_is_read_without_manifests_hidden_and_underscored_files(tmp_path: Path) -> None:
    data = tmp_path / "export" / "data"
    write_csv(data / "BILLING_PERIOD=2026-10" / "x-00001.csv.gz", [charge()])
    write_csv(data / "BILLING_PERIOD=2026-10" / "x-00002.csv.gz", [charge(EffectiveCost="2", ResourceId="i-2")])
    write_parquet(data / "billing_period=2026-11" / "x-00001.snappy.parquet", [november(EffectiveCost="4")])
    for ignored in ("_SUCCESS.csv", ".x.csv", "x-Manifest.csv", "metadata/y.csv", ".tmp/y.csv", "notes.txt"):
        write_csv(data / ignored, [charge(EffectiveCost="1000")])
    assert {key: total(rows(Cost, bill.cost)) for key, bill in bills(tmp_path).items()} == {"2026-10": 3, "2026-11": 4}


def test_one_period_may_stand_in_csv_and_parquet_with_different_columns_and_cases(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [charge()])
    lower = {name.lower(): value for name, value in charge(ChargePeriodStart="2026-10-06T00:00:00Z").items()}
    write_csv(tmp_path / "b.csv", [lower], [name.lower() for name in HEADER[::-1]])
    write_parquet(tmp_path / "c.parquet", [charge(ChargePeriodStart="2026-10-07 00:00:00")], Tags=AWS_TAGS)
    assert [(cost.day.day, cost.tenant, cost.amount) for cost in costs(tmp_path)] == [
        (5, "acme", Decimal(1)),
        (6, "acme", Decimal(1)),
        (7, "acme", Decimal(1)),
    ]


def test_wildcards_in_a_file_name_are_nothing_special(tmp_path: Path) -> None:
    write_csv(tmp_path / "bill[1]*.csv", [charge()])
    write_csv(tmp_path / "bill1x.csv", [charge(ChargePeriodStart="2026-10-09 00:00:00")])
    assert total(costs(tmp_path)) == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x-00001.csv.gz", "x-00002.csv.gz", True),
        ("part-00001-5fd0c2a0-aa.c000.snappy.parquet", "part-00002-5fd0c2a0-aa.c000.snappy.parquet", True),
        ("part_0_0001.csv", "part_1_0002.csv", True),
        ("x.1.parquet", "x.12.parquet", True),
        ("x-2026-11-00001.parquet", "x-2026-11-00002.parquet", True),
        ("x000000000001.csv", "x000000000002.csv", False),
        ("x-000000000001.csv", "x-000000000002.csv", True),
        ("x-2026-11-02.csv", "x-2026-11-03.csv", False),
        ("x-20261102.csv", "x-20261103.csv", False),
        ("x-2026-11.csv", "x-2026-12.csv", False),
        ("x_202611.csv", "x_202612.csv", False),
        ("x-2025.csv", "x-2026.csv", False),
        ("x-20261102T0600.csv", "x-20261102T1800.csv", False),
        ("x-2026-11-02_06-00-00.csv", "x-2026-11-02_18-00-00.csv", False),
        ("x-20261102-060000.csv", "x-20261102-180000.csv", False),
        ("x_20261102_0600.csv", "x_20261102_1800.csv", False),
        ("x-1762041600.csv", "x-1762128000.csv", False),
        ("x-00001.csv", "x-00002.parquet", False),
        ("run1/x-00001.csv", "run2/x-00002.csv", False),
        ("x.csv", "x-1.csv", False),
        ("part-00001-5fd0c2a0.parquet", "part-00001-77aa9b12.parquet", False),
    ],
)
def test_parts_of_one_export_differ_by_a_part_number_and_never_by_a_date(one: str, other: str, same: bool) -> None:
    assert (export_name(one) == export_name(other)) is same


def test_two_files_with_the_same_day_are_an_error_that_names_both_and_spares_other_periods(tmp_path: Path) -> None:
    write_csv(tmp_path / "run-2026-10-08.csv", [charge(), charge(ChargePeriodStart="2026-10-07 00:00:00")])
    write_csv(tmp_path / "run-2026-10-09.csv", [charge(ChargePeriodStart="2026-10-07 00:00:00"), november()])
    batch, problem = items(tmp_path)
    assert batch.key == "2026-11"
    assert problem.reason == "overlap"
    assert "run-2026-10-08.csv" in problem.where
    assert "run-2026-10-09.csv" in problem.where
    assert "2026-10-07" in problem.text


def test_overlapping_files_are_added_up_when_asked(tmp_path: Path) -> None:
    write_csv(tmp_path / "account-a.csv", [charge()])
    write_csv(tmp_path / "account-b.csv", [charge(EffectiveCost="2")])
    assert one_cost(tmp_path, overlapping_files="sum").amount == 3


def test_the_same_bytes_twice_are_an_overlap_even_as_parts(tmp_path: Path) -> None:
    shutil.copy(write_csv(tmp_path / "x-00001.csv", [charge()]), tmp_path / "x-00002.csv")
    (problem,) = problems(tmp_path)
    assert (problem.reason, "same file twice" in problem.text) == ("overlap", True)


def test_parts_with_a_header_and_nothing_else_are_no_overlap(tmp_path: Path) -> None:
    write_csv(tmp_path / "x-00001.csv", [charge()])
    write_csv(tmp_path / "y.csv", [])
    write_csv(tmp_path / "z.csv", [])
    assert total(costs(tmp_path)) == 1


# ------------------------------------------------------------------------------------------ columns and values


@pytest.mark.parametrize(
    ("missing", "hint"),
    [
        ("EffectiveCost", "BilledCost"),
        ("BillingCurrency", "Its most similar columns: BillingPeriod"),
        ("ChargePeriodStart", "ChargePeriodEnd"),
        ("BillingPeriodStart", "BillingPeriodEnd"),
    ],
)
def test_a_missing_column_is_named_with_likely_ones(tmp_path: Path, missing: str, hint: str) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()], [name for name in HEADER if name != missing])
    with pytest.raises(SourceError, match=rf"bill\.csv: has no column {missing}") as caught:
        items(path)
    assert caught.value.reason == "column"
    assert hint in caught.value.hint


def test_service_name_or_category_is_enough_but_one_is_needed(tmp_path: Path) -> None:
    by_name = [name for name in HEADER if name != "ServiceCategory"]
    by_category = [name for name in HEADER if name != "ServiceName"]
    neither = [name for name in by_name if name != "ServiceName"]
    assert one_cost(write_csv(tmp_path / "a.csv", [charge()], by_name)).service == "Amazon EC2"
    found = one_cost(write_csv(tmp_path / "b.csv", [charge()], by_category))
    assert (found.service, found.category) == ("Compute", "Compute")
    with pytest.raises(SourceError, match="ServiceName or ServiceCategory"):
        items(write_csv(tmp_path / "c.csv", [charge()], neither))


def test_without_tags_nothing_has_a_tenant_and_a_note_says_so(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()], [name for name in HEADER if name != "Tags"])
    batch, note = items(path)
    assert [cost.tenant for cost in rows(Cost, batch.cost)] == [None]
    assert isinstance(note, Note)
    assert "no column Tags" in note.text


@pytest.mark.parametrize("dimensions", [(), ("feature",)])
@pytest.mark.parametrize("fold", [False, True])
def test_a_bill_that_is_shared_as_a_whole_is_said_to_be_so_and_nothing_is_missed(
    tmp_path: Path, dimensions: tuple[str, ...], fold: bool
) -> None:
    tags = ['{"team":"a","feature":"chat"}', '{"tenant":"acme","Tenant":"beta"}']
    path = write_csv(tmp_path / "bill.csv", [charge(Tags=one) for one in tags])
    context = Context(dimensions=dimensions, fold=fold)
    [batch] = items(path, context=context, tenant="none")
    found = rows(Cost, batch.cost)
    assert {cost.tenant for cost in found} == {None}
    assert total(found) == 2
    assert {cost.dimensions.get("feature") for cost in found} == ({None, "chat"} if dimensions else {None})


def test_a_bill_without_tags_that_is_shared_as_a_whole_needs_no_note(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()], [name for name in HEADER if name != "Tags"])
    [batch] = items(path, tenant="none")
    assert isinstance(batch, Batch)


def test_who_tagged_nothing_for_its_tenants_hears_how_to_say_that_all_is_shared(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(Tags='{"team":"a"}', x_owner="")], [*HEADER, "x_owner"])
    for setting in ({}, {"tenant": "x_owner"}):
        [problem] = problems(path, **setting)
        assert problem.reason == "untagged"
        assert "tenant: none" in problem.hint


def test_a_column_can_name_the_tenant(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(), charge(SubAccountId="NULL")])
    assert [(cost.tenant, cost.amount) for cost in costs(path, tenant="subaccountid")] == [
        (None, Decimal(1)),
        ("acc-1", Decimal(1)),
    ]


def test_a_tenant_column_that_is_always_empty_is_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(SubAccountId="NULL")])
    assert [(one.reason, "SubAccountId" in one.text) for one in problems(path, tenant="SubAccountId")] == [
        ("untagged", True)
    ]


@pytest.mark.parametrize(
    ("start", "day"),
    [
        ("2026-10-05 23:59:59", 5),
        ("2026-10-05T23:00:00Z", 5),
        ("2026-10-05T23:00:00.123Z", 5),
        ("2026-10-05 00:00:00 UTC", 5),
        ("2026-10-05T00:00Z", 5),
        ("2026-10-05", 5),
        ("2026-10-06T01:00:00+02:00", 5),
        ("2026-10-06T00:30:00+0100", 5),
        ("2026-10-04T22:00:00-05:00", 5),
        ("2026-10-05 23:00:00+00", 5),
    ],
)
def test_a_charge_counts_on_the_utc_day_it_starts(tmp_path: Path, start: str, day: int) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(ChargePeriodStart=start, ChargePeriodEnd="NULL")])
    assert one_cost(path).day == date(2026, 10, day)


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_NS", "DATE", "VARCHAR"])
def test_parquet_times_of_any_type_are_utc_whatever_the_session(tmp_path: Path, kind: str) -> None:
    times = {name: f"{name}::{kind}" for name in HEADER if "Period" in name}
    if kind == "TIMESTAMPTZ":
        times = {name: f"({name} || '+00')::TIMESTAMPTZ" for name in times}
    query = bills(write_parquet(tmp_path / "bill.parquet", [charge()], **times))["2026-10"].cost
    assert isinstance(query, Query)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        (found,) = connection.execute(query.sql, list(query.params)).fetchall()
    assert found[0] == date(2026, 10, 5)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1E-7", "0.0000001"),
        ("-1.5e-12", "-0.0000000000015"),
        ("12345678901234.123456789012", "12345678901234.123456789012"),
        ("0.00000000000000000049", "0"),
        (".5", "0.5"),
        ("-0", "0"),
        ("1.25E+3", "1250"),
    ],
)
def test_a_cost_is_read_exactly_with_or_without_an_exponent(tmp_path: Path, text: str, amount: str) -> None:
    expected = Decimal(amount).quantize(Decimal("1e-12"))
    assert one_cost(write_csv(tmp_path / "a.csv", [charge(EffectiveCost=text)])).amount == expected
    path = write_parquet(tmp_path / "b.parquet", [charge(EffectiveCost=text)], EffectiveCost="EffectiveCost")
    assert one_cost(path).amount == expected


@pytest.mark.parametrize("amount", ["0.1", "20.3", "2047.999999999999", "2048.1", "1234567.89", "-0.000000000001"])
def test_a_double_is_the_decimal_that_it_prints_as(tmp_path: Path, amount: str) -> None:
    assert one_cost(write_parquet(tmp_path / "a.parquet", [charge(EffectiveCost=amount)])).amount == Decimal(amount)


def test_more_than_twelve_decimals_are_added_up_before_they_are_rounded(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(EffectiveCost="0.0000000000004")] * 5)
    assert one_cost(path).amount == Decimal("0.000000000002")


def test_the_string_null_is_null_everywhere_and_a_missing_cost_is_noted(tmp_path: Path) -> None:
    empty = {"ServiceName": "NULL", "Tags": "NULL", "ResourceId": "NULL", "EffectiveCost": "NULL", "SubAccountId": ""}
    nothing = charge(BilledCost="0", **empty)
    for path in (
        write_csv(tmp_path / "a.csv", [nothing, charge()]),
        write_parquet(
            tmp_path / "b.parquet",
            [nothing, charge()],
            Tags="coalesce(Tags, 'NULL')",
            ServiceName="coalesce(ServiceName, 'NULL')",
        ),
    ):
        batch, note = items(path)
        found = {cost.amount: cost for cost in rows(Cost, batch.cost)}
        assert set(found) == {0, 1}
        assert (found[Decimal(0)].tenant, found[Decimal(0)].service, found[Decimal(0)].scope) == (
            None,
            "Compute",
            None,
        )
        assert "1 rows have no EffectiveCost" in note.text


def test_odd_texts_do_no_harm(tmp_path: Path) -> None:
    odd = 'a "quoted", $5\r\nsecond line\n' + "x" * 10_000
    path = write_csv(
        tmp_path / "bill.csv",
        [charge(ServiceName=odd, Tags=json.dumps({"tenant": 'o\'neil, "inc"\n', "other": "y" * 10_000})), charge()],
    )
    assert {(cost.service, cost.tenant) for cost in costs(path)} == {
        (odd, 'o\'neil, "inc"\n'),
        ("Amazon EC2", "acme"),
    }


def test_a_doubled_column_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()])
    head, _, body = path.read_text().partition("\n")
    path.write_text("\ufeff" + head.rstrip("\r") + ",Tags\n" + body.rstrip("\r\n") + ",zzz\n", encoding="utf-8")
    assert one_cost(path).tenant == "acme"


def test_every_kind_of_charge_counts(tmp_path: Path) -> None:
    header = [*HEADER, "ChargeCategory", "ChargeClass"]
    kinds = [("Usage", "NULL", "10"), ("Credit", "NULL", "-3"), ("Tax", "NULL", "2"), ("Usage", "Correction", "-1")]
    charges = [
        charge(ChargeCategory=kind, ChargeClass=of, EffectiveCost=cost, ServiceName=f"{kind}{of}")
        for kind, of, cost in [*kinds, ("Purchase", "NULL", "0")]
    ]
    found = costs(write_csv(tmp_path / "bill.csv", charges, header))
    assert [cost.amount for cost in found] == [-3, 0, 2, -1, 10]


def test_currencies_are_never_mixed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(), charge(BillingCurrency="EUR", EffectiveCost="2")])
    assert {(cost.currency, cost.amount) for cost in costs(path)} == {("USD", Decimal(1)), ("EUR", Decimal(2))}


def test_service_name_wins_over_category_and_settings_over_the_table(tmp_path: Path) -> None:
    charges = [charge(), charge(ServiceName="Zed", ServiceCategory="Web"), charge(ServiceName="", ServiceCategory="X")]
    write_csv(tmp_path / "bill.csv", charges)
    settings = "sources: {bill: {type: focus, path: bill.csv%s}}\ncomponents: {Amazon EC2: ai, X: gpu}\n"
    for own, component in (("", "ai"), (", components: {Amazon EC2: gpu}", "gpu")):
        (tmp_path / "unitcost.yaml").write_text(settings % own)
        config, directory = load(tmp_path / "unitcost.yaml")
        model = Setup.of(config, directory).model
        ledger = Ledger(None)
        for batch in bills(tmp_path / "bill.csv").values():
            ledger.put("bill", "", batch, NOW, {"USD": Decimal(1)})
        derive(ledger, model, NOW, timedelta(days=90))
        found = dict(ledger.rows("SELECT service, component FROM line"))
        assert found == {"Amazon EC2": component, "Zed": "other", "X": "gpu"}


def test_an_unknown_component_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()])
    with pytest.raises(ValidationError, match="computer is no component; use one of compute, gpu"):
        focus(path, components={"Amazon EC2": "computer"})


# ------------------------------------------------------------------------------------------ tags


@pytest.mark.parametrize(
    ("tags", "tenant"),
    [
        ('{"tenant": "acme"}', "acme"),
        ('{"tenant": 42}', "42"),
        ('{"tenant": true}', "true"),
        ('{"tenant": null}', None),
        ('{"tenant": ""}', None),
        ('{"Tenant": "acme", "nested": {"tenant": "x"}}', None),
        ("{}", None),
        ("", None),
    ],
)
def test_a_tag_value_becomes_text(tmp_path: Path, tags: str, tenant: str | None) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(Tags=tags), charge(ServiceName="z")])
    assert {cost.tenant for cost in costs(path)} == {tenant, "acme"}


@pytest.mark.parametrize("key", ["a.b", "user:tenant", "it's", 'say "hi"', "back\\slash", "$", "[0]", "a*"])
def test_a_tag_key_may_hold_any_character(tmp_path: Path, key: str) -> None:
    context = Context(tenant_keys=(key,), dimensions=("feature",))
    charges = [charge(Tags=json.dumps({key: "acme", "feature": "chat"}))]
    for path in (
        write_csv(tmp_path / "a.csv", charges),
        write_parquet(tmp_path / "b.parquet", charges, Tags=AWS_TAGS),
        write_parquet(tmp_path / "c.parquet", charges, Tags=GCP_TAGS),
    ):
        found = one_cost(path, context=context)
        assert (found.tenant, found.dimensions) == ("acme", {"feature": "chat"})


def test_a_struct_of_tags_is_read_by_its_field_names(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [charge()], Tags="{'tenant': 'beta', 'seats': 3}")
    found = one_cost(path, context=Context(dimensions=("seats",)))
    assert (found.tenant, found.dimensions) == ("beta", {"seats": "3"})


def test_dimensions_hold_the_tags_that_a_row_has(tmp_path: Path) -> None:
    context = Context(dimensions=("feature", "cost-center"))
    tags = [{"tenant": "a", "feature": "chat", "cost-center": 7}, {"tenant": "b", "feature": ""}, {"tenant": "c"}]
    path = write_csv(tmp_path / "bill.csv", [charge(Tags=json.dumps(one)) for one in tags])
    assert [cost.dimensions for cost in costs(path, context=context)] == [
        {"feature": "chat", "cost-center": "7"},
        {},
        {},
    ]
    assert [cost.dimensions for cost in costs(path)] == [{}, {}, {}]


def test_tags_that_are_no_json_lose_no_money_and_are_told_with_file_and_count(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(Tags="{'tenant': 'acme'}")] * 2 + [charge(EffectiveCost="5")])
    (problem,) = problems(path)
    assert (problem.reason, problem.where, problem.text[:6]) == ("tags", str(path), "2 rows")
    assert [(cost.tenant, cost.amount) for cost in costs(path)] == [(None, Decimal(2)), ("acme", Decimal(5))]


def test_rows_without_any_tags_are_no_reason_to_complain(tmp_path: Path) -> None:
    assert problems(write_csv(tmp_path / "bill.csv", [charge(Tags="NULL"), charge(Tags="{}")])) == []


# ------------------------------------------------------------------------------------------ charges of several days


def spread(tmp_path: Path, **given: object) -> dict[date, Decimal]:
    return {cost.day: cost.amount for cost in by_day(write_csv(tmp_path / "bill.csv", [charge(**given)]))}


def test_a_charge_of_several_days_is_one_cost_that_says_its_last(tmp_path: Path) -> None:
    fee = charge(ChargePeriodStart="2026-09-28 00:00:00", ChargePeriodEnd="2026-10-04 00:00:00")
    path = write_csv(tmp_path / "bill.csv", [charge(), fee, fee | {"EffectiveCost": "-5"}])
    assert [(cost.day.day, cost.last_day, cost.amount) for cost in costs(path)] == [
        (1, date(2026, 10, 3), Decimal(-4)),
        (5, None, Decimal(1)),
    ]
    assert [(cost.day.day, cost.last_day) for cost in by_day(path)] == [(1, None), (2, None), (3, None), (5, None)]


def test_a_monthly_fee_is_spread_over_its_days_and_sums_to_itself(tmp_path: Path) -> None:
    fee = {"ChargePeriodStart": "2026-10-01 00:00:00", "ChargePeriodEnd": "2026-11-01 00:00:00"}
    found = spread(tmp_path, EffectiveCost="100", **fee)
    assert list(found) == [date(2026, 10, day) for day in range(1, 32)]
    assert sum(found.values()) == 100
    assert found[date(2026, 10, 1)] - found[date(2026, 10, 31)] == Decimal("1e-12")
    refund = spread(tmp_path, EffectiveCost="-0.00000000001", **fee)
    assert sum(refund.values()) == Decimal("-0.00000000001")
    assert refund[date(2026, 10, 10)] == Decimal("-1e-12")
    assert refund[date(2026, 10, 11)] == 0


@pytest.mark.parametrize(
    ("start", "end", "first", "days"),
    [
        ("2026-10-05 00:00:00", "2026-10-06 00:00:00", date(2026, 10, 5), 1),
        ("2026-10-05 23:30:00", "2026-10-06 00:30:00", date(2026, 10, 5), 1),
        ("2026-10-05 12:00:00", "2026-10-06 13:00:00", date(2026, 10, 6), 1),
        ("2026-10-05 12:00:00", "2026-10-07 12:00:00", date(2026, 10, 6), 2),
        ("2026-09-20 00:00:00", "2026-10-04 00:00:00", date(2026, 10, 1), 3),
        ("2026-10-30 00:00:00", "2027-10-30 00:00:00", date(2026, 10, 30), 2),
        ("2026-09-01 00:00:00", "2026-09-15 00:00:00", date(2026, 10, 1), 1),
        ("2026-12-01 00:00:00", "2027-01-01 00:00:00", date(2026, 10, 1), 1),
        ("2026-10-05 00:00:00", "2026-10-01 00:00:00", date(2026, 10, 5), 1),
    ],
)
def test_days_outside_the_billing_period_get_nothing(
    tmp_path: Path, start: str, end: str, first: date, days: int
) -> None:
    found = spread(tmp_path, ChargePeriodStart=start, ChargePeriodEnd=end)
    assert (min(found), len(found), sum(found.values())) == (first, days, 1)


def test_a_spread_charge_joins_the_row_of_its_day(tmp_path: Path) -> None:
    long = charge(ChargePeriodStart="2026-10-05 00:00:00", ChargePeriodEnd="2026-10-07 00:00:00", EffectiveCost="3")
    path = write_csv(tmp_path / "bill.csv", [charge(), long])
    assert [(cost.day.day, cost.amount) for cost in by_day(path)] == [(5, Decimal("2.5")), (6, Decimal("1.5"))]


# ------------------------------------------------------------------------------------------ Kubernetes


CLUSTERS: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"ResourceId": "i-0abc"}, "prod"),
    ({"ResourceId": "arn:aws:ec2:us-east-1:1:instance/I-0ABC"}, "prod"),
    ({"ResourceId": "arn:aws:ec2:us-east-1:1:instance/i-0abcd"}, None),
    ({"ResourceId": "xi-0abc"}, None),
    ({"ResourceId": "/subscriptions/S/vmss/blue/virtualMachines/0"}, "blue"),
    ({"ResourceId": "/subscriptions/s/VMSS/green/virtualMachines/0"}, "green"),
    ({"ResourceId": "/subscriptions/s/vmss/red/virtualMachines/0"}, None),
    ({"Tags": '{"aws:eks:cluster-name": "a"}'}, "a"),
    ({"Tags": '{"eks:cluster-name": "b"}'}, "b"),
    ({"Tags": '{"goog-k8s-cluster-name": "c"}'}, "c"),
    ({"Tags": '{"aks-managed-cluster-name": "d"}'}, "d"),
    ({"Tags": '{"kubernetes.io/cluster/e": "owned"}'}, "e"),
    ({"Tags": '{"kubernetes.io/cluster/e": "owned", "eks:cluster-name": "f"}'}, "f"),
    ({"Tags": '{"kubernetes.io/created-for/pvc/name": "x"}'}, ""),
    ({"Tags": '{"kubernetes.io\\/cluster\\/e": "owned"}'}, "e"),
    ({"Tags": '{"my-cluster-name": "x", "note": "kubernetes.io/cluster/e"}'}, None),
    ({"Tags": '{"eks:cluster-name": "b"}', "ResourceId": "z/i-0abc"}, "prod"),
    ({"ServiceName": "AmazonEKS", "ResourceId": "arn:aws:eks:eu-west-1:1:cluster/live"}, "live"),
    ({"ServiceName": "Amazon Elastic Kubernetes Service"}, ""),
    ({"ServiceName": "Amazon Elastic Container Service for Kubernetes", "ResourceId": "x"}, ""),
]
NODES = {
    "i-0abc": "prod",
    "/subscriptions/s/vmss/blue/virtualmachines/0": "blue",
    "/subscriptions/s/vmss/green/virtualmachines/0": "green",
}


@pytest.mark.parametrize("tags", ["CSV", "Tags", AWS_TAGS, GCP_TAGS])
def test_kubernetes_rows_carry_their_cluster(tmp_path: Path, tags: str) -> None:
    charges = [charge(SubAccountId=f"{at:02}", **given_) for at, (given_, _) in enumerate(CLUSTERS)]
    path = write_csv(tmp_path / "a.csv", charges)
    if tags != "CSV":
        path = write_parquet(tmp_path / "a.parquet", charges, Tags=tags)
    ledger = Ledger(None)
    [batch] = bills(path, tenant="SubAccountId").values()
    ledger.put("bill", "", batch, NOW, {"USD": Decimal(1)})
    model = Model([("bill", "bill", True)], [], [("USD", Decimal(1))], [], [], [], [])
    derive(ledger, model, NOW, timedelta(days=90))
    nodes = [Resource(date(2026, 11, 5), one, f"k8s/{name}") for one, name in NODES.items()]
    ledger.put("cluster", "", Batch("2026-11-05", [date(2026, 11, 5)], resources=nodes), NOW, {})
    derive(ledger, model, NOW, timedelta(days=90))
    by_case = {
        tenant: (scope, amount) for tenant, scope, amount in ledger.rows("SELECT tenant, scope, amount FROM line")
    }
    assert by_case == {f"{at:02}": (cluster_scope(name), Decimal(1)) for at, (_, name) in enumerate(CLUSTERS)}


def test_clusters_are_found_without_any_node_and_without_resource_ids(tmp_path: Path) -> None:
    header = [name for name in HEADER if name != "ResourceId"]
    tagged = charge(Tags='{"tenant": "a", "eks:cluster-name": "b"}')
    path = write_csv(tmp_path / "bill.csv", [tagged, charge(ServiceName="AmazonEKS"), charge(ServiceName="S3")], header)
    assert {cost.service: cost.scope for cost in costs(path)} == {
        "Amazon EC2": "k8s/b",
        "AmazonEKS": "k8s/",
        "S3": None,
    }


# ------------------------------------------------------------------------------------------ what cannot be read


def _bytes(change: str) -> bytes:
    with TemporaryDirectory() as folder:
        return write_csv(Path(folder) / "x.csv", [charge(ServiceName=change)]).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "reason", "text"),
    [
        ("x.csv", _bytes("S\u00e9").decode().encode("latin-1"), "encoding", "UTF-8"),
        ("x.csv", "BilledCost,EffectiveCost".encode("utf-16-le"), "encoding", "UTF-8"),
        ("x.csv", b"", "empty", "is empty"),
        ("x.csv", ",".join(HEADER).encode(), "empty", "holds no charge"),
        ("x.csv", _bytes("x")[:-40], "format", "line 2: has"),
        ("x.csv", _bytes("x")[:-12], "format", "a quote that is never closed"),
        ("x.csv.gz", gzip.compress(_bytes("x" * 900))[:-12], "truncated", "not a complete gzip file"),
        ("x.csv.gz", _bytes("x"), "truncated", "gzip"),
        ("x.parquet", _bytes("x"), "format", "not a complete Parquet file"),
        ("x.parquet", b"", "format", "not a complete Parquet file"),
        ("x.xlsx", b"", "format", "neither .csv, .csv.gz nor .parquet"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, reason: str, text: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        items(path)
    assert caught.value.reason == reason
    assert text in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no \.csv, \.csv\.gz or \.parquet file"):
        items(tmp_path)


@pytest.mark.parametrize(
    ("given_", "reason", "row", "text"),
    [
        ({"EffectiveCost": "12,50"}, "number", 4, "EffectiveCost holds '12,50'"),
        ({"EffectiveCost": "nan"}, "number", 4, "'nan'"),
        ({"EffectiveCost": "1e30"}, "value", 4, "'1e30'"),
        ({"ChargePeriodStart": "10/05/2026"}, "time", 4, "ChargePeriodStart holds '10/05/2026'"),
        ({"ChargePeriodStart": "2026-10-05 00:00:00 Europe/Paris"}, "time", 4, "Europe/Paris"),
        ({"ChargePeriodStart": "NULL"}, "time", 4, "an empty value"),
        ({"ChargePeriodEnd": "soon"}, "time", 4, "ChargePeriodEnd holds 'soon'"),
        ({"BillingCurrency": ""}, "currency", 4, "BillingCurrency holds an empty value"),
    ],
)
def test_a_value_that_cannot_be_counted_is_named_and_spoils_its_period_only(
    tmp_path: Path, given_: dict[str, Any], reason: str, row: int, text: str
) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(), november(), charge(**given_)])
    batch, problem = items(path)
    assert batch.key == "2026-11"
    assert (problem.reason, problem.where) == (reason, f"{path}, row {row}")
    assert text in problem.text


def test_a_parquet_cost_that_is_no_number_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "bill.parquet", [charge(EffectiveCost="nan")])
    (problem,) = problems(path)
    assert (problem.where, problem.text[:26]) == (f"{path}, row 1", "EffectiveCost holds 'nan',")


def test_a_bad_billing_period_fails_the_source(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge(), charge(BillingPeriodStart="October")])
    with pytest.raises(SourceError, match="row 3: BillingPeriodStart holds 'October'"):
        items(path)


def test_a_broken_file_in_a_partition_spoils_that_period_only_and_is_read_again_when_it_is_whole(
    tmp_path: Path,
) -> None:
    bad = tmp_path / "BILLING_PERIOD=2026-10" / "x-00002.parquet"
    write_csv(bad.with_name("x-00001.csv"), [charge()])
    write_csv(tmp_path / "BILLING_PERIOD=2026-11" / "x-00001.csv", [november()])
    bad.write_bytes(b"half")
    source = focus(tmp_path)
    batch, problem = source.batches(asked(NOW, FIRST))
    assert isinstance(batch, Batch)
    assert isinstance(problem, Problem)
    assert (batch.key, problem.where) == ("2026-11", str(bad))
    bad.unlink()
    assert [one.key for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Batch)] == ["2026-11", "2026-10"]


def test_a_file_that_could_not_be_read_is_tried_again_though_it_looks_unchanged(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()])
    whole, state = path.read_bytes(), path.stat()
    source = focus(path)
    for content in (whole.replace(b"EC2", b"EC\xff"), whole):
        path.write_bytes(content)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        if content is whole:
            assert [one.key for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Batch)] == ["2026-10"]
        else:
            with pytest.raises(SourceError, match="UTF-8"):
                list(source.batches(asked(NOW, FIRST)))


def test_a_file_that_breaks_after_it_was_inspected_is_named_by_the_query(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [charge()])
    source = Focus("bill", FocusSettings(type="focus", path=path), CONTEXT)
    (first, again) = ([one for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Batch)] for _ in range(2))
    query = again[0].cost
    assert isinstance(query, Query)
    assert query.failed is not None
    write_csv(path, [charge(EffectiveCost="many")])
    assert total(rows(Cost, first[0].cost)) == 1  # of the sums that the file was inspected by
    with pytest.raises(duckdb.Error) as caught:
        rows(Cost, query)
    assert str(query.failed(caught.value)).startswith(f"{path}: holds 'many', which cannot be counted")


def test_find_names_files_by_their_path_inside_the_folder(tmp_path: Path) -> None:
    write_csv(tmp_path / "BILLING_PERIOD=2026-10" / "x.csv", [charge()])
    (found,) = find(tmp_path).files
    assert isinstance(found, BillFile)
    assert (found.name, found.partition, found.kind) == ("BILLING_PERIOD=2026-10/x.csv", "2026-10", "csv")


# ------------------------------------------------------------------------------------------ conservation

AMOUNTS = st.decimals(min_value=-8000, max_value=8000, places=12)
HOURS = st.integers(-100, 900)
PERIOD = utc(2026, 10, 1)
CHARGES = st.builds(
    lambda amount, hour, hours, service, tags: {
        "EffectiveCost": f"{amount:f}",
        "ChargePeriodStart": f"{PERIOD + timedelta(hours=hour):%Y-%m-%d %H:%M:%S}",
        "ChargePeriodEnd": f"{PERIOD + timedelta(hours=hour + hours):%Y-%m-%d %H:%M:%S}",
        "ServiceName": service,
        "Tags": "NULL" if tags is None else json.dumps(tags),
    },
    AMOUNTS,
    HOURS,
    st.sampled_from([1, 1, 24, 25, 49, 744]),
    st.sampled_from(["EC2", "S3", "NULL", "AmazonEKS"]),
    st.none() | st.dictionaries(st.sampled_from(["tenant", "feature", "eks:cluster-name"]), st.text("ab", max_size=2)),
)
EXACT_COSTS = {"EffectiveCost": "EffectiveCost::DECIMAL(30, 12)"}


@given(st.lists(CHARGES, min_size=1, max_size=8))
@settings(deadline=None, max_examples=10)
def test_no_money_is_lost_or_made_whatever_the_format_of_the_file_and_of_its_tags(given_: list[dict[str, Any]]) -> None:
    charges = [charge(**one) for one in given_]
    context = Context(dimensions=("feature",))
    expected = sum((Decimal(one["EffectiveCost"]) for one in given_), Decimal(0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        found = [
            by_day(path, context=context)
            for path in (
                write_csv(folder / "a.csv", charges),
                write_parquet(folder / "b.parquet", charges, **EXACT_COSTS),
                write_parquet(folder / "c.parquet", charges, **EXACT_COSTS, Tags=AWS_TAGS),
            )
        ]
    for one in found:
        assert total(one) == expected
        assert sorted(one, key=repr) == sorted(found[0], key=repr)
        assert len({repr((*key(cost),)) for cost in one}) == len(one)


def key(cost: Cost) -> tuple[Any, ...]:
    """All that makes a row one row; no two rows of a batch share it."""
    named = (cost.day, cost.tenant, cost.service, cost.category, cost.currency, cost.scope, cost.resource)
    return (*named, sorted(cost.dimensions.items()))
