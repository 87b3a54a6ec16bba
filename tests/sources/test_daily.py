"""Which days a source is asked for: today, those that can still change, and older ones that it has not said whole."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.sources.daily import due

NOW = utc(2026, 11, 23, 12)
FIRST = date(2026, 11, 3)
HISTORY = [FIRST + timedelta(days) for days in range(21)]
MINUTE = timedelta(minutes=1)
days = st.sets(st.sampled_from(HISTORY))


def days_due(
    now: datetime = NOW,
    whole: set[date] | None = None,
    also: set[date] | None = None,
    stored: MemoryStored | None = None,
) -> list[date]:
    return list(due(asked(now, FIRST, stored), MINUTE, (whole or set()).__contains__, also or set()))


def test_without_anything_stored_every_day_is_due_newest_first() -> None:
    assert days_due() == HISTORY[::-1]


@given(days, days)
def test_what_is_whole_is_asked_again_only_while_it_can_change_or_where_it_is_to_be(
    whole: set[date], also: set[date]
) -> None:
    recent = set(HISTORY[-4:])
    assert days_due(whole=whole, also=also) == sorted(recent | also | (set(HISTORY) - whole), reverse=True)


def test_a_day_that_has_just_begun_is_not_asked_for() -> None:
    assert days_due(utc(2026, 11, 23, 0))[0] == HISTORY[-2]
    assert days_due(utc(2026, 11, 23, 0) + MINUTE)[0] == HISTORY[-1]


def test_a_day_of_which_there_was_nothing_is_asked_again_a_day_later() -> None:
    stored = MemoryStored(NOW)
    stored.empty = {day.isoformat(): NOW - timedelta(hours=23) for day in HISTORY}
    stored.empty[FIRST.isoformat()] = NOW - timedelta(hours=24)
    assert days_due(stored=stored) == [*HISTORY[:-5:-1], FIRST]
