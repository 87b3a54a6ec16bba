"""Values of a FOCUS file that cannot be counted: found once its sums say that there are any, and named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb

from unitcost.facts import LARGEST_AMOUNT, Problem
from unitcost.sources.bills.focus.days import period_month
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.scan import Schema
from unitcost.sources.bills.focus.scan import place as where


@dataclass(frozen=True)
class Fault:
    """A value that cannot be counted; `found` is SQL over `_rows`. column "": the cost column."""

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


def faulty(
    file: BillFile, schema: Schema, options: Options, connection: duckdb.DuckDBPyConnection
) -> dict[date | None, Problem]:
    """Return what cannot be counted in each billing period, by its month's first day; None: it is not said which."""
    rows = _rows(schema, options)
    counts = ", ".join(f"count_if({fault.found})" for fault in FAULTS)
    found = connection.execute(
        f"SELECT {period_month('first')} AS month, [{counts}] FROM ({rows}) GROUP BY month ORDER BY month",
        [[file.pattern]],
    ).fetchall()
    problems = {}
    for month, counted in found:
        there = [fault for fault, count in zip(FAULTS, counted, strict=True) if count]
        if there:
            fault = there[0] if month is None else there[-1]
            problems[month] = _locate(fault, file, schema, options, rows, month, connection)
    return problems


def _rows(schema: Schema, options: Options) -> str:
    return f"""
        SELECT {schema.sound_time("BillingPeriodStart")} AS first, {schema.sound_time("BillingPeriodEnd")} AS last,
            {schema.sound_time("ChargePeriodStart")} AS start, {schema.sound_time("ChargePeriodEnd")} AS ended,
            {schema.given("ChargePeriodEnd")} AS given_end, {schema.given("BillingPeriodEnd")} AS given_last,
            {schema.given(options.cost)} AS given, {schema.cost(options.cost, trying=True)} AS cost,
            {schema.text("BillingCurrency")} AS currency
        FROM {schema.relation}"""


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
    return Problem(fault.reason, where(schema, file, place), f"{column} holds {shown}, which {fault.text}", hint)
