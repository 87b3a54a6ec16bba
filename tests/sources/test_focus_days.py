"""FOCUS bills by day: which days a bill makes known, on which day a charge counts, and what a closed month promises."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.stored import MemoryStored, asked, rows, utc
from tests.sources.test_focus import (
    EXACT_COSTS,
    HEADER,
    bills,
    by_day,
    charge,
    costs,
    focus,
    items,
    one_cost,
    write_csv,
    write_parquet,
)
from unitcost.facts import Cost, Note
from unitcost.ledger.store import Ledger

COLUMNS = [*HEADER, "ChargeCategory", "ChargeClass"]
NOVEMBER = {"BillingPeriodStart": "2026-11-01T00:00:00Z", "BillingPeriodEnd": "2026-12-01T00:00:00Z"}
OCTOBER = {"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z"}
FIRST = date(2026, 1, 1)
OPEN, CLOSED = utc(2026, 11, 20, 12), utc(2026, 12, 6)


def stamp(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def on(start: date | str, days: int = 1, /, **given: Any) -> dict[str, Any]:
    """A usage charge of $10 of so many UTC days in November's bill, changed as given."""
    first = date.fromisoformat(start) if isinstance(start, str) else start
    times = {
        "ChargePeriodStart": f"{first}T00:00:00Z",
        "ChargePeriodEnd": f"{first + timedelta(days=days)}T00:00:00Z",
    }
    return charge(**NOVEMBER, **times, EffectiveCost="10", ChargeCategory="Usage", ChargeClass="") | given


def november(*days: int, **given: Any) -> list[dict[str, Any]]:
    """A usage charge of $10 on each of these days of November."""
    return [on(date(2026, 11, day), **given) for day in days]


def write(folder: Path, charges: Iterable[Mapping[str, Any]]) -> Path:
    return write_csv(folder / "bill.csv", charges, COLUMNS)


def known(path: Path, now: datetime, key: str = "2026-11", **given: Any) -> list[int]:
    days = bills(path, asked(now, FIRST), **given)[key].days
    assert all(f"{day:%Y-%m}" == key for day in days)
    return [day.day for day in days]


def notes(path: Path, now: datetime, **given: Any) -> list[str]:
    return [one.text for one in items(path, asked(now, FIRST), **given) if isinstance(one, Note)]


def span(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


# ------------------------------------------------------------------------------------------ known days


@pytest.mark.parametrize(
    "given_",
    [
        {"ChargeCategory": "Purchase"},
        {"ChargeCategory": "Tax"},
        {"ChargeCategory": "Credit"},
        {"ChargeCategory": "Adjustment"},
        {"ChargeCategory": "Usage", "ChargeClass": "Correction"},
        {"ChargeCategory": "Marketplace fee"},
    ],
)
def test_only_usage_says_that_a_day_was_delivered(tmp_path: Path, given_: dict[str, str]) -> None:
    path = write(tmp_path, [*november(*span(1, 10)), on("2026-11-15", EffectiveCost="99", **given_)])
    assert known(path, OPEN) == span(1, 10)
    assert sum(cost.amount for cost in costs(path, asked(OPEN, FIRST))) == 199


def test_a_fee_dated_after_today_makes_no_day_known(tmp_path: Path) -> None:
    fee = on("2026-11-25", EffectiveCost="99", ChargeCategory="Purchase")
    assert known(write(tmp_path, [*november(*span(1, 10)), fee]), OPEN) == span(1, 10)


def test_usage_dated_after_today_makes_no_day_known(tmp_path: Path) -> None:
    assert known(write(tmp_path, november(*span(1, 25))), OPEN) == span(1, 20)


def test_days_whose_file_never_came_are_holes_and_are_told(tmp_path: Path) -> None:
    for day in [*span(1, 6), *span(9, 19)]:
        write_csv(tmp_path / f"usage-2026-11-{day:02}.csv", november(day), COLUMNS)
    assert known(tmp_path, OPEN) == [*span(1, 6), *span(9, 19)]
    (note,) = notes(tmp_path, OPEN)
    assert note.startswith("2026-11: no usage on 2026-11-07, 2026-11-08; these days are not known yet; once")


def test_a_hole_stays_unknown_after_a_bill_with_usage_every_day_is_closed(tmp_path: Path) -> None:
    path = write(tmp_path, november(*span(1, 6), *span(9, 27)))
    assert known(path, CLOSED) == [*span(1, 6), *span(9, 27)]
    (note,) = notes(path, CLOSED)
    assert "no usage on 2026-11-07, 2026-11-08, 2026-11-28 to 2026-11-30; these days" in note


def test_missing_days_zero_says_that_the_holes_of_a_closed_bill_cost_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, november(*span(1, 6), *span(9, 30)))
    assert known(path, CLOSED, missing_days="zero") == span(1, 30)
    assert notes(path, CLOSED, missing_days="zero") == []
    assert known(path, OPEN, missing_days="zero") == [*span(1, 6), *span(9, 20)]


