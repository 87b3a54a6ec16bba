"""What a person can mend: the dearest charges of a billing period that have no tenant, by the resource to be tagged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from unitcost.facts import Note, Stored
from unitcost.in_memory import in_memory
from unitcost.sources.bills.focus.asking import period_rows, tenant
from unitcost.sources.bills.focus.errors import explain
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.query import Bill
from unitcost.sources.bills.focus.reading import cluster_of
from unitcost.sources.bills.focus.scan import LEDGER, Schema, literal
from unitcost.sources.bills.focus.settings import ScopeRule
from unitcost.sources.bills.focus.tags import Tags

LISTED = 10
"""So many resources are named."""


def worklist(bill: Bill, options: Options, scopes: Sequence[ScopeRule], stored: Stored) -> Iterator[Note]:
    """Yield what of a billing period has no tenant, the dearest first, without what a meter divides, or nobody used.

    Resources are told apart by ResourceId and ServiceName, amounts as the configured cost says them, credits taken off.
    Raises SourceError when a file cannot be read any more.
    """
    known = {one.provider_id.lower().rpartition("/")[2] for one in stored.resources(bill.first, bill.last)}
    found = _untagged(bill, options, scopes, sorted(known))
    by = f"the column {options.tenant}" if options.tenant else f"the tag {' or '.join(options.tenant_keys)}"
    for currency in dict.fromkeys(currency for _, _, currency, _, _ in found):
        mine = [row for row in found if row[2] == currency]
        *_, whole = mine[0]
        yield Note(
            f"{bill.key}: {whole:,.2f} {currency} have no tenant by {by}, and no meter divides them. The dearest:"
        )
        for service, resource, _, amount, _ in mine:
            yield Note(f"  {amount:,.2f} {currency} {service}, {resource or 'without a resource id'}")


def _untagged(bill: Bill, options: Options, scopes: Sequence[ScopeRule], known: Sequence[str]) -> list[Any]:
    """Return service, resource, currency, amount, and what all of that currency come to."""
    schemas: dict[Schema, list[str]] = {}
    for schema, file in bill.scans:
        schemas.setdefault(schema, []).append(file.pattern)
    rows = " UNION ALL ".join(_rows(schema, options, scopes, known) for schema in schemas)
    sql = f"""
        SELECT service, resource, currency, amount, whole FROM (
            SELECT *, sum(amount) OVER (PARTITION BY currency) AS whole,
                row_number() OVER (PARTITION BY currency ORDER BY amount DESC, service, resource) AS nth
            FROM (
                SELECT service, resource, currency, CAST(sum(amount) AS {LEDGER}) AS amount FROM ({rows}) GROUP BY ALL
            ) WHERE amount <> 0
        ) WHERE nth <= {LISTED} ORDER BY currency, nth"""
    params = [given for patterns in schemas.values() for given in (patterns, bill.key)]
    try:
        with in_memory() as connection:
            return connection.execute(sql, params).fetchall()
    except duckdb.Error as error:
        raise explain(error, bill.files) from error


def _rows(schema: Schema, options: Options, scopes: Sequence[ScopeRule], known: Sequence[str]) -> str:
    resource = schema.text("ResourceId")
    others = [f"lower(regexp_extract({resource}, '[^/]*$')) IN ({', '.join(map(literal, known)) or 'NULL'})"]
    others += [f"{cluster_of(schema, Tags.of(schema), resource)} IS NOT NULL", *(_is(schema, rule) for rule in scopes)]
    if options.spreads_commitments:
        others.append(f"lower({schema.text('CommitmentDiscountStatus')}) = 'unused'")
    return f"""
        SELECT coalesce({schema.text("ServiceName")}, {schema.text("ServiceCategory")}, 'unknown') AS service,
            {resource} AS resource, {schema.text("BillingCurrency")} AS currency, {schema.cost(options.cost)} AS amount
        FROM ({period_rows(schema, options.keys)})
        WHERE {tenant(schema, options)} IS NULL AND ({" OR ".join(others)}) IS NOT true"""


def _is(schema: Schema, rule: ScopeRule) -> str:
    columns = {"service": "ServiceName", "category": "ServiceCategory"}
    said = [f"{schema.text(columns[name])} = {literal(value)}" for name, value in rule.match.items()]
    return f"({' AND '.join(said) or 'true'})"
