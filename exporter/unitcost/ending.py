"""How the process ends: at SIGTERM and Ctrl-C at any moment, within seconds, with the exit code that is due.

And what it does at SIGHUP, which the same thread waits for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from unitcost import scratch

GRACE = 8.0
"""Seconds after a signal until the process leaves, whatever is under way; Docker kills after 10."""

INTERRUPTED = 128
"""Plus the signal's number: the exit code that shells expect of a command that a signal ended."""


WAITING = "signals"
"""The name of the thread that waits for a signal; the interpreter's end does it no harm."""


class InterruptedBySignal(KeyboardInterrupt):
    """Raised in the main thread by the first SIGTERM or SIGINT, so that everything opened is closed."""


class Ending:
    """What the process does at a signal. One thread waits for it, as the main one may be deep in native code."""

    def __init__(self) -> None:
        self.graceful = False
        """Whether a signal is how the command is meant to end: `serve` ends with 0."""
        self.received: int | None = None
        """The number of the first signal."""
        self._raised = False
        self._lock = threading.Lock()
        self._at_hangup: Callable[[], object] | None = None
        self._hung_up = False
        self._calls: list[weakref.WeakMethod[Callable[[], None]]] = []

    def code(self) -> int:
        """Return the exit code that the signal asks for."""
        return 0 if self.graceful else INTERRUPTED + (self.received or signal.SIGINT)

    def at_signal(self, method: Callable[[], None]) -> None:
        """Have a method called in another thread at a signal, if its object is still there then.

        It ends what keeps the main thread from handling the signal.
        """
        self._calls.append(weakref.WeakMethod(method, self._calls.remove))

    def at_hangup(self, call: Callable[[], object] | None) -> None:
        """Have this called in another thread at each SIGHUP, and now if there was one before; None: nothing any more.

        It must return at once: signals wait for it.
        """
        with self._lock:
            self._at_hangup = call
            if call is not None and self._hung_up:
                self._hung_up = False
                call()

    def watch(self, *, graceful: bool, hangup: bool) -> None:
        """Handle signals from now on; call it from the main thread.

        hangup: whether SIGHUP is one of them, instead of the end that it is by itself.
        """
        self.graceful = graceful
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        if hangup:
            signal.signal(signal.SIGHUP, lambda *_: None)  # so that its number comes through the pipe
        threading.Thread(target=self._wait, args=(ours,), name=WAITING, daemon=True).start()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or number
        if self._raised:  # asked twice
            leave(self.code())
        self._raised = True
        raise InterruptedBySignal(number)

    def _wait(self, pipe: int) -> None:
        while (number := os.read(pipe, 1)[0]) == signal.SIGHUP:
            self._hang_up()
        self.received = self.received or number
        late = threading.Timer(GRACE, leave, args=(self.code(),))
        late.daemon = True
        late.start()
        for call in [reference() for reference in [*self._calls]]:
            if call is not None:
                call()

    def _hang_up(self) -> None:
        with self._lock:
            if self._at_hangup is None:
                self._hung_up = True
            else:
                self._at_hangup()


ENDING = Ending()
"""Signals are the process's, so there is one."""


def leave(code: int) -> NoReturn:
    """End the process now; what was written to stdout and the log is flushed.

    Not by the interpreter's own end where other threads are left: it stops them in the middle of whatever native code
    they are in, and C++ (DuckDB, pybind11) takes that for an exception that nobody rethrows: abort, exit code 134.
    Nothing is lost by not waiting: the ledger is closed before, or is what it is after a kill, which it stands.
    """
    scratch.remove()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    logging.shutdown()
    if any(thread.name != WAITING for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(code)
    sys.exit(code)
