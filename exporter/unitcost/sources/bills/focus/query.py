"""What is told from a bill's sums: the rows of (day × tenant × service …) of one billing period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from unitcost.facts import K8S, Query
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
    month = date.fromisoformat(f"{bill.key}-01")
    groups: dict[tuple[Schema, str], list[Sums]] = {}
    for facts in bill.facts:
        if facts.schema is not None:
            found = facts.sums if kept and facts.sums else sums(facts.file, facts.schema, options, month)
            groups.setdefault((facts.schema, found.sql), []).append(found)
    tags = [f"tag{at}" for at in range(len(options.keys))]
    own = options.own(tags)
    values = tags[len(own) :]
    names = [f"d{at}" for at in range(len(values))]
    raw = ["ServiceName", "ServiceCategory", "BillingCurrency", "ChargeCategory", "ChargeClass", "resource", "cluster"]
    raw += [*(["tenant"] if options.tenant else []), *tags]
    charges = " UNION ALL ".join(
        f"SELECT {', '.join(_days(bill))}, {', '.join(raw)},"
        f" CAST(amount AS {schema.sum_type(options.cost)}) AS amount, CAST(list_amount AS {LEDGER}) AS list_amount"
        f" FROM ({sql})"
        f" WHERE {period_month('BillingPeriodStart')} = DATE '{month}'"
        for schema, sql in groups
    )
    keys = ", ".join(["day", "tenant", "service", "category", "currency", "scope", "charge", "resource", *names])
    cleaned = "".join(f", {named(value)} AS {name}" for value, name in zip(values, names, strict=True))
    sql = f"""
WITH charges AS NOT MATERIALIZED ({charges}),
daily AS NOT MATERIALIZED ({_spread(raw) if bill.any("long") else "SELECT * FROM charges"}),
rows AS NOT MATERIALIZED (
    SELECT day, {clean("tenant") if options.tenant else first_named(own)} AS tenant,
        coalesce({clean("ServiceName")}, {clean("ServiceCategory")}, 'unknown') AS service,
        {clean("ServiceCategory")} AS category, amount, list_amount, {clean("BillingCurrency")} AS currency,
        {_scope()} AS scope,
        {charge("ChargeCategory", "ChargeClass")} AS charge, resource{cleaned}
    FROM daily)
SELECT day, tenant, service, category, CAST(amount AS {LEDGER}) AS amount, currency, scope,
    {_dimensions(options.dimensions, names)} AS dimensions, charge, resource,
    CAST(list_amount AS {LEDGER}) AS list_amount
FROM (
    SELECT {keys}, coalesce(sum(amount), 0) AS amount, {_known_sum("list_amount")} AS list_amount
    FROM rows WHERE currency IS NOT NULL GROUP BY {keys})"""
    params: list[Any] = [[one.path for one in found] for found in groups.values()]
    return Query(sql, params, failed=lambda error: explain(error, bill.files))


def _scope() -> str:
    """Return SQL for the cluster that a charge is of; NULL where nothing says that it is of one."""
    name = f"CASE WHEN cluster IS NULL AND {cluster_service('ServiceName')} THEN '' ELSE cluster END"
    return f"'{K8S}' || {name}"


def _days(bill: Bill) -> list[str]:
    """Return SQL for the first day that charges count on, and, where any is long, the number of days.

    A charge keeps to the days of its billing period; one that lies wholly outside counts on the first of them.
    """
    first, last = f"DATE '{bill.first}'", f"DATE '{bill.last}'"
    starts, ends = f"TIMESTAMP '{bill.starts}'", f"TIMESTAMP '{bill.ends}'"
    inside = f"(ended IS NULL OR (start < {ends} AND (start >= {starts} OR ended > {starts})))"
    begin = f"greatest(least({counted_day('start', 'ended')}, {last}), {first})"
    days = [f"CASE WHEN {inside} THEN {begin} ELSE {first} END AS day"]
    if bill.any("long"):
        end = f"greatest(least({last_day('ended')}, {last}), {first})"
        days.append(f"CASE WHEN {inside} AND {is_long('start', 'ended')} THEN {end} - {begin} + 1 ELSE 1 END AS span")
    return days


def _spread(raw: Sequence[str]) -> str:
    """Return SELECT that spreads long charges evenly over their days. Exact.

    Whole units of 1e-12 ÷ days; the first days take one unit more until the remainder is used up.
    """
    same = ", ".join(["day", "span", *raw])
    amounts = ("amount", "list_amount")
    units = ", ".join(
        f"CASE WHEN span > 1 THEN CAST(CAST({name} AS {LEDGER}) * 1000000000000::DECIMAL(13, 0) AS HUGEINT) END"
        f" AS {name}_units"
        for name in amounts
    )
    shares = ", ".join(
        f"CASE WHEN span = 1 THEN {name} ELSE CAST({name}_units // span"
        f" + CASE WHEN nth < abs({name}_units % span) THEN sign({name}_units) ELSE 0 END AS DECIMAL(26, 0))"
        f" * 0.000000000001::DECIMAL(12, 12) END AS {name}"
        for name in amounts
    )
    return f"""
    SELECT {", ".join(raw)}, day + nth AS day, {shares}
    FROM (SELECT *, unnest(CASE WHEN span = 1 THEN [0] ELSE CAST(range(span) AS INTEGER[]) END) AS nth, {units}
        FROM (
            SELECT {same}, sum(amount) AS amount, {_known_sum("list_amount")} AS list_amount
            FROM charges GROUP BY {same}))"""


def _known_sum(name: str) -> str:
    """Return SQL for a sum that is NULL where any of it is unknown."""
    return f"CASE WHEN count({name}) = count(*) THEN sum({name}) END"


def _dimensions(keys: Sequence[str], names: Sequence[str]) -> str:
    """Return SQL for the MAP of those dimensions that a row has."""
    if not keys:
        return "MAP {}::MAP(VARCHAR, VARCHAR)"
    entries = ", ".join(f"{{'k': {literal(key)}, 'v': {name}}}" for key, name in zip(keys, names, strict=True))
    return f"map_from_entries(list_filter([{entries}], lambda entry: entry.v IS NOT NULL))"
