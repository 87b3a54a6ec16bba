"""The folder for temporary files: of a process that lives it stays, of one that ended or was killed nothing does."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import unitcost
from unitcost.errors import LedgerError
from unitcost.ledger.copied import copied
from unitcost.ledger.store import Ledger
from unitcost.scratch import PREFIX, scratch

WITH_A_FILE = """
import sys, threading
from unitcost.ending import leave
from unitcost.scratch import scratch
folder = scratch()
(folder / "sums.parquet").write_bytes(b"x" * 1000)
print(folder, flush=True)
"""
UNTIL_TOLD = "sys.stdin.read()\n"
WITH_A_THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()\nleave(3)\n"


@contextmanager
def process(folder: Path, code: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start one whose temporary files go to a folder; give it, and where it has put one."""
    run = subprocess.Popen(
        [sys.executable, "-c", WITH_A_FILE + code],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdin is not None
    assert run.stdout is not None
    with run:
        try:
            yield run, Path(run.stdout.readline().strip())
        finally:
            run.stdin.close()
            run.wait(30)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("code", "ends_with"), [("", 0), ("raise ValueError", 1), (WITH_A_THREAD, 3)])
def test_nothing_is_left_of_a_process_that_ends(tmp_path: Path, code: str, ends_with: int) -> None:
    with process(tmp_path, f"sys.stderr.close()\n{code}") as (run, folder):
        assert folder.parent == tmp_path
        assert run.wait(30) == ends_with
    assert left(tmp_path) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_lives_is_not(tmp_path: Path) -> None:
    for name in ("unitcost-mine", f"{PREFIX}of-myself", f"{PREFIX}backup_2026"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{PREFIX}12345678").write_text("no folder")
    with process(tmp_path, UNTIL_TOLD) as (killed, killeds), process(tmp_path, UNTIL_TOLD) as (_, livings):
        killed.kill()
        killed.wait()
        assert (killeds / "sums.parquet").exists()
        with process(tmp_path, UNTIL_TOLD) as (_, nexts):
            assert not killeds.exists()
            assert (livings / "sums.parquet").exists()
            assert (nexts / "sums.parquet").exists()
    assert left(tmp_path) == ["unitcost-mine", f"{PREFIX}12345678", f"{PREFIX}backup_2026", f"{PREFIX}of-myself"]


def test_many_that_begin_at_once_take_nothing_from_each_other(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{PREFIX}killed{number:02}").mkdir()
    code = WITH_A_FILE + "import os\nassert os.listdir(folder) == ['sums.parquet']\n" + UNTIL_TOLD
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE
        )
        for _ in range(6)
    ]
    assert [run.communicate(timeout=60) and run.returncode for run in runs] == [0] * len(runs)
    assert left(tmp_path) == []


def test_a_folder_that_was_taken_away_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = scratch()
    assert scratch() == first
    shutil.rmtree(first)
    assert scratch().is_dir()


@pytest.mark.parametrize("answer", [errno.EBADF, errno.ENOLCK])
def test_on_a_file_system_without_locks_it_is_made_and_none_is_taken_for_left_behind(
    answer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_handle: int, _how: int) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", refuse)
    others = tmp_path / f"{PREFIX}12345678"
    others.mkdir()
    assert scratch().is_dir()
    assert others.is_dir()


@pytest.mark.parametrize("held", [True, False])
def test_one_that_another_process_takes_before_it_is_locked_is_not_used(
    held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = [], tempfile.mkdtemp

    def taken(**given: str) -> str:
        made.append(Path(make(**given)))
        if len(made) == 1:
            if held:
                handle = os.open(made[0], os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_EX)
            else:
                made[0].rmdir()
        return str(made[-1])

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", taken)
    assert scratch() == made[1]
    assert scratch().is_dir()


def test_where_there_is_no_place_for_temporary_files_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with (
        pytest.raises(LedgerError, match=r"cannot be copied to the folder for temporary files \(TMPDIR\)"),
        copied(tmp_path / "ledger.duckdb"),
    ):
        pass


CONNECTS = re.compile(r"duckdb\.connect\(\)")


def test_whatever_needs_more_memory_than_it_may_have_spills_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not to the folder that the command was started in, which an image cannot write."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(Ledger(None)) as ledger, ledger.transaction() as connection:
        connection.execute("SET memory_limit = '60MB'")
        connection.execute("CREATE TEMP TABLE large AS SELECT hash(n)::VARCHAR AS text FROM range(2000000) r(n)")
        assert connection.execute("SELECT count(*) FROM (SELECT text FROM large GROUP BY text)").fetchone() == (
            2000000,
        )
        spilt = [path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.tmp")]
        assert spilt
        assert {name.startswith(PREFIX) for name in spilt} == {True}
    package = Path(unitcost.__file__).parent
    elsewhere = [path.name for path in package.rglob("*.py") if CONNECTS.search(path.read_text(encoding="utf-8"))]
    assert elsewhere == ["in_memory.py"]
