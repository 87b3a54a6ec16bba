"""AWS Data Exports: `<export>/metadata/BILLING_PERIOD=2026-11/…/<export>-Manifest.json` names the files below `data/`.

It is written when all files are. An export overwrites its files, or brings each delivery in a folder of its own.
https://docs.aws.amazon.com/cur/latest/userguide/dataexports-export-delivery.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.deliveries.base import Run, Said, month_end, named, newest_first
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import Object, Store, read_json

FOLDERS = {"data", "metadata"}
"""What lies in the folder of an export."""
EXPORT = re.compile(r"(.*?)(?:data|metadata)/billing_period=\d{4}-\d{2}/", re.IGNORECASE)
"""What the keys of an export's files begin with."""
_PERIOD = re.compile(r"(?:^|/)billing_period=(\d{4}-\d{2})/", re.IGNORECASE)
_FOLDER = re.compile(r".*?billing_period=[^/]*/", re.IGNORECASE)
_MANIFEST = re.compile(r"(?:^|[-_.])manifest\.json$", re.IGNORECASE)
_TIMED = re.compile(r"\d{4}-?\d\d-?\d\d")
"""What the name of a delivery's folder begins with: the time of it."""


class Aws:
    """An export. root: what the keys of its folder begin with, with a slash at its end."""

    def __init__(self, address: Address, root: str) -> None:
        self._address = address
        self._root = root
        self._said: Said[list[str]] = Said()
        self._levels: dict[str, tuple[Sequence[str], Sequence[Object]]] = {}

    def runs(self, store: Store, first: date) -> Mapping[str, Sequence[Run]]:
        """Return the runs that have a manifest; only the metadata are listed."""
        self._levels.clear()
        found = []
        for one in store.all(f"{self._root}metadata/"):
            period = _PERIOD.search(one.key)
            if period and _MANIFEST.search(one.name) and month_end(period[1]) >= first:
                found.append(Run(period[1], one))
        return newest_first(found)

    def files(self, store: Store, run: Run) -> Sequence[Object]:
        """Return the files of a run; the folders that they lie in are listed."""
        names = self._said.of(run, lambda: self._named_by(store, run))
        folders = sorted({name[: name.rfind("/") + 1] for name in names})
        there = {one.key: one for folder in folders for one in self._level(store, folder)[1]}
        return named(run, dict.fromkeys(names), there)

    def under_way(self, store: Store, run: Run) -> datetime | None:
        """Look for folders of deliveries without a manifest that are newer than a run's."""
        names = self._said.of(run, lambda: self._named_by(store, run))
        for base in {found[0] for name in names if (found := _FOLDER.match(name))}:
            mine = max(name.removeprefix(base).partition("/")[0] for name in names if name.startswith(base))
            for folder in self._level(store, base)[0]:
                name = folder.removeprefix(base).rstrip("/")
                if _TIMED.match(name) and _TIMED.match(mine) and name > mine:
                    written = [one.modified for one in store.all(folder)]
                    return max(written) if written else None
        return None

    def _level(self, store: Store, prefix: str) -> tuple[Sequence[str], Sequence[Object]]:
        """Return what lies right below a prefix, asked once in a refresh."""
        if prefix not in self._levels:
            self._levels[prefix] = store.level(prefix)
        return self._levels[prefix]

    def _named_by(self, store: Store, run: Run) -> list[str]:
        """Return the keys of the files that a manifest names."""
        where = self._address.of(run.manifest.key)
        said = read_json(store, run.manifest, where)
        names = said.get("dataFiles") if isinstance(said, dict) else None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            hint = "Point path at an AWS Data Export, or set delivery"
            raise SourceError("format", where, "has no list dataFiles of addresses", hint)
        keys = []
        for name in names:
            bucket, slash, key = name.removeprefix("s3://").partition("/")
            if not name.startswith("s3://"):
                key = name
            elif bucket != self._address.bucket or not slash:
                text = f"names {name}, which is not in this bucket"
                raise SourceError("format", where, text, "Point path at the bucket that the export is delivered to")
            keys.append(key)
        return list(dict.fromkeys(keys))
