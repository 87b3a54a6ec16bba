"""Ends `unitcost serve` at random moments under load, starts it again, and compares every number with an exact one.

    python -m bench.kills [--kills N] [--terms N] [--seed N]

Six days of the sample company are refreshed every second while its bill, usage and revenue files change.
A third of the kills (SIGKILL) hit the very first start on an empty state_dir. After each the files stand still and a
new process must serve, to the last digit, what a ledger that was never killed serves of them. SIGTERMs hit the same
moments; their exit codes and seconds are counted. Exits with 1 when anything was refused, wrong, or not 0.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import requests

from unitcost import sample

AS_OF = "2026-11-23T12:00:00Z"
HISTORY = "history: 5d\nrefresh: {every: 1s}\nwindows: [1d, 5d, mtd]\nlimits: {tenants: 40}"
FILES = ("mrr.csv", "usage.csv", "focus/BILLING_PERIOD=2026-11/bill-00001.csv.gz")
OLD = ("2026-07", "2026-08", "2026-09", "2026-10")
"""Billing periods that are taken away: a first load shall be short."""
PATIENCE = 120.0


class Company:
    """The sample's files in two versions, put in place whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = sample.write(folder, datetime.fromisoformat(AS_OF))
        path.write_text(re.sub(r"history: .*", HISTORY, path.read_text()))
        for period in OLD:
            shutil.rmtree(folder / f"focus/BILLING_PERIOD={period}")
        usage = (folder / "usage.csv").read_text().splitlines(keepends=True)
        (folder / "usage.csv").write_text("".join(usage[:1] + [line for line in usage[1:] if line > "2026-11-18"]))
        versions = folder / "versions"
        for name in FILES:
            content = (folder / name).read_bytes()
            plain = thinned(gzip.decompress(content)) if name.endswith(".gz") else content
            other = plain[: plain.rstrip(b"\n").rindex(b"\n") + 1]  # without its last line
            for version, data in enumerate((plain, other)):
                target = versions / str(version) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)

    def put(self, version: int, names: tuple[str, ...] = FILES) -> None:
        """Put files of a version in place."""
        for name in names:
            draft = self.folder / f"{name}.draft"
            shutil.copyfile(self.folder / "versions" / str(version) / name, draft)
            draft.replace(self.folder / name)

    @contextmanager
    def changing(self, rnd: random.Random) -> Iterator[None]:
        """Change a file every now and then while the block runs."""
        ended = threading.Event()

        def change() -> None:
            while not ended.wait(rnd.uniform(0.2, 1.0)):
                self.put(rnd.randrange(2), (rnd.choice(FILES),))

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def thinned(bill: bytes) -> bytes:
    """Return the head of a CSV file and every tenth line of the rest."""
    head, *lines = bill.splitlines(keepends=True)
    return b"".join([head, *lines[::10]])


def numbers(exposition: str) -> list[str]:
    """Return the samples that do not speak of the exporter itself."""
    return [line for line in exposition.splitlines() if not line.startswith(("#", "unitcost_"))]


def expected(company: Company, version: int) -> list[str]:
    """Return what a ledger that was never killed serves."""
    company.put(version)
    shutil.rmtree(company.folder / "state", ignore_errors=True)
    command = [sys.executable, "-m", "unitcost", "serve", "--once", "--as-of", AS_OF]
    done = subprocess.run(command, cwd=company.folder, capture_output=True, text=True, check=True)
    shutil.rmtree(company.folder / "state")
    return numbers(done.stdout)


class Server:
    """A process of `unitcost serve`, its log in a file."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "serve.log"
        command = [sys.executable, "-m", "unitcost", "serve", "--listen", "127.0.0.1:0", "--as-of", AS_OF]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)

    def served(self) -> list[str]:
        """Return the numbers that are served now; none before there are any."""
        found = re.search(r"serving on (\S+)", self.log.read_text())
        if found is None:
            return []
        try:
            answer = requests.get(f"{found[1]}/metrics", timeout=10)
        except requests.RequestException:
            return []
        return numbers(answer.text) if answer.status_code == 200 else []

    def end(self, number: int) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(), time.monotonic() - begin

    def serves(self, wanted: list[str]) -> str:
        """Wait for these numbers; return what happened: exact, refused or wrong."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return "refused"
            if self.served() == wanted:
                return "exact"
            time.sleep(0.1)
        return "wrong"


def run(folder: Path, number: int, times: int, rnd: random.Random) -> tuple[Counter[str], Counter[int], list[float]]:
    """Send a signal so many times; return what came after each start, the exit codes, and the seconds until the end."""
    company = Company(folder)
    begin = time.monotonic()
    wanted = [expected(company, version) for version in range(2)]
    load = (time.monotonic() - begin) / 2  # from the start to the first numbers
    after: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    seconds = []
    for count in range(times):
        first = count % 3 == 0
        if first:
            shutil.rmtree(folder / "state", ignore_errors=True)
        with company.changing(rnd):
            server = Server(folder)
            time.sleep(rnd.uniform(0, 1.3 * load))
            code, took = server.end(number)
        codes[code] += 1
        seconds.append(took)
        if code not in {0, -number}:
            print(server.log.read_text(), file=sys.stderr)
        company.put(count % 2)
        again = Server(folder)
        found = again.serves(wanted[count % 2])
        after[found] += 1
        print(f"{count + 1}: exit code {code} after {took:.2f} s; then {found}", file=sys.stderr, flush=True)
        if found != "exact":
            print(again.log.read_text(), file=sys.stderr)
        again.process.kill()
        again.process.wait()
    return after, codes, seconds


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--terms", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    good = True
    for number, times in ((signal.SIGKILL, args.kills), (signal.SIGTERM, args.terms)):
        if not times:
            continue
        with tempfile.TemporaryDirectory() as folder:
            after, codes, seconds = run(Path(folder), number, times, random.Random(args.seed))
        allowed = {0} if number == signal.SIGTERM else {-number}
        good &= set(after) == {"exact"} and set(codes) <= allowed
        print(
            f"{times} × {number.name}, {-(-times // 3)} of them in a first start: after it {dict(after)}; exit codes"
            f" {dict(codes)}; until the end {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s",
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
