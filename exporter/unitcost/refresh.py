"""The background refresh: asks the sources, stores what they say, derives, publishes. A scrape never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from unitcost.config import Config, settings_digest
from unitcost.directory import Directory
from unitcost.errors import LedgerError, LedgerLostError, LedgerStoppedError, SourceError, UnitcostError, describe
from unitcost.ledger.derive import Model, derive, look
from unitcost.ledger.kept import keep_copy
from unitcost.ledger.prune import first_kept, prune
from unitcost.ledger.report_lines import leave_copy
from unitcost.ledger.store import Ledger
from unitcost.overview import overview
from unitcost.page import render_page
from unitcost.records import Asked, Batch, Note, Problem
from unitcost.series import SourceState, families
from unitcost.snapshot import Current, Snapshot
from unitcost.sources.base import Source
from unitcost.sources.table import TYPES

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds a refresh waits for slow sources before it publishes what the others brought."""

POLL = 0.02
"""Seconds between two looks at whether the sources are done, or the exporter is stopping."""

SHOWN_PROBLEMS = 5


@dataclass
class Desk:
    """One source with its state; written by its own thread, read when a snapshot is made."""

    name: str
    source: Source
    settings: str
    rates: Mapping[str, Decimal]
    thread: threading.Thread | None = None
    up: bool = False
    last_success: datetime | None = None
    duration: float | None = None
    errors: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def state(self) -> SourceState:
        """Return what the metrics say of this source."""
        rates = self.rates
        similar = sum(
            (amount * rates.get(code, Decimal(0)) for note in self.notes for code, amount in note.similar.items()),
            Decimal(0),
        )
        return SourceState(self.up, self.last_success, self.duration, dict(self.errors), similar)


class Refresher:
    """Keeps the ledger and the current snapshot up to date with the sources of a configuration."""

    def __init__(
        self, config: Config, directory: Directory, ledger: Ledger, current: Current, clock: Callable[[], datetime]
    ) -> None:
        self._config = config
        self._directory = directory
        self._ledger = ledger
        self._current = current
        self._clock = clock
        self._model = Model.of(config, directory)
        self._stop = threading.Event()
        self._lost: str | None = None
        self._kept: date | None = None
        context = replace(config.context(), names=directory.names(config.tenants.fold))
        seen = {
            name: datetime.fromtimestamp(at, UTC)
            for name, at in ledger.rows("SELECT source, epoch(last_success) FROM source_state")
        }
        self.desks = [
            Desk(
                name,
                TYPES[settings.type].source(name, settings, context),
                settings_digest(config, name),
                config.currency.all_rates(),
                last_success=seen.get(name),
            )
            for name, settings in config.sources.items()
        ]

    def run(self) -> None:
        """Publish what the ledger holds, then refresh until stop() is called."""
        every = self._config.refresh.every.total_seconds()
        self._current.health.watch(threading.current_thread(), self._config.refresh.every)
        if self._holds_days():
            self.publish()
        while not self._stop.is_set():
            started = time.monotonic()
            self.refresh(PATIENCE)
            if self._lost is None and not self._stop.is_set():
                self._keep_copy()
            self._stop.wait(max(1.0, every - (time.monotonic() - started)))

    def _holds_days(self) -> bool:
        try:
            return bool(self._ledger.rows("SELECT 1 FROM known_day LIMIT 1"))
        except LedgerError:
            return True  # publish() says so

    def _keep_copy(self) -> None:
        copies = self._config.copies
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

    def stop(self) -> None:
        """End run() soon; a source that still waits for its server is left behind."""
        self._stop.set()

    def refresh(self, patience: float | None = None) -> bool:
        """Ask every source once, then publish; return whether everything went well.

        Clusters come first: a bill needs the ids of their nodes. patience: seconds to wait for each of both
        groups; a slower source goes on alone and is published by a later refresh.
        """
        self._lost = None
        clusters = [desk for desk in self.desks if desk.source.kind == "cluster"]
        self._ask(clusters, patience)
        self._ask([desk for desk in self.desks if desk not in clusters], patience)
        if self._stop.is_set():
            return False
        return self.publish() and all(desk.up for desk in self.desks)

    def _ask(self, desks: Iterable[Desk], patience: float | None) -> None:
        deadline = None if patience is None else time.monotonic() + patience
        waiting = []
        for desk in desks:
            if desk.thread is None or not desk.thread.is_alive():
                desk.thread = threading.Thread(
                    target=self._fetch, args=(desk,), name=f"source-{desk.name}", daemon=True
                )
                desk.thread.start()
            waiting.append(desk.thread)
        while any(thread.is_alive() for thread in waiting) and not self._stop.wait(POLL):
            if deadline is not None and time.monotonic() > deadline:
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
        desk.problems = [describe(p.where, p.text, p.hint) for p in problems]
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
            if self._stop.is_set():
                raise SourceError("stopped", "", "the exporter is stopping")
            if isinstance(item, Batch):
                self._store(desk, item, now, problems)
            elif isinstance(item, Problem):
                problems.append(item)
            else:
                notes.append(item)

    def _store(self, desk: Desk, batch: Batch, now: datetime, problems: list[Problem]) -> None:
        if self._kept is not None and batch.days and max(batch.days) < self._kept:
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

    def _forget(self, now: datetime) -> timedelta:
        """Prune the ledger; return how far back its days count. One in memory (`check`, the sample) keeps them all."""
        if self._ledger.path is None:
            return self._config.history
        self._kept = first_kept(self._ledger, now, self._config.history, self._config.windows)
        prune(self._ledger, self._kept)
        return now.date() - self._kept

    def _lose(self, error: LedgerLostError) -> None:
        """Say once a refresh that the ledger cannot be used: all sources, and the numbers, fail of it at once."""
        if self._lost is None:
            log.error("the last good numbers stay: %s", error)
        self._lost = str(error)
        self._current.health.lost(str(error))

    def publish(self) -> bool:
        """Derive what changed and swap in a new snapshot; on failure the last one stays. Return success."""
        now = self._clock()
        try:
            self._ledger.refuse_lost()
            with self._ledger.alone():  # a batch is stored before all of this or after: no number without the others
                derive(self._ledger, self._model, now, self._forget(now))
                look(self._ledger, self._config, self._directory, now)
                found = families(
                    self._ledger,
                    {desk.name: desk.state() for desk in self.desks},
                    now,
                    with_directory=self._config.tenants.directory is not None,
                )
                view = overview(self._ledger, self._config, self.desks, now)
            self._current.publish(Snapshot.of(found, render_page(view), now))
            self._current.health.published(self._lost)
            leave_copy(self._ledger)
        except LedgerStoppedError:
            return False
        except LedgerLostError as error:
            self._lose(error)
            return False
        except UnitcostError as error:
            log.error("the numbers were not renewed, the last good ones stay: %s", error)
            return False
        except Exception:
            log.exception("the numbers were not renewed, the last good ones stay; please report this")
            return False
        return True
