"""The command `unitcost`: data on stdout, logs on stderr; exit 0 fine, 1 a source failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from unitcost import __version__, sample
from unitcost.cli import audit, config
from unitcost.cli.arguments import a_day, a_time, a_window, an_own_window
from unitcost.cli.backfill import backfill
from unitcost.cli.check import check
from unitcost.cli.dry_run import dry_run
from unitcost.cli.healthy import healthy
from unitcost.cli.limits import FORMATS as LIMIT_FORMATS
from unitcost.cli.limits import limits
from unitcost.cli.report import FORMATS, report
from unitcost.cli.what_if import what_if
from unitcost.config.directory import Directory
from unitcost.config.load import load
from unitcost.config.model import Config
from unitcost.days import LAST_MONTH
from unitcost.ending import ENDING
from unitcost.errors import ConfigError, LedgerStoppedError, UnitcostError
from unitcost.ledger.care import ledger_check, restored
from unitcost.ledger.rewound import rewound
from unitcost.ledger.store import Ledger
from unitcost.metrics.reference import markdown
from unitcost.redaction import LogFormatter, say, visible
from unitcost.run.refresh import Refresher
from unitcost.run.reload import ConfigReloader
from unitcost.web.server import Server, serve
from unitcost.web.snapshot import Current
from unitcost.web.web_config import WebConfig

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


def main(argv: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    try:
        args = _parser().parse_args(argv)
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
        run: Callable[[argparse.Namespace], int] = args.run
        return run(args)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unitcost", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"unitcost {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more, on stderr")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sub = command("serve", _serve, "Serve /metrics and a page, refreshed in the background.")
    _with_config(sub)
    sub.add_argument("--listen", metavar="ADDRESS", help="default: web.listen of the configuration, 0.0.0.0:9488")
    sub.add_argument("--once", action="store_true", help="refresh once, print the metrics and end")
    sub = command("check", _check, "Validate the configuration, then ask every source once and say what it answered.")
    _with_config(sub)
    sub.add_argument(
        "--dry-run",
        action="store_true",
        help="ask nothing that costs: print the statements for bills in an engine's table, and what they would read",
    )
    sub = command("report", _report, "Print the margin table of a window.")
    _with_config(sub)
    _of_window(sub, FORMATS)
    sub = command("backfill", _backfill, "Write the past days as OpenMetrics, for promtool to import into Prometheus.")
    _with_config(sub)
    sub.add_argument("--from", dest="first", type=a_day, metavar="DAY", help="default: the first day the ledger knows")
    sub.add_argument("--to", dest="last", type=a_day, metavar="DAY", help="default: yesterday (UTC)")
    sub.add_argument("--output", type=Path, required=True, metavar="FILE", help="the file to write or replace")
    sub = command("healthy", _healthy, "Ask the server on this machine whether it is healthy, as a container's check.")
    sub.add_argument(
        "--config", type=Path, metavar="FILE", help="default: unitcost.yaml here or in /etc/unitcost, if there is one"
    )
    sub.add_argument("--listen", metavar="ADDRESS", help="what was given to serve, if anything")
    sub = command("ledger", _ledger, "Look after the ledger in state_dir: check it, or put a kept copy in its place.")
    sub.add_argument("action", choices=("check", "restore"), help="read all of it; or restore from FILE")
    sub.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="a copy; default: the ledger (check), the newest (restore)"
    )
    sub.add_argument("--config", type=Path, default=Path("unitcost.yaml"), metavar="FILE", help="names state_dir")
    sub = command("config", _config, "Print an example of unitcost.yaml to begin with, or its JSON schema.")
    config.add_arguments(sub)
    _ai_commands(command)
    command("metrics", _metrics, "Print METRICS.md: every metric, its labels and meaning.")
    return parser


Commands = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def _ai_commands(command: Commands) -> None:
    sub = command(
        "audit", _audit, "Say why token counters and a provider's bill differ: causes that sum to it exactly."
    )
    sub.add_argument("subject", choices=("ai",), help="what is audited: the use of AI models")
    _with_config(sub)
    _of_window(sub, audit.FORMATS)
    sub.add_argument("--provider", default="", metavar="NAME", help="whose accounts; default: all")
    sub = command(
        "prices", _prices, "Print what a model costs, by which rule and since when, and what it costs elsewhere."
    )
    sub.add_argument("model", metavar="MODEL", help="as a provider, gateway or cloud spells it: azure/gpt-4o")
    sub.add_argument("--provider", default="", metavar="NAME", help="whose it is, where its name does not say it")
    sub.add_argument("--on", type=a_day, metavar="DAY", help="default: today (UTC)")
    sub.add_argument(
        "--config", type=Path, metavar="FILE", help="for its prices; default: unitcost.yaml, if there is one"
    )
    sub = command(
        "what-if", _what_if, "Print what AI could cost instead: another model, a prompt cache, a cache of answers."
    )
    sub.add_argument("subject", choices=("ai",), help="what it is about: the use of AI models")
    _with_config(sub)
    sub.add_argument("--window", default=LAST_MONTH, type=an_own_window, help="1d, 30d, mtd, last_month (the default)")
    sub = command("limits", _limits, "Print how much AI a price carries in a month, as a file that a gateway enforces.")
    _with_config(sub)
    sub.add_argument("--by", choices=("plan", "tenant"), default="tenant", help="default: tenant")
    sub.add_argument("--format", choices=LIMIT_FORMATS, default=LIMIT_FORMATS[0], help="default: json")


def _with_config(sub: argparse.ArgumentParser) -> None:
    either = sub.add_mutually_exclusive_group()
    either.add_argument(
        "--config", type=Path, default=Path("unitcost.yaml"), metavar="FILE", help="default: unitcost.yaml"
    )
    either.add_argument("--sample", action="store_true", help="a made-up company instead of a configuration")
    sub.add_argument("--as-of", type=a_time, metavar="TIME", help="fix the clock: 2026-11-01 or RFC 3339, UTC")


def _of_window(sub: argparse.ArgumentParser, forms: Sequence[str]) -> None:
    sub.add_argument(
        "--window",
        default=LAST_MONTH,
        type=a_window,
        help="1d, 30d, mtd, last_month (the default), prev_30d, 2026-10",
    )
    sub.add_argument("--format", choices=forms, default=forms[0], help=f"default: {forms[0]}")


def _clock(args: argparse.Namespace) -> Callable[[], datetime]:
    fixed: datetime | None = args.as_of
    return (lambda: fixed) if fixed is not None else (lambda: datetime.now(UTC))


@contextmanager
def _company(args: argparse.Namespace) -> Iterator[tuple[Config, Directory]]:
    """Load the configuration, or write the sample company to a temporary folder and load that."""
    with ExitStack() as stack:
        path: Path = args.config
        if args.sample:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="unitcost-sample-")))
            path = sample.write(folder, _clock(args)())
        yield _loaded(path)


def _loaded(path: Path) -> tuple[Config, Directory]:
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
def _state_dir(args: argparse.Namespace, config: Config) -> Iterator[Path | None]:
    """Give the ledger's folder; None for the sample, which keeps none. A fixed clock sees nothing from after it."""
    if args.sample:
        yield None
    elif args.as_of is None:
        yield config.state_dir
    else:
        with rewound(config.state_dir, args.as_of) as folder:
            yield folder


