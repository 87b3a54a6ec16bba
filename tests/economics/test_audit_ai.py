"""Audits of a ledger: recorded pages of counters against what was sent, gateways beside them, days and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.fakes.ai_company import MILLION, PRICES, SCOPE, ai_company, charge, tokens
from tests.fakes.company import NOW, RATES, YESTERDAY, Company
from tests.fakes.recorded_pages import GAPS, SHIFTED, bill_of, read, truth
from unitcost.economics.audit_ai import Account, Audit, Role, Terms, audit
from unitcost.economics.audit_causes import (
    BATCH,
    CACHED_AS_INPUT,
    NOT_METERED,
    NOT_REPORTED,
    PRICE,
    ROUNDING,
    TWO_NAMES,
    UNMAPPED,
    Cause,
)
from unitcost.facts import Batch, Cost, Usage
from unitcost.ledger.derive import derive
from unitcost.run.pricing import batch_shares
from unitcost.sources.ai.book import PriceBook
from unitcost.sources.ai.names import provider_of
from unitcost.sources.ai.tokens import UNMAPPED as MEASURE
from unitcost.sources.ai.units import UNITS, measure_of

ROLES: list[tuple[str, Role]] = [("counters", "counted"), ("gateway", "compared"), ("openai", "bill")]
TOKEN_UNITS = [unit for unit in UNITS if measure_of(unit) == "ai_tokens"]


def audited(made: Company, days: Sequence[date] = (YESTERDAY,)) -> Audit:
    """Audit, and hold every sum against the difference that it explains."""
    derive(made.ledger, made.model, NOW, timedelta(90))
    found = audit(made.ledger, days, Terms(ROLES, TOKEN_UNITS, batch_shares(PRICES)))
    for account in found.accounts:
        if account.billed is not None:
            assert dollars(account.causes) == account.billed - account.booked
        if account.reported is not None:
            assert sum((one.tokens or 0 for one in account.causes), Decimal(0)) == account.reported - account.counted
    return found


def dollars(causes: Sequence[Cause]) -> Decimal:
    return sum((one.dollars or Decimal(0) for one in causes), Decimal(0))


def said(account: Account) -> dict[str, tuple[object, object]]:
    """Return cause → millions of tokens and dollars."""
    return {one.kind: (None if one.tokens is None else one.tokens / MILLION, one.dollars) for one in account.causes}


def counted(page: str) -> list[Usage]:
    """Return what the source says of a page."""
    found = read(page)
    usage = [
        Usage(YESTERDAY, None, measure_of(unit), tokens, cell.model, {}, unit, f"{provider_of(cell.provider)}/")
        for cell, units in found.tokens.items()
        for unit, tokens in units.items()
    ]
    loose = [Usage(YESTERDAY, None, MEASURE, n, f"{metric} {why}") for (metric, why), n in found.unmapped.items()]
    return usage + loose


def sent(page: str) -> list[Usage]:
    """Return what a provider reports of what was sent, also of a stream that the client left."""
    found = []
    told = truth(page)
    left = [one["per_request"] for one in told.get("also_sent_not_in_cells", []) if "would bill" in one["what"]]
    for cell in [*told["cells"], *({"provider_model": "gpt-4o-mini", **one} for one in left)]:
        scope = "anthropic/" if cell["provider_model"].startswith("claude") else "openai/"
        cached, written = cell.get("cached_input", 0), cell.get("cache_write", 0)
        units = {
            "input": cell["input"] - cached - written,
            "cache_read": cached,
            "cache_write": written,
            "output": cell["output"],
        }
        found += [
            Usage(YESTERDAY, None, "ai_tokens", Decimal(n), cell["provider_model"], {}, unit, scope)
            for unit, n in units.items()
            if n
        ]
    return found


def billed(usage: Sequence[Usage]) -> list[Cost]:
    """Return a bill of it at the price book's prices."""
    book, found = PriceBook(), []
    for one in usage:
        price = book.price(one.item or "", one.unit or "", one.day, (one.scope or "").partition("/")[0])
        if price is not None:
            amount = price.of(one.quantity)
            found.append(replace(charge("0", one.item, one.unit), amount=amount, scope=one.scope))
    return found


@pytest.mark.parametrize("page", GAPS)
def test_what_a_recorded_page_says_less_than_was_sent_is_explained_to_the_last_token(page: str) -> None:
    made = ai_company(())
    made.put("counters", [YESTERDAY], usage=counted(page))
    made.put("openai", [YESTERDAY], usage=sent(page), cost=billed(sent(page)))
    found = audited(made)
    tokens = {cause.kind: cause.tokens for cause in found.causes}
    gaps = {why: sum(both) for why, both in GAPS[page].items()}
    assert tokens.pop(CACHED_AS_INPUT, 0) == 0
    assert tokens.pop(UNMAPPED, 0) == gaps.pop(SHIFTED, 0)
    told = sum(gaps.values())
    if page == "otel-openai-v2":  # its embeddings have the labels of another scope: there the provider is the model
        assert [one.tokens for one in found.accounts if one.scope == "text-embedding-3-small/"] == [{"counters": 5000}]
        told += 5000
    assert tokens == ({NOT_METERED if told > 0 else NOT_REPORTED: told} if told else {})
    every = sum(bill_of(page)[unit] for unit in ("input", "output"))
    assert sum(one.reported or 0 for one in found.accounts) == every


