"""Tokens at the book's prices, divided by the provider's bill where there is one: to the cent, and nothing guessed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.ai_company import PRICES, SCOPE, ai_company, charge, tokens
from tests.fakes.company import YESTERDAY, Company
from unitcost.facts import Cost, Usage
from unitcost.run.pricing import pricing
from unitcost.sources.ai.settings import PriceRule


def lines(made: Company, day: date = YESTERDAY) -> set[tuple[Any, ...]]:
    made.derived()
    sql = "SELECT tenant, item, unit, quantity / 1000000, amount, basis FROM line WHERE day = ?"
    return {
        (tenant, item, unit, None if count is None else Decimal(str(count)), amount, basis)
        for tenant, item, unit, count, amount, basis in made.ledger.rows(sql, [day])
    }


def told(*rows: tuple[str | None, str, str | None, str | None, str, str]) -> set[tuple[Any, ...]]:
    return {
        (tenant, item, unit, None if count is None else Decimal(count), Decimal(amount), basis)
        for tenant, item, unit, count, amount, basis in rows
    }


def by_tenant(made: Company) -> dict[str | None, Decimal]:
    made.derived()
    return dict(made.ledger.rows("SELECT tenant, sum(amount) FROM line GROUP BY tenant HAVING sum(amount) <> 0"))


def test_tokens_cost_what_the_price_book_says() -> None:
    made = ai_company()
    made.put(
        "counters",
        [YESTERDAY],
        usage=[tokens("acme", "input", "3"), tokens("beta", "output", "0.5"), tokens(None, "input", "1")],
    )
    assert lines(made) == told(
        ("acme", "nova", "input", "3", "6", "priced"),
        ("beta", "nova", "output", "0.5", "5", "priced"),
        (None, "nova", "input", "1", "2", "priced"),
    )


def test_what_has_no_price_is_counted_and_costs_nothing() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3", "nobody-knows-it")])
    assert lines(made) == told(("acme", "nobody-knows-it", "input", "3", "0", "unpriced"))
    assert made.ledger.rows("SELECT tenant, model, unpriced FROM ai_day") == [
        ("acme", "nobody-knows-it", Decimal(3_000_000))
    ]


def test_prices_in_dollars_are_converted() -> None:
    made = ai_company(currency="EUR")
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3")])
    assert lines(made) == told(("acme", "nova", "input", "3", "5.4", "priced"))


def test_a_price_that_changes_derives_the_days_again_that_it_is_of() -> None:
    made = ai_company()
    days = [YESTERDAY - timedelta(2), YESTERDAY - timedelta(1), YESTERDAY]
    made.put("counters", days, usage=[tokens("acme", "input", "1", day=day) for day in days])
    made.derived()
    later = PriceRule.model_validate({"model": "nova", "from": days[2], "prices": {"input": 3}})
    made.model = replace(made.model, pricing=pricing((*PRICES, later)))
    before = dict(made.ledger.rows("SELECT day, revision FROM changed_day"))
    made.derived()
    assert dict(made.ledger.rows("SELECT day, sum(amount) FROM line GROUP BY day")) == {
        days[0]: Decimal(2),
        days[1]: Decimal(2),
        days[2]: Decimal(3),
    }
    after = dict(made.ledger.rows("SELECT day, revision FROM changed_day"))
    assert [day for day in days if after[day] != before[day]] == [days[2]]
    assert made.ledger.rows("SELECT first_day, dollars FROM price WHERE unit = 'input' ORDER BY 1") == [
        (date.min, "2"),
        (days[2], "3"),
    ]


COUNTERS = [
    tokens("acme", "input", "3", feature="chat"),
    tokens("acme", "output", "0.2"),
    tokens("beta", "input", "1"),
    tokens("beta", "output", "0.3"),
]
"""Worth 6, 2, 2 and 3 dollars."""

SEARCHES = [
    tokens("beta", "searches", "0.00001", "any", measure="ai_searches"),
    tokens("gamma", "searches", "0.00002", "any", measure="ai_searches"),
]

BILLS: dict[str, tuple[list[Cost], dict[str | None, str]]] = {
    "a model and direction goes by its tokens": ([charge("8.8", "nova", "input")], {"acme": "6.6", "beta": "2.2"}),
    "a model without direction by what its tokens are worth": ([charge("26", "nova")], {"acme": "16", "beta": "10"}),
    "a direction that nobody counted by the model's tokens": (
        [charge("13", "nova", "cache_read")],
        {"acme": "8", "beta": "5"},
    ),
    "what names no model by all": ([charge("-1.3")], {"acme": "-0.8", "beta": "-0.5"}),
    "a model that nobody counted is nobody's": (
        [charge("13", "nova"), charge("4", "dall-e-3", "images")],
        {"acme": "8", "beta": "5", None: "4"},
    ),
    "what is sold by a unit of no model goes by that unit": (
        [charge("13", "nova"), charge("3", None, "searches")],
        {"acme": "8", "beta": "6", "gamma": "2"},
    ),
    "and is nobody's where nobody counted it": ([charge("3", None, "images")], {None: "3"}),
    "a project of one customer is his alone": ([charge("9", "nova", "input", "beta")], {"beta": "9"}),
    "and he bears nothing of the rest": (
        [charge("9", "nova", "input", "beta"), charge("6", "nova", "input")],
        {"beta": "9", "acme": "6"},
    ),
    "nor does it need counters of his": ([charge("9", "nova", "input", "gamma")], {"gamma": "9"}),
}


@pytest.mark.parametrize("case", BILLS)
def test_who_pays_for_a_row_of_the_providers_bill(case: str) -> None:
    bill, expected = BILLS[case]
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[*COUNTERS, *(SEARCHES if "unit of no model" in case else [])])
    made.put("openai", [YESTERDAY], cost=bill)
    assert by_tenant(made) == {tenant: Decimal(amount) for tenant, amount in expected.items()}


def test_tokens_that_a_bill_paid_keep_their_model_feature_direction_and_number() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=COUNTERS)
    made.put("openai", [YESTERDAY], cost=[charge("8.8", "nova", "input"), charge("4", "nova", "output")])
    assert lines(made) == told(
        ("acme", "nova", "input", "3", "6.6", "reconciled"),
        ("acme", "nova", "output", "0.2", "1.6", "reconciled"),
        ("beta", "nova", "input", "1", "2.2", "reconciled"),
        ("beta", "nova", "output", "0.3", "2.4", "reconciled"),
    )
    found = made.ledger.rows("SELECT feature, sum(amount) FROM ai_day GROUP BY ALL ORDER BY ALL")
    assert found == [("chat", Decimal("6.6")), (None, Decimal("6.2"))]


def test_a_model_without_a_price_costs_what_the_bill_says() -> None:
    made = ai_company(())
    made.put("counters", [YESTERDAY], usage=COUNTERS)
    made.put("openai", [YESTERDAY], cost=[charge("8", "nova", "input")])
    assert by_tenant(made) == {"acme": Decimal(6), "beta": Decimal(2)}
    assert made.ledger.rows("SELECT unit, sum(unpriced) FROM ai_day GROUP BY ALL ORDER BY ALL") == [
        ("input", None),
        ("output", Decimal(500_000)),
    ]


def test_what_the_provider_reports_and_no_counter_saw_is_nobodys_or_whose_key_it_was() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=COUNTERS)
    reported = [tokens(None, "input", "5"), tokens("gamma", "input", "0.5"), tokens(None, "output", "0.5")]
    made.put("openai", [YESTERDAY], cost=[], usage=reported)
    assert by_tenant(made) == {"acme": Decimal(8), "beta": Decimal(5), "gamma": Decimal(1), None: Decimal(2)}
    made.put("openai", [YESTERDAY], cost=[charge("11", "nova", "input")], usage=reported)
    assert by_tenant(made) == {"acme": Decimal(6), "beta": Decimal(2), "gamma": Decimal(1), None: Decimal(2)}
    [ratios] = made.ledger.rows("SELECT scope, billed, metered, missed FROM reconciled_day")
    assert ratios == (SCOPE, Decimal(11), Decimal(16), Decimal(3))


def test_where_nobody_counts_the_providers_report_does() -> None:
    made = ai_company()
    made.put(
        "openai",
        [YESTERDAY],
        cost=[charge("6", "nova")],
        usage=[tokens("acme", "input", "2"), tokens(None, "input", "1")],
    )
    assert by_tenant(made) == {"acme": Decimal(4), None: Decimal(2)}
    assert made.ledger.rows("SELECT tenant, measure, quantity FROM usage_day") == [
        ("acme", "ai_tokens", Decimal(2_000_000))
    ]


def test_a_day_without_a_bill_is_an_estimate_at_the_books_prices() -> None:
    made = ai_company()
    before = YESTERDAY - timedelta(1)
    made.put(
        "counters", [before, YESTERDAY], usage=[tokens("acme", "input", "1", day=day) for day in (before, YESTERDAY)]
    )
    made.put("openai", [YESTERDAY], cost=[charge("5", "nova", "input")])
    found = made.gauges(("7d",))
    assert lines(made, before) == told(("acme", "nova", "input", "1", "2", "estimated"))
    assert lines(made) == told(("acme", "nova", "input", "1", "5", "reconciled"))
    assert found["estimated_cost_dollars"]["counters", "7d"] == 2
    assert found["tenant_cost_dollars"]["acme", "ai", "7d"] == 7


def test_models_of_ones_own_cost_what_their_machines_do() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3", "llama", scope="self-hosted/")])
    assert lines(made) == told(("acme", "llama", "input", "3", "0", "priced"))


def test_a_bill_of_a_cloud_is_no_bill_of_a_provider() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=COUNTERS)
    made.put("openai", [YESTERDAY], cost=[replace(charge("100"), scope=None, service="AmazonEC2", category="compute")])
    assert by_tenant(made) == {"acme": Decimal(8), "beta": Decimal(5), None: Decimal(100)}


def test_charges_of_a_clouds_bill_meet_the_tokens_that_a_setting_says_they_are_of() -> None:
    made = ai_company()
    bedrock = replace(charge("26"), scope=None, service="Amazon Bedrock")
    made.put("counters", [YESTERDAY], usage=COUNTERS)
    made.put("openai", [YESTERDAY], cost=[bedrock, replace(bedrock, service="AmazonS3", category="storage")])
    assert by_tenant(made) == {"acme": Decimal(8), "beta": Decimal(5), None: Decimal(52)}
    made.model = replace(made.model, scopes=[("openai", 0, "Amazon Bedrock", None, SCOPE)])
    assert by_tenant(made) == {"acme": Decimal(16), "beta": Decimal(10), None: Decimal(26)}


AMOUNTS = st.decimals("-1000", "1000", places=6)
QUANTITIES = st.decimals("0", "1000000000000", places=3)
TENANTS = st.sampled_from(["acme", "beta", "gamma", None])
MODELS = st.sampled_from(["nova", "gpt-4o", "nobody-knows-it"])
UNITS = st.sampled_from(["input", "output", "cache_read"])
COUNTED = st.lists(st.tuples(TENANTS, MODELS, UNITS, QUANTITIES), max_size=8)
BILLED = st.lists(st.tuples(TENANTS, st.none() | MODELS, st.none() | UNITS, AMOUNTS), min_size=1, max_size=8)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(COUNTED, COUNTED, BILLED), min_size=10, max_size=40))
def test_tenants_and_nobody_together_pay_what_the_provider_charged(
    said: list[tuple[list[Any], list[Any], list[Any]]],
) -> None:
    """Whatever counters, the provider's report and its bill say of each other. Each example has a day of its own."""

    def usage(rows: Iterable[tuple[str | None, str, str, Decimal]], day: date) -> list[Usage]:
        return [Usage(day, tenant, "ai_tokens", count, model, {}, unit, SCOPE) for tenant, model, unit, count in rows]

    made = ai_company()
    days = [YESTERDAY - timedelta(at) for at in range(len(said))]
    costs = [
        replace(charge(str(amount), model, unit, tenant), day=day)
        for day, (_, _, billed) in zip(days, said, strict=True)
        for tenant, model, unit, amount in billed
    ]
    counts = [one for day, (counted, _, _) in zip(days, said, strict=True) for one in usage(counted, day)]
    reports = [one for day, (_, reported, _) in zip(days, said, strict=True) for one in usage(reported, day)]
    made.put_all("counters", days, usage=counts)
    made.put_all("openai", days, cost=costs, usage=reports)
    made.derived()
    paid: dict[tuple[date, str | None], Decimal] = {
        (day, tenant): amount
        for day, tenant, amount in made.ledger.rows("SELECT day, tenant, sum(amount) FROM line GROUP BY ALL")
    }
    served = dict(
        made.ledger.rows(
            "SELECT day, sum(amount) FROM (SELECT day, direct + shared AS amount FROM tenant_day"
            " UNION ALL SELECT day, amount FROM unallocated_day) GROUP BY day"
        )
    )
    kept = dict(made.ledger.rows("SELECT day, sum(quantity) FROM line GROUP BY day"))
    for at, (counted, reported, billed) in enumerate(said):
        day = YESTERDAY - timedelta(at)
        whole = sum((amount for *_, amount in billed), Decimal(0))
        assert sum((amount for (when, _), amount in paid.items() if when == day), Decimal(0)) == whole
        assert served.get(day, Decimal(0)) == whole
        named = {tenant for tenant, *_ in billed if tenant is not None}
        for one in named:
            own = sum((amount for tenant, *_, amount in billed if tenant == one), Decimal(0))
            assert paid.get((day, one), Decimal(0)) == own, "whom the bill names pays just that"
        assert (kept.get(day) or 0) == most(counted, reported)


def most(counted: list[Any], reported: list[Any]) -> Decimal:
    """Return how many tokens are known: what was counted, what is reported of a tenant beyond that, and the rest."""
    total = Decimal(0)
    for kind in {(model, unit) for _, model, unit, _ in [*counted, *reported]}:
        seen = _by_tenant(counted, kind)
        told = _by_tenant(reported, kind)
        own = sum((max(told[one] - seen.get(one, Decimal(0)), Decimal(0)) for one in told if one), Decimal(0))
        known = sum(seen.values(), own)
        total += max(known, sum(told.values(), Decimal(0)))
    return total


def _by_tenant(rows: list[Any], kind: tuple[str, str]) -> dict[str | None, Decimal]:
    found: dict[str | None, Decimal] = {}
    for tenant, model, unit, count in rows:
        if (model, unit) == kind:
            found[tenant] = found.get(tenant, Decimal(0)) + count
    return found
