"""Files without a manifest: Oracle's six-hourly ones, a folder, and what at a place tells how it delivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.deliveries import Delivering, month, packed
from tests.fakes.object_stores import Bucket
from tests.fakes.store_reader import Reader, notes, problems
from tests.sources.test_focus import items
from unitcost.errors import SourceError

OCTOBER, NOVEMBER = "2026-10", "2026-11"
ROOT = "FOCUS Reports"


@pytest.fixture(params=["bucket", "google"])
def oracle(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    """Return a reader of daily files, on S3 (as Oracle's store speaks it) and natively."""
    found: Bucket = request.getfixturevalue(request.param)
    return Reader(found, found.address(ROOT), tmp_path / "cache")


def write(bucket: Bucket, period: str, day: int, number: int, cost: str = "1") -> str:
    """Write the file of some hours: one charge of that day."""
    key = f"{ROOT}/{period.replace('-', '/')}/{day:02}/000100000{day:02}{number:04}-00001.csv.gz"
    bucket.put(key, packed([month(period, cost, days=day, resource=f"r{number}")[-1]]))
    return key


def fill(bucket: Bucket, period: str, days: int) -> None:
    for day in range(1, days + 1):
        for number in (1, 2):
            write(bucket, period, day, number)


def keys(said: list[object]) -> list[str]:
    return [one for one in said if isinstance(one, str)]


def test_files_of_some_hours_are_added_up_and_only_new_ones_are_fetched(oracle: Reader) -> None:
    fill(oracle.bucket, OCTOBER, 12)
    fill(oracle.bucket, NOVEMBER, 10)
    assert keys([*oracle.refresh()]) == [NOVEMBER, OCTOBER]
    assert oracle.stored.total() == 24 + 20
    assert len(oracle.read()) == 44
    assert keys([*oracle.refresh()]) == []
    assert oracle.bucket.relay.read() == []
    write(oracle.bucket, NOVEMBER, 11, 1)
    assert keys([*oracle.refresh()]) == [NOVEMBER]
    assert len(oracle.read()) == 1
    assert oracle.stored.total() == 45
    oracle.restart(losing_the_cache=True)
    assert keys([*oracle.refresh()]) == []
    assert len(oracle.read()) == 21, "those of the open month alone"


def test_a_late_file_of_a_closed_month_is_added_to_it(oracle: Reader) -> None:
    fill(oracle.bucket, OCTOBER, 12)
    fill(oracle.bucket, NOVEMBER, 10)
    oracle.refresh()
    late = f"{ROOT}/2026/11/20/0001000009999-00001.csv.gz"
    oracle.bucket.put(late, packed(month(OCTOBER, "5", days=1, resource="late")))
    oracle.restart(losing_the_cache=True)
    said = oracle.refresh()
    assert keys([*said]) == [OCTOBER]
    assert "2026-10 was restated: 24.00 → 29.00 USD" in notes(said)
    assert oracle.stored.total() == 29 + 20
    oracle.restart(losing_the_cache=True)
    assert keys([*oracle.refresh()]) == []
    assert len(oracle.read()) == 20


def test_files_that_the_provider_keeps_no_more_take_nothing_away(oracle: Reader) -> None:
    fill(oracle.bucket, OCTOBER, 12)
    fill(oracle.bucket, NOVEMBER, 10)
    oracle.refresh()
    oracle.bucket.remove(write(oracle.bucket, OCTOBER, 1, 1))
    said = oracle.refresh()
    assert keys([*said]) == []
    assert notes(said)[0] == (
        f"2026-10: 1 of its files are gone from {oracle.bucket.address(ROOT)}; what is stored of it stays"
    )
    assert oracle.stored.total() == 44


def test_a_file_that_is_written_again_is_read_again(oracle: Reader) -> None:
    fill(oracle.bucket, OCTOBER, 12)
    oracle.refresh()
    write(oracle.bucket, OCTOBER, 3, 1, cost="4")
    assert keys([*oracle.refresh()]) == [OCTOBER]
    assert len(oracle.read()) == 1
    assert oracle.stored.total() == 27


def test_the_very_same_file_under_another_name_is_no_charge_of_its_own(oracle: Reader) -> None:
    fill(oracle.bucket, NOVEMBER, 3)
    body = packed([month(NOVEMBER, "1", days=3, resource="r1")[-1]])
    oracle.bucket.put(f"{ROOT}/2026/11/04/a-copy.csv.gz", body)
    (problem,) = problems(oracle.refresh())
    assert problem.reason == "overlap"
    assert str(oracle.cache) not in problem.line
    assert oracle.bucket.address(f"{ROOT}/2026/11/04/a-copy.csv.gz") in problem.line


# ------------------------------------------------------------------------------------------ a folder


def test_a_place_without_manifests_counts_as_it_lies_there_and_is_told(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("saas/2026-11.csv.gz", packed(month(NOVEMBER, "2")))
    bucket.put("saas/_temporary/x.csv.gz", packed(month(NOVEMBER, "9")))
    bucket.put("saas/readme.txt", b"hello")
    bucket.put("saas/empty.csv", b"")
    reader = Reader(bucket, bucket.address("saas"), tmp_path / "cache")
    said = reader.refresh()
    assert reader.stored.total() == 40
    assert notes(said) == [
        "s3://billing/saas has no manifest, so every file there counts; delivery: folder says that it may",
        "left out, as they are no cost dataset: readme.txt",
    ]
    told = Reader(bucket, bucket.address("saas"), tmp_path / "cache", delivery="folder")
    assert notes(told.refresh()) == ["left out, as they are no cost dataset: readme.txt"]
    bucket.put("saas/2026-11.csv.gz", packed(month(NOVEMBER, "3")))
    told.refresh()
    assert told.stored.total() == 60
    bucket.put("saas/bill.zip", b"PK")
    assert [one.where for one in problems(told.refresh())] == ["s3://billing/saas/bill.zip"]


def test_files_of_a_folder_that_hold_the_same_charges_are_refused(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("saas/one.csv.gz", packed(month(NOVEMBER, "2")))
    bucket.put("saas/two.csv.gz", packed(month(NOVEMBER, "3")))
    reader = Reader(bucket, bucket.address("saas"), tmp_path / "cache", delivery="folder")
    (problem,) = problems(reader.refresh())
    assert problem.reason == "overlap"
    assert problem.where == "s3://billing/saas/one.csv.gz and s3://billing/saas/two.csv.gz"


# ------------------------------------------------------------------------------------------ what is where


def fails(bucket: Bucket, tmp_path: Path, path: str = "", **more: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        Reader(bucket, bucket.address(path), tmp_path / "cache", **more).refresh()
    return caught.value


@pytest.mark.parametrize(
    ("there", "delivery", "told"),
    [
        ([], "auto", "nothing lies there"),
        (["x/data/BILLING_PERIOD=2026-11/a.parquet"], "auto", "holds no manifest of a billing period"),
        (
            [f"a/{name}/metadata/BILLING_PERIOD=2026-11/x-Manifest.json" for name in ("one", "two")],
            "auto",
            r"holds 2 exports \(a/one, a/two\)",
        ),
        (["one/metadata/a", "two/data/b"], "auto", r"holds 2 exports \(one, two\). Point path at one"),
        (["a.csv"], "aws", "holds no folder with metadata/ and data/"),
        (["a.csv"], "azure", "holds no manifest of a billing period"),
        (["20261101-20261130/x/part_0_0001.csv"], "auto", "holds no manifest of a billing period"),
        (
            ["e/20261101-20261130/x/manifest.json", "f/20261101-20261130/x/manifest.json"],
            "azure",
            r"holds 2 exports \(e, f\)",
        ),
        (["x/manifest.json", "x/a.csv"], "auto", "a manifest.json in no folder of a range"),
        (["_delta_log/0.json", "a.parquet"], "auto", "is a table of Delta Lake, which is not read"),
        (["metadata/v1.metadata.json", "data/a.parquet"], "auto", "is a table of Iceberg, which is not read"),
        (["t/metadata/v1.metadata.json", "t/data/a.parquet"], "auto", "is a table of Iceberg, which is not read"),
        (["notes.txt"], "folder", "no file of charges lies there"),
    ],
)
def test_what_is_no_export_is_told(bucket: Bucket, tmp_path: Path, there: list[str], delivery: str, told: str) -> None:
    for key in there:
        bucket.put(key, b"{}")
    found = fails(bucket, tmp_path, delivery=delivery)
    assert found.where.startswith("s3://billing/")
    with pytest.raises(SourceError, match=told):
        raise found


def test_a_local_table_of_delta_or_iceberg_is_told_and_not_taken_for_files(tmp_path: Path) -> None:
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    (tmp_path / "t" / "a.csv").write_bytes(b"")
    with pytest.raises(SourceError, match=r"is a table of Delta Lake, which is not read\. Export it as Parquet"):
        items(tmp_path / "t")
    (tmp_path / "i" / "metadata").mkdir(parents=True)
    (tmp_path / "i" / "metadata" / "v3.metadata.json").write_text("{}")
    with pytest.raises(SourceError, match="is a table of Iceberg"):
        items(tmp_path / "i")


def test_the_path_may_be_that_of_the_export_or_of_its_prefix(bucket: Bucket, tmp_path: Path) -> None:
    delivering = Delivering(bucket, "overwrite")
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    for path in ("", "exports", "exports/", "exports/focus"):
        reader = Reader(bucket, bucket.address(path), tmp_path / "cache")
        reader.refresh()
        assert reader.stored.total() == 40, path
