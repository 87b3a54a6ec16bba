"""Bills in object stores: the newest whole delivery counts, as its manifest names it, and nothing is asked twice."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tests.fakes.deliveries import Delivering, month, packed
from tests.fakes.object_stores import Bucket
from tests.fakes.server import Reply
from tests.fakes.store_reader import NOW, Reader, notes, problems
from unitcost.config.load import load
from unitcost.errors import SourceError
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

OCTOBER, NOVEMBER = "2026-10", "2026-11"


@pytest.fixture
def reader(delivering: Delivering, tmp_path: Path) -> Reader:
    return Reader(delivering.bucket, delivering.path, tmp_path / "cache")


# ------------------------------------------------------------------------------------------ what counts


@contextmanager
def serving(folder: Path, delivering: Delivering) -> Iterator[tuple[Refresher, Ledger]]:
    """Run an exporter on an export, without its clock."""
    bill = {"type": "focus", "path": delivering.path, "store": delivering.bucket.settings}
    (folder / "unitcost.yaml").write_text(yaml.safe_dump({"sources": {"bill": bill}, "windows": ["mtd"]}))
    config, directory = load(folder / "unitcost.yaml")
    with closing(Ledger(config.state_dir)) as ledger:
        yield Refresher(config, directory, ledger, Current(), lambda: NOW), ledger


def served(refresher: Refresher) -> Decimal:
    assert refresher.refresh(), refresher.runners[0].problems
    snapshot = refresher.current.get()
    assert snapshot is not None
    found = re.findall(r'^bill_dollars\{source="bill",.*window="mtd"\} (\S+)$', snapshot.text.decode(), re.MULTILINE)
    return sum(map(Decimal, found), Decimal(0))


def test_a_month_delivered_three_times_and_interrupted_once_is_each_time_what_the_manifest_names(
    delivering: Delivering, tmp_path: Path
) -> None:
    first = [month(NOVEMBER, "1.25"), month(NOVEMBER, "2", resource="s")]
    restated = [month(NOVEMBER, "1.5"), month(NOVEMBER, "2", resource="s"), month(NOVEMBER, "0.75", resource="t")]
    last = [month(NOVEMBER, "3", days=22)]
    with serving(tmp_path, delivering) as (refresher, ledger):
        delivered = delivering.deliver(NOVEMBER, *first)
        assert served(refresher) == delivered == 65
        delivered = delivering.deliver(NOVEMBER, *restated)
        assert served(refresher) == delivered == 85
        interrupted = delivering.data(NOVEMBER, month(NOVEMBER, "9"), month(NOVEMBER, "9", resource="s"))
        assert served(refresher) == 85, "data without a manifest are no delivery"
        assert any("the last whole delivery counts" in note.text for note in refresher.runners[0].notes)
        assert all(key in delivering.bucket.names() for key, _ in interrupted)
        delivered = delivering.deliver(NOVEMBER, *last)
        assert served(refresher) == delivered == 66
        assert not refresher.runners[0].notes
        assert ledger.rows("SELECT key FROM batch") == [(NOVEMBER,)]
        assert ledger.rows("SELECT sum(amount), count(DISTINCT day) FROM cost") == [(Decimal(66), 22)]


def test_an_unchanged_export_costs_listings_and_a_closed_month_nothing_even_without_the_cache(
    delivering: Delivering, reader: Reader
) -> None:
    delivering.deliver(OCTOBER, month(OCTOBER, "1", days=27))
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"), month(NOVEMBER, "1", resource="s"))
    assert [one for one in reader.refresh() if isinstance(one, str)] == [NOVEMBER, OCTOBER]
    assert len(reader.read()) == 3
    assert not [one for one in reader.refresh() if isinstance(one, str)]
    assert reader.bucket.relay.read() == [], "neither manifests nor files of charges"
    assert len(reader.bucket.relay.passed) <= 3
    reader.restart()
    assert not [one for one in reader.refresh() if isinstance(one, str)]
    assert reader.read() == [], "all of it is in the cache"
    reader.restart(losing_the_cache=True)
    assert not [one for one in reader.refresh() if isinstance(one, str)]
    assert len(reader.read()) == 2
    assert not [one.path for one in reader.bucket.relay.passed if "2026-10" in one.path or "202610" in one.path]
    assert reader.stored.total() == 27 + 60


def test_only_files_that_changed_are_fetched(delivering: Delivering, reader: Reader) -> None:
    same = month(NOVEMBER, "1", resource="s")
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"), same)
    reader.refresh()
    delivering.deliver(NOVEMBER, month(NOVEMBER, "3"), same)
    assert [one for one in reader.refresh() if isinstance(one, str)] == [NOVEMBER]
    expected = 1 if delivering.how == "overwrite" else 2  # in another folder it is another object
    assert len(reader.read()) == expected
    assert reader.stored.total() == 80


def test_a_closed_month_that_is_delivered_again_is_replaced_and_told(delivering: Delivering, reader: Reader) -> None:
    delivering.deliver(OCTOBER, month(OCTOBER, "1", days=30))
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    reader.refresh()
    delivering.deliver(OCTOBER, month(OCTOBER, "1.5", days=30))
    said = reader.refresh()
    assert [one for one in said if isinstance(one, str)] == [OCTOBER]
    assert "2026-10 was restated: 30.00 → 45.00 USD" in notes(said)
    assert len(reader.read()) == 1
    assert "2026-10 was restated: 30.00 → 45.00 USD" in notes(reader.refresh()), "it is told until the next restart"


def test_months_before_the_history_are_not_looked_at(delivering: Delivering, reader: Reader) -> None:
    delivering.deliver("2026-08", month("2026-08", "1"))
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    reader.refresh()
    assert set(reader.stored.batches) == {NOVEMBER}
    assert not [path for path in reader.bucket.relay.read() if "2026-08" in path or "202608" in path]


# ------------------------------------------------------------------------------------------ what is not whole


def test_data_without_any_manifest_are_no_delivery(delivering: Delivering, reader: Reader) -> None:
    delivering.data(NOVEMBER, month(NOVEMBER, "2"))
    with pytest.raises(SourceError, match="holds no manifest of a billing period since 2026-09-01"):
        reader.refresh()
    assert reader.read() == []


def test_a_manifest_that_names_what_is_not_there_leaves_the_last_whole_delivery(
    delivering: Delivering, reader: Reader
) -> None:
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    reader.refresh()
    made = delivering.data(NOVEMBER, month(NOVEMBER, "3"), month(NOVEMBER, "1", resource="s"))
    delivering.manifest(NOVEMBER, made)
    delivering.bucket.remove(made[1][0])
    said = reader.refresh()
    assert reader.stored.total() == 40
    assert notes(said)[0].startswith("2026-11: the last whole delivery counts: its manifest names ")
    assert made[1][0] in notes(said)[0]
    later = reader.refresh(datetime.now(NOW.tzinfo) + timedelta(hours=25))
    assert [one.reason for one in problems(later)] == ["partial"], "a day later it was interrupted"
    assert "Have the export written again" in problems(later)[0].line
    delivering.bucket.put(*made[1])
    delivering.manifest(NOVEMBER, made)
    reader.refresh()
    assert reader.stored.total() == 80


def test_a_first_delivery_that_is_not_whole_is_a_problem_and_spares_other_months(
    delivering: Delivering, reader: Reader
) -> None:
    delivering.deliver(OCTOBER, month(OCTOBER, "1", days=30))
    made = delivering.data(NOVEMBER, month(NOVEMBER, "3"))
    delivering.manifest(NOVEMBER, made)
    delivering.bucket.remove(made[0][0])
    (problem,) = problems(reader.refresh())
    assert problem.reason == "partial"
    assert "the delivery of 2026-11 is not whole: its manifest names" in problem.text
    assert reader.stored.total() == 30


@pytest.mark.needs("azurite-blob")
def test_a_file_of_another_size_than_its_manifest_says_is_no_part_of_it(container: Bucket, tmp_path: Path) -> None:
    delivering = Delivering(container, "azure")
    reader = Reader(container, delivering.path, tmp_path / "cache")
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    reader.refresh()
    made = delivering.data(NOVEMBER, month(NOVEMBER, "3"))
    delivering.manifest(NOVEMBER, [(made[0][0], made[0][1] + b"more")])
    (note,) = notes(reader.refresh())
    assert f"has {len(made[0][1]):,} bytes, its manifest says {len(made[0][1]) + 4:,}" in note
    assert reader.stored.total() == 40


def test_a_file_that_is_written_again_while_it_is_read_leaves_the_last_whole_delivery(
    delivering: Delivering, reader: Reader
) -> None:
    delivering.deliver(OCTOBER, month(OCTOBER, "1", days=30))
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    reader.refresh()
    delivered = delivering.data(NOVEMBER, month(NOVEMBER, "3"))
    delivering.manifest(NOVEMBER, delivered)
    again = packed(month(NOVEMBER, "7"))

    def overwritten(method: str, path: str, _: str) -> Reply | None:
        if method == "GET" and path.endswith(delivered[0][0]) and again not in written:
            written.append(again)
            delivering.bucket.put(delivered[0][0], again)
        return None

    written: list[bytes] = []
    delivering.bucket.relay.otherwise = overwritten
    (problem,) = problems(reader.refresh())
    assert problem.reason == "partial"
    assert problem.where == delivering.bucket.address(delivered[0][0])
    assert "was written again or removed while it was read" in problem.text
    assert reader.stored.total() == 30 + 40
    delivering.manifest(NOVEMBER, [(delivered[0][0], again)])
    reader.refresh()
    assert reader.stored.total() == 30 + 140


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"{", "is not JSON"),
        (b"[]", "has no list"),
        (b"{}", "has no list"),
        (b'{"dataFiles": [1], "blobs": [1]}', "has no list"),
        (b'{"dataFiles": ["s3://another/x.csv"], "blobs": [{}]}', "names "),
    ],
)
def test_a_manifest_that_is_none_is_told_by_its_address_and_leaves_the_one_before(
    delivering: Delivering, reader: Reader, said: bytes, told: str
) -> None:
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    reader.refresh()
    delivering.data(NOVEMBER, month(NOVEMBER, "3"))
    key = delivering.manifest(NOVEMBER, [])
    delivering.bucket.put(key, said)
    (problem,) = problems(reader.refresh())
    assert (problem.reason, problem.where) == ("format", delivering.bucket.address(key))
    assert told in problem.text
    assert reader.stored.total() == 40


def test_a_file_that_cannot_be_read_is_told_by_its_address(delivering: Delivering, reader: Reader) -> None:
    delivering.deliver(OCTOBER, month(OCTOBER, "1", days=30))
    made = delivering.data(NOVEMBER, month(NOVEMBER, "2"))
    broken = [(made[0][0], made[0][1][:-20])]
    delivering.bucket.put(*broken[0])
    delivering.manifest(NOVEMBER, broken)
    (problem,) = problems(reader.refresh())
    assert problem.where.startswith(delivering.bucket.address(made[0][0]))
    assert str(reader.cache) not in problem.line
    assert reader.stored.total() == 30


def test_charges_of_another_billing_period_than_they_are_delivered_for_are_told(
    delivering: Delivering, reader: Reader
) -> None:
    delivering.deliver(NOVEMBER, [*month(NOVEMBER, "2"), *month(OCTOBER, "5")])
    (problem,) = problems(reader.refresh())
    assert problem.reason == "period"
    assert "holds charges of 2026-10, delivered as 2026-11" in problem.text
    assert reader.stored.total() == 40


def test_what_has_no_tenant_is_listed_of_a_month_whose_files_have_left_the_cache(
    delivering: Delivering, reader: Reader
) -> None:
    untagged = [{**row, "Tags": "{}"} for row in month(NOVEMBER, "2", resource="arn:nobody")]
    delivering.deliver(OCTOBER, month(OCTOBER, "1", days=30))
    delivering.deliver(NOVEMBER, month(NOVEMBER, "1"), untagged)
    reader.refresh()
    shutil.rmtree(reader.cache)
    advice = [note.text for note in reader.source.advice(reader.stored)]
    assert advice[0].startswith("2026-11: 40.00 USD have no tenant by the tag tenant")
    assert "arn:nobody" in advice[1]


# ------------------------------------------------------------------------------------------ the cache


def test_the_cache_holds_no_more_than_it_may_and_what_was_used_least_recently_goes(
    delivering: Delivering, tmp_path: Path
) -> None:
    size = len(packed(month(NOVEMBER, "2")))
    cache = tmp_path / "cache"
    reader = Reader(delivering.bucket, delivering.path, cache, f"{2 * size + size // 2}B")
    for period in ("2026-09", OCTOBER, NOVEMBER):
        delivering.deliver(period, month(period, "2"))
    reader.refresh()
    assert reader.stored.total() == 120
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) <= 2 * size + size // 2
    assert {part for path in kept for part in path.parts if "=" in part} == {
        "BILLING_PERIOD=2026-10",
        "BILLING_PERIOD=2026-09",
    }, "newest months are read first"
    assert not list(cache.rglob("*.part"))


def test_a_month_that_is_larger_than_the_cache_says_what_to_raise_and_stops_no_other(
    delivering: Delivering, tmp_path: Path
) -> None:
    delivering.deliver(OCTOBER, month(OCTOBER, "1"))
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"), month(NOVEMBER, "3", resource="s"))
    size = len(packed(month(NOVEMBER, "2")))
    reader = Reader(delivering.bucket, delivering.path, tmp_path / "cache", f"{size + 50}B")
    (problem,) = problems(reader.refresh())
    assert problem.reason == "too_large"
    assert problem.where == f"2026-11 of {delivering.path}"
    assert f"more than the cache holds ({size + 50:,}). Raise cache.size" in problem.line
    assert reader.stored.total() == 20
    small = Reader(delivering.bucket, delivering.path, tmp_path / "cache", "100B")
    assert [one.reason for one in problems(small.refresh())] == ["too_large", "too_large"]
    assert not small.stored.batches


def test_a_cache_that_cannot_be_written_says_so(delivering: Delivering, tmp_path: Path) -> None:
    delivering.deliver(NOVEMBER, month(NOVEMBER, "2"))
    (tmp_path / "cache").write_text("a file")
    reader = Reader(delivering.bucket, delivering.path, tmp_path / "cache")
    with pytest.raises(SourceError, match=r"cannot be written: Not a directory.*cache.path") as caught:
        reader.refresh()
    assert caught.value.reason == "cache"