@pytest.mark.parametrize(
    "days",
    [[], [3], [1, 15], [2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 23, 24, 25, 26, 27, 30], span(1, 6)],
)
def test_a_bill_without_usage_every_day_is_complete_once_it_is_closed(tmp_path: Path, days: list[int]) -> None:
    path = write(tmp_path, [on("2026-11-02", ChargeCategory="Purchase"), *november(*days)])
    assert known(path, utc(2026, 12, 5, 23)) == days
    assert known(path, CLOSED) == span(1, 30)
    assert notes(path, CLOSED) == []


def test_the_month_before_says_too_that_a_bill_has_usage_every_day(tmp_path: Path) -> None:
    october = [on(date(2026, 10, day), **OCTOBER) for day in span(20, 26)]
    path = write(tmp_path, [*october, *november(2, 20)])
    assert known(path, CLOSED) == [2, 20]


def test_seven_days_in_a_row_may_lie_on_both_sides_of_a_months_end(tmp_path: Path) -> None:
    october = [on(date(2026, 10, day), **OCTOBER) for day in span(28, 31)]
    path = write(tmp_path, [*october, *november(1, 2, 3)])
    assert known(path, CLOSED) == [1, 2, 3]


def test_a_row_a_month_makes_its_days_known_where_there_is_no_usage_of_a_day(tmp_path: Path) -> None:
    assert known(write(tmp_path, [on("2026-11-01", 30)]), OPEN) == span(1, 20)
    assert known(write(tmp_path, [on("2026-11-03", 4)]), OPEN) == [3, 4, 5, 6]


def test_usage_of_a_month_says_nothing_of_days_beside_usage_of_a_day(tmp_path: Path) -> None:
    path = write(tmp_path, [on("2026-11-01", 30, ServiceName="Amazon Route 53"), *november(*span(1, 10))])
    assert known(path, OPEN) == span(1, 10)


def test_a_bill_of_nothing_but_a_fee_counts_and_makes_no_day_known(tmp_path: Path) -> None:
    path = write(tmp_path, [on("2026-11-03", EffectiveCost="99", ChargeCategory="Purchase")])
    batch = bills(path, asked(OPEN, FIRST))["2026-11"]
    ledger = Ledger(None)
    try:
        ledger.put("bill", "s", batch, OPEN, {"USD": Decimal(1)})
        stored = ledger.stored("bill", "s")
        assert ledger.known("bill").days == 0
        assert (stored.totals("2026-11"), stored.keys()) == ({"USD": Decimal(99)}, {"2026-11"})
        assert stored.asked_empty("2026-11") is None
        assert items(path, asked(OPEN, FIRST, stored)) == []  # type: ignore[arg-type]
    finally:
        ledger.close()


def test_late_usage_of_other_months_makes_no_day_known(tmp_path: Path) -> None:
    path = write(tmp_path, [on("2026-08-07"), *november(2, 3)])
    assert known(path, OPEN) == [2, 3]


# ------------------------------------------------------------------------------------------ kinds of charges


@pytest.mark.parametrize(
    ("category", "of_class", "kind"),
    [
        ("Usage", "", "usage"),
        ("PURCHASE", "", "purchase"),
        ("Tax", "NULL", "tax"),
        (" Credit ", "", "credit"),
        ("Adjustment", "", "adjustment"),
        ("Credit", "Correction", "correction"),
        ("Usage", "correction", "correction"),
        ("", "", "usage"),
        ("NULL", "NULL", "usage"),
        ("Fee", "", "adjustment"),
    ],
)
def test_each_cost_keeps_what_kind_of_charge_it_is(tmp_path: Path, category: str, of_class: str, kind: str) -> None:
    charges = [on("2026-11-02", ChargeCategory=category, ChargeClass=of_class)]
    assert one_cost(write(tmp_path, charges), asked(OPEN, FIRST)).charge == kind
    assert one_cost(write_csv(tmp_path / "plain" / "bill.csv", charges), asked(OPEN, FIRST)).charge == "usage"


