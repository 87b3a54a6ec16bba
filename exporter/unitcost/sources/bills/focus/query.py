"""The one query that turns a billing period's files into rows of (day × tenant × service …)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from unitcost.facts import K8S, Query
from unitcost.sources.bills.focus.contents import Facts, Options, Period, cluster_service, explain
from unitcost.sources.bills.focus.days import SINCE, UNTIL, Charges, charge, first_day, is_long, last_day, period_month
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.scan import LEDGER, Schema, clean, literal
from unitcost.sources.bills.focus.tags import Tags, first_named, named


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

    @property
    def plain(self) -> bool:
        """Tell whether every charge simply counts on the UTC day it starts, as in most bills."""
        shifted = any(self.is_outside(one) or one.first != self.inside(one.first) for one in self.charges)
        return not (shifted or self.any("long") or self.any("moved"))

    def any(self, name: str) -> bool:
        """Tell whether any of the files says so of this period."""
        return any(getattr(one, name) for one in self.parts)

    def sum(self, name: str) -> int:
        """Add up what the files count in this period."""
        return sum(getattr(one, name) for one in self.parts)

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


def build(bill: Bill, options: Options) -> Query:
    """Return the query of one period.

    The files are scanned once: `charges` sums them as they are (by raw text columns, which DuckDB groups fast),
    then what costs more per row is done to the sums: cleaning, and spreading charges of several days.
    """
    names = [f"d{at}" for at in range(len(options.dimensions))]
    groups: dict[Schema, list[BillFile]] = {}
    for schema, file in bill.scans:
        groups.setdefault(schema, []).append(file)
    scans = [_scan(bill, schema, options, names) for schema in groups]
    params: list[Any] = [[file.pattern for file in files] for files in groups.values()]
    keys = ", ".join(["day", "tenant", "service", "category", "currency", "scope", "charge", "resource", *names])
    cleaned = "".join(f", {named(name)} AS {name}" for name in names)
    sql = f"""
WITH charges AS NOT MATERIALIZED ({" UNION ALL ".join(scans)}),
daily AS NOT MATERIALIZED ({SPREAD if bill.any("long") else "SELECT * FROM charges"}),
rows AS NOT MATERIALIZED (
    SELECT day, {clean("tenant") if options.tenant else named("tenant")} AS tenant,
        coalesce({clean("service")}, {clean("category")}, 'unknown') AS service, {clean("category")} AS category,
        amount, {clean("currency")} AS currency,
        '{K8S}' || CASE WHEN cluster IS NULL AND {cluster_service("service")} THEN '' ELSE cluster END AS scope,
        {charge("kind", "class")} AS charge, resource{cleaned}
    FROM daily)
SELECT day, tenant, service, category, CAST(amount AS {LEDGER}) AS amount, currency, scope,
    {_dimensions(options.dimensions, names)} AS dimensions, charge, resource
