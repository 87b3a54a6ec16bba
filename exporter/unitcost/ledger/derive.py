"""From what the sources said to what each tenant cost, a day at a time: attribute, reconcile, share, settle."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

import duckdb

from unitcost.days import days_in_month
from unitcost.errors import LedgerError
from unitcost.facts import COMPONENTS, MATCH_FIELDS, RATE_PLACES
from unitcost.ledger.bounds import Doubt, uncountable
from unitcost.ledger.changes import keep_standing, remember_changes, remember_restated, remember_settled
from unitcost.ledger.doubts import blame, remember
from unitcost.ledger.order import LOOKUPS, STEPS, ordered
from unitcost.ledger.prices import Pricing, remember_prices
from unitcost.ledger.store import Ledger
from unitcost.ledger.temporary import temporary_table

log = logging.getLogger(__name__)

DAY_TABLES = (
    "line",
    "tenant_day",
    "unallocated_day",
    "counted_day",
    "commitment_day",
    "dimension_day",
    "usage_day",
    "revenue_day",
    "reconciled_day",
    "ai_day",
)


VERSION = 7
"""Raised when the .sql steps make something else of the same facts, so that every day is derived again."""

LINES_AT_ONCE = 500_000
"""Days do not depend on each other; a long history is derived in slices of about so many cost rows, to save memory."""


@dataclass(frozen=True)
class Model:
    """What the configuration says about counting, as rows for the tables that the .sql files read.

    sources: (source, what it brings, whether that is required), a row for everything that it brings.
    """

    sources: list[tuple[str, str, bool]]
    billed_by: list[tuple[str, str]]
    rates: list[tuple[str, Decimal]]
    aliases: list[tuple[str, str]]
    rules: list[tuple[int, dict[str, str], str, str | None]]
    fixed: list[tuple[int, str, Decimal]]
    dimensions: list[str]
    settings: list[tuple[str, str]] = field(default_factory=list)
    """(source, digest of its present settings); of a source that is not named all days count as told under these."""
    restate_days: int = 3
    """So many days before today can still change; what changes an earlier one restates it."""
    components: list[tuple[str, str, str]] = field(default_factory=list)
    """(source, FOCUS ServiceName or ServiceCategory, component) of bills; what is none of them is `other`."""
    scopes: list[tuple[str, int, str | None, str | None, str]] = field(default_factory=list)
    """(source, number, FOCUS ServiceName, ServiceCategory, scope) of bills: of the first that a cost matches it is."""
    folding: bool = False
    """Whether names fold (tenants.fold: case); the aliases are folded then, as names.Names.keys() has them."""
    unproven: list[tuple[str, str]] = field(default_factory=list)
    """Those of billed_by of which only the bill itself tells whether it holds machines of the meter's clusters."""
    pricing: Pricing | None = None
    """The price book; another price derives those days again that it is of, and no others."""

    def digest(self) -> str:
        """Return a digest; another one means that every day must be derived again."""
        return _digest(*(item for item in vars(self).items() if item[0] not in {"settings", "restate_days", "pricing"}))

    def counted_digest(self) -> str:
        """Return a digest of what decides what a day comes to, whoever bears it."""
        return _digest(self.sources, self.billed_by, self.unproven, self.rates)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([VERSION, *parts], default=str).encode()).hexdigest()


class UnconservedError(LedgerError):
    """Days that lost or invented money: a defect of ours, never the user's."""


FAILURES = (duckdb.DataError, duckdb.IntegrityError, duckdb.InternalError, duckdb.ProgrammingError, UnconservedError)
"""How a derivation fails for what the ledger holds; not for a disk that is full, nor as it is interrupted."""


def derive(ledger: Ledger, model: Model, now: datetime, history: timedelta) -> list[date]:
    """Derive every day of the history that changed since it was last derived; return these days, sorted.

    So are days to come of this month of which a bill speaks already: the forecast counts them.

    For every day: Σ counted_day = Σ line, by source, = Σ tenant_day + Σ unallocated_day, exactly. Days of a source that
    cannot be counted (values too large, a currency without a rate) or derived are left out and written to `doubt`; to
    `told_day` they are days that the source does not know. Raises LedgerError when the ledger cannot be written, or
    nothing can be derived; then all derived days stay as they were.
    """
    try:
        with ledger.transaction() as connection:
            return _derive(connection, model, now, history)
    except FAILURES as error:
        why = " ".join(str(error).split())[:WHY]
        log.exception("deriving failed; looking for the source that spoils it")

    def works(days: Sequence[date], without: Sequence[str]) -> bool:
        """Tell whether some days can be derived without some sources."""
        doubts = [Doubt(name, day, "", "trial", "") for name in without for day in days]
        try:
            with _undone(ledger) as connection:
                _derive(connection, model, now, history, doubts, set(days))
        except FAILURES:
            return False
        return True

    with _undone(ledger) as connection:
        days = _prepare(connection, model, now, history, ())
    doubts = blame(days, [name for name, _, _ in model.sources], works, why)
    try:
        with ledger.transaction() as connection:
            return _derive(connection, model, now, history, doubts)
    except FAILURES as error:
        raise LedgerError(f"nothing can be derived: {why}; {REPORT}") from error