def test_charges_of_two_kinds_are_two_rows(tmp_path: Path) -> None:
    path = write(tmp_path, [on("2026-11-02"), on("2026-11-02", ChargeCategory="Tax"), on("2026-11-02")])
    assert sorted((cost.charge, cost.amount) for cost in costs(path, asked(OPEN, FIRST))) == [
        ("tax", Decimal(10)),
        ("usage", Decimal(20)),
    ]


def test_a_category_that_focus_does_not_know_is_told_with_its_dollars(tmp_path: Path) -> None:
    (note,) = notes(write(tmp_path, [on("2026-11-02"), on("2026-11-02", ChargeCategory="Fee")]), OPEN)
    assert note.startswith("2026-11: 1 charge (10.00 USD) have a ChargeCategory that FOCUS does not know ('Fee')")


# ------------------------------------------------------------------------------------------ the window of the invoice


@pytest.mark.parametrize(
    ("charges", "told"),
    [
        ([on(f"2026-{month:02}-03", 28, EffectiveCost="500") for month in span(5, 10)],
         "6 charges (3,000.00 USD) of 2026-05-03 to 2026-10-30"),
        ([on("2026-10-15", EffectiveCost="-30", ChargeClass="Correction")],
         "1 charge (-30.00 USD) of 2026-10-15 to 2026-10-15"),
        ([on("2026-01-15", EffectiveCost="-7", ChargeCategory="Credit"), on("2026-10-31", EffectiveCost="-30")],
         "2 charges (-37.00 USD) of 2026-01-15 to 2026-10-31"),
        ([on("2026-12-01", 365, EffectiveCost="1200", ChargeCategory="Purchase")],
         "1 charge (1,200.00 USD) of 2026-12-01 to 2027-11-30"),
    ],
)  # fmt: skip
def test_a_charge_outside_of_its_billing_period_counts_whole_on_its_first_day_and_is_told(
    tmp_path: Path, charges: list[dict[str, Any]], told: str
) -> None:
    path = write(tmp_path, charges)
    found = costs(path, asked(OPEN, FIRST))
    assert {cost.day for cost in found} == {date(2026, 11, 1)}
    assert sum(cost.amount for cost in found) == sum(Decimal(one["EffectiveCost"]) for one in charges)
    (note,) = notes(path, OPEN)
    assert note == f"2026-11: {told} lie outside of the billing period and count on its first day, 2026-11-01"


def test_a_charge_partly_outside_is_spread_whole_over_its_days_inside_and_not_told(tmp_path: Path) -> None:
    path = write(tmp_path, [on("2026-10-20", 15, EffectiveCost="30")])
    found = by_day(path, asked(OPEN, FIRST))
    assert [(cost.day.day, cost.amount) for cost in found] == [(day, Decimal(10)) for day in (1, 2, 3)]
    assert notes(path, OPEN) == []


def test_a_charge_without_an_end_counts_on_the_day_it_starts(tmp_path: Path) -> None:
    charges = [on("2026-11-02", ChargePeriodStart="2026-11-02T18:00:00Z", ChargePeriodEnd="")]
    path = write(tmp_path, charges)
    assert one_cost(path, asked(OPEN, FIRST)).day == date(2026, 11, 2)
    assert known(path, OPEN) == [2]


# ------------------------------------------------------------------------------------------ local days

ZONES = ["Pacific/Honolulu", "America/Los_Angeles", "America/St_Johns", "Europe/Berlin", "Asia/Kolkata",
         "Australia/Sydney", "Pacific/Auckland"]  # fmt: skip


