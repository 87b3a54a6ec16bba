"""What Cost Explorer is asked for and when: each day as seldom as it can be, in as few requests as there are pages."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.cost_explorer import (
    DAY,
    EC2,
    NOW,
    TODAY,
    Charged,
    CostExplorerFake,
    Explorer,
    account,
    days,
    exploring,
    refusal,
)
from tests.fakes.stored import utc
from unitcost.errors import SourceError
from unitcost.facts import Batch, Cost, Note, Problem
from unitcost.sources.bills.cost_explorer.due import earliest
from unitcost.sources.bills.cost_explorer.tags import command

FIRST = TODAY - 40 * DAY
S3 = "Amazon Simple Storage Service"


def costs(given: Explorer, day: date) -> dict[tuple[str | None, str, str], Decimal]:
    found = [(one.tenant, one.service, one.charge) for one in given.stored.costs(str(day))]
    assert len(set(found)) == len(found)
    return {(one.tenant, one.service, one.charge): one.amount for one in given.stored.costs(str(day))}


def test_the_history_is_one_question_and_every_page_is_asked_for_once() -> None:
    fake = account(FIRST, TODAY)
    with exploring(fake) as given:
        assert given.ask(FIRST) == []
        tokens = [body.get("NextPageToken") for _, body in fake.asked]
        assert len(tokens) == len(set(tokens)) == 40 * 8 // 5
        assert fake.days_asked() == days(FIRST, TODAY)
        assert given.stored.keys() == {str(day) for day in days(FIRST, TODAY)}
        assert given.stored.total() == fake.total(days(FIRST, TODAY))
        [body] = [body for _, body in fake.asked if "NextPageToken" not in body]
    assert body == {
        "TimePeriod": {"Start": str(FIRST), "End": str(TODAY)},
        "Granularity": "DAILY",
        "Metrics": ["AmortizedCost"],
        "GroupBy": [{"Type": "TAG", "Key": "customer"}, {"Type": "DIMENSION", "Key": "SERVICE"}],
    }
    assert given.paid.count == len(fake.asked)


def test_money_of_every_record_type_is_kept_and_values_may_contain_a_dollar() -> None:
    fake = account(TODAY - DAY, TODAY)
    fake.books.append(Charged(TODAY - DAY, Decimal(3), EC2, {"customer": "__idle__"}))
    with exploring(fake) as given:
        given.ask(TODAY - DAY)
        found = costs(given, TODAY - DAY)
    step = Decimal("0.001000000001")
    assert found == {
        ("acme", EC2, "credit"): step - Decimal("0.003"),
        ("acme", S3, "usage"): step * 2,
        ("beta$eu", EC2, "usage"): Decimal("0.002000000001"),
        ("beta$eu", S3, "usage"): Decimal("0.004000000002"),
        (None, EC2, "usage"): Decimal("3.003000000001"),
        (None, S3, "usage"): Decimal("0.006000000002"),
        (None, "AWS Lambda", "credit"): Decimal("-0.5"),
        (None, "Tax", "tax"): Decimal("0.19"),
    }


def test_record_types_apart_name_credits_exactly_and_the_sum_stays() -> None:
    fake = account(TODAY - 3 * DAY, TODAY)
    fake.books.append(Charged(TODAY - DAY, Decimal(7), "AWS Support (Business)", {}, "Fee"))
    with exploring(fake, record_types="apart") as given:
        assert given.ask(TODAY - 3 * DAY) == []
        found = costs(given, TODAY - DAY)
        assert given.stored.total() == fake.total(days(TODAY - 3 * DAY, TODAY))
    assert found["acme", "Credit", "credit"] == Decimal("-0.003")
    assert found["acme", EC2, "usage"] == Decimal("0.015000000001")
    assert found[None, "Refund", "adjustment"] == Decimal("-0.5")
    assert found[None, "Tax", "tax"] == Decimal("0.19")
    assert found[None, "AWS Support (Business)", "usage"] == 7
    assert fake.days_asked() == 2 * days(TODAY - 3 * DAY, TODAY), "two questions"


def test_without_a_tenant_the_record_type_is_told_in_the_same_request() -> None:
    fake = account(TODAY - DAY, TODAY)
    fake.books.append(Charged(TODAY - DAY, Decimal(7), "AWS Support (Business)", {}, "Fee"))
    with exploring(fake, tenant="none") as given:
        assert given.ask(TODAY - DAY) == []
        found = costs(given, TODAY - DAY)
    assert found == {
        (None, EC2, "usage"): Decimal("0.006000000003"),
        (None, S3, "usage"): Decimal("0.012000000006"),
        (None, EC2, "credit"): Decimal("-0.003"),
        (None, "AWS Lambda", "adjustment"): Decimal("-0.5"),
        (None, "Tax", "tax"): Decimal("0.19"),
        (None, "AWS Support (Business)", "purchase"): 7,
    }
    assert fake.days_asked() == [TODAY - DAY], "one question"
    assert {name for name, _ in fake.asked} == {"GetCostAndUsage"}


@pytest.mark.parametrize(
    ("cost", "record", "charge"),
    [
        ("amortized", "SavingsPlanRecurringFee", "unused"),
        ("net_amortized", "Savings Plan Upfront Fee", "unused"),
        ("amortized", "RIFee", "unused"),
        ("amortized", "Recurring reservation fee", "unused"),
        ("unblended", "RIFee", "purchase"),
        ("amortized", "Fee", "purchase"),
        ("amortized", "SavingsPlanCoveredUsage", "usage"),
        ("amortized", "SavingsPlanNegation", "usage"),
        ("amortized", "Reservation applied usage", "usage"),
    ],
)
def test_what_of_a_commitment_was_not_used_is_told_apart_where_the_metric_spreads_it(
    cost: str, record: str, charge: str
) -> None:
    fake = CostExplorerFake([Charged(TODAY - DAY, Decimal(7), EC2, {}, record)])
    with exploring(fake, cost=cost, tenant="none") as given:
        given.ask(TODAY - DAY)
        assert costs(given, TODAY - DAY) == {(None, EC2, charge): 7}


@pytest.mark.parametrize(("cost", "charge"), [("amortized", "unused"), ("unblended", "purchase")])
def test_a_savings_plan_is_known_by_its_service_where_tenants_are_asked_for(cost: str, charge: str) -> None:
    plan = "Savings Plans for AWS Compute usage"
    fake = account(TODAY - DAY, TODAY)
    fake.books.append(Charged(TODAY - DAY, Decimal(7), plan, {}, "SavingsPlanRecurringFee"))
    with exploring(fake, cost=cost) as given:
        given.ask(TODAY - DAY)
        assert costs(given, TODAY - DAY)[None, plan, charge] == 7


@pytest.mark.parametrize(
    ("cost", "metric"),
    [
        ("amortized", "AmortizedCost"),
        ("unblended", "UnblendedCost"),
        ("net_amortized", "NetAmortizedCost"),
        ("net_unblended", "NetUnblendedCost"),
    ],
)
def test_the_metric_is_the_one_that_is_chosen(cost: str, metric: str) -> None:
    fake = account(TODAY - DAY, TODAY)
    with exploring(fake, cost=cost) as given:
        given.ask(TODAY - DAY)
    assert [body["Metrics"] for _, body in fake.asked] == [[metric]] * len(fake.asked)
    assert given.stored.total() == fake.total([TODAY - DAY])


# ------------------------------------------------------------------------------------------- when


def test_a_refresh_every_five_minutes_asks_once_a_day_and_a_restart_asks_for_nothing() -> None:
    fake = account(FIRST, TODAY + 2 * DAY)
    fake.per_page = 1000
    with exploring(fake) as given:
        for refresh in range(24 * 12 + 1):
            given.now = NOW + refresh * DAY / 288
            if refresh % 7 == 0:
                given.restart()
            assert given.ask(FIRST) == []
        asked = [days(*map(date.fromisoformat, body["TimePeriod"].values())) for _, body in fake.asked]
    assert asked == [
        days(FIRST, TODAY),
        days(TODAY - 2 * DAY, TODAY + DAY),  # from noon on, when the day before is over for 12 hours
    ]
    assert given.paid.count == 2


def test_no_page_is_asked_twice_for_a_closed_day_and_an_estimated_one_only_weekly() -> None:
    """Two months of refreshes: days of October are final from the 5th of November on."""
    fake = account(date(2026, 10, 1), date(2026, 12, 1))
    fake.per_page, fake.estimated_from = 1000, date(2026, 10, 1)
    final = date(2026, 11, 5)
    asked: dict[date, list[date]] = {}
    with exploring(fake) as given:
        for today in days(date(2026, 10, 10), date(2026, 12, 1)):
            given.now = utc(today.year, today.month, today.day, 12)
            fake.estimated_from = date(2026, 11, 1) if today >= final else date(2026, 10, 1)
            given.ask(date(2026, 10, 1))
            asked[today] = fake.days_asked()
            assert len(fake.asked) == 1, "the last days and older ones follow each other, and are one question"
            fake.asked.clear()
        assert given.stored.total() == fake.total(days(date(2026, 10, 1), date(2026, 11, 30)))
    before = Counter(day for today, found in asked.items() if today < final for day in found)
    assert [before[date(2026, 10, day)] for day in (1, 15)] == [4, 5], "weekly once it is older than 3 days"
    after = [min(found) for today, found in asked.items() if today >= final]
    assert [day for day in after if day < date(2026, 11, 1)] == [date(2026, 10, 1)], "once more, then it is left alone"


def test_what_a_day_came_to_later_replaces_what_it_was() -> None:
    fake = account(TODAY - 5 * DAY, TODAY)
    with exploring(fake) as given:
        given.ask(TODAY - 5 * DAY)
        fake.books.append(Charged(TODAY - 2 * DAY, Decimal("-0.25"), EC2, {"customer": "acme"}, "Credit"))
        given.later(hours=23)
        given.ask(TODAY - 5 * DAY)
        given.later(hours=1)
        given.ask(TODAY - 5 * DAY)
    assert given.stored.total() == fake.total(days(TODAY - 5 * DAY, TODAY))


def test_a_day_is_asked_for_once_it_is_over_for_the_delay() -> None:
    fake = account(TODAY - 3 * DAY, TODAY)
    with exploring(fake, delay="14h") as given:
        given.ask(TODAY - 3 * DAY)
        assert str(TODAY - DAY) not in given.stored.batches
        given.later(hours=1)
        given.ask(TODAY - 3 * DAY)
        assert str(TODAY - DAY) in given.stored.batches


def test_a_day_that_aws_has_nothing_of_yet_is_unknown_and_an_old_one_without_costs_is_known() -> None:
    fake = account(TODAY - 6 * DAY, TODAY - 2 * DAY)
    fake.estimated_from = TODAY - 20 * DAY
    with exploring(fake) as given:
        assert given.ask(TODAY - 30 * DAY) == []
        assert given.stored.keys() == {str(day) for day in days(TODAY - 30 * DAY, TODAY - 20 * DAY)} | {
            str(day) for day in days(TODAY - 6 * DAY, TODAY - 2 * DAY)
        }
        assert given.stored.costs(str(TODAY - 30 * DAY)) == []
        before = len(fake.asked)
        given.restart()
        given.later(hours=6)
        given.ask(TODAY - 30 * DAY)
        assert len(fake.asked) == before, "that it had nothing is in the ledger, too"


def test_a_day_that_lost_its_costs_keeps_them_and_is_told() -> None:
    fake = account(TODAY - 5 * DAY, TODAY)
    with exploring(fake) as given:
        given.ask(TODAY - 5 * DAY)
        fake.books = [one for one in fake.books if one.day != TODAY - 2 * DAY]
        kept = given.stored.costs(str(TODAY - 2 * DAY))
        given.later(days=1)
        [problem] = given.ask(TODAY - 5 * DAY)
        assert (problem.reason, problem.where) == ("no_data", f"aws, {TODAY - 2 * DAY}")
        assert given.stored.costs(str(TODAY - 2 * DAY)) == kept
        asked = len(fake.asked)
        assert given.ask(TODAY - 5 * DAY) == [problem], "it is told as long as it is so"
        assert len(fake.asked) == asked


def test_no_day_is_asked_for_that_cost_explorer_does_not_keep() -> None:
    fake = account(TODAY - DAY, TODAY)
    fake.per_page = 1000
    with exploring(fake) as given:
        found = list(given.items(date(2024, 1, 1)))
    assert [body["TimePeriod"] for _, body in fake.asked] == [
        {"Start": "2026-11-11", "End": "2026-11-18"},
        {"Start": "2025-10-01", "End": "2026-11-11"},
    ]
    assert "aws: Cost Explorer tells of no day before 2025-10-01" in [
        one.text for one in found if isinstance(one, Note)
    ]


def test_a_day_that_could_not_be_stored_is_handed_over_again_and_not_paid_for_again() -> None:
    fake = account(FIRST, TODAY)
    with exploring(fake) as given:
        for taken in (None, 3, 2):  # a full disk: nothing is stored, and what comes next is not even taken
            handed = given.items(FIRST)
            found = [next(handed) for _ in range(taken)] if taken else list(handed)
            assert [one.key for one in found[:2] if isinstance(one, Batch)] == [str(TODAY - DAY), str(TODAY - 2 * DAY)]
            handed.close()  # type: ignore[attr-defined]
        assert given.paid.count == len(fake.asked) == 64
        assert given.ask(FIRST) == []
        assert given.ask(FIRST) == []
        assert len(fake.asked) == 64
        assert given.stored.total() == fake.total(days(FIRST, TODAY))
        assert not [one for one in given.items(FIRST) if isinstance(one, Batch)], "they are stored"


@pytest.mark.parametrize(
    ("today", "first"),
    [
        (date(2026, 11, 30), date(2025, 10, 1)),
        (date(2026, 1, 31), date(2024, 12, 1)),
        (date(2026, 2, 1), date(2025, 1, 1)),
        (date(2026, 12, 31), date(2025, 11, 1)),
    ],
)
def test_cost_explorer_keeps_thirteen_months_and_the_present_one(today: date, first: date) -> None:
    assert earliest(today) == first


def test_one_request_serves_days_that_follow_each_other_and_holes_are_asked_for_alone() -> None:
    fake = account(FIRST, TODAY)
    fake.per_page = 1000
    with exploring(fake) as given:
        given.ask(FIRST)
        for lost in (TODAY - 20 * DAY, TODAY - 30 * DAY, TODAY - 31 * DAY):
            del given.stored.batches[str(lost)]
        fake.asked.clear()
        given.ask(FIRST)
    assert [body["TimePeriod"] for _, body in fake.asked] == [
        {"Start": str(TODAY - 20 * DAY), "End": str(TODAY - 19 * DAY)},
        {"Start": str(TODAY - 31 * DAY), "End": str(TODAY - 29 * DAY)},
    ]


# ------------------------------------------------------------------------------------------- tags


def untagged(fake: CostExplorerFake) -> tuple[list[Problem], list[str], list[str]]:
    """Return the problems, the notes, and the operations that were asked, of charges without tags."""
    fake.books = [Charged(TODAY - DAY, Decimal(5))]
    with exploring(fake) as asking:
        found = list(asking.items(TODAY - DAY))
        assert asking.paid.count == len(fake.asked), "asking for tags is counted, too"
    problems = [one for one in found if isinstance(one, Problem)]
    return problems, [one.text for one in found if isinstance(one, Note)], [name for name, _ in fake.asked]


ACTIVATE = "aws ce update-cost-allocation-tags-status --cost-allocation-tags-status TagKey=customer,Status=Active"


def test_a_tag_that_is_not_activated_is_told_with_the_command_that_activates_it() -> None:
    [problem], _, asked = untagged(CostExplorerFake(active={}, known=("customer",)))
    assert problem.reason == "untagged"
    assert problem.line.startswith(
        f"aws: no charge has the tag customer, which is not activated. Activate it: {ACTIVATE};"
    )
    assert asked == ["GetCostAndUsage", "ListCostAllocationTags"]


def test_a_tag_that_aws_does_not_know_and_one_that_nothing_carries() -> None:
    [unknown], _, _ = untagged(CostExplorerFake(active={}))
    assert "which AWS does not know as a cost allocation tag" in unknown.text
    assert ACTIVATE in unknown.hint
    [active], _, _ = untagged(CostExplorerFake())
    assert active.text == "no charge has the tag customer, which is active since 2026-01-02"


def test_who_may_not_ask_for_tags_is_told_and_the_costs_count() -> None:
    fake = CostExplorerFake()
    no = refusal("AccessDeniedException", "no ce:ListCostAllocationTags")
    fake.fault = lambda name, _: no if name != "GetCostAndUsage" else None
    [problem], notes, _ = untagged(fake)
    assert ACTIVATE in problem.hint
    assert "whether the tag is activated cannot be asked (answered AccessDeniedException: no ce:List" in notes[0]


def test_tags_are_not_asked_for_where_any_charge_has_a_tenant() -> None:
    fake = account(TODAY - DAY, TODAY)
    with exploring(fake) as given:
        assert given.ask(TODAY - DAY) == []
    assert {name for name, _ in fake.asked} == {"GetCostAndUsage"}


# ------------------------------------------------------------------------------------------- clusters


def test_charges_of_clusters_are_told_apart_by_a_tag_and_nothing_counts_twice() -> None:
    day = TODAY - DAY
    node = {"aws:eks:cluster-name": "prod", "customer": "acme"}
    fake = account(day, TODAY)
    fake.books += [
        Charged(day, Decimal(40), EC2, node),
        Charged(day, Decimal(4), "EC2 - Other", node),
        Charged(day, Decimal("2.4"), "Amazon Elastic Container Service for Kubernetes"),
    ]
    fake.active["aws:eks:cluster-name"] = "2026-01-01"
    with exploring(fake, cluster_tag="aws:eks:cluster-name") as given:
        assert given.ask(day) == []
        found = given.stored.costs(str(day))
        assert given.stored.total() == fake.total([day])
    scoped = {(one.scope, one.service): one for one in found if one.scope is not None}
    assert {at: one.amount for at, one in scoped.items()} == {
        ("k8s/prod", EC2): 40,
        ("k8s/prod", "EC2 - Other"): 4,
        ("k8s/", "Amazon Elastic Container Service for Kubernetes"): Decimal("2.4"),
    }
    assert {one.tenant for one in scoped.values()} == {None}, "who used a node is the meter's to say"
    assert fake.days_asked() == [day, day]


def test_a_cluster_tag_that_no_charge_has_is_told_as_the_tenants_is() -> None:
    fake = account(TODAY - DAY, TODAY)
    with exploring(fake, cluster_tag="aws:eks:cluster-name") as given:
        [problem] = given.ask(TODAY - DAY)
    assert "TagKey=aws:eks:cluster-name,Status=Active" in problem.line
    assert problem.line.endswith("; or correct sources.aws.cluster_tag")


def test_the_command_can_be_pasted_whatever_the_key() -> None:
    assert command("Cost Center").endswith(" 'TagKey=Cost Center,Status=Active'")


# ------------------------------------------------------------------------------------------- the budget


def test_the_budget_of_a_month_stops_before_the_request_that_would_exceed_it(tmp_path: Path) -> None:
    fake = account(FIRST, TODAY)
    with exploring(fake, tmp_path, request_budget=7) as given:
        for _ in range(3):
            given.restart()
            with pytest.raises(SourceError) as caught:
                given.ask(FIRST)
            assert caught.value.reason == "budget"
        assert len(fake.asked) == given.paid.count == 7
        assert str(caught.value) == (
            "aws: 7 paid requests were sent in 2026-11, request_budget allows 7; none is sent before 2026-12-01 00:00"
            " UTC. Raise sources.aws.request_budget to go on sooner; AWS charges $0.01 for each"
        )
        assert given.stored.keys() == set(), "half an answer is none"
        given.now = utc(2026, 12, 1, 0, 0)
        with pytest.raises(SourceError):
            given.ask(FIRST)
        assert len(fake.asked) == 14


def test_a_budget_that_is_spent_in_the_middle_of_an_answer_loses_no_page_of_it(tmp_path: Path) -> None:
    fake = account(TODAY - 5 * DAY, TODAY)
    with exploring(fake, tmp_path, request_budget=4) as given:
        given.now = utc(2026, 11, 30, 23, 0)
        with pytest.raises(SourceError, match="4 paid requests were sent in 2026-11"):
            given.ask(TODAY - 5 * DAY)
        given.now = utc(2026, 12, 1, 0, 5)
        given.stored.now = given.now
        before = len(fake.asked)
        assert given.ask(TODAY - 5 * DAY) == []
        assert before == 4
        assert [body["NextPageToken"].partition(":")[2] for _, body in fake.asked[before:]] == ["20", "25", "30", "35"]
    assert given.stored.total() == fake.total(days(TODAY - 5 * DAY, TODAY))


def test_where_requests_cannot_be_counted_none_is_sent(tmp_path: Path) -> None:
    (tmp_path / "paid").write_text("in the way")
    fake = account(TODAY - DAY, TODAY)
    with exploring(fake, tmp_path) as given, pytest.raises(SourceError, match="paid requests cannot be counted there"):
        given.ask(TODAY - DAY)
    assert fake.asked == []


def test_what_is_spent_is_noted() -> None:
    fake = account(TODAY - DAY, TODAY)
    with exploring(fake) as given:
        notes = [one.text for one in given.items(TODAY - DAY) if isinstance(one, Note)]
        assert notes == ["aws: 2 of the 100 paid requests that request_budget allows in 2026-11 are sent"]
        assert [type(one) for one in given.items(TODAY - DAY)] == [Batch, Note], "nothing was stored"


def test_a_history_of_more_pages_than_the_budget_allows_comes_month_by_month(tmp_path: Path) -> None:
    """What was paid for is stored now and then, so that no month is paid for nothing."""
    first = TODAY - 90 * DAY
    fake = account(first, TODAY + 40 * DAY)
    fake.per_page, fake.estimated_from = 2, TODAY
    with exploring(fake, tmp_path, request_budget=150) as given:
        with pytest.raises(SourceError, match="150 paid requests"):
            given.ask(first)
        loaded = len(given.stored.keys())
        assert loaded == 7 + 6 * 5, "a week in 28 pages, then 5 days at a time"
        given.now = utc(2026, 12, 1, 12)
        given.restart()
        with pytest.raises(SourceError, match="150 paid requests"):
            given.ask(first)
        assert len(given.stored.keys()) > loaded + 25
        assert given.paid.count == len(fake.asked) == 300
    for key in given.stored.batches:
        assert given.stored.totals(key)["USD"] == fake.total([date.fromisoformat(key)])


def test_days_are_in_several_currencies_as_the_books_are() -> None:
    fake = account(TODAY - DAY, TODAY)
    fake.books.append(Charged(TODAY - DAY, Decimal("7.5"), S3, {"customer": "acme"}, "Usage", "CNY"))
    fake.books = [
        one for one in fake.books if one.unit == "CNY" or (one.service, one.tags) != (S3, {"customer": "acme"})
    ]
    with exploring(fake) as given:
        assert given.ask(TODAY - DAY) == []
        found = given.stored.totals(str(TODAY - DAY))
    assert found == {"CNY": Decimal("7.5"), "USD": fake.total([TODAY - DAY])}
    assert all(isinstance(one, Cost) for one in given.stored.costs(str(TODAY - DAY)))
