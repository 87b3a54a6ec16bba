"""Which days a bill makes known: those whose usage was delivered, never the span from its first to its last charge."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from unitcost.facts import Note, Stored
from unitcost.sources.bills.focus.days import CATEGORIES, Charges
from unitcost.sources.bills.focus.query import Bill

log = logging.getLogger(__name__)

SETTLED = timedelta(days=5)
"""After its end a bill is said to be complete: providers close a month within five days."""
EVERY_DAY = 7
"""Days in a row with usage that make a bill one with usage every day: more than the working days of a week."""
RESTATED = Decimal("0.000001")
"""Less than that is what is left of costs with more decimals than the ledger's 12."""


def is_settled(bill: Bill, now: datetime) -> bool:
    """Tell whether the billing period is closed."""
    return now >= datetime.combine(bill.last + timedelta(days=1), time(), UTC) + SETTLED


def known_days(bill: Bill, before: Bill | None, now: datetime, *, zero: bool) -> tuple[list[date], list[date]]:
    """Return the days that a billing period makes known, and its holes, which it should and does not; both sorted.

    before: the billing period before it in the export. zero: days without usage cost nothing once it is settled.
    """
    daily = _daily(bill)
    delivered = {day for day in daily or _covered(bill) if day <= now.date()}
    every_day = _in_a_row(daily | (_daily(before) if before else set())) >= EVERY_DAY
    period = [bill.first + timedelta(days=at) for at in range((bill.last - bill.first).days + 1)]
    settled = is_settled(bill, now)
    if settled and (zero or not every_day):
        return period, []
    due = period if settled else [day for day in period if delivered and min(delivered) < day < max(delivered)]
    return sorted(delivered), [day for day in due if every_day and day not in delivered]


def has_every_day(bill: Bill) -> bool:
    """Tell whether a billing period shows by itself that it has usage every day."""
    return _in_a_row(_daily(bill)) >= EVERY_DAY


def _daily(bill: Bill) -> set[date]:
    """Return the days that have a usage charge of their own."""
    return {bill.inside(one.first) for one in _usage(bill) if one.last is None}


def _covered(bill: Bill) -> set[date]:
    """Return the days that usage charges of several days cover."""
    covered: set[date] = set()
    for first, last in {(bill.inside(one.first), bill.inside(one.last)) for one in _usage(bill) if one.last}:
        covered |= {first + timedelta(days=at) for at in range((last - first).days + 1)}
    return covered


def _usage(bill: Bill) -> Iterator[Charges]:
    return (one for one in bill.charges if one.charge == "usage" and not bill.is_outside(one))


def _in_a_row(days: Collection[date]) -> int:
    """Return the length of the longest run of days."""
    longest = run = 0
    for day in sorted(days):
        run = run + 1 if day - timedelta(days=1) in days else 1
        longest = max(longest, run)
    return longest


def told(bill: Bill) -> Iterator[str]:
    """Yield what a person should know about charges that are not what they seem."""
    outside = [one for one in bill.charges if bill.is_outside(one)]
    if outside:
        first, last = min(one.first for one in outside), max(one.last or one.first for one in outside)
        yield (
            f"{bill.key}: {_count(outside)} ({_dollars(_sums(outside))}) of {first} to {last} lie outside of the"
            f" billing period and count on its first day, {bill.first}"
        )
    strange = [
        one for one in bill.charges if one.charge == "adjustment" and (one.kind or "").strip().lower() not in CATEGORIES
    ]
    if strange:
        named = ", ".join(sorted({repr(one.kind) for one in strange})[:5])
        yield (
            f"{bill.key}: {_count(strange)} ({_dollars(_sums(strange))}) have a ChargeCategory that FOCUS does not know"
            f" ({named}); they count as adjustments, and make no day known"
        )


def tell_holes(key: str, holes: list[date], *, settled: bool) -> str:
    """Say which days of a bill with usage every day have none."""
    text = f"{key}: no usage on {', '.join(_runs(holes))}; these days are not known"
    hint = "set missing_days: zero if they really cost nothing"
    return f"{text}; {hint}" if settled else f"{text} yet; once the bill is settled, {hint}"


def restatement(bill: Bill, stored: dict[str, Decimal]) -> str | None:
    """Say how the sum of a billing period differs from what is stored of it, or None where it does not."""
    now = _sums(bill.charges)
    changed = [
        f"{_shown(stored.get(currency, Decimal(0)))} → {_shown(now.get(currency, Decimal(0)))} {currency}"
        for currency in sorted({*stored, *now})
        if abs(stored.get(currency, Decimal(0)) - now.get(currency, Decimal(0))) >= RESTATED
    ]
    return f"{bill.key} was restated: {', '.join(changed)}" if changed else None


class Restatements:
    """The closed billing periods of a source that got other dollars, since the start. name: the source's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: dict[str, str] = {}

    def compare(self, bill: Bill, stored: Stored, *, settled: bool) -> None:
        """Look whether a closed month that is stored is about to get other dollars; say so in the log at once."""
        if not settled or stored.fingerprint(bill.key) is None:
            return
        if text := restatement(bill, stored.totals(bill.key)):
            log.warning("%s: %s", self._name, text)
            self._told[bill.key] = text

    def notes(self, bill: Bill, holes: list[date], *, settled: bool) -> Iterator[Note]:
        """Yield what a person should know of a billing period: that it was restated, its holes, its odd charges."""
        if bill.key in self._told:
            yield Note(self._told[bill.key])
        if holes:
            yield Note(tell_holes(bill.key, holes, settled=settled))
        yield from map(Note, told(bill))


def _runs(days: list[date]) -> Iterator[str]:
    """Yield days, three and more in a row as one."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    for run in runs:
        if len(run) > 2:  # noqa: PLR2004 - as the docstring says
            yield f"{run[0]} to {run[-1]}"
        else:
            yield from map(str, run)


def _sums(charges: Iterable[Charges]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for one in charges:
        if one.currency is not None:
            sums[one.currency] += one.amount
    return sums


def _count(charges: list[Charges]) -> str:
    count = sum(one.count for one in charges)
    return f"{count:,} charge{'s' if count > 1 else ''}"


def _dollars(sums: dict[str, Decimal]) -> str:
    return ", ".join(f"{_shown(amount)} {currency}" for currency, amount in sorted(sums.items())) or "0"


def _shown(amount: Decimal) -> str:
    """Return an amount with cents, or with all its digits where cents do not hold it."""
    cents = round(amount, 2)
    return f"{cents:,.2f}" if abs(amount - cents) < RESTATED else f"{amount.normalize():,f}"
