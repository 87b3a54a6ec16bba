"""Amazon Athena, through boto3: a statement is started, looked at until it has ended, and its result file is read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb

from unitcost.errors import SourceError
from unitcost.in_memory import in_memory
from unitcost.scratch import scratch
from unitcost.sources.aws import signed_in
from unitcost.sources.bills.focus.engines.dialect import Column
from unitcost.sources.bills.focus.engines.engine import CHUNK, QueryError, Rows, Scan, awaited, where
from unitcost.sources.bills.focus.engines.settings import AthenaSettings, parts_of

T = TypeVar("T")

DOLLARS_PER_TB = Decimal(5)
"""Of data scanned, at list price in most regions: https://aws.amazon.com/athena/pricing/ (2026-11)."""
TB = Decimal(10) ** 12
LEAST = 10 * 1000 * 1000
"""Bytes that a statement is billed for at least; as above."""
ATTEMPTS = 5
"""Times that the SDK tries a request, with growing pauses, where AWS throttles or fails."""
RECENT = 50
"""So many past statements of the workgroup are looked through for the last run of one."""

HINTS = {
    "AccessDeniedException": ("auth", "Grant what docs/engines.md lists for Athena"),
    "AccessDenied": ("auth", "Grant what docs/engines.md lists for Athena"),
    "EntityNotFoundException": ("missing", "Write table as database.table of the Glue catalog, in this region"),
    "ThrottlingException": ("throttled", "The next refresh asks again"),
    "TooManyRequestsException": ("throttled", "The next refresh asks again"),
    "ExpiredTokenException": ("auth", "Renew the credentials"),
    "UnrecognizedClientException": ("auth", "Renew the credentials"),
}


