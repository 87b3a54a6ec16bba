"""What AI could cost instead: another model, a prompt cache, a cache of answers; and what a price carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.ai_company import PRICES, SOURCES, ai_company, charge, tokens
from tests.fakes.company import NOW, YESTERDAY, Company, days_until, mrr
from tests.fakes.stored import utc
from unitcost.config.directory import Directory, Tenant
from unitcost.config.sections import Plan
from unitcost.facts import Cost, Usage
from unitcost.sources.ai.settings import Ai, PriceRule

CACHING = PriceRule(
    model="nova", prices={unit: Decimal(price) for unit, price in {"cache_read": "0.2", "cache_write": "2.5"}.items()}
)
SMALL = PriceRule(model="mini", prices={"input": Decimal("0.5"), "output": Decimal(1)})
RULES = (*PRICES, CACHING, SMALL)


def seen(made: Company, ai: Mapping[str, Any], windows: tuple[str, ...] = ("1d",)) -> Any:
    return made.gauges(windows, ai=Ai.model_validate({"prices": RULES, **ai}))


def routing(made: Company, route: Mapping[str, object], windows: tuple[str, ...] = ("1d",)) -> list[tuple[Any, ...]]:
    seen(made, {"routing": [route]}, windows)
    return made.ledger.rows("SELECT feature, model, target, cost, other_cost, saving, lacks FROM routing ORDER BY ALL")


# ------------------------------------------------------------------------------------------- another model

SPENT = [tokens("acme", "input", "3", feature="tagging"), tokens("beta", "output", "0.5", feature="tagging")]
"""3 million in for $2 each and half a million out for $10: $6 + $5 = $11; of `mini` $1.5 + $0.5 = $2."""

ROUTES: dict[str, tuple[dict[str, object], str]] = {
    "both sides of both prices": ({}, "9"),
    "a tokenizer that makes 1.2 of one": ({"tokenizer_ratio": 1.2}, "8.6"),
    "a tenth that falls back is paid for twice": ({"fallback_share": 0.1}, "7.9"),
    "both": ({"tokenizer_ratio": 1.2, "fallback_share": 0.1}, "7.5"),
    "a pattern of the models": ({"from": "NO*"}, "9"),
}


@pytest.mark.parametrize("case", ROUTES)
def test_another_model_saves_what_the_same_tokens_cost_less_there(case: str) -> None:
    given_, saving = ROUTES[case]
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=SPENT)
    [found] = routing(made, {"feature": "tagging", "to": "mini", **given_})
    assert found[:3] == ("tagging", "nova", "mini")
    assert found[5] == pytest.approx(float(saving))
    assert found[6] is None


def test_prices_of_the_day_count_on_either_side() -> None:
    days = days_until(YESTERDAY, 2)
    cheaper = PriceRule.model_validate({"model": "mini", "from": days[1], "prices": {"input": 0.25}})
    dearer = PriceRule.model_validate({"model": "nova", "from": days[1], "prices": {"input": 3}})
    rules = (*RULES, cheaper, dearer)
    made = ai_company(rules)
    made.put("counters", days, usage=[tokens("acme", "input", "1", day=day, feature="tagging") for day in days])
    seen(made, {"prices": rules, "routing": [{"feature": "tagging", "to": "mini"}]}, ("2d",))
    assert made.ledger.rows("SELECT cost, other_cost, saving FROM routing") == [(5.0, 0.75, 4.25)]


def test_the_first_route_that_matches_counts_and_a_model_is_not_sent_to_itself() -> None:
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=[*SPENT, tokens("acme", "input", "7", "mini", feature="tagging")])
    first = {"feature": "tagging", "to": "mini", "from": "*"}
    found = seen(made, {"routing": [first, {"feature": "tagging", "to": "gpt-4o-mini"}]})["savings_opportunity_dollars"]
    assert list(found) == [("model_routing", "tagging: nova → mini", "1d")]
    assert found["model_routing", "tagging: nova → mini", "1d"] == pytest.approx(9 * 365 / 12)


@pytest.mark.parametrize(
    ("model", "to", "why"),
    [
        ("nova", "nobody-knows-it", "nobody-knows-it has no price of input"),
        ("nobody-knows-it", "mini", "nobody-knows-it has no price of input"),
    ],
)
def test_without_a_price_there_is_no_figure_and_it_says_why(model: str, to: str, why: str) -> None:
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3", model, feature="tagging")])
    [found] = routing(made, {"feature": "tagging", "to": to})
    assert found[3:] == (None, None, None, why)
    assert made.gauges(ai=Ai(routing=()))["savings_opportunity_dollars"] == {}


def test_a_model_of_ones_own_has_no_price_that_another_could_be_below() -> None:
    made = ai_company(RULES)
    used = tokens("acme", "input", "3", "gpt-4o", feature="tagging", scope="self-hosted/")
    made.put("counters", [YESTERDAY], usage=[used])
    [found] = routing(made, {"feature": "tagging", "to": "mini"})
    assert found[3:] == (None, None, None, "gpt-4o has no price of input")


def test_a_dearer_model_is_no_opportunity_and_its_figure_says_so() -> None:
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "2", "mini", feature="tagging")])
    [found] = routing(made, {"feature": "tagging", "to": "openai/nova"})
    assert found[3:6] == (1.0, 4.0, -3.0)
    told = seen(made, {"routing": [{"feature": "tagging", "to": "openai/nova"}]})["savings_opportunity_dollars"]
    assert told == {("model_routing", "tagging: mini → openai/nova", "1d"): 0}


def test_a_month_is_told_by_the_days_that_are_over_and_known() -> None:
    """Two days of $9 each, and today's half: a month of $9 a day."""
    today = NOW.date()
    days = [*days_until(YESTERDAY, 2), today]
    made = ai_company(RULES)
    made.put("counters", days, usage=[replace(one, day=day) for day in days for one in SPENT])
    found = seen(made, {"routing": [{"feature": "tagging", "to": "mini"}]}, ("mtd", "30d"))
    for window in ("mtd", "30d"):
        month = found["savings_opportunity_dollars"]["model_routing", "tagging: nova → mini", window]
        assert month == pytest.approx(9 * 365 / 12)
    assert made.ledger.rows("SELECT saving FROM routing WHERE span = 'mtd'") == [(27.0,)]


