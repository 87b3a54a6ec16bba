"""SIGTERM and Ctrl-C at any moment: the process ends within seconds, with the code that is due, without a traceback."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.batches import batch
from tests.fakes.company import NOW, RATES, YESTERDAY
from tests.fakes.processes import exporter, wait_for
from tests.fakes.server import Reply, serve
from unitcost.cli.main import main
from unitcost.ending import ENDING, GRACE, INTERRUPTED
from unitcost.errors import LedgerStoppedError
from unitcost.ledger.checked import checked
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.store import Ledger

AS_OF = ("--as-of", "2026-11-23T12:00:00Z")
ENDED = GRACE + 5
HANGING = """
history: 5d
refresh: {{every: 1s}}
sources:
  cluster: {{type: opencost, url: "{url}", timeout: 60}}
  revenue: {{type: csv_revenue, path: mrr.csv}}
"""


@contextmanager
def command(folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the block ends."""
    run = [sys.executable, "-m", "unitcost", *args]
    process = subprocess.Popen(run, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    """Send a signal; return the exit code and the log. It must end in time."""
    process.send_signal(number)
    _, log = process.communicate(timeout=ENDED)
    assert "Traceback" not in log
    return process.returncode, log


def handles(pid: int) -> bool:
    """Tell whether a process has a handler for SIGTERM; before, Python itself is starting."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    caught = re.search(r"SigCgt:\s*(\w+)", status)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def hanging(folder: Path, url: str) -> None:
    (folder / "mrr.csv").write_text("tenant,mrr\nacme,30\n")
    (folder / "unitcost.yaml").write_text(HANGING.format(url=url))


def test_what_duckdb_makes_of_a_signal_is_an_end_and_no_defect(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It looks for signals while it works in the main thread, and raises an error of its own in their place."""

    def interrupted(*_: object) -> int:
        monkeypatch.setattr(ENDING, "received", signal.SIGTERM)
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr("unitcost.cli.metrics.run", interrupted)
    assert main(["metrics"]) == ENDING.code() == INTERRUPTED + signal.SIGTERM
    assert "report this" not in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after", [0, 0.4, 1, 2, 4])
def test_serve_ends_with_0_wherever_it_is(tmp_path: Path, after: float, number: int) -> None:
    """From the moment on that signals are handled: imports, the sample's files, the first load, the derivation."""
    with command(tmp_path, "serve", "--sample", *AS_OF, "--listen", "127.0.0.1:0") as process:
        wait_for(lambda: handles(process.pid), "signals are handled")
        time.sleep(after)
        assert ended(process, number)[0] == 0


def test_serve_ends_while_a_source_hangs_and_what_was_stored_is_in_the_ledger(tmp_path: Path) -> None:
    with serve(lambda _request: Reply(b"", stall=60)) as opencost:
        hanging(tmp_path, opencost.url)
        with exporter(tmp_path, *AS_OF) as unitcost:
            wait_for(lambda: bool(opencost.requests), "the source hangs")
            begin = time.monotonic()
            unitcost.process.send_signal(signal.SIGTERM)
            assert unitcost.process.wait(ENDED) == 0
            assert time.monotonic() - begin < GRACE + 1
    log = unitcost.log.read_text()
    assert "Traceback" not in log
    assert "WARNING" not in log, log
    assert checked(tmp_path / "state" / FILE_NAME).wrong == []


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    with serve(lambda _request: Reply(b"", stall=60)) as opencost:
        hanging(tmp_path, opencost.url)
        with exporter(tmp_path, *AS_OF) as unitcost:
            wait_for(lambda: bool(opencost.requests), "the source hangs")
            unitcost.process.send_signal(signal.SIGINT)
            unitcost.process.send_signal(signal.SIGINT)
            assert unitcost.process.wait(ENDED) == 0


@pytest.mark.parametrize(
    "args",
    [
        ("serve", "--once"),
        ("report", "--window", "1d"),
        ("check",),
        ("backfill", "--output", "past.om"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_says_so_by_its_exit_code_alone(
    tmp_path: Path, args: Sequence[str], number: int
) -> None:
    with serve(lambda _request: Reply(b"", stall=60)) as opencost:
        hanging(tmp_path, opencost.url)
        with command(tmp_path, *args, *AS_OF) as process:
            wait_for(lambda: bool(opencost.requests), "the source hangs")
            code, log = ended(process, number)
    assert code == 128 + number
    assert log == ""
    assert {path.name for path in tmp_path.iterdir()} <= {"mrr.csv", "unitcost.yaml", "state"}


def test_a_derivation_that_is_under_way_is_interrupted_and_the_ledger_is_as_before(tmp_path: Path) -> None:
    code = """
import signal, sys, threading
from pathlib import Path
from unitcost.ending import ENDING, leave
from unitcost.ledger.store import Ledger
ENDING.watch(graceful=True, hangup=False)
ledger = Ledger(Path(sys.argv[1]))
def derive():
    with ledger.transaction() as connection:
        connection.execute("DELETE FROM batch")
        print("deriving", flush=True)
        connection.execute("SELECT sum(hash(x + y)) FROM range(1000000) a(x), range(1000000) b(y)")
try:
    derive() if sys.argv[2] == "main" else threading.Thread(target=derive, daemon=True).start()
    signal.pause()
except BaseException as error:
    print(type(error).__name__, flush=True)
finally:
    ledger.close()
leave(ENDING.code())
"""
    for where in ("main", "thread"):
        ledger = Ledger(tmp_path / where)
        ledger.put("bill", "s", batch(YESTERDAY), NOW, RATES)
        ledger.close()
        run = [sys.executable, "-c", code, str(tmp_path / where), where]
        with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "deriving\n"
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=ENDED)
        assert process.returncode == 0
        assert out in {"InterruptedBySignal\n", "LedgerStoppedError\n"}
        assert checked(tmp_path / where / FILE_NAME).tables["batch"] == 1


def test_a_ledger_that_was_stopped_lets_nothing_begin(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.stop()
    with pytest.raises(LedgerStoppedError, match="is closed, unitcost is ending"):
        ledger.rows("SELECT 1")
    with pytest.raises(LedgerStoppedError):
        ledger.put("bill", "s", batch(YESTERDAY), NOW, RATES)
    ledger.close()
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
