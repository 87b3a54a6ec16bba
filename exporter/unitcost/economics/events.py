"""Events of the history as lines that a person reads: those of the whole company and of single customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from unitcost.figures import MINUS, cut, day_range, is_small, money
from unitcost.ledger.files import statements
from unitcost.ledger.temporary import temporary_table

OF_COMPANY, OF_CUSTOMERS = 100, 200
"""So many events are told of the whole company, and of single customers: the largest by dollars a month."""

NAMED = 3
"""So many of those that something happened to on one day are named, the largest first."""

NAME_LENGTH = 60
"""Characters of a foreign name."""

COMPANYS = """
SELECT kind, day, coalesce(dimension, '') AS dimension, count(*) AS count,
    sum(coalesce(after, 0) - coalesce(before, 0)) AS added,
    (list(e ORDER BY dollars DESC, tenant, value) FILTER (named OR tenant IS NULL))[1:$named] AS largest
FROM happening e GROUP BY ALL ORDER BY sum(dollars) DESC, day DESC, kind, dimension LIMIT $most
"""
CUSTOMERS = "SELECT e FROM happening e WHERE named ORDER BY dollars DESC, day DESC, tenant LIMIT $most"
ALL = """
SELECT count(DISTINCT (kind, day, dimension)) + count(tenant) FROM happening
"""

Happening = Mapping[str, Any]
"""A row of the table `happening`."""


def tell_events(connection: duckdb.DuckDBPyConnection, currency: str) -> None:
    """Find the events of the history; write the temporary tables `event` and `events_left_out`.

    `event`: kind, day (UTC), tenant, dimension and a text for people, amounts in the currency. What happened to several
    on one day is one event of the company (tenant ""), beside one of each customer. `events_left_out`: how many are not
    told. The other steps of look() must have been run.
    """
    connection.execute(statements("events", "economics"))
    companys = connection.execute(COMPANYS, {"named": NAMED, "most": OF_COMPANY}).fetchall()
    customers = connection.execute(CUSTOMERS, {"most": OF_CUSTOMERS}).fetchall()
    rows: list[tuple[object, ...]] = [
        (kind, day, "", dimension, _text(Told(kind, dimension, count, added, largest or []), currency))
        for kind, day, dimension, count, added, largest in companys
    ]
    rows += [
        (one["kind"], one["day"], one["tenant"], "", _text(Told(one["kind"], "", 1, Decimal(0), [one]), currency))
        for (one,) in customers
    ]
    temporary_table(
        connection,
        "event",
        {"kind": "VARCHAR", "day": "DATE", "tenant": "VARCHAR", "dimension": "VARCHAR", "text": "VARCHAR"},
        rows,
    )
    found = connection.execute(ALL).fetchone()
    temporary_table(connection, "events_left_out", {"events": "BIGINT"}, [((found[0] if found else 0) - len(rows),)])


@dataclass(frozen=True)
class Told:
    """What happened on a day. count: to how many. added: by how much their amounts grew. largest: some of them."""

    kind: str
    dimension: str
    count: int
    added: Decimal
    largest: Sequence[Happening]


def _text(told: Told, currency: str) -> str:
    names = "; ".join(_line(one, currency) for one in told.largest)
    more = told.count - len(told.largest)
    rest = f" and {more:,} more" if more and names else ""
    return f"{_head(told, currency)}: {names}{rest}" if names else _head(told, currency)


def _head(told: Told, currency: str) -> str:
    one, many = {
        "subscription_changed": ("Subscription changed", f"subscriptions changed, MRR {_grown(told.added, currency)}"),
        "tenant_new": ("New customer", "new customers"),
        "tenant_gone": ("Customer gone", "customers gone"),
        "value_new": (f"New {_shown(told.dimension)}", f"new values of {_shown(told.dimension)}"),
        "day_restated": ("Restated", "restatements"),
    }[told.kind]
    return one if told.count == 1 else f"{told.count:,} {many}"


def _line(one: Happening, currency: str) -> str:
    before, after = one["before"], one["after"]
    if one["kind"] == "subscription_changed":
        plan = [f"plan {_shown(one['plan_before'])} → {_shown(one['plan_after'])}"] if one["plan_after"] else []
        mrr = [f"MRR {_change(before, after, currency)}"] if after is not None else []
        return ", ".join([_shown(one["name"]), *plan, *mrr])
    if one["kind"] == "day_restated":
        since = day_range(one["told_on"], one["told_on"])
        return f"{day_range(one['day'], one['last_day'])}, cost {_change(before, after, currency)} since {since}"
    if one["kind"] == "value_new":
        return f"{_shown(one['value'])}, {money(after, currency)} on its first day"
    mrr_then = f", MRR {money(after, currency)}" if after else f", MRR was {money(before, currency)}" if before else ""
    return f"{_shown(one['name'])}{mrr_then}"


def _change(before: Decimal, after: Decimal, currency: str) -> str:
    """Write two amounts, with cents where whole dollars would not tell them apart."""
    cents = is_small(before) or is_small(after) or f"{before:.0f}" == f"{after:.0f}"
    return f"{money(before, currency, cents=cents)} → {money(after, currency, cents=cents)}"


def _grown(added: Decimal, currency: str) -> str:
    text = money(added, currency)
    return text if text.startswith(MINUS) else f"+{text}"


def _shown(name: str) -> str:
    """Shorten a foreign name; Grafana takes the text of an annotation for HTML."""
    return cut(name, NAME_LENGTH).replace("<", "‹").replace(">", "›")
