"""No dollar is lost or counted twice: random bills, weights, rules and restatements against a plain model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.model import RESOURCE_KINDS, Rule, by_day, count_day
from tests.fakes.stored import utc
from unitcost.facts import COST, Batch, Cost, Resource, Usage
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.store import Ledger

FIRST = date(2026, 3, 30)
DAYS = [FIRST + timedelta(n) for n in range(3)]
NOW = utc(2026, 4, 24, 12)
RATES = {"USD": Decimal(1), "EUR": Decimal("1.0837")}
ALIASES = {"Gamma-Corp": "gamma", "GAMMA": "gamma"}

amounts = st.one_of(
    st.decimals(-1000, 100_000, places=12, allow_nan=False, allow_infinity=False),
    # The last in euros comes to half of a last digit in dollars.
    st.sampled_from(
        [Decimal("0.000000000001"), Decimal("-0.01"), Decimal(0), Decimal("9999999.99"), Decimal("0.000000005")]
    ),
)
tenants = st.sampled_from(
    [None, "acme", "beta", "gamma", "Gamma-Corp", "GAMMA", "__idle__", " acme ", 'o\'brien "$"\n']
)
quantities = st.one_of(
    st.decimals(0, 10_000, places=3), st.integers(0, 10**20).map(Decimal), st.decimals(0, 1, places=12)
)


def costs(
    services: list[str],
    components: list[str],
    scopes: list[str | None],
    resources: list[str | None],
    last_days: st.SearchStrategy[date | None],
) -> st.SearchStrategy[list[Cost]]:
    return st.lists(
        st.builds(
            Cost,
            day=st.sampled_from(DAYS),
            tenant=tenants,
            service=st.sampled_from(services),
            category=st.sampled_from(components),
            amount=amounts,
            currency=st.sampled_from(["USD", "EUR"]),
            scope=st.sampled_from(scopes),
            charge=st.sampled_from(["usage", "usage", "purchase", "correction", "unused"]),
            resource=st.sampled_from(resources),
            last_day=last_days,
        ),
        max_size=12,
    )


bills = costs(
    ["ec2", "rds", "Load Balancing"],
    ["compute", "database", "support", "storage", "network"],
    [None, None, "k8s/prod"],
    [None, None, *RESOURCE_KINDS, "i-9"],
    st.sampled_from([None, None, *DAYS]),
)
clusters = costs(
    ["cpu", "ram", "gpu", "pv", "network", "load_balancer", "shared"],
    ["compute", "idle", "network"],
    ["k8s/prod"],
    [None, "i-1", "i-2"],
    st.none(),
)
delivered = st.sets(st.sampled_from(DAYS), min_size=1)
usages = st.lists(
    st.builds(
        Usage,
        day=st.sampled_from(DAYS),
        tenant=tenants.filter(lambda name: name is not None),
        measure=st.sampled_from(["requests", "tokens"]),
        quantity=quantities,
    ),
    max_size=12,
    unique_by=lambda u: (u.day, u.tenant, u.measure),
)
matches = st.fixed_dictionaries(
    {},
    optional={
        "component": st.sampled_from(["idle", "database", "compute", "support", "commitment"]),
        "service": st.sampled_from(["ec2", "rds", "cpu"]),
        "source": st.sampled_from(["bill", "cluster"]),
    },
)
rules = st.lists(
    st.one_of(
        st.builds(Rule, match=matches, method=st.sampled_from(["direct_cost", "even"])),
        st.builds(Rule, match=matches, method=st.just("measure"), measure=st.sampled_from(["requests", "tokens"])),
        st.builds(
            Rule,
            match=matches,
            method=st.just("fixed"),
            fixed=st.sampled_from([{"acme": Decimal(1)}, {"Gamma-Corp": Decimal("0.333"), "new": Decimal("0.667")}]),
        ),
    ),
    max_size=4,
)


def model(chosen: list[Rule]) -> Model:
    return Model(
        sources=[("bill", "bill", True), ("cluster", "cluster", True), ("usage", "usage", True)],
        billed_by=[("cluster", "bill")],
        rates=sorted(RATES.items()),
        aliases=sorted(ALIASES.items()),
        rules=[(n, rule.match, rule.method, rule.measure) for n, rule in enumerate(chosen)],
        fixed=[(n, ALIASES.get(t, t), share) for n, rule in enumerate(chosen) for t, share in rule.fixed.items()],
        dimensions=["feature"],
    )


@dataclass(frozen=True)
class Statement:
    """What the sources say of the DAYS of a company."""

    bill: list[Cost]
    cluster: list[Cost]
    usage: list[Usage]
    known: set[date]

    def billed(self, day: date) -> bool:
        """Tell whether the bill, not the cluster, says what a day cost."""
        marked = {
            cost.day for cost in self.bill if cost.charge == "usage" and (cost.scope or cost.resource in RESOURCE_KINDS)
        }
        return day in (marked & self.known if marked else self.known)


companies = st.lists(
    st.lists(st.builds(Statement, bills, clusters, usages, delivered), min_size=1, max_size=3), min_size=5, max_size=8
)
"""Each a company with its statements, of which one restates the one before."""


def moved(day: date, number: int) -> date:
    return day + timedelta(number * len(DAYS))


def own(name: str | None, number: int) -> str | None:
    return None if name is None else f"{name}-{number}"


def placed(rows: list[Cost], number: int) -> list[Cost]:
    """Return costs of a company on days, in a scope and of resources of its own, so that others are nothing to it."""
    return [
        replace(
            row,
            day=moved(row.day, number),
            scope=own(row.scope, number),
            resource=own(row.resource, number),
            last_day=row.last_day and moved(row.last_day, number),
        )
        for row in rows
    ]


def store(ledger: Ledger, stated: list[Statement]) -> None:
    """Store what is stated of each company now, as one batch of a source."""
    every = [*enumerate(stated)]
    days = [moved(day, number) for number, _ in every for day in DAYS]
    known = [moved(day, number) for number, one in every for day in sorted(one.known)]
    bill = [row for number, one in every for row in placed(one.bill, number)]
    ledger.put("bill", "", Batch("all", known, cost=bill, says=COST), NOW, RATES)
    cluster = [row for number, one in every for row in placed(one.cluster, number)]
    resources = [
        Resource(moved(day, number), f"{name}-{number}", f"k8s/prod-{number}", kind)
        for number, _ in every
        for day in DAYS
        for name, kind in RESOURCE_KINDS.items()
    ]
    ledger.put("cluster", "", Batch("all", days, cost=cluster, resources=resources), NOW, RATES)
    used = [replace(row, day=moved(row.day, number)) for number, one in every for row in one.usage]
    ledger.put("usage", "", Batch("all", days, usage=used), NOW, RATES)


@dataclass(frozen=True)
class Served:
    """What the ledger says of each day: (tenant, component) → dollars, what found no tenant, what was counted."""

    tenants: Mapping[date, Mapping[tuple[str, str], Decimal]]
    unallocated: Mapping[date, Decimal]
    counted: Mapping[date, Decimal]

    @classmethod
    def of(cls, ledger: Ledger) -> Served:
        tenants: dict[date, dict[tuple[str, str], Decimal]] = defaultdict(dict)
        for day, tenant, component, amount in ledger.rows(
            "SELECT day, tenant, component, direct + shared FROM tenant_day"
        ):
            tenants[day][tenant, component] = amount
        unallocated, counted = (
            defaultdict(Decimal, ledger.rows(f"SELECT day, sum(amount) FROM {table} GROUP BY day"))
            for table in ("unallocated_day", "counted_day")
        )
        return cls(tenants, unallocated, counted)


def assert_agrees(served: Served, at: date, stated: Statement, day: date, chosen: list[Rule]) -> None:
    """Assert that a day of the ledger is what the plain model says of a company's day."""
    expected = count_day(
        day, stated.bill, stated.cluster, stated.usage, chosen, ALIASES, RATES, billed=stated.billed(day)
    )
    tenants, unallocated = served.tenants[at], served.unallocated[at]
    assert sum(tenants.values(), unallocated) == expected.total == served.counted[at]
    # What nobody could be charged for is a residue of pools, each of which may be a digit off per tenant.
    for key in tenants.keys() | expected.tenants.keys():
        assert abs(tenants.get(key, Decimal(0)) - expected.tenants.get(key, Decimal(0))) <= Decimal("1e-12"), key
    assert unallocated == expected.unallocated


