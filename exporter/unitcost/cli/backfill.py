"""`unitcost backfill`: the history in the ledger as OpenMetrics, for promtool tsdb create-blocks-from openmetrics."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from unitcost.cli.arguments import a_day
from unitcost.cli.company import clock_of, company, company_arguments, state_dir_of
from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.errors import LedgerError, OutputError, UsageError
from unitcost.ledger.access import OF_A_COPY, access
from unitcost.ledger.derive import derive
from unitcost.ledger.doubts import told
from unitcost.ledger.prune import first_kept
from unitcost.ledger.store import Ledger
from unitcost.metrics.exposition import openmetrics_head, timed_lines
from unitcost.metrics.history import Past, known_days
from unitcost.redaction import say
from unitcost.run.fetch import Fetcher


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost backfill`."""
    company_arguments(sub)
    sub.add_argument("--from", dest="first", type=a_day, metavar="DAY", help="default: the first day the ledger knows")
    sub.add_argument("--to", dest="last", type=a_day, metavar="DAY", help="default: yesterday (UTC)")
    sub.add_argument("--output", type=Path, required=True, metavar="FILE", help="the file to write or replace")


def run(args: argparse.Namespace) -> bool:
    """Write the file and say what there is to remark; return whether every source answered."""
    with company(args) as (config, directory), state_dir_of(args, config) as state_dir:
        good, remarks = backfill(config, directory, clock_of(args), args.first, args.last, args.output, state_dir)
    for remark in remarks:
        say(sys.stderr, remark)
    return good


def backfill(
    config: Config,
    directory: Directory,
    clock: Callable[[], datetime],
    first: date | None,
    last: date | None,
    output: Path,
    state_dir: Path | None,
) -> tuple[bool, list[str]]:
    """Write one sample a series and day, of the UTC days first to last.

    Return whether every source answered, and what there is to remark. Without first the ledger's history begins it,
    without last yesterday ends it. Refreshes before, unless another process holds the ledger: then that one does.
    Raises UsageError for days or a file that cannot be, LedgerError when the ledger knows nothing of these days,
    OutputError when the file cannot be written; then the file that was there stays.
    """
    yesterday = clock().date() - timedelta(1)
    last = yesterday if last is None else last
    _check(first, last, yesterday, output)
    remarks: list[str] = []
    with access(state_dir, output.absolute().parent) as (ledger, ours):
        fetcher = Fetcher(config, directory, ledger, clock)
        if ours:
            fetcher.fetch()
        now = clock()
        with ledger.alone():  # every day sees one state of the ledger
            kept = first_kept(ledger, now, config.history, config.windows)
            derive(ledger, fetcher.configured.setup.model, now, now.date() - kept)
            fetcher.configured.leave_out(told(ledger))
            remarks += fetcher.said() if ours else [OF_A_COPY]
            past = Past(ledger, fetcher.configured.setup.terms, now)
            days = _days(ledger, first, last, remarks)
            for day in days:
                past.add(day)
        with _whole(output) as file:
            write(past, file)
        remarks += past.left_out(days[0])
    return not ours or fetcher.fine, remarks


def _check(first: date | None, last: date, yesterday: date, output: Path) -> None:
    mistakes = []
    if last > yesterday:
        mistakes.append(f"--to {last}: today and later days are for the running exporter; the last day is {yesterday}")
    if first is not None and first > last:
        mistakes.append(f"--from {first}: is after --to {last}")
    if not output.parent.is_dir():
        mistakes.append(f"--output {output}: there is no folder {output.parent}")
    elif output.is_dir():
        mistakes.append(f"--output {output}: is a folder; name a file")
    if mistakes:
        raise UsageError(mistakes)


def _days(ledger: Ledger, first: date | None, last: date, remarks: list[str]) -> list[date]:
    """Return the days at whose end there was something to say: they or the days before them are known."""
    known = known_days(ledger)
    told = {*known, *(day + timedelta(1) for day in known)}
    days = sorted(day for day in told if (first is None or day >= first) and day <= last)
    if not days:
        what = f"it knows {known[0]} to {known[-1]}" if known else "it knows no day"
        raise LedgerError("\n".join([f"the ledger says nothing of {first or 'any day'} to {last}: {what}", *remarks]))
    return days


def write(past: Past, file: BinaryIO) -> None:
    """Write all samples as OpenMetrics: each family in one piece, each series in order of time."""
    for metric in past.metrics:
        with closing(past.samples(metric)) as samples:
            for place, rows in enumerate(samples):
                if place == 0:
                    file.write(openmetrics_head(metric).encode())
                file.write(timed_lines(metric, rows))
    file.write(b"# EOF\n")


@contextmanager
def _whole(output: Path) -> Iterator[BinaryIO]:
    """Open a draft that takes the place of the file when it is whole, and never before."""
    draft = output.with_name(f"{output.name}.tmp")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(output)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OutputError(f"{output}: cannot be written: {error}") from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
