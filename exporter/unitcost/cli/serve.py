"""`unitcost serve`: /metrics and a page, refreshed in the background; or one refresh, printed."""

from __future__ import annotations

import argparse
import sys
import threading
from contextlib import closing

from unitcost.cli.company import clock_of, company, company_arguments, state_dir_of
from unitcost.config.model import Config
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.run.reload import ConfigReloader
from unitcost.web.server import Server, serve
from unitcost.web.snapshot import Current
from unitcost.web.web_config import WebConfig


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost serve`."""
    company_arguments(sub)
    sub.add_argument("--listen", metavar="ADDRESS", help="default: web.listen of the configuration, 0.0.0.0:9488")
    sub.add_argument("--once", action="store_true", help="refresh once, print the metrics and end")


def run(args: argparse.Namespace) -> bool:
    """Serve until the process is to end; or refresh once, and return whether all sources answered."""
    with company(args) as (config, directory), state_dir_of(args, config) as state_dir:
        current = Current()
        web_config = WebConfig.of(config.web.config_file)
        with closing(Ledger(state_dir)) as ledger:
            refresher = Refresher(config, directory, ledger, current, clock_of(args))
            if not args.once:
                _serve(args, config, web_config, refresher)
                return True
            good = refresher.refresh()
            snapshot = current.get()
            if snapshot is not None:
                sys.stdout.buffer.write(snapshot.text)
            return good and snapshot is not None


def _serve(args: argparse.Namespace, config: Config, web_config: WebConfig, refresher: Refresher) -> None:
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
