"""Athena: what is asked of it, how its result file is read, and what it says when something is wrong. Against moto."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from tests.fakes.focus_tables import FocusTable, charges, focus_table
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.errors import SourceError
from unitcost.facts import Problem
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.engines.athena import Athena
from unitcost.sources.bills.focus.engines.engine import QueryError, table
from unitcost.sources.bills.focus.engines.settings import AthenaSettings
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

NOW = utc(2026, 11, 20)
OUTPUT = "s3://results/unitcost/"
OPTIONS = Options("EffectiveCost", None, ("tenant",), (), resources=True)


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """An AWS to talk to; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def bill(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FocusTable]:
    """A table that Glue knows, in an AWS that holds nothing else."""
    requests.post(f"{aws}/moto-api/reset", timeout=10)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="results")
    with focus_table("athena") as found:
        found.partition("billing_period", "2026-10")
        columns = [{"Name": one.name.lower(), "Type": one.type} for one in found.columns]
        glue = boto3.client("glue", region_name="us-east-1")
        glue.create_database(DatabaseInput={"Name": "billing"})
        glue.create_table(
            DatabaseName="billing",
            TableInput={
                "Name": "focus",
                "StorageDescriptor": {"Columns": columns[:-1]},
                "PartitionKeys": columns[-1:],
            },
        )
        yield found


def settings(**given: Any) -> AthenaSettings:
    known = {"type": "athena", "table": "billing.focus", "region": "us-east-1", "output": OUTPUT}
    return AthenaSettings.model_validate({**known, **given})


def answers(aws: str, *results: Sequence[Sequence[str | None]]) -> None:
    """Let moto answer the next statements with these, the names of the columns first."""
    packed = [
        {"rows": [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in rows], "column_info": []}
        for rows in results
    ]
    url = f"{aws}/moto-api/static/athena/query-results"
    assert requests.post(url, json={"results": packed}, timeout=10).status_code == 201


def test_the_table_is_asked_by_its_partition_and_its_result_file_is_counted(aws: str, bill: FocusTable) -> None:
    bill.add(charges())
    with Athena(settings()) as athena:
        statement = table(settings(), athena).statement(OPTIONS, "2026-10")
    names, rows = bill.run(statement.sql)
    assert """FROM billing.focus WHERE "billing_period" = '2026-10')""" in statement.sql
    answers(aws, [names], [names, *rows])  # 2026-11 has nothing
    stored = MemoryStored(NOW)
    engine = {"type": "athena", "table": "billing.focus", "region": "us-east-1", "output": OUTPUT}
    source = Focus("bill", FocusSettings.model_validate({"type": "focus", "engine": engine}), Context(metered=True))
    assert stored.take(source.batches(asked(NOW, date(2026, 10, 1), stored))) == []
    assert stored.total() == Decimal("0.1") * 744 + Decimal("37.25")
    assert {cost.tenant for cost in stored.costs("2026-10")} == {"acme", "beta", None}
    client = boto3.client("athena", region_name="us-east-1")
    ids = client.list_query_executions()["QueryExecutionIds"]
    asked_of = [client.get_query_execution(QueryExecutionId=one)["QueryExecution"] for one in ids]
    assert [one["Query"].count("2026-10") + one["Query"].count("2026-11") for one in asked_of] == [1, 1]
    assert statement.sql in {one["Query"] for one in asked_of}
    assert {one["QueryExecutionContext"]["Database"] for one in asked_of} == {"billing"}


@pytest.mark.usefixtures("bill")
def test_nothing_is_no_empty_text_and_a_line_may_hold_commas_and_line_ends(aws: str) -> None:
    answers(aws, [["a", "b", "c", "d"], ["x,\ny", None, "", "Ü"]])
    with Athena(settings()) as athena:
        assert [list(rows) for rows in athena.rows("SELECT 1")] == [[("x,\ny", None, "", "Ü")]]