def test_prices_are_in_the_currency_of_all_else() -> None:
    made = ai_company(RULES, currency="EUR")
    made.put("counters", [YESTERDAY], usage=SPENT)
    [found] = routing(made, {"feature": "tagging", "to": "mini"})
    assert found[5] == pytest.approx(9 * 0.9)


# ------------------------------------------------------------------------------------------- prompt caching


def test_a_prompt_cache_saves_what_reading_costs_less_without_what_writing_costs_more() -> None:
    """10 million read for $0.2 instead of $2, 1 million written for $2.5 instead of $2: $18 - $0.5."""
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "cache_read", "10"), tokens(None, "cache_write", "1")])
    assert seen(made, {})["ai_cache_saved_dollars"] == {("nova", "1d"): pytest.approx(17.5)}


def test_a_prompt_cache_of_a_model_without_a_price_saves_nobody_knows_what() -> None:
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "cache_read", "10", "nobody-knows-it")])
    assert seen(made, {})["ai_cache_saved_dollars"] == {}
    assert made.ledger.rows("SELECT model, saved FROM cache_saved") == [("nobody-knows-it", None)]


INPUT = st.decimals("0", "1000000", places=3)


USED = st.dictionaries(st.sampled_from(["input", "cache_read", "cache_write"]), INPUT, min_size=1)
CASES = 12
"""Customers of an example, each with a model of its own: a company of twelve takes as long as one of one."""


@settings(max_examples=3, deadline=None)
@given(st.lists(USED, min_size=CASES, max_size=CASES))
def test_what_was_paid_and_what_the_cache_saved_are_the_price_of_all_as_plain_input(
    each: list[dict[str, Decimal]],
) -> None:
    rules = [rule.model_copy(update={"model": "nova-*"}) for rule in (*PRICES, CACHING)]
    made = ai_company(tuple(rules))
    used = [
        tokens(f"t{number}", unit, str(count), f"nova-{number}")
        for number, one in enumerate(each)
        for unit, count in one.items()
    ]
    made.put("counters", [YESTERDAY], usage=used)
    found = seen(made, {"prices": rules})
    for number, one in enumerate(each):
        paid = found["tenant_cost_dollars"].get((f"t{number}", "ai", "1d"), 0)
        saved = found["ai_cache_saved_dollars"].get((f"nova-{number}", "1d"), 0)
        assert paid + saved == pytest.approx(float(2 * sum(one.values())), abs=1e-6), one


MISSED: dict[str, tuple[dict[str, str], float, str | None]] = {
    "all of what could be cached": ({"input": "10"}, 0.6, "6"),
    "less what was read": ({"input": "8", "cache_read": "2"}, 0.6, "4"),
    "nothing where more was read": ({"input": "2", "cache_read": "8"}, 0.6, "0"),
    "never more than was not read or written": ({"input": "1", "cache_write": "9"}, 1, "1"),
}
"""Millions by unit, the part that could be cached, and the millions that could have been read: at $1.8 less each."""


