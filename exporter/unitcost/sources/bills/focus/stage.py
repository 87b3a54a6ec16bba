"""The first stage of a bill: its charges summed by FOCUS columns and tags, as one expression for any engine.

It is all that is done where a bill lies, be that a file that DuckDB reads or a table of a warehouse: a filter, a
value for each tag key, a GROUP BY. What is finer (which day a charge of several counts on, what is no name) is told
from its sums. DuckDB's is the first dialect; nothing that Athena, BigQuery, Trino or Spark lack is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from sqlglot import exp

from unitcost.days import month_after

TABLE = "charge"
"""The name of what is read."""
NAMES = (
    "ServiceName",
    "ServiceCategory",
    "BillingCurrency",
    "ChargeCategory",
    "ChargeClass",
    "ServiceProviderName",
    "ProviderName",
)
"""FOCUS columns that charges are summed by as they are."""
PERIOD, CHARGED = ("BillingPeriodStart", "BillingPeriodEnd"), ("ChargePeriodStart", "ChargePeriodEnd")


def first_stage(
    table: exp.Expression,
    cost: exp.Expression,
    tags: Sequence[exp.Expression],
    *,
    list_cost: exp.Expression | None = None,
    also: Sequence[str] = (),
    constants: Mapping[str, exp.Expression] | None = None,
    checks: Sequence[str] = (),
    counts: Sequence[str] = (),
    month: date | None = None,
) -> exp.Select:
    """Return the sums of the charges of a table with FOCUS columns.

    tags: the value of each key as text, which become tag0, tag1 …. also: further columns to sum by. constants: columns
    that hold one value in every row, which is cheaper than to sum by them. checks: columns of bits, which are or-ed.
    counts: columns of 0 and 1, which are added up (not every engine has an OR of bits). month: its first day, where
    only the billing period that is named after it is read.

    start and ended are a charge's own where it does not lie within one UTC day and its billing period; else the
    midnight that begins its day, and NULL. charges counts rows, priced those with a cost. list_amount is NULL where
    any of them has no ListCost.
    """
    known = constants or {}
    names = [name for name in (*PERIOD, *NAMES) if name not in known] + list(also)
    values = [f"tag{at}" for at in range(len(tags))]
    inside = _inside(known)
    start, end = map(exp.column, CHARGED)
    rows = exp.select(
        *map(exp.column, names),
        exp.case().when(inside, _midnight()).else_(start).as_("start"),
        exp.case().when(inside, exp.null()).else_(exp.func("COALESCE", end, start)).as_("ended"),
        *(value.as_(name) for value, name in zip(tags, values, strict=True)),
        cost.as_("cost"),
        *([list_cost.as_("list_cost")] if list_cost is not None else []),
        *map(exp.column, (*checks, *counts)),
    ).from_(table)
    if month is not None:
        rows = rows.where(*_named_after(month, known))
    keys = [*names, "start", "ended", *values]
    return (
        exp.select(
            *map(exp.column, keys),
            *(value.as_(name) for name, value in known.items()),
            exp.func("SUM", exp.column("cost")).as_("amount"),
            _list_amount(list_cost).as_("list_amount"),
            exp.Count(this=exp.Star()).as_("charges"),
            exp.Count(this=exp.column("cost")).as_("priced"),
            *(exp.func("SUM", exp.column(count)).as_(count) for count in counts),
            *(exp.func("BIT_OR", exp.column(check), dialect="duckdb").as_(check) for check in checks),
        )
        .from_(rows.subquery("charge_row"))
        .group_by(*map(exp.column, keys))
    )


def tag_value(kind: Literal["json", "map", "pairs"], key: str, tags: exp.Expression) -> exp.Expression:
    """Return the value of a tag's key as an engine's column of tags holds it; NULL where a charge has no such key.

    JSON text, a MAP (AWS), or a list of structs with key and value (GCP in BigQuery; no other engine has that). What
    sqlglot does not write as an engine reads it is written by hand in engines/dialect.py.
    """
    name = exp.Literal.string(key)
    if kind == "map":
        return exp.Bracket(this=tags, expressions=[name], safe=True)
    if kind == "json":
        path = exp.JSONPath(expressions=[exp.JSONPathRoot(), exp.JSONPathKey(this=key)])
        return exp.JSONExtractScalar(this=tags, expression=path)
    pairs = exp.select("value").from_(exp.Unnest(expressions=[tags]))
    return pairs.where(exp.column("key").eq(name)).limit(1).subquery()


def _list_amount(list_cost: exp.Expression | None) -> exp.Expression:
    if list_cost is None:
        return exp.cast(exp.null(), "DECIMAL(38, 12)")
    column = exp.column("list_cost")
    whole = exp.Count(this=column).eq(exp.Count(this=exp.Star()))
    return exp.case().when(whole, exp.func("SUM", column.copy()))


def _inside(known: Mapping[str, exp.Expression]) -> exp.Condition:
    """Tell whether a charge lies within the UTC day that it starts on, and starts in its billing period."""
    start, end = map(exp.column, CHARGED)
    first, last = _column(PERIOD[0], known), _column(PERIOD[1], known)
    next_day = exp.Add(this=_midnight(), expression=exp.Interval(this=exp.Literal.string("1"), unit=exp.var("DAY")))
    return exp.and_(
        exp.or_(exp.Is(this=end, expression=exp.null()), exp.LTE(this=end.copy(), expression=next_day)),
        exp.GTE(this=start, expression=first),
        exp.or_(exp.Is(this=last, expression=exp.null()), exp.LT(this=start.copy(), expression=last.copy())),
    )


def _midnight() -> exp.Expression:
    return exp.TimestampTrunc(this=exp.column(CHARGED[0]), unit=exp.var("DAY"))


def _named_after(month: date, known: Mapping[str, exp.Expression]) -> list[exp.Expression]:
    """Tell whether a billing period is that of a month: a local one is named after the month it starts in there."""
    half_a_day = exp.Interval(this=exp.Literal.string("13"), unit=exp.var("HOUR"))
    starts = exp.cast(exp.Add(this=_column(PERIOD[0], known), expression=half_a_day), "DATE")
    return [starts >= _day(month), starts.copy() < _day(month_after(month))]


def _day(day: date) -> exp.Expression:
    return exp.cast(exp.Literal.string(day.isoformat()), "DATE")


def _column(name: str, known: Mapping[str, exp.Expression]) -> exp.Expression:
    return known[name].copy() if name in known else exp.column(name)