WHY = 200
"""How many characters of what DuckDB says are told."""

REPORT = "this is a defect of unitcost, please report it"


class _UndoError(Exception):
    """Rolls a trial back."""


@contextmanager
def _undone(ledger: Ledger) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a transaction that is rolled back at its end."""
    with suppress(_UndoError), ledger.transaction() as connection:
        yield connection
        raise _UndoError


def _derive(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    now: datetime,
    history: timedelta,
    doubts: Sequence[Doubt] = (),
    only: Collection[date] | None = None,
) -> list[date]:
    """Derive within a transaction. doubts: days of sources to leave out. only: of the changed days, derive these."""
    days = [day for day in _prepare(connection, model, now, history, doubts) if only is None or day in only]
    remember_settled(connection, now.date())
    keep_standing(connection, now.date() - timedelta(model.restate_days), now)
    remember_changes(connection, days, now)
    # Also of days that no source speaks of any more, which are not derived again.
    for table in DAY_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE day NOT IN (SELECT day FROM derived_day)")
    counted = connection.execute("SELECT count(*) FROM cost WHERE day IN (SELECT unnest(?::DATE[]))", [days]).fetchone()
    slices = 1 + (counted[0] if counted is not None else 0) // LINES_AT_ONCE
    at_once = -(-len(days) // slices)
    for start in range(0, len(days), at_once or 1):
        _derive_days(connection, days[start : start + at_once])
    remember_settled(connection, now.date())
    remember_restated(connection)
    # What failed is tried anew every time: the next version may know how.
    connection.execute("DELETE FROM derived_day WHERE day IN (SELECT day FROM doubt WHERE reason = 'defect')")
    return days


def _prepare(
    connection: duckdb.DuckDBPyConnection, model: Model, now: datetime, history: timedelta, doubts: Sequence[Doubt]
) -> list[date]:
    """Load the model, write down what cannot be counted besides the given doubts; return the days to derive, sorted."""
    _load_model(connection, model)
    _forget_other_models(connection, model)
    remember_prices(connection, model.pricing)
    days = _changed_days(connection, now, history)
    connection.execute("DELETE FROM doubt WHERE day NOT IN (SELECT day FROM derived_day)")
    if days:
        configured = "source IN (SELECT source FROM source)"
        remember(connection, [*uncountable(connection, dict(model.rates), configured, [], days), *doubts])
    for table in ("scoped_day", "machine_day"):
        connection.execute(f"DELETE FROM {table} WHERE day NOT IN (SELECT day FROM derived_day)")
    _look_at(connection, days)
    _run(connection, LOOKUPS)
    if not _forget_moved_days(connection):
        return days
    days = _changed_days(connection, now, history)
    _look_at(connection, days)
    _run(connection, LOOKUPS)
    return days


def _changed_days(connection: duckdb.DuckDBPyConnection, now: datetime, history: timedelta) -> list[date]:
    today = now.date()
    found = connection.execute(
        """
        SELECT DISTINCT day FROM (
            SELECT k.day FROM known_day k JOIN source USING (source)
            UNION ALL SELECT c.day FROM cost c JOIN source USING (source)
        ) ANTI JOIN derived_day USING (day) WHERE day BETWEEN ? AND ? ORDER BY day
        """,
        [today - history, today.replace(day=days_in_month(today))],
    ).fetchall()
    return [day for (day,) in found]


def _derive_days(connection: duckdb.DuckDBPyConnection, days: list[date]) -> None:
    _look_at(connection, days)
    _run(connection, STEPS)
    connection.execute("INSERT INTO derived_day SELECT day FROM dirty")
    _check_conservation(connection)


def _run(connection: duckdb.DuckDBPyConnection, folder: str) -> None:
    for sql in ordered(folder):
        connection.execute(sql)


def _look_at(connection: duckdb.DuckDBPyConnection, days: list[date]) -> None:
    """Let the steps be about these days."""
    connection.execute("CREATE OR REPLACE TEMP TABLE dirty AS SELECT unnest(?::DATE[]) AS day", [days])


def fraction(number: Decimal, places: int = 0) -> tuple[int, int]:
    """Return a number above zero as factor / divisor, exactly. places: so many decimals at the least."""
    _, digits, exponent = number.as_tuple()
    factor = int("".join(map(str, digits)))
    decimals = -int(exponent)
    while decimals > places and factor % 10 == 0 and factor:
        factor, decimals = factor // 10, decimals - 1
    return factor * 10 ** max(places - decimals, 0), 10 ** max(places, decimals)


def _load_model(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    table = partial(temporary_table, connection)
    table("source", {"source": "VARCHAR", "kind": "VARCHAR", "required": "BOOLEAN"}, [*model.sources])
    table("present", {"source": "VARCHAR", "settings": "VARCHAR"}, [*model.settings])
    table(
        "billed_by",
        {"source": "VARCHAR", "bill": "VARCHAR", "named": "BOOLEAN"},
        [(*pair, pair not in model.unproven) for pair in model.billed_by],
    )
    table(
        "rate",
        {"currency": "VARCHAR", "factor": "HUGEINT", "divisor": "HUGEINT", "plain": "BOOLEAN"},
        [(currency, *fraction(rate), rate == 1) for currency, rate in model.rates],
    )
    table("alias", {"alias": "VARCHAR", "tenant": "VARCHAR"}, [*model.aliases])
    connection.execute(
        f"CREATE OR REPLACE TEMP MACRO alias_key(spelt) AS {'folded' if model.folding else 'tidy'}(spelt)"
    )
    table(
        "fixed_share",
        {"rule": "INTEGER", "tenant": "VARCHAR", "weight": "HUGEINT"},
        [(rule, tenant, fraction(share, RATE_PLACES)[0]) for rule, tenant, share in model.fixed],
    )
    # A category may be a component already.
    names = {(source, name): name for source, _, _ in model.sources for name in COMPONENTS}
    names |= {(source, name): component for source, name, component in model.components}
    table(
        "component",
        {"source": "VARCHAR", "name": "VARCHAR", "component": "VARCHAR"},
        [(*of, component) for of, component in names.items()],
    )
    table(
        "scope_rule",
        {"source": "VARCHAR", "rule": "INTEGER", "service": "VARCHAR", "category": "VARCHAR", "scope": "VARCHAR"},
        [*model.scopes],
    )
    connection.execute(RULED_SCOPE)
    table("dimension", {"dimension": "VARCHAR"}, [(name,) for name in model.dimensions])
    table(
        "plain_rule",
        dict.fromkeys((*MATCH_FIELDS, "method", "measure", "dimensions"), "VARCHAR") | {"rule": "INTEGER"},
        [
            (
                *(match.get(field) for field in MATCH_FIELDS),
                method,
                measure,
                json.dumps({key: value for key, value in match.items() if key not in MATCH_FIELDS}),
                number,
            )
            for number, match, method, measure in model.rules
        ],
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE rule AS SELECT * REPLACE"
        " (CAST(CAST(dimensions AS JSON) AS MAP(VARCHAR, VARCHAR)) AS dimensions) FROM plain_rule"
    )


RULED_SCOPE = """
CREATE OR REPLACE TEMP MACRO ruled_scope(bill, of_service, of_category) AS (
    SELECT arg_min(r.scope, r.rule) FROM scope_rule r
    WHERE r.source = bill AND coalesce(r.service = of_service, true)
        AND (r.category IS NULL OR r.category IS NOT DISTINCT FROM of_category)
)
"""
"""The scope that the configuration says a bill's charge is of, by its service and category, or NULL."""


