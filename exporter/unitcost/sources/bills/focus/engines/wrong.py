"""What an engine's sums say is wrong with a billing period: the rows themselves are not here to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb

from unitcost.facts import Note, Problem
from unitcost.sources.base import OR_NONE
from unitcost.sources.bills.focus.contents import Period
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.reading import Sums
from unitcost.sources.bills.focus.scan import clean
from unitcost.sources.bills.focus.tags import named

NAMED = 3
"""Of values that cannot be used, so many are named."""


@dataclass(frozen=True)
class Counted:
    """Rows of an answer that are such: see counted(). tenanted, odd: not rows, but whether any, and some values."""

    rows: int = 0
    periodless: int = 0
    timeless: int = 0
    unread: int = 0
    endless: int = 0
    uncurrent: int = 0
    costless: int = 0
    lost: int = 0
    tagged: int = 0
    odd: tuple[str, ...] = ()

    def notes(self, key: str, options: Options) -> Iterator[Problem | Note]:
        """Say what is counted, and not as it may be meant."""
        if self.lost:
            text = f"{self.lost:,} rows have no {options.cost} and are not counted, though another column does"
            hint = "Set cost to a column that holds them, or repair the export"
            yield Problem("cost", key, text, hint)
        if self.costless > self.lost:
            yield Note(f"{key}: {self.costless - self.lost} rows have no {options.cost} and count as 0")
        if self.odd:
            text = f"tags of {', '.join(map(repr, options.keys))} hold {', '.join(self.odd)}, which name nobody"
            yield Problem("tags", key, text, "Write a tag's value as one text")


def counted(sums: Sums, options: Options, connection: duckdb.DuckDBPyConnection) -> Counted:
    """Count what sums say of rows: without a time, a currency, a cost; with a time or a cost that cannot be read."""
    whether = {
        "rows": "true",
        "periodless": "BillingPeriodStart IS NULL",
        "timeless": "start IS NULL",
        "endless": "BillingPeriodEnd > BillingPeriodStart + INTERVAL 400 DAY",
        "uncurrent": f"{clean('BillingCurrency')} IS NULL AND amount <> 0",
    }
    columns = [f"coalesce(sum(charges) FILTER ({condition}), 0)" for condition in whether.values()]
    columns += ["sum(unread)", "sum(charges - priced)", "sum(lost)", "sum(tagged)"]
    found = connection.execute(f"SELECT {', '.join(columns)} FROM ({sums.sql})", [[sums.path]]).fetchall()[0]
    names = (*whether, "unread", "costless", "lost", "tagged")
    tags = [f"tag{at}" for at in range(len(options.keys))]
    values = ", ".join(f"CASE WHEN {tag} NOT IN ('', 'NULL') AND {named(tag)} IS NULL THEN {tag} END" for tag in tags)
    odd = (
        connection.execute(
            f"SELECT DISTINCT value FROM (SELECT unnest([{values}]) AS value FROM ({sums.sql}))"
            f" WHERE value IS NOT NULL ORDER BY value LIMIT {NAMED}",
            [[sums.path]],
        ).fetchall()
        if tags
        else []
    )
    return Counted(**dict(zip(names, map(int, found), strict=True)), odd=tuple(repr(value[:80]) for (value,) in odd))


def wrong(key: str, periods: Mapping[str, Period], count: Counted, options: Options, where: str) -> Problem | None:
    """Return why a billing period cannot be used; what is stored of it stays."""
    faults = (
        ("time", count.periodless, "have no BillingPeriodStart that is a time", "Write it as 2026-11-01T00:00:00Z"),
        ("time", count.timeless, "have no ChargePeriodStart that is a time", "Write it as 2026-11-01T00:00:00Z"),
        (
            "time",
            count.endless,
            "have a BillingPeriodEnd more than a year after BillingPeriodStart",
            "It is a month, most often",
        ),
        (
            "number",
            count.unread,
            f"hold a {options.cost} or an end of a period that cannot be read or is too large",
            "Write costs as 1234.5 and times as 2026-11-01T00:00:00Z",
        ),
        ("currency", count.uncurrent, "have no BillingCurrency", "Every charge needs one"),
    )
    found = next((fault for fault in faults if fault[1]), None)
    if found is not None:
        reason, rows, text, hint = found
        return Problem(reason, where, f"{rows:,} of {count.rows:,} rows of {key} {text}", hint)
    if others := sorted(periods.keys() - {key}):
        text = f"what was asked for as {key} holds charges of billing period {', '.join(others)}"
        return Problem("partition", where, text, "Set engine.partition to the column that holds the billing period")
    if count.costless == count.rows:
        text = f"{options.cost} is empty in every one of {count.rows:,} rows of {key}"
        return Problem("cost", where, text, "Set cost to a column that holds costs")
    return _untagged(key, periods, count, options, where)


def _untagged(key: str, periods: Mapping[str, Period], count: Counted, options: Options, where: str) -> Problem | None:
    """Return the problem of a period in which nobody has a tenant, though somebody should."""
    if options.nobodys or any(period.tenanted for period in periods.values()):
        return None
    if options.tenant:
        text = f"the column {options.tenant} is empty in every row of {key}"
        return Problem("untagged", where, text, f"Set tenant to the column that names the tenant, {OR_NONE}")
    if not count.tagged:
        return None
    text = f"none of the {count.tagged:,} tagged rows of {key} has the tag {' or '.join(options.tenant_keys)}"
    return Problem(
        "untagged", where, text, f"Set tenants.key to a key that Tags holds, or tenant to a column, {OR_NONE}"
    )