def held(stated: list[Statement]) -> list[Statement]:
    """Return what is stated as the ledger holds it: the bill of all companies, by day."""
    if all(row.last_day is None for one in stated for row in one.bill):
        return stated
    return [replace(one, bill=by_day(one.bill)) for one in stated]


def assert_agree(ledger: Ledger, stated: list[Statement], chosen: list[Rule]) -> None:
    served = Served.of(ledger)
    for number, one in enumerate(held(stated)):
        for day in DAYS:
            assert_agrees(served, moved(day, number), one, day, chosen)


@settings(max_examples=16, deadline=None)
@given(companies, rules, rules)
def test_every_dollar_of_random_companies_is_served_once_and_the_plain_model_agrees(
    given_companies: list[list[Statement]], chosen: list[Rule], other: list[Rule]
) -> None:
    """Days are independent, so many companies are derived at once, each on days of its own."""
    with closing(Ledger(None)) as ledger:
        for turn in range(max(map(len, given_companies))):
            now_stated = [stated[min(turn, len(stated) - 1)] for stated in given_companies]
            store(ledger, now_stated)
            derive(ledger, model(chosen), NOW, timedelta(days=30))
            assert_agree(ledger, now_stated, chosen)
        derive(ledger, model(other), NOW, timedelta(days=30))
        assert_agree(ledger, now_stated, other)
