"""`unitcost report`: the margin table of a window, as a table, CSV, JSON or the page."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from unitcost.cli.arguments import of_window
from unitcost.cli.company import clock_of, company, company_arguments, state_dir_of
from unitcost.cli.summed import summed, with_window
from unitcost.cli.table import aligned
from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.days import window as window_of
from unitcost.economics.margin import MarginRow, margin_rows, missing_days
from unitcost.errors import LedgerError
from unitcost.figures import count, cut, in_full, money, percent, plain, unit_cost
from unitcost.redaction import say, visible
from unitcost.run.overview import overview
from unitcost.web.pages.front import render_page

FORMATS = ("table", "csv", "json", "html")


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost report`."""
    company_arguments(sub)
    of_window(sub, FORMATS)


def run(args: argparse.Namespace) -> bool:
    """Print the report; return whether all of it is known."""
    with company(args) as (config, directory), state_dir_of(args, config) as state_dir:
        return report(config, directory, clock_of(args), args.window, args.format, state_dir)


def report(
    config: Config, directory: Directory, clock: Callable[[], datetime], window: str, form: str, state_dir: Path | None
) -> bool:
    """Print the margin table; return whether every source answered and the window is complete.

    Asks the sources first; when a running exporter holds the ledger, a copy of it is read instead.
    """
    config = with_window(config, window)
    with summed(config, directory, clock, state_dir) as given:
        lines = margin_rows(given.ledger, window)
        missing = missing_days(given.ledger, window)
        view = overview(given.ledger, config, given.runners, given.now, window) if form == "html" else None
    remarks = given.remarks
    for source, days in missing:
        remarks.append(f"{source}: {len(days)} days missing, {days[0]} to {days[-1]}: not the whole window")
    if not lines:
        raise LedgerError("\n".join([f"no source knows anything of the window {window}", *remarks]))
    if view is not None:
        sys.stdout.write(render_page(replace(view, links=())))  # a file has no server behind it
    else:
        _print(config, given.now, window, form, lines, remarks)
    return given.fine and not missing


def _print(
    config: Config, now: datetime, window: str, form: str, lines: Sequence[MarginRow], remarks: Sequence[str]
) -> None:
    printers = {"table": _table, "csv": _csv, "json": _json}
    sys.stdout.write(printers[form](config, now, window, lines))
    for remark in remarks:
        say(sys.stderr, remark)


def _table(config: Config, now: datetime, window: str, lines: Sequence[MarginRow]) -> str:
    span = window_of(window, now)
    code = config.currency.code
    rows: list[tuple[str, ...]] = [
        (
            "Tenant",
            "Name",
            "Plan",
            f"Cost {code}",
            f"Revenue {code}",
            f"Margin {code}",
            "Margin",
            "Requests",
            "Per request",
        )
    ]
    rows += [
        (
            visible(line.tenant),
            cut(visible(line.name), NAME_WIDTH),
            visible(line.plan),
            *(plain(money(amount, "", cents=True)) for amount in (line.cost, line.revenue, line.margin)),
            plain(percent(line.margin_ratio, whole=True)),
            plain(count(line.requests)),
            plain(unit_cost(line.cost_per_request, "")),
        )
        for line in lines
    ]
    out = [f"{window}: {span.first} to {span.days()[-1] if span.days() else span.first} (UTC)", ""]
    return "\n".join([*out, *aligned(rows, TEXT_COLUMNS, {1, len(rows) - 1})]) + "\n"


NAME_WIDTH = 32
TEXT_COLUMNS = 3


def _csv(_config: Config, _now: datetime, window: str, lines: Sequence[MarginRow]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["window", *MarginRow.__slots__])
    for line in lines:
        writer.writerow([window, *(in_full(getattr(line, name)) for name in MarginRow.__slots__)])
    return out.getvalue()


def _json(config: Config, now: datetime, window: str, lines: Sequence[MarginRow]) -> str:
    span = window_of(window, now)
    body = {
        "window": window,
        "first_day": span.first.isoformat(),
        "end_day": span.end.isoformat(),
        "currency": config.currency.code,
        "lines": [{name: in_full(getattr(line, name)) for name in MarginRow.__slots__} for line in lines],
    }
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"