class Athena:
    """One refresh's use of Athena, Glue (a table's columns) and S3 (result files)."""

    def __init__(self, settings: AthenaSettings) -> None:
        self.where = where(settings)
        self._settings = settings
        self.clients: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Make the clients, under the role that the settings name."""
        given = self._settings
        session = self._called(lambda: signed_in(region=given.region, role_arn=given.role_arn, config=_config()))
        self.clients = self._called(
            lambda: {name: session.client(name, config=_config()) for name in ("athena", "glue", "s3")}
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        for client in self.clients.values():
            client.close()

    def columns(self) -> Sequence[Column]:
        """Return the columns that the Glue catalog has, those that divide the table included."""
        database, name = parts_of(self._settings.table)
        found = self._called(lambda: self.clients["glue"].get_table(DatabaseName=database, Name=name))["Table"]
        columns = [*found.get("StorageDescriptor", {}).get("Columns", []), *found.get("PartitionKeys", [])]
        return [Column(column["Name"], column.get("Type", "")) for column in columns]

    def rows(self, sql: str) -> Iterator[Rows]:
        """Run a statement and yield the rows of its result."""
        athena = self.clients["athena"]
        output = {"ResultConfiguration": {"OutputLocation": self._settings.output}} if self._settings.output else {}
        started = self._called(
            lambda: athena.start_query_execution(
                QueryString=sql,
                WorkGroup=self._settings.workgroup,
                QueryExecutionContext={"Database": parts_of(self._settings.table)[0]},
                **output,
            )
        )
        query = started["QueryExecutionId"]
        run = awaited(
            lambda: self._ended(query),
            self._settings.timeout.total_seconds(),
            lambda: self._called(lambda: athena.stop_query_execution(QueryExecutionId=query)),
            self.where,
        )
        location = run.get("ResultConfiguration", {}).get("OutputLocation")
        lines = self._lines(location) if location else self._pages(query)
        next(lines, None)  # the names of the columns
        while chunk := list(islice(lines, CHUNK)):
            yield chunk

    def scan(self, sql: str) -> Scan:
        """Tell of the last run of the same statement: Athena says nothing before it runs one."""
        athena, workgroup = self.clients["athena"], self._settings.workgroup
        found = self._called(lambda: athena.list_query_executions(WorkGroup=workgroup, MaxResults=RECENT))
        if ids := found.get("QueryExecutionIds"):
            past = self._called(lambda: athena.batch_get_query_execution(QueryExecutionIds=ids))["QueryExecutions"]
            same = [run for run in past if run.get("Query") == sql and run["Status"]["State"] == "SUCCEEDED"]
            if same:
                last = max(same, key=lambda run: run["Status"]["SubmissionDateTime"])
                read = int(last["Statistics"]["DataScannedInBytes"])
                dollars = max(read, LEAST) * DOLLARS_PER_TB / TB
                return Scan(f"its last run ({last['Status']['SubmissionDateTime']:%Y-%m-%d})", read, dollars)
        return Scan("Athena tells only after a run, and it was not run of late")

    def _ended(self, query: str) -> dict[str, Any] | None:
        """Return a statement that succeeded; None while it runs."""
        asked = self._called(lambda: self.clients["athena"].get_query_execution(QueryExecutionId=query))
        run: dict[str, Any] = asked["QueryExecution"]
        state = run["Status"]["State"]
        if state in {"FAILED", "CANCELLED"}:
            said = run["Status"].get("StateChangeReason") or "Athena gives no reason"
            text = f"the statement {'failed' if state == 'FAILED' else 'was cancelled'}: {said} (query {query})"
            raise QueryError("query", self.where, text, "")
        return run if state == "SUCCEEDED" else None

    def _lines(self, location: str) -> Iterator[Sequence[str | None]]:
        """Yield the rows of a result file: CSV with quotes around everything but NULL, the names of columns first.

        Python's own reader takes a NULL for an empty text, which is another thing (a cluster without a name).
        """
        bucket, _, key = location.removeprefix("s3://").partition("/")
        with tempfile.NamedTemporaryFile(suffix=".csv", dir=scratch()) as copy:
            self._called(lambda: self.clients["s3"].download_fileobj(bucket, key, copy))
            copy.seek(0)
            count = copy.readline().count(b",") + 1
            columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(count))
            sql = (
                "FROM read_csv(?, auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"',"
                f" nullstr = '', allow_quoted_nulls = false, compression = 'none', columns = {{{columns}}})"
            )
            try:
                with in_memory() as connection:
                    found = connection.execute(sql, [copy.name])
                    while rows := found.fetchmany(CHUNK):
                        yield from rows
            except duckdb.Error as error:
                said = str(error).splitlines()[0]
                hint = "The next refresh asks again"
                raise QueryError("truncated", location, f"its result file is cut off: {said}", hint) from error

    def _pages(self, query: str) -> Iterator[Sequence[str | None]]:
        """Yield the rows of a result that the workgroup keeps itself, in no bucket."""
        asked = {"QueryExecutionId": query}
        while True:
            page = self._called(lambda: self.clients["athena"].get_query_results(**asked))
            for row in page["ResultSet"]["Rows"]:
                yield [value.get("VarCharValue") for value in row["Data"]]
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]

    def _called(self, call: Callable[[], T]) -> T:
        """Return what AWS answers. Raises SourceError for what it or its SDK says."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415

        try:
            return call()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            said = error.response.get("Error", {}).get("Message", "") or str(error)
            reason, hint = HINTS.get(code, ("http", ""))
            raise SourceError(reason, self.where, f"{error.operation_name}: {code}: {said}", hint) from error
        except NoCredentialsError as error:
            hint = "Give this process a role, or set AWS_PROFILE"
            raise SourceError("auth", self.where, "there are no AWS credentials", hint) from error
        except BotoCoreError as error:
            raise SourceError("unreachable", self.where, str(error), "Check the region and the network") from error


def _config() -> Any:
    from botocore.config import Config  # noqa: PLC0415

    return Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": ATTEMPTS})
