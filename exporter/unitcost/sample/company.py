"""What the sample company spends, day by day: the last month's bill is exact, the others follow from it.

Amounts are whole numbers of UNIT dollars. The sums work out under the rules by which unitcost counts:

- A customer's cost = direct + idle x direct / all direct + shared by requests x its requests / all requests
  + shared evenly / customers. Solved for direct, that gives what the bill must say about each customer.
- Direct costs and requests of the four named customers follow one curve over the days, and so do all
  customers together. Sharing day by day then gives the same as sharing the month at once. The pools
  themselves need not follow it: nodes and databases run day and night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unitcost.sample.customers import NAMED, REQUESTS, Customer, apportion
from unitcost.sample.days import DAY_SECONDS, Clock, Month, seeded, trade
from unitcost.split import split

UNIT = 100_000_000
"""Units in a dollar: amounts have eight decimals, as bills do."""

DIRECT = {"pods": 11_500, "database": 1_200, "storage": 2_900, "network": 1_800, "ai": 14_800}
"""Dollars of the last month that name their customer. pods: what runs on the cluster under its label."""

NODES, PLATFORM = 18_500, 3_300
"""Dollars of the cluster's nodes, and of the pods that serve everybody. Nodes less all pods: 3,700 idle."""

UNTAGGED = {"database": 7_000, "network": 4_300, "storage": 500}
"""Dollars without a customer: shared by requests, by requests, and evenly. Nothing is left over."""

FORGOTTEN = {"ai": 1_020}
"""Dollars of this whole month that a new API key of nobody costs; no rule takes them: unallocated."""

BY_REQUESTS = PLATFORM + UNTAGGED["database"] + UNTAGGED["network"]
IDLE = NODES - PLATFORM - DIRECT["pods"]

SHAPES = {
    "enterprise": {"pods": 0.45, "database": 0.08, "storage": 0.08, "network": 0.07, "ai": 0.32},
    "pro": {"pods": 0.45, "storage": 0.10, "network": 0.08, "ai": 0.37},
    "starter": {"storage": 0.20, "ai": 0.80},
    "starter with pods": {"pods": 0.40, "storage": 0.15, "ai": 0.45},
    "free": {"ai": 1.0},
}
ROUNDS = 400

FEATURE = "assistant"
FEATURE_DOLLARS = 15_000
LAUNCH_DAY, SETTLED_DAY = 4, 8
"""The feature is launched on LAUNCH_DAY; on the 1st while the month is younger than SETTLED_DAY."""

AI_REQUEST = UNIT // 250
"""What one AI request costs: 0.4 cents."""


@dataclass(frozen=True)
class MonthOfCosts:
    """A month's amounts for every day of the calendar month, in units of 1e-8 dollars; requests are counts.

    direct: service → customer → days. assistant: what the new AI feature adds, customer → days.
    """

    month: Month
    direct: dict[str, dict[str, list[int]]]
    assistant: dict[str, list[int]]
    nodes: list[int]
    platform: list[int]
    untagged: dict[str, list[int]]
    requests: dict[str, list[int]]


