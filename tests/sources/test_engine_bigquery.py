"""BigQuery: its API over loopback, asked through Google's own client: jobs, pages, dry runs, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError

from tests.fakes.focus_tables import FocusTable, charges, focus_table
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.errors import SourceError
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.engines.big_query import BigQuery
from unitcost.sources.bills.focus.engines.engine import QueryError
from unitcost.sources.bills.focus.engines.settings import BigQuerySettings
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

NOW = utc(2026, 11, 20)
ANONYMOUS = AnonymousCredentials()  # type: ignore[no-untyped-call]
NAMED = {"projectId": "lake-1", "datasetId": "billing", "tableId": "focus"}


@dataclass
class FakeBigQuery:
    """Answers as the REST API does. failed: the error that a job ends with; before: replies that come first."""

    table: FocusTable
    page: int = 100
    running: int = 1
    failed: dict[str, str] | None = None
    before: list[Reply] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    cancelled: int = 0
    _looked: int = 0
    _rows: tuple[list[str], list[Sequence[str | None]]] | None = None

    def __call__(self, request: Request) -> Reply:
        if self.before:
            return self.before.pop(0)
        if "/tables/" in request.path:
            fields = [{"name": one.name, "type": one.type, "mode": "NULLABLE"} for one in self.table.columns]
            return _json({"tableReference": NAMED, "location": "EU", "schema": {"fields": fields}})
        if request.path.endswith("/cancel"):
            self.cancelled += 1
            return _json({"job": self._job()})
        if request.method == "POST":
            self.jobs.append(json.loads(request.body))
            self._looked, self._rows = 0, None
            return _json(self._job())
        if "/queries/" in request.path:
            return _json(self._results(request))
        self._looked += 1
        return _json(self._job())

    def _done(self) -> bool:
        return self._looked >= self.running

    def _job(self) -> dict[str, Any]:
        sent = self.jobs[-1]
        dry = sent["configuration"].get("dryRun", False)
        state = {"state": "DONE" if dry or self._done() else "RUNNING"}
        if self.failed and state["state"] == "DONE":
            state |= {"errorResult": self.failed, "errors": [self.failed]}  # type: ignore[dict-item]
        return {
            "jobReference": {**sent["jobReference"], "location": "EU"},
            "configuration": sent["configuration"],
            "status": state,
            "statistics": {"totalBytesProcessed": str(2 << 40), "query": {"totalBytesProcessed": str(2 << 40)}},
        }

    def _results(self, request: Request) -> dict[str, Any]:
        self._looked += 1
        if self._rows is None:  # once a job: pages of two runs would have two orders
            self._rows = self.table.run(self.jobs[-1]["configuration"]["query"]["query"])
        names, rows = self._rows
        at = int(request.params.get("pageToken", "0"))
        found: dict[str, Any] = {
            "jobReference": self.jobs[-1]["jobReference"],
            "jobComplete": self._done(),
            "totalRows": str(len(rows)),
            "schema": {"fields": [{"name": name, "type": "STRING"} for name in names]},
        }
        if self._done() and request.params.get("maxResults") != "0":
            found["rows"] = [{"f": [{"v": value} for value in row]} for row in rows[at : at + self.page]]
            if at + self.page < len(rows):
                found["pageToken"] = str(at + self.page)
        return found


def _json(body: dict[str, Any], status: int = 200) -> Reply:
    return Reply(json.dumps(body), status, {"Content-Type": "application/json"})


def error(status: int, reason: str, message: str) -> Reply:
    inner = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return _json({"error": inner}, status)


@pytest.fixture
def google_cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBigQuery]:
    with focus_table("bigquery") as table:
        fake = FakeBigQuery(table)
        with serve(fake) as server:
            monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
            monkeypatch.setattr(google.auth, "default", lambda *_, **__: (ANONYMOUS, "payer"))
            yield fake


def settings(**given: Any) -> BigQuerySettings:
    return BigQuerySettings.model_validate({"type": "bigquery", "table": "lake-1.billing.focus", **given})


def bill(**given: Any) -> Focus:
    engine = {"type": "bigquery", "table": "lake-1.billing.focus", **given}
    return Focus("bill", FocusSettings.model_validate({"type": "focus", "engine": engine}), Context(metered=True))


def test_a_bill_comes_in_pages_and_is_counted(google_cloud: FakeBigQuery) -> None:
    google_cloud.table.add(charges())
    google_cloud.running = 2
    stored = MemoryStored(NOW)
    source = bill(maximum_bytes_billed="10GB")
    assert stored.take(source.batches(asked(NOW, date(2026, 10, 1), stored))) == []
    assert stored.total() == Decimal("0.1") * 744 + Decimal("37.25")
    assert {cost.tenant for cost in stored.costs("2026-10")} == {"acme", "beta", None}
    assert len(google_cloud.jobs) == 2
    sent = google_cloud.jobs[-1]
    assert "FROM lake-1.billing.focus WHERE" in sent["configuration"]["query"]["query"]
    assert sent["configuration"]["query"]["maximumBytesBilled"] == str(10 << 30)
    assert sent["jobReference"] | {"jobId": ""} == {"jobId": "", "projectId": "payer", "location": "EU"}


def test_a_dry_run_tells_bytes_and_their_price(google_cloud: FakeBigQuery) -> None:
    with BigQuery(settings()) as engine:
        found = engine.scan("SELECT 1")
    assert (found.bytes, found.dollars) == (2 << 40, Decimal("12.5"))
    assert google_cloud.jobs[0]["configuration"]["dryRun"] is True


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        ({"reason": "invalidQuery", "message": "Unrecognized name: x"}, "the statement failed: Unrecognized name: x"),
        (
            {"reason": "bytesBilledLimitExceeded", "message": "would bill 2 TB"},
            "Set engine.maximum_bytes_billed to more",
        ),
        ({"reason": "stopped", "message": "Job execution was cancelled"}, "Job execution was cancelled"),
    ],
)
def test_what_bigquery_says_of_a_job_that_failed_is_told(
    google_cloud: FakeBigQuery, failed: dict[str, str], said: str
) -> None:
    google_cloud.failed = failed
    with BigQuery(settings()) as engine, pytest.raises(QueryError, match="job") as raised:
        list(engine.rows("SELECT 1"))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "reason", "said"),
    [
        (error(403, "accessDenied", "Access Denied: Table"), "auth", "Access Denied: Table"),
        (error(404, "notFound", "Not found: Table"), "missing", "Write table as project.dataset.table"),
        (error(400, "invalid", "Invalid value"), "query", "Invalid value"),
    ],
)
def test_what_the_api_refuses_is_told(google_cloud: FakeBigQuery, reply: Reply, reason: str, said: str) -> None:
    google_cloud.before = [reply]
    with BigQuery(settings()) as engine, pytest.raises(SourceError) as raised:
        engine.columns()
    assert (raised.value.reason, said in str(raised.value)) == (reason, True), raised.value


def test_an_api_that_is_busy_is_asked_again(google_cloud: FakeBigQuery) -> None:
    google_cloud.before = [error(503, "backendError", "try again"), error(429, "rateLimitExceeded", "slowly")]
    with BigQuery(settings()) as engine:
        assert [one.kind for one in engine.columns()][-1] == "text"
    assert not google_cloud.before


def test_a_job_that_takes_too_long_is_cancelled(google_cloud: FakeBigQuery) -> None:
    google_cloud.running = 10**6
    given = settings().model_copy(update={"timeout": timedelta(seconds=0.5)})
    with BigQuery(given) as engine, pytest.raises(QueryError, match="the statement was cancelled"):
        list(engine.rows("SELECT 1"))
    assert google_cloud.cancelled == 1


def test_a_page_that_fails_gives_no_result(google_cloud: FakeBigQuery) -> None:
    google_cloud.table.add(charges())
    real: Callable[[Request], Reply] = google_cloud.__call__

    def failing(request: Request) -> Reply:
        return error(400, "invalid", "page is gone") if "pageToken" in request.params else real(request)

    stored = MemoryStored(NOW)
    with serve(failing) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        problems = stored.take(bill().batches(asked(NOW, date(2026, 10, 1), stored)))
    assert [("page is gone" in one.text, one.reason) for one in problems] == [(True, "query")]
    assert not stored.keys()


@pytest.mark.usefixtures("google_cloud")
def test_no_credentials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise DefaultCredentialsError("none")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(google.auth, "default", nothing)
    with pytest.raises(SourceError, match="GOOGLE_APPLICATION_CREDENTIALS") as raised, BigQuery(settings()):
        pass
    assert raised.value.reason == "auth"
