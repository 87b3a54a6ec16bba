"""An export in an object store: which of its billing periods are to be read, and which files they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from unitcost.errors import SourceError
from unitcost.facts import Asked, Note, Problem
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.deliveries.aws import Aws
from unitcost.sources.bills.focus.deliveries.azure import Azure
from unitcost.sources.bills.focus.deliveries.base import Kind, NotWholeError, Run
from unitcost.sources.bills.focus.deliveries.found import look
from unitcost.sources.bills.focus.deliveries.loose import Loose
from unitcost.sources.bills.focus.files import BillFile, Folder
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import NEXT, Object, Store
from unitcost.sources.bills.focus.stores.cache import Cache
from unitcost.sources.bills.focus.stores.fetched import Fetched
from unitcost.sources.bills.focus.stores.opening import opened
from unitcost.sources.bills.focus.stores.settings import CacheSettings, StoreSettings

LASTING = timedelta(hours=24)
"""A delivery that is not whole for so long was interrupted, and that is a problem."""
SETTLED = "settled"
Inspected = Callable[[Sequence[BillFile]], Sequence[Collection[str]]]
"""Looks into files; the billing periods that each holds, none where it cannot be read."""


@dataclass(frozen=True)
class Part:
    """Files to be read together: all that the billing periods are made of; of others they may hold charges too.

    twice: whether files may hold the same charges twice: `never`, as one manifest names them; `same`, as the very same
    rows; `any`.
    """

    periods: frozenset[str]
    folder: Folder
    twice: Literal["never", "same", "any"]


class Export:
    """An export in a store. made_of: what of the settings decides the content of batches."""

    def __init__(
        self,
        name: str,
        address: Address,
        settings: tuple[StoreSettings, CacheSettings, Kind],
        context: Context,
        made_of: Sequence[object],
    ) -> None:
        self._address = address
        self._settings, cache, self._kind = settings
        self._waiting = context.waiting
        self._made_of = made_of
        self._layout: Aws | Azure | None = None
        self._runs: Mapping[str, Sequence[Run]] = {}
        self._versions: dict[str, object] = {}
        self._held: dict[str, list[BillFile]] = {}
        self.fetched = Fetched(address, Cache(cache.folder(context.state_dir, name), cache.size))

    def parts(self, asked: Asked, inspected: Inspected) -> Iterator[Problem | Note | Part]:
        """Yield what is to be read: billing periods that are not what the ledger holds, newest first.

        A closed one whose delivery the ledger holds costs no request of its own. Raises SourceError.
        """
        with closing(opened(self._address, self._settings, self._waiting)) as store:
            yield from self._parts(store, asked, inspected)

    def _parts(self, store: Store, asked: Asked, inspected: Inspected) -> Iterator[Problem | Note | Part]:
        self.fetched.begin(store)
        layout = self._layout or look(store, self._address, self._kind)
        if isinstance(layout, Loose):
            yield from self._loose(layout, asked, inspected)
            return
        self._layout = layout
        self._runs = layout.runs(store, asked.first_day)
        if not self._runs:
            text = f"holds no manifest of a billing period since {asked.first_day}"
            raise SourceError("missing", str(self._address), text, "Wait for the first delivery, or correct path")
        for period in sorted(self._runs, reverse=True):
            yield from self._delivered(layout, period, asked)

    def whole(self, period: str) -> list[BillFile]:
        """Return the files that a billing period is made of, none where it has no whole run. Raises SourceError."""
        if self._layout is None:
            return self._held.get(period, [])
        for run in self._runs.get(period, ()):
            try:
                return self._files_of(self._layout, run)
            except NotWholeError:
                continue
            except SourceError as error:
                if error.reason != "format":
                    raise
        return []

    def fingerprint(self, period: str, files: Sequence[BillFile], state: object) -> str:
        """Return what a batch is made from. state: SETTLED, or the days that are known of an open billing period."""
        if period in self._versions:
            return self._digest(self._versions[period], state)
        return self._listed(sorted(_id(self.fetched.object(file)) for file in files), state)

    # ---------------------------------------------------------------------------------- with manifests

    def _delivered(self, layout: Aws | Azure, period: str, asked: Asked) -> Iterator[Problem | Note | Part]:
        """Yield the newest whole delivery of a billing period, if the ledger has not got it, and what is not whole."""
        stored = asked.stored.fingerprint(period)
        why: NotWholeError | None = None
        where = ""
        for run in self._runs[period]:
            if stored == self._digest(run.version, SETTLED):
                break
            try:
                files = self._files_of(layout, run)
                if why is None and (since := layout.under_way(self.fetched.store, run)) is not None:
                    where = self._address.of(run.manifest.key)
                    why = NotWholeError("a newer delivery has no manifest yet", since)
            except NotWholeError as error:
                if why is None:
                    where, why = self._address.of(run.manifest.key), error
                continue
            except SourceError as error:
                if error.reason != "format":
                    raise
                yield Problem.of(error)
                continue
            self._versions[period] = run.version
            yield Part(frozenset({period}), Folder(files, [], []), "never")
            break
        else:
            if why is not None and stored is None:
                yield Problem("partial", where, f"the delivery of {period} is not whole: {why}", NEXT)
                return
        if why is not None:
            yield _told(period, where, why, asked.now)

    def _files_of(self, layout: Aws | Azure, run: Run) -> list[BillFile]:
        return [self.fetched.file(one, run.period) for one in layout.files(self.fetched.store, run)]

    # ---------------------------------------------------------------------------------- without

    def _loose(self, layout: Loose, asked: Asked, inspected: Inspected) -> Iterator[Problem | Note | Part]:
        """Yield, in one, the files of all billing periods that changed.

        Which of them a file holds is known from the ledger, where it holds it, or else by looking into it.
        """
        files = {_id(one): self.fetched.file(one) for one in layout.files(self.fetched.store, asked.first_day)}
        yield from layout.packed
        if not files:
            raise SourceError("missing", str(self._address), "no file of charges lies there", "Wait for the first one")
        if self._kind == "auto" and not layout.dated:
            yield Note(
                f"{self._address} has no manifest, so every file there counts; delivery: folder says that it may"
            )
        stored = {key: _ids(asked.stored.fingerprint(key)) for key in asked.stored.keys()}  # noqa: SIM118
        holds = {one: {key for key, ids in stored.items() if one in ids} for one in files}
        new = [one for one, keys in holds.items() if not keys]
        holds |= zip(new, map(set, inspected([files[one] for one in new])), strict=True)
        unread = [files[one] for one, keys in holds.items() if not keys]
        periods = {key for keys in holds.values() for key in keys}
        if layout.dated:
            periods = {key for key in periods if key >= f"{asked.first_day:%Y-%m}"}
            for key, count in _gone(periods, stored, files):
                periods.discard(key)
                yield Note(f"{key}: {count} of its files are gone from {self._address}; what is stored of it stays")
        needed = {
            key
            for key in periods
            if asked.stored.fingerprint(key) != self._listed(sorted(one for one in files if key in holds[one]), SETTLED)
        }
        self._held = {key: [files[one] for one in files if key in holds[one]] for key in periods}
        wanted = [file for one, file in files.items() if holds[one] & needed] + unread
        if wanted:
            yield Part(frozenset(needed), Folder(wanted, [], layout.others), "same" if layout.dated else "any")

    def _listed(self, ids: Sequence[str], state: object) -> str:
        return " ".join([self._digest(ids, state), *ids])

    def _digest(self, version: object, state: object) -> str:
        return hashlib.sha256(repr((self._made_of, version, state)).encode()).hexdigest()


def _told(period: str, where: str, why: NotWholeError, now: datetime) -> Problem | Note:
    """Say that a newer run does not count: it is on its way for a while, and interrupted after that."""
    if now - why.since <= LASTING:
        return Note(f"{period}: the last whole delivery counts: {why} ({where})")
    since = f"{why.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    text = f"the newest delivery of {period} is not whole since {since}, so that the last whole one counts: {why}"
    return Problem("partial", where, text, "Have the export written again, or remove what is left of it")


def _gone(
    periods: Collection[str], stored: Mapping[str, Collection[str]], there: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Yield billing periods of which files are gone that they were made from, and how many; a new version is none."""
    keys = {one.partition(".")[0] for one in there}
    for period in sorted(periods):
        count = len({one.partition(".")[0] for one in stored.get(period, ())} - keys)
        if count:
            yield period, count


def _id(one: Object) -> str:
    """Return what stands for an object in a fingerprint: its key, and what changes when it is written again."""
    return ".".join(hashlib.sha256(text.encode()).hexdigest()[:12] for text in (one.key, f"{one.etag} {one.size}"))


def _ids(fingerprint: str | None) -> set[str]:
    """Return the files that a batch was made from, as its fingerprint lists them."""
    return set((fingerprint or "").split()[1:])
