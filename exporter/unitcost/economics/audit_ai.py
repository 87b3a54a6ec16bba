"""Counters, gateway and provider side by side, by account, model and UTC day, with each difference's causes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Literal

from unitcost.economics.audit_causes import (
    CACHED_AS_INPUT,
    CAUSES,
    DIGITS,
    NOT_METERED,
    TWO_NAMES,
    UNMAPPED,
    ZERO,
    BillRow,
    Cause,
    Explained,
    Seen,
)
from unitcost.economics.audit_explain import explain
from unitcost.ledger.files import statements
from unitcost.ledger.store import Ledger
from unitcost.ledger.temporary import temporary_table

Role = Literal["counted", "compared", "bill"]
"""counted; compared with these and never counted; a provider's bill and report."""
BatchShare = Callable[[str, str, date], Decimal]
"""Scope, model and UTC day → the part of a price that is paid for what was asked in a batch."""

Models = defaultdict[str, defaultdict[str, Decimal]]


@dataclass(frozen=True)
class Terms:
    """What the configuration says. sources: each with its role. token_units: what of AI is counted in tokens."""

    sources: Sequence[tuple[str, Role]]
    token_units: Sequence[str]
    batch_share: BatchShare


@dataclass(frozen=True)
class Row:
    """A model of an account on a UTC day. tokens: counter → how many it saw, counted or only compared."""

    day: date
    tokens: Mapping[str, Decimal]
    found: Explained


@dataclass(frozen=True)
class Account:
    """A provider's account: its rows, by day and model, and the sums of their causes, in the order of CAUSES.

    Money of days that no bill is known of, and tokens of days without a report, are in no sum of differences:
    `unbilled` and `unreported` say how many days with use that is. booked: what was counted on days with a bill, by the
    book; counted: tokens of days with a report. billed, reported: None where no day is known.
    """

    scope: str
    rows: Sequence[Row]
    causes: Sequence[Cause]
    counted: Decimal
    reported: Decimal | None
    booked: Decimal
    billed: Decimal | None
    tokens: Mapping[str, Decimal]
    unreported: int
    unbilled: int


@dataclass(frozen=True)
class Unmapped:
    """Tokens that a source counted under a label which names no model or kind."""

    source: str
    label: str
    tokens: Decimal


@dataclass(frozen=True)
class Audit:
    """Accounts by name, the sums of all their causes, and what was counted of no known account."""

    accounts: Sequence[Account]
    causes: Sequence[Cause]
    unmapped: Sequence[Unmapped]


def audit(ledger: Ledger, days: Sequence[date], terms: Terms) -> Audit:
    """Return what the sources say of these UTC days. The ledger must have been derived; see run.publish.sum_up."""
    with ledger.transaction() as connection:
        temporary_table(connection, "audit_day", {"day": "DATE"}, [(day,) for day in days])
        temporary_table(connection, "audit_source", {"source": "VARCHAR", "role": "VARCHAR"}, [*terms.sources])
        connection.execute(statements("audit_ai", "economics"))
    with localcontext(prec=DIGITS):
        unmapped = ledger.rows("SELECT day, source, role, label, quantity FROM audit_unmapped ORDER BY ALL")
        loose: dict[date, Decimal] = defaultdict(Decimal)
        labels: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for day, source, role, label, quantity in unmapped:
            loose[day] += quantity if role == "counted" else ZERO
            labels[source, label] += quantity
        rows: dict[str, list[Row]] = defaultdict(list)
        for scope, found in _days(ledger, terms):
            rows[scope] += found
        nowhere = [row for day, tokens in loose.items() for row in _place(rows, day, tokens)]
        accounts = [_account(scope, rows[scope]) for scope in sorted(rows)]
        every = summed_causes([row for one in accounts for row in one.rows] + nowhere)
        return Audit(accounts, every, [Unmapped(*of, tokens) for of, tokens in sorted(labels.items())])


def _days(ledger: Ledger, terms: Terms) -> Iterator[tuple[str, list[Row]]]:
    """Yield each account's rows of each day on which anything was used or billed, oldest first."""
    told = {(scope, day, says) for scope, day, says in ledger.rows("SELECT scope, day, says FROM audit_told")}
    [(factor, divisor)] = ledger.rows("SELECT factor, divisor FROM rate WHERE currency = 'USD'") or [(1, 1)]
    found: dict[tuple[date, str], _Day] = {}
    for scope, day, *said in ledger.rows(
        "SELECT scope, day, role, source, model, unit, batch, price.factor, price.divisor, quantity FROM audit_used"
        " ORDER BY ALL"
    ):
        found.setdefault((day, scope), _Day()).use(*said, dollar=Fraction(int(factor), int(divisor)))
    for scope, day, *row in ledger.rows(
        "SELECT scope, day, model, unit, charge, rows, amount FROM audit_billed ORDER BY ALL"
    ):
        found.setdefault((day, scope), _Day()).bill.append(BillRow(*row))
    for (day, scope), one in sorted(found.items(), key=lambda item: item[0]):
        billed, reports = ((scope, day, says) in told for says in ("cost", "usage"))
        yield scope, list(one.rows(scope, day, terms, billed=billed, reports=reports))


