"""What the company uses of models: tokens whose worth, at list prices, is what the provider charges."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from unitcost.sample.company import FEATURE, MonthOfCosts, so_far
from unitcost.sample.days import Clock
from unitcost.split import split

FEATURES = ("search", "reports")
"""What a customer uses by its place in the list, by turns, besides the new FEATURE."""

MODELS = {
    "search": {"gpt-4o-mini": 1},
    "reports": {"gpt-4o": 1},
    FEATURE: {"gpt-5": 7, "gpt-4o": 3},
    "": {"gpt-4o-mini": 1},
}
"""Feature → the models behind it, and how much of its cost each is. "": the key that nobody has named."""

TOKENS = {
    "gpt-4o-mini": {"input": (6, 15), "output": (4, 60)},
    "gpt-4o": {"input": (4, 250), "cache_read": (1, 125), "output": (5, 1000)},
    "gpt-5": {"input": (4, 125), "output": (6, 1000)},
}
"""Model → direction → how much of its cost that is, and the list price of a token in units of 1e-8 dollars."""

Cell = tuple[str, str, str]
"""Customer, feature and model."""
Uses = dict[Cell, list[int]]
"""What a month's use of models costs on each day, in units of 1e-8 dollars."""


def of_month(month: MonthOfCosts) -> Uses:
    """Return what each customer's use of a model costs on each day."""
    found: Uses = {}
    uses = [
        (tenant, FEATURES[number % len(FEATURES)], days)
        for number, (tenant, days) in enumerate(month.direct["ai"].items())
    ]
    uses += [(tenant, FEATURE, days) for tenant, days in month.assistant.items()]
    uses += [("", "", month.untagged["ai"])] if "ai" in month.untagged else []
    for tenant, feature, days in uses:
        parts = [split(amount, list(MODELS[feature].values())) for amount in days]
        for place, model in enumerate(MODELS[feature]):
            found[tenant, feature, model] = [part[place] for part in parts]
    return found


def by_model(uses: Uses) -> dict[str, list[int]]:
    """Return what each model costs on each day of a month, in the same units."""
    sums: dict[str, list[int]] = {}
    for (_, _, model), days in uses.items():
        sums[model] = [sum(pair) for pair in zip(sums.get(model, [0] * len(days)), days, strict=True)]
    return sums


def write_tokens(path: Path, clock: Clock, months: list[MonthOfCosts], uses: list[Uses]) -> None:
    """Write the tokens of every day, customer, feature, model and direction; today's are those until now."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("day", "tenant", "feature", "model", "direction", "quantity"))
        writer.writerows(_rows(clock, months, uses))


def _rows(clock: Clock, months: list[MonthOfCosts], uses: list[Uses]) -> Iterator[tuple[object, ...]]:
    for month, cells in zip(months, uses, strict=True):
        for place, day in enumerate(month.month.days):
            seconds, written = clock.elapsed(day), day.isoformat()
            if not seconds:
                return
            for (tenant, feature, model), days in cells.items():
                worth = TOKENS[model]
                parts = split(so_far(days[place], seconds), [weight for weight, _ in worth.values()])
                for (direction, (_, price)), part in zip(worth.items(), parts, strict=True):
                    if part >= price:
                        yield written, tenant, feature, model, direction, part // price
