"""`unitcost audit ai`: counters, gateway and provider side by side, and what each dollar of difference comes from."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from unitcost.cli.arguments import of_window
from unitcost.cli.company import clock_of, company, company_arguments, state_dir_of
from unitcost.cli.summed import summed
from unitcost.cli.table import aligned
from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.days import Window
from unitcost.days import window as window_of
from unitcost.economics.audit_ai import Account, Audit, Role, Row, Terms, audit, summed_causes
from unitcost.economics.audit_causes import TWO_NAMES, Cause
from unitcost.errors import LedgerError
from unitcost.figures import count, cut, in_full, money, plain
from unitcost.redaction import say, visible
from unitcost.run.pricing import batch_shares
from unitcost.sources.ai.names import provider_of
from unitcost.sources.ai.units import TOKEN_UNITS

FORMATS = ("table", "json")
ROLES: dict[str, Role] = {"tokens": "counted", "bill": "bill"}
NAME_WIDTH = 40
SHOWN = 10
"""So many labels that name no model are shown."""


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost audit`."""
    sub.add_argument("subject", choices=("ai",), help="what is audited: the use of AI models")
    company_arguments(sub)
    of_window(sub, FORMATS)
    sub.add_argument("--provider", default="", metavar="NAME", help="whose accounts; default: all")


def run(args: argparse.Namespace) -> bool:
    """Print the audit; return whether every source answered."""
    with company(args) as (config, directory), state_dir_of(args, config) as state_dir:
        whose, clock = args.provider, clock_of(args)
        return audit_ai(config, directory, clock, args.window, whose, args.format, state_dir, sys.stdout)


def audit_ai(
    config: Config,
    directory: Directory,
    clock: Callable[[], datetime],
    window: str,
    provider: str,
    form: str,
    state_dir: Path | None,
    to: TextIO,
) -> bool:
    """Print what the sources say of the use of models in a window; return whether every source answered.

    provider: whose accounts, as anybody spells it; "" for all. Asks the sources first; when a running exporter holds
    the ledger, a copy of it is read instead.
    """
    with summed(config, directory, clock, state_dir) as given:
        span = window_of(window, given.now)
        terms = Terms(roles(config), TOKEN_UNITS, batch_shares(config.ai.prices))
        found = audit(given.ledger, span.days(), terms)
    whose = provider_of(provider)
    accounts = [one for one in found.accounts if not provider or one.scope.partition("/")[0] == whose]
    if not accounts:
        of = f" of {provider}" if provider else ""
        raise LedgerError("\n".join([f"no source knows any use of models{of} in the window {window}", *given.remarks]))
    found = replace(found, accounts=accounts, causes=() if provider else found.causes)
    code, compared = config.currency.code, config.compared()
    lines = [_json(code, compared, span, found)] if form == "json" else table(code, compared, span, found)
    to.writelines(f"{line}\n" for line in lines)
    for remark in given.remarks:
        say(sys.stderr, remark)
    return given.fine


def roles(config: Config) -> list[tuple[str, Role]]:
    """Return the sources that say anything of models, and what they are in an audit."""
    compared = config.compared()
    return [
        (name, "compared" if name in compared else ROLES[kind])
        for name, kind in config.kinds().items()
        if kind in ROLES
    ]


def table(code: str, compared: Sequence[str], span: Window, found: Audit) -> Iterable[str]:
    """Yield the lines of an audit. code: the currency. compared: the sources that are only compared."""
    days = span.days()
    yield f"{span.name}: {span.first} to {days[-1] if days else span.first} (UTC)"
    for account in found.accounts:
        yield ""
        yield visible(account.scope)
        yield from _head(account, compared, code)
        yield ""
        yield from _causes(account.causes, code)
        yield from _names(account)
        yield ""
        yield from _models(account, code)
    if len(found.accounts) > 1:
        yield ""
        yield "All accounts"
        yield from _causes(found.causes, code)
    if found.unmapped:
        yield ""
        yield "Counted under labels that name no model or kind:"
        for one in sorted(found.unmapped, key=lambda one: -one.tokens)[:SHOWN]:
            yield f"  {visible(one.source)}: {count(one.tokens)} tokens, {visible(cut(one.label, 80))}"
        if len(found.unmapped) > SHOWN:
            yield f"  and {len(found.unmapped) - SHOWN} more labels"


