"""A metric stands in one place: what it is, what fills it, and what must be known for that, all of it declared."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import cache

import pytest

from tests.fakes.ai_company import PRICES, ai_company, charge, tokens
from tests.fakes.company import YESTERDAY, Company, cost, days_until, mrr
from unitcost.config.directory import Directory, Tenant
from unitcost.config.sections import Plan
from unitcost.facts import Usage
from unitcost.metrics import catalogue, catalogue_ai
from unitcost.metrics.catalogue import ALL
from unitcost.metrics.metric import (
    AI_REQUESTS,
    COSTS,
    REQUESTS,
    REVENUE,
    USAGE,
    FromState,
    Label,
    PresentSelect,
    Select,
    Served,
)
from unitcost.sources.ai.settings import Ai, PriceRule

SELECTED = {metric.name: metric.filled for metric in ALL if isinstance(metric.filled, Select)}
DAYS = days_until(YESTERDAY, 30)
NEW = YESTERDAY - timedelta(3)
ACME = Directory((Tenant("acme", "Acme Corp", "pro", "active", Decimal(500), ()),))


def test_nothing_of_a_metric_is_left_to_a_default() -> None:
    with pytest.raises(TypeError, match="filled"):
        Served("x", "A metric that nothing fills.")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"needs.* and .*window"):
        Select("SELECT 1")  # type: ignore[call-arg]


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_declaration_names_only_labels_of_its_metric_and_what_can_be_known(metric: Served) -> None:
    filled = metric.filled
    if not isinstance(filled, Select):
        assert isinstance(filled, PresentSelect | FromState)
        assert "window" not in metric.labels, "of a window the past can be told"
        return
    named = [one for one in (*filled.needs, filled.window) if isinstance(one, Label)]
    assert {one.name for one in named} <= set(metric.labels)
    assert (filled.window == Label("window")) == ("window" in metric.labels)
    for need in filled.needs:
        assert need in {COSTS, REVENUE, REQUESTS, AI_REQUESTS} or (isinstance(need, Label) and need.behind == USAGE)


AI = [
    *(metric for metric in ALL if "ai" in metric.name.split("_")),
    catalogue_ai.UNPRICED_TOKENS,
    catalogue_ai.UNMAPPED_TOKENS,
    catalogue_ai.SAVINGS_OPPORTUNITY,
]


def said(without: Collection[str] = ()) -> set[str]:
    """Return the metrics that a company fills, of which some sources know nothing."""
    company = Company(directory=ACME)
    clusters = [cost(tenant, "1", day=day, cluster="prod") for day in DAYS for tenant in ("acme", "Acme")]
    clusters += [cost(None, "1", "idle", day, "prod") for day in DAYS]
    bills = [replace(cost(None, "3", day=day, cluster="prod"), list_amount=Decimal(4)) for day in DAYS[:-2]]
    paid = [mrr(tenant, "300", day) for day in DAYS for tenant in (["acme"] if day < NEW else ["acme", "beta"])]
    used = [Usage(day, "acme", measure, Decimal(7)) for day in DAYS for measure in ("requests", "active_users")]
    if COSTS not in without:
        company.put_all("cluster", DAYS, cost=clusters)
        company.put_all("bill", DAYS[:-2], cost=bills)
    if REVENUE not in without:
        company.put_all("revenue", DAYS, revenue=paid)
    if USAGE not in without:
        company.put_all("usage", DAYS, usage=used)
    found = company.gauges(("1d", "7d", "mtd"), plans={"pro": Plan(target_margin=Decimal("0.5"))})
    names = {name for name, series in found.items() if series} & SELECTED.keys()
    return names if COSTS in without else names | said_of_ai(counted=USAGE not in without)


@cache
def said_of_ai(*, counted: bool) -> set[str]:
    """Return the metrics that only counters of AI fill, and its provider. counted: whether they count requests too."""
    rules = (*PRICES, PriceRule(model="nova", prices={"cache_read": Decimal(1)}))
    made = ai_company(rules)
    days = days_until(YESTERDAY, 7)
    used = [
        tokens("acme", unit, "1", model, day, feature="chat")
        for day in days
        for unit in ("input", "cache_read")
        for model in ("nova", "nobody-knows-it")[: 2 if day == days[0] else 1]
    ]
    used += [Usage(YESTERDAY, None, "ai_unmapped", Decimal(5))]
    if counted:
        used += [tokens("acme", "requests", "1", measure="ai_requests", day=day) for day in days[1:]]
    made.put("counters", days, usage=used)
    made.put("openai", days, cost=[charge("5", "nova", "input")], usage=[tokens(None, "input", "2")])
    route = {"feature": "chat", "to": "gpt-4o-mini"}
    ai = Ai.model_validate({"prices": rules, "routing": [route], "cacheable_share": {"chat": 1}})
    plans = {"pro": Plan(price=Decimal(35))}
    found = made.gauges(("7d",), plans=plans, ai=ai)
    return {name for name, series in found.items() if series} & {metric.name for metric in AI}


def kind_of(need: str | Label) -> str:
    text = need.behind if isinstance(need, Label) else need
    return USAGE if text.startswith(USAGE) else text


SAID_WITHOUT = {
    COSTS: {catalogue.WINDOW_COMPLETE.name, catalogue.PLATFORM_ACTIVE_TENANTS.name},
    REVENUE: set(),
    USAGE: set(),
}
"""What can be said where these are not known, but means something else then than where they are."""

JUDGED_BY_ITSELF = {catalogue.EVENT.name}
"""An event is found only among days that are known, and needs no window."""


@pytest.mark.parametrize("kind", [COSTS, REVENUE, USAGE])
def test_a_metric_needs_what_it_cannot_be_told_without(kind: str) -> None:
    assert said() == SELECTED.keys()
    needing = {name for name, filled in SELECTED.items() if kind in map(kind_of, filled.needs)}
    assert needing - SAID_WITHOUT[kind] == said() - said([kind]) - JUDGED_BY_ITSELF
