"""The one query that turns a billing period's files into rows of (day × tenant × service …)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from unitcost.facts import Query
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


def build(bill: Bill, options: Options, nodes: Sequence[tuple[str, str]]) -> Query:
    """Return the query of one period; nodes: (provider id, cluster) of what Kubernetes used in it.

    The files are scanned once: `charges` sums them as they are (by raw text columns, which DuckDB groups fast),
    then what costs more per row is done to the sums: cleaning, components, and spreading charges of several days.
    """
    names = [f"d{at}" for at in range(len(options.dimensions))]
    groups: dict[Schema, list[BillFile]] = {}
    for schema, file in bill.scans:
        groups.setdefault(schema, []).append(file)
    scans = [_scan(bill, schema, options, names, with_nodes=bool(nodes)) for schema in groups]
    params: list[Any] = [list(options.components), list(options.components.values())]
    params += _node_params(nodes) if nodes else []
    params += [[file.pattern for file in files] for files in groups.values()]
    keys = ", ".join(["day", "tenant", "service", "component", "currency", "cluster", "charge", *names])
    cleaned = "".join(f", {named(name)} AS {name}" for name in names)
    sql = f"""
WITH named AS MATERIALIZED (SELECT unnest(?::VARCHAR[]) AS name, unnest(?::VARCHAR[]) AS component),
{NODES if nodes else ""}charges AS NOT MATERIALIZED ({" UNION ALL ".join(scans)}),
daily AS NOT MATERIALIZED ({SPREAD if bill.any("long") else "SELECT * FROM charges"}),
rows AS NOT MATERIALIZED (
    SELECT day, {clean("tenant") if options.tenant else named("tenant")} AS tenant,
        coalesce({clean("service")}, {clean("category")}, 'unknown') AS service,
        coalesce(by_service.component, by_category.component, 'other') AS component,
        amount, {clean("currency")} AS currency,
        CASE WHEN cluster IS NULL AND {cluster_service("service")} THEN '' ELSE cluster END AS cluster,
        {charge("kind", "class")} AS charge{cleaned}
    FROM daily
    LEFT JOIN named AS by_service ON by_service.name = service
    LEFT JOIN named AS by_category ON by_category.name = category)
SELECT day, tenant, service, component, CAST(amount AS {LEDGER}) AS amount, currency, cluster,
    {_dimensions(options.dimensions, names)} AS dimensions, charge
FROM (SELECT {keys}, coalesce(sum(amount), 0) AS amount FROM rows WHERE currency IS NOT NULL GROUP BY {keys})"""
    return Query(sql, params, failed=lambda error: explain(error, bill.files))


def _scan(bill: Bill, schema: Schema, options: Options, names: Sequence[str], *, with_nodes: bool) -> str:
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
    joined = ""
    resource = f"CAST({schema.raw('ResourceId')} AS VARCHAR)"
    if with_nodes and schema.has("ResourceId"):
        joined = f" LEFT JOIN nodes ON nodes.tail = lower(parse_filename({resource}, false, 'forward_slash'))"
        columns.append(f"{_node(resource)} AS node")
        clusters.append("node")
    if marks := set().union(*(part.marks for part in bill.parts)):
        columns.append(f"{tags.cluster(marks)} AS marked")
        clusters.append("nullif(marked, '')")
    if bill.any("cluster_services") and schema.has("ResourceId"):
        name = f"nullif(regexp_extract({resource}, 'cluster/([^/]+)$', 1), '')"
        columns.append(f"CASE WHEN {cluster_service(schema.raw('ServiceName'))} THEN {name} END AS managed")
        clusters.append("managed")
    if marks:
        clusters.append("marked")
    groups += ["tenant", "service", "category", "currency", "kind", "class", *names]
    groups.append(f"coalesce({', '.join(clusters) or 'NULL::VARCHAR'}) AS cluster")
    mixed = any(set(facts.periods) != {bill.key} for facts in bill.facts if facts.schema == schema)
    month = f"{period_month(schema.time('BillingPeriodStart'))} = DATE '{bill.key}-01'"
    return (
        f"SELECT {', '.join(groups)}, sum(cost) AS amount FROM (SELECT {', '.join(columns)}"
        f" FROM (SELECT *, {tags.parsed(keys)} AS found FROM {schema.relation}){joined}"
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

NODES = """nodes AS MATERIALIZED (SELECT unnest(?::VARCHAR[]) AS tail, unnest(?::VARCHAR[]) AS only_cluster,
    unnest(?::STRUCT(id VARCHAR, cluster VARCHAR)[][]) AS ids),
"""


def _node_params(nodes: Sequence[tuple[str, str]]) -> list[Any]:
    """Return one row per last path segment, so that a charge can never meet two nodes and count twice.

    A segment that is the whole id of one node settles the cluster; else `ids` are compared, longest first.
    """
    by_tail: dict[str, dict[str, str]] = {}
    for provider_id, cluster in nodes:
        found = provider_id.strip().strip("/").lower()
        if found:
            by_tail.setdefault(found.rpartition("/")[2], {}).setdefault(found, cluster)
    only = [ids.get(tail) if len(ids) == 1 else None for tail, ids in by_tail.items()]
    longest = [
        None
        if plain is not None
        else [{"id": one, "cluster": ids[one]} for one in sorted(ids, key=lambda one: (-len(one), one))]
        for plain, ids in zip(only, by_tail.values(), strict=True)
    ]
    return [list(by_tail), only, longest]


def _node(resource: str) -> str:
    matching = f"list_filter(nodes.ids, lambda one: ends_with('/' || lower({resource}), '/' || one.id))"
    return f"CASE WHEN nodes.ids IS NULL THEN nodes.only_cluster ELSE {matching}[1].cluster END"


def _dimensions(keys: Sequence[str], names: Sequence[str]) -> str:
    """Return SQL for the MAP of those dimensions that a row has."""
    if not keys:
        return "MAP {}::MAP(VARCHAR, VARCHAR)"
    entries = ", ".join(f"{{'k': {literal(key)}, 'v': {name}}}" for key, name in zip(keys, names, strict=True))
    return f"map_from_entries(list_filter([{entries}], lambda entry: entry.v IS NOT NULL))"
