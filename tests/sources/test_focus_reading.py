"""A FOCUS file is summed up once: what its own statistics spare is not lost, and what is kept meanwhile goes away."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.fakes.stored import asked, rows, utc
from tests.sources.test_focus import by_day
from unitcost.cli.main import main
from unitcost.facts import Batch, Cost, Problem
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

NOW, FIRST = utc(2026, 11, 20), date(2026, 1, 1)
CONTEXT = Context(tenant_keys=("tenant",))
GROUP = 2048
"""So few rows are a row group of DuckDB's at least, with statistics of its own."""


def parquet(path: Path, rows: str, columns: str = "", cost: str = "DECIMAL(20, 10)") -> Path:
    """Write charges of 2026-10-05; rows: a SELECT of n and whatever else is not as usual."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            COPY (SELECT 'USD' AS BillingCurrency, TIMESTAMP '2026-10-01' AS BillingPeriodStart,
                TIMESTAMP '2026-11-01' AS BillingPeriodEnd, TIMESTAMP '2026-10-05' AS ChargePeriodStart,
                TIMESTAMP '2026-10-06' AS ChargePeriodEnd, 'Usage' AS ChargeCategory, NULL::VARCHAR AS ChargeClass,
                'EC2' AS ServiceName, 'Compute' AS ServiceCategory, 1::{cost} AS EffectiveCost,
                '{{"tenant": "acme"}}' AS Tags
                FROM range(1)) TO '{path}.usual.parquet';
            COPY (SELECT u.* REPLACE ({columns or "BillingCurrency AS BillingCurrency"})
                FROM ({rows}) r, read_parquet('{path}.usual.parquet') u ORDER BY n)
            TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {GROUP})
            """
        )
    Path(f"{path}.usual.parquet").unlink()
    return path


def costs(path: Path, context: Context = CONTEXT) -> list[Cost]:
    source = Focus("bill", FocusSettings(type="focus", path=path), context)
    return [
        cost for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Batch) for cost in rows(Cost, one.cost)
    ]


def by(path: Path, name: str) -> dict[Any, Decimal]:
    found: dict[Any, Decimal] = {}
    for cost in costs(path):
        key = getattr(cost, name)
        found[key] = found.get(key, Decimal(0)) + cost.amount
    return found


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("currency", f"CASE WHEN n < {GROUP} THEN 'USD' ELSE 'EUR' END AS BillingCurrency", ("USD", "EUR")),
        ("charge", f"CASE WHEN n < {GROUP} THEN 'Usage' ELSE 'Tax' END AS ChargeCategory", ("usage", "tax")),
        ("charge", f"CASE WHEN n >= {GROUP} THEN 'Correction' END AS ChargeClass", ("usage", "correction")),
        ("service", "CASE WHEN n % 2 = 0 THEN 'EC2' ELSE 'S3' END AS ServiceName", ("EC2", "S3")),
        ("service", "CASE WHEN n % 2 = 0 THEN 'Compute' END AS ServiceName", ("Compute",)),
    ],
)
def test_a_column_of_one_value_in_each_part_of_a_file_is_not_taken_for_constant(
    name: str, column: str, expected: Sequence[str], tmp_path: Path
) -> None:
    path = parquet(tmp_path / "bill.parquet", f"SELECT n FROM range({2 * GROUP}) r(n)", column)
    assert by(path, name) == {value: 2 * GROUP / Decimal(len(expected)) for value in expected}


def test_costs_of_any_size_are_added_up_to_the_last_digit(tmp_path: Path) -> None:
    largest = "CASE WHEN n = 7 THEN 9999999999.9999999999 WHEN n = 8 THEN -9999999999.0 ELSE 0.0000000001 END"
    path = parquet(tmp_path / "bill.parquet", "SELECT n FROM range(100) r(n)", f"{largest} AS EffectiveCost")
    assert sum(cost.amount for cost in costs(path)) == Decimal("0.9999999999") + 98 * Decimal("0.0000000001")
    small = "CASE WHEN n = 7 THEN 999999.9999999999 ELSE 0.0000000001 END AS EffectiveCost"
    path = parquet(tmp_path / "small.parquet", "SELECT n FROM range(100) r(n)", small)
    assert sum(cost.amount for cost in costs(path)) == Decimal("999999.9999999999") + 99 * Decimal("0.0000000001")


def test_a_time_that_statistics_do_not_vouch_for_is_looked_at(tmp_path: Path) -> None:
    odd = "CASE WHEN n = 3 THEN 'infinity'::TIMESTAMP ELSE TIMESTAMP '2026-10-06' END AS ChargePeriodEnd"
    path = parquet(tmp_path / "bill.parquet", "SELECT n FROM range(5) r(n)", odd)
    source = Focus("bill", FocusSettings(type="focus", path=path), CONTEXT)
    (problem,) = [one for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Problem)]
    assert (problem.reason, problem.where) == ("time", f"{path}, row 4")


def kept(folder: Path) -> list[str]:
    return [name.name for name in folder.rglob("*.parquet")]


def test_sums_are_kept_until_they_are_stored_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = parquet(tmp_path / "bill.parquet", "SELECT n FROM range(5) r(n)")
    source = Focus("bill", FocusSettings(type="focus", path=path), CONTEXT)
    found = source.batches(asked(NOW, FIRST))
    batch = next(one for one in found if isinstance(one, Batch))
    assert len(kept(tmp_path / "temporary")) == 1
    list(found)
    assert [cost.amount for cost in rows(Cost, batch.cost)] == [5]
    del batch, found
    assert kept(tmp_path / "temporary") == []