FROM (SELECT {keys}, coalesce(sum(amount), 0) AS amount FROM rows WHERE currency IS NOT NULL GROUP BY {keys})"""
    return Query(sql, params, failed=lambda error: explain(error, bill.files))


NO_RESOURCES = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Databases",
    "Developer Tools",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Security",
    "Web",
)
"""FOCUS ServiceCategory of what is no node, disk or load balancer, so that nobody asks which one it was."""


def _scan(bill: Bill, schema: Schema, options: Options, names: Sequence[str]) -> str:
    """Return the SELECT that sums one group of files as they are."""
    tags = Tags.of(schema)
    keys = options.keys
    values = tags.get_all(keys)
    own, values = values[: len(values) - len(names)], values[len(values) - len(names) :]
    if options.tenant:
        tenant = f"CAST({schema.raw(options.tenant)} AS VARCHAR)"
    else:  # a single one is looked at only once it is summed up, which is faster
        tenant = own[0] if len(own) == 1 else first_named(own)
    columns = [
        f"{schema.time('ChargePeriodStart')} AS start",
        f"{schema.cost(options.cost)} AS cost",
        f"{schema.raw('ServiceName')} AS service",
        f"{schema.raw('ServiceCategory')} AS category",
        f"{schema.raw('BillingCurrency')} AS currency",
        f"{tenant} AS tenant",
        *(f"{value} AS {name}" for value, name in zip(values, names, strict=True)),
    ]
    groups = ["CAST(start AS DATE) AS day"]
    if not bill.plain:
        columns.append(f"{schema.time('ChargePeriodEnd')} AS ended")
        groups = _days(bill)
    # A bill of nothing but usage is grouped by less.
    only_usage = all(one.charge == "usage" for one in bill.charges)
    for name, column in {"kind": "ChargeCategory", "class": "ChargeClass"}.items():
        columns.append(f"{'NULL' if only_usage else schema.raw(column)}::VARCHAR AS {name}")
    clusters = []
    resource = f"CAST({schema.raw('ResourceId')} AS VARCHAR)"
    if options.resources and schema.has("ResourceId"):
        others = ", ".join(map(literal, NO_RESOURCES))
        columns.append(f"CASE WHEN category IN ({others}) THEN NULL ELSE {clean(resource)} END AS resource")
    else:
        columns.append("NULL::VARCHAR AS resource")
    if marks := set().union(*(part.marks for part in bill.parts)):
        columns.append(f"{tags.cluster(marks)} AS marked")
        clusters.append("nullif(marked, '')")
    if bill.any("cluster_services") and schema.has("ResourceId"):
        name = f"nullif(regexp_extract({resource}, 'cluster/([^/]+)$', 1), '')"
        columns.append(f"CASE WHEN {cluster_service(schema.raw('ServiceName'))} THEN {name} END AS managed")
        clusters.append("managed")
    if marks:
        clusters.append("marked")
    groups += ["tenant", "service", "category", "currency", "kind", "class", "resource", *names]
    groups.append(f"coalesce({', '.join(clusters) or 'NULL::VARCHAR'}) AS cluster")
    mixed = any(set(facts.periods) != {bill.key} for facts in bill.facts if facts.schema == schema)
    month = f"{period_month(schema.time('BillingPeriodStart'))} = DATE '{bill.key}-01'"
    return (
        f"SELECT {', '.join(groups)}, sum(cost) AS amount FROM (SELECT {', '.join(columns)}"
        f" FROM (SELECT *, {tags.parsed(keys)} AS found FROM {schema.relation})"
        f"{f' WHERE {month}' if mixed else ''}) GROUP BY ALL"
    )


def _days(bill: Bill) -> list[str]:
    """Return SQL for the first day that a charge counts on, and, where any is long, the number of days.

    A charge keeps to the days of its billing period; one that lies wholly outside counts on the first of them.
    """
    first, last = f"DATE '{bill.first}'", f"DATE '{bill.last}'"
    starts, ends = f"TIMESTAMP '{bill.starts}'", f"TIMESTAMP '{bill.ends}'"
    inside = f"start < {ends} AND (start >= {starts} OR coalesce(ended > {starts}, false))"
    begin = f"greatest(least({first_day('start', 'ended')}, {last}), {first})"
    days = [f"CASE WHEN {inside} THEN {begin} ELSE {first} END AS day"]
    if bill.any("long"):
        end = f"greatest(least({last_day('ended')}, {last}), {first})"
        days.append(f"CASE WHEN {inside} AND {is_long('start', 'ended')} THEN {end} - {begin} + 1 ELSE 1 END AS span")
    return days


# Whole units of 1e-12 ÷ days; the first days take one unit more until the remainder is used up. Exact.
SPREAD = f"""
    SELECT * EXCLUDE (day, span, amount, units, nth), day + nth AS day,
        CASE WHEN span = 1 THEN amount ELSE CAST(units // span
            + CASE WHEN nth < abs(units % span) THEN sign(units) ELSE 0 END AS DECIMAL(26, 0))
            * 0.000000000001::DECIMAL(12, 12) END AS amount
    FROM (SELECT *, unnest(CASE WHEN span = 1 THEN [0] ELSE CAST(range(span) AS INTEGER[]) END) AS nth,
        CASE WHEN span > 1 THEN CAST(CAST(amount AS {LEDGER}) * 1000000000000::DECIMAL(13, 0) AS HUGEINT) END AS units
        FROM charges)"""


def _dimensions(keys: Sequence[str], names: Sequence[str]) -> str:
    """Return SQL for the MAP of those dimensions that a row has."""
    if not keys:
        return "MAP {}::MAP(VARCHAR, VARCHAR)"
    entries = ", ".join(f"{{'k': {literal(key)}, 'v': {name}}}" for key, name in zip(keys, names, strict=True))
    return f"map_from_entries(list_filter([{entries}], lambda entry: entry.v IS NOT NULL))"
