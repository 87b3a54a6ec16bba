"""What `check` asks a bill besides: the dearest charges without a tenant, by the resource that is to be tagged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.stored import MemoryStored, asked
from tests.sources.test_focus import FIRST, HEADER, NOW, charge, focus, november, write_csv, write_parquet
from unitcost.facts import Batch, Resource

NOBODYS = {"Tags": None}


def told(path: Path, nodes: tuple[str, ...] = (), **given: Any) -> list[str]:
    """Return the lines, of a cluster with these nodes."""
    stored = MemoryStored(NOW)
    day = NOW.date().replace(day=5)
    stored.take([Batch("nodes", [day], resources=[Resource(day, node, "k8s/prod") for node in nodes])])
    source = focus(path, **given)
    list(source.batches(asked(NOW, FIRST, stored)))
    return [note.text for note in source.advice(stored)]


def untagged(cost: str, resource: str | None = None, **given: Any) -> dict[str, Any]:
    return november(**{"EffectiveCost": cost, "ResourceId": resource or "NULL", **NOBODYS, **given})


ROWS = [
    november(EffectiveCost="100"),
    untagged("7", "db-1", ServiceName="Amazon RDS"),
    untagged("5", "db-1", ServiceName="Amazon RDS"),
    untagged("-2", "db-1", ServiceName="Amazon RDS"),
    untagged("3", Tags='{"team": "x"}'),
    untagged("40", "arn:aws:ec2:us-east-1:1:instance/i-1"),
    untagged("50", "i-2", Tags='{"aws:eks:cluster-name": "prod"}'),
    untagged("60", ServiceName="OpenAI API", ServiceCategory="AI and Machine Learning"),
]
SCOPES = [{"scope": "openai/", "match": {"service": "OpenAI API"}}]
EXPECTED = [
    "2026-11: 13.00 USD have no tenant by the tag tenant, and no meter divides them. The dearest:",
    "  10.00 USD Amazon RDS, db-1",
    "  3.00 USD Amazon EC2, without a resource id",
]


@pytest.mark.parametrize("kind", ["csv", "parquet", "two files"])
def test_the_dearest_come_first_without_what_a_meter_divides(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "bill"
    if kind == "csv":
        write_csv(folder / "a.csv", ROWS)
    elif kind == "parquet":
        write_parquet(folder / "a.parquet", [{k: "NULL" if v is None else v for k, v in row.items()} for row in ROWS])
    else:
        write_csv(folder / "a-1.csv", ROWS[:3])
        write_csv(folder / "a-2.csv", ROWS[3:])
    assert told(folder, ("i-1",), scopes=SCOPES) == EXPECTED


def test_only_the_newest_period_is_told_and_only_the_dearest_of_it(tmp_path: Path) -> None:
    rows = [charge(EffectiveCost="1000", **NOBODYS), *(untagged(str(n), f"vol-{n}") for n in range(1, 15)), november()]
    found = told(write_csv(tmp_path / "bill.csv", rows))
    assert found[0].startswith("2026-11: 105.00 USD have no tenant")
    assert found[1:] == [f"  {n}.00 USD Amazon EC2, vol-{n}" for n in range(14, 4, -1)]


def test_each_currency_is_for_itself(tmp_path: Path) -> None:
    rows = [untagged("1", "a"), untagged("2", "b", BillingCurrency="EUR"), november()]
    assert [line for line in told(write_csv(tmp_path / "bill.csv", rows)) if line.startswith("  ")] == [
        "  2.00 EUR Amazon EC2, b",
        "  1.00 USD Amazon EC2, a",
    ]


def test_a_column_may_name_the_tenant_and_a_bill_of_nobody_says_nothing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [untagged("4", "a", SubAccountId="NULL"), november()], HEADER)
    assert told(path, tenant="SubAccountId")[0].startswith(
        "2026-11: 4.00 USD have no tenant by the column SubAccountId"
    )
    assert told(path, tenant="none") == []


def test_before_a_bill_was_read_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert [*focus(write_csv(tmp_path / "bill.csv", ROWS)).advice(MemoryStored(NOW))] == []
