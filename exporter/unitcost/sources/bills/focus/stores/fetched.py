"""Objects of a store as files of a cache: fetched when they are needed, and told of by their own addresses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from unitcost.errors import SourceError
from unitcost.facts import Batch, Note, Problem, Query
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import Object, Store
from unitcost.sources.bills.focus.stores.cache import Cache

LONGEST = 150
"""Characters of an object's name that its file has; the end of it says what it is."""
_PERIOD = re.compile(r"(?:^|/)billing_period=(\d{4}-\d{2})/", re.IGNORECASE)


class Fetched:
    """Files that stand for objects below an address. store: where they are fetched from, set before they are."""

    store: Store

    def __init__(self, address: Address, cache: Cache) -> None:
        self.address = address
        self._cache = cache
        self._objects: dict[Path, Object] = {}

    def file(self, one: Object, period: str | None = None) -> BillFile:
        """Return the file that an object becomes, at a path which that object alone, as it is now, ever has.

        period: the billing period that it is delivered for, where its key does not say it.
        """
        own = hashlib.sha256(repr((str(self.address), one.key, one.etag, one.size)).encode()).hexdigest()[:32]
        if period is None and (found := _PERIOD.search(one.key)):
            period = found[1]
        folder = self._cache.folder / own
        path = (folder / f"BILLING_PERIOD={period}" if period else folder) / one.name[-LONGEST:]
        self._objects[path] = one
        return BillFile(path, one.key.removeprefix(self.address.root), one.size, 0)

    def begin(self, store: Store) -> None:
        """Begin a refresh: know no object but those that are told from now on."""
        self.store = store
        self._objects.clear()

    def knows(self, file: BillFile) -> bool:
        """Tell whether a file stands for an object that was told in this refresh."""
        return file.path in self._objects

    def object(self, file: BillFile) -> Object:
        """Return the object that a file stands for."""
        return self._objects[file.path]

    def fetch(self, files: Sequence[BillFile]) -> None:
        """Have these files in the cache. Raises SourceError, ChangedError where one is another by now."""
        for file in files:
            wanted = self._objects[file.path]
            if not self._cache.has(file.path, wanted.size):
                where = self.address.of(wanted.key)
                self._cache.put(file.path, wanted.size, self.store.pieces(wanted), where)

    def holding(self, files: Sequence[BillFile], where: str) -> AbstractContextManager[None]:
        """Keep files that are needed together in the cache. Raises SourceError `too_large` where they do not fit."""
        self._cache.fits([file.size for file in files], where)
        return self._cache.holding(file.path for file in files)

    def shown(self, item: Batch | Problem | Note) -> Batch | Problem | Note:
        """Return what a source says, with the addresses of objects in place of their files."""
        if isinstance(item, Problem):
            return replace(item, where=self._named(item.where), text=self._named(item.text))
        if isinstance(item, Note):
            return replace(item, text=self._named(item.text))
        if isinstance(item.cost, Query) and (failed := item.cost.failed) is not None:
            return replace(item, cost=replace(item.cost, failed=lambda error: self.explained(failed(error))))
        return item

    def explained(self, error: SourceError) -> SourceError:
        """Return an error with addresses in the same way."""
        return SourceError(error.reason, self._named(error.where), self._named(error.text), error.hint)

    def _named(self, text: str) -> str:
        for own in set(re.findall(rf"{re.escape(str(self._cache.folder))}/[0-9a-f]{{32}}/", text)):
            for path, one in self._objects.items():
                if str(path).startswith(own):
                    text = text.replace(str(path), self.address.of(one.key))
        return text
