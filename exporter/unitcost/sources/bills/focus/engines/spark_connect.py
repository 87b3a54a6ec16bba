"""Spark, through Spark Connect: the client is a Python package without a Spark of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.engines.dialect import Column
from unitcost.sources.bills.focus.engines.engine import CHUNK, QueryError, Rows, Scan, vendor, where
from unitcost.sources.bills.focus.engines.settings import SparkSettings, parts_of
from unitcost.sources.bills.focus.engines.threads import waited_for

T = TypeVar("T")

CONNECT = 60.0
"""Seconds for a session, which a server starts when it is asked for one."""


class Spark:
    """One refresh's use of a Spark Connect server."""

    def __init__(self, settings: SparkSettings) -> None:
        self.where = where(settings)
        self._settings = settings
        self._session: Any = None

    def __enter__(self) -> Self:
        """Start a session of its own, in UTC."""
        sql = vendor("pyspark.sql", "spark")
        settings = self._settings
        token = settings.secret("token")
        url = settings.url if token is None else f"{settings.url.rstrip('/;')}/;token={token}"

        def start() -> Any:
            session = sql.SparkSession.builder.remote(url).create()
            session.conf.set("spark.sql.session.timeZone", "UTC")
            return session

        self._session = self._called(lambda: waited_for(start, CONNECT, lambda: None, self.where))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the session."""
        if self._session is not None:
            self._session.stop()

    def columns(self) -> Sequence[Column]:
        """Return the table's columns."""
        named = ".".join(f"`{part}`" for part in parts_of(self._settings.table))
        fields = self._called(
            lambda: waited_for(lambda: self._session.table(named).schema, CONNECT, lambda: None, self.where)
        )
        return [Column(field.name, field.dataType.simpleString()) for field in fields]

    def rows(self, sql: str) -> Iterator[Rows]:
        """Run a statement and yield its rows."""
        deadline = time.monotonic() + self._settings.timeout.total_seconds()

        def within(work: Callable[[], T]) -> T:
            left = max(0.0, deadline - time.monotonic())
            return self._called(lambda: waited_for(work, left, self._session.interruptAll, self.where))

        found = within(lambda: iter(self._session.sql(sql).toLocalIterator()))
        while chunk := within(lambda: [tuple(row) for row in islice(found, CHUNK)]):
            yield chunk

    def scan(self, sql: str) -> Scan:  # noqa: ARG002 - as every engine
        """Say that it tells nothing."""
        return Scan("Spark does not tell what a statement reads, and asks no price for it")

    def _called(self, call: Callable[[], T]) -> T:
        """Return what Spark answers. Raises SourceError for what it or its client says."""
        from grpc import RpcError  # noqa: PLC0415
        from pyspark.errors import AnalysisException, PySparkException  # noqa: PLC0415

        try:
            return call()
        except AnalysisException as error:
            hint = "Write table as Spark finds it: catalog.database.table"
            raise SourceError("missing", self.where, _first(error), hint) from error
        except PySparkException as error:
            raise QueryError("query", self.where, f"the statement failed: {_first(error)}", "") from error
        except RpcError as error:
            hint = "Check url, and whether the Spark Connect server is up"
            raise SourceError("unreachable", self.where, _first(error), hint) from error


def _first(error: Exception) -> str:
    """Return what an error says, without the stack of the server behind it."""
    return str(error).split("\n\nJVM stacktrace", 1)[0]
