"""Who asks one source: its thread, and its state from one asking to the next."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from unitcost.errors import describe
from unitcost.facts import Note, Problem
from unitcost.metrics.state import SourceState
from unitcost.sources.base import Source, Waiting

SLACK = 1.1
"""How much longer than its timeout a source may be silent before it is said not to be up."""


@dataclass(eq=False)
class SourceRunner:
    """Asks one source, and keeps its state: written by its own thread, read when a snapshot is made."""

    name: str
    source: Source
    settings: str
    waiting: Waiting
    timeout: float | None = None
    thread: threading.Thread | None = None
    due: bool = True
    """Whether it is to be asked, as soon as it is not being asked any more."""
    retired: bool = False
    """Whether the configuration knows it no more: what it still says is dropped."""
    brought: bool = False
    up: bool = False
    last_success: datetime | None = None
    duration: float | None = None
    errors: Counter[str] = field(default_factory=Counter)
    paid: int | None = None
    """Requests that cost money, since the start; None of a source that has none."""
    problems: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    left_out: list[Problem] = field(default_factory=list)
    """What the ledger holds of it and cannot count, found when the numbers were derived."""

    @property
    def fine(self) -> bool:
        """Whether the source answered, and all that it said is counted."""
        return self.up and not self.left_out

    def said(self) -> list[str]:
        """Return all that is wrong, a line each."""
        late = [self.overdue] if self.overdue else []
        return [*late, *self.problems, *(problem.line for problem in self.left_out)]

    @property
    def running(self) -> bool:
        """Whether the source is being asked."""
        return self.thread is not None and self.thread.is_alive()

    @property
    def silent(self) -> float:
        """Seconds that the source has waited for an answer of its server; 0 while it waits for none."""
        return time.monotonic() - self.waiting.since if self.running and self.waiting.on_what else 0.0

    @property
    def overdue(self) -> str:
        """What the source has waited for longer than its timeout, "" where that is not so."""
        seconds = self.silent
        if self.timeout is None or seconds <= self.timeout * SLACK:
            return ""
        late = f"no answer for {seconds:.0f} s, its timeout is {self.timeout:g} s"
        return describe(self.waiting.on_what, late)

    @property
    def verdict(self) -> bool | None:
        """Whether the source answers: in its last run, or so far in its first; None where that is not known yet."""
        if self.overdue:
            return False
        return self.fine if self.brought or self.duration is not None else None

    def go_on_from(self, before: SourceRunner) -> None:
        """Take over the state of the source that had this name, until this one is asked. Counters go on as they are."""
        self.errors = before.errors
        self.paid = before.paid if self.paid is not None and before.paid is not None else self.paid
        self.brought, self.up = before.brought, before.up
        self.last_success, self.duration = before.last_success, before.duration
        self.problems, self.notes, self.left_out = before.problems, before.notes, before.left_out

    def state(self, rates: Mapping[str, Decimal]) -> SourceState:
        """Return what the metrics say of this source. rates: dollars for one unit of each currency."""
        similar = sum(
            (amount * rates.get(code, Decimal(0)) for note in self.notes for code, amount in note.similar.items()),
            Decimal(0),
        )
        return SourceState(self.verdict, self.last_success, self.duration, dict(self.errors), similar, self.paid)
