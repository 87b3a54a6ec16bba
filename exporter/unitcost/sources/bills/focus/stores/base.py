"""What every object store can do for us: list what lies below a prefix, and give one object as it was listed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from unitcost.errors import SourceError
from unitcost.sources.base import Waiting

CONNECT = 10.0
"""Seconds for a connection."""
TRIES = 4
"""How often the libraries ask before they give up: throttling (503 SlowDown, 429), 5xx, lost connections."""
SLOWEST = 100_000
"""Bytes a second that an object has to come with, besides the timeout."""
LARGEST_MANIFEST = 16 << 20


@dataclass(frozen=True, slots=True)
class Object:
    """An object as it was listed. etag: bare, without the quotes that some listings leave out. modified: UTC."""

    key: str
    size: int
    etag: str
    modified: datetime

    @property
    def folder(self) -> str:
        """What its key begins with, with a slash at its end; "" at the top of a bucket."""
        return self.key[: self.key.rfind("/") + 1]

    @property
    def name(self) -> str:
        """The last part of its key."""
        return self.key.rpartition("/")[2]

    @property
    def condition(self) -> str:
        """What a request says to get this object and no later one: If-Match."""
        return f'"{self.etag}"'

    @property
    def version(self) -> tuple[str, str, int, str]:
        """What differs once it is written again."""
        return self.key, self.etag, self.size, self.modified.isoformat()


def bare(etag: str | None) -> str:
    """Return an ETag without quotes."""
    return (etag or "").removeprefix("W/").strip('"')


class ChangedError(SourceError):
    """An object is not the one that was listed any more: written again, or gone. The next refresh lists again."""


class Store(Protocol):
    """A bucket or container. All that it raises is a SourceError that says what to do; ChangedError is one of them.

    The others' reasons: `auth` (no credentials, refused, a clock that is off), `missing` (no such bucket), `region`,
    `unreachable`, `timeout`, `http` (throttled, 5xx), `extra` (a package lacks).
    """

    def all(self, prefix: str) -> Iterator[Object]:
        """Yield every object whose key begins with a prefix ("" or with a slash at its end), sorted, page by page."""

    def level(self, prefix: str) -> tuple[Sequence[str], Sequence[Object]]:
        """Return what lies right below such a prefix: the prefixes of folders (with a slash), and objects."""

    def pieces(self, wanted: Object) -> Iterator[bytes]:
        """Yield an object's bytes, exactly those that were listed. Raises ChangedError."""

    def close(self) -> None:
        """Let the connections go."""


def read_json(store: Store, wanted: Object, where: str) -> Any:
    """Return what a small JSON object says. Raises SourceError `format`, and what the store raises."""
    if wanted.size > LARGEST_MANIFEST:
        raise SourceError("format", where, f"has {wanted.size:,} bytes, which no manifest has", "Repair the export")
    try:
        return json.loads(b"".join(store.pieces(wanted)))
    except (ValueError, RecursionError) as error:
        raise SourceError("format", where, "is not JSON", "Repair the export, or wait for its next delivery") from error


def changed(where: str) -> ChangedError:
    """Return that an object was written again, or removed, while it was read."""
    return ChangedError("partial", where, "was written again or removed while it was read", NEXT)


NEXT = "The last whole delivery stays; the next refresh looks again"


def within(pieces: Iterator[bytes], wanted: Object, where: str, timeout: float, waiting: Waiting) -> Iterator[bytes]:
    """Yield the pieces of an object as they come; each of them is waited for by itself.

    Raises SourceError `timeout` where it comes too slowly, `truncated` where it has not the bytes that were listed.
    """
    deadline = time.monotonic() + timeout + wanted.size / SLOWEST
    count = 0
    while True:
        with waiting.on(where):
            piece = next(pieces, b"")
        if not piece:
            break
        count += len(piece)
        if count > wanted.size or time.monotonic() > deadline:
            break
        yield piece
    if time.monotonic() > deadline:
        text = f"{count:,} of {wanted.size:,} bytes came in {timeout + wanted.size / SLOWEST:.0f} s"
        raise SourceError("timeout", where, text, "Raise store.timeout, or see why the network is slow")
    if count != wanted.size:
        text = f"{count:,} bytes came, where {wanted.size:,} were listed"
        raise SourceError("truncated", where, text, NEXT)
