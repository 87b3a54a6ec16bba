"""What every engine is: it says a table's columns, and answers a statement with rows of texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self, TypeVar

from unitcost.ending import ENDING
from unitcost.errors import SourceError
from unitcost.sources.bills.focus.engines.dialect import DIALECTS, Column
from unitcost.sources.bills.focus.engines.settings import EngineSettings
from unitcost.sources.bills.focus.engines.statement import Table

T = TypeVar("T")

Rows = Sequence[Sequence[str | None]]
CHUNK = 5000
"""So many rows of an answer are held at once."""
POLL, SLOWEST = 0.2, 5.0
"""Seconds between two looks at a statement that runs: first, and at last."""


class QueryError(SourceError):
    """A statement was taken up by the engine and failed there: to ask the same at once again costs the same again."""


@dataclass(frozen=True)
class Scan:
    """What a statement reads: bytes, None where the engine does not tell, and their price at the list (USD).

    text: where the bytes are from: an estimate before it runs, or the last run.
    """

    text: str
    bytes: int | None = None
    dollars: Decimal | None = None


class Engine(Protocol):
    """A connection to one engine, of one refresh. where: what an error names."""

    where: str

    def __enter__(self) -> Self:
        """Connect; nothing is asked yet."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of it."""

    def columns(self) -> Sequence[Column]:
        """Return the table's columns; costs nothing. Raises SourceError."""

    def rows(self, sql: str) -> Iterator[Rows]:
        """Run a statement and yield its rows, CHUNK at most at once.

        Raises QueryError, or SourceError where it never ran.
        """

    def scan(self, sql: str) -> Scan:
        """Say what a statement would read, without running it. Raises SourceError."""


OF = {
    "athena": "athena:Athena",
    "bigquery": "big_query:BigQuery",
    "trino": "trino_server:Trino",
    "spark": "spark_connect:Spark",
}
"""Engine → where its class is, imported when it is used."""


def connected_to(settings: EngineSettings) -> Engine:
    """Return the engine that a bill's settings name."""
    module, _, name = OF[_type(settings)].partition(":")
    engine: Engine = getattr(import_module(f"unitcost.sources.bills.focus.engines.{module}"), name)(settings)
    return engine


def table(settings: EngineSettings, engine: Engine) -> Table:
    """Return the table with its columns. Raises SourceError where it cannot be had."""
    return Table(settings.table, engine.columns(), DIALECTS[_type(settings)], settings.partition)


def where(settings: EngineSettings) -> str:
    """Return what is asked, as an error names it."""
    return f"{_type(settings)} {settings.table}"


def vendor(name: str, extra: str) -> ModuleType:
    """Import a vendor's library. Raises SourceError `missing`, which says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        hint = f"Install it with: pip install 'unitcost[{extra}]'"
        raise SourceError("missing", "", f"the Python package for {extra} is not installed ({error})", hint) from error


def awaited(
    look: Callable[[], T | None],
    limit: float,
    cancel: Callable[[], Any],
    where: str,
    rest: Callable[[float], Any] = time.sleep,
) -> T:
    """Look at a statement that runs until there is something to see, and return it; rest for some seconds in between.

    It is cancelled after `limit` seconds, and when the process ends, for QueryError.
    """
    deadline = time.monotonic() + limit
    pause = POLL
    while (found := look()) is None:
        if ENDING.received is not None or time.monotonic() > deadline:
            cancel()
            if ENDING.received is not None:
                raise QueryError("stopped", where, "unitcost is ending; the statement was cancelled")
            hint = "Set engine.timeout to more, or look at the engine's queue"
            raise QueryError("timeout", where, f"no answer within {limit:g} s; the statement was cancelled", hint)
        rest(pause)
        pause = min(pause * 1.5, SLOWEST)
    return found


def _type(settings: EngineSettings) -> str:
    return str(getattr(settings, "type", ""))
