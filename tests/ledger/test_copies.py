"""Copies of the ledger that are kept: made of good ledgers only, few, and put back without losing anything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tests.fakes.batches import batch, filled
from tests.fakes.company import NOW, RATES, YESTERDAY
from tests.fakes.processes import exporter, wait_for
from tests.ledger.test_damage import YAML
from unitcost.cli.main import main
from unitcost.errors import LedgerDamagedError, LedgerError
from unitcost.ledger.checked import checked
from unitcost.ledger.files import COPIES, FILE_NAME, copies
from unitcost.ledger.kept import keep_copy
from unitcost.ledger.store import Ledger

DAY = timedelta(days=1)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / COPIES).iterdir())


def filled_and_copied(folder: Path) -> tuple[Path, Path]:
    """Return a ledger's file with numbers in it, which is closed, and a copy of it that is kept."""
    path = filled(folder)
    ledger = Ledger(folder)
    copy = keep_copy(ledger, NOW, DAY, 2)
    ledger.close()
    assert copy is not None
    return path, copy


def company(folder: Path) -> list[str]:
    (folder / "mrr.csv").write_text("tenant,mrr\nacme,30\n")
    (folder / "unitcost.yaml").write_text(YAML)
    return ["--config", str(folder / "unitcost.yaml")]


def test_a_copy_is_kept_once_a_day_and_the_oldest_goes(tmp_path: Path) -> None:
    filled(tmp_path)
    ledger = Ledger(tmp_path)
    made = [keep_copy(ledger, NOW + hours, DAY, 2) for hours in (timedelta(hours=n) for n in range(0, 80, 8))]
    ledger.close()
    assert [path is not None for path in made] == [True, False, False, True, False, False, True, False, False, True]
    assert kept(tmp_path) == ["ledger-20261125T120000Z.duckdb", "ledger-20261126T120000Z.duckdb"]


def test_a_copy_from_when_the_clock_was_ahead_stops_no_other(tmp_path: Path) -> None:
    filled(tmp_path)
    ledger = Ledger(tmp_path)
    assert keep_copy(ledger, NOW + 4000 * DAY, DAY, 3) is not None
    made = [keep_copy(ledger, NOW + hours * DAY / 24, DAY, 3) for hours in (0, 8, 24)]
    ledger.close()
    assert [path is not None for path in made] == [True, False, True]


def test_a_copy_holds_what_was_stored_last_though_it_is_still_in_the_log(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.put("bill", "s", batch(YESTERDAY), NOW, RATES)
    assert (tmp_path / f"{FILE_NAME}.wal").stat().st_size > 0
    copy = keep_copy(ledger, NOW, DAY, 2)
    ledger.put("bill", "s", batch(YESTERDAY - DAY), NOW, RATES)
    ledger.close()
    assert copy is not None
    assert checked(copy).tables["cost"] == 100
    assert kept(tmp_path) == [copy.name]


def test_no_copy_is_made_of_a_damaged_ledger_and_the_good_one_stays(tmp_path: Path) -> None:
    path = filled(tmp_path)
    ledger = Ledger(tmp_path)
    good = keep_copy(ledger, NOW, DAY, 1)
    ledger.close()
    ledger = Ledger(tmp_path)  # which has read little of it yet
    content = bytearray(path.read_bytes())
    for at in range(20_480, len(content), 4096):
        content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(LedgerDamagedError, match="no copy of it is kept"):
        keep_copy(ledger, NOW + DAY, DAY, 1)
    ledger.close()
    assert copies(tmp_path) == [good]
    assert good is not None
    assert checked(good).wrong == []


def test_what_a_kill_left_of_a_copy_is_removed_by_the_next(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / COPIES).mkdir()
    (tmp_path / COPIES / "draft.duckdb").write_bytes(b"half")
    (tmp_path / COPIES / "draft.duckdb.wal").write_bytes(b"half")
    ledger = Ledger(tmp_path)
    keep_copy(ledger, NOW, DAY, 2)
    ledger.close()
    assert kept(tmp_path) == ["ledger-20261123T120000Z.duckdb"]


def test_keep_0_keeps_none_and_a_ledger_in_memory_has_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert keep_copy(ledger, NOW, DAY, 0) is None
    ledger.close()
    assert keep_copy(Ledger(None), NOW, DAY, 2) is None
    assert not (tmp_path / COPIES).exists()


def test_a_damaged_ledger_is_replaced_by_the_copy_that_its_error_names_and_is_moved_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = company(tmp_path)
    state = tmp_path / "state"
    path, copy = filled_and_copied(state)
    path.write_bytes(b"\x00" + path.read_bytes()[1:20_000])
    with pytest.raises(LedgerError, match=rf"`unitcost ledger restore {copy}` \(with the same --config\)"):
        Ledger(state)
    damaged = path.read_bytes()
    assert main(["ledger", "restore", str(copy), *config]) == 0
    said = capsys.readouterr().out
    [aside] = state.glob("aside-*")
    assert str(aside) in said
    assert (aside / FILE_NAME).read_bytes() == damaged
    assert main(["ledger", "check", *config]) == 0
    assert "20 days are known, 2026-11-03 to 2026-11-22" in capsys.readouterr().out
    assert copies(state) == [copy]


def test_a_ledger_that_is_lost_is_not_begun_anew_beside_its_copies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = company(tmp_path)
    state = tmp_path / "state"
    path, _ = filled_and_copied(state)
    path.unlink()
    assert main(["report", "--window", "1d", *config]) == 1
    assert "is gone, but copies of it are there; `unitcost ledger restore" in capsys.readouterr().err
    assert main(["ledger", "restore", *config]) == 0
    assert checked(path).days == 20


def test_a_copy_that_is_not_whole_takes_nobodys_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = company(tmp_path)
    path = filled(tmp_path / "state")
    before = path.read_bytes()
    (tmp_path / "copy").write_bytes(before[: len(before) // 2])
    assert main(["ledger", "restore", str(tmp_path / "copy"), *config]) == 1
    assert "is not put in the ledger's place" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_money_that_does_not_add_up_and_rows_of_no_batch_are_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = company(tmp_path)
    path = filled(tmp_path / "state")
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "UPDATE tenant_day SET direct = direct + 0.000000000001 WHERE tenant = 'tenant-7' AND day = '2026-11-22'"
        )
        connection.execute("DELETE FROM batch WHERE key = '2026-11-20'")
        connection.execute("DELETE FROM cost WHERE batch = '2026-11-19' AND tenant = 'tenant-1'")
    assert main(["ledger", "check", *config]) == 1
    out = capsys.readouterr().out
    assert "2026-11-22: Σ counted is 707.142857142150, Σ tenants + unallocated is 707.142857142151" in out
    assert "100 rows are of the batch '2026-11-20', which is not there" in out
    assert "the batch '2026-11-19' has 99 rows instead of 100" in out


def test_a_running_exporter_keeps_a_copy_and_its_ledger_can_be_checked_and_not_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = company(tmp_path)
    with exporter(tmp_path) as unitcost:
        wait_for(lambda: bool(copies(tmp_path / "state")), "a copy is kept")
        assert main(["ledger", "check", *config]) == 0
        assert "94 days are known" in capsys.readouterr().out
        assert main(["ledger", "restore", *config]) == 1
        assert f"is in use by another process (PID {unitcost.process.pid})" in capsys.readouterr().err
        assert main(["check", *config]) == 0
        assert "1 copies are kept, the newest of " in capsys.readouterr().out
    assert "a copy of the ledger is kept: " in unitcost.log.read_text()
