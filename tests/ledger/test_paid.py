"""The counter of paid requests: durable, shared by processes, by calendar month, and never more than the budget."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import date, datetime
from pathlib import Path

import pytest

from tests.fakes.stored import utc
from unitcost.errors import SourceError
from unitcost.ledger.paid import PaidRequests

NOW = utc(2026, 11, 30, 23, 59)


def counter(folder: Path | None, now: datetime = NOW) -> PaidRequests:
    return PaidRequests(folder, lambda: now)


@pytest.mark.parametrize("kept", [True, False])
def test_a_month_ends_its_budget_begins_anew_and_sources_are_counted_apart(tmp_path: Path, kept: bool) -> None:
    now = NOW
    paid = PaidRequests(tmp_path if kept else None, lambda: now)
    assert [paid.spend("aws", 3) for _ in range(5)] == [True, True, True, False, False]
    assert paid.spend("other", 3)
    assert (paid.spent("aws"), paid.spent("other")) == ((date(2026, 11, 1), 3), (date(2026, 11, 1), 1))
    now = utc(2026, 12, 1)
    assert paid.spent("aws") == (date(2026, 12, 1), 0)
    assert paid.spend("aws", 1)
    assert not paid.spend("aws", 1)


def test_a_restart_and_a_ledger_that_is_moved_away_forget_nothing(tmp_path: Path) -> None:
    assert counter(tmp_path).spend("aws", 2)
    (tmp_path / "ledger.duckdb").write_text("gone")
    (tmp_path / "ledger.duckdb").unlink()
    assert counter(tmp_path).spent("aws") == (date(2026, 11, 1), 1)
    assert counter(tmp_path).spend("aws", 2)
    assert not counter(tmp_path).spend("aws", 2)
    assert (tmp_path / "paid" / "2026-11.csv").read_text() == "2026-11-30T23:59:00Z,aws\n" * 2


COUNT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from unitcost.ledger.paid import PaidRequests
paid = PaidRequests(Path(sys.argv[1]), lambda: datetime(2026, 11, 30, tzinfo=UTC))
print(sum(paid.spend("aws", 50) for _ in range(40)))
"""


def test_processes_and_threads_at_once_spend_no_more_than_the_budget_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COUNT, str(tmp_path)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paid = counter(tmp_path)
    spent: list[bool] = []
    threads = [threading.Thread(target=lambda: spent.extend([paid.spend("aws", 50) for _ in range(10)])) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [int(process.communicate(timeout=60)[0]) for process in others]
    assert sum(told) + sum(spent) == 50
    assert counter(tmp_path).spent("aws")[1] == 50


def test_a_line_that_was_cut_off_counts_for_every_source(tmp_path: Path) -> None:
    """A kill between the request and the end of its line: it may have been sent."""
    counter(tmp_path).spend("aws", 9)
    with (tmp_path / "paid" / "2026-11.csv").open("a") as file:
        file.write("2026-11-30T23")
    assert counter(tmp_path).spent("aws")[1] == 2
    assert counter(tmp_path).spent("other")[1] == 1


def test_what_cannot_be_written_is_told_and_asking_for_it_makes_no_file(tmp_path: Path) -> None:
    assert counter(tmp_path / "none").spent("aws")[1] == 0
    assert not (tmp_path / "none").exists()
    (tmp_path / "paid").write_text("in the way")
    with pytest.raises(SourceError) as caught:
        counter(tmp_path).spend("aws", 9)
    assert (caught.value.reason, caught.value.where) == ("budget", str(tmp_path / "paid"))
    assert caught.value.hint == "Make it writable for this user"
