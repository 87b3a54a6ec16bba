"""Asks the sources, each in a thread of its own, stores what they say, and keeps each one's state."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from math import inf

from unitcost.config.directory import Directory
from unitcost.config.model import Config, former_digests, settings_digest
from unitcost.errors import LedgerLostError, SourceError, UnitcostError
from unitcost.facts import Asked, Batch, Note, Problem
from unitcost.ledger.paid import PaidRequests
from unitcost.ledger.store import Ledger
from unitcost.run.configured import Configured
from unitcost.run.runner import SourceRunner
from unitcost.sources.base import Context, Waiting
from unitcost.sources.registry import TYPES

log = logging.getLogger(__name__)

SILENCE = 5.0
"""Seconds without any answer of its server after which a source is not waited for."""

POLL = 0.02
"""Seconds between two looks at whether the sources are done, or the exporter is stopping."""

SHOWN_PROBLEMS = 5


class Fetcher:
    """Asks the sources of a configuration, in whose place another one may be taken over (take_over) at any time.

    lose: is told that the ledger cannot be used, at each thing that it fails. paid: counts requests that cost money;
    None: in state_dir, where the ledger is no mere one in memory.
    """

    def __init__(
        self,
        config: Config,
        directory: Directory,
        ledger: Ledger,
        clock: Callable[[], datetime],
        lose: Callable[[LedgerLostError], None] = log.error,
        paid: PaidRequests | None = None,
    ) -> None:
        self._ledger = ledger
        self._paid = paid or PaidRequests(None if ledger.path is None else config.state_dir)
        self._clock = clock
        self._lose = lose
        self._lock = threading.Lock()
        """Held while a configuration takes another's place, and where it must not."""
        self._wake = threading.Event()
        self._stopping = False
        self._changed = False
        self._seen = {
            name: datetime.fromtimestamp(at, UTC)
            for name, at in ledger.rows("SELECT source, epoch(last_success) FROM source_state")
        }
        self.configured = self.prepared(config, directory)
        ledger.adopt(former_digests(config))

    def prepared(self, config: Config, directory: Directory, before: Configured | None = None) -> Configured:
        """Return a configuration with its sources. before: the one in use, whose sources stay if they are the same."""
        context = replace(config.context(), names=lambda: self.configured.setup.names)
        runners = []
        for name, settings in config.sources.items():
            runner = before.runner(name) if before is not None and _same(name, before.config, config) else None
            if runner is None:
                waiting = Waiting()
                source = TYPES[settings.type].source(name, settings, replace(context, waiting=waiting))
                runner = SourceRunner(name, source, settings_digest(config, name), waiting, settings.patience)
                runner.last_success = self._seen.get(name)
                runner.paid = 0 if settings.paid else None
            runners.append(runner)
        return Configured(config, directory, runners, self._clock())

    def take_over(self, configured: Configured) -> None:
        """Go on under this configuration: at once, from any thread; what is under way is that of the new one or ends.

        A source that it knows no more, or otherwise, stores nothing from here on. One that stays as it was is not
        disturbed; it is asked at once only where it may have more to say. changed() tells the refresh.
        """
        with self._lock:
            before, self.configured = self.configured, configured
            for runner in before.runners:
                runner.retired = runner not in configured.runners
            for runner in configured.runners:
                was = before.runner(runner.name)
                if was is None:
                    continue
                if was is not runner:
                    runner.go_on_from(was)
                elif _may_tell_more(before.config, configured.config):
                    runner.due = True
            self._changed = True
            self._wake.set()

    def refuse(self) -> None:
        """Stay with the configuration in use, as another one was wrong. changed() tells the refresh if that is new."""
        with self._lock:
            if self.configured.reload.successful:
                self.configured.refuse()
                self._changed = True
                self._wake.set()

    def changed(self) -> bool:
        """Whether another configuration was taken over, or refused, since this was last asked."""
        with self._lock:
            changed, self._changed = self._changed, False
            if not self._stopping:
                self._wake.clear()
            return changed

    def adopt(self) -> None:
        """Know what a ledger of schema 1 holds of the configuration in use. What is wrong, who publishes says."""
        with suppress(UnitcostError):
            self._ledger.adopt(former_digests(self.configured.config))

    @property
    def runners(self) -> Sequence[SourceRunner]:
        """The sources with their states."""
        return self.configured.runners

    @property
    def fine(self) -> bool:
        """Whether every source answered, and all that they said is counted."""
        return all(runner.fine for runner in self.runners)

    @property
    def stopping(self) -> bool:
        """Whether stop() was called."""
        return self._stopping

    def stop(self) -> None:
        """Wait for nothing any more; a source that still waits for its server is left behind."""
        with self._lock:
            self._stopping = True
            self._wake.set()

    def said(self) -> list[str]:
        """Return all that is wrong with the sources, a line each."""
        return [f"{runner.name}: {line}" for runner in self.runners for line in runner.said()]

    def fetch(self, patience: float = inf) -> None:
        """Ask every source once.

        patience: seconds to wait, for a silent server SILENCE at most; a slower source goes on alone. inf: to the end.
        """
        runners = self.runners
        for runner in runners:
            runner.due = runner.due or not runner.running
        self._start(runners)
        self.wait_for(runners, patience, inf if patience == inf else SILENCE)

    def ask(self, patience: float) -> bool:
        """Ask those that are due, and wait for them as fetch() does; return whether there was any."""
        started = self._start(self.runners)
        self.wait_for(started, patience, SILENCE)
        return bool(started)

    def due(self) -> bool:
        """Whether a source is to be asked that was still busy when it should have been."""
        return bool(self._idle(self.runners))

    def rest(self, seconds: float) -> None:
        """Wait, unless it is to stop or another configuration is taken over."""
        self._wake.wait(seconds)

    def _start(self, runners: Sequence[SourceRunner]) -> list[SourceRunner]:
        """Ask those that are due and not being asked already, each in a thread of its own; return them."""
        idle = self._idle(runners)
        for runner in idle:
            runner.due = False
            runner.thread = threading.Thread(
                target=self._fetch, args=(runner,), name=f"source-{runner.name}", daemon=True
            )
            runner.thread.start()
        return idle

    @staticmethod
    def _idle(runners: Sequence[SourceRunner]) -> list[SourceRunner]:
        return [runner for runner in runners if runner.due and not runner.running and not runner.retired]

    def wait_for(self, runners: Sequence[SourceRunner], patience: float, silence: float) -> None:
        """Wait so many seconds in all, and for a source whose server is silent no longer than that.

        Returns at once when it is to stop or another configuration is taken over.
        """
        deadline = time.monotonic() + patience
        while any(runner.running and runner.silent <= silence for runner in runners) and not self._wake.wait(POLL):
            if time.monotonic() > deadline:
                return

    def _fetch(self, runner: SourceRunner) -> None:
        """Ask one source; store each batch as it comes."""
        started = time.monotonic()
        now = self._clock()
        problems: list[Problem] = []
        notes: list[Note] = []
        lost = False
        try:
            self._take(runner, now, problems, notes)
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
            log.exception("%s: failed in a way it should not; please report this", runner.name)
            problems.append(Problem("defect", "", "failed in a way it should not", "See the log and report it"))
        if self._ledger.stopped or not self._settle(runner, now, started, problems, notes):
            return
        for line in [] if lost else runner.problems[:SHOWN_PROBLEMS]:
            log.warning("%s: %s", runner.name, line)
        if len(problems) > SHOWN_PROBLEMS:
            log.warning("%s: and %d more problems", runner.name, len(problems) - SHOWN_PROBLEMS)
        if not problems:
            self._remember(runner, now)

    def _settle(
        self, runner: SourceRunner, now: datetime, started: float, problems: Sequence[Problem], notes: list[Note]
    ) -> bool:
        """Keep what came of asking a source; return False, and keep nothing, where it was retired meanwhile."""
        with self._lock:
            if runner.retired:
                return False
            runner.errors.update(problem.reason for problem in problems)
            runner.problems = [problem.line for problem in problems]
            runner.notes = notes
            runner.up = not problems
            runner.duration = time.monotonic() - started
            if not problems:
                runner.last_success = self._seen[runner.name] = now
            return True

    def _take(self, runner: SourceRunner, now: datetime, problems: list[Problem], notes: list[Note]) -> None:
        """Store each batch of a source as it comes; collect what it has to say besides."""
        config = self.configured.config
        asked = Asked(
            now=now,
            first_day=now.date() - config.history,
            restate_days=config.refresh.restate_days,
            stored=self._ledger.stored(runner.name, runner.settings),
            paid=_Paid(self._ledger, self._paid, runner),
        )
        for item in runner.source.batches(asked):
            if self.stopping:
                raise SourceError("stopped", "", "the exporter is stopping")
            if runner.retired:
                return
            if isinstance(item, Batch):
                self._store(runner, item, now, problems)
                if runner.duration is None:  # a first load may take long; what it has brought so far speaks for it
                    runner.brought, runner.up = True, not problems
            elif isinstance(item, Problem):
                problems.append(item)
            else:
                notes.append(item)

    def _store(self, runner: SourceRunner, batch: Batch, now: datetime, problems: list[Problem]) -> None:
        try:
            with self._ledger.alone():
                # Looked at and stored in one: what a retired source said is in before the next snapshot, or never.
                configured = self.configured
                if runner.retired:
                    return
                if configured.kept is not None and batch.days and max(batch.days) < configured.kept:
                    return  # an export holds months that are forgotten again and again
                rates = configured.config.currency.all_rates()
                clusters = [other.name for other in configured.runners if other.source.kind == "cluster"]
                self._ledger.put(runner.name, runner.settings, batch, now, rates, clusters)
        except SourceError as error:
            problems.append(Problem.of(error))

    def _remember(self, runner: SourceRunner, now: datetime) -> None:
        try:
            with self._ledger.alone():
                if not runner.retired:
                    self._ledger.succeeded(runner.name, now)
        except UnitcostError as error:
            log.error("%s: %s", runner.name, error)


