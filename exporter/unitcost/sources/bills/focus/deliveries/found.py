"""Tells by what lies at a place how a provider delivers there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.deliveries.aws import EXPORT, FOLDERS, Aws
from unitcost.sources.bills.focus.deliveries.azure import MANIFEST, RANGE, Azure
from unitcost.sources.bills.focus.deliveries.base import Kind
from unitcost.sources.bills.focus.deliveries.loose import DATED, Loose
from unitcost.sources.bills.focus.files import is_table
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import Object, Store

WIDEST = 50
"""Folders that are looked into for an export."""
LOOKED_AT = 10_000
"""Objects that are looked at, to tell what delivers here."""
WAIT = "Correct path, or wait for the first delivery"


def look(store: Store, address: Address, said: Kind) -> Aws | Azure | Loose:
    """Return how files are delivered at a place, as is said or as it is found. Raises SourceError."""
    root = address.root
    folders, objects = store.level(root)
    if not folders and not objects:
        raise SourceError("missing", str(address), "nothing lies there", WAIT)
    _no_table(store, address, root, folders)
    if said == "azure":
        return Azure(address, root)
    if said in {"oci", "folder"}:
        return Loose(address, dated=said == "oci")
    names = {_last(folder) for folder in folders}
    if said == "aws" or not any(RANGE.fullmatch(name) or DATED.match(f"{name}/01/01/") for name in names):
        exports = [root] if names & FOLDERS else _exports(store, folders)
        if exports:
            _no_table(store, address, exports[0], [f"{exports[0]}metadata/"])
            return _one(exports, address)
    if said == "aws":
        text = "holds no folder with metadata/ and data/, as AWS Data Exports write them"
        raise SourceError("missing", str(address), text, WAIT)
    return _by_keys([one.key for one in islice(store.all(root), LOOKED_AT)], address, root)


def _by_keys(keys: Sequence[str], address: Address, root: str) -> Aws | Azure | Loose:
    exports = sorted({found[1] for key in keys if (found := EXPORT.match(key))})
    if exports:
        return _one(exports, address)
    parts = [key.removeprefix(root).split("/") for key in keys]
    if any(RANGE.fullmatch(part) for path in parts for part in path[:-1]):
        return Azure(address, root)
    if any(path[-1] == MANIFEST for path in parts):
        text = "holds a manifest.json in no folder of a range (20261101-20261130)"
        raise SourceError("format", str(address), text, "Point path at the export, or set delivery")
    return Loose(address, dated=any(DATED.search(key) for key in keys))


def _one(exports: Sequence[str], address: Address) -> Aws:
    if len(exports) > 1:
        some = ", ".join(export.rstrip("/") for export in exports[:3])
        raise SourceError("format", str(address), f"holds {len(exports)} exports ({some})", "Point path at one")
    return Aws(address, exports[0])


def _exports(store: Store, folders: Sequence[str]) -> list[str]:
    """Return those folders that are of an AWS Data Export."""
    looked = folders[:WIDEST]
    return [folder for folder in looked if {_last(inner) for inner in store.level(folder)[0]} & FOLDERS]


def _last(folder: str) -> str:
    return folder.rstrip("/").rpartition("/")[2]


def _no_table(store: Store, address: Address, root: str, folders: Sequence[str]) -> None:
    """Raise SourceError `table` where this is a table of Delta Lake or Iceberg: not every file in it counts."""
    kind = None
    if f"{root}_delta_log/" in folders:
        kind = "Delta Lake"
    elif f"{root}metadata/" in folders and any(_is_iceberg(one) for one in store.level(f"{root}metadata/")[1]):
        kind = "Iceberg"
    if kind is not None:
        raise is_table(str(address), kind)


def _is_iceberg(one: Object) -> bool:
    return one.name.endswith(".metadata.json")
