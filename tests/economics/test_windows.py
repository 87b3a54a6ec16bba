"""Windows, what they are compared with, and closed months: which days they are, and when a comparison is honest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.company import NOW, YESTERDAY, Company, cost, days_until, mrr
from tests.fakes.stored import utc
from unitcost.days import DEFAULT_WINDOWS, is_named, is_window, served, window
from unitcost.facts import Cost, Usage

HISTORY = timedelta(days=93)


@pytest.mark.parametrize(
    ("name", "now", "first", "last"),
    [
        ("prev_1d", utc(2026, 11, 23, 12), date(2026, 11, 21), date(2026, 11, 21)),
        ("prev_30d", utc(2026, 11, 23, 12), date(2026, 9, 24), date(2026, 10, 23)),
        ("prev_last_month", utc(2026, 11, 1), date(2026, 9, 1), date(2026, 9, 30)),
        ("prev_last_month", utc(2026, 1, 31, 23), date(2025, 11, 1), date(2025, 11, 30)),
        ("prev_mtd", utc(2026, 11, 23, 12), date(2026, 10, 1), date(2026, 10, 22)),
        ("prev_mtd", utc(2026, 11, 2, 0), date(2026, 10, 1), date(2026, 10, 1)),
        ("prev_mtd", utc(2026, 3, 31, 12), date(2026, 2, 1), date(2026, 2, 28)),  # which has no 30 days
        ("prev_mtd", utc(2024, 3, 31, 12), date(2024, 2, 1), date(2024, 2, 29)),
        ("2026-10", utc(2026, 11, 23, 12), date(2026, 10, 1), date(2026, 10, 31)),
        ("2024-02", utc(2026, 11, 23, 12), date(2024, 2, 1), date(2024, 2, 29)),
    ],
)
def test_a_predecessor_and_a_month_are_whole_days(name: str, now: object, first: date, last: date) -> None:
    found = window(name, now)  # type: ignore[arg-type]
    assert (found.name, found.first, found.end - timedelta(1)) == (name, first, last)
    assert found.days() == [first + timedelta(n) for n in range((last - first).days + 1)]


def test_names_that_are_windows() -> None:
    assert all(is_named(name) for name in ("1d", "mtd", "last_month", "prev_7d", "prev_mtd", "2026-10"))
    assert not any(is_named(name) for name in ("prev_", "prev_prev_1d", "prev_2026-10", "2026-13", "0d", "week", ""))
    assert not any(is_window(name) for name in ("prev_1d", "2026-10"))


@given(st.datetimes(utc(2020, 1, 1).replace(tzinfo=None), utc(2031, 1, 1).replace(tzinfo=None)))
def test_what_is_served_are_the_windows_what_is_before_them_and_whole_months(when: object) -> None:
    now = when.replace(tzinfo=NOW.tzinfo)  # type: ignore[attr-defined]
    found = {one.name: one for one in served(DEFAULT_WINDOWS, now, HISTORY, 3)}
    for name in ("1d", "30d", "last_month"):
        assert found[f"prev_{name}"].end == found[name].first, "side by side: no day in both, none between them"
    assert ("prev_mtd" in found) is (now.day > 1), "on the first no day of this month is over"
    if now.day > 1:
        before = found["prev_mtd"]
        assert before.first == found["last_month"].first
        assert before.end <= found["last_month"].end
        assert len(before.days()) == min(now.day - 1, len(found["last_month"].days()))
    months = [name for name in found if is_named(name) and name[0] == "2"]
    assert found[months[0]].days() == found["last_month"].days()
    assert 2 <= len(months) <= 3, "in 93 days there are two whole months or three"
    assert all(found[name].first >= now.date() - HISTORY for name in months)


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    with closing(made.ledger):
        yield made


def fill(company: Company, days: list[date], *, bill: Sequence[Cost]) -> None:
    """Store what all sources say of these days; the bill knows those of its costs."""
    company.put_all("cluster", days)
    company.put_all("bill", sorted({row.day for row in bill}), cost=bill)
    company.put_all("usage", days, usage=[Usage(day, "acme", "requests", Decimal(10)) for day in days])
    company.put_all("revenue", days, revenue=[mrr("acme", "310", day) for day in days])


def test_a_window_is_served_beside_what_it_is_compared_with(company: Company) -> None:
    days = days_until(YESTERDAY, 62)
    fill(company, days, bill=[cost("acme", "3", day=day) for day in days])
    gauges = company.all_gauges(("30d", "last_month"))
    assert gauges["tenant_cost_dollars"]["acme", "compute", "prev_30d"] == 90
    assert gauges["platform_cost_dollars"]["compute", "prev_30d"] == 90
    assert gauges["allocated_cost_dollars"]["compute", "prev_30d"] == 90
    assert gauges["tenant_usage"]["acme", "requests", "prev_30d"] == 300
    assert gauges["platform_usage"]["requests", "30d"] == 300
    assert gauges["tenant_cost_dollars"]["acme", "compute", "2026-10"] == 31 * 3
    assert gauges["tenant_revenue_dollars"]["acme", "2026-10"] == 310
    assert gauges["window_complete"]["2026-10",] == 1
    assert gauges["window_complete"]["2026-09",] == 0, "its first three weeks are not known"


@pytest.mark.parametrize("missing", [0, 17, 29])
def test_where_a_day_is_missing_nothing_is_compared(company: Company, missing: int) -> None:
    days = days_until(YESTERDAY, 60)
    fill(company, days, bill=[cost("acme", "3", day=day) for day in days if day != days[missing]])
    gauges = company.all_gauges(("30d",))
    assert gauges["tenant_cost_dollars"]["acme", "compute", "30d"] == 90
    for metric in ("tenant_cost_dollars", "platform_cost_dollars", "bill_dollars", "allocated_cost_dollars"):
        assert not [labels for labels in gauges[metric] if labels[-1] == "prev_30d"], metric
    assert gauges["window_complete"]["prev_30d",] == 0
    assert gauges["tenant_revenue_dollars"]["acme", "prev_30d"] > 0, "revenue is known"
    assert ("prev_30d",) not in gauges["platform_margin_ratio"], "a margin needs both"
    assert ("prev_30d",) not in gauges["platform_active_tenants"]


def test_what_is_new_or_gone_is_0_in_the_other_window(company: Company) -> None:
    days = days_until(YESTERDAY, 60)
    gone = [cost("gone", "5", "ai", day) for day in days[:30]]
    fill(company, days, bill=[*gone, *(cost("new", "7", "ai", day) for day in days[30:])])
    costs = company.all_gauges(("30d",))["tenant_cost_dollars"]
    assert (costs["gone", "ai", "prev_30d"], costs["gone", "ai", "30d"]) == (150, 0)
    assert (costs["new", "ai", "prev_30d"], costs["new", "ai", "30d"]) == (0, 210)


def test_a_source_that_windows_may_lack_decides_only_where_no_other_does() -> None:
    company = Company(sources=(("bill", "bill", True), ("extra", "bill", False)))
    days = days_until(YESTERDAY, 60)
    with closing(company.ledger):
        company.put_all("bill", days, cost=[cost("acme", "3", day=day) for day in days])
        company.put_all("extra", days[40:], cost=[cost("acme", "1", day=day) for day in days[40:]])
        assert company.all_gauges(("30d",))["tenant_cost_dollars"]["acme", "compute", "prev_30d"] == 90
    company = Company(sources=(("extra", "bill", False),))
    with closing(company.ledger):
        company.put_all("extra", days[1:], cost=[cost("acme", "1", day=day) for day in days[1:]])
        assert ("acme", "compute", "prev_30d") not in company.all_gauges(("30d",))["tenant_cost_dollars"]
