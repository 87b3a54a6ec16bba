"""What one FOCUS file holds, told by its sums before anything of it is handed over: its periods, days, faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import duckdb

from unitcost.errors import SourceError
from unitcost.facts import Problem
from unitcost.sources.bills.focus.csv_text import needs_copy, plain
from unitcost.sources.bills.focus.days import Charges, charge, counted_day, is_long, last_day, period_month
from unitcost.sources.bills.focus.errors import explain
from unitcost.sources.bills.focus.faults import faulty
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.reading import BROKEN, LISTED, SIMILAR, UNREAD, Sums, keep
from unitcost.sources.bills.focus.scan import Schema, clean, concerns_costs, read_schema, require
from unitcost.sources.bills.focus.tags import Tags, first_named, named
from unitcost.sources.bills.focus.views import seen


@dataclass
class Period:
    """What a file says about one billing period. problem: why it cannot be used.

    starts, ends: its first and last UTC time (exclusive), ends None if unsaid. charges: all, summed by day and kind.
    days: UTC days on which charges start. long: some charge is of several days. costless: rows without a cost.
    tenanted: some charge has a tenant; odd_tags: a tag's value is no name. broken_tags: some row's tags are no JSON;
    similar_keys: a charge without a tenant may have its key spelt otherwise. charged: provider → whether any of its
    charges cost anything.
    """

    starts: datetime
    ends: datetime | None = None
    charges: list[Charges] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    long: bool = False
    costless: int = 0
    tenanted: bool = False
    odd_tags: bool = False
    broken_tags: bool = False
    similar_keys: bool = False
    charged: dict[str, bool] = field(default_factory=dict)
    problem: Problem | None = None

    @property
    def rows(self) -> int:
        """How many charges there are."""
        return sum(charges.count for charges in self.charges)


@dataclass(frozen=True)
class Facts:
    """A file's schema and periods by "YYYY-MM", and its sums until they are stored; or why it was left unread.

    other: the problem is that this is no cost dataset at all; beside files that are, it may be left out.
    """

    file: BillFile
    schema: Schema | None = None
    periods: Mapping[str, Period] = field(default_factory=dict)
    problem: Problem | None = None
    other: bool = False
    sums: Sums | None = field(default=None, compare=False)


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
    schema = seen(read_schema(file, connection), file, options)
    try:
        require(schema, file, options.cost, options.tenant)
    except SourceError as error:
        return Facts(file, problem=Problem.of(error), other=not concerns_costs(schema))
    if schema.has("Tags") and Tags.unreadable(kind := schema.type("Tags")):
        text = f"Tags is {kind[:80]}, a list without key and value"
        raise SourceError("tags", str(file.path), text, "Write it as MAP, or as JSON text")
    found = keep(file, schema, options, connection)
    if _any_listed(found, connection):
        schema = replace(schema, lists=True)
        found = keep(file, schema, options, connection)
    return _told(file, schema, options, found, connection)


def _any_listed(found: Sums, connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether some Tags are JSON lists, which are read otherwise than objects."""
    [(bits,)] = connection.execute(f"SELECT bit_or(found) FROM ({found.sql})", [[found.path]]).fetchall()
    return bool((bits or 0) & LISTED)


def _told(
    file: BillFile, schema: Schema, options: Options, found: Sums, connection: duckdb.DuckDBPyConnection
) -> Facts:
    """Return what the sums of a file say, and the problems that they hint at."""
    periods, doubtful = told_by_sums(found, options, connection)
    for month, problem in faulty(file, schema, options, connection).items() if doubtful else ():
        if month is None:
            return Facts(file, schema, problem=problem)
        key = f"{month:%Y-%m}"
        periods.setdefault(key, Period(datetime(month.year, month.month, 1))).problem = problem  # noqa: DTZ001 - UTC
    return Facts(file, schema, periods, sums=found)


def told_by_sums(
    found: Sums, options: Options, connection: duckdb.DuckDBPyConnection
) -> tuple[dict[str, Period], bool]:
    """Return what sums say of each billing period, and whether some value among them cannot be counted."""
    periods: dict[str, Period] = {}
    doubtful = False
    for month, *summed, first, end, costless, bits, tenanted, odd, nameless, doubt in connection.execute(
        _told_by(found, options), [[found.path]]
    ).fetchall():
        doubtful |= doubt
        if month is None or summed[0] is None:
            continue
        period = periods.setdefault(f"{month:%Y-%m}", Period(first))
        period.starts = min(period.starts, first)
        period.ends = max((one for one in (period.ends, end) if one), default=None)
        charges = Charges(*summed)
        period.charges.append(charges)
        period.days.add(charges.first)
        period.long |= charges.last is not None
        period.costless += costless
        period.tenanted |= tenanted
        period.odd_tags |= odd
        period.broken_tags |= bool(bits & (BROKEN | LISTED))
        period.similar_keys |= nameless or bool(bits & SIMILAR)
    charged = f"""
        SELECT {period_month("BillingPeriodStart")},
            coalesce({clean("ServiceProviderName")}, {clean("ProviderName")}, ''), coalesce(bool_or(amount <> 0), false)
        FROM ({found.sql}) GROUP BY ALL"""
    for month, provider, costs in connection.execute(charged, [[found.path]]).fetchall():
        if month is not None and (key := f"{month:%Y-%m}") in periods:
            periods[key].charged[provider] = costs
    return periods, doubtful


def _told_by(found: Sums, options: Options) -> str:
    values = [f"tag{at}" for at in range(len(options.keys))]
    own = options.own(values)
    tenant = clean("tenant") if options.tenant else first_named(own)
    odd = " OR ".join(f"({value} NOT IN ('', 'NULL') AND {named(value)} IS NULL)" for value in values)
    given = " OR ".join(f"{value} IS NOT NULL" for value in own) or "false"
    doubt = f"""
        start IS NULL OR BillingPeriodStart IS NULL OR found & {UNREAD} > 0
        OR BillingPeriodEnd > BillingPeriodStart + INTERVAL 400 DAY
        OR ({clean("BillingCurrency")} IS NULL AND priced > 0)
    """
    return f"""
        SELECT {period_month("BillingPeriodStart")} AS month, {counted_day("start", "ended")} AS day,
            CASE WHEN {is_long("start", "ended")} THEN {last_day("ended")} END AS last_day,
            ChargeCategory AS kind, {charge("ChargeCategory", "ChargeClass")} AS charge,
            {clean("BillingCurrency")} AS currency,
            ended IS NULL OR (start >= BillingPeriodStart AND coalesce(start < BillingPeriodEnd, true)) AS within,
            min(start), max(coalesce(ended, start)), CAST(sum(charges) AS BIGINT), coalesce(sum(amount), 0),
            min(BillingPeriodStart), max(BillingPeriodEnd), CAST(sum(charges - priced) AS BIGINT), bit_or(found),
            coalesce(bool_or(({tenant}) IS NOT NULL), false), coalesce(bool_or({odd or "false"}), false),
            coalesce(bool_or(({given}) AND ({tenant}) IS NULL), false), coalesce(bool_or({doubt}), false)
        FROM ({found.sql}) GROUP BY month, day, last_day, kind, charge, currency, within ORDER BY month, day"""
