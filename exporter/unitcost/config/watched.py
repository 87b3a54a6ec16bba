"""The tenant directory as its file says now: read again when the file changed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from unitcost.config.directory import Directory

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int] | None


class WatchedDirectory:
    """A directory, and its file. One that is wrong or gone changes nothing, and is told of once. fold: tenants.fold."""

    def __init__(self, directory: Directory, fold: Literal["case", "none"]) -> None:
        self._now = directory
        self._fold = fold
        self._seen = _stamp(directory.path)

    def look(self) -> Directory:
        """Return what the file says, or said last when it was right."""
        path = self._now.path
        found = _stamp(path)
        if path is None or found == self._seen:
            return self._now
        self._seen = found
        read, mistakes = Directory.read(path)
        mistakes += read.clashes() if self._fold == "case" else []
        if mistakes:
            log.warning("%s changed and is wrong, what it said before stays in use: %s", path, "; ".join(mistakes))
        else:
            self._now = read
            log.info("%s was read again: %d tenants", path, len(read.tenants))
        return self._now


def _stamp(path: Path | None) -> Stamp:
    """Return what changes with the content of a file; None where it cannot be seen."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
