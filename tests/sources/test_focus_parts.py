"""Two files of a FOCUS folder: parts of one export are added up, a second delivery of the same charges is refused."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.stored import MemoryStored, asked
from tests.sources.test_focus import (
    FIRST,
    HEADER,
    NOW,
    SAMPLE,
    charge,
    costs,
    focus,
    items,
    november,
    problems,
    total,
    write_csv,
    write_parquet,
)
from unitcost.errors import SourceError
from unitcost.facts import Batch, Note, Problem
from unitcost.sources.bills.focus import parts

Rows = list[dict[str, Any]]


def day(number: int, **given: object) -> dict[str, Any]:
    """A charge of resource i-1 on a day of October; its cost differs from day to day."""
    period = {"ChargePeriodStart": f"2026-10-{number:02} 00:00:00", "ChargePeriodEnd": f"2026-10-{number:02} 23:00:00"}
    return charge(EffectiveCost=f"{number}.25", ResourceId="i-1", **period) | given


def month(days: Iterable[int], **given: object) -> Rows:
    return [day(number, **given) for number in days]


def refused(folder: Path, **given: Any) -> str:
    """Return the one problem of a folder of which no period is handed over."""
    found = items(folder, **given)
    assert not [one for one in found if isinstance(one, Batch)]
    (problem,) = (one for one in found if isinstance(one, Problem))
    assert problem.reason == "overlap"
    return f"{problem.where}: {problem.text}. {problem.hint}"


# ------------------------------------------------------------------------------------------ a second delivery


def test_the_same_charge_in_two_versions_of_focus_is_refused_with_both_names_and_the_setting(tmp_path: Path) -> None:
    write_csv(tmp_path / "focus_1.0.csv", [day(1, EffectiveCost="100")])
    newer = day(1, EffectiveCost="100", InvoiceId="i", ServiceProviderName="AWS")
    write_csv(tmp_path / "focus_1.2.csv", [newer], [*HEADER, "InvoiceId", "ServiceProviderName"])
    told = refused(tmp_path)
    assert "focus_1.0.csv" in told
    assert "focus_1.2.csv" in told
    assert "other columns (invoiceid, serviceprovidername in one of them only)" in told
    assert "overlapping_files: sum" in told


TENS = [number for number in range(1, 11) for _ in range(2)]
SECOND: Mapping[str, tuple[Rows, Rows]] = {
    "one byte of a cost": ([day(5, EffectiveCost="100")], [day(5, EffectiveCost="101")]),
    "one byte of a tag": ([day(5)], [day(5, Tags='{"tenant": "acmf"}')]),
    "one byte of a name among many rows": (month(range(1, 9)), [day(1, ResourceId="i-2"), *month(range(2, 9))]),
    "month to date": (month(range(1, 11)), month(range(1, 13))),
    "a day seen half and whole": ([day(5), day(6, EffectiveCost="1")], [*month([5, 6]), day(6, ResourceId="i-2")]),
    "the same day with a row more": ([day(5)], [day(5), day(5, ResourceId="i-2")]),
    "the last seven days, five days later": (month(range(1, 8)), month(range(6, 13))),
    "another order of rows": (month(range(1, 8)), month(range(7, 0, -1))),
    "rows summed up to one a day": (
        [day(number, EffectiveCost=f"{number}", ResourceId=f"i-{at}") for at, number in enumerate(TENS)],
        [day(number, EffectiveCost=f"{2 * number}", ResourceId="NULL") for number in range(1, 11)],
    ),
}


@pytest.mark.parametrize("case", SECOND)
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_charges_that_come_again_under_a_running_number_are_no_part(tmp_path: Path, case: str, kind: str) -> None:
    for number, given in enumerate(SECOND[case], 1):
        path = tmp_path / f"part_{number}.{kind}"
        (write_parquet if kind == "parquet" else write_csv)(path, given)
    told = refused(tmp_path)
    assert f"part_1.{kind} and " in told
    assert f"part_2.{kind}: " in told


def test_of_three_files_the_two_that_are_twins_are_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "x-1.csv", month(range(1, 8)))
    write_csv(tmp_path / "x-2.csv", month(range(1, 8), ResourceId="i-2"))
    write_csv(tmp_path / "x-3.csv", [*month(range(1, 8), ResourceId="i-2"), day(8)])
    told = refused(tmp_path)
    assert "x-2.csv and " in told
    assert "x-3.csv: hold 7 of 7 rows twice" in told


def test_of_a_huge_export_a_sample_of_rows_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charges = [day(at % 30 + 1, ResourceId=f"i-{at}", EffectiveCost="3") for at in range(400)]
    write_csv(tmp_path / "x-1.csv", charges)
    write_csv(tmp_path / "x-2.csv", charges[:350])
    monkeypatch.setattr(parts, "SAMPLED_BYTES", sum(path.stat().st_size for path in tmp_path.iterdir()) // 4)
    assert "rows twice" in refused(tmp_path)
    write_csv(tmp_path / "x-2.csv", [one | {"ResourceId": f"o-{at}"} for at, one in enumerate(charges[:350])])
    assert total(costs(tmp_path)) == 3 * 750


def test_a_twin_in_another_folder_of_the_tree_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "run-1" / "x-1.csv", month(range(1, 8)))
    write_csv(tmp_path / "run-2" / "x-1.csv", month(range(1, 8), EffectiveCost="9"))
    assert "both have charges of the same days; the first day that both have is 2026-10-01" in refused(tmp_path)


def test_the_last_good_numbers_stay_when_a_second_delivery_comes(tmp_path: Path) -> None:
    write_csv(tmp_path / "x-1.csv", [day(5)])
    stored, source = MemoryStored(NOW), focus(tmp_path)
    stored.take(source.batches(asked(NOW, FIRST, stored)))
    write_csv(tmp_path / "x-2.csv", [day(5, EffectiveCost="6")])
    for _ in range(2):
        (problem,) = stored.take(source.batches(asked(NOW, FIRST, stored)))
        assert problem.reason == "overlap"
    assert stored.total() == Decimal("5.25")
    (tmp_path / "x-1.csv").unlink()
    assert not stored.take(source.batches(asked(NOW, FIRST, stored)))
    assert stored.total() == 6


# ------------------------------------------------------------------------------------------ parts


PARTS: Mapping[str, tuple[Rows, Rows]] = {
    "other resources, a row a day": (month(range(1, 8)), month(range(1, 8), ResourceId="i-2", EffectiveCost="3")),
    "other accounts": (month(range(1, 8)), month(range(1, 8), SubAccountId="acc-2", EffectiveCost="3")),
    "other customers, and no resource": (
        month(range(1, 8), ResourceId="NULL"),
        month(range(1, 8), ResourceId="NULL", Tags='{"tenant": "beta"}', EffectiveCost="3"),
    ),
    "two customers with the same fee each day": (
        month(range(1, 8), EffectiveCost="10"),
        month(range(1, 8), EffectiveCost="10", SubAccountId="acc-2", Tags='{"tenant": "beta"}'),
    ),
    "a day at the boundary with an equal total": (
        month(range(1, 8)),
        [day(7, ChargePeriodStart="2026-10-07 12:00:00"), *month(range(8, 15))],
    ),
    "some equal totals among others": (
        month(range(1, 8)),
        [*month(range(1, 7), ResourceId="i-2"), day(7, ResourceId="i-2", EffectiveCost="3")],
    ),
    "one row of seven that stands in both": (
        month(range(1, 8)),
        [day(1), *month(range(1, 7), ResourceId="i-2", EffectiveCost="3")],
    ),
    "nothing": (month(range(1, 8)), []),
}


@pytest.mark.parametrize("case", PARTS)
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_parts_with_rows_of_their_own_are_added_up(tmp_path: Path, case: str, kind: str) -> None:
    for number, given in enumerate(PARTS[case], 1):
        path = tmp_path / f"part_{number}.{kind}"
        (write_parquet if kind == "parquet" else write_csv)(path, given)
    expected = sum((Decimal(one["EffectiveCost"]) for given in PARTS[case] for one in given), Decimal(0))
    assert total(costs(tmp_path)) == expected


def test_a_part_may_have_its_columns_in_another_order_and_case(tmp_path: Path) -> None:
    write_csv(tmp_path / "x-1.csv", month(range(1, 8)))
    other = [
        {name.lower(): value for name, value in one.items()}
        for one in month(range(1, 8), ResourceId="i-2", EffectiveCost="3")
    ]
    header = [name.lower() for name in HEADER[::-1]]
    write_csv(tmp_path / "x-2.csv", other, header)
    assert total(costs(tmp_path)) == Decimal("29.75") + 7 * 3
    same = [{name.lower(): value for name, value in one.items()} for one in month(range(1, 8))]
    write_csv(tmp_path / "x-2.csv", same, header)
    assert "hold 7 of 7 rows twice" in refused(tmp_path)


def test_parts_of_several_billing_periods_in_their_folders_are_compared_period_by_period(tmp_path: Path) -> None:
    for number in (1, 2):
        write_csv(tmp_path / "BILLING_PERIOD=2026-10" / f"x-{number}.csv", [day(5, ResourceId=f"i-{number}")])
        write_csv(tmp_path / "BILLING_PERIOD=2026-11" / f"x-{number}.csv", [november(EffectiveCost=f"{number}")])
    batch, problem = sorted(items(tmp_path), key=lambda one: isinstance(one, Problem))
    assert batch.key == "2026-10"
    assert "billing period 2026-11" in problem.text


# ------------------------------------------------------------------------------------------ added up when asked


def test_what_looks_like_a_second_delivery_is_added_up_when_asked(tmp_path: Path) -> None:
    write_csv(tmp_path / "part_1.csv", [day(5)])
    write_csv(tmp_path / "part_2.csv", [day(5, EffectiveCost="6")])
    assert total(costs(tmp_path, overlapping_files="sum")) == Decimal("11.25")


def _copied(folder: Path, path: Path) -> None:
    shutil.copy(path, folder / "again.csv")


def _packed(folder: Path, path: Path) -> None:
    (folder / "bill.csv.gz").write_bytes(gzip.compress(path.read_bytes()))


def _other_line_ends(folder: Path, path: Path) -> None:
    (folder / "bill-2.csv").write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))


def _other_folder(folder: Path, path: Path) -> None:
    (folder / "old").mkdir()
    shutil.copy(path, folder / "old" / path.name)


@pytest.mark.parametrize("again", [_copied, _packed, _other_line_ends, _other_folder])
def test_the_very_same_rows_are_never_added_up(tmp_path: Path, again: Callable[[Path, Path], None]) -> None:
    again(tmp_path, write_csv(tmp_path / "bill.csv", month(range(1, 8))))
    told = refused(tmp_path, overlapping_files="sum")
    assert "Keep one of them" in told
    assert "overlapping_files" not in told


# ------------------------------------------------------------------------------------------ files beside the bill

COMMITMENTS = "ContractCommitmentId,ContractCommitmentCategory,ContractCommitmentCost,BillingCurrency,ContractId"
INVOICES = "InvoiceDetailId,InvoiceId,BilledCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargeCategory"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("commitments.csv", f"{COMMITMENTS}\nc-1,Spend,1000000,USD,k\n"),
        ("invoices.csv", f"{INVOICES}\nd-1,i-1,100,USD,2026-10-01,2026-11-01,Usage\n"),
        ("README.csv", "file,what it is\nbill.csv,our bill\n"),
        ("~$bill.csv", "\x07user"),
        ("bill.csv.part", "BilledCost,Effect"),
        ("bill.csv.tmp", "BilledCost,Effect"),
        ("manifest.csv", "file,rows\n"),
        ("export-Manifest.json", "{}"),
        ("manifest.json.gz", ""),
    ],
)
def test_a_file_that_is_no_cost_dataset_is_left_out_and_named(tmp_path: Path, name: str, content: str) -> None:
    write_csv(tmp_path / "bill.csv", [day(5)])
    (tmp_path / name).write_text(content, encoding="utf-8")
    batch, note = sorted(items(tmp_path), key=lambda one: isinstance(one, Note))
    assert isinstance(batch, Batch)
    assert note == Note(f"left out, as they are no cost dataset: {name}")
    assert total(costs(tmp_path)) == Decimal("5.25")


def test_a_file_that_is_no_cost_dataset_is_an_error_where_it_is_all_there_is(tmp_path: Path) -> None:
    path = tmp_path / "commitments.csv"
    path.write_text(f"{COMMITMENTS}\nc-1,Spend,1000000,USD,k\n", encoding="utf-8")
    for configured in (path, tmp_path):
        with pytest.raises(SourceError, match=r"commitments\.csv: has no column EffectiveCost"):
            items(configured)


@pytest.mark.parametrize("sign", [",", ";"])
def test_a_cost_file_without_the_chosen_column_is_an_error_beside_others(tmp_path: Path, sign: str) -> None:
    write_csv(tmp_path / "bill.csv", [day(5)])
    header = sign.join(name for name in HEADER if name != "EffectiveCost")
    (tmp_path / "other.csv").write_text(f"{header}\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"other\.csv: has no column EffectiveCost"):
        items(tmp_path)


@pytest.mark.parametrize(
    "name", ["x.zip", "x.csv.zst", "x.parquet.gz", "x.csv.bz2", "x.xlsx", "x.CSV.ZIP", "x.tar.gz", "x.csv.xz"]
)
def test_a_packed_form_that_is_not_read_is_a_problem_beside_the_bill_and_an_error_instead_of_it(
    tmp_path: Path, name: str
) -> None:
    packed = tmp_path / name
    packed.write_bytes(b"packed")
    for configured in (packed, tmp_path):
        with pytest.raises(SourceError, match=r"neither \.csv, \.csv\.gz nor \.parquet") as caught:
            items(configured)
        assert (caught.value.where, caught.value.hint[:6]) == (str(packed), "Unpack")
    (tmp_path / "README.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"neither \.csv, \.csv\.gz nor \.parquet"):
        items(tmp_path)
    write_csv(tmp_path / "bill.csv", [day(5)])
    (problem,) = problems(tmp_path)
    assert (problem.reason, problem.where) == ("format", str(packed))
    assert total(costs(tmp_path)) == Decimal("5.25")


def test_a_packed_file_that_is_hidden_or_underscored_stays_left_out(tmp_path: Path) -> None:
    write_csv(tmp_path / "bill.csv", [day(5)])
    for name in (".x.zip", "_x.zip"):
        (tmp_path / name).write_bytes(b"packed")
    (only,) = items(tmp_path)
    assert isinstance(only, Batch)


# ------------------------------------------------------------------------------------------ no cost where one should be


def test_a_period_without_any_chosen_cost_is_refused_and_the_column_that_has_one_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "x-1.csv", [day(at, EffectiveCost="", BilledCost="100.25") for at in range(1, 8)])
    write_csv(tmp_path / "x-2.csv", [day(9, EffectiveCost="NULL", BilledCost="532.75"), november()])
    batch, problem = items(tmp_path)
    assert batch.key == "2026-11"
    assert (problem.reason, problem.where) == ("cost", str(tmp_path))
    assert problem.text == "EffectiveCost is empty in every one of 8 rows of 2026-10; BilledCost sums to 1,234.50"
    assert problem.hint == "Set cost: BilledCost"
    assert total(costs(tmp_path, cost="BilledCost")) == Decimal("1236.50")


def test_a_period_without_any_cost_at_all_is_refused_too(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "bill.parquet", [day(5, EffectiveCost="NULL", BilledCost="NULL")])
    (problem,) = items(path)
    assert "EffectiveCost is empty in every one of 1 rows" in problem.text
    assert problem.hint == "Repair the export"


def test_rows_without_the_chosen_cost_that_are_charged_otherwise_are_told_with_their_dollars(tmp_path: Path) -> None:
    header = [*HEADER, "ChargeCategory", "ListCost"]
    lost = day(6, EffectiveCost="", BilledCost="20.5", ChargeCategory="Usage", ListCost="30")
    free = day(6, EffectiveCost="", BilledCost="0", ChargeCategory="Usage", ListCost="30")
    bought = day(6, EffectiveCost="", BilledCost="1000", ChargeCategory="Purchase")
    path = write_csv(tmp_path / "bill.csv", [day(5), lost, lost, free, bought], header)
    source = focus(path)
    stored = MemoryStored(NOW)
    for _ in range(2):
        found = list(source.batches(asked(NOW, FIRST, stored)))
        stored.take(found)
        (problem,) = (one for one in found if isinstance(one, Problem))
        assert problem.text == (
            "2 rows of 2026-10 have no EffectiveCost and are not counted, though of these rows"
            " BilledCost sums to 41.00, ListCost sums to 60.00"
        )
        assert [one.text for one in found if isinstance(one, Note)] == [
            "2026-10: 2 rows have no EffectiveCost and count as 0"
        ]
    assert stored.total() == Decimal("5.25")


def test_a_provider_whose_chosen_cost_is_always_0_while_it_bills_is_noted() -> None:
    told = [one.text for one in items(SAMPLE) if isinstance(one, Note) and "every row" in one.text]
    assert told == [
        "2024-10: EffectiveCost of Oracle is 0 in every row, while BilledCost sums to 0.24",
        "2024-09: EffectiveCost of Oracle is 0 in every row, while BilledCost sums to 0.29707392473",
    ]


def test_tags_of_the_same_resource_are_no_reason_to_count_it_twice(tmp_path: Path) -> None:
    for number, team in enumerate(["web", "core"], 1):
        tags = json.dumps({"tenant": "acme", "team": team})
        write_csv(tmp_path / f"x-{number}.csv", month(range(1, 8), Tags=tags, EffectiveCost=f"{number}"))
    assert "hold 7 of 7 rows twice" in refused(tmp_path)
