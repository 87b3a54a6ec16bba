"""Ten minutes of fuzzing for each parser: inputs that are nearly right, and which foreign exceptions come out.

Run as `python -m bench.fuzz [--minutes 10] [--seed 0] [PARSER ...]`. What it finds is repeated by
`python -m bench.fuzz --only SEED PARSER`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType

from tests.fakes.parsers import Parser, parsers

LIMIT = 60
"""Seconds of this machine after which an input counts as one that hangs."""


def late(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {LIMIT} s")


def fuzz(parser: Parser, seconds: float, first: int) -> int:
    """Feed inputs for so long and print a line; return how many foreign exceptions there were."""
    until = time.monotonic() + seconds
    seed, accepted, slowest = first, 0, (0.0, first)
    found: dict[str, tuple[int, str]] = {}
    foreign = 0
    while time.monotonic() < until:
        started = time.process_time()
        signal.alarm(LIMIT)
        try:
            accepted += parser.feed(seed)
        except Exception as error:  # noqa: BLE001 - which ones come is the question
            foreign += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            found.setdefault(f"{type(error).__name__} at {last.filename}:{last.lineno}", (seed, str(error)[:200]))
        finally:
            signal.alarm(0)
        slowest = max(slowest, (time.process_time() - started, seed))
        seed += 1
    print(
        f"{parser.name:18}{seed - first:>9,}{accepted:>10,}{slowest[0]:>10.2f} s{foreign:>9}  {slowest[1]}", flush=True
    )
    for place, (which, text) in found.items():
        print(f"  --only {which} {parser.name}: {place}: {text}", flush=True)
    return foreign


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--seed", type=int, default=0, help="where to begin; other seeds, other inputs")
    arguments.add_argument("--only", type=int, metavar="SEED", help="feed one input and show it")
    arguments.add_argument("parser", nargs="*", help="default: all")
    given = arguments.parse_args()
    signal.signal(signal.SIGALRM, late)
    with tempfile.TemporaryDirectory() as folder, parsers(Path(folder)) as known:
        names = given.parser or list(known)
        if unknown := set(names) - set(known):
            arguments.error(f"no parser is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        if given.only is not None:
            sys.stdout.buffer.write(known[names[0]].input(given.only) + b"\n")
            print("accepted" if known[names[0]].feed(given.only) else "refused")
            return 0
        print(f"{'parser':18}{'inputs':>9}{'accepted':>10}{'slowest':>12}{'foreign':>9}  slowest is")
        return min(1, sum(fuzz(known[name], given.minutes * 60, given.seed) for name in names))


if __name__ == "__main__":
    raise SystemExit(main())
