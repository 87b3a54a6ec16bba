"""`python -m demo`: starts everything, says where it is, prints alerts as they arrive, stops on Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

from demo.processes import StartError, answers
from demo.settings import Ports
from demo.stack import HOST, Stack, stack

FINE, FAILED = 0, 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

DESCRIPTION = """\
The sample company, all of it made up, in a real Prometheus and Alertmanager on this machine's loopback: the exporter
with its pages, months of history, the rules and the alerts, and invented metrics of its cluster. Ctrl-C stops all.
"""


def main(argv: Sequence[str]) -> int:
    """Run the demo until it is told to stop; return the exit code."""
    args = _parser().parse_args(argv)
    ports = Ports() if args.port_base is None else Ports.from_base(args.port_base)
    ports = replace(ports, **{name: port for name in _names() if (port := getattr(args, name)) is not None})
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as stops:
            folder = args.folder
            if folder is None:
                folder = Path(stops.enter_context(tempfile.TemporaryDirectory(prefix="unitcost-demo-")))
            folder.mkdir(parents=True, exist_ok=True)
            running = stops.enter_context(stack(folder.resolve(), ports, _say))
            _say(_welcome(running))
            while not (ended := running.ended()):
                time.sleep(0.5)
            return _failed(ended)
    except (StartError, OSError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        _say("stopped")
        return FINE


def _failed(why: object) -> int:
    sys.stderr.write(f"demo: {why}\n")
    return FAILED


def _interrupt(*_: object) -> None:
    for number in SIGNALS:  # once is enough: stopping must not be interrupted
        signal.signal(number, signal.SIG_IGN)
    _say("\nstopping")
    raise KeyboardInterrupt


def _names() -> list[str]:
    return [field.name for field in fields(Ports)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=DESCRIPTION)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep the data here; default: a temporary folder")
    parser.add_argument("--port-base", type=int, metavar="N", help="use the ports N to N+4")
    for field in fields(Ports):
        parser.add_argument(f"--{field.name}", type=int, metavar="PORT", help=f"default: {field.default}")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _welcome(running: Stack) -> str:
    ports = running.ports
    classic = "/classic" if answers(f"http://{HOST}:{ports.prometheus}/classic/alerts") else ""  # Debian's has no other
    pages = Path(__file__).resolve().parent.parent / "dashboards" / "json"
    return f"""
Everything runs, with {running.days} days of history. Ctrl-C stops it.
  unitcost      http://{HOST}:{ports.exporter}/   the company on one page; /metrics
  Prometheus    http://{HOST}:{ports.prometheus}/   {classic}/alerts, {classic}/rules, {classic}/graph
  Alertmanager  http://{HOST}:{ports.alertmanager}/
  Grafana       Debian has no package of it. In a Grafana 12 on this machine add the data source
                Prometheus http://{HOST}:{ports.prometheus} and import {pages}/*.json;
                or run all of this with Grafana in Docker: docker compose up --build
Alerts are printed here as they would reach a person:"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
