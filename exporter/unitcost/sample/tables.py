"""The company's own tables: its customers, their MRR, and what they used."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from unitcost.sample.company import AI_REQUEST, MonthOfCosts, so_far
from unitcost.sample.customers import NAMED, PRO_PRICE, SEAT, Customer
from unitcost.sample.days import Clock, seeded

USERS = {"enterprise": 120, "pro": 14, "starter": 4, "free": 2}
"""How many people of a customer sign in on a working day, about."""


def write_directory(path: Path, everyone: list[Customer]) -> None:
    """Write the tenant directory: id,name,plan,budget_dollars,aliases,status."""
    rows = (
        (one.id, one.name, one.plan, one.budget or "", one.alias, "churned" if one.churned else "active")
        for one in everyone
    )
    _write(path, ("id", "name", "plan", "budget_dollars", "aliases", "status"), rows)


def write_mrr(path: Path, clock: Clock, everyone: list[Customer]) -> None:
    """Write everybody's MRR as of the first of each month; who left stands there with 0, who is on trial not yet."""
    rows = (
        (one.id, _mrr(one, place, clock), "USD", one.plan, month.first)
        for place, month in enumerate(clock.months)
        for one in everyone
        if (one.came, one.joined) <= (place, 1)
    )
    _write(path, ("tenant", "mrr", "currency", "plan", "as_of"), rows)


def write_usage(path: Path, clock: Clock, months: list[MonthOfCosts], everyone: list[Customer]) -> None:
    """Write requests, active_users and ai_requests of every day and customer; today's are those until now."""
    _write(path, ("day", "tenant", "measure", "quantity"), _usage(clock, months, everyone))


def _usage(clock: Clock, months: list[MonthOfCosts], everyone: list[Customer]) -> Iterator[tuple[object, ...]]:
    users = {one.id: seeded("users", one.id).uniform(0.6, 1.4) * USERS[one.plan] for one in everyone}
    for month in months:
        busy = month.month.busy
        for place, day in enumerate(month.month.days):
            seconds, written = clock.elapsed(day), day.isoformat()
            if not seconds:
                return
            for one in everyone:
                requests = month.requests[one.id][place]
                if not requests:
                    continue
                ai_units = month.direct["ai"][one.id][place]
                if one.id in month.assistant:
                    ai_units += month.assistant[one.id][place]
                quantities = {
                    "requests": so_far(requests, seconds),
                    "active_users": max(1, so_far(round(users[one.id] * busy[place] / 1000), seconds)),
                    "ai_requests": so_far(ai_units, seconds) // AI_REQUEST,
                }
                for measure, quantity in quantities.items():
                    if quantity:
                        yield written, one.id, measure, quantity


def _mrr(customer: Customer, place: int, clock: Clock) -> int:
    """Return the MRR as of the first of a month: pros bought a seat a month, enterprises more at once."""
    older = clock.months.index(clock.last) - place
    if older < 0:
        return 0 if customer.churned else customer.mrr
    if customer in NAMED:
        return customer.mrr
    if customer.plan == "pro":
        return max(PRO_PRICE, customer.mrr - SEAT * older)
    if customer.plan == "enterprise" and older > seeded("contract", customer.id).randrange(3):
        return customer.mrr * 88 // 10_000 * 100
    return customer.mrr


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
