"""What one FOCUS file holds, found in one scan before anything of it is handed over: its periods, days, faults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import duckdb

from unitcost.errors import SourceError
from unitcost.facts import LARGEST_AMOUNT, Problem
from unitcost.sources.bills.focus.csv_text import COPY_AGAIN, needs_copy, plain
from unitcost.sources.bills.focus.days import Charges, charge, first_day, is_long, last_day, period_month
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.scan import Schema, concerns_costs, literal, read_schema, require
from unitcost.sources.bills.focus.tags import CLUSTER_MARKS, Tags, first_named, named


@dataclass(frozen=True)
class Options:
    """The settings that shape what is read.

    tenant: a column, instead of the first tag of tenant_keys that there is. Without both no charge has a tenant.
    resources: whether it matters which node, disk or load balancer a charge is for: where there is a meter of them.
    """

    cost: str
    tenant: str | None
    tenant_keys: tuple[str, ...]
    dimensions: tuple[str, ...]
    resources: bool

    @property
    def keys(self) -> list[str]:
        """The tag keys that are read from each row: the tenant's first, unless a column names the tenant."""
        return [*([] if self.tenant else self.tenant_keys), *self.dimensions]

    @property
    def nobodys(self) -> bool:
        """Whether no charge is meant to have a tenant."""
        return not (self.tenant or self.tenant_keys)


@dataclass
class Period:
    """What a file says about one billing period. problem: why it cannot be used.

    starts, ends: its first and last UTC time (exclusive), ends None if unsaid. charges: all, summed by day and kind.
    days: UTC days on which charges start. long: some charge is of several days. moved: some charge does not count on
    the UTC day that it starts. tagged: rows with any tags; broken_tags: rows whose tags are no JSON; odd_tags: some may
    be no names; costless: rows without a cost; zero: rows with a cost of 0. marks: those of CLUSTER_MARKS that may
    occur among the tags; cluster_services: managed Kubernetes occurs.
    """

    starts: datetime
    ends: datetime | None = None
    charges: list[Charges] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    zero: int = 0
    tagged: int = 0
    broken_tags: int = 0
    odd_tags: bool = False
    costless: int = 0
    long: bool = False
    moved: bool = False
    marks: set[str] = field(default_factory=set)
    cluster_services: bool = False
    problem: Problem | None = None

    @property
    def rows(self) -> int:
        """How many charges there are."""
        return sum(charges.count for charges in self.charges)


@dataclass(frozen=True)
class Facts:
    """A file's schema and periods by "YYYY-MM"; or the problem that left it unread.

    other: the problem is that this is no cost dataset at all; beside files that are, it may be left out.
    """

    file: BillFile
    schema: Schema | None = None
    periods: Mapping[str, Period] = field(default_factory=dict)
    problem: Problem | None = None
    other: bool = False


def cluster_service(service: str) -> str:
    """Return SQL that tells whether a service is managed Kubernetes: AmazonEKS, AKS, GKE."""
    return f"coalesce(contains({service}, 'EKS') OR contains({service}, 'Kubernetes'), false)"


def inspect(file: BillFile, options: Options, connection: duckdb.DuckDBPyConnection) -> Facts:
    """Read a file's periods and check every value that will be counted; never raises for what a file holds."""
    is_csv = file.kind != "parquet"
    try:
        if is_csv and needs_copy(file):
            file = plain(file)
        try:
            return _read(file, options, connection)
        except duckdb.Error:
            if not is_csv or file.copy:
                raise
            file = plain(file)
            return _read(file, options, connection)
    except duckdb.Error as error:
        found = explain(error, [file])
    except SourceError as error:
        found = error
    return Facts(file, problem=Problem.of(found))