@dataclass(frozen=True)
class _Paid:
    """Counts the paid requests of one source: durably for its budget, and since the start; satisfies facts.Paid.

    Raises LedgerLostError where the ledger could not hold what is paid for.
    """

    ledger: Ledger
    requests: PaidRequests
    runner: SourceRunner

    def spend(self, budget: int) -> bool:
        self.ledger.refuse_lost()
        if not self.requests.spend(self.runner.name, budget):
            return False
        self.runner.paid = (self.runner.paid or 0) + 1
        return True

    def spent(self) -> tuple[date, int]:
        return self.requests.spent(self.runner.name)


def _same(name: str, before: Config, after: Config) -> bool:
    """Whether a source is and does the same under both, so that another configuration does not disturb it."""
    return (
        before.sources.get(name) == after.sources[name]
        and settings_digest(before, name) == settings_digest(after, name)
        and _besides(before) == _besides(after)
    )


def _besides(config: Config) -> Context:
    """Return what sources know of the rest of the file besides what is in their digests, as far as it matters there."""
    return replace(config.context(), tenant_keys=(), fold=False, dimensions=(), currency="")


def _may_tell_more(before: Config, after: Config) -> bool:
    """Whether sources that stay the same are asked for other days, or have more of what they say accepted."""
    return (before.history, before.currency) != (after.history, after.currency)