def _head(account: Account, compared: Sequence[str], code: str) -> Iterable[str]:
    rows: list[tuple[str, ...]] = [("", "Tokens", code)]
    for source, tokens in account.tokens.items():
        role = "compared only" if source in compared else "counted"
        rows.append((f"{visible(source)} ({role})", count(tokens), ""))
    counted = None if account.reported is None else account.counted
    rows += [
        ("the counters, by the price book", count(counted), _money(account.booked)),
        ("the provider", count(account.reported), _money(account.billed)),
        ("difference", _more(account.reported, account.counted), _money_more(account.billed, account.booked)),
    ]
    yield from _aligned(rows, texts=1)
    if account.unreported:
        yield f"{account.unreported} days without the provider's report: their tokens are not compared"
    if account.unbilled:
        yield f"{account.unbilled} days without a bill: their money is not compared"


def _causes(causes: Sequence[Cause], code: str) -> Iterable[str]:
    rows: list[tuple[str, ...]] = [("Cause of the difference", "Tokens", code)]
    yield from _aligned(rows + [_cause(cause) for cause in causes], texts=1)


def _names(account: Account) -> Iterable[str]:
    pairs = {
        tuple(sorted((row.found.model, cause.about.removeprefix("also "))))
        for row in account.rows
        for cause in row.found.causes
        if cause.kind == TWO_NAMES
    }
    for one, other in sorted(pairs):
        yield f"Likely one model: {visible(one)} and {visible(other)}"


def _cause(cause: Cause) -> tuple[str, ...]:
    about = f" ({visible(cause.about)})" if cause.about else ""
    return f"{cause.kind}{about}", count(cause.tokens), _money(cause.dollars)


def _models(account: Account, code: str) -> Iterable[str]:
    sources = list(account.tokens)
    rows: list[tuple[str, ...]] = [
        ("Day", "Model", *map(visible, sources), "Provider", f"Book {code}", f"Billed {code}", f"Diff. {code}", "Cause")
    ]
    rows += [
        (
            row.day.isoformat(),
            visible(cut(row.found.model, NAME_WIDTH)) or "(no model)",
            *(count(row.tokens.get(source, Decimal(0))) for source in sources),
            count(row.found.reported),
            _money(row.found.booked),
            _money(row.found.billed),
            _money_more(row.found.billed, row.found.booked),
            _why(row),
        )
        for row in account.rows
        if row.found.model or row.found.counted or row.found.billed is not None
    ]
    yield from _aligned(rows, texts=2, last_text=True)


def _why(row: Row) -> str:
    return "; ".join(" ".join(filter(None, (cause.kind, _amount(cause)))) for cause in summed_causes([row]))


def _amount(cause: Cause) -> str:
    if cause.dollars:
        return _money(cause.dollars)
    return f"{count(cause.tokens)} tokens" if cause.tokens else ""


def _aligned(rows: Sequence[tuple[str, ...]], texts: int, *, last_text: bool = False) -> Iterable[str]:
    """Return rows in columns. Characters are those of every terminal."""
    return aligned([tuple(map(plain, row)) for row in rows], texts, ruled=(), last_text=last_text)


def _money(amount: Decimal | None) -> str:
    return money(amount, "", cents=True)


def _more(one: Decimal | None, other: Decimal) -> str:
    return count(None if one is None else one - other)


def _money_more(one: Decimal | None, other: Decimal) -> str:
    return _money(None if one is None else one - other)


def _json(code: str, compared: Sequence[str], span: Window, found: Audit) -> str:
    body = {
        "window": span.name,
        "first_day": span.first.isoformat(),
        "end_day": span.end.isoformat(),
        "currency": code,
        "compared_only": compared,
        "accounts": [
            {
                "account": account.scope,
                "tokens": {source: in_full(tokens) for source, tokens in account.tokens.items()},
                "counted": in_full(account.counted),
                "reported": in_full(account.reported),
                "booked": in_full(account.booked),
                "billed": in_full(account.billed),
                "days_without_report": account.unreported,
                "days_without_bill": account.unbilled,
                "causes": [_json_cause(cause) for cause in account.causes],
                "rows": [_json_row(row) for row in account.rows],
            }
            for account in found.accounts
        ],
        "unmapped": [
            {"source": one.source, "label": one.label, "tokens": in_full(one.tokens)} for one in found.unmapped
        ],
    }
    return json.dumps(body, indent=1, ensure_ascii=False)


def _json_row(row: Row) -> dict[str, object]:
    return {
        "day": row.day.isoformat(),
        "model": row.found.model,
        "tokens": {source: in_full(tokens) for source, tokens in row.tokens.items()},
        "counted": in_full(row.found.counted),
        "reported": in_full(row.found.reported),
        "booked": in_full(row.found.booked),
        "billed": in_full(row.found.billed),
        "causes": [_json_cause(cause) for cause in row.found.causes],
    }


def _json_cause(cause: Cause) -> dict[str, object]:
    return {
        "cause": cause.kind,
        "about": cause.about,
        "tokens": in_full(cause.tokens),
        "amount": in_full(cause.dollars),
    }
