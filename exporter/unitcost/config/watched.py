"""The tenant directory as its file says now: read again when the file changed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from unitcost.config.directory import Directory
from unitcost.stamps import stamp

log = logging.getLogger(__name__)


class WatchedDirectory:
    """The file of a directory. One that is wrong or gone changes nothing, and is told of once. fold: tenants.fold."""

    def __init__(self, path: Path | None, fold: Literal["case", "none"]) -> None:
        self._path = path
        self._fold = fold
        self._seen = stamp(path) if path is not None else None

    def look(self) -> Directory | None:
        """Return what the file says where it has changed and is right."""
        if self._path is None or (found := stamp(self._path)) == self._seen:
            return None
        self._seen = found
        directory, mistakes = Directory.read(self._path, self._fold)
        if mistakes:
            log.warning(
                "%s changed and is wrong, what it said before stays in use: %s", self._path, "; ".join(mistakes)
            )
            return None
        log.info("%s was read again: %d tenants", self._path, len(directory.tenants))
        return directory