def _serve(args: argparse.Namespace) -> int:
    with _company(args) as (config, directory), _state_dir(args, config) as state_dir:
        current = Current()
        web_config = WebConfig.of(config.web.config_file)
        ledger = Ledger(state_dir)
        try:
            refresher = Refresher(config, directory, ledger, current, _clock(args))
            if args.once:
                good = refresher.refresh()
                snapshot = current.get()
                if snapshot is not None:
                    sys.stdout.buffer.write(snapshot.text)
                return FINE if good and snapshot is not None else FAILED
            _serve_on(args, config, web_config, refresher)
        finally:
            ledger.close()
    return FINE


def _serve_on(args: argparse.Namespace, config: Config, web_config: WebConfig, refresher: Refresher) -> None:
    """Refresh in the background and serve what that brings, until the process is to end."""
    background = threading.Thread(target=refresher.run, name="refresh", daemon=True)
    reloader = None if args.sample else ConfigReloader(args.config, refresher, args.listen)

    def start(server: Server) -> None:
        background.start()
        if reloader is not None:
            reloader.start(server)

    def stop() -> None:
        if reloader is not None:
            reloader.stop()
        refresher.stop()

    serve(
        refresher.current,
        args.listen or config.web.listen,
        web_config,
        max_connections=config.web.max_connections,
        lifecycle=None if reloader is None else reloader.lifecycle,
        on_start=start,
        on_stop=stop,
    )


