"""The command `unitcost`: data on stdout, logs on stderr; exit 0 fine, 1 a source failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from unitcost import __version__
from unitcost.ending import ENDING
from unitcost.errors import ConfigError, LedgerStoppedError, UnitcostError
from unitcost.redaction import LogFormatter, visible

log = logging.getLogger(__name__)

FINE, FAILED, USAGE = 0, 1, 2

DESCRIPTION = """\
unitcost tells what each customer, request and AI token costs, as Prometheus metrics.
It joins OpenCost, a FOCUS bill, product usage and revenue (MRR) into gauges per tenant.

  unitcost serve --sample                       a made-up company, no account needed
  unitcost config example > unitcost.yaml       a commented file to begin with; --sources opencost,focus,…
  unitcost config schema                        the JSON schema of unitcost.yaml, for an editor
  unitcost check --config unitcost.yaml         is the configuration right, does every source answer?
  unitcost check --dry-run                      what engines would be asked for a bill, and what that costs
  unitcost serve --config unitcost.yaml         serve /metrics and a page on :9488
  unitcost report --window last_month           the margin table
  unitcost backfill --output past.om            the past days, for promtool to import into Prometheus
  unitcost prices azure/gpt-4o                  what a model costs, and by which rule
  unitcost audit ai                             why token counters and the provider's bill differ
  unitcost what-if ai                           what another model or a cache would save
  unitcost limits --format litellm              how much AI each tenant's price carries, for a gateway
  unitcost ledger check                         is every number of the ledger readable, does it add up?
"""

COMMANDS = {
    "serve": "Serve /metrics and a page, refreshed in the background.",
    "check": "Validate the configuration, then ask every source once and say what it answered.",
    "report": "Print the margin table of a window.",
    "backfill": "Write the past days as OpenMetrics, for promtool to import into Prometheus.",
    "healthy": "Ask the server on this machine whether it is healthy, as a container's check.",
    "ledger": "Look after the ledger in state_dir: check it, or put a kept copy in its place.",
    "config": "Print an example of unitcost.yaml to begin with, or its JSON schema.",
    "audit": "Say why token counters and a provider's bill differ: causes that sum to it exactly.",
    "prices": "Print what a model costs, by which rule and since when, and what it costs elsewhere.",
    "what-if": "Print what AI could cost instead: another model, a prompt cache, a cache of answers.",
    "limits": "Print how much AI a price carries in a month, as a file that a gateway enforces.",
    "metrics": "Print METRICS.md: every metric, its labels and meaning.",
}
"""Each is a module of this folder, imported when it is called: none waits for what only others need."""


def main(argv: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    try:
        args = _parser(argv).parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    level = logging.DEBUG if args.verbose else logging.INFO if args.command == "serve" else logging.ERROR
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    return _ended(args)


def _ended(args: argparse.Namespace) -> int:
    """Run the command; say in a line why it failed, if it did, and return its exit code."""
    try:
        run: Callable[[argparse.Namespace], bool] = args.run
        return FINE if run(args) else FAILED
    except ConfigError as error:
        print("\n".join(error.mistakes), file=sys.stderr)
        return USAGE
    except (KeyboardInterrupt, LedgerStoppedError):
        log.debug("ended by a signal")
    except UnitcostError as error:
        if ENDING.received is None:  # else it is what the signal made of it
            print("unitcost:", "\n".join(map(visible, str(error).splitlines())), file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        return FINE
    except Exception:
        if ENDING.received is None:  # else it is what DuckDB made of it
            log.exception("unitcost failed in a way it should not; please report this")
            return FAILED
    return ENDING.code()


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return what reads the arguments: those of the commands that are named among them."""
    parser = argparse.ArgumentParser(
        prog="unitcost", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"unitcost {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more, on stderr")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name in argv:
            command = import_module(f"unitcost.cli.{name.replace('-', '_')}")
            command.add_arguments(sub)
            sub.set_defaults(run=command.run)
    return parser
