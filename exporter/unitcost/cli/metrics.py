"""`unitcost metrics`: METRICS.md, every metric, its labels and meaning."""

from __future__ import annotations

import argparse
import sys

from unitcost.metrics.reference import markdown


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Let nothing follow `unitcost metrics`."""


def run(_: argparse.Namespace) -> bool:
    """Print it."""
    sys.stdout.write(markdown())
    return True