def month_of_costs(
    month: Month, clock: Clock, everyone: Sequence[Customer], direct: dict[str, dict[str, int]]
) -> MonthOfCosts:
    """Spread a month over its days. direct: direct_costs(everyone), of the last whole month."""
    busy, flat = month.busy, month.flat
    here = {customer.id: _days_here(customer, month, clock) for customer in everyone}
    series = {
        service: _curves(amounts, month, busy, here, f"{service} {month.first}") for service, amounts in direct.items()
    }
    requests = {customer.id: customer.requests for customer in everyone}
    return MonthOfCosts(
        month=month,
        direct=series,
        assistant=_assistant(clock, everyone) if month == clock.this else {},
        nodes=split(NODES * UNIT * month.level // 100, flat),
        platform=split(PLATFORM * UNIT * month.level // 100, busy),
        untagged={
            service: split(dollars * UNIT * month.level // 100, flat if service == "database" else busy)
            for service, dollars in (UNTAGGED | (FORGOTTEN if month == clock.this else {})).items()
        },
        requests=_curves(requests, month, busy, here, f"requests {month.first}"),
    )


def direct_costs(everyone: Sequence[Customer]) -> dict[str, dict[str, int]]:
    """Return service → customer → units of the last month: sums by service are exactly DIRECT.

    Sums by customer are what its cost asks for, to less than a thousandth of a cent: rows and columns are
    scaled in turn until both fit (iterative proportional fitting).
    """
    wanted = [_direct(customer, len(everyone)) for customer in everyone]
    cells = [_shape(customer, place) for place, customer in enumerate(everyone)]
    for _ in range(ROUNDS):
        for row, wish in zip(cells, wanted, strict=True):
            scale = wish / sum(row.values())
            for service in row:
                row[service] *= scale
        sums = {service: sum(row.get(service, 0.0) for row in cells) for service in DIRECT}
        for row in cells:
            for service in row:
                row[service] *= DIRECT[service] / sums[service]
    found: dict[str, dict[str, int]] = {}
    for service, dollars in DIRECT.items():
        rows = [(customer.id, row[service]) for customer, row in zip(everyone, cells, strict=True) if service in row]
        parts = apportion(dollars * UNIT, [amount for _, amount in rows])
        found[service] = {tenant: part for (tenant, _), part in zip(rows, parts, strict=True)}
    return found


def so_far(amount: int, seconds: int) -> int:
    """Return the part of a day's amount that fell before now."""
    return amount * seconds // DAY_SECONDS


def _direct(customer: Customer, customers: int) -> float:
    """Return the direct dollars that make the customer cost what it shall, once shared costs are added."""
    shared = customer.requests / REQUESTS * BY_REQUESTS + UNTAGGED["storage"] / customers
    return (customer.cost - shared) / (1 + IDLE / sum(DIRECT.values()))


def _shape(customer: Customer, place: int) -> dict[str, float]:
    """Return how a customer's direct cost leans over the services, before it is made to fit."""
    starter_with_pods = customer.plan == "starter" and (place % 5 == 0 or bool(customer.alias))
    shape = SHAPES["starter with pods" if starter_with_pods else customer.plan]
    chance = seeded("shape", customer.id)
    return {service: part * chance.uniform(0.7, 1.3) for service, part in shape.items()}


def _days_here(customer: Customer, month: Month, clock: Clock) -> range:
    """Return the places of the days in the month on which the customer was one."""
    if customer.churned and month == clock.this:
        return range(0)
    came = clock.months[customer.came]
    if month.first < came.first:
        return range(0)
    return range(customer.joined - 1 if month == came else 0, len(month.days))


def _curves(
    amounts: dict[str, int], month: Month, weights: list[int], here: dict[str, range], label: str
) -> dict[str, list[int]]:
    """Spread each customer's amount over the days; all but the named ones trade a part with a neighbour."""
    curves = {tenant: split(amount * month.level // 100, weights) for tenant, amount in amounts.items()}
    named = {customer.id for customer in NAMED}
    others = [tenant for tenant in sorted(amounts, key=lambda tenant: (amounts[tenant], tenant)) if tenant not in named]
    trade([curves[tenant] for tenant in others], label)
    return {
        tenant: [amount if day in here[tenant] else 0 for day, amount in enumerate(curve)]
        for tenant, curve in curves.items()
    }


def _assistant(clock: Clock, everyone: Sequence[Customer]) -> dict[str, list[int]]:
    """Return what the AI feature launched this month adds: FEATURE_DOLLARS if the month were over.

    The same every day from the launch to the end of the month. It is launched on the 4th; in the first week
    of a month on the 1st, so that a sample taken then shows it too. Three customers cause three quarters.
    """
    launch = LAUNCH_DAY if clock.today.day >= SETTLED_DAY else 1
    weights = [int(day.day >= launch) for day in clock.this.days]
    staying = [customer.id for customer in everyone if not customer.churned and customer not in NAMED]
    parts = [0.40, 0.22, 0.15]
    users = [staying[2], staying[14], staying[6], *staying[20:340:8]]
    shares = [*parts, *([(1 - sum(parts)) / (len(users) - len(parts))] * (len(users) - len(parts)))]
    amounts = apportion(FEATURE_DOLLARS * UNIT, shares)
    return {tenant: split(amount, weights) for tenant, amount in zip(users, amounts, strict=True)}
