"""What a delivery is: the files that one manifest names for one billing period, all of them there and as it says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Generic, Literal, TypeVar

from unitcost.days import month_after, month_of
from unitcost.sources.bills.focus.stores.base import Object

T = TypeVar("T")
Kind = Literal["auto", "aws", "azure", "oci", "folder"]


@dataclass(frozen=True, slots=True)
class Run:
    """One delivery of a billing period ("2026-11"), whole or not, as its manifest says."""

    period: str
    manifest: Object

    @property
    def version(self) -> tuple[str, str, int, str]:
        """What differs from one delivery to the next: a manifest is written after all of its files."""
        return self.manifest.version


class NotWholeError(Exception):
    """A run is not whole (yet): why, and since when (UTC)."""

    def __init__(self, why: str, since: datetime) -> None:
        super().__init__(why)
        self.since = since


class Said(Generic[T]):
    """What manifests said: of each billing period the one that was read last."""

    def __init__(self) -> None:
        self._by: dict[str, tuple[Run, T]] = {}

    def of(self, run: Run, read: Callable[[], T]) -> T:
        """Return what a run's manifest says; it is read where it is another one than before."""
        known = self._by.get(run.period)
        if known is None or known[0] != run:
            known = self._by[run.period] = run, read()
        return known[1]


def newest_first(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return runs by their billing period."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.manifest.modified, run.manifest.key), reverse=True):
        found[run.period].append(run)
    return found


def named(run: Run, wanted: Mapping[str, int | None], there: Mapping[str, Object]) -> list[Object]:
    """Return the files that a manifest names, with the sizes it says, as they are listed. Raises NotWholeError."""
    since = run.manifest.modified
    if missing := [key for key in wanted if key not in there]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise NotWholeError(f"its manifest names {missing[0]}{more}, which is not there", since)
    found = [there[key] for key in wanted]
    for one in found:
        size = wanted[one.key]
        if size is not None and size != one.size:
            raise NotWholeError(f"{one.key} has {one.size:,} bytes, its manifest says {size:,}", since)
    if newer := [one for one in found if one.modified > since]:
        text = f"{newer[0].key} was written after its manifest: the next delivery is on its way"
        raise NotWholeError(text, max(one.modified for one in newer))
    return found


def month_end(period: str) -> date:
    """Return the last day of a month "2026-11"."""
    return month_after(month_of(period)) - timedelta(days=1)
