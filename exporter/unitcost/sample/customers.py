"""The 500 customers of the sample company: names, plans, MRR, and what each shall cost in the last month."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product

from unitcost.sample.days import seeded

REQUESTS = 50_000_000
ALLOCATED = {"enterprise": 24_480, "pro": 14_850, "starter": 8_500, "free": 3_170}
"""Dollars that each plan's customers cost in the last month: together the bill, 51,000."""

PRO_PRICE, STARTER_PRICE, SEAT = 299, 49, 50
"""List prices a month in dollars, and what each seat beyond the plan's costs."""

COUNTS = {"enterprise": 10, "pro": 90, "starter": 250, "free": 150}
SPREAD = {"enterprise": 0.3, "pro": 0.35, "starter": 0.45, "free": 0.5}
TRIALS = {
    **dict.fromkeys((2, *range(13, 100, 17), *range(104, 500, 19)), 0),
    **dict.fromkeys((6, *range(21, 100, 29), *range(111, 500, 31)), 1),
    **dict.fromkeys(range(40, 340, 50), 2),
}
"""Place in the list → the month in which the customer came, counted from the oldest of the sample's."""

CHURNED = (133, 287)
"""Places in the list: who left at the end of the last month."""

FIRST = (
    "Amber", "Birch", "Cedar", "Copper", "Coral", "Crescent", "Ember", "Falcon", "Fern", "Garnet",
    "Granite", "Harbor", "Hazel", "Indigo", "Ivory", "Juniper", "Lantern", "Linden", "Maple", "Meadow",
    "Onyx", "Orchard", "Pebble", "Quill", "Raven", "Saffron", "Sierra", "Thistle", "Velvet", "Willow",
)  # fmt: skip
SECOND = (
    "Analytics", "Bakery", "Biotech", "Clinics", "Commerce", "Dental", "Devices", "Energy", "Farms",
    "Fitness", "Foods", "Freight", "Games", "Health", "Homes", "Learning", "Legal", "Logistics", "Media",
    "Motors", "Payments", "Studios", "Supply", "Travel",
)  # fmt: skip
FORMS = ("Inc", "LLC", "Ltd", "Group", "GmbH", "Co")


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer in the last whole month.

    mrr: dollars a month. cost: the dollars that counting shall find. requests: in that month. budget:
    dollars a month, if agreed. alias: an old spelling that a pod still carries. came: the place of the month in
    which a trial began, without MRR until the first of the next month; joined: the day of it. Who was there before
    the sample begins came on the first of its first month. churned: left when the last month ended.
    """

    id: str
    name: str
    plan: str
    mrr: int
    cost: float
    requests: int
    budget: int | None = None
    alias: str = ""
    came: int = 0
    joined: int = 1
    churned: bool = False


NAMED = (
    Customer("acme", "Acme Corp", "enterprise", 5_000, 850.0, 800_000, budget=1_200),
    Customer("beta", "Beta Inc", "pro", PRO_PRICE, 120.0, 110_000),
    Customer("gamma", "Gamma LLC", "starter", STARTER_PRICE, 68.0, 60_000, alias="Gamma-Corp"),
    Customer("delta", "Delta Co", "free", 0, 22.0, 20_000),
)
"""Their cost is exact to less than half a cent; the others only add up."""


def all_customers() -> list[Customer]:
    """Return the 500 customers, plan by plan, the largest plan first; always the same ones."""
    names = seeded("names").sample(list(product(FIRST, SECOND)), sum(COUNTS.values()) - len(NAMED))
    made = [customer for plan in COUNTS for customer in _of_plan(plan, names)]
    wishes = [
        0.0 if customer in NAMED else customer.cost * seeded("requests", customer.id).uniform(0.6, 1.4)
        for customer in made
    ]
    rest = apportion(REQUESTS - sum(customer.requests for customer in NAMED), wishes)
    return [
        customer if customer in NAMED else _with_story(customer, place, requests)
        for place, (customer, requests) in enumerate(zip(made, rest, strict=True))
    ]


def apportion(amount: int, weights: list[float]) -> list[int]:
    """Split a whole amount by weights with the largest remainder: the parts sum to the amount."""
    scale = amount / sum(weights)
    exact = [weight * scale for weight in weights]
    parts = [int(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda place: parts[place] - exact[place])
    for place in by_remainder[: amount - sum(parts)]:
        parts[place] += 1
    return parts


def _of_plan(plan: str, names: list[tuple[str, str]]) -> list[Customer]:
    """Return a plan's customers, a named one first; takes their names off the list."""
    named = next(customer for customer in NAMED if customer.plan == plan)
    chance = seeded("plan", plan)
    wishes = [chance.lognormvariate(0, SPREAD[plan]) for _ in range(COUNTS[plan] - 1)]
    scale = (ALLOCATED[plan] - named.cost) / sum(wishes)
    made = [named]
    for wish in wishes:
        words = " ".join(names.pop())
        slug = re.sub(r"[^a-z0-9]+", "-", words.lower())
        name = f"{words} {chance.choice(FORMS)}"
        cost = wish * scale
        made.append(Customer(slug, name, plan, _mrr(plan, cost, chance.uniform(0.35, 0.55), chance.random()), cost, 0))
    return made


def _mrr(plan: str, cost: float, cost_share: float, chance: float) -> int:
    """Return a customer's MRR: enterprises negotiate, some pros pay for seats, others the list price."""
    if plan == "enterprise":
        return round(cost / cost_share / 100) * 100
    if plan == "pro":
        return PRO_PRICE + SEAT * max(0, int(chance * 8) - 4)
    return STARTER_PRICE if plan == "starter" else 0


def _with_story(customer: Customer, place: int, requests: int) -> Customer:
    return replace(
        customer,
        requests=requests,
        budget=round(customer.cost * 0.013) * 100 if customer.plan == "enterprise" else None,
        came=TRIALS.get(place, 0),
        joined=9 + place % 11 if place in TRIALS else 1,
        churned=place in CHURNED,
    )
