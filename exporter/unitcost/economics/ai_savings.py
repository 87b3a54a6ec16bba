"""What AI could cost instead, from facts that are there: another model, a prompt cache, a cache of answers.

ai_savings.sql has each formula beside its table. All of it is potential: what would have been, had the same been asked
of another model, at the prices of the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial

import duckdb

from unitcost.ledger.files import statements
from unitcost.ledger.prices import PriceRow, Pricing
from unitcost.ledger.temporary import temporary_table

CACHE_UNITS = ("input", "cache_read")
"""What is asked the price of, used or not: what caching saves is told by both."""


@dataclass(frozen=True)
class WhatIf:
    """What the configuration says.

    routes: (feature, the other model, pattern of models or None for any, its tokens for one of now, the part of
    requests that fall back). cacheable: (feature, the part of its input that a prompt cache could hold). embedding:
    (the measure of tokens that a semantic cache embeds, the model it does so with).
    """

    pricing: Pricing | None = None
    routes: Sequence[tuple[str, str, str | None, Decimal, Decimal]] = ()
    cacheable: Sequence[tuple[str, Decimal]] = ()
    embedding: tuple[str, str] | None = None


PRICES = {
    "scope": "VARCHAR",
    "model": "VARCHAR",
    "unit": "VARCHAR",
    "first_day": "DATE",
    "end_day": "DATE",
    "name": "VARCHAR",
    "factor": "HUGEINT",
    "divisor": "HUGEINT",
}


def tell_savings(connection: duckdb.DuckDBPyConnection, what_if: WhatIf) -> None:
    """Ask the price book for all that is compared, and fill the tables of ai_savings.sql; ai.sql must have been run."""
    table = partial(temporary_table, connection)
    table(
        "route",
        {
            "number": "INTEGER",
            "feature": "VARCHAR",
            "target": "VARCHAR",
            "pattern": "VARCHAR",
            "ratio": "DOUBLE",
            "fallback": "DOUBLE",
        },
        [(number, *route) for number, route in enumerate(what_if.routes)],
    )
    table("cacheable", {"feature": "VARCHAR", "share": "DOUBLE"}, [*what_if.cacheable])
    table("embedding", {"measure": "VARCHAR", "model": "VARCHAR"}, [what_if.embedding] if what_if.embedding else [])
    used = connection.execute(
        "SELECT scope, model, list(DISTINCT unit ORDER BY unit), min(day), max(day) FROM ai_use"
        " GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    table("model_price", PRICES, [row for one in used for row in _prices(what_if.pricing, *one)])
    others = sorted({route[1] for route in what_if.routes} | ({what_if.embedding[1]} if what_if.embedding else set()))
    [(units, first, last)] = connection.execute(
        "SELECT list(DISTINCT unit ORDER BY unit), min(day), max(day) FROM ai_use"
    ).fetchall()
    table(
        "target_price",
        PRICES,
        [row for other in others if units for row in _prices(what_if.pricing, None, other, units, first, last)],
    )
    connection.execute(statements("ai_savings", "economics"))


def _prices(
    pricing: Pricing | None, scope: str | None, model: str, units: Sequence[str], first: date, last: date
) -> list[tuple[object, ...]]:
    """Return the rows of a model, as PRICES has them: those of unit "" say what it is called."""
    asked = sorted({*units, *CACHE_UNITS})
    found: Sequence[PriceRow] = [] if pricing is None else pricing(scope or "", model, asked, first, last)
    return [(scope, model, row.unit, row.first_day, row.end_day, row.model, row.factor, row.divisor) for row in found]