def test_where_no_file_can_be_made_a_bill_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise FileNotFoundError("No usable temporary directory found")

    path = parquet(tmp_path / "bill.parquet", "SELECT n FROM range(5) r(n)")
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert [cost.amount for cost in costs(path)] == [5]


def test_where_there_is_no_room_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "BILLING_PERIOD=2026-10.parquet", "SELECT n FROM range(5) r(n)")
    gone = tmp_path / "gone" / "unitcost-sums.parquet"
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: (os.open(path, os.O_RDONLY), str(gone)))
    source = Focus("bill", FocusSettings(type="focus", path=path), CONTEXT)
    with pytest.raises(Exception, match="needs room for its sums in"):
        list(source.batches(asked(NOW, FIRST)))


def test_a_file_that_stays_is_summed_up_again_for_a_new_one_beside_it(tmp_path: Path) -> None:
    parquet(tmp_path / "bill-1.parquet", "SELECT n FROM range(5) r(n)")
    source = Focus("bill", FocusSettings(type="focus", path=tmp_path), CONTEXT)
    list(source.batches(asked(NOW, FIRST)))
    day = "TIMESTAMP '2026-10-07' AS ChargePeriodStart, TIMESTAMP '2026-10-08' AS ChargePeriodEnd"
    parquet(tmp_path / "bill-2.parquet", "SELECT n FROM range(3) r(n)", day)
    (batch,) = [one for one in source.batches(asked(NOW, FIRST)) if isinstance(one, Batch)]
    assert {(cost.day.day, cost.amount) for cost in rows(Cost, batch.cost)} == {(5, Decimal(5)), (7, Decimal(3))}


def test_list_costs_come_along_where_every_charge_has_one(tmp_path: Path) -> None:
    listed = "u.* REPLACE (CASE WHEN n < 2 THEN 'EC2' ELSE 'S3' END AS ServiceName), "
    path = parquet(tmp_path / "plain.parquet", "SELECT n FROM range(5) r(n)")
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {listed} CASE WHEN n <> 3 THEN 1.5 END AS ListCost"
            f" FROM (SELECT *, row_number() OVER () - 1 AS n FROM '{path}') u) TO '{tmp_path / 'bill.parquet'}'"
        )
    found = {cost.service: (cost.amount, cost.list_amount) for cost in costs(tmp_path / "bill.parquet")}
    assert found == {"EC2": (Decimal(2), Decimal(3)), "S3": (Decimal(3), None)}
    assert {cost.list_amount for cost in costs(path)} == {None}


@pytest.mark.parametrize(
    "kind", ["DECIMAL(20, 2)", "DECIMAL(9, 0)", "DECIMAL(38, 12)", "DECIMAL(38, 20)", "DOUBLE", "INT"]
)
def test_a_long_charge_is_spread_to_the_last_digit_whatever_its_type(kind: str, tmp_path: Path) -> None:
    month = "TIMESTAMP '2026-10-01' AS ChargePeriodStart, TIMESTAMP '2026-11-01' AS ChargePeriodEnd"
    plain = parquet(tmp_path / "plain.parquet", "SELECT n FROM range(1) r(n)", month)
    with duckdb.connect() as connection:
        sql = f"SELECT * REPLACE (100::{kind} AS EffectiveCost) FROM '{plain}'"
        connection.execute(f"COPY ({sql}) TO '{tmp_path / 'bill.parquet'}'")
    found = [cost.amount for cost in by_day(tmp_path / "bill.parquet")]
    assert (len(found), sum(found)) == (31, 100)
    assert max(found) - min(found) <= Decimal("1e-12")


def test_the_list_cost_of_a_long_charge_is_spread_as_its_cost_is(tmp_path: Path) -> None:
    month = "TIMESTAMP '2026-10-01' AS ChargePeriodStart, TIMESTAMP '2026-11-01' AS ChargePeriodEnd"
    path = parquet(tmp_path / "plain.parquet", "SELECT n FROM range(1) r(n)", month)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT *, 100::DECIMAL(20, 2) AS ListCost FROM '{path}') TO '{tmp_path / 'b.parquet'}'"
        )
    found = by_day(tmp_path / "b.parquet")
    assert len(found) == 31
    assert sum(cost.list_amount or 0 for cost in found) == 100
    assert {abs((cost.list_amount or 0) - Decimal(100) / 31) < Decimal("1e-12") for cost in found} == {True}


def test_a_bill_alone_tells_what_each_cluster_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tags = """'{"tenant": "acme", "eks:cluster-name": "' || ['prod', 'test'][1 + n % 2] || '"}' AS Tags"""
    parquet(tmp_path / "bill.parquet", "SELECT n FROM range(5) r(n)", tags)
    config = tmp_path / "unitcost.yaml"
    config.write_text("sources: {bill: {type: focus, path: bill.parquet}}\n")
    assert main(["serve", "--once", "--config", str(config), "--as-of", "2026-11-02T12:00:00Z"]) == 0
    served = capsys.readouterr().out
    for cluster in ("prod", "test"):
        assert f'dimension_cost_dollars{{dimension="cluster",value="{cluster}",' in served
