"""Restated days: closed ones of which a later delivery says something else than what had stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.company import NOW, YESTERDAY, Company, cost, days_until
from unitcost.ledger.derive import derive
from unitcost.ledger.prune import prune
from unitcost.ledger.rewound import rewound
from unitcost.ledger.store import Ledger

DAYS = days_until(YESTERDAY, 30)


def told(found: Company, now: datetime = NOW) -> list[tuple[date, str]]:
    """Return (day, text) of the restated days."""
    series = found.gauges(now=now)["unitcost_event_timestamp_seconds"]
    return sorted((date.fromisoformat(day), text) for kind, day, _, _, text in series if kind == "day_restated")


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def delivered(found: Company, amounts: Mapping[date, str], now: datetime, source: str = "bill") -> None:
    """Deliver whole days and derive."""
    found.put(source, [*amounts], cost=[cost("acme", amount, day=day) for day, amount in amounts.items()])
    derive(found.ledger, found.model, now, timedelta(90))


@pytest.fixture
def billed() -> Company:
    """A bill of 100 a day until the 14th, as known on the 15th."""
    found = Company(sources=[("bill", "bill", True), ("usage", "usage", True)])
    delivered(found, dict.fromkeys(DAYS[:22], "100"), at(DAYS[22]))
    return found


def test_a_closed_day_that_a_later_delivery_changed_is_told_with_both_amounts(billed: Company) -> None:
    delivered(billed, {DAYS[10]: "120.4"}, at(DAYS[25]))
    text = f"Restated: {DAYS[10].day} November 2026, cost $100 → $120 since {DAYS[25].day} November 2026"
    assert told(billed) == [(DAYS[10], text)]
    assert {labels[2] for labels in billed.gauges()["unitcost_event_timestamp_seconds"]} == {""}


def test_restated_days_in_a_row_are_one_event(billed: Company) -> None:
    delivered(billed, {DAYS[8]: "90", DAYS[10]: "120", DAYS[11]: "130"}, at(DAYS[25]))
    delivered(billed, {DAYS[12]: "150"}, at(DAYS[27]))
    assert told(billed) == [
        (DAYS[8], "Restated: 1 November 2026, cost $100 → $90 since 18 November 2026"),
        (DAYS[10], "Restated: 3–4 November 2026, cost $200 → $250 since 18 November 2026"),
        (DAYS[12], "Restated: 5 November 2026, cost $100 → $150 since 20 November 2026"),
    ]


def test_a_day_restated_twice_is_told_from_what_had_stood_and_not_at_all_when_it_is_back(billed: Company) -> None:
    for later, amount in enumerate(("120", "130")):
        delivered(billed, {DAYS[10]: amount}, at(DAYS[25]) + timedelta(hours=18 * later))
    assert told(billed) == [(DAYS[10], "Restated: 3 November 2026, cost $100 → $130 since 19 November 2026")]
    delivered(billed, {DAYS[10]: "100"}, at(DAYS[26]))
    assert told(billed) == []


def test_days_that_can_still_change_are_not_restated(billed: Company) -> None:
    now = at(DAYS[23])
    delivered(billed, {DAYS[20]: "120", DAYS[21]: "120"}, now)
    assert told(billed, now=now) == []
    delivered(billed, {DAYS[19]: "120"}, now)
    assert [day for day, _ in told(billed, now=now)] == [DAYS[19]]


def test_a_first_load_in_pieces_restates_nothing() -> None:
    found = Company(sources=[("bill", "bill", True)])
    for piece, amount in enumerate(("60", "100")):
        delivered(found, dict.fromkeys(DAYS[:22], amount), at(DAYS[25]) + timedelta(minutes=piece))
    assert told(found) == []


def test_what_another_source_says_of_a_day_for_the_first_time_is_added_and_restates_nothing(billed: Company) -> None:
    billed.model = replace(billed.model, sources=[*billed.model.sources, ("other", "bill", True)])
    billed.gauges(now=at(DAYS[24]))
    delivered(billed, {DAYS[10]: "50"}, at(DAYS[25]), "other")
    assert told(billed) == []


def test_other_settings_restate_nothing(billed: Company) -> None:
    delivered(billed, {DAYS[10]: "120"}, at(DAYS[25]))
    sharing = replace(billed.model, rules=[(0, {"component": "idle"}, "even", None)])
    rates = replace(sharing, rates=[("USD", Decimal(1)), ("EUR", Decimal(2))])
    for model, events in ((sharing, 1), (rates, 0)):
        billed.model = model
        assert len(told(billed, now=at(DAYS[27]))) == events, "what other rates counted is not to be compared"


def test_a_bill_that_takes_over_closed_days_of_an_estimate_restates_them() -> None:
    found = Company(sources=[("cluster", "cluster", True), ("bill", "bill", True)])
    days = DAYS[:15]
    found.put_all("cluster", days, cost=[cost("acme", "100", day=day, cluster="prod") for day in days])
    found.gauges(now=at(DAYS[15]))
    found.put_all("bill", days[:10], cost=[cost(None, "80", day=day, cluster="prod") for day in days[:10]])
    found.gauges(now=at(DAYS[25]))
    assert told(found) == [
        (DAYS[0], "Restated: 24 October – 2 November 2026, cost $1,000 → $800 since 18 November 2026")
    ]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.dictionaries(st.integers(0, 9), st.sampled_from(["1", "2", "3"]), min_size=1), min_size=1, max_size=6)
)
def test_a_restated_day_keeps_what_stood_when_it_was_closed(deliveries: list[dict[int, str]]) -> None:
    """A delivery every second day, from the sixth day of the history on; three days back are still open."""
    found = Company(sources=[("bill", "bill", True)])
    said: dict[date, str] = {}
    stood: dict[date, str] = {}
    for number, amounts in enumerate(deliveries):
        now = at(DAYS[5 + 2 * number])
        given_days = {DAYS[place]: amount for place, amount in amounts.items() if DAYS[place] < now.date()}
        for day, amount in given_days.items():
            if day in said and said[day] != amount and day < now.date() - timedelta(3):
                stood.setdefault(day, said[day])
        said |= given_days
        delivered(found, given_days, now)
    restated = found.ledger.rows("SELECT day, amount FROM restated_day")
    assert {day: str(int(amount)) for day, amount in restated} == stood


# the ledger


def stored(folder: Path, amounts: Mapping[date, str], now: datetime) -> None:
    """Deliver days to a ledger's file and derive, as a process that ends then."""
    found = Company(sources=[("bill", "bill", True)])
    found.ledger = Ledger(folder)
    delivered(found, amounts, now)
    found.ledger.close()


