"""Azure exports: `{path}/{export}/{range}/{time}/{guid}/manifest.json` names the blobs of a run.

`{range}` is `20261101-20261130`. A daily export is month-to-date: each run holds its month from the beginning.
https://learn.microsoft.com/azure/cost-management-billing/costs/tutorial-improved-exports
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.deliveries.base import NotWholeError, Run, Said, month_end, named, newest_first
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import Object, Store, read_json

RANGE = re.compile(r"(\d{4})(\d\d)\d\d-\d{8}")
"""The folder of a month."""
MANIFEST = "manifest.json"


class Azure:
    """An export. root: what its keys begin with, "" or with a slash at its end."""

    def __init__(self, address: Address, root: str) -> None:
        self._address = address
        self._root = root
        self._there: dict[str, Object] = {}
        self._said: Said[dict[str, int | None]] = Said()

    def runs(self, store: Store, first: date) -> Mapping[str, Sequence[Run]]:
        """Return the runs that have a manifest. Raises SourceError where there are several exports."""
        self._there = {one.key: one for one in store.all(self._root)}
        found = []
        exports = set()
        for one in self._there.values():
            place = _place(one.key)
            if place is not None and one.name == MANIFEST and month_end(place[1]) >= first:
                exports.add(place[0])
                found.append(Run(place[1], one))
        if len(exports) > 1:
            some = ", ".join(sorted(exports)[:3])
            text = f"holds {len(exports)} exports ({some})"
            raise SourceError("format", str(self._address), text, "Point path at one of them")
        return newest_first(found)

    def files(self, store: Store, run: Run) -> Sequence[Object]:
        """Return the blobs of a run."""
        return named(run, self._said.of(run, lambda: self._named_by(store, run)), self._there)

    def under_way(self, store: Store, run: Run) -> datetime | None:  # noqa: ARG002 - all of it is listed already
        """Look for blobs of the month that are newer than a run's manifest, in folders without one."""
        with_manifest = {key.rpartition("/")[0] for key in self._there if key.endswith(f"/{MANIFEST}")}
        newer = [
            one.modified
            for one in self._there.values()
            if (place := _place(one.key)) is not None
            and place[1] == run.period
            and one.modified > run.manifest.modified
            and one.folder.rstrip("/") not in with_manifest
        ]
        return max(newer, default=None)

    def _named_by(self, store: Store, run: Run) -> dict[str, int | None]:
        """Return the keys of the blobs that a manifest names, with their sizes where it says them."""
        where = self._address.of(run.manifest.key)
        said = read_json(store, run.manifest, where)
        blobs = said.get("blobs") if isinstance(said, dict) else None
        if not isinstance(blobs, list) or not all(isinstance(one, dict) for one in blobs):
            raise SourceError("format", where, "has no list blobs", "Point path at an Azure export, or set delivery")
        about = said.get("exportConfig")
        kind = str(about.get("type", "FocusCost") if isinstance(about, dict) else "FocusCost")
        if kind.lower() != "focuscost":
            hint = "Point path at an export of the dataset Cost and usage details (FOCUS)"
            raise SourceError("format", where, f"is of an export of {kind}", hint)
        names: dict[str, int | None] = {}
        for blob in blobs:
            name, size = blob.get("blobName"), blob.get("byteCount")
            if not isinstance(name, str):
                raise SourceError("format", where, "names a blob without blobName", "Repair the export")
            key = name.lstrip("/")
            moved = f"{run.manifest.folder}{key.rpartition('/')[2]}"  # copied to another folder or container
            key = moved if key not in self._there and moved in self._there else key
            names[key] = size if isinstance(size, int) and size > 0 else None
        if not names:
            raise NotWholeError("its manifest names no blob", run.manifest.modified)
        return names


def _place(key: str) -> tuple[str, str] | None:
    """Return a key's export, and the month of its range; None where it lies in no range."""
    parts = key.split("/")
    for at, part in enumerate(parts[:-1]):
        if found := RANGE.fullmatch(part):
            return "/".join(parts[:at]), f"{found[1]}-{found[2]}"
    return None
