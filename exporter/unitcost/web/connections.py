"""Who is connected: at most so many at once, each for a bounded time, and those who have proved least go first."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum

REQUEST_SECONDS = 10.0
"""From a connection's, or a request's, first byte to the end of the request; TLS included."""

EXCHANGE_SECONDS = 60.0
"""From a request's end to the end of its answer; a slower reader is cut off."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: more than a scrape interval, so that Prometheus keeps its own."""


class Rank(IntEnum):
    """How much a connection has proved; when all places are taken, the oldest of the lowest rank goes."""

    SILENT = 0
    """Has sent nothing yet."""
    BEGUN = 1
    """Has sent a part of a request, or of a TLS handshake."""
    STRANGER = 2
    """Was answered without a right password."""
    ASKING = 3
    """Its password is being checked."""
    KEPT = 4
    """Was answered what it asked for, and is idle between two scrapes."""
    ANSWERING = 5
    """Is being answered what it asked for."""


class Connection:
    """A place among the connections, from accept() to the end of the socket."""

    def __init__(self, address: str, close: Callable[[], None]) -> None:
        self.address = address
        self.close = close
        self.rank = Rank.SILENT
        self.until = time.monotonic() + REQUEST_SECONDS
        self.idle: Callable[[], bool] = lambda: False
        self.gone = asyncio.Event()


class Connections:
    """The places. Everything happens in the event loop's thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._ranks: list[OrderedDict[Connection, None]] = [OrderedDict() for _ in Rank]

    def __len__(self) -> int:
        """Return how many are connected."""
        return sum(map(len, self._ranks))

    def add(self, connection: Connection) -> bool:
        """Take a new connection in; return whether another one had to go for it."""
        full = len(self) >= self.limit and self.evict()
        self._ranks[connection.rank][connection] = None
        return full

    def move(self, connection: Connection, rank: Rank, seconds: float | None = None) -> None:
        """Put a connection into a rank, as its newest member; for so many seconds at most, or as many as it has."""
        if self._ranks[connection.rank].pop(connection, self) is self:
            return  # it is gone already
        connection.rank = rank
        if seconds is not None:
            connection.until = time.monotonic() + seconds
        self._ranks[rank][connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection whose socket has ended."""
        self._ranks[connection.rank].pop(connection, None)
        connection.gone.set()

    def allow(self, limit: int) -> None:
        """Have places for so many from now on; where there are more, who has proved least goes."""
        self.limit = limit
        while len(self) > limit:
            self.evict()

    def evict(self) -> bool:
        """Close who has proved least, the longest standing first; return whether there was anybody."""
        for rank in self._ranks:
            if rank:
                self._close(next(iter(rank)))
                return True
        return False

    def expire(self) -> None:
        """Close every connection whose time is up."""
        now = time.monotonic()
        late = [connection for rank in self._ranks for connection in rank if connection.until < now]
        for connection in late:
            if connection.rank == Rank.KEPT and connection.idle():
                # Its answer was not read to the end when it was complete, and is now: it idles from here on.
                self.move(connection, Rank.KEPT, KEEP_ALIVE_SECONDS)
            else:
                self._close(connection)

    def close(self, below: Rank) -> None:
        """Close all of the lower ranks: the server stops, and only answers under way are waited for."""
        for rank in self._ranks[:below]:
            for connection in list(rank):
                self._close(connection)

    def _close(self, connection: Connection) -> None:
        self.remove(connection)
        connection.close()