def _read(file: BillFile, options: Options, connection: duckdb.DuckDBPyConnection) -> Facts:
    schema = read_schema(file, connection)
    try:
        require(schema, file, options.cost, options.tenant)
    except SourceError as error:
        return Facts(file, problem=Problem.of(error), other=not concerns_costs(schema))
    if schema.has("Tags") and Tags.unreadable(kind := schema.type("Tags")):
        text = f"Tags is {kind[:80]}, a list without key and value"
        raise SourceError("tags", str(file.path), text, "Write it as MAP, or as JSON text")
    facts = _scan(file, schema, options, connection)
    if schema.has("Tags") and any(period.odd_tags for period in facts.periods.values()):
        lists = f"SELECT bool_or(CAST({schema.raw('Tags')} AS VARCHAR)[1] = '[') FROM {schema.relation}"
        if Tags.of(schema).shape == "json" and connection.execute(lists, [[file.pattern]]).fetchall() == [(True,)]:
            return _scan(file, replace(schema, lists=True), options, connection)
    return facts


def _scan(file: BillFile, schema: Schema, options: Options, connection: duckdb.DuckDBPyConnection) -> Facts:
    tags = Tags.of(schema)
    start, ended = schema.sound_time("ChargePeriodStart"), schema.sound_time("ChargePeriodEnd")
    cost, given = schema.cost(options.cost, trying=True), schema.given(options.cost)
    marks = ", ".join(f"{mark} AS mark{at}" for at, mark in enumerate(tags.marks()))
    rows = f"""
        SELECT {schema.sound_time("BillingPeriodStart")} AS first,
            {schema.raw("ChargeCategory")}::VARCHAR AS kind, {schema.raw("ChargeClass")}::VARCHAR AS class,
            {schema.sound_time("BillingPeriodEnd")} AS last, {start} AS start, {ended} AS ended,
            {schema.given("ChargePeriodEnd")} AS given_end, {schema.given("BillingPeriodEnd")} AS given_last,
            {given} AS given, {cost} AS cost, {schema.text("BillingCurrency")} AS currency,
            {tags.present()} AS tagged, {tags.broken()} AS broken, {tags.odd()} AS odd,
            {marks},
            {cluster_service(schema.raw("ServiceName"))} AS cluster_service
        FROM {schema.relation}"""
    found = connection.execute(
        f"""
        SELECT {period_month("first")} AS month, {first_day("start", "ended")} AS day,
            CASE WHEN {is_long("start", "ended")} THEN {last_day("ended")} END AS last_day,
            kind, {charge("kind", "class")}, currency, start >= first AND coalesce(start < last, true) AS within,
            min(start), max(coalesce(ended, start)), count(*), coalesce(sum(cost), 0),
            min(first), max(last), bool_or(start::DATE <> {first_day("start", "ended")}),
            count_if(tagged), count_if(broken), count_if(given IS NULL), count(*) FILTER (cost = 0), bool_or(odd),
            bool_or(cluster_service),
            [{", ".join(f"bool_or(mark{at})" for at in range(len(CLUSTER_MARKS)))}],
            [{", ".join(f"count_if({fault.found})" for fault in FAULTS)}]
        FROM ({rows}) GROUP BY month, day, last_day, kind, class, currency, within ORDER BY month, day""",
        [[file.pattern]],
    ).fetchall()
    periods: dict[str, Period] = {}
    for month, *summed, first, end, moved, tagged, broken, costless, zero, odd, service, marked, faults in found:
        for fault, count in zip(FAULTS, faults, strict=True):
            if count:
                problem = _locate(fault, file, schema, options, rows, month, connection)
                if month is None:
                    return Facts(file, schema, problem=problem)
                periods.setdefault(f"{month:%Y-%m}", Period(first)).problem = problem
        period = periods.setdefault(f"{month:%Y-%m}", Period(first))
        period.starts = min(period.starts, first)
        period.ends = max((one for one in (period.ends, end) if one), default=None)
        if summed[0] is not None:
            charges = Charges(*summed)
            period.charges.append(charges)
            period.days.add(charges.first)
            period.long |= charges.last is not None
            period.moved |= moved
        period.tagged += tagged
        period.broken_tags += broken
        period.costless += costless
        period.odd_tags |= odd
        period.zero += zero
        period.marks |= {mark for mark, there in zip(CLUSTER_MARKS, marked, strict=True) if there}
        period.cluster_services |= service
    return Facts(file, schema, periods)


