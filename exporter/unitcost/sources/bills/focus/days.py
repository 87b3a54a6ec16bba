"""On which UTC days a charge of a FOCUS file counts, and what kind of charge it is, as SQL.

A day may be one of a local time zone: it counts on the UTC day of its own date, which is the UTC day 13 hours after
it starts (from UTC-10 to UTC+13 local midnight is between 13:00 UTC of the day before and 10:00 UTC). So do billing
periods, and the ends of charges of several days. Between midnights of UTC nothing is moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from unitcost.facts import CHARGES, UNUSED
from unitcost.sources.bills.focus.scan import clean

CATEGORIES = tuple(name for name in CHARGES if name not in {UNUSED, "correction"})
"""FOCUS ChargeCategory in lower case."""


SINCE, UNTIL = timedelta(hours=13), timedelta(hours=11)
"""A day's date is that of its start and 13 hours, and of its end less 11 hours."""


@dataclass(frozen=True, slots=True)
class Charges:
    """Charges of one file and billing period that share a day and a kind.

    first: the UTC day it starts on; last: the last day of charges of more than 25 hours, else None; both may lie
    outside of the billing period. kind: ChargeCategory as it stands there. within: they start in the billing period
    of their row. start, end: the earliest start and the latest end (where unsaid: start). amount: their sum.
    """

    first: date
    last: date | None
    kind: str | None
    charge: str
    currency: str | None
    within: bool
    start: datetime
    end: datetime
    count: int
    amount: Decimal


def period_month(billing_start: str) -> str:
    """Return SQL for the first of the month that a billing period is named after."""
    return f"date_trunc('month', {billing_start} + INTERVAL 13 HOUR)::DATE"


def first_day(start: str, end: str) -> str:
    """Return SQL for the day of a charge, or the first of its days if it is long: a DATE.

    The local day it is one of, or the UTC day that its middle lies in (a tie is the earlier one); where it has no
    end, the day it starts.
    """
    middle = f"make_timestamp((epoch_us({start}) + epoch_us({end}) - 1) // 2)"
    return (
        f"CAST(CASE WHEN {end} >= {start} + INTERVAL 20 HOUR THEN {start} + INTERVAL 13 HOUR"
        f" WHEN {end} > {start} THEN {middle} ELSE {start} END AS DATE)"
    )


def counted_day(start: str, ended: str) -> str:
    """Return SQL for the day of charges as the first stage sums them: a DATE."""
    return f"CASE WHEN {ended} IS NULL THEN CAST({start} AS DATE) ELSE {first_day(start, ended)} END"


def last_day(end: str) -> str:
    """Return SQL for the last day before an end at midnight, in UTC or local time: a DATE."""
    return f"CAST({end} - INTERVAL 11 HOUR AS DATE)"


def is_long(start: str, end: str) -> str:
    """Return SQL that tells whether a charge is of several days; a day with a clock change has 25 hours."""
    return f"{end} > {start} + INTERVAL 25 HOUR"


def charge(kind: str, of_class: str) -> str:
    """Return SQL for one of CHARGES, of ChargeCategory and ChargeClass.

    What says nothing is usage. An unknown category is an adjustment: it counts, and makes no day known.
    """
    known = ", ".join(f"'{name}'" for name in CATEGORIES)
    name = f"lower(trim({kind}))"
    return (
        f"CASE WHEN lower(trim({of_class})) = 'correction' THEN 'correction' WHEN {clean(kind)} IS NULL THEN 'usage'"
        f" WHEN {name} IN ({known}) THEN {name} ELSE 'adjustment' END"
    )
