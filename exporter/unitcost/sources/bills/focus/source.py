"""Cloud bills in the FOCUS format, 1.0 to 1.4: CSV, CSV.gz or Parquet files, read by DuckDB and never row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from unitcost.days import month_before, month_of
from unitcost.errors import SourceError
from unitcost.facts import COST, Asked, Batch, Note, Problem, Stored
from unitcost.in_memory import in_memory
from unitcost.sources.base import NOBODY, OR_NONE, Context, SourceKind
from unitcost.sources.bills.focus.asking import any_tenant, count, frequent_keys, odd_values
from unitcost.sources.bills.focus.contents import Facts, inspect
from unitcost.sources.bills.focus.costs import empty_cost, missing_costs
from unitcost.sources.bills.focus.deliveries.base import month_end
from unitcost.sources.bills.focus.engines.table import Planned, TableBill
from unitcost.sources.bills.focus.files import UNPACK, UNREAD, BillFile, Folder, find, fingerprint
from unitcost.sources.bills.focus.known import Restatements, has_every_day, is_settled, known_days
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.parts import delivered_twice
from unitcost.sources.bills.focus.query import Bill, build
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.similar import similar_keys, tell_similar, with_spellings
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import ChangedError
from unitcost.sources.bills.focus.stores.export import SETTLED, Export, Part
from unitcost.sources.bills.focus.tags import Tags
from unitcost.sources.bills.focus.worklist import worklist

FORMAT = 6
"""Part of every fingerprint; raised when the same files would give other rows."""
NAMED = 3
"""Of the files that are left out, so many are named."""


class Focus:
    """One FOCUS export; a batch is a billing period ("YYYY-MM", by the month it starts in), replaced whole.

    Amounts are summed with 18 decimals and rounded to 12 per row. A charge of more than 25 hours is spread evenly over
    its days inside its billing period, any other counts on one day; days.py says which, known.py what is known.
    """

    kind: ClassVar[SourceKind] = "bill"

    def __init__(self, name: str, settings: FocusSettings, context: Context) -> None:
        self.name = name
        self._settings = settings
        self._options = Options(
            settings.cost,
            None if settings.tenant == NOBODY else settings.tenant,
            () if settings.tenant == NOBODY else context.tenant_keys,
            context.dimensions,
            context.metered,
            settings.split_cost_allocation,
        )
        self._table = (
            None
            if settings.engine is None
            else TableBill(
                name,
                settings.engine,
                self._options,
                zero=settings.missing_days == "zero",
                waiting=context.waiting,
            )
        )
        self._folding = context.fold
        self._facts: dict[BillFile, Facts] = {}
        self._told: dict[str, tuple[str, list[Problem | Note]]] = {}
        self._judged: dict[str, tuple[list[BillFile], Problem | None]] = {}
        self._spelt: dict[str, tuple[list[BillFile], Options]] = {}
        self._restatements = Restatements(name)
        self._kept: dict[BillFile, Facts] = {}
        self._said: dict[str, list[Problem | Note]] = {}
        self._newest: Bill | None = None
        self._export = self._in_store(settings.path, context) if isinstance(settings.path, Address) else None

    def _in_store(self, address: Address, context: Context) -> Export:
        given, mine = self._settings, self._options
        made_of = [FORMAT, mine.cost, mine.tenant, mine.keys, mine.resources, mine.split, self._folding]
        made_of += [given.overlapping_files, given.missing_days]
        return Export(self.name, address, (given.store, given.cache, given.delivery), context, made_of)

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield what a refresh asks, see _bills; the sums of files are kept no longer than that."""
        if self._table is not None:
            yield from self._table.batches(asked)
            return
        try:
            if self._export is not None:
                yield from self._delivered(self._export, asked)
            elif isinstance(self._settings.path, Path):
                found = find(self._settings.path)
                self._inspect(found.files)
                yield from self._bills(found, asked)
        finally:
            self._facts = {file: replace(facts, sums=None) for file, facts in self._facts.items()}
            self._kept = {file: replace(facts, sums=None) for file, facts in self._kept.items()}
            if self._newest is not None:
                self._newest = replace(self._newest, facts=[replace(one, sums=None) for one in self._newest.facts])

    def planned(self, asked: Asked) -> Iterator[Planned]:
        """Yield what an engine would be asked; nothing where the bill is files. Raises SourceError."""
        if self._table is not None:
            yield from self._table.planned(asked)

    def _delivered(self, export: Export, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield what of an export in a store is new, see Export.parts.

        A part that changes meanwhile, or is too large for the cache, stops no other. What was said of billing periods
        that the ledger holds as they are is said again.
        """
        again = dict(self._said)
        try:
            for part in export.parts(asked, self._periods_in):
                if not isinstance(part, Part):
                    yield part
                    continue
                for period in part.periods:
                    again.pop(period, None)
                try:
                    self._inspect(part.folder.files)
                    yield from map(export.fetched.shown, self._bills(part.folder, asked, part))
                except SourceError as error:
                    if not _of_one_month(error):
                        raise
                    yield export.fetched.shown(Problem.of(error))
        except SourceError as error:
            raise export.fetched.explained(error) from error
        self._kept = {file: facts for file, facts in self._kept.items() if export.fetched.knows(file)}
        self._said = {period: said for period, said in self._said.items() if month_end(period) >= asked.first_day}
        for period in again.keys() & self._said.keys():
            yield from map(export.fetched.shown, again[period])

    def _bills(self, found: Folder, asked: Asked, part: Part | None = None) -> Iterator[Batch | Problem | Note]:
        """Yield the billing periods that changed, newest first, and a Problem for each that cannot be read.

        A file that cannot be read spoils the period that its folder names (BILLING_PERIOD=2026-11); raises its
        SourceError when no folder says. Raises SourceError `missing` or `empty` when there is no charge at all.
        Files beside the bill's are named: in a Problem if they are packed, so that money may be missing, else a Note.
        """
        yield from self._left_out(found)
        bills, broken = self._by_period()
        if not bills and not broken:
            if part is not None:
                yield Note(f"{', '.join(sorted(part.periods))}: what was delivered holds no charge")
                return
            raise SourceError("empty", str(self._settings.path), "holds no charge", "Wait for the first export")
        made = {key: Bill.of(key, facts) for key, facts in bills.items()}
        before = {key: made[earlier] for earlier, key in pairwise(sorted(made))}
        keys = sorted({*bills, *broken} if part is None else {*bills, *broken} & part.periods, reverse=True)
        if part is not None and part.twice == "never":
            yield from _strange(part, bills)
        for key in keys:
            items = broken[key] if key in broken else self._period(made[key], before.get(key), asked, part)
            yield from self._remembered(key, items)
        if part is None or (keys and (self._newest is None or keys[0] >= self._newest.key)):
            self._newest = made.get(keys[0])

    def advice(self, stored: Stored) -> Iterator[Note]:
        """Yield what of the newest billing period has no tenant, the dearest first; see worklist."""
        if self._newest is not None and not self._options.nobodys:
            with self._there(self._newest, needed=True):
                yield from worklist(self._newest, self._options_of(self._newest), self._settings.scopes, stored)

    def _by_period(self) -> tuple[dict[str, list[Facts]], dict[str, list[Problem]]]:
        """Return the files of each billing period, and what is wrong with those that cannot be read, see _bills."""
        broken: dict[str, list[Problem]] = {}
        bills: dict[str, list[Facts]] = {}
        for file, facts in self._facts.items():
            if facts.problem is not None:
                problem = facts.problem
                if file.partition is None:
                    raise SourceError(problem.reason, problem.where, problem.text, problem.hint)
                broken.setdefault(file.partition, []).append(problem)
            for key, period in facts.periods.items():
                bills.setdefault(key, []).append(facts)
                if period.problem is not None:
                    broken.setdefault(key, []).append(period.problem)
        return bills, broken

    def _remembered(self, key: str, items: Iterable[Batch | Problem | Note]) -> Iterator[Batch | Problem | Note]:
        """Yield what is to be said of a billing period, and remember it."""
        said = self._said[key] = []
        for item in items:
            if not isinstance(item, Batch):
                said.append(item)
            yield item

    def _inspect(self, files: Sequence[BillFile]) -> None:
        """Look into the files that are new or have changed, and again into those that could not be read."""
        earlier = {**self._kept, **self._facts}
        known = {file: facts for file, facts in earlier.items() if facts.problem is None and facts.file.stands}
        self._facts = {}
        with in_memory() as connection:
            for file in files:
                if file not in known and self._export is not None:
                    self._export.fetched.fetch([file])
                self._facts[file] = known.get(file) or inspect(file, self._options, connection)
        if self._export is not None:
            self._kept.update(self._facts)

    def _periods_in(self, files: Sequence[BillFile]) -> list[Collection[str]]:
        """Return the billing periods that each file of a store holds."""
        self._inspect(files)
        return [self._facts[file].periods for file in files]

    @contextmanager
    def _there(self, bill: Bill, *, needed: bool) -> Iterator[None]:
        """Have the files of a billing period here, where they are needed."""
        if self._export is None or not needed:
            yield
            return
        with self._export.fetched.holding(bill.files, f"{bill.key} of {self._settings.path}"):
            self._export.fetched.fetch(bill.files)
            yield

    def _earlier(self, bill: Bill) -> Bill | None:
        """Return the month before a billing period, from a store, where it matters."""
        if self._export is None or has_every_day(bill):
            return None
        key = f"{month_before(month_of(bill.key)):%Y-%m}"
        facts = self._facts
        try:
            self._inspect(self._export.whole(key))
            found = [one for one in self._facts.values() if key in one.periods]
        except SourceError as error:
            if not _of_one_month(error):
                raise
            found = []
        finally:
            self._facts = facts
        return Bill.of(key, found) if found else None

    def _left_out(self, found: Folder) -> Iterator[Problem | Note]:
        """Name the files that are not read; forget those of them that were looked into."""
        others = [facts for facts in self._facts.values() if facts.other]
        if len(others) == len(self._facts):
            if found.packed:
                raise SourceError("format", str(found.packed[0]), UNREAD, UNPACK)
            return
        self._facts = {file: facts for file, facts in self._facts.items() if not facts.other}
        for path in found.packed:
            yield Problem("format", str(path), UNREAD, UNPACK)
        names = sorted([*found.others, *(facts.file.name for facts in others)])
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield Note(f"left out, as they are no cost dataset: {', '.join(names[:NAMED])}{more}")

    def _period(
        self, bill: Bill, before: Bill | None, asked: Asked, part: Part | None
    ) -> Iterator[Batch | Problem | Note]:
        zero = self._settings.missing_days == "zero"
        days, holes = known_days(bill, before or self._earlier(bill), asked.now, zero=zero)
        digest = self._digest(bill, days, asked)
        stored = asked.stored.fingerprint(bill.key)
        untold = self._told.get(bill.key, ("",))[0] != digest
        with self._there(bill, needed=stored != digest or untold or bill.sum("costless") > 0):
            if problem := empty_cost(bill, self._options.cost, str(self._settings.path)):
                yield problem
                return
            options = self._options_of(bill)
            if stored != digest:
                if problem := self._overlap(bill, part):
                    yield problem
                    return
                self._restatements.compare(bill, asked.stored, settled=is_settled(bill, asked.now))
                yield Batch(bill.key, days, digest, cost=build(bill, options, kept=options == self._options), says=COST)
            if untold:
                missing = missing_costs(bill, options.cost, str(self._settings.path))
                self._told[bill.key] = (digest, [*self._untold(bill, options), *missing])
        yield from self._told[bill.key][1]
        yield from self._restatements.notes(bill, holes, settled=is_settled(bill, asked.now))
        if not options.tenant and not options.nobodys and not all(schema.has("Tags") for schema, _ in bill.scans):
            text = f"{bill.key}: no column Tags, so no charge has a tenant; set tenant to a column if one names it"
            yield Note(f"{text}, or to none")

    def _digest(self, bill: Bill, days: list[date], asked: Asked) -> str:
        """Return what the batch of a billing period is made from."""
        if self._export is not None:
            return self._export.fingerprint(bill.key, bill.files, SETTLED if is_settled(bill, asked.now) else days)
        options = self._options_of(bill)
        made_of = (FORMAT, options.cost, options.tenant, options.keys, options.resources, options.split)
        return fingerprint(bill.files, [*made_of, self._settings.overlapping_files, days])

    def _options_of(self, bill: Bill) -> Options:
        """Return the options, with the spellings of the tenant's keys where names fold; files are looked at once."""
        if not self._folding or self._options.tenant:
            return self._options
        spelt = self._spelt.get(bill.key)
        if spelt is None or spelt[0] != bill.files:
            alike = bill.any("similar_keys")
            spelt = bill.files, with_spellings(bill.scans, bill.key, self._options) if alike else self._options
            self._spelt[bill.key] = spelt
        return spelt[1]

    def _overlap(self, bill: Bill, part: Part | None) -> Problem | None:
        """Say which two files hold charges twice; the files are compared once, as long as they are the same."""
        if part is not None and part.twice == "never":
            return None
        judged = self._judged.get(bill.key)
        if judged is None or judged[0] != bill.files:
            adding = self._settings.overlapping_files == "sum" or (part is not None and part.twice == "same")
            found = delivered_twice(bill.key, bill.facts, self._options.cost, adding=adding)
            judged = bill.files, found.problem(bill.key) if found else None
            self._judged[bill.key] = judged
        return judged[1]

    def _untold(self, bill: Bill, options: Options) -> Iterator[Problem | Note]:
        """Say what leaves charges without a tenant. Their money counts all the same."""
        for facts in bill.facts:
            period = facts.periods[bill.key]
            if facts.schema and period.broken_tags:
                broken = count([(facts.schema, facts.file)], bill.key, Tags.broken)
                text = f"{broken} rows of {bill.key} have Tags that are no JSON; their charges have no tenant"
                yield Problem("tags", str(facts.file.path), text, "Repair the export")
            if facts.schema and period.odd_tags:
                found = odd_values(facts.schema, facts.file, bill.key, options)
                yield from [found] if found else []
        if bill.any("similar_keys"):
            note = tell_similar(similar_keys(bill.scans, bill.key, options), bill.key, options)
            yield from [note] if note else []
        if options.nobodys or bill.any("tenanted"):
            return
        tagged = 0 if options.tenant else count(bill.scans, bill.key, Tags.present)
        if not (tagged or options.tenant) or any_tenant(bill.scans, bill.key, options):
            return
        where = str(self._settings.path)
        if options.tenant:
            text = f"the column {options.tenant} is empty in every row of {bill.key}"
            yield Problem("untagged", where, text, f"Set tenant to the column that names the tenant, {OR_NONE}")
        else:
            text = f"none of the {tagged} tagged rows of {bill.key} has the tag {' or '.join(options.tenant_keys)}"
            keys = ", ".join(frequent_keys(bill.scans, bill.key)) or "none"
            hint = f"Set tenants.key (the most frequent tags are: {keys}), {OR_NONE}"
            yield Problem("untagged", where, text, hint)


def _of_one_month(error: SourceError) -> bool:
    """Tell whether an error is of one delivery alone: its files changed meanwhile, or the cache cannot hold them."""
    return isinstance(error, ChangedError) or error.reason == "too_large"


def _strange(part: Part, bills: Mapping[str, list[Facts]]) -> Iterator[Problem]:
    """Yield a Problem for each billing period that is in a delivery of another one: it may not be all of it."""
    for key in sorted(bills.keys() - part.periods):
        where = str(bills[key][0].file.path)
        text = f"holds charges of {key}, delivered as {', '.join(part.periods)}; they are not counted"
        yield Problem("period", where, text, "Set delivery: folder if the export is not by billing period")
