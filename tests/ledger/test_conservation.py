"""No dollar is lost or counted twice: random bills, weights, rules and restatements against a plain model."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.model import RESOURCE_KINDS, Rule, count_day
from tests.fakes.stored import utc
from unitcost.facts import COST, Batch, Cost, Resource, Usage
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.store import Ledger

FIRST = date(2026, 3, 30)
DAYS = [FIRST + timedelta(n) for n in range(3)]
NOW = utc(2026, 4, 2, 12)
RATES = {"USD": Decimal(1), "EUR": Decimal("1.0837")}
ALIASES = {"Gamma-Corp": "gamma", "GAMMA": "gamma"}

amounts = st.one_of(
    st.decimals(-1000, 100_000, places=12, allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal("0.000000000001"), Decimal("-0.01"), Decimal(0), Decimal("9999999.99")]),
)
tenants = st.sampled_from(
    [None, "acme", "beta", "gamma", "Gamma-Corp", "GAMMA", "__idle__", " acme ", 'o\'brien "$"\n']
)
quantities = st.one_of(
    st.decimals(0, 10_000, places=3), st.integers(0, 10**20).map(Decimal), st.decimals(0, 1, places=12)
)


def costs(
    services: list[str], components: list[str], scopes: list[str | None], resources: list[str | None]
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
            charge=st.sampled_from(["usage", "usage", "purchase", "correction"]),
            resource=st.sampled_from(resources),
        ),
        max_size=12,
    )


bills = costs(
    ["ec2", "rds", "Load Balancing"],
    ["compute", "database", "support", "storage", "network"],
    [None, None, "k8s/prod"],
    [None, None, *RESOURCE_KINDS, "i-9"],
)
clusters = costs(
    ["cpu", "ram", "gpu", "pv", "network", "load_balancer", "shared"],
    ["compute", "idle", "network"],
    ["k8s/prod"],
    [None, "i-1", "i-2"],
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
        "component": st.sampled_from(["idle", "database", "compute", "support"]),
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


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(bills, clusters, usages, delivered), min_size=1, max_size=3), rules)
def test_every_dollar_of_random_companies_is_served_once_and_the_plain_model_agrees(
    statements: list[tuple[list[Cost], list[Cost], list[Usage], set[date]]], chosen: list[Rule]
) -> None:
    ledger = Ledger(None)
    for bill, cluster, usage, known in statements:  # each one restates the one before
        ledger.put("bill", "", Batch("2026-03", sorted(known), cost=bill, says=COST), NOW, RATES)
        for day in DAYS:
            rows = [cost for cost in cluster if cost.day == day]
            ids = [Resource(day, one, "k8s/prod", kind) for one, kind in RESOURCE_KINDS.items()]
            ledger.put("cluster", "", Batch(day.isoformat(), [day], cost=rows, resources=ids), NOW, RATES)
        ledger.put("usage", "", Batch("all", DAYS, usage=usage), NOW, RATES)
        derive(ledger, model(chosen), NOW, timedelta(days=30))
    bill, cluster, usage, known = statements[-1]
    marked = {cost.day for cost in bill if cost.charge == "usage" and (cost.scope or cost.resource in RESOURCE_KINDS)}
    billed = marked & known if marked else known
    for day in DAYS:
        expected = count_day(day, bill, cluster, usage, chosen, ALIASES, RATES, billed=day in billed)
        served = {
            (tenant, component): direct + shared
            for tenant, component, direct, shared in ledger.rows(
                "SELECT tenant, component, direct, shared FROM tenant_day WHERE day = ?", [day]
            )
        }
        [(unallocated,)] = ledger.rows("SELECT coalesce(sum(amount), 0) FROM unallocated_day WHERE day = ?", [day])
        [(counted,)] = ledger.rows("SELECT coalesce(sum(amount), 0) FROM counted_day WHERE day = ?", [day])
        assert sum(served.values(), unallocated) == expected.total == counted
        # What nobody could be charged for is a residue of pools, each of which may be a digit off per tenant.
        for key in served.keys() | expected.tenants.keys():
            assert abs(served.get(key, Decimal(0)) - expected.tenants.get(key, Decimal(0))) <= Decimal("1e-12"), key
        assert unallocated == expected.unallocated
    ledger.close()