def test_a_gateway_stands_beside_the_counters_and_changes_nothing() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3")])
    made.put("openai", [YESTERDAY], usage=[tokens(None, "input", "5")], cost=[charge("10", "nova", "input")])
    [without] = audited(made).accounts
    served = made.gauges()
    gateway = [tokens("acme", "input", "4"), unmapped("7")]
    made.ledger.put("gateway", "", Batch("g", [YESTERDAY], usage=gateway), NOW, RATES)
    assert made.gauges() == served
    [account] = audited(made).accounts
    assert account.tokens == {"counters": 3 * MILLION, "gateway": 4 * MILLION}
    assert (account.causes, account.booked) == (without.causes, without.booked)
    assert said(account) == {NOT_METERED: (2, 4)}  # tokens without a model explain it only where they count


def test_a_model_that_only_the_gateway_knows_is_shown() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3")])
    made.ledger.put("gateway", "", Batch("g", [YESTERDAY], usage=[tokens("acme", "input", "4", "mini")]), NOW, RATES)
    [account] = audited(made).accounts
    assert [(row.found.model, row.tokens) for row in account.rows] == [
        ("mini", {"counters": 0, "gateway": 4 * MILLION}),
        ("nova", {"counters": 3 * MILLION, "gateway": 0}),
    ]


def unmapped(millions: str) -> Usage:
    return Usage(YESTERDAY, None, MEASURE, Decimal(millions) * MILLION, "x_total no model")


@pytest.mark.parametrize(("loose", "explained"), [("1", 1), ("9", 2)])
def test_tokens_without_a_model_explain_what_is_not_metered_and_no_more(loose: str, explained: int) -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3"), unmapped(loose)])
    made.put("openai", [YESTERDAY], usage=[tokens(None, "input", "5")], cost=[charge("10", "nova", "input")])
    found = audited(made)
    assert said(found.accounts[0]) == {NOT_METERED: (2 - explained, 4), UNMAPPED: (explained, None)}
    assert [(one.label, one.tokens) for one in found.unmapped] == [("x_total no model", Decimal(loose) * MILLION)]


def test_whose_tokens_without_a_model_are_is_not_guessed() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[unmapped("1")])
    other = [tokens(None, "input", "2"), tokens(None, "input", "3", scope="anthropic/")]
    made.put("openai", [YESTERDAY], usage=other, cost=[charge("4", "nova", "input")])
    found = audited(made)
    assert [one.kind for account in found.accounts for one in account.causes if one.kind == UNMAPPED] == []
    assert {one.kind: one.tokens for one in found.causes if one.tokens} == {NOT_METERED: 4 * MILLION, UNMAPPED: MILLION}


def test_money_of_days_without_a_bill_is_in_no_difference() -> None:
    made = ai_company()
    before = YESTERDAY - timedelta(1)
    both = [tokens("acme", "input", "1", day=day) for day in (before, YESTERDAY)]
    made.put("counters", [before, YESTERDAY], usage=both)
    made.put("openai", [YESTERDAY], usage=[tokens(None, "input", "1")], cost=[charge("2.5", "nova", "input")])
    [account] = audited(made, [before, YESTERDAY]).accounts
    assert (account.unbilled, account.unreported, account.booked, account.billed) == (1, 1, Decimal(2), Decimal("2.5"))
    assert said(account) == {PRICE: (0, Decimal("0.5"))}


def test_batches_of_the_report_and_names_of_models_come_from_the_facts() -> None:
    made = ai_company()
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3"), tokens("acme", "output", "1", "other")])
    batch = replace(tokens(None, "input", "2"), dimensions={"service_tier": "batch"})
    report = [tokens(None, "input", "1"), batch, tokens(None, "output", "1", "another")]
    made.put("openai", [YESTERDAY], usage=report, cost=[charge("4", "openai/nova", "input")])
    [account] = audited(made).accounts
    assert said(account) == {TWO_NAMES: (0, 0), BATCH: (0, -2)}


def test_a_bill_in_another_currency_and_prices_in_dollars_meet_in_the_configured_one() -> None:
    made = ai_company(currency="EUR")
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3")])
    made.put("openai", [YESTERDAY], usage=[tokens(None, "input", "3")], cost=[charge("6.005", "nova", "input")])
    [account] = audited(made).accounts
    assert (account.booked, account.billed) == (Decimal("5.4"), Decimal("5.4045"))
    assert said(account) == {ROUNDING: (0, Decimal("0.0045"))}


def test_charges_of_a_cloud_that_a_setting_gives_to_an_account_are_its_bill() -> None:
    made = ai_company()
    made.model = replace(made.model, scopes=[("openai", 0, "Amazon Bedrock", None, SCOPE)])
    made.put("counters", [YESTERDAY], usage=[tokens("acme", "input", "3")])
    bedrock = replace(charge("6.001"), scope=None, service="Amazon Bedrock")
    made.put("openai", [YESTERDAY], cost=[bedrock, replace(bedrock, service="AmazonS3", category="storage")])
    [account] = audited(made).accounts
    assert (account.scope, account.billed) == (SCOPE, Decimal("6.001"))
    assert said(account) == {ROUNDING: (None, Decimal("0.001"))}
