"""Whatever fails, whenever it is asked, however it is paged: what is stored is what the books say, to the last digit.

The model is plain: a list of charges, added up with Decimal.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from tests.fakes.cost_explorer import (
    DAY,
    EC2,
    TODAY,
    Charged,
    CostExplorerFake,
    Explorer,
    days,
    exploring,
    refusal,
)
from tests.fakes.server import Reply
from unitcost.errors import SourceError

FIRST = TODAY - 9 * DAY
EVERY = days(FIRST, TODAY)

tenants = st.sampled_from(["", "acme", "a$b", "$", "beta ", "customer$acme", "Ünï", "__idle__"])
services = st.sampled_from([EC2, "Tax", "AWS Lambda", "EC2 - Other", "Amazon Elastic Kubernetes Service"])
records = st.sampled_from(["Usage", "Credit", "Refund", "Tax", "DiscountedUsage", "SavingsPlanRecurringFee"])
amounts = st.decimals(-(10**6), 10**6, places=12, allow_nan=False)
clusters = st.sampled_from(["", "", "prod", "dev"])


@st.composite
def charges(draw: st.DrawFn) -> Charged:
    tags = {"customer": draw(tenants), "aws:eks:cluster-name": draw(clusters)}
    tags = {key: value for key, value in tags.items() if value}
    return Charged(draw(st.sampled_from(EVERY)), draw(amounts), draw(services), tags, draw(records))


def expected(fake: CostExplorerFake, day: date, *, clustered: bool) -> dict[tuple[str | None, str | None], Decimal]:
    """Add up a day of the books by tenant and scope."""
    sums: dict[tuple[str | None, str | None], Decimal] = {}
    for one in (one for one in fake.books if one.day == day):
        tenant = one.tags.get("customer", "").strip()
        of: tuple[str | None, str | None] = (None if tenant in {"", "__idle__"} else tenant, None)
        cluster = one.tags.get("aws:eks:cluster-name", "")
        if clustered and (cluster or "Kubernetes" in one.service):
            of = (None, f"k8s/{cluster}")
        sums[of] = sums.get(of, Decimal(0)) + one.amount
    return {of: amount for of, amount in sums.items() if amount}


def told(given: Explorer, day: date) -> dict[tuple[str | None, str | None], Decimal]:
    sums: dict[tuple[str | None, str | None], Decimal] = {}
    for one in given.stored.costs(str(day)):
        sums[one.tenant, one.scope] = sums.get((one.tenant, one.scope), Decimal(0)) + one.amount
    return {of: amount for of, amount in sums.items() if amount}


faults = st.sampled_from(
    [
        refusal("LimitExceededException", "slow down"),
        refusal("InternalFailure", "boom", 500),
        refusal("RequestChangedException", "changed"),
        refusal("DataUnavailableException", "later"),
        Reply('{"ResultsByTime": [{', 200),
        Reply("<html>", 502),
    ]
)


MORE: list[dict[str, Any]] = [
    {},
    {"record_types": "apart"},
    {"cluster_tag": "aws:eks:cluster-name"},
    {"tenant": "none"},
]


@pytest.mark.parametrize("more", MORE)
@given(
    books=st.lists(charges(), max_size=40),
    late=st.lists(charges(), max_size=6),
    per_page=st.integers(1, 12),
    broken=st.dictionaries(st.integers(0, 30), faults, max_size=6),
    restarts=st.sets(st.integers(0, 7)),
    budget=st.integers(30, 400),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_fails_each_stored_day_is_what_the_books_said_and_no_request_is_uncounted(
    more: dict[str, Any],
    books: list[Charged],
    late: list[Charged],
    per_page: int,
    broken: dict[int, Reply],
    restarts: set[int],
    budget: int,
) -> None:
    fake = CostExplorerFake(books, per_page, fault=lambda _, number: broken.get(number))
    fake.active["aws:eks:cluster-name"] = "2026-01-01"
    with exploring(fake, request_budget=budget, **more) as given:
        for refresh in range(8):
            if refresh in restarts:
                given.restart()
            if refresh == 4:
                fake.books = [*books, *late]
            before = dict(given.stored.batches)
            with suppress(SourceError):
                given.ask(FIRST)
            for day in EVERY:
                now = given.stored.batches.get(str(day))
                if now is not before.get(str(day)):
                    assert told(given, day) == anyway(more, fake, day)
            assert given.paid.count == len(fake.asked) <= budget
            given.later(hours=12)
        if given.paid.count < budget:
            changed = {one.day for one in late}
            for day in EVERY:
                if day not in changed and any(one.day == day for one in books):
                    assert told(given, day) == anyway(more, fake, day)


def anyway(more: dict[str, Any], fake: CostExplorerFake, day: date) -> dict[tuple[str | None, str | None], Decimal]:
    found = expected(fake, day, clustered="cluster_tag" in more)
    if more.get("tenant") != "none":
        return found
    total = sum(found.values(), Decimal(0))
    return {(None, None): total} if total else {}


def test_motos_canned_answers_are_followed_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer in moto's shape, which is that of the API's own documentation: two pages and the tail of a day."""

    def result(day: date, *groups: tuple[str, str, str]) -> dict[str, object]:
        return {
            "TimePeriod": {"Start": str(day), "End": str(day + DAY)},
            "Total": {},
            "Groups": [
                {"Keys": [f"customer${who}", what], "Metrics": {"AmortizedCost": {"Amount": much, "Unit": "USD"}}}
                for who, what, much in groups
            ],
            "Estimated": True,
        }

    first, second = TODAY - 2 * DAY, TODAY - DAY
    pages = [
        {"ResultsByTime": [result(first, ("acme", EC2, "1.25"), ("", EC2, "0.5"))], "NextPageToken": "next"},
        {"ResultsByTime": [result(first, ("acme", "AWS Lambda", "0.0000000001")), result(second, ("b$c", EC2, "-2"))]},
    ]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        canned = f"{url}/moto-api/static/ce/cost-and-usage-results"
        requests.post(canned, json={"results": pages}, timeout=30).raise_for_status()
        given = Explorer(CostExplorerFake(), url)
        assert given.ask(first) == []
    finally:
        server.stop()
    assert given.paid.count == 2
    assert {day: given.stored.totals(str(day))["USD"] for day in (first, second)} == {
        first: Decimal("1.7500000001"),
        second: Decimal(-2),
    }
