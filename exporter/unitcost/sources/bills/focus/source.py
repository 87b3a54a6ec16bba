"""Cloud bills in the FOCUS format, 1.0 to 1.4: CSV, CSV.gz or Parquet files, read by DuckDB and never row by row."""

from __future__ import annotations

import logging
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar

from unitcost.errors import SourceError
from unitcost.facts import COST, Asked, Batch, Note, Problem, Stored
from unitcost.sources.base import NOBODY, OR_NONE, Context, SourceKind
from unitcost.sources.bills.focus.asking import any_tenant, count, frequent_keys, odd_values
from unitcost.sources.bills.focus.contents import Facts, inspect
from unitcost.sources.bills.focus.costs import empty_cost, missing_costs
from unitcost.sources.bills.focus.days import SINCE
from unitcost.sources.bills.focus.files import UNPACK, UNREAD, BillFile, Folder, find, fingerprint
from unitcost.sources.bills.focus.known import is_settled, known_days, restatement, tell_holes, told
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.parts import delivered_twice
from unitcost.sources.bills.focus.query import Bill, build
from unitcost.sources.bills.focus.reading import connected
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.similar import similar_keys, tell_similar, with_spellings
from unitcost.sources.bills.focus.tags import Tags
from unitcost.sources.bills.focus.worklist import worklist

log = logging.getLogger(__name__)

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
        self._folding = context.fold
        self._facts: dict[BillFile, Facts] = {}
        self._told: dict[str, tuple[str, list[Problem | Note]]] = {}
        self._judged: dict[str, tuple[list[BillFile], Problem | None]] = {}
        self._spelt: dict[str, tuple[list[BillFile], Options]] = {}
        self._restated: dict[str, str] = {}
        self._newest: Bill | None = None

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield what a refresh asks, see _batches; the sums of files are kept no longer than that."""
        try:
            yield from self._batches(asked)
        finally:
            self._facts = {file: replace(facts, sums=None) for file, facts in self._facts.items()}

    def _batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield the billing periods that changed, newest first, and a Problem for each that cannot be read.

        A file that cannot be read spoils the period that its folder names (BILLING_PERIOD=2026-11); raises its
        SourceError when no folder says. Raises SourceError `missing` or `empty` when there is no charge at all.
        Files beside the bill's are named: in a Problem if they are packed, so that money may be missing, else a Note.
        """
        found = find(self._settings.path)
        self._inspect(found.files)
        yield from self._left_out(found)
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
        if not bills and not broken:
            raise SourceError("empty", str(self._settings.path), "holds no charge", "Wait for the first export")
        made = {key: _bill(key, facts) for key, facts in bills.items()}
        before = {key: made[earlier] for earlier, key in pairwise(sorted(made))}
        keys = sorted({*bills, *broken}, reverse=True)
        for key in keys:
            if key in broken:
                yield from broken[key]
            else:
                yield from self._period(made[key], before.get(key), asked)
        self._newest = made.get(keys[0])

    def advice(self, stored: Stored) -> Iterator[Note]:
        """Yield what of the newest billing period has no tenant, the dearest first; see worklist."""
        if self._newest is not None and not self._options.nobodys:
            yield from worklist(self._newest, self._options_of(self._newest), self._settings.scopes, stored)

    def _inspect(self, files: list[BillFile]) -> None:
        """Look into the files that are new or have changed, and again into those that could not be read."""
        known = {file: facts for file, facts in self._facts.items() if facts.problem is None and facts.file.stands}
        with connected() as connection:
            self._facts = {file: known.get(file) or inspect(file, self._options, connection) for file in files}

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

    def _period(self, bill: Bill, before: Bill | None, asked: Asked) -> Iterator[Batch | Problem | Note]:
        where = str(self._settings.path)
        if problem := empty_cost(bill, self._options.cost, where):
            yield problem
            return
        days, holes = known_days(bill, before, asked.now, zero=self._settings.missing_days == "zero")
        options = self._options_of(bill)
        made_of = (FORMAT, options.cost, options.tenant, options.keys, options.resources, options.split)
        digest = fingerprint(bill.files, [*made_of, self._settings.overlapping_files, days])
        stored = asked.stored.fingerprint(bill.key)
        if stored != digest:
            if problem := self._overlap(bill):
                yield problem
                return
            self._compare(bill, asked, known=stored is not None)
            yield Batch(bill.key, days, digest, cost=build(bill, options, kept=options == self._options), says=COST)
        if self._told.get(bill.key, ("",))[0] != digest:
            self._told[bill.key] = (
                digest,
                [
                    *self._untold(bill, options),
                    *missing_costs(bill, options.cost, where),
                ],
            )
        yield from self._told[bill.key][1]
        if bill.key in self._restated:
            yield Note(self._restated[bill.key])
        if holes:
            yield Note(tell_holes(bill.key, holes, settled=is_settled(bill, asked.now)))
        yield from map(Note, told(bill))
        if not options.tenant and not options.nobodys and not all(schema.has("Tags") for schema, _ in bill.scans):
            text = f"{bill.key}: no column Tags, so no charge has a tenant; set tenant to a column if one names it"
            yield Note(f"{text}, or to none")

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

    def _compare(self, bill: Bill, asked: Asked, *, known: bool) -> None:
        """Say that a closed month is about to get other dollars, in the log and from now on as a Note."""
        if not known or not is_settled(bill, asked.now):
            return
        if text := restatement(bill, asked.stored.totals(bill.key)):
            log.warning("%s: %s", self.name, text)
            self._restated[bill.key] = text

    def _overlap(self, bill: Bill) -> Problem | None:
        """Say which two files hold charges twice; the files are compared once, as long as they are the same."""
        judged = self._judged.get(bill.key)
        if judged is None or judged[0] != bill.files:
            adding = self._settings.overlapping_files == "sum"
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


def _bill(key: str, facts: list[Facts]) -> Bill:
    """Put together what the files say about a billing period; without BillingPeriodEnd it is a calendar month."""
    parts = [one.periods[key] for one in facts]
    starts = min(part.starts for part in parts)
    ends = max((part.ends for part in parts if part.ends), default=None)
    if ends is None or ends <= starts:
        first = (starts + SINCE).date()
        month = timedelta(days=monthrange(first.year, first.month)[1] - first.day + 1)
        ends = starts + month
    return Bill(key, starts, ends, facts)
