"""Events of the history: what happened to customers and dimensions, and what only looks as if something had."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.company import NOW, RATES, YESTERDAY, Company, cost, days_until, mrr
from unitcost.config.directory import Directory, Tenant
from unitcost.economics.events import OF_COMPANY, OF_CUSTOMERS
from unitcost.facts import Batch, Cost, Query, Revenue, Usage

DAYS = days_until(YESTERDAY, 30)
CHANGE = DAYS[20]
"""A day with more than a week of known days before and after it."""


def used(tenant: str, days: Sequence[date]) -> list[Usage]:
    return [Usage(day, tenant, "requests", Decimal(5)) for day in days]


def paid(tenant: str, amount: str, days: Sequence[date], plan: str | None = None) -> list[Revenue]:
    return [mrr(tenant, amount, day, plan) for day in days]


def company(**kinds: Sequence[object]) -> Company:
    """Return a company of which every named source knows all DAYS."""
    found = Company(sources=[(name, name, True) for name in kinds])
    for name, rows in kinds.items():
        key = {"revenue": "revenue", "usage": "usage"}.get(name, "cost")
        found.put_all(name, DAYS, **{key: rows})
    return found


def told(found: Company, *, of: str | None = "", now: datetime = NOW, **kept: object) -> list[tuple[str, date, str]]:
    """Return (kind, day, text) of the events of the company, of a customer, or (None) of all customers."""
    series = found.gauges(now=now, **kept)["unitcost_event_timestamp_seconds"]  # type: ignore[arg-type]
    for (_, day, _, _, _), value in series.items():
        assert value == datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()
    return sorted(
        (kind, date.fromisoformat(day), text)
        for kind, day, tenant, _, text in series
        if (bool(tenant) if of is None else tenant == of)
    )


# subscriptions


def test_a_price_change_is_told_with_both_amounts_of_the_company_and_of_the_customer() -> None:
    found = company(
        revenue=[*paid("acme", "299", DAYS[:20]), *paid("acme", "349", DAYS[20:]), *paid("beta", "9", DAYS)]
    )
    expected = [("subscription_changed", CHANGE, "Subscription changed: Acme Corp, MRR $299 → $349")]
    assert told(found) == told(found, of="acme") == expected
    assert told(found, of="beta") == []


def test_a_plan_change_is_told_with_the_price_where_that_changed_too() -> None:
    rows = [
        *paid("acme", "49", DAYS[:20], "starter"),
        *paid("acme", "299", DAYS[20:], "pro"),
        *paid("beta", "99", DAYS[:9], "pro"),
        *paid("beta", "99", DAYS[9:], "team"),
        *paid("gamma", "99", DAYS[:9], "pro"),
        *paid("gamma", "99", DAYS[9:]),
        *paid("delta", "99", DAYS[:9], "pro"),
        *paid("delta", "99", DAYS[12:], "team"),
    ]
    found = company(revenue=rows)
    assert told(found, of=None) == [
        ("subscription_changed", DAYS[9], "Subscription changed: beta, plan pro → team"),
        ("subscription_changed", DAYS[9], "Subscription changed: delta, MRR $99 → $0"),
        ("subscription_changed", DAYS[12], "Subscription changed: delta, MRR $0 → $99"),
        ("subscription_changed", CHANGE, "Subscription changed: Acme Corp, plan starter → pro, MRR $49 → $299"),
    ]


def test_amounts_that_differ_by_cents_show_them_and_by_less_are_the_same() -> None:
    rows = [
        *paid("acme", "299", DAYS[:20]),
        *paid("acme", "299.25", DAYS[20:]),
        *paid("beta", "50", DAYS[:20]),
        *paid("beta", "50.004", DAYS[20:]),
    ]
    assert told(company(revenue=rows)) == [
        ("subscription_changed", CHANGE, "Subscription changed: Acme Corp, MRR $299.00 → $299.25")
    ]


def test_what_happened_to_several_on_one_day_is_one_event_with_the_largest_of_them() -> None:
    names = [f"t{number}" for number in range(5)]
    rows = [row for name in names for row in paid(name, "100", DAYS[:20])]
    rows += [row for number, name in enumerate(names) for row in paid(name, str(150 + 10 * number), DAYS[20:])]
    text = (
        "5 subscriptions changed, MRR +$350: t4, MRR $100 → $190; t3, MRR $100 → $180; t2, MRR $100 → $170 and 2 more"
    )
    found = company(revenue=rows)
    assert told(found) == [("subscription_changed", CHANGE, text)]
    assert len(told(found, of=None)) == 5


# arrivals


def test_a_customer_that_pays_for_the_first_time_is_new_but_not_on_the_first_day_of_the_history() -> None:
    rows = [*paid("acme", "9", DAYS), *paid("beta", "49", DAYS[1:]), *paid("gamma", "99", DAYS[20:])]
    assert told(company(revenue=rows)) == [
        ("tenant_new", DAYS[1], "New customer: beta, MRR $49"),
        ("tenant_new", CHANGE, "New customer: gamma, MRR $99"),
    ]


@pytest.mark.parametrize(("known_before", "events"), [(6, 0), (7, 1)])
def test_who_only_costs_or_uses_something_is_new_after_a_week_without(known_before: int, events: int) -> None:
    came = DAYS[known_before:]
    rows = [cost("acme", "5", day=day) for day in DAYS] + [cost("beta", "5", day=day) for day in came]
    used_it = [*used("acme", DAYS), *used("gamma", came)]
    assert [day for _, day, _ in told(company(bill=rows, usage=used_it), of="beta")] == [came[0]] * events
    assert [day for _, day, _ in told(company(bill=rows, usage=used_it), of="gamma")] == [came[0]] * events


def test_a_trial_is_a_new_customer_first_and_a_subscription_later() -> None:
    found = company(revenue=[*paid("acme", "49", DAYS[20:]), *paid("beta", "9", DAYS)], usage=used("acme", DAYS[10:]))
    assert told(found, of="acme") == [
        ("subscription_changed", CHANGE, "Subscription changed: Acme Corp, MRR $0 → $49"),
        ("tenant_new", DAYS[10], "New customer: Acme Corp"),
    ]


def test_another_spelling_is_no_new_customer_and_the_old_one_has_not_left() -> None:
    found = company(
        bill=[cost("acme" if day < CHANGE else "Acme-Corp", "5", day=day) for day in DAYS],
        revenue=[*paid("acme", "49", DAYS[:20], "pro"), *paid("Acme-Corp", "49", DAYS[20:], "pro")],
        usage=used("Acme-Corp", DAYS),
    )
    assert told(found) == []


def test_a_plan_changes_under_whatever_spelling() -> None:
    found = company(revenue=[*paid("acme", "49", DAYS[:20], "starter"), *paid("Acme-Corp", "49", DAYS[20:], "pro")])
    assert told(found) == [("subscription_changed", CHANGE, "Subscription changed: Acme Corp, plan starter → pro")]


# departures


def test_a_customer_whose_revenue_and_usage_end_has_left_whatever_is_stored_for_it() -> None:
    found = company(
        revenue=[*paid("acme", "49", DAYS[:20]), *paid("beta", "9", DAYS)],
        usage=[*used("acme", DAYS[:20]), *used("beta", DAYS)],
        bill=[cost("acme", "1", "storage", day) for day in DAYS],
    )
    assert told(found) == [("tenant_gone", CHANGE, "Customer gone: Acme Corp, MRR was $49")]


def test_until_a_week_has_passed_it_is_a_change_of_mrr() -> None:
    rows = [*paid("acme", "49", DAYS[:25]), *paid("beta", "9", DAYS)]
    found = company(revenue=rows, usage=[*used("acme", DAYS[:25]), *used("beta", DAYS)])
    assert told(found) == [("subscription_changed", DAYS[25], "Subscription changed: Acme Corp, MRR $49 → $0")]


def test_who_pays_no_more_but_goes_on_using_is_a_customer() -> None:
    found = company(revenue=[*paid("acme", "49", DAYS[:20]), *paid("acme", "0", DAYS[20:])], usage=used("acme", DAYS))
    assert told(found) == [("subscription_changed", CHANGE, "Subscription changed: Acme Corp, MRR $49 → $0")]


def test_a_free_customer_has_left_after_a_week_without_cost_and_usage_and_not_while_it_pauses() -> None:
    quiet = [*DAYS[:5], *DAYS[16:]]
    rows = [*used("acme", DAYS), *used("left", DAYS[:20]), *used("paused", quiet), *used("late", DAYS[:24])]
    costs = [cost("left", "1", day=day) for day in DAYS[:21]] + [cost("acme", "1", day=day) for day in DAYS]
    found = company(usage=rows, bill=costs)
    assert told(found) == [("tenant_gone", DAYS[21], "Customer gone: left")]


def test_a_refund_is_neither_an_arrival_nor_a_stay() -> None:
    costs = [cost("acme", "9", day=day) for day in DAYS]
    costs += [cost("left", "9", day=day) for day in DAYS[:10]]
    refunds = [cost("left", "-5", day=DAYS[25]), cost("never", "-5", day=DAYS[15])]
    refunds.append(cost("acme", "-20", "other", CHANGE))
    assert told(company(bill=[*costs, *refunds])) == [("tenant_gone", DAYS[10], "Customer gone: left")]


# what is not known tells nothing


def test_a_day_that_is_not_known_in_between_tells_nothing() -> None:
    hole = DAYS[15]
    known = [day for day in DAYS if day != hole]
    found = Company()
    found.put_all("usage", known, usage=used("acme", known))
    found.put_all("revenue", known, revenue=[*paid("acme", "49", known), *paid("beta", "9", [*DAYS[:15], *DAYS[18:]])])
    found.put_all("bill", known, cost=[cost("acme", "5", day=day) for day in known])
    found.put_all("cluster", DAYS)
    changes = [
        ("subscription_changed", DAYS[16], "Subscription changed: beta, MRR $9.00 → $0.00"),
        ("subscription_changed", DAYS[18], "Subscription changed: beta, MRR $0.00 → $9.00"),
    ]
    assert told(found) == changes, "on the next known day"


def test_a_source_that_begins_or_ends_brings_and_takes_no_customers() -> None:
    found = Company(
        sources=[("bill", "bill", True), ("other", "bill", True), ("crm", "revenue", True), ("shop", "revenue", True)]
    )
    found.put_all("bill", DAYS, cost=[cost("acme", "5", day=day) for day in DAYS])
    found.put_all("other", DAYS[10:], cost=[cost("beta", "5", day=day) for day in DAYS[10:]])
    found.put_all("crm", DAYS, revenue=paid("acme", "49", DAYS))
    found.put_all("shop", DAYS[:20], revenue=[*paid("acme", "10", DAYS[:20]), *paid("gamma", "5", DAYS[:20])])
    assert told(found) == []


def test_a_hole_of_one_source_does_not_take_the_customers_of_the_other() -> None:
    holes = {DAYS[5], DAYS[22]}
    known = [day for day in DAYS if day not in holes]
    found = Company(sources=[("crm", "revenue", True), ("shop", "revenue", True)])
    found.put_all("crm", DAYS, revenue=[*paid("acme", "49", DAYS[:6]), *paid("acme", "59", DAYS[6:])])
    found.put_all("shop", known, revenue=paid("beta", "10", known))
    assert told(found) == [("subscription_changed", DAYS[6], "Subscription changed: Acme Corp, MRR $49 → $59")]


def test_days_told_under_former_settings_are_held_against_nothing() -> None:
    """Another tenant key: every customer of before seems to have left, every one of now to have come."""
    found = Company(sources=[("bill", "bill", True)])
    found.ledger.put(
        "bill", "old", Batch("a", DAYS[:15], cost=[cost("pod", "5", day=d) for d in DAYS[:15]]), NOW, RATES
    )
    found.ledger.put(
        "bill", "new", Batch("b", DAYS[15:], cost=[cost("acme", "5", day=d) for d in DAYS[15:]]), NOW, RATES
    )
    found.model = replace(found.model, settings=[("bill", "new")])
    assert told(found) == []


def test_today_is_not_over() -> None:
    found = Company(sources=[("revenue", "revenue", True)])
    today = YESTERDAY + timedelta(1)
    found.put_all("revenue", [*DAYS, today], revenue=[*paid("acme", "49", DAYS), *paid("acme", "59", [today])])
    assert told(found) == []
    assert [day for _, day, _ in told(found, now=NOW + timedelta(1))] == [today]


# dimensions


def tagged(value: str | None, days: Sequence[date], amount: str = "5") -> list[Cost]:
    return [
        replace(cost("acme", amount, "ai", day), dimensions={} if value is None else {"feature": value}) for day in days
    ]


def test_a_new_feature_is_told_and_not_on_the_first_days_nor_what_has_none() -> None:
    rows = [
        *tagged("search", DAYS),
        *tagged(None, DAYS[12:]),
        *tagged("early", DAYS[6:]),
        *tagged("chat", DAYS[20:], "520"),
    ]
    rows += [*tagged("refund", DAYS[15:18], "-3"), *tagged("now and then", [DAYS[2], DAYS[25]])]
    found = company(bill=rows)
    assert told(found) == [("value_new", CHANGE, "New feature: chat, $520 on its first day")]
    [labels] = [labels for labels in found.gauges()["unitcost_event_timestamp_seconds"] if labels[0] == "value_new"]
    assert labels[3] == "feature"


def test_the_first_days_on_which_clusters_are_known_bring_no_new_cluster_and_a_later_one_is() -> None:
    rows = [cost("acme", "5", day=day, cluster="prod" if day >= DAYS[10] else None) for day in DAYS]
    rows += [cost("acme", "5", day=day, cluster="eu") for day in DAYS[20:]]
    assert told(company(bill=rows)) == [("value_new", CHANGE, "New cluster: eu, $5.00 on its first day")]


# bounds


def test_ten_thousand_customers_that_all_change_are_one_event_and_the_largest_few() -> None:
    found = Company(sources=[("revenue", "revenue", True)])
    everyone = "FROM range(10000) t(n)"
    changed = Query(
        f"SELECT DATE '{DAYS[0]}' AS first_day, DATE '{DAYS[19]}' AS last_day, 't' || n AS tenant,"
        f" 100::DECIMAL(38, 12) AS mrr, 'USD' AS currency, 'pro' AS plan {everyone} UNION ALL"
        f" SELECT DATE '{CHANGE}', NULL, 't' || n, (101 + n)::DECIMAL(38, 12), 'USD', 'pro' {everyone}"
    )
    found.ledger.put("revenue", "", Batch("all", DAYS, revenue=changed), NOW, RATES)
    gauges = found.gauges(limit=20_000)
    [(_, _, text)] = told(found, limit=20_000)
    assert text.startswith("10,000 subscriptions changed, MRR +$50,005,000: t9999, MRR $100 → $10,100; ")
    assert text.endswith(" and 9,997 more")
    assert len(told(found, of=None, limit=20_000)) == OF_CUSTOMERS
    assert gauges["unitcost_events_left_out"] == {(): 10_000 - OF_CUSTOMERS}


def test_of_the_company_the_largest_are_told_and_then_the_newest() -> None:
    found = Company(sources=[("revenue", "revenue", True)])
    days = days_until(YESTERDAY, 90)
    rows = [mrr("acme", str(1000 + number), day) for number, day in enumerate(days)]
    rows += [row for number in range(1, 90) for row in paid(f"t{number}", "50", days[number:])]
    found.put_all("revenue", days, revenue=rows)
    events = told(found)
    small = OF_COMPANY - 89
    assert [day for kind, day, _ in events if kind == "tenant_new"] == days[1:]
    assert [day for kind, day, _ in events if kind == "subscription_changed"] == days[-small:]
    assert found.gauges()["unitcost_events_left_out"] == {(): 89 - small}


def test_customers_beyond_the_limit_are_counted_and_not_named() -> None:
    rows = [row for name in ("acme", "beta") for row in paid(name, "100", DAYS[:20])]
    rows += [*paid("acme", "150", DAYS[20:]), *paid("beta", "900", DAYS[20:]), *paid("left", "500", DAYS[:3])]
    costs = [cost("acme", "50", day=day) for day in DAYS] + [cost("beta", "5", day=day) for day in DAYS]
    found = company(revenue=rows, bill=costs)
    named = {labels[2] for labels in found.gauges(limit=2, months=0)["unitcost_event_timestamp_seconds"]}
    assert named == {"", "acme", "beta", "left"}, "no window shows the last one any more, and none is folded"
    events = told(found, limit=1, months=0)
    assert events == [
        ("subscription_changed", CHANGE, "2 subscriptions changed, MRR +$850: Acme Corp, MRR $100 → $150 and 1 more"),
        ("tenant_gone", DAYS[3], "Customer gone"),
    ]
    assert [day for _, day, _ in told(found, of=None, limit=1, months=0)] == [CHANGE]
    assert found.gauges(limit=1, months=0)["unitcost_events_left_out"] == {(): 2}


def test_foreign_names_are_shortened_and_cannot_be_html() -> None:
    name = "R&D <img src=x>\n" + "x" * 100
    found = company(revenue=[*paid("acme", "49", DAYS[:20]), *paid("acme", "59", DAYS[20:])])
    found.directory = Directory((Tenant("acme", name, "", "active", None, ()),))
    [(_, _, text)] = told(found)
    shown = "R&D ‹img src=x›\N{REPLACEMENT CHARACTER}" + "x" * 43 + "…"
    assert text == f"Subscription changed: {shown}, MRR $49 → $59"


# properties


@settings(max_examples=12, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["acme", "beta", "gamma"]),
        st.lists(st.sampled_from([None, 0, 10, 10, 20]), min_size=14, max_size=14),
        min_size=1,
    ),
    st.sets(st.integers(0, 13), max_size=5),
)
def test_what_changed_adds_up_to_the_difference_between_the_last_known_day_and_the_first(
    said: dict[str, list[int | None]], unknown: set[int]
) -> None:
    days = days_until(YESTERDAY, 14)
    known = [number for number in range(14) if number not in unknown]
    found = Company(sources=[("revenue", "revenue", True)])
    rows = [
        mrr(name, str(amount), days[number])
        for name, amounts in said.items()
        for number, amount in enumerate(amounts)
        if amount is not None and number in known
    ]
    found.put_all("revenue", [days[number] for number in known], revenue=rows)
    happened = [
        (tenant, date.fromisoformat(day), grown(text))
        for _, day, tenant, _, text in found.gauges()["unitcost_event_timestamp_seconds"]
        if tenant
    ]
    for name, amounts in said.items():
        together = sum(change for tenant, _, change in happened if tenant == name)
        assert together == (amounts[known[-1]] or 0) - (amounts[known[0]] or 0)
    assert {day for _, day, _ in happened} <= {days[number] for number in known[1:]}
    assert len({(tenant, day) for tenant, day, _ in happened}) == len(happened), "one a customer and day"


def grown(text: str) -> int:
    """Return by how much the MRR of a customer grew in what is told of it."""
    found = re.search(r", MRR (?P<was>was )?\$(?P<amount>\d+)(?: → \$(?P<after>\d+))?$", text)
    if found is None:
        return 0
    amount = int(found["amount"])
    return int(found["after"]) - amount if found["after"] else -amount if found["was"] else amount
