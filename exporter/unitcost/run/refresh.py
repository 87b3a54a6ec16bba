"""The background refresh: asks the sources, stores what they say, derives, publishes. A scrape never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import Any

from unitcost.config.directory import Directory
from unitcost.config.model import Config, settings_digest
from unitcost.economics.margin import leave_copy
from unitcost.economics.windows import look
from unitcost.errors import LedgerError, LedgerLostError, LedgerStoppedError, SourceError, UnitcostError
from unitcost.facts import Asked, Batch, Note, Problem
from unitcost.ledger.derive import derive
from unitcost.ledger.doubts import told
from unitcost.ledger.kept import keep_copy
from unitcost.ledger.prune import first_kept, prune
from unitcost.ledger.store import Ledger
from unitcost.metrics.families import families
from unitcost.run.desk import Desk
from unitcost.run.model import counting, terms
from unitcost.run.overview import overview
from unitcost.sources.base import HttpSettings, Waiting
from unitcost.sources.registry import TYPES
from unitcost.web.pages.front import render_page
from unitcost.web.snapshot import Current, Snapshot

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds a refresh waits for slow sources before it publishes what the others brought."""

SILENCE = 5.0
"""Seconds without any answer of its server after which a source is not waited for."""

HEAD_START = 20.0
"""Seconds that bills wait for clusters, as long as none of their nodes is known and they answer."""

LOOK = 10.0
"""Seconds between two looks at whether a source that was not waited for is done."""

PROGRESS = 60.0
"""Seconds after which what a long load has brought is published."""

POLL = 0.02
"""Seconds between two looks at whether the sources are done, or the exporter is stopping."""

SHOWN_PROBLEMS = 5


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
        self._model = counting(config, directory)
        self._stop = threading.Event()
        self._lost: str | None = None
        self._kept: date | None = None
        context = replace(config.context(), names=directory.names(config.tenants.fold))
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
            self._rest(time.monotonic() + max(1.0, every - (time.monotonic() - started)))

    def _rest(self, until: float) -> None:
        """Wait for the next refresh (monotonic seconds); publish what slower sources bring meanwhile."""
        published = time.monotonic()
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            late = [desk for desk in self.desks if desk.running]
            if not late:
                self._stop.wait(left)
                return
            self._wait_for(late, min(left, LOOK), inf)
            done = [desk for desk in late if not desk.running]
            if done or time.monotonic() - published > PROGRESS:
                self._ask_bills_again(PATIENCE)
                self.publish()
                published = time.monotonic()

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

        patience: seconds to wait (for a silent server SILENCE at most); a slower source goes on alone and is published
        later. A bill needs the ids of the clusters' nodes, so it waits for a cluster of which none is known, for a
        short time; and it is asked again when nodes came after it was asked, lest its dollars and the cluster's
        estimate both count.
        """
        self._lost = None
        bills = [desk for desk in self.desks if desk.source.kind == "bill"]
        asked = self._start([desk for desk in self.desks if desk not in bills])
        if patience is None:
            self._wait_for([desk for desk in self.desks if desk.source.kind == "cluster"], inf, inf)
            self._start(bills)
            self._wait_for(self.desks, inf, inf)
        else:
            if bills:
                self._wait_for(self._without_nodes(asked), min(patience, HEAD_START), SILENCE)
            self._wait_for([*asked, *self._start(bills)], patience, SILENCE)
            self._ask_bills_again(patience)
        if self._stop.is_set():
            return False
        return self.publish() and all(desk.fine for desk in self.desks)

    def _start(self, desks: Sequence[Desk]) -> list[Desk]:
        """Ask these sources, each in a thread of its own; return those that were not being asked already."""
        idle = [desk for desk in desks if not desk.running]
        nodes = self._nodes() if any(desk.source.kind == "bill" for desk in idle) else None
        for desk in idle:
            desk.saw = nodes
            desk.thread = threading.Thread(target=self._fetch, args=(desk,), name=f"source-{desk.name}", daemon=True)
            desk.thread.start()
        return idle

    def _wait_for(self, desks: Sequence[Desk], patience: float, silence: float) -> None:
        """Wait so many seconds in all, and for a source whose server is silent no longer than that."""
        deadline = time.monotonic() + patience
        while any(desk.running and desk.silent <= silence for desk in desks) and not self._stop.wait(POLL):
            if time.monotonic() > deadline:
                return

    def _ask_bills_again(self, patience: float) -> None:
        """Ask the bills that have not seen all nodes; others of their rows may turn out to be Kubernetes."""
        bills = [desk for desk in self.desks if desk.source.kind == "bill" and not desk.running]
        if bills and not self._stop.is_set():
            nodes = self._nodes()
            self._wait_for(self._start([desk for desk in bills if desk.saw != nodes]), patience, SILENCE)

    def _without_nodes(self, desks: Sequence[Desk]) -> list[Desk]:
        known = {name for (name,) in self._rows("SELECT DISTINCT source FROM node")}
        return [desk for desk in desks if desk.source.kind == "cluster" and desk.name not in known]

    def _nodes(self) -> object:
        return self._rows("SELECT count(*), sum(hash(source, day, provider_id, cluster)::HUGEINT) FROM node")

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            return self._ledger.rows(sql)
        except UnitcostError:
            return []  # who stores, or publishes, says so

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
            if self._stop.is_set():
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

    def _leave_out(self, found: Mapping[str, list[Problem]]) -> None:
        """Say of each source what the ledger holds of it and cannot count."""
        for desk in self.desks:
            before, desk.left_out = desk.left_out, found.get(desk.name, [])
            desk.errors.update(problem.reason for problem in desk.left_out)
            for problem in desk.left_out:
                if problem not in before:
                    log.warning("%s: %s", desk.name, problem.line)

    def publish(self) -> bool:
        """Derive what changed and swap in a new snapshot; on failure the last one stays. Return success."""
        now = self._clock()
        try:
            self._ledger.refuse_lost()
            with self._ledger.alone():  # a batch is stored before all of this or after: no number without the others
                derive(self._ledger, self._model, now, self._forget(now))
                self._leave_out(told(self._ledger))
                look(self._ledger, terms(self._config, self._directory), now)
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
