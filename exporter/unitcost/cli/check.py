"""`unitcost check`: ask every source once and say what it answered; the ledger in state_dir is read, not touched.

What asking costs is counted there all the same, beside the ledger.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from unitcost.cli.company import clock_of, company, company_arguments
from unitcost.cli.dry_run import dry_run
from unitcost.config.directory import Directory
from unitcost.config.model import Config, former_digests, settings_digest
from unitcost.economics.labels import Conflict, conflicts
from unitcost.errors import SourceError
from unitcost.facts import K8S, Note, Problem
from unitcost.ledger.files import copied_at, copies
from unitcost.ledger.held import held
from unitcost.ledger.paid import PaidRequests
from unitcost.ledger.store import Ledger
from unitcost.redaction import say
from unitcost.run.fetch import Fetcher
from unitcost.run.publish import sum_up
from unitcost.run.runner import SourceRunner
from unitcost.sources.base import Adviser
from unitcost.web.web_config import WebConfig

RECENT = timedelta(days=7)
"""How far back `check` asks: enough to hold a day against its neighbours, quick enough to wait for."""


SIMILAR = 5
"""So many names that are spelt in several ways are told."""
CONFLICTS, USERS = 10, 3
"""So many resources whose tag and labels disagree are told, with so many of their users."""


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost check`."""
    company_arguments(sub)
    sub.add_argument(
        "--dry-run",
        action="store_true",
        help="ask nothing that costs: print the statements for bills in an engine's table, and what they would read",
    )


def run(args: argparse.Namespace) -> bool:
    """Check, or tell what would be asked; return whether all is fine."""
    with company(args) as (config, directory):
        WebConfig.of(config.web.config_file)
        state_dir = None if args.sample else config.state_dir
        if args.dry_run:
            return dry_run(config, clock_of(args), state_dir, sys.stdout)
        return check(config, directory, clock_of(args), state_dir, sys.stdout)


def check(
    config: Config, directory: Directory, clock: Callable[[], datetime], state_dir: Path | None, out: TextIO
) -> bool:
    """Print a paragraph for every source; return whether all answered without a problem.

    state_dir: where the exporter's ledger is, whose days of former settings are told too; None: it keeps none.
    """
    say(out, "configuration: fine")
    ledger = Ledger(None)
    try:
        recent = config.model_copy(update={"history": min(config.history, RECENT)})
        fetcher = Fetcher(recent, directory, ledger, clock, paid=PaidRequests(state_dir))
        fetcher.fetch()
        with ledger.alone():
            sum_up(ledger, fetcher.configured, clock())
        good = fetcher.fine
        for runner in fetcher.runners:
            _describe(runner, config, ledger, out)
        _describe_similar(config, ledger, out)
        _describe_conflicts(conflicts(ledger), out)
        for source, scope, ratio in ledger.rows(
            "SELECT source, scope, sum(billed)::DOUBLE / sum(metered)::DOUBLE FROM reconciled_day"
            " GROUP BY ALL HAVING sum(metered) > 0 ORDER BY ALL"
        ):
            if not scope.startswith(K8S):
                say(out, f"{source}: the bill is {ratio:.3f} times what the tokens of {scope} cost by the price book")
                continue
            cluster = scope.removeprefix(K8S)
            say(out, f"{source}: the bill is {ratio:.3f} times what OpenCost says of cluster {cluster}")
            if ratio == 0:
                say(
                    out,
                    f"  ! no row of the bill is marked as Kubernetes, so OpenCost's cost of {cluster} is not counted;"
                    f" set sources.{source}.cluster to the bill's cluster name, billed_by: [] if no bill holds it, or"
                    " clusters: false at a bill that holds no cluster",
                )
                good = False
        _describe_unbilled(config, ledger, out)
    finally:
        ledger.close()
    if state_dir is not None:
        _describe_ledger(config, state_dir, clock().date() - config.history, out)
    return good


def _describe_unbilled(config: Config, ledger: Ledger, out: TextIO) -> None:
    """Name the clusters that no bill speaks for on any day, though there are bills that might."""
    bills = ", ".join(config.bills_of_clusters())
    for source, scope in ledger.rows(
        "SELECT DISTINCT d.source, d.scope FROM scoped_day d ANTI JOIN billed_day USING (source, scope)"
        " WHERE is_cluster(d.scope) AND d.source IN (SELECT source FROM billed_by) ORDER BY ALL"
    ):
        say(
            out,
            f"{source}: no bill speaks for cluster {scope.removeprefix(K8S)}, so what OpenCost says of it counts as an"
            f" estimate beside {bills}: none of these charges for its nodes, or for any machine; if one holds it, set"
            f" sources.{source}.billed_by to that one, if none does, to []",
        )


def _describe_similar(config: Config, ledger: Ledger, out: TextIO) -> None:
    """Name the tenants that only case, Unicode form or white space keep apart, the dearest first."""
    found = ledger.rows(
        "SELECT list(tenant || ' ' || format('{:,.2f}', cost::DOUBLE) ORDER BY cost DESC, tenant) FROM ("
        " SELECT s.name, s.tenant, coalesce(sum(t.direct + t.shared), 0) AS cost"
        " FROM similar_tenant s LEFT JOIN tenant_day t USING (tenant) GROUP BY ALL"
        ") GROUP BY name ORDER BY sum(cost) DESC, name"
    )
    for (named,) in found[:SIMILAR]:
        say(
            out,
            f"tenants: only case, Unicode form or white space tells apart {', '.join(named)} {config.currency.code};"
            " write aliases, or set tenants.fold: case",
        )
    if len(found) > SIMILAR:
        say(out, f"tenants: and {len(found) - SIMILAR} more names that are spelt in several ways")


