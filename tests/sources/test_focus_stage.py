"""The first stage of a bill is one expression: each engine is asked the same, and DuckDB answers as it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Literal

import duckdb
import pytest
from sqlglot import ErrorLevel, UnsupportedError, exp, parse_one

from unitcost.sources.bills.focus.stage import NAMES, first_stage, tag_value

ENGINES = ("athena", "trino", "bigquery", "spark")
OTHERWISE = {("bigquery", "map"), ("spark", "json")}
"""A type that BigQuery has not, and paths in which Spark can write no apostrophe: engines/dialect.py asks otherwise."""
KEYS = ("tenant", "cost-center", "team's.own")
Kind = Literal["json", "map", "pairs"]


def stage(kind: Kind = "map", money: str = "DECIMAL(38, 12)") -> exp.Select:
    return first_stage(
        exp.to_table("focus"),
        exp.cast(exp.column("EffectiveCost"), money),
        [tag_value(kind, key, exp.column("Tags")) for key in KEYS],
        list_cost=exp.cast(exp.column("ListCost"), money),
        also=["ResourceId"],
        constants={"ServiceProviderName": exp.cast(exp.null(), "VARCHAR")},
        month=date(2026, 10, 1),
    )


def written(expression: exp.Expression, engine: str) -> str:
    return expression.sql(engine, unsupported_level=ErrorLevel.RAISE)


@contextmanager
def focus(kind: Kind) -> Iterator[duckdb.DuckDBPyConnection]:
    """A bill as a table: two tenants' hours, a fee of a month, a charge over midnight, rows of the month before."""
    shape = {
        "json": ("VARCHAR", """'{"tenant": "' || t || '", "cost-center": "c1", "team''s.own": "x"}'"""),
        "map": ("MAP(VARCHAR, VARCHAR)", "MAP {'tenant': t, 'cost-center': 'c1', 'team''s.own': 'x'}"),
        "pairs": ("STRUCT(key VARCHAR, value VARCHAR)[]", "[{key: 'tenant', value: t}]"),
    }[kind]
    names = ", ".join(f"{name} VARCHAR" for name in NAMES)
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE focus (BillingPeriodStart TIMESTAMP, BillingPeriodEnd TIMESTAMP,"
            f" ChargePeriodStart TIMESTAMP, ChargePeriodEnd TIMESTAMP, EffectiveCost DOUBLE, ListCost DOUBLE, {names},"
            f" ResourceId VARCHAR, Tags {shape[0]})"
        )
        charges = """
            SELECT 'a' AS t, TIMESTAMP '2026-10-05' + INTERVAL 1 HOUR * n AS s, INTERVAL 1 HOUR AS h, 0.1 AS c, 0.2 AS l
            FROM range(48) r(n)
            UNION ALL SELECT 'b', TIMESTAMP '2026-10-05 01:00:00' + INTERVAL 1 HOUR * n, INTERVAL 1 HOUR, 0.3, NULL
            FROM range(5) r(n)
            UNION ALL SELECT 'b', TIMESTAMP '2026-10-01', INTERVAL 31 DAY, 31, 31
            UNION ALL SELECT 'a', TIMESTAMP '2026-10-08 23:30:00', INTERVAL 1 HOUR, 7, 7
            UNION ALL SELECT 'a', TIMESTAMP '2026-09-08', INTERVAL 1 DAY, 5, 5"""
        connection.execute(
            "INSERT INTO focus BY NAME SELECT date_trunc('month', s) AS BillingPeriodStart,"
            " date_trunc('month', s) + INTERVAL 1 MONTH AS BillingPeriodEnd, s AS ChargePeriodStart,"
            " s + h AS ChargePeriodEnd, c AS EffectiveCost, l AS ListCost, 'USD' AS BillingCurrency,"
            f" 'EC2' AS ServiceName, {shape[1]} AS Tags FROM ({charges})"
        )
        yield connection


def answer(sql: str, kind: Kind) -> list[Any]:
    with focus(kind) as connection:
        found = connection.execute(sql)
        names = [column[0] for column in found.description or []]
        return sorted((dict(zip(names, row, strict=True)) for row in found.fetchall()), key=str)


