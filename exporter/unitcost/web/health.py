"""Whether a restart would help: what `/-/healthy` says. A source that fails is no reason."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from unitcost.redaction import visible

LONG = timedelta(hours=1)
REFRESHES = 3


class Health:
    """Written by the refresh, read by every request; each part is replaced whole."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._limit = LONG
        self._problem: str | None = None
        self._thread: threading.Thread | None = None

    def watch(self, thread: threading.Thread, every: timedelta) -> None:
        """Expect this thread to be alive and to publish. every: how long it waits."""
        self.expect(every)
        self._since = time.monotonic()
        self._thread = thread

    def expect(self, every: timedelta) -> None:
        """Expect numbers within an hour, or three times as long as the refresh waits."""
        self._limit = max(LONG, REFRESHES * every)

    def published(self, problem: str | None = None) -> None:
        """Numbers were renewed, whatever else is wrong with the ledger."""
        self._since = time.monotonic()
        self._problem = problem

    def lost(self, problem: str) -> None:
        """Say that the ledger cannot be used until the process starts again, or state_dir is mended."""
        self._problem = problem

    def problem(self) -> str | None:
        """Return what is wrong, in one line, or None."""
        if self._thread is not None and not self._thread.is_alive():
            return "the refresh has ended in a way it should not; see the log"
        if self._problem is not None:
            return visible(self._problem)
        waited = timedelta(seconds=round(time.monotonic() - self._since))
        if self._thread is not None and waited > self._limit:
            return f"no numbers were published for {waited} (the limit is {self._limit}); see the log"
        return None