def local(zone: str, start: date, days: int = 1, /, **given: Any) -> dict[str, Any]:
    """A charge of so many days of a time zone, in the bill of its month there."""
    midnight = datetime(start.year, start.month, start.day, tzinfo=ZoneInfo(zone))
    first = midnight.replace(day=1)
    times = {
        "BillingPeriodStart": stamp(first),
        "BillingPeriodEnd": stamp((first + timedelta(days=40)).replace(day=1)),
        "ChargePeriodStart": stamp(midnight),
        "ChargePeriodEnd": stamp(midnight + timedelta(days=days)),
    }
    return on(start, **times) | given


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_of_a_time_zone_is_one_day_on_its_own_date_also_when_clocks_change(tmp_path: Path, zone: str) -> None:
    days = [date(2026, 1, 1) + timedelta(days=at) for at in range(365)]
    path = write(tmp_path, [local(zone, day) for day in days])
    found = bills(path, asked(utc(2027, 2, 1), FIRST))
    assert sorted(found) == [f"2026-{month:02}" for month in span(1, 12)]
    for key, batch in found.items():
        own = [day for day in days if f"{day:%Y-%m}" == key]
        assert [(cost.day, cost.amount) for cost in sorted(rows(Cost, batch.cost), key=lambda cost: cost.day)] == [
            (day, Decimal(10)) for day in own
        ]
        assert batch.days == own
    assert notes(path, utc(2027, 2, 1)) == []


