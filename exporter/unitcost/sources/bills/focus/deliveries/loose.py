"""Files without a manifest: Oracle's, six-hourly in `2026/11/30/` (each charge once), or all that lies in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import PurePosixPath

from unitcost.facts import Problem
from unitcost.sources.bills.focus.files import UNPACK, UNREAD, sort_of
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import Object, Store

DATED = re.compile(r"(?:^|/)(20\d\d)/(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/")


class Loose:
    """A place whose files count as they lie there. dated: by day, and each is there for ever once it is."""

    def __init__(self, address: Address, *, dated: bool) -> None:
        self._address = address
        self.dated = dated
        self.packed: list[Problem] = []
        self.others: list[str] = []

    def files(self, store: Store, first: date) -> Iterator[Object]:
        """Yield the files; dated ones from the month of `first` on."""
        root = self._address.root
        self.packed, self.others = [], []
        for one in store.all(root):
            name = one.key.removeprefix(root)
            if self.dated and (day := DATED.search(one.key)) and f"{day[1]}-{day[2]}" < f"{first:%Y-%m}":
                continue
            sort = sort_of(PurePosixPath(name)) if one.size else None
            if sort == "bill":
                yield one
            elif sort == "packed":
                self.packed.append(Problem("format", self._address.of(one.key), UNREAD, UNPACK))
            elif sort == "other":
                self.others.append(name)
