"""What is known of a past day decides what is written of it: by what a metric declares, whatever its labels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes.company import DIRECTORY, NOW, YESTERDAY, Company, cost, mrr
from unitcost.config.model import Config
from unitcost.config.sections import Limits
from unitcost.days import PREVIOUS
from unitcost.ledger.derive import derive
from unitcost.metrics.history import Past
from unitcost.metrics.metric import COSTS, NO_WINDOW, REVENUE, Label, PresentSelect, Select, Served
from unitcost.run.setup import terms

FIRST = date(2026, 10, 28)
PAID_SINCE = FIRST + timedelta(8)
DAYS = [FIRST + timedelta(n) for n in range((YESTERDAY - FIRST).days + 1)]


def of_period(name: str, needs: tuple[str, ...], window: str | Label) -> Served:
    """A metric with a period label. Its SELECT itself says something as soon as half of a period is known."""
    sql = "SELECT tenant, span, cost FROM margin WHERE NOT starts_with(span, 'prev_')"
    return Served(name, "A change.", ("tenant", "period"), filled=Select(sql, needs, window))


def plain(name: str, needs: tuple[str, ...]) -> Served:
    """A metric without labels and without a window, whose SELECT says something of every day."""
    return Served(name, "A count.", filled=Select("SELECT count(*) FROM window_span", needs, NO_WINDOW))


SINCE = {
    of_period("period", (COSTS,), Label("period")): FIRST + timedelta(2),
    of_period("against_the_period_before", (COSTS,), Label("period", PREVIOUS)): FIRST + timedelta(4),
    of_period("margin_against_before", (COSTS, REVENUE), Label("period", PREVIOUS)): PAID_SINCE + timedelta(4),
    of_period("period_that_needs_nothing", (), Label("period")): FIRST + timedelta(1),
    of_period("fixed_window", (COSTS,), "mtd"): date(2026, 11, 1),
    of_period("no_window", (COSTS,), NO_WINDOW): FIRST + timedelta(1),
    of_period("revenue_without_a_window", (REVENUE,), NO_WINDOW): PAID_SINCE,
    plain("needs_nothing", ()): FIRST,
    plain("needs_costs", (COSTS,)): FIRST,
    plain("needs_both", (COSTS, REVENUE)): PAID_SINCE,
}
UNKNOWN = Served("unknown", "Unknown.", ("tenant",), filled=Select("SELECT 'acme', NULL", (), NO_WINDOW))
PRESENT = Served("present", "Of now.", filled=PresentSelect("SELECT count(*) FROM window_span"))


@pytest.fixture(scope="module")
def written() -> Mapping[Served, Sequence[date]]:
    """The days of which a backfill has samples, in order; costs are known since FIRST, MRR since PAID_SINCE."""
    company = Company(sources=(("bill", "bill", True), ("revenue", "revenue", True)))
    company.put_all("bill", DAYS, cost=[cost("acme", "1", day=day) for day in DAYS])
    paid = [day for day in DAYS if day >= PAID_SINCE]
    company.put_all("revenue", paid, revenue=[mrr("acme", "300", day) for day in paid])
    derive(company.ledger, company.model, NOW, timedelta(90))
    config = Config.model_construct(windows=("2d",), limits=Limits())
    past = Past(company.ledger, terms(config, DIRECTORY), NOW, [*SINCE, UNKNOWN, PRESENT])
    for day in DAYS:
        past.add(day)
    return {metric: [day_of(row[-1]) for rows in past.samples(metric) for row in rows] for metric in past.metrics}


def day_of(milliseconds: int) -> date:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()


@pytest.mark.parametrize("metric", SINCE, ids=lambda metric: metric.name)
def test_a_metric_begins_when_what_it_needs_is_known_since_its_window_began(
    written: Mapping[Served, Sequence[date]], metric: Served
) -> None:
    assert written[metric] == [day for day in DAYS if day >= SINCE[metric]]


def test_what_a_row_does_not_know_is_not_written(written: Mapping[Served, Sequence[date]]) -> None:
    assert written[UNKNOWN] == []


def test_what_the_ledger_knows_of_the_present_only_is_not_written(written: Mapping[Served, Sequence[date]]) -> None:
    assert PRESENT not in written
