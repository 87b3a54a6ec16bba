"""The company that a command is about: its configuration, its ledger's folder and its clock, by the arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from unitcost import sample
from unitcost.cli.arguments import a_time
from unitcost.config.directory import Directory
from unitcost.config.load import load
from unitcost.config.model import Config
from unitcost.errors import ConfigError, OutputError
from unitcost.ledger.rewound import rewound
from unitcost.scratch import place, scratch


def company_arguments(sub: argparse.ArgumentParser) -> None:
    """Say how a command is told which company it is about, and when."""
    either = sub.add_mutually_exclusive_group()
    either.add_argument(
        "--config", type=Path, default=Path("unitcost.yaml"), metavar="FILE", help="default: unitcost.yaml"
    )
    either.add_argument("--sample", action="store_true", help="a made-up company instead of a configuration")
    sub.add_argument("--as-of", type=a_time, metavar="TIME", help="fix the clock: 2026-11-01 or RFC 3339, UTC")


def clock_of(args: argparse.Namespace) -> Callable[[], datetime]:
    """Return the clock: it stands still where a time was given."""
    fixed: datetime | None = args.as_of
    return (lambda: fixed) if fixed is not None else (lambda: datetime.now(UTC))


@contextmanager
def company(args: argparse.Namespace) -> Iterator[tuple[Config, Directory]]:
    """Load the configuration, or write the sample company to a temporary folder and load that."""
    with ExitStack() as stack:
        path: Path = args.config
        if args.sample:
            try:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="sample-", dir=scratch())))
            except OSError as error:
                text = f"the sample company needs {place()}, which cannot be written: {error.strerror}; set TMPDIR"
                raise OutputError(text) from error
            path = sample.write(folder, clock_of(args)())
        yield loaded(path)


def loaded(path: Path) -> tuple[Config, Directory]:
    """Load a configuration; say what to do where there is none, as there is on a first start."""
    try:
        path.stat()
    except FileNotFoundError:
        text = (
            f"{path}: there is no such file; put a configuration there (in a container: mount it), or name another with"
            " --config. `unitcost config example` prints one, `unitcost serve --sample` needs none"
        )
        raise ConfigError([text]) from None
    except OSError:  # not for us to see, which load() says
        pass
    return load(path)


@contextmanager
def state_dir_of(args: argparse.Namespace, config: Config) -> Iterator[Path | None]:
    """Give the ledger's folder; None for the sample, which keeps none. A fixed clock sees nothing from after it."""
    if args.sample:
        yield None
    elif args.as_of is None:
        yield config.state_dir
    else:
        with rewound(config.state_dir, args.as_of) as folder:
            yield folder
