"""Asks the sources, each in a thread of its own, stores what they say, and keeps each one's state."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from math import inf

from unitcost.config.directory import Directory
from unitcost.config.model import Config, former_digests, settings_digest
from unitcost.errors import LedgerLostError, SourceError, UnitcostError
from unitcost.facts import Asked, Batch, Note, Problem
from unitcost.ledger.store import Ledger
from unitcost.run.desk import Desk
from unitcost.run.setup import Setup
from unitcost.sources.base import HttpSettings, Waiting
from unitcost.sources.registry import TYPES

log = logging.getLogger(__name__)

SILENCE = 5.0
"""Seconds without any answer of its server after which a source is not waited for."""

POLL = 0.02
"""Seconds between two looks at whether the sources are done, or the exporter is stopping."""

SHOWN_PROBLEMS = 5


class Fetcher:
    """Asks the sources of a configuration. lose: is told that the ledger cannot be used, at each thing that it fails.

    setup: the tenants and settings as they are known now. kept: days before it are forgotten, and not stored again.
    """

    def __init__(
        self,
        config: Config,
        directory: Directory,
        ledger: Ledger,
        clock: Callable[[], datetime],
        lose: Callable[[LedgerLostError], None] = log.error,
    ) -> None:
        self._config = config
        self.setup = Setup.of(config, directory)
        self._ledger = ledger
        self._clock = clock
        self._lose = lose
        self._stop = threading.Event()
        self.kept: date | None = None
        ledger.adopt(former_digests(config))
        context = replace(config.context(), names=lambda: self.setup.names)
        seen = {
            name: datetime.fromtimestamp(at, UTC)
            for name, at in ledger.rows("SELECT source, epoch(last_success) FROM source_state")
        }
        self.desks = []
        for name, settings in config.sources.items():
            waiting = Waiting()
            source = TYPES[settings.type].source(name, settings, replace(context, waiting=waiting))
            digest, rates = settings_digest(config, name), config.currency.all_rates()
            timeout = settings.timeout if isinstance(settings, HttpSettings) and settings.url else None
            self.desks.append(Desk(name, source, digest, rates, waiting, timeout, last_success=seen.get(name)))

    def know(self, directory: Directory) -> None:
        """Take another tenant directory from here on."""
        self.setup = Setup.of(self._config, directory)

    @property
    def fine(self) -> bool:
        """Whether every source answered, and all that they said is counted."""
        return all(desk.fine for desk in self.desks)

    @property
    def stopping(self) -> bool:
        """Whether stop() was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Wait for nothing any more; a source that still waits for its server is left behind."""
        self._stop.set()

    def said(self) -> list[str]:
        """Return all that is wrong with the sources, a line each."""
        return [f"{desk.name}: {line}" for desk in self.desks for line in desk.said()]

    def fetch(self, patience: float = inf) -> None:
        """Ask every source once.

        patience: seconds to wait, for a silent server SILENCE at most; a slower source goes on alone. inf: to the end.
        """
        self.wait_for(self._start(), patience, inf if patience == inf else SILENCE)

    def rest(self, seconds: float) -> None:
        """Wait, unless it is to stop."""
        self._stop.wait(seconds)

    def _start(self) -> list[Desk]:
        """Ask the sources that are not being asked already, each in a thread of its own; return all of them."""
        for desk in self.desks:
            if not desk.running:
                name = f"source-{desk.name}"
                desk.thread = threading.Thread(target=self._fetch, args=(desk,), name=name, daemon=True)
                desk.thread.start()
        return self.desks

    def wait_for(self, desks: Sequence[Desk], patience: float, silence: float) -> None:
        """Wait so many seconds in all, and for a source whose server is silent no longer than that."""
        deadline = time.monotonic() + patience
        while any(desk.running and desk.silent <= silence for desk in desks) and not self._stop.wait(POLL):
            if time.monotonic() > deadline:
                return

    def _fetch(self, desk: Desk) -> None:
        """Ask one source; store each batch as it comes."""
        started = time.monotonic()
        now = self._clock()
        problems: list[Problem] = []
        notes: list[Note] = []
        lost = False
        try:
            self._take(desk, now, problems, notes)
        except SourceError as error:
            problems.append(Problem.of(error))
        except LedgerLostError as error:
            lost = True
            self._lose(error)
            problems.append(Problem("ledger", "", str(error)))
        except UnitcostError as error:
            problems.append(Problem("ledger", "", str(error)))
        except Exception:
            if self._ledger.stopped:
                return
            log.exception("%s: failed in a way it should not; please report this", desk.name)
            problems.append(Problem("defect", "", "failed in a way it should not", "See the log and report it"))
        if self._ledger.stopped:
            return
        desk.errors.update(problem.reason for problem in problems)
        desk.problems = [problem.line for problem in problems]
        desk.notes = notes
        desk.up = not problems
        desk.duration = time.monotonic() - started
        for line in [] if lost else desk.problems[:SHOWN_PROBLEMS]:
            log.warning("%s: %s", desk.name, line)
        if len(problems) > SHOWN_PROBLEMS:
            log.warning("%s: and %d more problems", desk.name, len(problems) - SHOWN_PROBLEMS)
        if not problems:
            desk.last_success = now
            self._remember(desk, now)

    def _take(self, desk: Desk, now: datetime, problems: list[Problem], notes: list[Note]) -> None:
        """Store each batch of a source as it comes; collect what it has to say besides."""
        asked = Asked(
            now=now,
            first_day=now.date() - self._config.history,
            restate_days=self._config.refresh.restate_days,
            stored=self._ledger.stored(desk.name, desk.settings),
        )
        for item in desk.source.batches(asked):
            if self.stopping:
                raise SourceError("stopped", "", "the exporter is stopping")
            if isinstance(item, Batch):
                self._store(desk, item, now, problems)
                if desk.duration is None:  # a first load may take long; what it has brought so far speaks for it
                    desk.brought, desk.up = True, not problems
            elif isinstance(item, Problem):
                problems.append(item)
            else:
                notes.append(item)

    def _store(self, desk: Desk, batch: Batch, now: datetime, problems: list[Problem]) -> None:
        if self.kept is not None and batch.days and max(batch.days) < self.kept:
            return  # an export holds months that are forgotten again and again
        try:
            rates = self._config.currency.all_rates()
            clusters = [other.name for other in self.desks if other.source.kind == "cluster"]
            self._ledger.put(desk.name, desk.settings, batch, now, rates, clusters)
        except SourceError as error:
            problems.append(Problem.of(error))

    def _remember(self, desk: Desk, now: datetime) -> None:
        try:
            self._ledger.succeeded(desk.name, now)
        except UnitcostError as error:
            log.error("%s: %s", desk.name, error)

    def leave_out(self, found: Mapping[str, list[Problem]]) -> None:
        """Say of each source what the ledger holds of it and cannot count."""
        for desk in self.desks:
            before, desk.left_out = desk.left_out, found.get(desk.name, [])
            desk.errors.update(problem.reason for problem in desk.left_out)
            for problem in desk.left_out:
                if problem not in before:
                    log.warning("%s: %s", desk.name, problem.line)