@pytest.mark.usefixtures("bill")
def test_a_result_that_a_workgroup_keeps_itself_is_paged(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(aws, [["a"], ["x"]], [["a"], ["x"]])
    with Athena(settings(output=None)) as athena:
        assert [list(map(list, rows)) for rows in athena.rows("SELECT 1")] == [[["x"]]]
        pages: Iterator[dict[str, Any]] = iter(
            [
                {"ResultSet": {"Rows": [{"Data": [{"VarCharValue": "a"}]}]}, "NextToken": "t"},
                {"ResultSet": {"Rows": [{"Data": [{}]}, {"Data": [{"VarCharValue": "y"}]}]}},
            ]
        )
        tokens: list[Any] = []

        def page(**given: Any) -> dict[str, Any]:
            tokens.append(given.get("NextToken"))
            return next(pages)

        monkeypatch.setattr(athena.clients["athena"], "get_query_results", page)
        assert [list(map(list, rows)) for rows in athena.rows("SELECT 1")] == [[[None], ["y"]]]
        assert tokens == [None, "t"]


def ends(athena: Athena, monkeypatch: pytest.MonkeyPatch, state: str, why: str | None) -> None:
    run = {"Status": {"State": state, **({"StateChangeReason": why} if why else {})}}
    monkeypatch.setattr(athena.clients["athena"], "get_query_execution", lambda **_: {"QueryExecution": run})


@pytest.mark.parametrize(
    ("state", "why", "said"),
    [
        ("FAILED", "COLUMN_NOT_FOUND: line 1:8", "the statement failed: COLUMN_NOT_FOUND: line 1:8"),
        ("CANCELLED", None, "the statement was cancelled: Athena gives no reason"),
    ],
)
@pytest.mark.usefixtures("bill")
def test_what_athena_says_of_a_statement_that_failed_is_told(
    monkeypatch: pytest.MonkeyPatch, state: str, why: str | None, said: str
) -> None:
    with Athena(settings()) as athena:
        ends(athena, monkeypatch, state, why)
        with pytest.raises(QueryError, match=said):
            list(athena.rows("SELECT 1"))


@pytest.mark.usefixtures("bill")
def test_a_statement_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings()
    with Athena(given.model_copy(update={"timeout": timedelta(seconds=0.1)})) as athena:
        stopped: list[str] = []
        ends(athena, monkeypatch, "RUNNING", None)
        monkeypatch.setattr(
            athena.clients["athena"], "stop_query_execution", lambda **asked: stopped.append(asked["QueryExecutionId"])
        )
        with pytest.raises(QueryError, match=r"no answer within 0\.1 s; the statement was cancelled") as error:
            list(athena.rows("SELECT 1"))
        assert error.value.reason == "timeout"
        assert len(stopped) == 1


@pytest.mark.parametrize("body", [b'"a","b"\n"x","unfinished', b'"a","b"\n"x"\xff'])
@pytest.mark.usefixtures("aws", "bill")
def test_a_result_file_that_is_cut_off_is_no_result(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with Athena(settings()) as athena:
        boto3.client("s3", region_name="us-east-1").put_object(Bucket="results", Key="cut.csv", Body=body)
        run = {"Status": {"State": "SUCCEEDED"}, "ResultConfiguration": {"OutputLocation": "s3://results/cut.csv"}}
        monkeypatch.setattr(athena.clients["athena"], "get_query_execution", lambda **_: {"QueryExecution": run})
        with pytest.raises(QueryError, match="its result file is cut off") as error:
            list(athena.rows("SELECT 1"))
    assert error.value.reason == "truncated"


@pytest.mark.usefixtures("bill")
def test_a_row_with_too_few_columns_is_no_result(aws: str) -> None:
    answers(aws, [["a"], ["x"]])
    engine = {"type": "athena", "table": "billing.focus", "region": "us-east-1", "output": OUTPUT}
    source = Focus("bill", FocusSettings.model_validate({"type": "focus", "engine": engine}), Context())
    problems = [one for one in source.batches(asked(NOW, date(2026, 11, 1))) if isinstance(one, Problem)]
    assert [(one.reason, "a row of 1 columns" in one.text) for one in problems] == [("format", True)]


@pytest.mark.usefixtures("bill")
def test_a_table_that_is_not_there_and_a_right_that_lacks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        Athena(settings(table="billing.other")) as athena,
        pytest.raises(SourceError, match=r"database\.table") as error,
    ):
        athena.columns()
    assert error.value.reason == "missing"

    def refuse(_: Request) -> Reply:
        body = '{"__type": "AccessDeniedException", "Message": "not authorized to perform: glue:GetTable"}'
        return Reply(body, 400, {"Content-Type": "application/x-amz-json-1.1"})

    with serve(refuse) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with (
            Athena(settings()) as athena,
            pytest.raises(SourceError, match="not authorized to perform: glue:GetTable") as error,
        ):
            athena.columns()
    assert error.value.reason == "auth"


@pytest.mark.usefixtures("bill")
def test_throttling_is_waited_out_by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def busy_first(_: Request) -> Reply:
        seen.append(1)
        kind = {"Content-Type": "application/x-amz-json-1.1"}
        if len(seen) < 3:
            return Reply('{"__type": "ThrottlingException", "message": "Rate exceeded"}', 400, kind)
        return Reply(
            '{"Table": {"StorageDescriptor": {"Columns": [{"Name": "tags", "Type": "map<string,string>"}]}}}',
            200,
            kind,
        )

    with serve(busy_first) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with Athena(settings()) as athena:
            assert [one.kind for one in athena.columns()] == ["map"]
    assert len(seen) == 3


def test_nobody_who_listens_and_no_credentials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr("unitcost.sources.bills.focus.engines.athena.ATTEMPTS", 1)
    with Athena(settings()) as athena, pytest.raises(SourceError, match="Check the region and the network"):
        athena.columns()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with Athena(settings()) as athena, pytest.raises(SourceError, match="no AWS credentials"):
        athena.columns()


@pytest.mark.usefixtures("aws", "bill")
def test_a_role_is_taken_on() -> None:
    role = "arn:aws:iam::123456789012:role/bills"
    with Athena(settings(role_arn=role)) as athena:
        sent: list[str] = []
        athena.clients["glue"].meta.events.register(
            "before-send", lambda request, **_: sent.append(request.headers["Authorization"].decode())
        )
        assert athena.columns()
    assert sent
    assert "Credential=a/" not in sent[0]


@pytest.mark.usefixtures("aws", "bill")
def test_the_bytes_of_the_last_run_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Athena(settings()) as athena:
        assert athena.scan("SELECT 1").bytes is None
        past = [
            {
                "Query": "SELECT 1",
                "Status": {"State": "SUCCEEDED", "SubmissionDateTime": utc(2026, 11, day)},
                "Statistics": {"DataScannedInBytes": day * 10**11},
            }
            for day in (17, 19, 18)
        ]
        past.append({**past[1], "Query": "SELECT 2", "Statistics": {"DataScannedInBytes": 1}})
        client = athena.clients["athena"]
        monkeypatch.setattr(client, "list_query_executions", lambda **_: {"QueryExecutionIds": ["x"]})
        monkeypatch.setattr(client, "batch_get_query_execution", lambda **_: {"QueryExecutions": past})
        found = athena.scan("SELECT 1")
        assert (found.text, found.bytes, found.dollars) == ("its last run (2026-11-19)", 19 * 10**11, Decimal("9.5"))
        least = athena.scan("SELECT 2").dollars
        assert least == Decimal("0.00005"), "10 MB are billed at least"
