"""A damaged or half-made ledger: one line that says what to do, and never a number that nobody can trust."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.fakes.batches import EACH, batch, filled
from tests.fakes.company import NOW, RATES, YESTERDAY
from tests.fakes.processes import exporter, wait_for
from unitcost.cli.main import main
from unitcost.errors import LedgerDamagedError, LedgerError, LedgerLostError
from unitcost.ledger.checked import checked
from unitcost.ledger.files import FILE_NAME, statements
from unitcost.ledger.opening import SCHEMA_VERSION
from unitcost.ledger.store import Ledger

HEADER = 12_288
"""Bytes of a DuckDB file's three headers."""
YAML = "sources: {revenue: {type: csv_revenue, path: mrr.csv}}\nrefresh: {every: 1s}\n"


def filled_log(folder: Path, scratch: Path) -> Path:
    """Fill a ledger as a kill leaves it: what was stored is in the log beside the file."""
    ledger = Ledger(scratch)
    for back in range(20):
        ledger.put("bill", "s", batch(YESTERDAY - timedelta(back)), NOW, RATES)
    shutil.copytree(scratch, folder)
    ledger.close()
    return folder / f"{FILE_NAME}.wal"


def broken(content: bytes, number: int, rnd: random.Random) -> bytes:
    """Flip a bit in the headers or anywhere, or cut the end off."""
    if number % 4 == 0:
        return content[: rnd.randrange(1, len(content))]
    at = rnd.randrange(HEADER) if number % 4 == 1 else rnd.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rnd.randrange(8)]) + content[at + 1 :]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return filled(folder / "file"), filled_log(folder / "log", folder / "scratch")


@pytest.mark.parametrize("place", ["file", "log"])
@pytest.mark.parametrize("number", range(20))
def test_a_damaged_file_is_told_in_one_line_or_is_as_good_as_it_was(
    whole: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, place: str
) -> None:
    file = whole[0] if place == "file" else whole[1]
    folder = tmp_path / "state"
    shutil.copytree(file.parent, folder)
    (folder / file.name).write_bytes(broken(file.read_bytes(), number, random.Random(number)))
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,30\n")
    (tmp_path / "unitcost.yaml").write_text(YAML)
    code = main(["ledger", "check", "--config", str(tmp_path / "unitcost.yaml")])
    said = capsys.readouterr()
    told, found, batches = outcome(folder)
    if told:
        assert "\n" not in told
        assert "delete nothing" in told
        assert (code, "DAMAGED" in said.out) == (1, True)
    else:
        # Bits that nothing is in; or the log's end is gone, and with it whole batches, as if they had never come.
        assert found == [(batches * 100, batches * EACH)]
        assert place == "log" or batches == 20


def outcome(folder: Path) -> tuple[str, list[tuple[int, Decimal]], int]:
    """Open a ledger and read its costs; return the error, or the rows with their sum, and how many batches."""
    try:
        with closing(Ledger(folder)) as ledger:
            found = ledger.rows("SELECT count(*), coalesce(sum(amount), 0) FROM cost")
            ledger.rows("SELECT sum(hash(COLUMNS(*))) FROM tenant_day")
            return "", [(found[0][0], found[0][1])], ledger.rows("SELECT count(*) FROM batch")[0][0]
    except LedgerError as error:
        return str(error), [], 0


def test_what_happens_to_a_damaged_ledger_while_it_serves_is_said_once_a_refresh_and_the_numbers_stay(
    tmp_path: Path,
) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,30\n")
    (tmp_path / "unitcost.yaml").write_text(YAML)
    with exporter(tmp_path) as unitcost:
        wait_for(lambda: bool(unitcost.values("tenant_mrr_dollars")), "the first numbers")
        assert unitcost.get("/-/healthy").status_code == 200
        (tmp_path / "state").rename(tmp_path / "elsewhere")  # at once, as the exporter may write a copy into it
        wait_for(lambda: "is gone while it is in use" in unitcost.get("/-/healthy").text, "it is not healthy")
        assert unitcost.get("/-/healthy").status_code == 503
        assert "bring state_dir back and restart" in unitcost.get("/-/healthy").text
        assert list(unitcost.values("tenant_mrr_dollars").values()) == [30]
        assert unitcost.get("/-/ready").status_code == 200
        before = unitcost.log.read_text().count("is gone while")
        wait_for(lambda: unitcost.log.read_text().count("is gone while") > before, "it is said again")
    log = unitcost.log.read_text()
    assert "Traceback" not in log