@pytest.mark.parametrize("case", MISSED)
def test_what_a_prompt_cache_could_have_saved_at_most(case: str) -> None:
    used, share, missed = MISSED[case]
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=[tokens("acme", unit, n, feature="chat") for unit, n in used.items()])
    found = seen(made, {"cacheable_share": {"chat": share}})["savings_opportunity_dollars"]
    month = float(missed or 0) * 1.8 * 365 / 12
    assert found == {("prompt_cache_missed", "chat: nova", "1d"): pytest.approx(month)}


@pytest.mark.parametrize(("model", "share"), [("nova", {}), ("nova", {"search": 1}), ("mini", {"chat": 1})])
def test_nothing_is_missed_that_nobody_said_could_be_cached_or_that_has_no_price_for_it(
    model: str, share: dict[str, float]
) -> None:
    made = ai_company(RULES)
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "10", model, feature="chat")])
    assert seen(made, {"cacheable_share": share})["savings_opportunity_dollars"] == {}


# ------------------------------------------------------------------------------------------- a cache of answers


def asked(tenant: str, count: str, measure: str = "ai_requests", day: date = YESTERDAY) -> Usage:
    return Usage(day, tenant, measure, Decimal(count))


def test_a_cache_of_answers_saves_what_its_hits_would_have_cost() -> None:
    """20 requests for $11 and 10 hits: 10 x $0.55, less a million embedded for $0.5."""
    made = ai_company(RULES)
    hits = [asked("acme", "10", "ai_cache_hits"), asked("acme", "1000000", "embedded")]
    made.put("counters", [YESTERDAY], usage=[*SPENT, asked("acme", "15"), asked("beta", "5"), *hits])
    seen(made, {"semantic_cache": {"embedding_tokens": "embedded", "embedding_model": "mini"}})
    assert made.ledger.rows("SELECT hits, mean, embedding, saved FROM semantic_cache") == [
        (10, pytest.approx(0.55), pytest.approx(0.5), pytest.approx(5))
    ]
    seen(made, {})
    [(embedding, saved)] = made.ledger.rows("SELECT embedding, saved FROM semantic_cache")
    assert (embedding, saved) == (None, pytest.approx(5.5)), "before what embedding costs, which nobody counted"


# ------------------------------------------------------------------------------------------- how many requests

GPT_4 = PriceRule(model="gpt-4", provider="openai", prices={"input": Decimal(30), "output": Decimal(60)})
STARTER = {"starter": Plan(price=Decimal(49))}
TENANTS = Directory(tuple(Tenant(name, name, "starter", "active", None, ()) for name in ("gamma", "other")))
MONTH = [date(2026, 11, 1) + timedelta(n) for n in range(22)]


def starter(tenants: Mapping[str, int], base: str = "35", sources: Any = None) -> Company:
    """Make a company whose tenants ask GPT-4 so many times a day, since November began: 500 tokens in, 200 out.

    base: dollars of November besides.
    """
    made = ai_company((GPT_4,))
    made.directory = TENANTS
    made.model = replace(made.model, sources=[*SOURCES, ("revenue", "revenue", False), *(sources or [])])
    daily = Decimal(base) / 30
    used, costs = [], []
    for day in MONTH:
        for tenant, requests in tenants.items():
            costs.append(Cost(day, tenant, "EC2", "compute", daily, "USD"))
            if requests:
                used += [
                    tokens(tenant, "input", str(Decimal(500 * requests) / 1000000), "gpt-4", day),
                    tokens(tenant, "output", str(Decimal(200 * requests) / 1000000), "gpt-4", day),
                    asked(tenant, str(requests), day=day),
                ]
    made.put_all("counters", MONTH, usage=used)
    made.put_all("openai", MONTH, cost=costs)
    return made


def test_the_articles_plan_carries_518_requests() -> None:
    """$49, $35 besides AI, 500 + 200 tokens of GPT-4 at $0.03 and $0.06 for a thousand: $0.027 each."""
    made = starter({"gamma": 10})
    found = made.gauges(("mtd",), plans=STARTER)
    assert found["cost_per_ai_request"]["gamma", "mtd"] == pytest.approx(0.027)
    assert found["tenant_ai_requests_carried"] == {("gamma",): 518}
    assert found["tenant_ai_requests_until_loss"] == {("gamma",): 518 - 220}
    assert found["tenant_ai_loss_in_seconds"] == {}, "298 at 10 a day come after the month's end"


