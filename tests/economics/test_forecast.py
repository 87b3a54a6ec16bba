"""The forecast to the month's end: what is over counts as it is, every other day as an average one."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.company import NOW, RATES, YESTERDAY, Company, Gauges, cost, days_until, mrr
from tests.fakes.stored import utc
from unitcost.facts import Batch, Cost
from unitcost.ledger.derive import derive

TODAY = NOW.date()
MONTH = days_until(YESTERDAY, 22)
"""The days of November that are over on the 23rd."""
TENANT, PLATFORM = "tenant_cost_forecast_dollars", "platform_cost_forecast_dollars"


def forecast(daily: Mapping[date, Decimal], complete: set[date], today: date) -> dict[str, float]:
    """Forecast in plain Python. daily: dollars by day, days without a cost may be left out."""
    newest = sorted((day for day in complete if day < today), reverse=True)
    recent = newest[:28]
    weeks = [
        sum((Fraction(daily.get(day, Decimal(0))) for day in recent[n : n + 7]), Fraction(0)) / 7
        for n in range(len(recent) - 6)
    ]
    if not weeks:
        return {}
    month = [today.replace(day=n + 1) for n in range(calendar.monthrange(today.year, today.month)[1])]
    past = sum((Fraction(daily.get(day, Decimal(0))) for day in month if day in newest), Fraction(0))

    def whole(average: Fraction) -> float:
        average = max(average, Fraction(0))
        spoken_of = [Fraction(daily[day]) if daily.get(day) else average for day in month if day not in newest]
        return float(past + sum(max(average, amount) for amount in spoken_of))

    return {"low": whole(min(weeks)), "expected": whole(weeks[0]), "high": whole(max(weeks))}


def billed(daily: Mapping[date, str], tenant: str | None = "acme", known: list[date] | None = None) -> Company:
    """Return a company whose bill says this of one tenant; its cluster knows the same days and says nothing."""
    company = Company()
    days = known or [*daily]
    company.put_all("bill", days, cost=[cost(tenant, amount, day=day) for day, amount in daily.items()])
    company.put_all("cluster", days)
    return company


def of(company: Company, tenant: str = "acme", today: date = TODAY, **settings: int) -> dict[str, float]:
    found = company.gauges(("1d", "mtd"), now=utc(today.year, today.month, today.day, 12), **settings)
    assert {labels[0] for labels in found[TENANT]} <= {tenant}
    return {bound: value for (_, bound), value in found[TENANT].items()}


def test_the_same_every_day_is_the_month_times_that_day() -> None:
    company = billed(dict.fromkeys(days_until(YESTERDAY, 40), "10"))
    assert of(company) == {"low": 300.0, "expected": 300.0, "high": 300.0}


def test_days_to_come_cost_the_last_week_or_the_cheapest_or_the_dearest_one() -> None:
    """Three weeks of 1 November days at 10, 40 and 20 a day, before them October at 0."""
    daily = dict.fromkeys(days_until(YESTERDAY, 7), "20")
    daily |= dict.fromkeys(days_until(YESTERDAY - timedelta(7), 7), "40")
    daily |= dict.fromkeys(days_until(YESTERDAY - timedelta(14), 7), "10")
    october = days_until(YESTERDAY - timedelta(21), 7)
    company = billed(daily, known=[*october, *daily])
    past = 7 * (20 + 40 + 10)
    assert of(company) == {"low": past, "expected": past + 8 * 20, "high": past + 8 * 40}


def test_on_the_last_day_of_the_month_it_is_what_is_known_and_one_average_day() -> None:
    days = days_until(date(2026, 11, 29), 40)
    daily = {day: str(day.day) for day in days}
    known = sum(range(1, 30))
    average = sum(range(23, 30)) / 7
    assert of(billed(daily), today=date(2026, 11, 30))["expected"] == pytest.approx(known + average)


def test_on_the_first_day_of_the_month_all_of_it_is_forecast() -> None:
    company = billed(dict.fromkeys(days_until(date(2026, 11, 30), 30), "10"))
    assert of(company, today=date(2026, 12, 1))["expected"] == 310.0


def test_todays_part_does_not_count() -> None:
    company = billed(dict.fromkeys(days_until(TODAY, 30), "10") | {TODAY: "4"})
    assert of(company)["expected"] == 300.0


def test_a_fee_that_is_billed_for_a_day_to_come_counts_where_it_is_more_than_an_average_day() -> None:
    company = billed(dict.fromkeys(MONTH, "10"))
    fees = [cost("acme", "99", day=date(2026, 11, 25)), cost("acme", "4", day=date(2026, 11, 27))]
    company.ledger.put("bill", "", Batch("fees", [YESTERDAY], cost=fees), NOW, RATES)
    assert of(company) == {"low": 389.0, "expected": 389.0, "high": 389.0}
    found = company.gauges(("mtd",))
    assert found[PLATFORM]["expected",] == 389.0
    assert found["platform_cost_dollars"]["compute", "mtd"] == 220.0


def test_what_is_known_of_a_day_that_a_source_lacks_counts_where_it_is_more_than_an_average_day() -> None:
    gap = date(2026, 11, 18)
    company = billed(dict.fromkeys([day for day in days_until(YESTERDAY, 30) if day != gap], "10"))
    company.put("cluster", [gap], cost=[cost("acme", "35", day=gap)])
    assert of(company)["expected"] == 325.0


def test_it_is_never_less_than_what_is_spent_already() -> None:
    """A spike on the last day of the month: no average says 1,290, but that is spent."""
    today = date(2026, 11, 30)
    company = billed(dict.fromkeys(days_until(today, 30), "10") | {today: "1000"})
    assert of(company, today=today) == {"low": 1290.0, "expected": 1290.0, "high": 1290.0}
    assert company.gauges(now=utc(2026, 11, 30, 12))[PLATFORM]["expected",] == 1290.0


@pytest.mark.parametrize("lacking", ["bill", "cluster"])
def test_a_day_that_one_cost_source_lacks_is_forecast_and_not_counted_as_it_is_or_as_0(lacking: str) -> None:
    """The other source knows a part of that day: 3 dollars of what usually are 10."""
    gap = date(2026, 11, 18)
    days = days_until(YESTERDAY, 30)
    company = Company()
    for source, amount in (("cluster", "3"), ("bill", "7")):
        mine = [day for day in days if (day, source) != (gap, lacking)]
        rows = [cost("acme", amount, day=day, cluster=None) for day in mine]
        company.put_all(source, mine, cost=rows)
    assert of(company) == {"low": 300.0, "expected": 300.0, "high": 300.0}


def test_days_that_no_source_knows_are_forecast_too() -> None:
    company = billed(dict.fromkeys([day for day in days_until(YESTERDAY, 30) if day.day not in {9, 15, 16}], "10"))
    assert of(company)["expected"] == 300.0


@pytest.mark.parametrize("count", [6, 7])
def test_it_takes_seven_complete_days(count: int) -> None:
    company = billed({day: str(day.day) for day in days_until(YESTERDAY, count)})
    found = company.gauges()
    if count == 6:
        assert found[TENANT] == found[PLATFORM] == {}
    else:
        expected = sum(range(16, 23)) * (1 + 23 / 7)
        assert [*found[TENANT].values()] == pytest.approx([expected] * 3)
        assert [*found[PLATFORM].values()] == pytest.approx([expected] * 3)


def test_what_usage_and_revenue_lack_does_not_matter() -> None:
    company = billed(dict.fromkeys(MONTH, "10"))
    assert company.gauges()["window_complete"] == {("1d",): 0.0}
    assert of(company)["expected"] == 300.0


@pytest.mark.parametrize(
    ("required", "known"), [((True, False), True), ((False, True), False), ((False, False), False)]
)
def test_only_required_cost_sources_say_which_days_are_complete(required: tuple[bool, bool], known: bool) -> None:
    """The first is the bill, which knows the month; the second is a cluster that never answered."""
    company = Company(sources=[("bill", "bill", required[0]), ("cluster", "cluster", required[1])])
    company.put_all("bill", MONTH, cost=[cost("acme", "10", day=day) for day in MONTH])
    found = company.gauges()
    assert bool(found[TENANT]) == bool(found[PLATFORM]) == known


def test_a_week_that_was_dear_counts_for_28_days() -> None:
    days = days_until(YESTERDAY, 35)
    dear = dict.fromkeys(days, "10") | dict.fromkeys(days[:7], "100")
    assert of(billed(dear))["high"] == 300.0
    dear[days[7]] = "80"
    assert of(billed(dear))["high"] == 220 + 8 * 20


def test_days_before_the_history_are_not_days_without_costs() -> None:
    company = billed(dict.fromkeys(days_until(YESTERDAY, 28), "10"))
    assert of(company, history=10) == {"low": 300.0, "expected": 300.0, "high": 300.0}


def test_credits_can_make_it_negative() -> None:
    """A month of credits so far: those to come are no promise."""
    assert of(billed(dict.fromkeys(MONTH, "-10")))["expected"] == -220.0


def test_a_tenant_without_costs_will_cost_nothing() -> None:
    company = billed(dict.fromkeys(MONTH, "10"), tenant=None)
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", "300")])
    assert of(company) == {"low": 0.0, "expected": 0.0, "high": 0.0}


def test_the_company_has_what_is_unallocated_too() -> None:
    company = Company()
    rows = [cost(tenant, "10", day=day) for day in MONTH for tenant in ("acme", "beta", None)]
    company.put_all("bill", MONTH, cost=rows)
    company.put_all("cluster", MONTH)
    found = company.gauges()
    assert found[PLATFORM] == {("low",): 900.0, ("expected",): 900.0, ("high",): 900.0}
    assert found[TENANT]["acme", "expected"] == found[TENANT]["beta", "expected"] == 300.0


def test_the_folded_rest_is_forecast_from_its_sum() -> None:
    """Two folded tenants cost in turn, a week each: together they cost the same every day."""
    company = Company()
    turns = {day: "beta" if number // 7 % 2 else "gamma" for number, day in enumerate(days_until(YESTERDAY, 28))}
    rows = [cost(tenant, "10", day=day) for day, tenant in turns.items()]
    rows += [cost("acme", "50", day=day) for day in turns]
    company.put_all("bill", [*turns], cost=rows)
    company.put_all("cluster", [*turns])
    found = company.gauges(limit=1)[TENANT]
    assert {bound: value for (name, bound), value in found.items() if name == "__other__"} == {
        "low": 300.0,
        "expected": 300.0,
        "high": 300.0,
    }
    alone = company.gauges()[TENANT]
    assert alone["beta", "low"] < alone["beta", "high"]


def test_it_needs_no_window_that_holds_the_month() -> None:
    """Beta cost something this month, but not yesterday."""
    company = billed(dict.fromkeys(MONTH, "10"))
    company.put("bill", MONTH[:3], cost=[cost("beta", "5", day=day) for day in MONTH[:3]])
    narrow, wide = company.gauges(("1d",)), company.gauges(("1d", "30d", "mtd"))
    assert narrow[TENANT] == wide[TENANT]
    assert narrow[PLATFORM] == wide[PLATFORM]
    assert narrow[TENANT]["beta", "expected"] == 15.0
    assert {labels[0] for labels in narrow["tenant_info"]} == {"acme", "beta"}


def test_of_an_earlier_day_it_knows_nothing_later() -> None:
    company = billed({day: str(day.day) for day in days_until(YESTERDAY, 30)})
    before = billed({day: str(day.day) for day in days_until(date(2026, 11, 10), 18)})
    company.gauges()
    then = utc(2026, 11, 10, 23)
    assert company.seen(now=then)[TENANT] == before.gauges(now=then)[TENANT] != {}


amounts = st.decimals(-50, 5000, places=12, allow_nan=False, allow_infinity=False)


@settings(max_examples=13, deadline=None)
@given(
    today=st.dates(date(2026, 1, 20), date(2028, 3, 31)),
    back=st.integers(1, 30),
    spent=st.lists(
        st.tuples(st.sampled_from([*"abcdefgh", None]), st.integers(0, 45), amounts), min_size=1, max_size=120
    ),
    gaps=st.sets(st.integers(1, 45), max_size=8),
    limit=st.integers(1, 9),
)
def test_it_is_what_the_plain_model_says_and_no_dollar_is_lost(
    today: date, back: int, spent: list[tuple[str | None, int, Decimal]], gaps: set[int], limit: int
) -> None:
    """Gaps are days that the cluster does not know, for which the bill still has costs. Looked at today and earlier."""
    days = days_until(today, 46)
    complete = {day for day in days if (today - day).days not in gaps}
    rows = [cost(tenant, str(amount), day=today - timedelta(ago)) for tenant, ago, amount in spent]
    company = Company()
    company.put_all("bill", days, cost=rows)
    company.put_all("cluster", sorted(complete))
    derive(company.ledger, company.model, noon(today), timedelta(90))
    found = assert_agrees(company, rows, complete, today)
    assert_agrees(company, rows, complete, today - timedelta(back))
    nobody = forecast(daily([row for row in rows if row.tenant is None]), complete, today)["expected"]
    folded = company.seen(("30d",), limit=limit, now=noon(today))
    for gauges in (found, folded):
        # More only where somebody has spent more already than the average days would bring.
        together = sum(value for (_, bound), value in gauges[TENANT].items() if bound == "expected")
        assert together + nobody >= gauges[PLATFORM]["expected",] - 1e-6
    company.ledger.close()


def noon(day: date) -> datetime:
    return utc(day.year, day.month, day.day, 12)


def daily(rows: Sequence[Cost]) -> dict[date, Decimal]:
    found: dict[date, Decimal] = {}
    for row in rows:
        found[row.day] = found.get(row.day, Decimal(0)) + row.amount
    return found


def assert_agrees(company: Company, rows: Sequence[Cost], complete: set[date], today: date) -> Gauges:
    """Assert that the forecast of a day is what the plain model makes of all until then; return what is served."""
    found = company.seen(("30d",), now=noon(today))
    until = [row for row in rows if row.day <= today]
    tenants = {labels[0] for labels in found["tenant_info"]}
    expected = {
        (tenant, bound): value
        for tenant in tenants
        for bound, value in forecast(daily([row for row in until if row.tenant == tenant]), complete, today).items()
    }
    assert found[TENANT] == pytest.approx(expected, abs=1e-6)
    platform = {(bound,): value for bound, value in forecast(daily(until), complete, today).items()}
    assert found[PLATFORM] == pytest.approx(platform, abs=1e-6)
    for tenant in tenants:
        assert found[TENANT][tenant, "low"] <= found[TENANT][tenant, "expected"] <= found[TENANT][tenant, "high"]
    return found
