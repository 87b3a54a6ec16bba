"""Trino, through its own client: a statement is posted, and its answer is paged until it has no next page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.engines.dialect import Column
from unitcost.sources.bills.focus.engines.engine import CHUNK, QueryError, Rows, Scan, vendor, where
from unitcost.sources.bills.focus.engines.settings import TrinoSettings, parts_of
from unitcost.sources.bills.focus.engines.threads import waited_for

T = TypeVar("T")

REQUEST = 60.0
"""Seconds for one request."""


class Trino:
    """One refresh's use of a Trino server."""

    def __init__(self, settings: TrinoSettings) -> None:
        self.where = where(settings)
        self._settings = settings
        self.connection: Any = None

    def __enter__(self) -> Self:
        """Make the connection; nothing is sent yet."""
        trino = vendor("trino", "trino")
        settings, parts = self._settings, urlsplit(self._settings.url)
        password = settings.secret("password")
        self.connection = trino.dbapi.connect(
            host=parts.hostname,
            port=parts.port or (443 if parts.scheme == "https" else 80),
            http_scheme=parts.scheme.lower(),
            user=settings.user,
            auth=None if password is None else trino.auth.BasicAuthentication(settings.user, password),
            verify=str(settings.ca_file) if settings.ca_file else True,
            source="unitcost",
            request_timeout=REQUEST,
            session_properties={"query_max_run_time": f"{settings.timeout.total_seconds():.0f}s"},
            encoding=None,  # else rows may come from a store of objects that this process cannot reach
            heartbeat_interval=None,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()

    def columns(self) -> Sequence[Column]:
        """Return the table's columns."""
        named = ".".join(f'"{part}"' for part in parts_of(self._settings.table))
        return [Column(str(row[0]), str(row[1])) for rows in self._run(f"SHOW COLUMNS FROM {named}") for row in rows]

    def rows(self, sql: str) -> Iterator[Rows]:
        """Run a statement and yield its rows."""
        yield from self._run(sql)

    def scan(self, sql: str) -> Scan:  # noqa: ARG002 - as every engine
        """Say that it tells nothing."""
        return Scan("Trino does not tell what a statement reads, and asks no price for it")

    def _run(self, sql: str) -> Iterator[Rows]:
        cursor = self.connection.cursor()
        deadline = time.monotonic() + self._settings.timeout.total_seconds()

        def within(work: Callable[[], T]) -> T:
            left = max(0.0, deadline - time.monotonic())
            return self._called(lambda: waited_for(work, left, cursor.cancel, self.where))

        within(lambda: cursor.execute(sql))
        while chunk := within(lambda: cursor.fetchmany(CHUNK)):
            yield chunk

    def _called(self, call: Callable[[], T]) -> T:
        """Return what Trino answers. Raises SourceError for what it or its client says."""
        import requests  # noqa: PLC0415
        from trino import exceptions  # noqa: PLC0415

        try:
            return call()
        except exceptions.TrinoQueryError as error:
            text = f"the statement failed: {error.error_name}: {error.message} (query {error.query_id})"
            missing = error.error_name in {"TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "CATALOG_NOT_FOUND"}
            if missing:
                raise SourceError("missing", self.where, text, "Write table as catalog.schema.table") from error
            hint = "Grant SELECT on the table" if error.error_name == "PERMISSION_DENIED" else ""
            raise QueryError("auth" if hint else "query", self.where, text, hint) from error
        except exceptions.HttpError as error:
            refused = " 401" in str(error) or " 403" in str(error)
            hint = "Check user and password" if refused else "The next refresh asks again"
            raise SourceError("auth" if refused else "http", self.where, str(error), hint) from error
        except (exceptions.Error, requests.RequestException, ValueError) as error:
            hint = "Check url, and whether the server is up"
            raise SourceError("unreachable", self.where, str(error), hint) from error
