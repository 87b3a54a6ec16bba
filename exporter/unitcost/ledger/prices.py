"""Prices of what is sold by the unit: asked of the price book for all that the ledger holds, and kept as dated rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import duckdb

from unitcost.facts import K8S
from unitcost.ledger.temporary import temporary_table


class PriceRow(NamedTuple):
    """What a unit costs from first_day on, before end_day: dollars × factor / divisor for one of it; None: unpriced.

    unit: "" for what holds of the item whatever its unit. scope: whose it is, as the price book knows; None: nobody
    knows. model: what the item is called by every source. rule: where the price stands. per: for so many of the unit
    `dollars` and `list_dollars`, as texts, are told.
    """

    unit: str
    first_day: date
    end_day: date
    scope: str | None
    model: str
    factor: int | None = None
    divisor: int | None = None
    dollars: str | None = None
    list_dollars: str | None = None
    per: int | None = None
    rule: str | None = None


Pricing = Callable[[str, str, Sequence[str], date, date], Sequence[PriceRow]]
"""Gives the rows of an item of a scope, for "" and each of some units, as they hold from a first day to a last one:
without a gap, from date.min to date.max."""

COLUMNS = {
    "used_scope": "VARCHAR",
    "used_item": "VARCHAR",
    "unit": "VARCHAR",
    "first_day": "DATE",
    "end_day": "DATE",
    "scope": "VARCHAR",
    "model": "VARCHAR",
    "factor": "HUGEINT",
    "divisor": "HUGEINT",
    "dollars": "VARCHAR",
    "list_dollars": "VARCHAR",
    "per": "BIGINT",
    "rule": "VARCHAR",
}

USED = f"""
SELECT DISTINCT source, scope AS used_scope, item AS used_item, unit, day FROM usage WHERE unit IS NOT NULL
UNION
SELECT DISTINCT source, scope, item, '', day FROM cost
WHERE item IS NOT NULL AND scope IS NOT NULL AND NOT starts_with(scope, '{K8S}')
"""
"""What is told by the unit, or billed by the item, outside of clusters."""


def remember_prices(connection: duckdb.DuckDBPyConnection, pricing: Pricing | None) -> None:
    """Write the prices of all that the ledger holds, and forget the days on which one is another than it was."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE priced_use AS {USED}")
    used = connection.execute(
        "SELECT used_scope, used_item, list(DISTINCT unit ORDER BY unit) FILTER (unit <> ''), min(day), max(day)"
        " FROM priced_use GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    rows = [
        (scope, item, *row)
        for scope, item, units, first, last in used
        if pricing is not None
        for row in pricing(scope, item, units or [], first, last)
    ]
    temporary_table(connection, "price_now", COLUMNS, rows)
    if connection.execute("(FROM price EXCEPT FROM price_now) UNION (FROM price_now EXCEPT FROM price)").fetchone():
        connection.execute(CHANGED)
        connection.execute("DELETE FROM price; INSERT INTO price FROM price_now")


CHANGED = """
DELETE FROM derived_day WHERE day IN (
    SELECT u.day FROM priced_use u
    LEFT JOIN price o ON o.used_scope = u.used_scope AND o.used_item = u.used_item AND o.unit = u.unit
        AND u.day >= o.first_day AND u.day < o.end_day
    LEFT JOIN price_now n ON n.used_scope = u.used_scope AND n.used_item = u.used_item AND n.unit = u.unit
        AND u.day >= n.first_day AND u.day < n.end_day
    WHERE (o.scope, o.model, o.factor, o.divisor) IS DISTINCT FROM (n.scope, n.model, n.factor, n.divisor)
)
"""
