"""Requests that cost money, counted before each is sent: in a file a month, beside the ledger and not in it.

A budget must hold whoever asks: the exporter, `check` or `report` beside it, or a command on a copy of the ledger; and
it must not come back when a copy takes the ledger's place. DuckDB lets one process write, so the ledger cannot count.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from unitcost.errors import SourceError

FOLDER = "paid"
"""In state_dir: `2026-11.csv` has a line for each request of that month, when it was sent and for which source."""


class PaidRequests:
    """Counts paid requests by source and calendar month (UTC); any thread and any process may count at once.

    folder: the state_dir; None: in memory, for who keeps no state. clock: the real one, whatever --as-of says, since
    money is spent when it is spent.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder = None if folder is None else folder / FOLDER
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: Counter[tuple[str, str]] = Counter()

    def spend(self, source: str, budget: int) -> bool:
        """Count one more request of a source, on disk when it returns; False where that would be more than the budget.

        Raises SourceError `budget` where it cannot be counted.
        """
        now = self._clock()
        month = f"{now:%Y-%m}"
        with self._lock:
            if self._folder is None:
                if self._kept[source, month] >= budget:
                    return False
                self._kept[source, month] += 1
                return True
            with self._told(self._folder), self._opened(self._folder, month) as file:
                if _counted(file, source) >= budget:
                    return False
                os.write(file, f"{now:%Y-%m-%dT%H:%M:%SZ},{source}\n".encode())
                os.fsync(file)
                return True

    def spent(self, source: str) -> tuple[date, int]:
        """Return the first of the present month, and how many requests of a source were counted in it."""
        now = self._clock()
        month = f"{now:%Y-%m}"
        with self._lock:
            if self._folder is None:
                return now.date().replace(day=1), self._kept[source, month]
            with self._told(self._folder):
                if not (self._folder / f"{month}.csv").exists():
                    return now.date().replace(day=1), 0
                with self._opened(self._folder, month) as file:
                    return now.date().replace(day=1), _counted(file, source)

    @contextmanager
    def _opened(self, folder: Path, month: str) -> Iterator[int]:
        """Yield a month's file, which nobody else reads or writes meanwhile."""
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / f"{month}.csv", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _told(self, folder: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(
                "budget",
                str(folder),
                f"paid requests cannot be counted there ({error.strerror}), so none is sent",
                "Make it writable for this user",
            ) from error


def _counted(file: int, source: str) -> int:
    """Return how many lines are of a source. One that was cut off as it was written counts for every source."""
    size = os.fstat(file).st_size
    lines = os.pread(file, size, 0).decode(errors="replace").splitlines()
    names = [line.partition(",") for line in lines]
    return sum(1 for _, comma, name in names if name == source or not (comma and name))