@dataclass(frozen=True)
class Fault:
    """A value that cannot be counted; `found` is SQL over the rows of `_scan`. column "": the cost column."""

    reason: str
    column: str
    found: str
    text: str
    hint: str


FAULTS = (
    Fault("time", "BillingPeriodStart", "first IS NULL", "is no UTC time", "Write it as 2026-11-01T00:00:00Z"),
    Fault("time", "ChargePeriodStart", "start IS NULL", "is no UTC time", "Write it as 2026-11-01T00:00:00Z"),
    Fault(
        "time",
        "ChargePeriodEnd",
        "ended IS NULL AND given_end IS NOT NULL",
        "is no UTC time",
        "Write it as 2026-11-02T00:00:00Z",
    ),
    Fault(
        "time",
        "BillingPeriodEnd",
        "last IS NULL AND given_last IS NOT NULL",
        "is no UTC time",
        "Write it as 2026-12-01T00:00:00Z",
    ),
    Fault(
        "time",
        "BillingPeriodEnd",
        "last > first + INTERVAL 400 DAY",
        "is more than a year after BillingPeriodStart",
        "A billing period is a month, most often",
    ),
    Fault(
        "number",
        "",
        "given IS NOT NULL AND cost IS NULL",
        "is no cost",
        "Write it as 1234.5: a point for decimals, no commas or signs",
    ),
    Fault(
        "value",
        "",
        "CASE WHEN cost IS NULL THEN abs(TRY_CAST(CAST(given AS VARCHAR) AS DOUBLE)) BETWEEN 1e15 AND 1e308 END",
        f"is too large, more than {LARGEST_AMOUNT:.0e} cannot be counted",
        "Correct it where it comes from",
    ),
    Fault(
        "currency",
        "BillingCurrency",
        "currency IS NULL AND cost <> 0",
        "is no currency",
        "Every charge needs its BillingCurrency",
    ),
)


def _locate(
    fault: Fault,
    file: BillFile,
    schema: Schema,
    options: Options,
    rows: str,
    month: date | None,
    connection: duckdb.DuckDBPyConnection,
) -> Problem:
    """Name the first row with this fault; in a CSV the header is row 1."""
    column = fault.column or options.cost
    header = 0 if schema.kind == "parquet" else 1
    named = rows.replace(
        "SELECT", f"SELECT row_number() OVER () + {header} AS place, {schema.raw(column)} AS value,", 1
    )
    found = connection.execute(
        f"SELECT place, value FROM ({named}) WHERE {fault.found}"
        f" AND {period_month('first')} IS NOT DISTINCT FROM ? ORDER BY place LIMIT 1",
        [[file.pattern], month],
    ).fetchone()
    place, value = found or ("?", None)
    shown = "an empty value" if value is None else repr(str(value)[:80])
    hint = fault.hint
    if value is None and fault.reason == "time":
        hint = "Every charge has one; remove the row if it is a line of totals"
    return Problem(fault.reason, f"{file.path}, row {place}", f"{column} holds {shown}, which {fault.text}", hint)


def odd_values(schema: Schema, file: BillFile, key: str, options: Options) -> Problem | None:
    """Tell of tags of a billing period whose value is no name; None where there is none. Raises SourceError."""
    header = 0 if schema.kind == "parquet" else 1
    values = ", ".join(
        f"{{tag: {literal(name)}, value: {value}}}"
        for name, value in zip(options.keys, Tags.of(schema).get_all(options.keys), strict=True)
    )
    if not values:
        return None
    month = f"strftime({period_month(schema.time('BillingPeriodStart'))}, '%Y-%m')"
    rows = f"""
        SELECT row_number() OVER () + {header} AS place, {month} AS month, unnest([{values}]) AS one
        FROM (SELECT *, {Tags.of(schema).parsed(options.keys)} AS found FROM {schema.relation})"""
    odd = f"one.value NOT IN ('', 'NULL') AND {named('one.value')} IS NULL"
    sql = f"SELECT count(*), min(place), arg_min(one, place) FROM ({rows}) WHERE month = ? AND {odd}"
    [(count, place, first)] = ask(sql, file, key)
    if not count:
        return None
    return Problem(
        "tags",
        f"{file.path}, row {place}",
        f"the tag {first['tag']} holds {str(first['value'])[:80]!r}, which names nobody; {count} such values in {key}",
        "Write a tag's value as one text",
    )


