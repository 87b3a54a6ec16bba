"""The statement for one billing period, as each engine is sent it: by what it is pruned, how tags are asked for."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from tests.fakes.focus_tables import SHAPES, focus_table
from unitcost.sources.bills.focus.engines.dialect import DIALECTS, Column
from unitcost.sources.bills.focus.engines.statement import Table
from unitcost.sources.bills.focus.options import Options

OPTIONS = Options("EffectiveCost", None, ("tenant",), ("feature",), resources=True)
NAMES = {"athena": "billing.focus", "trino": "lake.billing.focus", "bigquery": "p.billing.focus", "spark": "b.focus"}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_statement_is_one_of_its_engine_and_reads_one_billing_period(name: str) -> None:
    with focus_table(name) as table:
        statement = Table(NAMES[name], table.columns, DIALECTS[name]).statement(OPTIONS, "2026-10")
    tree = parse_one(statement.sql, read=name)
    assert isinstance(tree, exp.Select)
    assert [one.alias for one in tree.selects] == list(statement.columns)
    where = next(find for find in tree.find_all(exp.Where)).sql(name)
    assert "2026-09-30 11:00:00" in where, "a month of a time zone east of UTC begins before"
    assert "2026-10-31 11:00:00" in where
    compared = [one.this for one in tree.find_all(exp.GTE) if "11:00:00" in one.expression.sql()]
    assert all(isinstance(one, exp.Column) for one in compared), "an engine prunes by the column as it is"


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_column_that_holds_the_billing_period_is_what_is_asked_by(name: str) -> None:
    with focus_table(name) as table:
        table.partition("billing_period", "2026-10")
        found = Table(NAMES[name], table.columns, DIALECTS[name])
        assert "billing_period" in found.statement(OPTIONS, "2026-10").sql
        where = next(parse_one(found.statement(OPTIONS, "2026-10").sql, read=name).find_all(exp.Where))
    assert where.this.sql("duckdb") == "\"billing_period\" = '2026-10'"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("athena", "map<string,string>", """ELEMENT_AT("Tags", 'team''s.own')"""),
        ("trino", "varchar", """JSON_EXTRACT_SCALAR("Tags", '$["team''s.own"]')"""),
        ("trino", "json", """JSON_EXTRACT_SCALAR("Tags", '$["team''s.own"]')"""),
        ("bigquery", "STRING", r"""JSON_VALUE(`Tags`, '$."team\'s.own"')"""),
        ("bigquery", "JSON", r"""JSON_VALUE(`Tags`, '$."team\'s.own"')"""),
        (
            "bigquery",
            "array<struct<key, value>>",
            r"(SELECT value FROM UNNEST(`Tags`) WHERE key = 'team\'s.own' LIMIT 1)",
        ),
        ("spark", "map<string,string>", r"TRY_ELEMENT_AT(`Tags`, 'team\'s.own')"),
        ("spark", "string", r"TRY_ELEMENT_AT(FROM_JSON(`Tags`, 'MAP<STRING, STRING>'), 'team\'s.own')"),
    ],
)
def test_a_tag_is_asked_for_as_the_column_holds_it(name: str, kind: str, said: str) -> None:
    assert said in DIALECTS[name].tag(Column("Tags", kind), "team's.own")


@pytest.mark.parametrize(
    ("name", "column", "said"),
    [
        ("trino", Column("t", "timestamp(6) with time zone"), "\"t\" >= TIMESTAMP '2026-09-30 11:00:00 UTC'"),
        ("bigquery", Column("t", "TIMESTAMP"), "`t` >= TIMESTAMP '2026-09-30 11:00:00+00'"),
        ("bigquery", Column("t", "DATETIME"), "`t` >= DATETIME '2026-09-30 11:00:00'"),
        ("athena", Column("t", "date"), "\"t\" >= DATE '2026-10-01'"),
        ("spark", Column("t", "string"), "AS TIMESTAMP) END >= CAST('2026-09-30 11:00:00' AS TIMESTAMP)"),
    ],
)
def test_a_month_is_told_in_the_type_of_the_column(name: str, column: Column, said: str) -> None:
    with focus_table(name) as table:
        columns = [one for one in table.columns if one.name != "BillingPeriodStart"]
    sql = (
        Table(NAMES[name], [*columns, Column("billingperiodstart", column.type)], DIALECTS[name])
        .statement(OPTIONS, "2026-10")
        .sql
    )
    assert said.replace("t`", "billingperiodstart`").replace('"t"', '"billingperiodstart"') in sql
