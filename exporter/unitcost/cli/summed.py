"""What a command asks of: the ledger, summed up as of now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.ledger.access import OF_A_COPY, access
from unitcost.ledger.store import Ledger
from unitcost.run.fetch import Fetcher
from unitcost.run.publish import sum_up
from unitcost.run.runner import SourceRunner


@dataclass(frozen=True)
class Summed:
    """The ledger as of `now`, in which nothing changes meanwhile.

    remarks: what is to be said of the sources. fine: whether all of them answered.
    """

    ledger: Ledger
    now: datetime
    runners: Sequence[SourceRunner]
    remarks: list[str]
    fine: bool


@contextmanager
def summed(
    config: Config, directory: Directory, clock: Callable[[], datetime], state_dir: Path | None
) -> Iterator[Summed]:
    """Ask the sources and sum up; when a running exporter holds the ledger, a copy of it is read instead."""
    with access(state_dir) as (ledger, ours):
        fetcher = Fetcher(config, directory, ledger, clock)
        if ours:
            fetcher.fetch()
        now = clock()
        with ledger.alone():
            sum_up(ledger, fetcher.configured, now)
            remarks = [*fetcher.said()] if ours else [OF_A_COPY]
            yield Summed(ledger, now, fetcher.runners, remarks, not ours or fetcher.fine)


def with_window(config: Config, window: str) -> Config:
    """Return a configuration that has a window, whatever it names itself."""
    if window in config.windows:
        return config
    return config.model_copy(update={"windows": (*config.windows, window)})
