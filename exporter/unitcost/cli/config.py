"""`unitcost config`: what helps to write unitcost.yaml, its JSON schema and an example to begin with."""

from __future__ import annotations

import argparse
import json
import sys

from unitcost.config.example import DEFAULT, example
from unitcost.config.schema import schema
from unitcost.sources.registry import TYPES


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost config`."""
    sub.add_argument("what", choices=("schema", "example"), help="the JSON schema, for an editor; or a commented file")
    sub.add_argument(
        "--sources",
        type=_types,
        default=DEFAULT,
        metavar="TYPE,TYPE",
        help=f"of the example: {', '.join(sorted(TYPES))}; default: {','.join(DEFAULT)}",
    )


def run(args: argparse.Namespace) -> bool:
    """Print what is asked for."""
    if args.what == "example":
        sys.stdout.write(example(args.sources))
    else:
        sys.stdout.write(f"{json.dumps(schema(), ensure_ascii=False, indent=2)}\n")
    return True


def _types(given: str) -> tuple[str, ...]:
    types = tuple(name.strip() for name in given.split(","))
    for name in types:
        if name not in TYPES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(sorted(TYPES))}")
    return types