def _check(args: argparse.Namespace) -> int:
    with _company(args) as (config, directory):
        WebConfig.of(config.web.config_file)
        state_dir = None if args.sample else config.state_dir
        if args.dry_run:
            return FINE if dry_run(config, _clock(args), state_dir, sys.stdout) else FAILED
        return FINE if check(config, directory, _clock(args), state_dir, sys.stdout) else FAILED


def _report(args: argparse.Namespace) -> int:
    with _company(args) as (config, directory), _state_dir(args, config) as state_dir:
        good = report(config, directory, _clock(args), args.window, args.format, state_dir)
    return FINE if good else FAILED


def _audit(args: argparse.Namespace) -> int:
    with _company(args) as (config, directory), _state_dir(args, config) as state_dir:
        good = audit.audit_ai(
            config, directory, _clock(args), args.window, args.provider, args.format, state_dir, sys.stdout
        )
    return FINE if good else FAILED


def _backfill(args: argparse.Namespace) -> int:
    with _company(args) as (config, directory), _state_dir(args, config) as state_dir:
        good, remarks = backfill(config, directory, _clock(args), args.first, args.last, args.output, state_dir)
    for remark in remarks:
        say(sys.stderr, remark)
    return FINE if good else FAILED


def _healthy(args: argparse.Namespace) -> int:
    good, line = healthy(args.config, args.listen)
    say(sys.stdout, line)
    return FINE if good else FAILED


def _ledger(args: argparse.Namespace) -> int:
    config, _ = _loaded(args.config)
    if args.action == "restore":
        say(sys.stdout, restored(config.state_dir, args.file, datetime.now(UTC)))
        return FINE
    return FINE if ledger_check(config.state_dir, args.file, sys.stdout) else FAILED


def _config(args: argparse.Namespace) -> int:
    sys.stdout.write(config.text(args))
    return FINE


def _prices(args: argparse.Namespace) -> int:
    from unitcost.cli.prices import prices  # noqa: PLC0415 - the price list takes 0.2 s, which no other command waits for

    path: Path = args.config or Path("unitcost.yaml")
    rules = load(path)[0].ai.prices if args.config or path.exists() else ()
    day = args.on or datetime.now(UTC).date()
    return FINE if prices(rules, args.model, args.provider, day, sys.stdout) else FAILED


def _what_if(args: argparse.Namespace) -> int:
    with _company(args) as (config, directory), _state_dir(args, config) as state_dir:
        good = what_if(config, directory, _clock(args), args.window, state_dir)
    return FINE if good else FAILED


def _limits(args: argparse.Namespace) -> int:
    with _company(args) as (config, directory), _state_dir(args, config) as state_dir:
        good = limits(config, directory, _clock(args), args.by, args.format, state_dir)
    return FINE if good else FAILED


def _metrics(_: argparse.Namespace) -> int:
    sys.stdout.write(markdown())
    return FINE
