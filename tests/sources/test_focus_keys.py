"""Which tag names the tenant of a charge: one key or the first of several, and what is told of keys spelt otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.facts import Batch, Note
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

NOW = utc(2026, 11, 20, 12)
HEADER = "BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,BillingCurrency,EffectiveCost,ServiceName,Tags"


def bill(folder: Path, charges: Sequence[tuple[str, Mapping[str, object] | None]], shape: str = "json") -> Path:
    """Write one day's charges (cost, tags) as a CSV, or as Parquet with Tags as a MAP or as pairs."""
    path = folder / "bill.csv"
    lines = [HEADER]
    for cost, tags in charges:
        cell = "" if tags is None else json.dumps(tags).replace('"', '""')
        lines.append(f'2026-11-01T00:00:00Z,2026-11-05T00:00:00Z,2026-11-06T00:00:00Z,USD,{cost},EC2,"{cell}"')
    path.write_text("\n".join(lines) + "\n")
    if shape == "json":
        return path
    text = "CAST(Tags::JSON AS MAP(VARCHAR, VARCHAR))"
    if shape == "pairs":
        text = f"list_transform(map_entries({text}), lambda e: {{'key': e.key, 'value': e.value}})"
    target = folder / "bill.parquet"
    duckdb.execute(
        f"COPY (SELECT * REPLACE ({text} AS Tags) FROM read_csv('{path}', all_varchar = true)) TO '{target}'"
    )
    path.unlink()
    return target


def told(path: Path, *keys: str, fold: bool = False) -> tuple[dict[str | None, Decimal], list[Note]]:
    """Return what each tenant costs, and the notes."""
    settings = FocusSettings.model_validate({"type": "focus", "path": path})
    source = Focus("bill", settings, Context(tenant_keys=keys, fold=fold))
    stored = MemoryStored(NOW)
    found = list(source.batches(asked(NOW, date(2026, 9, 1), stored)))
    stored.take(item for item in found if isinstance(item, Batch))
    sums: dict[str | None, Decimal] = {}
    for cost in stored.costs("2026-11"):
        sums[cost.tenant] = sums.get(cost.tenant, Decimal(0)) + cost.amount
    return sums, [item for item in found if isinstance(item, Note)]


SPELT = [("100", {"tenant": "acme"}), ("60", {"Tenant": "acme"}), ("40", {"TENANT": "beta"}), ("5", {"team": "x"})]
SHAPES = pytest.mark.parametrize("shape", ["json", "map", "pairs"])


@SHAPES
def test_dollars_under_a_key_that_is_spelt_otherwise_are_told_though_others_match(tmp_path: Path, shape: str) -> None:
    sums, notes = told(bill(tmp_path, SPELT, shape), "tenant")
    assert sums == {"acme": 100, None: 105}
    [note] = [note for note in notes if note.similar]
    assert note.similar == {"USD": 100}
    assert "no tenant by tenant, but 60.00 USD under Tenant, 40.00 USD under TENANT" in note.text


@SHAPES
def test_keys_that_fold_to_the_tenants_are_read_where_names_fold(tmp_path: Path, shape: str) -> None:
    sums, notes = told(bill(tmp_path, SPELT, shape), "tenant", fold=True)
    assert sums == {"acme": 160, "beta": 40, None: 5}
    assert not [note for note in notes if note.similar]


def test_separators_make_a_key_similar_and_never_the_same(tmp_path: Path) -> None:
    charges = [("1", {"tenant-id": "acme"}), ("2", {"tenant_id": "acme"}), ("4", {"TenantId": "acme"})]
    path = bill(tmp_path, [*charges, ("8", {"subtenant-id": "acme"}), ("16", {"tenant": "acme"})])
    for fold in (False, True):
        sums, notes = told(path, "tenant-id", fold=fold)
        assert sums == {"acme": 1, None: 30}
        assert [note.similar for note in notes if note.similar] == [{"USD": 6}]


@SHAPES
def test_of_several_keys_the_first_that_a_charge_has_counts(tmp_path: Path, shape: str) -> None:
    charges = [
        ("1", {"tenant": "acme", "customer": "beta"}),
        ("2", {"customer": "beta"}),
        ("4", {"tenant": "", "customer": "gamma"}),
        ("8", {"tenant": "null", "customer": "gamma"}),
        ("16", {"other": "x"}),
    ]
    sums, notes = told(bill(tmp_path, charges, shape), "tenant", "customer")
    assert sums == {"acme": 1, "beta": 2, "gamma": 12, None: 16}
    assert not [note for note in notes if note.similar]


def test_a_tag_whose_value_merely_reads_like_the_key_is_not_told(tmp_path: Path) -> None:
    sums, notes = told(bill(tmp_path, [("3", {"note": "Tenant"}), ("4", {"tenant": "acme"}), ("5", None)]), "tenant")
    assert sums == {"acme": 4, None: 8}
    assert not [note for note in notes if note.similar]