def test_duckdb_sums_by_day_and_tag_and_leaves_what_is_no_day_as_it_was() -> None:
    rows = answer(written(stage(), "duckdb"), "map")
    told = [(row["tag0"], str(row["start"]), str(row["ended"]), float(row["amount"]), row["charges"]) for row in rows]
    assert sorted(told) == [
        ("a", "2026-10-05 00:00:00", "None", 2.4, 24),
        ("a", "2026-10-06 00:00:00", "None", 2.4, 24),
        ("a", "2026-10-08 23:30:00", "2026-10-09 00:30:00", 7.0, 1),
        ("b", "2026-10-01 00:00:00", "2026-11-01 00:00:00", 31.0, 1),
        ("b", "2026-10-05 00:00:00", "None", 1.5, 5),
    ]
    assert {(row["tag1"], row["tag2"]) for row in rows} == {("c1", "x")}


def test_a_list_amount_is_known_where_every_charge_has_one() -> None:
    rows = answer(written(stage(), "duckdb"), "map")
    lists = {(row["tag0"], row["start"].day): row["list_amount"] for row in rows}
    assert float(lists["a", 5]) == 4.8
    assert lists["b", 5] is None


@pytest.mark.parametrize(
    ("engine", "kind"),
    [(engine, kind) for engine in ENGINES for kind in ("json", "map") if (engine, kind) not in OTHERWISE],
)
def test_every_engine_is_asked_the_same(engine: str, kind: Kind) -> None:
    text = written(stage(kind), engine)
    back = parse_one(text, read=engine, into=exp.Select)
    assert written(back, engine) == text
    assert not list(back.find_all(exp.Anonymous)), "a function that sqlglot does not know is not translated"
    assert answer(written(back, "duckdb"), kind) == answer(written(stage(kind), "duckdb"), kind)


def test_bigquery_is_asked_for_tags_that_are_lists_of_keys_and_values() -> None:
    text = written(stage("pairs"), "bigquery")
    assert written(parse_one(text, read="bigquery", into=exp.Select), "bigquery") == text
    assert "(SELECT value FROM UNNEST(Tags) WHERE key = 'cost-center' LIMIT 1)" in text


@pytest.mark.parametrize(
    ("engine", "kind", "said"),
    [
        ("athena", "map", "ELEMENT_AT(Tags, 'cost-center')"),  # Tags['…'] fails for a charge without the key
        ("trino", "map", "ELEMENT_AT(Tags, 'cost-center')"),
        ("spark", "map", "TRY_ELEMENT_AT(Tags, 'cost-center')"),
        ("trino", "json", """JSON_EXTRACT_SCALAR(Tags, '$["cost-center"]')"""),
        ("bigquery", "json", "AS BIGNUMERIC"),  # NUMERIC has 9 decimals
        ("trino", "map", "AS DECIMAL(38, 12)"),
    ],
)
def test_tags_and_money_are_asked_for_as_each_engine_has_them(engine: str, kind: Kind, said: str) -> None:
    assert said in written(stage(kind), engine)


@pytest.mark.parametrize("engine", [*ENGINES, "duckdb"])
def test_columns_are_grouped_by_name(engine: str) -> None:
    group = parse_one(written(stage("json"), engine), read=engine).args["group"]
    assert all(isinstance(key, exp.Column) for key in group.expressions)
    assert "ServiceProviderName" not in {key.name for key in group.expressions}  # one value in every row


PLAIN = {
    *(exp.Select, exp.From, exp.Where, exp.Group, exp.Subquery, exp.Table, exp.TableAlias, exp.Alias, exp.Star),
    *(exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Var, exp.Case, exp.If, exp.Cast, exp.DataType),
    *(exp.DataTypeParam, exp.And, exp.Or, exp.Paren, exp.Is, exp.EQ, exp.LT, exp.LTE, exp.GTE, exp.Add, exp.Interval),
    *(exp.TimestampTrunc, exp.Coalesce, exp.Sum, exp.Count, exp.Bracket),
    *(exp.JSONExtractScalar, exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey),
}
"""What all engines have. sqlglot is silent about most of what one lacks; whoever adds to this looks it up in each."""


@pytest.mark.parametrize("kind", ["json", "map"])
def test_the_stage_is_made_of_what_every_engine_has(kind: Kind) -> None:
    assert {type(part) for part in stage(kind).walk()} <= PLAIN


def test_what_sqlglot_knows_an_engine_to_lack_is_refused() -> None:
    trying = exp.Try(this=exp.cast(exp.column("EffectiveCost"), "DOUBLE"))
    for engine in ("bigquery", "spark"):
        with pytest.raises(UnsupportedError):
            written(stage().select(trying), engine)