def kept(folder: Path) -> list[date]:
    ledger = Ledger(folder)
    days = [day for (day,) in ledger.rows("SELECT day FROM restated_day ORDER BY day")]
    ledger.close()
    return days


def test_a_restated_day_is_kept_over_restarts_until_it_is_forgotten(tmp_path: Path) -> None:
    stored(tmp_path, dict.fromkeys(DAYS[:22], "100"), at(DAYS[22]))
    stored(tmp_path, {DAYS[5]: "120", DAYS[10]: "120"}, at(DAYS[25]))
    assert kept(tmp_path) == [DAYS[5], DAYS[10]]
    ledger = Ledger(tmp_path)
    prune(ledger, DAYS[6])
    ledger.close()
    assert kept(tmp_path) == [DAYS[10]]


def test_a_clock_of_before_sees_only_what_was_restated_until_then(tmp_path: Path) -> None:
    stored(tmp_path, dict.fromkeys(DAYS[:22], "100"), at(DAYS[22]))
    stored(tmp_path, {DAYS[5]: "120"}, at(DAYS[25]))
    stored(tmp_path, {DAYS[6]: "120"}, at(DAYS[28]))
    with rewound(tmp_path, at(DAYS[26])) as folder:
        assert kept(folder) == [DAYS[5]]
    assert kept(tmp_path) == [DAYS[5], DAYS[6]]


def test_a_ledger_of_an_older_version_is_taken_over_and_restates_nothing_by_itself(tmp_path: Path) -> None:
    stored(tmp_path, dict.fromkeys(DAYS[:22], "100"), at(DAYS[22]))
    old = Ledger(tmp_path)
    old.rows("DROP TABLE restated_day")
    old.rows("DELETE FROM meta WHERE key = 'counted'")
    old.close()
    again = Company(sources=[("bill", "bill", True)])
    again.ledger = Ledger(tmp_path)
    assert derive(again.ledger, again.model, at(DAYS[25]), timedelta(90)) == []
    assert again.ledger.rows("SELECT sum(amount) FROM counted_day") == [(Decimal(2200),)]
    delivered(again, {DAYS[5]: "120"}, at(DAYS[25]))
    assert again.ledger.rows("SELECT day, amount FROM restated_day") == [(DAYS[5], Decimal(100))]
    again.ledger.close()
