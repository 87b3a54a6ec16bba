"""What was fetched, in files named by what they hold; a bounded folder from which the least recently used ones go."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from unitcost.errors import SourceError

PART = ".part"
"""What the names of files end with while they are written."""
LEFT = 86400.0
"""Seconds after which such a file is one that a killed process left behind."""

_held: Counter[Path] = Counter()
_lock = threading.Lock()


class Cache:
    """A folder of files. Several threads and processes may use it at once.

    limit: bytes of all files together; what others write at the same time is seen when it is reached.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._limit = limit
        self._used: int | None = None

    @contextmanager
    def holding(self, paths: Iterable[Path]) -> Iterator[None]:
        """Keep these files, there already or to come, for as long as the block runs."""
        held = list(paths)
        with _lock:
            _held.update(held)
        try:
            yield
        finally:
            with _lock:
                _held.subtract(held)

    def has(self, path: Path, size: int) -> bool:
        """Tell whether a file is here, whole; it counts as used now."""
        with suppress(OSError):
            if path.stat().st_size == size:
                os.utime(path)
                return True
        return False

    def put(self, path: Path, size: int, pieces: Iterable[bytes], where: str) -> None:
        """Write a file of so many bytes, whole or not at all; others go to make room for it.

        Raises SourceError `cache` where it cannot be (no room on the disk), `too_large`, and what `pieces` raises.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(size, where)
            handle, name = tempfile.mkstemp(suffix=PART, dir=self.folder)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    self._write(file.fileno(), piece)
            Path(name).replace(path)
            self._used = None if self._used is None else self._used + size
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            Path(name).unlink(missing_ok=True)

    def fits(self, sizes: Sequence[int], where: str) -> None:
        """Raise SourceError `too_large` where files that are needed together do not fit."""
        if sum(sizes) > self._limit:
            hint = "Raise cache.size to more than the largest billing period"
            text = f"takes {sum(sizes):,} bytes, more than the cache holds ({self._limit:,})"
            raise SourceError("too_large", where, text, hint)

    def _write(self, handle: int, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            left = left[os.write(handle, left) :]

    def _make_room(self, size: int, where: str) -> None:
        self.fits([size], where)
        if self._used is not None and self._used + size <= self._limit:
            return
        with _lock:
            used, files = 0, []
            for path in self.folder.rglob("*"):
                with suppress(OSError):  # another process makes room too
                    state = path.stat()
                    if not path.is_file():
                        continue
                    if path.name.endswith(PART) and time.time() - state.st_mtime > LEFT:
                        path.unlink()
                        continue
                    used += state.st_size
                    if not _held[path] and not path.name.endswith(PART):
                        files.append((state.st_mtime_ns, path, state.st_size))
            for _, path, bytes_ in sorted(files):
                if used + size <= self._limit:
                    break
                with suppress(OSError):
                    path.unlink()
                    used -= bytes_
                    for folder in (path.parent, path.parent.parent):
                        folder.rmdir()
        self._used = used
        if used + size > self._limit:
            text = f"{used:,} bytes are in use, so that {where} with {size:,} finds no room in {self._limit:,}"
            raise SourceError("cache", str(self.folder), text, "Raise cache.size")

    def _unwritable(self, error: OSError) -> SourceError:
        text = f"cannot be written: {error.strerror}"
        return SourceError("cache", str(self.folder), text, "Make room there, or set cache.path and cache.size")
