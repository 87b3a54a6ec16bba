"""The counting rules once more, in plain Python with exact fractions: what the SQL is held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from unitcost.facts import RESERVED, UNUSED, Cost, Usage
from unitcost.sources.values import EXACT

DIGIT = Fraction(1, 10**12)


def split(amount: Decimal, weights: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Split by weight to the last digit, what is left over to the largest remainders; {} without any weight."""
    positive = {name: weight for name, weight in weights.items() if weight > 0}
    total = sum(positive.values(), Fraction(0))
    if not total:
        return {}
    count = abs(int(EXACT.scaleb(amount, 12)))
    exact = {name: count * weight / total for name, weight in positive.items()}
    whole = {name: int(value) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in order[: count - sum(whole.values())]:
        whole[name] += 1
    sign = -1 if amount < 0 else 1
    return {name: EXACT.scaleb(Decimal(sign * value), -12) for name, value in whole.items()}


def by_day(costs: Sequence[Cost]) -> list[Cost]:
    """Return costs as they are held once any is of several days: divided over these, and what is alike added up."""
    alike: dict[str, list[Cost]] = defaultdict(list)
    for cost in costs:
        days = max(((cost.last_day or cost.day) - cost.day).days + 1, 1)
        numbers = zip(*(_evenly(one, days) for one in (cost.amount, cost.list_amount, cost.quantity)), strict=True)
        for nth, (amount, list_amount, quantity) in enumerate(numbers):
            one = replace(cost, day=cost.day + timedelta(nth), last_day=None)
            key = repr(replace(one, amount=Decimal(0), list_amount=None, quantity=None))
            alike[key].append(replace(one, amount=amount or Decimal(0), list_amount=list_amount, quantity=quantity))
    return [
        replace(
            rows[0],
            amount=_sum(row.amount for row in rows),
            list_amount=_sum(row.list_amount for row in rows),
            quantity=_sum(row.quantity for row in rows),
        )
        for rows in alike.values()
    ]


def _sum(numbers: Iterable[Decimal | None]) -> Any:
    """Return a sum, exact; None where a part of it is unknown."""
    whole = Decimal(0)
    for number in numbers:
        if number is None:
            return None
        whole = EXACT.add(whole, number)
    return whole


def _evenly(number: Decimal | None, days: int) -> list[Decimal | None]:
    """Divide in whole last digits; the first days have one more until nothing is left."""
    if number is None:
        return [None] * days
    each, more = divmod(abs(int(EXACT.scaleb(number, 12))), days)
    sign = -1 if number < 0 else 1
    return [EXACT.scaleb(Decimal(sign * (each + (nth < more))), -12) for nth in range(days)]


def name_of(spelt: str | None, aliases: Mapping[str, str]) -> str | None:
    """Return the tenant that a spelling means, or None for nobody."""
    if spelt is None or not spelt.strip() or spelt.strip() in RESERVED:
        return None
    return aliases.get(spelt.strip(), spelt.strip())


@dataclass
class Rule:
    """A sharing rule: what it matches, and by what it shares."""

    match: dict[str, str]
    method: str
    measure: str | None = None
    fixed: dict[str, Decimal] = field(default_factory=dict)


@dataclass
class Answer:
    """What a day came to: (tenant, component) → dollars, and what found no tenant."""

    tenants: dict[tuple[str, str], Decimal]
    unallocated: Decimal
    total: Decimal


Line = tuple[Cost, str, str | None, Decimal]
"""A cost, the source it is counted under, its tenant, and what it comes to in the configured currency."""


RESOURCE_KINDS = {"i-1": "node", "i-2": "node", "vol-1": "disk", "lb-1": "load_balancer"}
"""The resources that the cluster knows."""
METERED = {"cpu": "node", "ram": "node", "gpu": "node", "pv": "disk"} | {
    name: name for name in ("network", "load_balancer")
}


def parts_of(cost: Cost) -> list[str]:
    """Return by whose use of what a bill's row is divided: the first of these that the meter knows anything of."""
    kind = RESOURCE_KINDS.get(cost.resource or "")
    if kind == "load_balancer" or cost.service == "Load Balancing":
        return [cost.resource or "", "load_balancer", "all"] if cost.category != "network" else ["load_balancer", "all"]
    if cost.category == "network":
        return ["network", "all"]
    by_component = {"compute": "node", "gpu": "node", "storage": "disk"}
    return [cost.resource or "", kind or by_component.get(cost.category, "all"), "all"]


def _counted_as(cost: Cost) -> Cost:
    """Return a bill's cost; of a commitment the part that was not used is of no scope, and a component of its own."""
    return cost if cost.charge != UNUSED else replace(cost, category="commitment", scope=None, resource=None)


def count_day(
    day: date,
    bill: Iterable[Cost],
    cluster: Iterable[Cost],
    usage: Iterable[Usage],
    rules: Sequence[Rule],
    aliases: Mapping[str, str],
    rates: Mapping[str, Decimal],
    billed: bool,
) -> Answer:
    """Count one day of one bill and one cluster. billed: the bill, not OpenCost, says what it cost."""

    def converted(cost: Cost) -> Decimal:
        return (cost.amount * rates[cost.currency]).quantize(Decimal("1e-12"), ROUND_HALF_UP)

    rows = [(_counted_as(c), "bill", name_of(c.tenant, aliases), converted(c)) for c in bill if c.day == day]
    workloads = [(c, "cluster", name_of(c.tenant, aliases), converted(c)) for c in cluster if c.day == day]
    counted: list[Line] = []
    pool = [row for row in rows if row[0].scope is not None or row[0].resource in RESOURCE_KINDS]
    weights: dict[str, Fraction] = defaultdict(Fraction)
    kinds: dict[str, Line] = {}
    for row in workloads:
        key = repr((row[0].resource, row[2], row[0].category, row[0].service))
        weights[key] += Fraction(row[3])
        kinds[key] = row
    parts: dict[str, list[str]] = defaultdict(list)
    for key, row in kinds.items():
        if weights[key] > 0:
            for part in {row[0].resource or "all", METERED.get(row[0].service, "all"), "all"}:
                parts[part].append(key)
    pools: dict[str, Decimal] = defaultdict(Decimal)
    for row in pool if parts else []:
        pools[next(part for part in parts_of(row[0]) if part in parts)] += row[3]
    for part, whole in pools.items():
        portions = split(whole, {key: weights[key] for key in parts[part]})
        counted += [(kinds[key][0], "bill", kinds[key][2], amount) for key, amount in portions.items()]
    counted += [] if parts else pool
    counted += [row for row in rows if row not in pool]
    if not billed:
        counted += workloads
    total = sum((row[3] for row in rows), Decimal(0))
    total += Decimal(0) if billed else sum((row[3] for row in workloads), Decimal(0))
    used = [(name_of(row.tenant, aliases), row) for row in usage if row.day == day]
    tenants, unallocated = share(counted, used, rules, aliases)
    return Answer({key: value for key, value in tenants.items() if value}, unallocated, total)


def share(
    counted: Iterable[Line],
    usage: Iterable[tuple[str | None, Usage]],
    rules: Sequence[Rule],
    aliases: Mapping[str, str],
) -> tuple[dict[tuple[str, str], Decimal], Decimal]:
    """Share what has no tenant by the first matching rule; return (tenant, component) → dollars, and the rest."""
    tenants: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    direct: dict[str, Fraction] = defaultdict(Fraction)
    pools: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    unallocated = Decimal(0)
    for cost, source, tenant, amount in counted:
        if tenant is not None:
            tenants[tenant, cost.category] += amount
            direct[tenant] += Fraction(amount)
            continue
        facts = {"source": source, "component": cost.category, "service": cost.service}
        number = next((n for n, r in enumerate(rules) if all(facts[k] == v for k, v in r.match.items())), None)
        if number is None:
            unallocated += amount
        else:
            pools[number, cost.category] += amount
    used: dict[str, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for tenant, row in usage:
        if tenant is not None:
            used[row.measure][tenant] += Fraction(row.quantity)
    present = {*direct, *(name for measure in used.values() for name, quantity in measure.items() if quantity > 0)}
    for (number, component), amount in pools.items():
        parts = split(amount, weights_of(rules[number], direct, present, used, aliases))
        if not parts:
            unallocated += amount
        for tenant, part in parts.items():
            tenants[tenant, component] += part
    return tenants, unallocated


def weights_of(
    rule: Rule,
    direct: Mapping[str, Fraction],
    present: Iterable[str],
    used: Mapping[str, Mapping[str, Fraction]],
    aliases: Mapping[str, str],
) -> Mapping[str, Fraction]:
    """Return what each tenant weighs under a rule."""
    if rule.method == "direct_cost":
        return direct
    if rule.method == "even":
        return dict.fromkeys(present, Fraction(1))
    if rule.method == "fixed":
        return {aliases.get(name, name): Fraction(part) for name, part in rule.fixed.items()}
    return used.get(rule.measure or "", {})
