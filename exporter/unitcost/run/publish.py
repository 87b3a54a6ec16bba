"""From what the ledger holds to what is served: derived, summed up, read, rendered, and swapped in as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from unitcost.economics.windows import Terms, look
from unitcost.errors import LedgerLostError, LedgerStoppedError, UnitcostError
from unitcost.ledger.derive import derive
from unitcost.ledger.doubts import told
from unitcost.ledger.prune import first_kept, prune
from unitcost.ledger.store import Ledger
from unitcost.metrics.exposition import Written, written
from unitcost.metrics.families import families, renewed
from unitcost.metrics.state import ExporterState
from unitcost.run.configured import Configured
from unitcost.run.fetch import Fetcher
from unitcost.run.overview import overview
from unitcost.run.setup import Setup
from unitcost.web.pages.front import render_page
from unitcost.web.snapshot import Current, Snapshot

log = logging.getLogger(__name__)


def sum_up(ledger: Ledger, configured: Configured, now: datetime) -> None:
    """Derive the days that changed, and sum up what days come to as seen at `now`.

    Each source says what the ledger holds of it and cannot count. Who reads the sums holds `ledger.alone()` around it.
    """
    setup = configured.setup
    derive(ledger, setup.model, now, _forget(ledger, setup.terms, configured, now))
    configured.leave_out(told(ledger))
    look(ledger, setup.terms, now)


def _forget(ledger: Ledger, terms: Terms, configured: Configured, now: datetime) -> timedelta:
    """Prune the ledger; return how far back its days count. One in memory (`check`, the sample) keeps them all."""
    if ledger.path is None:
        return terms.history
    configured.kept = first_kept(ledger, now, terms.history, terms.windows)
    prune(ledger, configured.kept)
    return now.date() - configured.kept


class Publisher:
    """Publishes snapshots of the ledger. lose: is told that the ledger cannot be used."""

    def __init__(self, ledger: Ledger, current: Current, lose: Callable[[LedgerLostError], None]) -> None:
        self._ledger = ledger
        self._current = current
        self._lose = lose
        self._summed: tuple[int, Setup, date] | None = None
        self._told: Sequence[Written] = ()

    def publish(self, fetcher: Fetcher, now: datetime) -> bool:
        """Swap in a new snapshot; on failure the last one stays. Return success."""
        try:
            self._ledger.refuse_lost()
            self._current.publish(self._made(fetcher, now))
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

    def _made(self, fetcher: Fetcher, now: datetime) -> Snapshot:
        with self._ledger.alone():  # a batch is stored before all of this or after: no number without the others
            configured = fetcher.configured  # another one may be taken over meanwhile: the next snapshot is of that
            config = configured.config
            self._sum_up(configured, now)
            rates = config.currency.all_rates()
            state = ExporterState(
                {runner.name: runner.state(rates) for runner in configured.runners},
                now,
                with_directory=config.tenants.directory is not None,
                reload=configured.reload,
            )
            self._told = written(renewed(self._told, state) if self._told else families(self._ledger, state))
            view = overview(self._ledger, config, configured.runners, now)
        return Snapshot.of(self._told, render_page(view), now)

    def _sum_up(self, configured: Configured, now: datetime) -> None:
        """Sum up, unless the sums that are there are of the same facts, the same setup and the same day (UTC).

        What was read off the same sums stays then, and is not rendered again.
        """
        state = self._ledger.revision, configured.setup, now.date()
        if self._summed == state:
            configured.leave_out(told(self._ledger))
            return
        self._summed, self._told = None, ()  # what fails half-way leaves no sums
        sum_up(self._ledger, configured, now)
        self._summed = state
