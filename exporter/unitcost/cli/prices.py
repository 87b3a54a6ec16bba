"""`unitcost prices`: what each unit of a model costs on a day, where that stands, and what others ask."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from unitcost.cli.arguments import a_day
from unitcost.config.load import load
from unitcost.redaction import say, visible
from unitcost.sources.ai.book import PriceBook
from unitcost.sources.ai.listed import Price
from unitcost.sources.ai.settings import PriceRule
from unitcost.sources.ai.units import UNITS

WHOLE = {1_000_000: "a million", 1000: "a thousand", 3600: "an hour", 1: "one"}
"""So many of a unit, as it is said."""


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost prices`."""
    sub.add_argument("model", metavar="MODEL", help="as a provider, gateway or cloud spells it: azure/gpt-4o")
    sub.add_argument("--provider", default="", metavar="NAME", help="whose it is, where its name does not say it")
    sub.add_argument("--on", type=a_day, metavar="DAY", help="default: today (UTC)")
    sub.add_argument(
        "--config", type=Path, metavar="FILE", help="for its prices; default: unitcost.yaml, if there is one"
    )


def run(args: argparse.Namespace) -> bool:
    """Print the prices; return whether there is any."""
    path: Path = args.config or Path("unitcost.yaml")
    rules = load(path)[0].ai.prices if args.config or path.exists() else ()
    return prices(rules, args.model, args.provider, args.on or datetime.now(UTC).date(), sys.stdout)


def prices(rules: Sequence[PriceRule], model: str, provider: str, day: date, out: TextIO) -> bool:
    """Print the prices of a model on a UTC day, or that there is none; return whether there is any.

    rules: those of the configuration. model, provider: as anybody spells them.
    """
    book = PriceBook(rules)
    found = {unit: book.price(model, unit, day, provider) for unit in UNITS}
    known = {unit: price for unit, price in found.items() if price is not None}
    if not known:
        say(out, f"{model}: no price is known on {day}. What is used of it counts as unpriced, never as free.")
        say(
            out,
            "Add it to ai.prices in unitcost.yaml: {model: …, prices: {input: …, output: …}}, in dollars a million,",
        )
        say(out, "or {model: …, means: …} if it is a deployment of a model that has a price.")
        return False
    first = next(iter(known.values()))
    say(out, f"{model} on {day}: {first.model.provider or 'any provider'}, {first.model.model}")
    for unit, price in known.items():
        say(out, _line(unit, price))
    for remark in dict.fromkeys(remark for price in known.values() for remark in price.remarks):
        say(out, f"  {remark}")
    unit = next(iter(known))
    elsewhere = book.elsewhere(model, unit, day, provider)
    if elsewhere:
        told = ", ".join(f"{other} {_dollars(price.dollars)}" for other, price in elsewhere)
        say(out, f"Elsewhere, {unit} for {WHOLE[UNITS[unit].per]}: {told}")
    return True


def _line(unit: str, price: Price) -> str:
    reduced = "" if price.dollars == price.list_dollars else f" (list {_dollars(price.list_dollars)})"
    since = "" if price.since is None else f" since {price.since}"
    amount = f"{_dollars(price.dollars)} for {WHOLE[price.per]}{reduced}"
    return f"  {unit:<16}{amount:<32}{visible(price.rule)}{since}"


def _dollars(amount: Decimal) -> str:
    return f"${amount.normalize():f}"
