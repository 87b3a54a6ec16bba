"""What is told from a bill's sums: the rows of (day × tenant × service …) of one billing period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from unitcost.days import days_in_month, month_of
from unitcost.facts import K8S, UNUSED, Query
from unitcost.sources.bills.focus.contents import Facts, Period
from unitcost.sources.bills.focus.days import (
    SINCE,
    UNTIL,
    Charges,
    charge,
    counted_day,
    is_long,
    last_day,
    period_month,
)
from unitcost.sources.bills.focus.errors import explain
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.reading import Sums, cluster_service, sums
from unitcost.sources.bills.focus.scan import LEDGER, Schema, clean, literal
from unitcost.sources.bills.focus.tags import first_named, named


@dataclass(frozen=True)
class Bill:
    """One billing period and the files that have charges of it. starts, ends (exclusive): UTC times."""

    key: str
    starts: datetime
    ends: datetime
    facts: Sequence[Facts]

    @classmethod
    def of(cls, key: str, facts: Sequence[Facts]) -> Bill:
        """Put together what files say about a billing period; without BillingPeriodEnd it is a calendar month."""
        parts = [one.periods[key] for one in facts]
        starts = min(part.starts for part in parts)
        ends = max((part.ends for part in parts if part.ends), default=None)
        if ends is None or ends <= starts:
            first = (starts + SINCE).date()
            month = timedelta(days=days_in_month(first) - first.day + 1)
            ends = starts + month
        return cls(key, starts, ends, facts)

    @property
    def first(self) -> date:
        """Its first UTC day."""
        return (self.starts + SINCE).date()

    @property
    def last(self) -> date:
        """Its last UTC day."""
        return (self.ends - UNTIL).date()

    def inside(self, day: date) -> date:
        """Return the day, or the period's day that is nearest to it: a charge at its edge stays in it."""
        return max(self.first, min(day, self.last))

    def is_outside(self, charges: Charges) -> bool:
        """Tell whether charges lie wholly outside of the period; they count on its first day."""
        return not charges.within and (charges.end <= self.starts or charges.start >= self.ends)

    @property
    def charges(self) -> list[Charges]:
        """What the files hold, by day and kind."""
        return [one for part in self.parts for one in part.charges]

    def any(self, name: str) -> bool:
        """Tell whether any of the files says so of this period."""
        return any(getattr(one, name) for one in self.parts)

    def sum(self, name: str) -> int:
        """Add up what the files count in this period."""
        return sum(getattr(one, name) for one in self.parts)

    @property
    def any_free(self) -> bool:
        """Tell whether none of the charges of some provider costs anything, or they cancel out."""
        providers = {name for part in self.parts for name in part.charged}
        return any(not any(part.charged.get(name) for part in self.parts) for name in providers)

    @property
    def parts(self) -> list[Period]:
        """What each file says about this period."""
        return [facts.periods[self.key] for facts in self.facts]

    @property
    def scans(self) -> list[tuple[Schema, BillFile]]:
        """The files with their schemas."""
        return [(facts.schema, facts.file) for facts in self.facts if facts.schema is not None]

    @property
    def files(self) -> list[BillFile]:
        """The files, by name."""
        return [facts.file for facts in self.facts]


