"""`unitcost limits`: how much AI a plan or tenant can use in a month at no loss, as a file that a gateway enforces."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import yaml

from unitcost.cli.company import clock_of, company, company_arguments, state_dir_of
from unitcost.cli.summed import summed
from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.economics.what_if import BreakEven, break_evens
from unitcost.errors import LedgerError
from unitcost.redaction import say

FORMATS = ("json", "litellm", "kong")
By = Literal["plan", "tenant"]

MONTH = "30d"
"""LiteLLM's word for a month; so many days are a window of Kong's."""
MONTH_SECONDS = 30 * 86400


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost limits`."""
    company_arguments(sub)
    sub.add_argument("--by", choices=("plan", "tenant"), default="tenant", help="default: tenant")
    sub.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"default: {FORMATS[0]}")


def run(args: argparse.Namespace) -> bool:
    """Print the limits; return whether every source answered."""
    with company(args) as (config, directory), state_dir_of(args, config) as state_dir:
        return limits(config, directory, clock_of(args), args.by, args.format, state_dir)


def limits(
    config: Config, directory: Directory, clock: Callable[[], datetime], by: By, form: str, state_dir: Path | None
) -> bool:
    """Print suggested limits of a month by plan or tenant; return whether every source answered.

    dollars: the price less what else is spent; requests: how many AI requests that is at their mean cost. Raises
    LedgerError where no limit is known, or the gateway's dollars cannot be told in the configured currency.
    """
    with summed(config, directory, clock, state_dir) as given:
        rows = break_evens(given.ledger, by)
    known = [row for row in rows if row.carried is not None]
    remarks = [*given.remarks, *(f"{row.name}: no limit, {_why(row)}" for row in rows if row.carried is None)]
    if not known:
        raise LedgerError("\n".join([f"no limit is known of any {by}: {NEEDED}", *remarks]))
    if form == "json":
        text = _json(config, known, by)
    else:
        rate = config.currency.all_rates().get("USD")
        if rate is None:
            raise LedgerError(f"gateways count in USD; currency.rates tells no rate of USD for {config.currency.code}")
        writes = {"litellm": litellm, "kong": kong}
        text = writes[form](known, by, rate)
        if form == "kong":
            remarks += [f"{row.name}: carries no AI at all; left out" for row in known if not _dollars(row, rate)]
    sys.stdout.write(text)
    for remark in remarks:
        say(sys.stderr, remark)
    return given.fine


NEEDED = "it takes a price (MRR, or plans.NAME.price), 7 complete days of costs, and the measure ai_requests"


def _why(row: BreakEven) -> str:
    if row.price is None:
        return "its price is not set"
    return "no tenant has it" if row.base is None else "no AI requests with a known cost are counted of its tenants"


def _dollars(row: BreakEven, rate: Decimal = Decimal(1)) -> float:
    """Return what its AI may cost in a month, down to the cent. rate: what one of it is of the configured currency."""
    room = (row.price or 0) - (row.base or 0)
    return max(math.floor(round(room / float(rate) * 100, 6)), 0) / 100


PLACES = 12
"""Digits behind the point, as the ledger has them."""


def _requests(row: BreakEven) -> int:
    return int(row.carried or 0)


def _json(config: Config, rows: Sequence[BreakEven], by: By) -> str:
    told = [
        {
            by: row.name,
            **({"plan": row.plan} if by == "tenant" else {}),
            "requests_a_month": _requests(row),
            "dollars_a_month": _dollars(row),
            "price": row.price,
            "base_cost": round(row.base or 0, PLACES),
            "cost_per_ai_request": round(row.mean or 0, PLACES),
        }
        for row in rows
    ]
    return json.dumps({"by": by, "currency": config.currency.code, "limits": told}, indent=1, ensure_ascii=False) + "\n"


def litellm(rows: Sequence[BreakEven], by: By, rate: Decimal) -> str:
    """Return bodies for LiteLLM's proxy: of POST /budget/new for plans, of POST /team/new for tenants.

    A budget is given to keys or customers by its budget_id; a team's holds for all of its keys. LiteLLM limits requests
    by the minute only, so that those of a month stand in metadata alone. As in
    https://docs.litellm.ai/docs/proxy/team_budgets and https://docs.litellm.ai/docs/proxy/rate_limit_tiers.
    """
    if by == "plan":
        budgets = [{"budget_id": row.name, "max_budget": _dollars(row, rate), "budget_duration": MONTH} for row in rows]
        return json.dumps({"budgets": budgets}, indent=1, ensure_ascii=False) + "\n"
    teams = [
        {
            "team_id": row.name,
            "team_alias": row.name,
            "max_budget": _dollars(row, rate),
            "budget_duration": MONTH,
            "metadata": {"suggested_requests_a_month": _requests(row)},
        }
        for row in rows
    ]
    return json.dumps({"teams": teams}, indent=1, ensure_ascii=False) + "\n"


def kong(rows: Sequence[BreakEven], by: By, rate: Decimal) -> str:
    """Return a declarative configuration for Kong from 3.14 on: its plugin ai-rate-limiting-advanced, counting cost.

    A tenant is the consumer of that username; a plan the consumer group of that name, in which each consumer has a
    counter of its own. The window is 30 days that begin at a multiple of these; counters outlive a restart only with a
    strategy of redis or cluster, and cost is counted by the prices that ai-proxy-advanced has. As in
    https://developer.konghq.com/plugins/ai-rate-limiting-advanced/examples/consumer-rate-limiting/ and, for groups,
    https://developer.konghq.com/ai-gateway/policies/ai-rate-limiting-advanced/examples/consumer-group-rate-limiting/.
    """

    def match(name: str) -> list[dict[str, object]]:
        if by == "tenant":
            return [{"type": "consumer", "key": "username", "values": [name]}]
        return [
            {"type": "consumer_group", "key": "name", "values": [name]},
            {"type": "consumer", "partition_by": True},
        ]

    policies = [
        {
            "match": match(row.name),
            "window_type": "fixed",
            "limits": [{"limit": _dollars(row, rate), "window_size": MONTH_SECONDS, "tokens_count_strategy": "cost"}],
        }
        for row in rows
        if _dollars(row, rate)
    ]
    plugin = {"name": "ai-rate-limiting-advanced", "config": {"policies": policies}}
    return f"# AI of a month by {by}, in USD\n" + yaml.safe_dump(
        {"_format_version": "3.0", "plugins": [plugin]}, sort_keys=False, allow_unicode=True, width=120
    )
