"""`unitcost ledger`: reads the whole ledger, or puts a kept copy of it in its place."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from unitcost.cli.company import loaded
from unitcost.ledger.care import ledger_check, restored
from unitcost.redaction import say


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost ledger`."""
    sub.add_argument("action", choices=("check", "restore"), help="read all of it; or restore from FILE")
    sub.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="a copy; default: the ledger (check), the newest (restore)"
    )
    sub.add_argument("--config", type=Path, default=Path("unitcost.yaml"), metavar="FILE", help="names state_dir")


def run(args: argparse.Namespace) -> bool:
    """Check or restore; return whether the ledger is whole."""
    config, _ = loaded(args.config)
    if args.action == "check":
        return ledger_check(config.state_dir, args.file, sys.stdout)
    say(sys.stdout, restored(config.state_dir, args.file, datetime.now(UTC)))
    return True