class _Day:
    """What is said of an account on a day."""

    def __init__(self) -> None:
        self.bill: list[BillRow] = []
        self._by_role: dict[str, Models] = defaultdict(_models)
        self._by_source: dict[str, Models] = defaultdict(_models)
        self._prices: dict[tuple[str, str], Fraction | None] = {}

    def use(
        self,
        role: Role,
        source: str,
        model: str,
        unit: str,
        batch: bool,
        factor: int | None,
        divisor: int | None,
        quantity: Decimal,
        *,
        dollar: Fraction,
    ) -> None:
        """Add a row of what was used. dollar: what one is in the configured currency."""
        self._by_role[role][model][unit] += quantity
        if batch:
            self._by_role[BATCH][model][unit] += quantity
        if role != "bill":
            self._by_source[source][model][unit] += quantity
        if self._prices.get((model, unit)) is None or role == "counted":  # as the ledger values what was counted
            price = None if factor is None or divisor is None else Fraction(int(factor), int(divisor)) * dollar
            self._prices[model, unit] = price

    def rows(self, scope: str, day: date, terms: Terms, *, billed: bool, reports: bool) -> Iterator[Row]:
        """Yield the rows of the day by model, those too that only a compared source knows."""
        tokens = frozenset(terms.token_units)
        seen = Seen(
            provider=scope.partition("/")[0],
            counted=self._by_role["counted"],
            reported=self._by_role["bill"] if reports else None,
            bill=self.bill if billed else None,
            prices=self._prices,
            token_units=tokens,
            batch=self._by_role[BATCH],
            share=lambda model: terms.batch_share(scope, model, day),
        )
        found = {one.model: one for one in explain(seen)}
        nothing = Explained("", ZERO, ZERO if reports else None, ZERO, ZERO if billed else None, [])
        compared = {model for models in self._by_source.values() for model in models}
        for model in sorted(found.keys() | compared):
            counts = {
                source: sum((count for unit, count in models.get(model, {}).items() if unit in tokens), ZERO)
                for source, models in sorted(self._by_source.items())
            }
            yield Row(day, counts, found.get(model) or replace(nothing, model=model))


BATCH = "batch"


def _models() -> Models:
    return defaultdict(lambda: defaultdict(Decimal))


def _place(accounts: Mapping[str, list[Row]], day: date, loose: Decimal) -> list[Row]:
    """Let tokens without a model explain what was not metered that day: a row of the account that lacks any.

    Where several accounts lack tokens the row is of none of them, and returned: it is told of all together.
    """
    lacking = {
        scope: missed
        for scope, rows in accounts.items()
        if (missed := sum((_missed(row) for row in rows if row.day == day), ZERO))
    }
    told = min(loose, sum(lacking.values(), ZERO))
    if not told:
        return []
    causes = [Cause(NOT_METERED, -told, None), Cause(UNMAPPED, told, None)]
    row = Row(day, {}, Explained("", ZERO, ZERO, ZERO, None, causes))
    if len(lacking) > 1:
        return [row]
    [scope] = lacking
    accounts[scope].append(row)
    return []


def _missed(row: Row) -> Decimal:
    return sum((cause.tokens or ZERO for cause in row.found.causes if cause.kind == NOT_METERED), ZERO)


def _account(scope: str, rows: Sequence[Row]) -> Account:
    causes = summed_causes(rows)
    reported = [row.found.reported for row in rows if row.found.reported is not None]
    billed = [row.found.billed for row in rows if row.found.billed is not None]
    tokens: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        for source, count in row.tokens.items():
            tokens[source] += count
    return Account(
        scope,
        sorted(rows, key=lambda row: (row.day, row.found.model)),
        causes,
        sum((row.found.counted for row in rows if row.found.reported is not None), ZERO),
        sum(reported, ZERO) if reported else None,
        sum((row.found.booked for row in rows if row.found.billed is not None), ZERO),
        sum(billed, ZERO) if billed else None,
        tokens,
        len({row.day for row in rows if row.found.reported is None}),
        len({row.day for row in rows} - {row.day for row in rows if row.found.billed is not None}),
    )


def summed_causes(rows: Iterable[Row]) -> list[Cause]:
    """Return the causes of rows with their sums, in the order of CAUSES. What comes to nothing is left out."""
    with localcontext(prec=DIGITS):
        found: dict[str, list[Cause]] = {}
        for row in rows:
            for cause in row.found.causes:
                found.setdefault(cause.kind, []).append(cause)
        sums = [
            Cause(kind, _known([one.tokens for one in causes]), _known([one.dollars for one in causes]), _about(causes))
            for kind, causes in sorted(found.items(), key=lambda item: CAUSES.index(item[0]))
        ]
    return [cause for cause in sums if cause.tokens or cause.dollars or cause.kind in NET_NOTHING]


NET_NOTHING = (CACHED_AS_INPUT, TWO_NAMES)
"""Causes that say something though their sums are 0."""


def _known(parts: Sequence[Decimal | None]) -> Decimal | None:
    known = [part for part in parts if part is not None]
    return sum(known, ZERO) if known else None


def _about(causes: Sequence[Cause]) -> str:
    """Return what the causes of a kind are about, if that is but one thing."""
    said = {cause.about for cause in causes}
    return said.pop() if len(said) == 1 else ""