CARRIED = [
    # price, base, dollars of a request, and the whole number that fits
    ("49", "35", "0.027", 518),
    ("48", "35", "0.026", 500),
    ("35.3", "35", "0.1", 3),
    ("35.29", "35", "0.1", 2),
    ("35", "35", "0.027", 0),
    ("20", "35", "0.027", 0),
]


@pytest.mark.parametrize(("price", "base", "each", "requests"), CARRIED)
def test_a_whole_number_of_requests_fits_into_a_price(price: str, base: str, each: str, requests: int) -> None:
    made = starter({"gamma": 1})
    made.gauges(plans=STARTER)
    sql = f"SELECT carried_requests({price}::DOUBLE, {base}::DOUBLE, {each}::DOUBLE)"
    assert made.ledger.rows(sql) == [(requests,)]


@pytest.mark.parametrize(
    ("requests", "left", "in_days"),
    [(20, 78, 3.9), (23, 12, 12 / 23), (24, -10, 0), (18, 122, 122 / 18), (10, 298, None)],
)
def test_the_days_until_a_tenant_loses_money_are_of_this_month(requests: int, left: int, in_days: float | None) -> None:
    found = starter({"gamma": requests}).gauges(plans=STARTER)
    assert found["tenant_ai_requests_until_loss"]["gamma",] == left
    assert found["tenant_ai_loss_in_seconds"].get(("gamma",)) == (
        None if in_days is None else pytest.approx(in_days * 86400)
    )


def test_who_asked_nothing_yet_is_measured_by_the_plan() -> None:
    found = starter({"gamma": 10, "other": 0}).gauges(plans=STARTER)
    assert found["tenant_ai_requests_carried"] == {("gamma",): 518, ("other",): 518}
    assert found["tenant_ai_requests_until_loss"]["other",] == 518


def test_mrr_comes_before_the_plans_price() -> None:
    made = starter({"gamma": 10, "other": 10})
    made.put("revenue", [YESTERDAY], revenue=[mrr("gamma", "62"), mrr("other", "0")])
    found = made.gauges(plans=STARTER)
    assert found["tenant_ai_requests_carried"] == {("gamma",): 1000}, "27 / 0.027; who pays nothing has no price"


def test_without_a_price_or_requests_or_a_price_of_the_model_nothing_is_told() -> None:
    names = ("tenant_ai_requests_carried", "tenant_ai_requests_until_loss", "tenant_ai_loss_in_seconds")
    assert [starter({"gamma": 10}).gauges()[name] for name in names] == [{}, {}, {}]
    assert [starter({"gamma": 0}).gauges(plans=STARTER)[name] for name in names] == [{}, {}, {}]
    unpriced = starter({"gamma": 10})
    unpriced.put("counters", [YESTERDAY], usage=[tokens("gamma", "input", "1", "nobody-knows-it"), asked("gamma", "1")])
    assert [unpriced.gauges(plans=STARTER)[name] for name in names] == [{}, {}, {}]


def test_a_month_that_has_just_begun_goes_by_the_days_before() -> None:
    """On the 2nd one day is over, of which there were 10 requests; base cost is told by the last 7 days."""
    made = starter({"gamma": 10})
    found = made.gauges(("mtd",), now=utc(2026, 11, 8, 12), plans=STARTER)
    assert found["tenant_ai_requests_carried"] == {("gamma",): 518}
    found = made.gauges(("mtd",), now=utc(2026, 11, 7, 12), plans=STARTER)
    assert found["tenant_ai_requests_carried"] == {}, "6 complete days are too few"


def test_what_a_provider_charges_beside_counters_belongs_to_the_base_or_to_ai_never_to_both() -> None:
    """All that a tenant costs is its base cost and its own AI: at N requests cost equals price."""
    made = starter({"gamma": 10})
    made.put("openai", [YESTERDAY], cost=[charge("3", "gpt-4", "input", "gamma")])
    found = made.gauges(("mtd",), plans=STARTER)
    [(price, base, mean)] = made.ledger.rows("SELECT price, base, mean FROM break_even")
    whole = found["tenant_cost_dollars"]["gamma", "ai", "mtd"] + found["tenant_cost_dollars"]["gamma", "compute", "mtd"]
    own = found["tenant_ai_cost_dollars"]["gamma", "gpt-4", "__unknown__", "mtd"]
    per_day = made.ledger.rows("SELECT sum(quantity) FROM usage_day WHERE measure = 'ai_requests'")[0][0]
    assert own == pytest.approx(mean * float(per_day))
    assert base > whole - own, "the rest of the month is still to come"
    assert price == 49
