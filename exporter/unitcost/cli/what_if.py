"""`unitcost what-if ai`: what AI could cost instead, each figure with what it assumes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from unitcost.cli.arguments import an_own_window
from unitcost.cli.company import clock_of, company, company_arguments, state_dir_of
from unitcost.cli.summed import summed, with_window
from unitcost.cli.table import aligned
from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.days import LAST_MONTH
from unitcost.days import window as window_of
from unitcost.economics.what_if import CacheMissed, CacheSaved, Routing, SemanticCache, told
from unitcost.figures import count, money, percent, plain, unit_cost
from unitcost.ledger.store import Ledger
from unitcost.redaction import say, visible

ROUTING = """\
Assumes that the other model is asked the same and answers as long, with so many of its tokens for one; that the part
"falls back" of the cost is paid all the same, as the model of now must answer after all; and the price book's prices on
both sides, not the bill's."""
SAVED = """\
Assumes that without the cache all of it had been plain input."""
MISSED = """\
At most that: assumes that ai.cacheable_share of the feature's input is the same in every request, that all of it had
been read from the cache, and that writing it there costs no more than input does."""
SEMANTIC = """\
Assumes that each hit would have been a request of average cost, and that ai_requests does not count hits."""


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost what-if`."""
    sub.add_argument("subject", choices=("ai",), help="what it is about: the use of AI models")
    company_arguments(sub)
    sub.add_argument("--window", default=LAST_MONTH, type=an_own_window, help="1d, 30d, mtd, last_month (the default)")


def run(args: argparse.Namespace) -> bool:
    """Print what AI could cost; return whether every source answered."""
    with company(args) as (config, directory), state_dir_of(args, config) as state_dir:
        return what_if(config, directory, clock_of(args), args.window, state_dir)


def what_if(
    config: Config, directory: Directory, clock: Callable[[], datetime], window: str, state_dir: Path | None
) -> bool:
    """Print what AI could cost instead in a window; return whether every source answered."""
    config = with_window(config, window)
    with summed(config, directory, clock, state_dir) as given:
        lines = _lines(config, given.ledger, given.now, window)
    sys.stdout.write("\n".join(lines) + "\n")
    for remark in given.remarks:
        say(sys.stderr, remark)
    return given.fine


def _lines(config: Config, ledger: Ledger, now: datetime, window: str) -> list[str]:
    span = window_of(window, now)
    last = span.days()[-1] if span.days() else span.first
    return [
        f"What AI could cost instead, {window}: {span.first} to {last} (UTC), in {config.currency.code}",
        "All of it is potential, at the price book's prices of each day.",
        "",
        "Another model",
        *_routing(told(ledger, Routing, window), set_up=bool(config.ai.routing)),
        "",
        "Prompt cache: saved",
        *_saved(told(ledger, CacheSaved, window)),
        "",
        "Prompt cache: missed, at most",
        *_missed(told(ledger, CacheMissed, window), set_up=bool(config.ai.cacheable_share)),
        "",
        "Cache of answers: saved",
        *_semantic(told(ledger, SemanticCache, window), embedded=config.ai.semantic_cache is not None),
    ]


def _dollars(amount: float | None) -> str:
    return plain(money(amount, "", cents=True))


def _routing(rows: list[Routing], *, set_up: bool) -> list[str]:
    if not set_up:
        return ["Not known: ai.routing names no model that could serve a feature."]
    if not rows:
        return ["Nothing of what ai.routing names was used."]
    heads = ["Feature", "Model", "To", "Tokens", "Cost", "Cost there", "Tokens for one", "Falls back", "Saving"]
    table = [
        [
            visible(row.feature),
            visible(row.model),
            visible(row.target),
            plain(count(row.tokens)),
            _dollars(row.cost),
            _dollars(row.other_cost),
            f"{row.ratio:g}",
            plain(percent(row.fallback)),
            _dollars(row.saving),
        ]
        for row in rows
    ]
    lacks = [f"No figure for {visible(row.feature)}: {visible(row.lacks)}." for row in rows if row.lacks]
    return [*aligned([heads, *table], 3), *lacks, *ROUTING.splitlines()]


def _saved(rows: list[CacheSaved]) -> list[str]:
    if not rows:
        return ["Nothing was read from a prompt cache or written to one, as far as is counted."]
    table = [
        [visible(row.model), plain(count(row.read_tokens)), plain(count(row.written_tokens)), _dollars(row.saved)]
        for row in rows
    ]
    lacks = [f"No figure for {visible(row.model)}: it has no price." for row in rows if row.saved is None]
    return [*aligned([["Model", "Tokens read", "Tokens written", "Saved"], *table], 1), *lacks, *SAVED.splitlines()]


def _missed(rows: list[CacheMissed], *, set_up: bool) -> list[str]:
    if not set_up:
        return ["Not known: ai.cacheable_share says of no feature which part of its input could be cached."]
    if not rows:
        return ["No feature of ai.cacheable_share used a model that has a price for cached input."]
    heads = ["Feature", "Model", "Input tokens", "Read from cache", "Could be cached", "Missed tokens", "Missed"]
    table = [
        [
            visible(row.feature),
            visible(row.model),
            plain(count(row.tokens)),
            plain(count(row.read_tokens)),
            plain(percent(row.share)),
            plain(count(row.missed_tokens)),
            _dollars(row.dollars),
        ]
        for row in rows
    ]
    return [*aligned([heads, *table], 2), *MISSED.splitlines()]


def _semantic(rows: list[SemanticCache], *, embedded: bool) -> list[str]:
    if not rows:
        return ["Not known: no source counts the measure ai_cache_hits."]
    [row] = rows
    if row.mean is None:
        return [f"Not known: {plain(count(row.hits))} hits, but no source counts ai_requests."]
    table = [[plain(count(row.hits)), plain(unit_cost(row.mean, "")), _dollars(row.embedding), _dollars(row.saved)]]
    less = [] if embedded else ["Before what embedding costs: ai.semantic_cache names no measure of it."]
    return [*aligned([["Hits", "A request", "Embedding", "Saved"], *table], 0), *less, *SEMANTIC.splitlines()]