@pytest.mark.parametrize("zone", ZONES)
def test_a_month_of_a_time_zone_is_spread_over_its_own_dates(tmp_path: Path, zone: str) -> None:
    path = write(tmp_path, [local(zone, date(2026, 11, 1), 30, EffectiveCost="300")])
    assert [(cost.day, cost.amount) for cost in by_day(path)] == [
        (date(2026, 11, day), Decimal(10)) for day in span(1, 30)
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_hours_of_a_local_month_stay_in_its_bill_and_are_not_outside(tmp_path: Path, zone: str) -> None:
    bounds = local(zone, date(2026, 11, 1))
    first = datetime(2026, 11, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    last = datetime(2026, 12, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    hours = [first + timedelta(hours=at) for at in range(int((last - first) / timedelta(hours=1)))]
    path = write(
        tmp_path,
        [bounds | {"ChargePeriodStart": stamp(at), "ChargePeriodEnd": stamp(at + timedelta(hours=1))} for at in hours],
    )
    found = costs(path, asked(CLOSED, FIRST))
    assert sum(cost.amount for cost in found) == 10 * len(hours)
    assert [cost.day.day for cost in found] == known(path, CLOSED) == span(1, 30)
    assert notes(path, CLOSED) == []


def test_a_correction_of_the_day_before_a_local_month_is_told_beside_hours_of_the_same_utc_day(tmp_path: Path) -> None:
    bounds = local("Europe/Berlin", date(2026, 11, 1))
    hour = {"ChargePeriodStart": "2026-10-31T23:00:00Z", "ChargePeriodEnd": "2026-11-01T00:00:00Z"}
    before = {"ChargePeriodStart": "2026-10-30T23:00:00Z", "ChargePeriodEnd": "2026-10-31T23:00:00Z"}
    path = write(tmp_path, [bounds | hour, bounds | before | {"EffectiveCost": "-3"}])
    (note,) = notes(path, OPEN)
    assert "1 charge (-3.00 USD) of 2026-10-31 to 2026-10-31 lie outside" in note


# ------------------------------------------------------------------------------------------ closed months


def test_other_dollars_in_a_closed_month_are_told_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, [on("2026-10-01", 31, **OCTOBER, EffectiveCost="51000")])
    stored = MemoryStored(OPEN)
    source = focus(path)
    stored.take(source.batches(asked(OPEN, FIRST, stored)))
    write(tmp_path, [on("2026-10-01", 31, **OCTOBER, EffectiveCost="51030")])
    with caplog.at_level(logging.WARNING):
        again = list(source.batches(asked(OPEN, FIRST, stored)))
        stored.take(again)
    said = "2026-10 was restated: 51,000.00 → 51,030.00 USD"
    assert Note(said) in again
    assert [record.getMessage() for record in caplog.records] == [f"bill: {said}"]
    assert list(source.batches(asked(OPEN, FIRST, stored))) == [Note(said)]


@pytest.mark.parametrize(
    ("now", "given_"),
    [
        (utc(2026, 11, 3), {"EffectiveCost": "11"}),
        (OPEN, {"ServiceName": "other"}),
        (OPEN, {"EffectiveCost": "10.0000000000000001"}),
    ],
)
def test_an_open_month_and_equal_dollars_are_no_restatement(
    tmp_path: Path, now: datetime, given_: dict[str, str]
) -> None:
    path = write(tmp_path, [on("2026-10-05", **OCTOBER)])
    stored = MemoryStored(now)
    stored.take(focus(path).batches(asked(now, FIRST, stored)))
    write(tmp_path, [on("2026-10-05", **OCTOBER, **given_)])
    assert [one for one in focus(path).batches(asked(now, FIRST, stored)) if isinstance(one, Note)] == []


def test_a_restatement_is_told_by_currency_against_what_the_ledger_holds(tmp_path: Path) -> None:
    path = write(tmp_path, [on("2026-10-05", **OCTOBER), on("2026-10-05", **OCTOBER, BillingCurrency="EUR")])
    ledger = Ledger(None)
    try:
        for batch in bills(path, asked(OPEN, FIRST)).values():
            ledger.put("bill", "s", batch, OPEN, {"USD": Decimal(1), "EUR": Decimal("1.1")})
        write(tmp_path, [on("2026-10-05", **OCTOBER, EffectiveCost="10.001")])
        stored = ledger.stored("bill", "s")
        found = list(focus(path).batches(asked(OPEN, FIRST, stored)))  # type: ignore[arg-type]
    finally:
        ledger.close()
    assert [one.text for one in found if isinstance(one, Note)] == [
        "2026-10 was restated: 10.00 → 0.00 EUR, 10.00 → 10.001 USD"
    ]


# ------------------------------------------------------------------------------------------ every dollar of the invoice

HOURS = st.sampled_from([0, 0, 0, 5, 23])
OFFSETS = st.sampled_from([-10, -8, 0, 0, 0, 1, 9, 13])
KINDS = st.sampled_from([("Usage", ""), ("Usage", "Correction"), ("Credit", ""), ("Purchase", ""), ("Tax", "NULL")])


@st.composite
def invoices(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Charges of three months: refunds, late, prepaid, hourly, daily and long ones, of one time zone."""
    offset = timedelta(hours=draw(OFFSETS))
    charges = []
    for _ in range(draw(st.integers(1, 30))):
        month = draw(st.integers(8, 10))
        first, last = (datetime(2026, one, 1, tzinfo=UTC) - offset for one in (month, month + 1))
        start = first + timedelta(hours=draw(st.integers(-24, 31) | st.integers(-100, 100)) * 24 + draw(HOURS))
        length = timedelta(hours=draw(st.sampled_from([0, 1, 1, 23, 24, 24, 25, 26, 48, 720, 8760])))
        category, of_class = draw(KINDS)
        charges.append(
            charge(
                BillingPeriodStart=stamp(first),
                BillingPeriodEnd=stamp(last),
                ChargePeriodStart=stamp(start),
                ChargePeriodEnd=stamp(start + length) if draw(st.booleans()) or length else "NULL",
                ChargeCategory=category,
                ChargeClass=of_class,
                EffectiveCost=f"{draw(st.decimals(-8000, 8000, places=12)):f}",
                ServiceName=draw(st.sampled_from(["EC2", "S3"])),
            )
        )
    return charges


@given(invoices())
@settings(deadline=None, max_examples=12)
def test_each_billing_period_sums_to_its_invoice_on_days_of_its_own(charges: list[dict[str, Any]]) -> None:
    expected: dict[str, Decimal] = {}
    for one in charges:
        key = f"{datetime.fromisoformat(one['BillingPeriodStart']) + timedelta(hours=13):%Y-%m}"
        expected[key] = expected.get(key, Decimal(0)) + Decimal(one["EffectiveCost"])
    with TemporaryDirectory() as name:
        for path in (write(Path(name), charges), write_parquet(Path(name) / "x.parquet", charges, **EXACT_COSTS)):
            found = bills(path, asked(OPEN, FIRST))
            read = {key: rows(Cost, one.cost) for key, one in found.items()}
            assert {key: sum(cost.amount for cost in of_period) for key, of_period in read.items()} == expected
            for key, batch in found.items():
                days = [day for cost in read[key] for day in (cost.day, cost.last_day) if day]
                assert {f"{day:%Y-%m}" for day in [*batch.days, *days]} == {key}