def test_an_error_of_the_file_at_a_later_read_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    path = filled(tmp_path)
    content = bytearray(path.read_bytes())
    ledger = Ledger(tmp_path)
    for at in range(HEADER + 8192, len(content) - 262_144, 4096):
        content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(LedgerDamagedError, match=r"ledger\.duckdb: cannot be .* delete nothing"):
        ledger.rows("SELECT sum(hash(tenant, amount, dims)) FROM cost")
    ledger.close()


def test_a_file_that_was_replaced_is_not_written_any_more(tmp_path: Path) -> None:
    path = filled(tmp_path)
    ledger = Ledger(tmp_path)
    shutil.copyfile(path, tmp_path / "other")
    (tmp_path / "other").replace(path)
    with pytest.raises(LedgerLostError, match="was replaced while it was in use; restart"):
        ledger.refuse_lost()
    ledger.close()


def test_a_kill_in_the_first_start_of_an_older_version_leaves_a_ledger_that_is_made_again(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / FILE_NAME)) as connection:
        connection.execute(statements("schema"))
    ledger = Ledger(tmp_path)
    ledger.put("bill", "s", batch(YESTERDAY), NOW, RATES)
    assert ledger.rows("SELECT value FROM meta WHERE key = 'schema'") == [(SCHEMA_VERSION,)]
    ledger.close()


def test_a_ledger_without_a_version_that_holds_something_is_not_made_again(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM meta")
    with pytest.raises(LedgerError, match=r"another version of unitcost \(schema \?"):
        Ledger(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 4096, HEADER, 100_000])
def test_a_draft_that_a_kill_left_at_any_byte_is_made_again(tmp_path: Path, size: int) -> None:
    whole = filled(tmp_path / "whole").read_bytes()
    (tmp_path / "new.duckdb").write_bytes(whole[:size])
    (tmp_path / "new.duckdb.wal").write_bytes(b"half of a log")
    ledger = Ledger(tmp_path)
    assert ledger.rows("SELECT count(*) FROM batch") == [(0,)]
    ledger.close()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [FILE_NAME]


def test_the_log_of_a_ledger_that_is_gone_is_not_read_into_a_new_one(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.wal").write_bytes(b"what another ledger was told")
    with pytest.raises(LedgerError, match="belongs to a ledger that is not there"):
        Ledger(tmp_path)
    assert (tmp_path / f"{FILE_NAME}.wal").exists()


FIRST_START = """
import sys
from pathlib import Path
from datetime import timedelta
from tests.fakes.batches import MODEL, NOW, RATES, YESTERDAY, Ledger, batch, derive
print("begins", flush=True)
ledger = Ledger(Path(sys.argv[1]))
for back in range(1000):
    ledger.put("bill", "s", batch(YESTERDAY - timedelta(back)), NOW, RATES)
    print("stored", flush=True)
    derive(ledger, MODEL, NOW, timedelta(90))
"""


def test_a_kill_at_any_moment_of_a_first_start_leaves_no_ledger_or_a_good_one(tmp_path: Path) -> None:
    """The quick form of bench/kills.py: the moments are spread over the creation and the first batches."""
    held = []
    for moment in range(10):
        folder = tmp_path / str(moment)
        run = [sys.executable, "-c", FIRST_START, str(folder)]
        with subprocess.Popen(run, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            for _ in range(moment - 5):
                assert process.stdout.readline() == "stored\n"
            time.sleep(moment % 5 * 0.03)
            process.kill()
        told, found, batches = outcome(folder)
        assert told == ""
        assert found == [(batches * 100, batches * EACH)]
        assert checked(folder / FILE_NAME).wrong == []
        held.append(batches)
    assert held[-1] >= 4
