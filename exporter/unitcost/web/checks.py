"""Which password is checked next. bcrypt takes a tenth of a second, so guesses must not stand in a right one's way."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import bcrypt

from unitcost.web.connections import Connection

BCRYPT_BYTES = 72
"""bcrypt looks at no more of a password than this."""

THREADS = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Checks at once: half of the processors stay for those who are in."""

OLDEST_EVERY = 4
"""Every so many checks, the one that has waited longest is next, whoever it is."""

REMEMBERED = 4096
"""Addresses with failures, as many as are kept in mind."""

FORGET_SECONDS = 600.0
"""After so long without another failure, an address is as good as any."""

HOLD_FACTOR = 4
HOLD_MOST_SECONDS = 45.0
"""A refusal is held back for so many times what checking everybody who waits or is held takes: who guesses over many
connections leaves the checker idle three quarters of the time, for others. Below EXCHANGE_SECONDS."""


@dataclass(eq=False)
class Try:
    """A password that waits for its check against a hash.

    known: tells whether another one's check has made this one needless. settle: takes what the check said.
    """

    connection: Connection
    password: bytes
    hashed: bytes
    known: Callable[[], bool | None]
    settle: Callable[[bool], None]
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Checks:
    """Checks passwords, in threads of their own; all else happens in the event loop's thread.

    The next one is the newest of the address with the fewest failures, so a right one waits for no queue of guesses,
    whether they come from elsewhere or, through a proxy, from its own address.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt")
        self._waiting: OrderedDict[Try, None] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._running = 0
        self._held = 0
        self._turn = 0
        self._seconds = 0.1

    async def check(self, asked: Try) -> None:
        """Wait until it is settled or known, or its connection is gone."""
        self._waiting[asked] = None
        self._next()
        ends = {asyncio.ensure_future(event.wait()) for event in (asked.over, asked.connection.gone)}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            self._waiting.pop(asked, None)

    async def hold(self, connection: Connection) -> None:
        """Hold back a refusal, as long as there are others who are refused or wait; not where somebody mistyped."""
        others = len(self._waiting) + self._running + self._held
        seconds = min(HOLD_MOST_SECONDS, HOLD_FACTOR * others * self._seconds / THREADS)
        if not others:
            return
        self._held += 1
        try:
            await asyncio.wait_for(connection.gone.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._held -= 1

    def _next(self) -> None:
        while self._waiting and self._running < THREADS:
            asked = self._choose()
            del self._waiting[asked]
            if asked.known() is not None:
                asked.over.set()
                continue
            self._running += 1
            check = asyncio.get_running_loop().run_in_executor(self._threads, _matches, asked.password, asked.hashed)
            check.add_done_callback(partial(self._checked, asked))

    def _choose(self) -> Try:
        self._turn += 1
        if self._turn % OLDEST_EVERY == 0:
            return next(iter(self._waiting))
        return min(reversed(self._waiting), key=lambda asked: self._failed(asked.connection.address))

    def _checked(self, asked: Try, done: asyncio.Future[tuple[bool, float]]) -> None:
        right, seconds = done.result()
        self._running -= 1
        self._seconds += (seconds - self._seconds) / 8
        if not right:
            self._fail(asked.connection.address)
        asked.settle(right)
        asked.over.set()
        self._next()

    def _failed(self, address: str) -> int:
        count, last = self._failures.get(address, (0, 0.0))
        return count if time.monotonic() - last < FORGET_SECONDS else 0

    def _fail(self, address: str) -> None:
        self._failures[address] = (self._failed(address) + 1, time.monotonic())
        self._failures.move_to_end(address)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)


def _matches(password: bytes, hashed: bytes) -> tuple[bool, float]:
    """Check; return the seconds it took too."""
    begin = time.perf_counter()
    try:
        right = bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte, which no password can hold
        right = False
    return right, time.perf_counter() - begin