def build(bill: Bill, options: Options, *, kept: bool) -> Query:
    """Return the query of one period, over the sums of its files.

    kept: whether the sums that the files were inspected by are of these options. Where there are none they are made
    again, of this period alone.
    """
    month = month_of(bill.key)
    groups: dict[tuple[Schema, str], list[Sums]] = {}
    for facts in bill.facts:
        if facts.schema is not None:
            found = facts.sums if kept and facts.sums else sums(facts.file, facts.schema, options, month)
            groups.setdefault((facts.schema, found.sql), []).append(found)
    tags = [f"tag{at}" for at in range(len(options.keys))]
    own = options.own(tags)
    values = tags[len(own) :]
    names = [f"d{at}" for at in range(len(values))]
    raw = [
        "ServiceName",
        "ServiceCategory",
        "BillingCurrency",
        "ChargeCategory",
        "ChargeClass",
        "resource",
        "cluster",
        "unused",
    ]
    raw += [*(["tenant"] if options.tenant else []), *tags]
    days = _days(bill)
    charges = " UNION ALL ".join(
        f"SELECT {', '.join(f'{value} AS {name}' for name, value in days.items())}, {', '.join(raw)},"
        f" CAST(amount AS {schema.sum_type(options.cost)}) AS amount, CAST(list_amount AS {LEDGER}) AS list_amount"
        f" FROM ({sql})"
        f" WHERE {period_month('BillingPeriodStart')} = DATE '{month}'"
        for schema, sql in groups
    )
    columns = ", ".join([*days, "tenant", "service", "category", "currency", "scope", "charge", "resource", "item"])
    keys = ", ".join([columns, *names])
    cleaned = "".join(f", {named(value)} AS {name}" for value, name in zip(values, names, strict=True))
    sql = f"""
WITH charges AS NOT MATERIALIZED ({charges}),
rows AS NOT MATERIALIZED (
    SELECT {", ".join(days)}, {clean("tenant") if options.tenant else first_named(own)} AS tenant,
        coalesce({clean("ServiceName")}, {clean("ServiceCategory")}, 'unknown') AS service,
        {clean("ServiceCategory")} AS category, amount, {_list_amount(options)} AS list_amount,
        {clean("BillingCurrency")} AS currency, {_scope()} AS scope,
        CASE WHEN unused IS NULL THEN {charge("ChargeCategory", "ChargeClass")} ELSE '{UNUSED}' END AS charge, resource,
        nullif(unused, '') AS item{cleaned}
    FROM charges)
SELECT {columns}, CAST(amount AS {LEDGER}) AS amount, CAST(list_amount AS {LEDGER}) AS list_amount,
    {_dimensions(options.dimensions, names)} AS dimensions
FROM (
    SELECT {keys}, coalesce(sum(amount), 0) AS amount, {_known_sum("list_amount")} AS list_amount
    FROM rows WHERE currency IS NOT NULL GROUP BY {keys})"""
    params: list[Any] = [[one.path for one in found] for found in groups.values()]
    return Query(sql, params, failed=lambda error: explain(error, bill.files))


def _list_amount(options: Options) -> str:
    """Return SQL for what a charge is at list prices; what is no usage, or unused, has no other."""
    if not options.below_list:
        return f"NULL::{LEDGER}"
    used = f"unused IS NULL AND coalesce(lower({clean('ChargeCategory')}), 'usage') = 'usage'"
    return f"CASE WHEN {used} THEN list_amount WHEN list_amount IS NOT NULL THEN amount END"


def _scope() -> str:
    """Return SQL for the cluster that a charge is of; NULL where nothing says that it is of one."""
    name = f"CASE WHEN cluster IS NULL AND {cluster_service('ServiceName', 'ServiceCategory')} THEN '' ELSE cluster END"
    return f"'{K8S}' || {name}"


def _days(bill: Bill) -> dict[str, str]:
    """Return SQL for the day that charges count on, and, where any is long, for the last of theirs, else NULL.

    A charge keeps to the days of its billing period; one that lies wholly outside counts on the first of them.
    """
    first, last = f"DATE '{bill.first}'", f"DATE '{bill.last}'"
    starts, ends = f"TIMESTAMP '{bill.starts}'", f"TIMESTAMP '{bill.ends}'"
    inside = f"(ended IS NULL OR (start < {ends} AND (start >= {starts} OR ended > {starts})))"
    days = {"day": f"CASE WHEN {inside} THEN {_within(counted_day('start', 'ended'), first, last)} ELSE {first} END"}
    if bill.any("long"):
        end = _within(last_day("ended"), first, last)
        days["last_day"] = f"CASE WHEN {inside} AND {is_long('start', 'ended')} THEN {end} END"
    return days


def _within(day: str, first: str, last: str) -> str:
    """Return SQL for a day, or the one of these two that it lies beyond."""
    return f"greatest(least({day}, {last}), {first})"


def _known_sum(name: str) -> str:
    """Return SQL for a sum that is NULL where any of it is unknown."""
    return f"CASE WHEN count({name}) = count(*) THEN sum({name}) END"


def _dimensions(keys: Sequence[str], names: Sequence[str]) -> str:
    """Return SQL for the MAP of those dimensions that a row has."""
    if not keys:
        return "MAP {}::MAP(VARCHAR, VARCHAR)"
    entries = ", ".join(f"{{'k': {literal(key)}, 'v': {name}}}" for key, name in zip(keys, names, strict=True))
    return f"map_from_entries(list_filter([{entries}], lambda entry: entry.v IS NOT NULL))"
