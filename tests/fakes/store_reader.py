"""A bill in an object store, read as an exporter reads it: stored, asked again, restarted."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tests.fakes.object_stores import Bucket
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.facts import Batch, Note, Problem
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

NOW = utc(2026, 11, 25)
FIRST = date(2026, 9, 1)


class Reader:
    """A source as an exporter has it: what it handed over is stored, and a restart can lose the cache."""

    def __init__(self, bucket: Bucket, path: str, cache: Path, size: str = "1GB", **more: Any) -> None:
        self.bucket = bucket
        self.stored = MemoryStored(NOW)
        self.cache = cache
        self._path = path
        self._size = size
        self._given = more
        self.restart()

    def restart(self, *, losing_the_cache: bool = False) -> None:
        if losing_the_cache:
            shutil.rmtree(self.cache)
        settings = FocusSettings(
            type="focus",
            path=self._path,  # type: ignore[arg-type]
            store=self.bucket.settings,  # type: ignore[arg-type]
            cache={"path": self.cache, "size": self._size},  # type: ignore[arg-type]
            **self._given,
        )
        self.source = Focus("bill", settings, Context(tenant_keys=("tenant",)))

    def refresh(self, now: datetime = NOW) -> list[Problem | Note | str]:
        """Return what was said, and the keys of the batches that were stored."""
        self.bucket.relay.forget()
        said: list[Problem | Note | str] = []
        for item in self.source.batches(asked(now, FIRST, self.stored)):
            self.stored.take([item])
            said.append(item.key if isinstance(item, Batch) else item)
        return said

    def read(self) -> list[str]:
        """Return the names of the files of charges that the last refresh fetched."""
        return [path.rpartition("/")[2] for path in self.bucket.relay.read() if path.endswith((".gz", ".parquet"))]


def notes(said: list[Problem | Note | str]) -> list[str]:
    return [one.text for one in said if isinstance(one, Note)]


def problems(said: list[Problem | Note | str]) -> list[Problem]:
    return [one for one in said if isinstance(one, Problem)]
