"""Google BigQuery, through its own client: a job is started, looked at until it has ended, and its rows are paged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.engines.dialect import Column
from unitcost.sources.bills.focus.engines.engine import CHUNK, QueryError, Rows, Scan, awaited, vendor, where
from unitcost.sources.bills.focus.engines.settings import BigQuerySettings, parts_of

T = TypeVar("T")

DOLLARS_PER_TIB = Decimal("6.25")
"""Of data processed on demand, at list price in most regions: https://cloud.google.com/bigquery/pricing (2026-11)."""
TIB = 1 << 40
REQUEST = 60.0
"""Seconds for one request to the API."""


class BigQuery:
    """One refresh's use of BigQuery."""

    def __init__(self, settings: BigQuerySettings) -> None:
        self.where = where(settings)
        self._settings = settings
        self._client: Any = None
        self._location = settings.location

    def __enter__(self) -> Self:
        """Make the client, with the application default credentials."""
        bigquery = vendor("google.cloud.bigquery", "bigquery")
        project = self._settings.project
        self._client = self._called(lambda: bigquery.Client(project=project, location=self._location))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def columns(self) -> Sequence[Column]:
        """Return the table's columns; a list of key and value is one of structs."""
        name = ".".join(parts_of(self._settings.table))
        table = self._called(lambda: self._client.get_table(name, retry=_retry(), timeout=REQUEST))
        self._location = self._location or table.location
        return [_column(field) for field in table.schema]

    def rows(self, sql: str) -> Iterator[Rows]:
        """Run a statement and yield its rows."""
        job = self._started(sql, dry=False)
        awaited(
            lambda: self._called(lambda: job.done(retry=_retry(), timeout=REQUEST)) or None,
            self._settings.timeout.total_seconds(),
            lambda: self._called(lambda: job.cancel(retry=_retry(), timeout=REQUEST)),
            self.where,
        )
        if job.error_result:
            said = job.error_result.get("message", "BigQuery gives no reason")
            refused = job.error_result.get("reason") == "bytesBilledLimitExceeded"
            hint = "Set engine.maximum_bytes_billed to more" if refused else ""
            raise QueryError("query", self.where, f"the statement failed: {said} (job {job.job_id})", hint)
        found = iter(self._asked(lambda: job.result(page_size=CHUNK, retry=_retry(), timeout=REQUEST, job_retry=None)))
        while chunk := self._asked(lambda: [tuple(row.values()) for row in islice(found, CHUNK)]):
            yield chunk

    def scan(self, sql: str) -> Scan:
        """Ask for a dry run, which costs nothing."""
        read = int(self._started(sql, dry=True).total_bytes_processed or 0)
        return Scan("BigQuery's dry run", read, read * DOLLARS_PER_TIB / TIB)

    def _started(self, sql: str, *, dry: bool) -> Any:
        bigquery = vendor("google.cloud.bigquery", "bigquery")
        config = bigquery.QueryJobConfig(dry_run=dry, use_query_cache=not dry, labels={"source": "unitcost"})
        if self._settings.maximum_bytes_billed is not None:
            config.maximum_bytes_billed = self._settings.maximum_bytes_billed
        return self._called(
            lambda: self._client.query(
                sql, job_config=config, location=self._location, retry=_retry(), timeout=REQUEST, job_retry=None
            )
        )

    def _asked(self, call: Callable[[], T]) -> T:
        """Return what a statement that ran gives; what fails now is not to be asked again at once."""
        try:
            return self._called(call)
        except SourceError as error:
            raise QueryError(error.reason, error.where, error.text, error.hint) from error

    def _called(self, call: Callable[[], T]) -> T:
        """Return what Google answers. Raises SourceError for what it or its client says."""
        from google.api_core.exceptions import GoogleAPIError, RetryError  # noqa: PLC0415
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError  # noqa: PLC0415
        from requests.exceptions import RequestException  # noqa: PLC0415

        try:
            return call()
        except DefaultCredentialsError as error:
            hint = "Give this process a service account, or set GOOGLE_APPLICATION_CREDENTIALS"
            raise SourceError("auth", self.where, "there are no Google credentials", hint) from error
        except GoogleAuthError as error:
            raise SourceError("auth", self.where, str(error), "Renew the credentials") from error
        except (RetryError, RequestException) as error:
            raise SourceError("unreachable", self.where, str(error), "The next refresh asks again") from error
        except GoogleAPIError as error:
            code = getattr(error, "code", None)
            reason, hint = ANSWERS.get(int(code) if code else 0, ("http", ""))
            raise SourceError(reason, self.where, str(getattr(error, "message", None) or error), hint) from error


ANSWERS = {
    400: ("query", "Look at it with unitcost check --dry-run"),
    401: ("auth", "Renew the credentials"),
    403: ("auth", "Grant what docs/engines.md lists for BigQuery"),
    404: ("missing", "Write table as project.dataset.table"),
    429: ("throttled", "The next refresh asks again"),
}
"""Status → reason, and what to do."""


def _column(field: Any) -> Column:
    if field.mode == "REPEATED":
        inner = {one.name.lower() for one in field.fields}
        kind = "array<struct<key, value>>" if {"key", "value"} <= inner else f"array<{field.field_type}>"
        return Column(field.name, kind)
    return Column(field.name, field.field_type)


def _retry() -> Any:
    from google.cloud.bigquery.retry import DEFAULT_RETRY  # noqa: PLC0415

    return DEFAULT_RETRY.with_timeout(2 * REQUEST)
