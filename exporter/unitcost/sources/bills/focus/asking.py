"""Questions to one file's rows of one billing period, for what its sums do not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import duckdb

from unitcost.facts import Problem
from unitcost.in_memory import in_memory
from unitcost.sources.bills.focus.days import period_month
from unitcost.sources.bills.focus.errors import explain
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.scan import Schema, literal
from unitcost.sources.bills.focus.scan import place as where
from unitcost.sources.bills.focus.tags import Tags, first_named, named


def odd_values(schema: Schema, file: BillFile, key: str, options: Options) -> Problem | None:
    """Tell of tags of a billing period whose value is no name; None where there is none. Raises SourceError."""
    header = 0 if schema.kind == "parquet" else 1
    values = ", ".join(
        f"{{tag: {literal(name)}, value: {value}}}"
        for name, value in zip(options.keys, Tags.of(schema).get_all(options.keys), strict=True)
    )
    if not values:
        return None
    month = period_month(schema.time("BillingPeriodStart"))
    rows = f"""
        SELECT row_number() OVER () + {header} AS place, {month} AS month, unnest([{values}]) AS one
        FROM (SELECT *, {Tags.of(schema).parsed(options.keys)} AS found_tags FROM {schema.relation})"""
    odd = f"one.value NOT IN ('', 'NULL') AND {named('one.value')} IS NULL"
    sql = (
        f"SELECT count(*), min(place), arg_min(one, place) FROM ({rows})"
        f" WHERE month = CAST(? || '-01' AS DATE) AND {odd}"
    )
    [(count, place, first)] = ask(sql, file, key)
    if not count:
        return None
    return Problem(
        "tags",
        where(schema, file, place),
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
    return first_named(options.own(Tags.of(schema).get_all(options.keys)))


def count(scans: Sequence[tuple[Schema, BillFile]], key: str, condition: Callable[[Tags], str]) -> int:
    """Count the rows of a billing period whose tags are such. Raises SourceError."""
    found = 0
    for schema, file in scans:
        [(more,)] = ask(f"SELECT count_if({condition(Tags.of(schema))}) FROM ({period_rows(schema)})", file, key)
        found += more
    return found


def period_rows(schema: Schema, keys: Sequence[str] = ()) -> str:
    """Return SQL for one file's rows of one billing period (two parameters), their tags parsed for these keys."""
    month = f"{period_month(schema.time('BillingPeriodStart'))} = CAST(? || '-01' AS DATE)"
    return f"SELECT *, {Tags.of(schema).parsed(keys)} AS found_tags FROM {schema.relation} WHERE {month}"


def ask(sql: str, file: BillFile, key: str) -> list[Any]:
    """Run SQL over one file's rows of one billing period (`period_rows`). Raises SourceError."""
    try:
        with in_memory() as connection:
            return connection.execute(sql, [[file.pattern], key]).fetchall()
    except duckdb.Error as error:
        raise explain(error, [file]) from error