def _describe_conflicts(found: Sequence[Conflict], out: TextIO) -> None:
    """Name the nodes and disks that a tag gives to somebody else than those who used them, the dearest first."""
    for one in found[:CONFLICTS]:
        users = ", ".join(f"{tenant} {share:.0%}" for tenant, share in one.users[:USERS])
        more = f" and {len(one.users) - USERS} more" if len(one.users) > USERS else ""
        say(
            out,
            f"labels: the {one.what.replace('_', ' ')} {one.resource} ({one.amount:,.2f} {one.currency}) is tagged"
            f" {one.tag}, but used by pods of {users}{more}; the labels of the pods count, mend the tag or these",
        )
    if len(found) > CONFLICTS:
        rest = sum((one.amount for one in found[CONFLICTS:]), Decimal(0))
        say(out, f"labels: and {len(found) - CONFLICTS} more such resources ({rest:,.2f})")


def _describe_ledger(config: Config, state_dir: Path, first: date, out: TextIO) -> None:
    """Say what the ledger holds that cannot count as it is. Raises LedgerError when it cannot be read."""
    digests = {name: settings_digest(config, name) for name in config.sources}
    found = held(state_dir, digests, former_digests(config), first)
    if found is None:
        say(out, f"ledger: none yet in {state_dir}; {_copies(config, state_dir)}")
        return
    say(out, f"ledger: {state_dir}; {_copies(config, state_dir)}")
    for name, problems in sorted(found.left_out.items()):
        for problem in problems:
            say(out, f"  ! {name}: {problem.line}")
    for one in found.former:
        say(
            out,
            f"  - {one.source}: {one.count} days, {one.first} to {one.last}, were told under former settings; the next"
            " refresh asks for them again. Those that the source has forgotten stay attributed as before, windows with"
            " them are incomplete, and unitcost_source_former_settings counts them",
        )


def _copies(config: Config, state_dir: Path) -> str:
    kept = copies(state_dir)
    if not kept:
        return "no copy of it is kept yet" if config.copies.keep else "no copy of it is kept (copies.keep is 0)"
    size = kept[0].stat().st_size / 1e6
    return f"{len(kept)} copies are kept, the newest of {copied_at(kept[0]):%Y-%m-%d %H:%M} UTC ({size:,.1f} MB)"


def _describe(runner: SourceRunner, config: Config, ledger: Ledger, out: TextIO) -> None:
    kind = config.settings(runner.name).type
    known = ledger.known(runner.name)
    parts = [f"{known.days} days, {known.first} to {known.last}, {known.rows:,} rows" if known.days else "no data"]
    for currency, total, tenants, without in ledger.rows(
        "SELECT currency, sum(amount), count(DISTINCT tenant), sum(amount) FILTER (tenant_id(tenant) IS NULL)"
        " FROM cost WHERE source = ? GROUP BY currency ORDER BY currency",
        [runner.name],
    ):
        part = f"{total:,.2f} {currency} with {tenants} names of tenants"
        if without:
            share = f" ({without / total:.0%})" if 0 < without <= total else ""
            part += f", {without:,.2f} {currency}{share} of it without a tenant"
        parts.append(part)
    for measure, total, tenants in ledger.rows(
        "SELECT measure, sum(quantity), count(DISTINCT tenant) FROM usage WHERE source = ? GROUP BY measure ORDER BY 1",
        [runner.name],
    ):
        parts.append(f"{measure}: {total:,.0f} by {tenants} tenants")
    for currency, total, tenants in ledger.rows(
        "SELECT currency, sum(mrr), count(DISTINCT tenant) FROM mrr_day v"
        " WHERE source = ? AND day = (SELECT max(day) FROM known_day WHERE source = v.source)"
        " GROUP BY currency ORDER BY currency",
        [runner.name],
    ):
        parts.append(f"MRR {total:,.2f} {currency} of {tenants} tenants")
    say(out, f"{runner.name} ({kind}): {'fine' if runner.fine else 'FAILED'}: {'; '.join(parts)}")
    for line in runner.said():
        say(out, f"  ! {line}")
    [(spent, nobodys, first)] = ledger.rows(
        "SELECT count(*), count(*) FILTER (tenants = 0), min(day) FILTER (tenants = 0) FROM ("
        "SELECT day, count(DISTINCT tenant_id(tenant)) AS tenants FROM cost WHERE source = ? GROUP BY day)",
        [runner.name],
    )
    if 0 < nobodys < spent:
        say(out, f"  - {nobodys} of its {spent} days with costs have no tenant at all, the first is {first}")
    for note in [*runner.notes, *_advice(runner, ledger)]:
        say(out, f"  - {note.text}")


def _advice(runner: SourceRunner, ledger: Ledger) -> list[Note]:
    if not isinstance(runner.source, Adviser):
        return []
    try:
        return [*runner.source.advice(ledger.stored(runner.name, runner.settings))]
    except SourceError as error:
        return [Note(Problem.of(error).line)]
