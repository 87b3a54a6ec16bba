"""Trino: its protocol over loopback, page by page, with a server that is busy, refuses, fails or falls silent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from trino.auth import BasicAuthentication

from tests.fakes.focus_tables import FocusTable, charges, focus_table
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.ending import ENDING
from unitcost.errors import SourceError
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.engines.engine import QueryError
from unitcost.sources.bills.focus.engines.settings import TrinoSettings
from unitcost.sources.bills.focus.engines.trino_server import Trino
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

NOW = utc(2026, 11, 20)


@dataclass
class FakeTrino:
    """Answers as a coordinator does: a statement is posted, its state and its rows are got page by page.

    answer: statement → the names of columns and rows, or an error as Trino has it. before: replies that come first.
    """

    answer: Callable[[str], tuple[Sequence[str], Sequence[Sequence[str | None]]] | dict[str, Any]]
    url: str = ""
    page: int = 3
    forever: bool = False
    before: list[Reply] = field(default_factory=list)
    statements: list[Request] = field(default_factory=list)
    cancelled: int = 0
    _found: Any = None

    def __call__(self, request: Request) -> Reply:
        if self.before:
            return self.before.pop(0)
        if request.method == "DELETE":
            self.cancelled += 1
            return Reply(status=204)
        if request.method == "POST":
            self.statements.append(request)
            self._found = self.answer(request.body.decode())
            return self._said({"nextUri": f"{self.url}/v1/statement/queued/q1/a/0"})
        if self.forever:
            return self._said({"nextUri": f"{self.url}/v1/statement/executing/q1/a/0"})
        if isinstance(self._found, dict):
            return self._said({"error": self._found})
        names, rows = self._found
        at = int(request.path.rpartition("/")[2])
        columns = [
            {"name": name, "type": "varchar", "typeSignature": {"rawType": "varchar", "arguments": []}}
            for name in names
        ]
        more: dict[str, Any] = {"columns": columns, "data": [list(row) for row in rows[at : at + self.page]]}
        if at + self.page < len(rows):
            more["nextUri"] = f"{self.url}/v1/statement/executing/q1/a/{at + self.page}"
        return self._said(more)

    def _said(self, more: dict[str, Any]) -> Reply:
        stats = {"state": "RUNNING" if "nextUri" in more else "FINISHED"}
        body = {"id": "q1", "infoUri": f"{self.url}/ui/q1", "stats": stats, "warnings": [], **more}
        return Reply(json.dumps(body), headers={"Content-Type": "application/json"})


def over(table: FocusTable) -> Callable[[str], Any]:
    """Answer from a table."""

    def answer(sql: str) -> Any:
        if sql.startswith("SHOW COLUMNS"):
            return ["Column", "Type", "Extra", "Comment"], [(one.name, one.type, "", "") for one in table.columns]
        return table.run(sql)

    return answer


@contextmanager
def trino(answer: Callable[[str], Any]) -> Iterator[FakeTrino]:
    fake = FakeTrino(answer)
    with serve(fake) as server:
        fake.url = server.url
        yield fake


def settings(fake: FakeTrino, **given: Any) -> TrinoSettings:
    known = {"type": "trino", "table": "lake.billing.focus", "url": fake.url}
    return TrinoSettings.model_validate({**known, **given})


def one(value: str = "x") -> Callable[[str], Any]:
    return lambda _: (["a"], [(value,)])


def test_a_bill_comes_in_pages_and_is_counted() -> None:
    with focus_table("trino") as table, trino(over(table)) as fake:
        table.add(charges())
        stored = MemoryStored(NOW)
        engine = {"type": "trino", "table": "lake.billing.focus", "url": fake.url, "user": "finops"}
        source = Focus("bill", FocusSettings.model_validate({"type": "focus", "engine": engine}), Context(metered=True))
        assert stored.take(source.batches(asked(NOW, date(2026, 10, 1), stored))) == []
    assert stored.total() == Decimal("0.1") * 744 + Decimal("37.25")
    shown, *statements = fake.statements
    assert shown.body.decode() == 'SHOW COLUMNS FROM "lake"."billing"."focus"'
    assert ["FROM lake.billing.focus WHERE" in sent.body.decode() for sent in statements] == [True, True]
    assert {sent.headers["x-trino-user"] for sent in statements} == {"finops"}
    assert {sent.headers["x-trino-session"] for sent in statements} == {"query_max_run_time=1800s"}
    assert "x-trino-query-data-encoding" not in shown.headers, "rows come with the pages, and not from another place"


def test_a_server_that_is_busy_is_asked_again() -> None:
    with trino(one()) as fake:
        fake.before = [Reply(status=503), Reply(status=503)]
        with Trino(settings(fake)) as engine:
            assert [list(rows) for rows in engine.rows("SELECT 1")] == [[["x"]]]
        assert len(fake.statements) == 1


@pytest.mark.parametrize(
    ("error", "kind", "reason", "said"),
    [
        ({"errorName": "TABLE_NOT_FOUND", "message": "no such table"}, SourceError, "missing", "catalog.schema.table"),
        (
            {"errorName": "PERMISSION_DENIED", "message": "Access Denied"},
            QueryError,
            "auth",
            "Grant SELECT on the table",
        ),
        (
            {"errorName": "EXCEEDED_TIME_LIMIT", "message": "too slow"},
            QueryError,
            "query",
            "EXCEEDED_TIME_LIMIT: too slow",
        ),
        (
            {"errorName": "NO_NODES_AVAILABLE", "message": "no workers", "errorType": "INTERNAL_ERROR"},
            QueryError,
            "query",
            "no workers (query q1)",
        ),
    ],
)
def test_what_trino_says_is_told(error: dict[str, Any], kind: type[SourceError], reason: str, said: str) -> None:
    full = {"errorCode": 1, "errorType": "USER_ERROR", "failureInfo": {"type": "x", "message": "m"}, **error}
    with trino(lambda _: full) as fake, Trino(settings(fake)) as engine:
        with pytest.raises(SourceError) as raised:
            list(engine.rows("SELECT 1"))
        assert type(raised.value) is kind
        assert (raised.value.reason, said in str(raised.value)) == (reason, True), raised.value


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Unauthorized", 401), "auth"),
        (Reply("nope", 500), "http"),
        (Reply('{"id": "q1", "sta', headers={"Content-Type": "application/json"}), "unreachable"),
        (Reply('{"id": "q1"}', cut=5, headers={"Content-Type": "application/json"}), "unreachable"),
    ],
)
def test_a_server_that_refuses_or_breaks_off_is_told(reply: Reply, reason: str) -> None:
    with trino(one()) as fake, Trino(settings(fake)) as engine:
        fake.before = [reply] * 3
        with pytest.raises(SourceError) as raised:
            list(engine.rows("SELECT 1"))
    assert raised.value.reason == reason, raised.value
    assert "trino lake.billing.focus" in str(raised.value)


def test_a_page_that_fails_in_the_middle_gives_no_result() -> None:
    with focus_table("trino") as table, trino(over(table)) as fake:
        table.add(charges())
        stored = MemoryStored(NOW)
        engine = {"type": "trino", "table": "lake.billing.focus", "url": fake.url}
        source = Focus("bill", FocusSettings.model_validate({"type": "focus", "engine": engine}), Context(metered=True))
        answer, pages = fake.__call__, []

        def failing(request: Request) -> Reply:
            pages.append(request)
            return Reply("gone", 410) if "executing" in request.path and len(pages) > 40 else answer(request)

        with serve(failing) as server:
            fake.url = server.url
            engine["url"] = server.url
            source = Focus(
                "bill", FocusSettings.model_validate({"type": "focus", "engine": engine}), Context(metered=True)
            )
            with pytest.raises(SourceError, match="410"):
                stored.take(source.batches(asked(NOW, date(2026, 10, 1), stored)))
    assert not stored.keys()


def test_a_statement_that_takes_too_long_is_cancelled() -> None:
    with trino(one()) as fake:
        fake.forever = True
        given = settings(fake).model_copy(update={"timeout": timedelta(seconds=0.5)})
        with (
            Trino(given) as engine,
            pytest.raises(QueryError, match=r"no answer within .* s; the statement was cancelled"),
        ):
            list(engine.rows("SELECT 1"))
        assert fake.cancelled == 1


def test_the_end_of_the_process_cancels_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    with trino(one()) as fake:
        fake.forever = True
        with Trino(settings(fake)) as engine:
            monkeypatch.setattr(ENDING, "received", 15)
            with pytest.raises(QueryError, match="unitcost is ending") as raised:
                list(engine.rows("SELECT 1"))
    assert raised.value.reason == "stopped"


def test_a_password_is_sent_over_https_only_and_shown_nowhere(tmp_path: Path) -> None:
    given = {"type": "trino", "table": "a.b.c", "user": "me", "password": "very-secret"}
    with pytest.raises(ValidationError, match="a password is sent over https only") as error:
        TrinoSettings.model_validate({**given, "url": "http://trino:8080"})
    assert "very-secret" not in str(error.value)
    secret = tmp_path / "password"
    secret.write_text("from-a-file\n")
    with_file = {**given, "url": "https://trino:8443", "password_file": secret}
    with pytest.raises(ValidationError, match="has password and password_file; keep one"):
        TrinoSettings.model_validate(with_file, context={"folder": tmp_path})
    del with_file["password"]
    found = TrinoSettings.model_validate(with_file, context={"folder": tmp_path})
    with Trino(found) as engine:
        auth = engine.connection.auth
    assert auth == BasicAuthentication("me", "from-a-file")
