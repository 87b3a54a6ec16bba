"""Tag keys that read like the tenant's key but are spelt otherwise, and the dollars that have no tenant for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from unitcost.facts import Note
from unitcost.names import fold
from unitcost.sources.bills.focus.asking import ask, period_rows, tenant
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.scan import Schema
from unitcost.sources.bills.focus.tags import Tags

NAMED = 5
"""How many spellings a Note names."""

Found = dict[str, dict[str, Decimal]]
"""Tag key as it is spelt → currency → dollars of charges that have it and no tenant."""


def similar_keys(scans: Sequence[tuple[Schema, BillFile]], period: str, options: Options) -> Found:
    """Return what charges without a tenant have under keys that differ from the tenant's by case or separators only.

    Of several such keys of one charge the first by name counts. Raises SourceError.
    """
    found: Found = defaultdict(lambda: defaultdict(Decimal))
    for schema, file in scans:
        tags = Tags.of(schema)
        if options.tenant or options.nobodys or tags.shape == "none":
            continue
        # Most rows are told apart by their text alone, which is much faster than to read its keys.
        maybe = f"AND {tags.similar(options.tenant_keys)}" if tags.shape == "json" else ""
        sql = f"""
            SELECT tag, currency, sum(cost) FROM (
                SELECT list_min(list_filter({tags.keys()}, lambda key: {tags.is_similar(options.tenant_keys)})) AS tag,
                    {schema.text("BillingCurrency")} AS currency, {schema.cost(options.cost)} AS cost
                FROM ({period_rows(schema, options.keys)}) WHERE {tenant(schema, options)} IS NULL {maybe}
            ) WHERE tag IS NOT NULL AND cost IS NOT NULL GROUP BY ALL"""
        for tag, currency, amount in ask(sql, file, period):
            found[tag][currency] += amount
    return found


def with_spellings(scans: Sequence[tuple[Schema, BillFile]], period: str, options: Options) -> Options:
    """Return the options with every spelling of the tenant's keys that folds to one of them. Raises SourceError."""
    folded = {fold(key) for key in options.tenant_keys}
    others = sorted(key for key in similar_keys(scans, period, options) if fold(key) in folded)
    keys = [spelt for key in options.tenant_keys for spelt in (key, *(o for o in others if fold(o) == fold(key)))]
    return replace(options, tenant_keys=tuple(dict.fromkeys(keys)))


def tell_similar(found: Found, period: str, options: Options) -> Note | None:
    """Say how many dollars have no tenant as their key is spelt otherwise; None where there are none."""
    if not found:
        return None
    by_dollars = sorted(found.items(), key=lambda item: (-sum(map(abs, item[1].values())), item[0]))
    named = [
        f"{amount:,.2f} {currency} under {key}" for key, sums in by_dollars for currency, amount in sorted(sums.items())
    ]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for sums in found.values():
        for currency, amount in sums.items():
            totals[currency] += amount
    return Note(
        f"{period}: no tenant by {' or '.join(options.tenant_keys)}, but {', '.join(named[:NAMED])}{more}."
        " Add these keys to tenants.key, or set tenants.fold: case if only case differs",
        similar=totals,
    )
