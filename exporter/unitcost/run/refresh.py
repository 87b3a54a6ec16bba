"""The background refresh: fetch, publish, rest. A scrape never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf

from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.errors import LedgerError, LedgerLostError, LedgerStoppedError, UnitcostError
from unitcost.ledger.kept import keep_copy
from unitcost.ledger.store import Ledger
from unitcost.run.configured import Configured
from unitcost.run.fetch import Fetcher
from unitcost.run.publish import Publisher
from unitcost.run.runner import SourceRunner
from unitcost.web.snapshot import Current

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds a refresh waits for slow sources before it publishes what the others brought."""

LOOK = 10.0
"""Seconds between two looks at whether a source that was not waited for is done."""

PROGRESS = 60.0
"""Seconds after which what a long load has brought is published."""


class Refresher:
    """Keeps the ledger and what is served (`current`) up to date with the sources of a configuration."""

    def __init__(
        self, config: Config, directory: Directory, ledger: Ledger, current: Current, clock: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self.current = current
        self._clock = clock
        self._lost: str | None = None
        self._late: list[SourceRunner] = []
        """Sources that were being asked when numbers were published last: what they bring is not in them."""
        self._fetcher = Fetcher(config, directory, ledger, clock, self._lose)
        self._publisher = Publisher(ledger, current, self._lose)

    @property
    def runners(self) -> Sequence[SourceRunner]:
        """The sources with their states."""
        return self._fetcher.runners

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._fetcher.configured.config

    def prepared(self, config: Config, directory: Directory) -> Configured:
        """Return another configuration with its sources, to take over; nothing is asked yet, and nothing changes."""
        return self._fetcher.prepared(config, directory, self._fetcher.configured)

    def take_over(self, configured: Configured) -> None:
        """Go on under this configuration: at once, from any thread. The refresh publishes and asks what is new."""
        self._fetcher.take_over(configured)

    def refuse(self) -> None:
        """Stay with the configuration in use, and tell that another one was wrong."""
        self._fetcher.refuse()

    def run(self) -> None:
        """Publish what the ledger holds, then refresh until stop() is called."""
        self.current.health.watch(threading.current_thread(), self.config.refresh.every)
        if self._holds_days():
            self.publish()
        while not self._fetcher.stopping:
            started = time.monotonic()
            self.refresh(PATIENCE)
            if self._lost is None and not self._fetcher.stopping:
                self._keep_copy()
            self._rest(started)

    def stop(self) -> None:
        """End run() soon; a source that still waits for its server is left behind."""
        self._fetcher.stop()

    def refresh(self, patience: float = inf) -> bool:
        """Ask every source once, then publish; return whether everything went well. patience: see `Fetcher.fetch`."""
        self._lost = None
        self._fetcher.configured.look()
        self._fetcher.fetch(patience)
        self._follow()
        return not self._fetcher.stopping and self.publish() and self._fetcher.fine

    def publish(self) -> bool:
        """Swap in a new snapshot of what the ledger holds; on failure the last one stays. Return success."""
        self._late = [runner for runner in self.runners if runner.running]
        good = self._publisher.publish(self._fetcher, self._clock())
        if good:
            self.current.health.published(self._lost)
        return good

    def _follow(self) -> bool:
        """Publish under a configuration that was taken over, and ask the sources it touches; tell if there are any."""
        asked = False
        while self._fetcher.changed() and not self._fetcher.stopping:
            self.current.health.expect(self.config.refresh.every)
            self._fetcher.adopt()
            self.publish()
            asked |= self._fetcher.ask(PATIENCE)
        return asked

    def _rest(self, started: float) -> None:
        """Wait for the next refresh, at least a second; publish what slower sources, or reloads, bring meanwhile.

        started: when the last one began, in monotonic seconds.
        """
        published = time.monotonic()
        earliest = published + 1.0
        while not self._fetcher.stopping:
            left = max(earliest, started + self.config.refresh.every.total_seconds()) - time.monotonic()
            if left <= 0:
                return
            late = [runner for runner in self._late if not runner.retired]
            if late:
                self._fetcher.wait_for(late, min(left, LOOK), inf)
            elif not self._fetcher.due():
                self._fetcher.rest(left)
            done = any(not runner.running for runner in late) or self._fetcher.due()
            if self._follow() or done or (late and time.monotonic() - published > PROGRESS):
                self._fetcher.ask(PATIENCE)
                self.publish()
                published = time.monotonic()

    def _holds_days(self) -> bool:
        try:
            return bool(self._ledger.rows("SELECT 1 FROM known_day LIMIT 1"))
        except LedgerError:
            return True  # publish() says so

    def _keep_copy(self) -> None:
        copies = self.config.copies
        try:
            kept = keep_copy(self._ledger, self._clock(), copies.every, copies.keep)
        except LedgerStoppedError:
            return
        except LedgerLostError as error:
            self._lose(error)
        except UnitcostError as error:
            log.warning("%s", error)
        else:
            if kept is not None:
                log.info("a copy of the ledger is kept: %s", kept)

    def _lose(self, error: LedgerLostError) -> None:
        """Say once a refresh that the ledger cannot be used: all sources, and the numbers, fail of it at once."""
        if self._lost is None:
            log.error("the last good numbers stay: %s", error)
        self._lost = str(error)
        self.current.health.lost(str(error))