def any_tenant(scans: Sequence[tuple[Schema, BillFile]], key: str, options: Options) -> bool:
    """Tell whether any row of a billing period has a tenant; stops at the first. Raises SourceError."""
    for schema, file in scans:
        rows = period_rows(schema, options.keys)
        if ask(f"SELECT 1 FROM ({rows}) WHERE {tenant(schema, options)} IS NOT NULL LIMIT 1", file, key):
            return True
    return False


def frequent_keys(scans: Sequence[tuple[Schema, BillFile]], key: str) -> list[str]:
    """Return the five tag keys that occur most in a billing period, most frequent first. Raises SourceError."""
    counts: Counter[str] = Counter()
    for schema, file in scans:
        tags = f"SELECT unnest({Tags.of(schema).keys()}) AS tag FROM ({period_rows(schema)})"
        counts.update(dict(ask(f"SELECT tag, count(*) FROM ({tags}) GROUP BY tag", file, key)))
    return sorted(counts, key=lambda tag: (-counts[tag], tag))[:5]


def tenant(schema: Schema, options: Options) -> str:
    """Return SQL for the tenant, over the rows of `period_rows`."""
    if options.tenant:
        return schema.text(options.tenant)
    return first_named(Tags.of(schema).get_all(options.keys)[: len(options.tenant_keys)])


def period_rows(schema: Schema, keys: Sequence[str] = ()) -> str:
    """Return SQL for one file's rows of one billing period (two parameters), their tags parsed for these keys."""
    month = f"strftime({period_month(schema.time('BillingPeriodStart'))}, '%Y-%m')"
    return f"SELECT *, {Tags.of(schema).parsed(keys)} AS found FROM {schema.relation} WHERE {month} = ?"


def ask(sql: str, file: BillFile, key: str) -> list[Any]:
    """Run SQL over one file's rows of one billing period (`period_rows`). Raises SourceError."""
    try:
        with duckdb.connect() as connection:
            return connection.execute(sql, [[file.pattern], key]).fetchall()
    except duckdb.Error as error:
        raise explain(error, [file]) from error


def explain(error: Exception, files: Sequence[BillFile]) -> SourceError:
    """Turn what DuckDB said about one of these files into an error that names the file and the line."""
    said = str(error)
    named = [file for file in files if str(file.path) in said or file.pattern in said]
    where = str(named[0].path if named else files[0].path)
    if len(files) > 1 and not named:
        where = f"{files[0].path} and {len(files) - 1} more"
    if line := re.search(r"on Line: (\d+)", said):
        where = f"{where}, line {line.group(1)}"
    for pattern, reason, text, hint in _SAID:
        if found := re.search(pattern, said):
            return SourceError(reason, where, text.format(*found.groups()), hint)
    first = next((line for line in said.splitlines() if line.strip()), "DuckDB says no more")
    return SourceError("format", where, f"cannot be read: {first}", "If it was cut off, copy it again")


_SAID = (
    ("[Oo]verflow|out of range", "value", "its costs sum to more than can be counted", "Correct the largest of them"),
    ("Invalid unicode", "encoding", "is not UTF-8", "Export it as UTF-8"),
    (
        r"Expected Number of Columns: (\d+) Found: (\d+)",
        "format",
        "has {1} columns where the header has {0}",
        COPY_AGAIN,
    ),
    ("unterminated quote", "format", "has a quote that is never closed", COPY_AGAIN),
    ("end of GZIP stream", "truncated", "is not a complete gzip file", COPY_AGAIN),
    ("not a GZIP stream", "format", "is not a gzip file", "Name it .csv if it is not compressed"),
    ("No magic bytes|too small to be a Parquet", "format", "is not a complete Parquet file", COPY_AGAIN),
    (r'Could not convert string "([^"]*)"', "number", "holds '{0}', which cannot be counted", ""),
)