def _forget_other_models(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    known = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    found = {"model": model.digest(), "counted": model.counted_digest()}
    if known.get("model") != found["model"]:
        connection.execute("DELETE FROM derived_day")
    if known.get("counted") not in {None, found["counted"]}:  # what other settings counted is no statement of these
        connection.execute("DELETE FROM counted_day; DELETE FROM restated_day; DELETE FROM settled_month")
    for key, digest in found.items():
        if known.get(key) != digest:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, digest])


def _forget_moved_days(connection: duckdb.DuckDBPyConnection) -> bool:
    """Forget days that a bill takes over from OpenCost's estimate, and vice versa; return whether there are any."""
    forgotten = connection.execute(
        """
        DELETE FROM derived_day WHERE day IN (
            SELECT day FROM (FROM billed_day EXCEPT FROM billed_now)
            UNION ALL SELECT day FROM (FROM billed_now EXCEPT FROM billed_day)
        )
        """
    ).fetchone()
    connection.execute("DELETE FROM billed_day")
    connection.execute("INSERT INTO billed_day FROM billed_now")
    return forgotten is not None and bool(forgotten[0])


def _check_conservation(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse to publish days that lost or invented money: on the way to lines, or from these to tenants."""
    found = connection.execute(
        """
        WITH
        said AS (SELECT day, source, sum(amount) AS amount FROM counted_day SEMI JOIN dirty USING (day) GROUP BY ALL),
        lines AS (SELECT day, source, sum(amount) AS amount FROM line SEMI JOIN dirty USING (day) GROUP BY ALL),
        served AS (
            SELECT day, sum(amount) AS amount FROM (
                SELECT day, direct + shared AS amount FROM tenant_day UNION ALL SELECT day, amount FROM unallocated_day
            ) SEMI JOIN dirty USING (day) GROUP BY ALL
        ),
        whole AS (SELECT day, sum(amount) AS amount FROM lines GROUP BY ALL)
        SELECT day, coalesce(s.amount, 0) AS came, coalesce(l.amount, 0) AS went
        FROM said s FULL JOIN lines l USING (day, source) WHERE came <> went
        UNION ALL
        SELECT day, coalesce(w.amount, 0) AS came, coalesce(t.amount, 0) AS went
        FROM whole w FULL JOIN served t USING (day) WHERE came <> went
        ORDER BY day LIMIT 1
        """
    ).fetchone()
    if found is not None:
        raise UnconservedError(f"{found[0]}: the sources brought {found[1]} and {found[2]} would be served")
