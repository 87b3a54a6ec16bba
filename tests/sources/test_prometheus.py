"""The Prometheus source against a fake API, good and bad, and against a real Prometheus."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from tests.fakes.faulty import certificate
from tests.fakes.server import Fake, Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, rows, utc
from unitcost.errors import SourceError
from unitcost.facts import Batch, Note, Problem, Usage
from unitcost.sources.base import Context
from unitcost.sources.http import Client
from unitcost.sources.usage.prometheus import Prometheus, PrometheusSettings

NOW = utc(2026, 11, 18, 12, 34) + timedelta(seconds=56)
TODAY = NOW.date()
REQUESTS = "sum by (tenant) (increase(http_requests_total[$window]))"
SECRET = "hunter2-do-not-show"


def vector(*series: tuple[dict[str, str], str], **more: object) -> Reply:
    """Build a successful answer of the instant query API."""
    result = [{"metric": labels, "value": [1763424000, value]} for labels, value in series]
    return Reply(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}))


def refusal(kind: str, text: str, status: int) -> Reply:
    return Reply(json.dumps({"status": "error", "errorType": kind, "error": text}), status)


GOOD = vector(({"tenant": "acme"}, "1200"), ({"tenant": "beta"}, "0.25"))
EMPTY = vector()


def source(url: str, *, context: Context | None = None, **given: Any) -> Prometheus:
    settings = PrometheusSettings(url=url, **{"measures": {"requests": REQUESTS}, **given})
    return Prometheus("usage", settings, context or Context(), Client(settings, retries=1, backoff=0))


@contextmanager
def answering(answer: Reply | Callable[[Request], Reply], **given: Any) -> Iterator[tuple[Prometheus, Fake]]:
    with serve(answer if callable(answer) else lambda _: answer) as fake:
        yield source(fake.url, **given), fake


def day_of(request: Request) -> date:
    """Return the day a request asks for: the last instant before its end."""
    return (datetime.fromtimestamp(int(request.params["time"]), UTC) - timedelta(seconds=1)).date()


def used(batch: Batch) -> dict[tuple[str | None, str], Decimal]:
    return {(one.tenant, one.measure): one.quantity for one in rows(Usage, batch.usage)}


def only_day(answer: Reply) -> list[Batch | Problem | Note]:
    """Ask for one day only (today), answered so."""
    with answering(answer) as (given, _):
        return list(given.batches(asked(NOW, TODAY)))


# -------------------------------------------------------------------------------------------- what is asked


def test_each_closed_day_is_asked_at_its_next_midnight_for_86400_seconds_and_today_until_now() -> None:
    with answering(GOOD) as (given, fake):
        list(given.batches(asked(NOW, date(2026, 11, 16))))
    assert [(one.path, one.params["query"], one.params["time"]) for one in fake.requests] == [
        ("/api/v1/query", REQUESTS.replace("$window", seconds), str(int(end.timestamp())))
        for seconds, end in [
            ("45240s", utc(2026, 11, 18, 12, 34)),
            ("86400s", utc(2026, 11, 18)),
            ("86400s", utc(2026, 11, 17)),
        ]
    ]


def test_thanos_is_told_to_fail_rather_than_to_leave_stores_out() -> None:
    with answering(GOOD) as (given, fake):
        list(given.batches(asked(NOW, TODAY)))
    assert fake.requests[0].params["partial_response"] == "false"


def test_the_window_is_filled_in_wherever_it_stands_as_a_word() -> None:
    query = 'sum by (tenant) (increase(a[$window]) / increase(b{c=~"$windows|x$"}[${window}]))'
    with answering(GOOD, measures={"ratio": query}) as (given, fake):
        list(given.batches(asked(utc(2026, 11, 18, 1), TODAY)))
    assert fake.requests[0].params["query"] == (
        'sum by (tenant) (increase(a[3600s]) / increase(b{c=~"$windows|x$"}[3600s]))'
    )


def test_today_is_not_asked_in_its_first_five_minutes() -> None:
    with answering(GOOD) as (given, fake):
        keys = [
            one.key
            for one in given.batches(asked(utc(2026, 11, 18, 0, 4), date(2026, 11, 17)))
            if isinstance(one, Batch)
        ]
        assert keys == ["2026-11-17"]
        list(given.batches(asked(utc(2026, 11, 18, 0, 5), TODAY)))
    assert fake.requests[-1].params["query"].endswith("[300s]))")


def test_a_mimir_style_prefix_is_kept() -> None:
    with serve(lambda _: GOOD) as fake:
        list(source(f"{fake.url}/prometheus/").batches(asked(NOW, TODAY)))
    assert fake.requests[0].path == "/prometheus/api/v1/query"


def test_today_and_the_restated_days_are_asked_again_and_older_days_only_while_unknown() -> None:
    stored = MemoryStored(NOW)
    first = date(2026, 11, 10)
    with answering(GOOD) as (given, fake):
        assert stored.take(given.batches(asked(NOW, first, stored))) == []
        assert stored.keys() == {f"2026-11-{day}" for day in range(10, 19)}
        fake.requests.clear()
        del stored.batches["2026-11-12"]
        stored.take(given.batches(asked(NOW, first, stored, restate_days=2)))
    assert [day_of(one).day for one in fake.requests] == [18, 17, 16, 12]


def test_a_day_that_was_asked_before_its_end_is_asked_again_even_when_it_is_no_longer_restated() -> None:
    stored = MemoryStored(NOW)
    with answering(GOOD) as (given, fake):
        stored.take(given.batches(asked(NOW, TODAY, stored)))
        fake.requests.clear()
        week_later = NOW + timedelta(days=7)
        stored.take(given.batches(asked(week_later, TODAY, stored, restate_days=0)))
        assert TODAY in {day_of(one) for one in fake.requests}
        fake.requests.clear()
        stored.take(given.batches(asked(week_later, TODAY, stored, restate_days=0)))
    assert [day_of(one) for one in fake.requests] == [week_later.date()]


def test_a_day_that_was_empty_is_asked_again_a_day_later() -> None:
    stored = MemoryStored(NOW)
    with answering(EMPTY) as (given, fake):
        for hours, expected in [(0, 1), (23, 0), (24, 1)]:
            fake.requests.clear()
            stored.take(given.batches(asked(NOW + timedelta(hours=hours), date(2026, 11, 8), stored, restate_days=0)))
            assert sum(day_of(one) == date(2026, 11, 8) for one in fake.requests) == expected


def test_an_unchanged_day_is_not_handed_over_again() -> None:
    stored = MemoryStored(NOW)
    with answering(GOOD) as (given, _):
        stored.take(given.batches(asked(NOW, date(2026, 11, 16), stored)))
        again = list(given.batches(asked(NOW, date(2026, 11, 16), stored)))
    assert again == []


# ------------------------------------------------------------------------------------- what answers become


def test_a_day_is_one_batch_with_every_measure_of_every_tenant() -> None:
    def answer(request: Request) -> Reply:
        if "tokens" in request.params["query"]:
            return vector(({"tenant": "acme"}, "3.5e+06"))
        return GOOD

    measures = {"requests": REQUESTS, "ai_tokens": "sum by (tenant) (increase(tokens_total[$window]))"}
    with answering(answer, measures=measures) as (given, _):
        (batch,) = given.batches(asked(NOW, TODAY))
    assert isinstance(batch, Batch)
    assert (batch.key, list(batch.days)) == ("2026-11-18", [TODAY])
    assert {one.day for one in rows(Usage, batch.usage)} == {TODAY}
    assert used(batch) == {
        ("acme", "ai_tokens"): Decimal(3_500_000),
        ("acme", "requests"): Decimal(1200),
        ("beta", "requests"): Decimal("0.25"),
    }


def test_two_series_of_one_tenant_are_added_exactly() -> None:
    (batch,) = only_day(
        vector(
            ({"tenant": "acme", "path": "/a"}, "9007199254740993"),
            ({"tenant": "acme", "path": "/b"}, "0.1"),
            ({"tenant": "acme", "path": "/c"}, "0.2000000000001"),
        )
    )
    assert isinstance(batch, Batch)
    assert used(batch) == {("acme", "requests"): Decimal("9007199254740993.3")}, "rounded to 12 decimals"


@pytest.mark.parametrize(("key", "label"), [("tenant", "tenant"), ("app.acme.io/tenant-id", "app_acme_io_tenant_id")])
def test_the_label_is_the_tenant_key_as_prometheus_spells_it(key: str, label: str) -> None:
    with answering(vector(({label: "acme"}, "1")), context=Context(tenant_keys=(key,))) as (given, _):
        (batch,) = given.batches(asked(NOW, TODAY))
    assert isinstance(batch, Batch)
    assert used(batch) == {("acme", "requests"): Decimal(1)}


def test_another_label_can_name_the_tenant() -> None:
    with answering(vector(({"org": "acme"}, "1")), tenant_label="org") as (given, _):
        (batch,) = given.batches(asked(NOW, TODAY))
    assert isinstance(batch, Batch)
    assert used(batch) == {("acme", "requests"): Decimal(1)}


def test_usage_without_a_tenant_is_left_out_and_its_total_is_said() -> None:
    batch, note = only_day(
        vector(({"tenant": "acme"}, "1"), ({}, "40"), ({"tenant": ""}, "2"), ({"tenant": "__idle__"}, "0.5"))
    )
    assert isinstance(batch, Batch)
    assert isinstance(note, Note)
    assert used(batch) == {("acme", "requests"): Decimal(1)}
    assert note.text.startswith("requests: 42.5 on the days asked now has no tenant in the label tenant")


def test_a_day_without_any_series_is_unknown_and_not_zero() -> None:
    (batch,) = only_day(EMPTY)
    assert batch == Batch(key="2026-11-18", days=[])


def test_a_stored_day_that_is_empty_now_stays_and_is_a_problem() -> None:
    stored = MemoryStored(NOW)
    with answering(GOOD) as (given, _):
        stored.take(given.batches(asked(NOW, TODAY, stored)))
    with answering(EMPTY) as (given, _):
        (problem,) = stored.take(given.batches(asked(NOW, TODAY, stored)))
    assert (problem.reason, problem.where) == ("no_data", "2026-11-18")
    assert used(stored.batches["2026-11-18"])


# ------------------------------------------------------------------------------------------- wrong answers


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (refusal("bad_data", "parse error at char 3", 400), "query", "answered 400 bad_data: parse error at char 3"),
        (refusal("execution", "too many samples", 422), "query", "answered 422 execution: too many samples"),
        (refusal("timeout", "query timed out", 503), "query", "answered 503 timeout: query timed out"),
        (refusal("execution", "boom", 200), "query", "answered 200 execution: boom"),
        (refusal("internal", "boom", 500), "http", "answered 500 internal: boom"),
        (Reply("<html>not found", 404), "http", "answered 404: <html>not found"),
        (Reply("upstream gone", 503), "http", "answered 503: upstream gone"),
        (Reply("<html>please log in"), "format", "is not JSON"),
        (Reply('{"status": "success", "data": {"resultType": "vec'), "format", "is not JSON"),
        (Reply("[]"), "format", "not as the Prometheus API does"),
        (Reply("null"), "format", "not as the Prometheus API does"),
        (Reply('{"status": "success"}'), "format", "not as the Prometheus API does"),
        (Reply('{"status": "success", "data": {"resultType": "vector", "result": null}}'), "format", "not as"),
        (Reply('{"status": "success", "data": {"resultType": "vector", "result": [7]}}'), "format", "not as"),
        (Reply('{"status": "success", "data": {"resultType": ["vector"], "result": []}}'), "format", "not as"),
        (Reply('{"status": ["error"], "data": {"resultType": {"a": 1}, "result": []}}'), "format", "not as"),
        (Reply('{"status": "success", "data": {"resultType": null, "result": [[]]}}'), "format", "not as"),
        (
            Reply(
                '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"tenant":"a"},"value":[1,2]}]}}'
            ),
            "format",
            "not as",
        ),
        (
            Reply('{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}'),
            "format",
            "the answer is a scalar, not a vector",
        ),
        (
            Reply('{"status": "success", "data": {"resultType": "matrix", "result": []}}'),
            "format",
            "the answer is a matrix, not a vector",
        ),
        (
            Reply(
                '{"status": "success", "data": {"resultType": "vector",'
                ' "result": [{"metric": {"tenant": "a"}, "histogram": [1, {"count": "2"}]}]}}'
            ),
            "format",
            "native histograms",
        ),
        (
            vector(({"tenant": "acme"}, "1"), warnings=["No StoreAPIs matched for this query"]),
            "partial",
            "No StoreAPIs",
        ),
        (vector(warnings=["receive store timed out"]), "partial", "receive store timed out"),
        (vector(({"tenant": "acme"}, "1"), warnings="odd"), "partial", "odd"),
        (vector(({"tenant": "acme"}, "1"), isPartial=True), "partial", "the answer is partial"),
        (vector(({"tenant": "acme"}, "NaN")), "value", "tenant 'acme': 'NaN' is not a plain number"),
        (vector(({"tenant": "acme"}, "+Inf")), "value", "tenant 'acme': '+Inf' is not a plain number"),
        (vector(({"tenant": "acme"}, "-3")), "value", "tenant 'acme': '-3' is negative"),
        (vector(({"tenant": "acme"}, "1e+30")), "value", "tenant 'acme': '1e+30' is too large"),
        (vector(({"job": "api"}, "7"), ({}, "1")), "label", "no series names a tenant in the label tenant"),
    ],
)
def test_a_wrong_answer_is_a_problem_of_that_day_and_measure_and_what_is_stored_stays(
    answer: Reply, reason: str, text: str
) -> None:
    stored = MemoryStored(NOW)
    with answering(GOOD) as (given, _):
        stored.take(given.batches(asked(NOW, TODAY, stored)))
    before = dict(stored.batches)
    with answering(answer) as (given, _):
        (problem,) = stored.take(given.batches(asked(NOW + timedelta(minutes=5), TODAY, stored)))
    assert problem.reason == reason
    assert problem.where == "2026-11-18 requests"
    assert text in problem.text
    assert problem.hint
    assert stored.batches == before


def test_the_hint_for_a_missing_label_shows_how_to_ask() -> None:
    (problem,) = only_day(vector(({}, "7")))
    assert isinstance(problem, Problem)
    assert "sum by (tenant) (…)" in problem.hint


NOT_A_COUNTER = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: (1:25)"


@pytest.mark.parametrize(
    "more",
    [
        {"infos": [NOT_A_COUNTER]},
        {"warnings": [NOT_A_COUNTER]},
        {"warnings": ['PromQL warning: bucket label "le" is missing or has a malformed value of "" (1:25)']},
        {"warnings": ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:67)"]},
        {"warnings": ["PromQL warning: encountered a mix of histograms and floats for aggregation (1:5)"]},
        {"warnings": ["PromQL warning: vector contains a mix of classic and native histograms"], "infos": []},
    ],
)
def test_a_day_that_promql_remarks_on_counts_and_the_remark_is_told(more: dict[str, list[str]]) -> None:
    batch, note = only_day(vector(({"tenant": "acme"}, "1"), **more))
    assert isinstance(batch, Batch)
    assert used(batch) == {("acme", "requests"): Decimal(1)}
    assert isinstance(note, Note)
    (text,) = more.get("warnings", []) + more.get("infos", [])
    assert note.text.startswith("requests: the server remarks, first on 2026-11-18")
    assert note.text.endswith(text)


def test_a_remark_is_told_once_for_all_days_and_measures_tell_their_own() -> None:
    with answering(vector(({"tenant": "acme"}, "1"), infos=[NOT_A_COUNTER])) as (given, _):
        found = list(given.batches(asked(NOW, date(2026, 11, 10))))
    assert [one.text.count(NOT_A_COUNTER) for one in found if isinstance(one, Note)] == [1]


@pytest.mark.parametrize(
    "warning",
    [
        "receive series from Addr: 10.0.0.7:10901 MinTime: 0 MaxTime: 1: rpc error: code = Unavailable",
        "No StoreAPIs matched for this query",
        "remote_read: remote server http://old:9090 returned HTTP status 503",
        "3 more warning annotations omitted",
        "something that nobody has seen yet, PromQL info: quoted",
    ],
)
def test_a_warning_that_is_no_remark_of_promql_may_mean_missing_data(warning: str) -> None:
    (problem,) = only_day(vector(({"tenant": "acme"}, "1"), warnings=[NOT_A_COUNTER, warning]))
    assert isinstance(problem, Problem)
    assert problem.reason == "partial"
    assert problem.text == f"the answer is partial: {warning}"


def test_an_empty_list_of_warnings_says_nothing() -> None:
    for name, nothing in (("warnings", None), ("warnings", []), ("infos", None), ("isPartial", False)):
        (batch,) = only_day(vector(({"tenant": "acme"}, "1"), **{name: nothing}))
        assert isinstance(batch, Batch)


def test_one_failing_measure_keeps_its_whole_day_and_the_other_days_go_on() -> None:
    def answer(request: Request) -> Reply:
        broken = "tokens" in request.params["query"] and day_of(request) == date(2026, 11, 17)
        return refusal("execution", "too many samples", 422) if broken else GOOD

    stored = MemoryStored(NOW)
    measures = {"requests": REQUESTS, "ai_tokens": "sum by (tenant) (increase(tokens_total[$window]))"}
    with answering(answer, measures=measures) as (given, _):
        (problem,) = stored.take(given.batches(asked(NOW, date(2026, 11, 16), stored)))
    assert problem.where == "2026-11-17 ai_tokens"
    assert stored.keys() == {"2026-11-18", "2026-11-16"}


def test_three_failed_days_in_a_row_stop_the_source_and_each_is_told_once() -> None:
    with answering(refusal("bad_data", "parse error", 400)) as (given, fake):
        found: list[Batch | Problem | Note] = []
        with pytest.raises(SourceError, match=r"2026-11-16 requests: .*parse error.*3 days in a row") as caught:
            found.extend(given.batches(asked(NOW, date(2026, 9, 1))))
    assert caught.value.reason == "query"
    assert len(fake.requests) == 3


def test_failed_days_that_are_not_in_a_row_do_not_stop_the_source() -> None:
    def answer(request: Request) -> Reply:
        return GOOD if day_of(request).day % 3 == 0 else refusal("execution", "boom", 422)

    stored = MemoryStored(NOW)
    with answering(answer) as (given, _):
        problems = stored.take(given.batches(asked(NOW, date(2026, 11, 10), stored)))
    assert stored.keys() == {"2026-11-18", "2026-11-15", "2026-11-12"}
    assert len(problems) == 6


# ------------------------------------------------------------------------------------------------ reaching it


def test_a_server_that_is_away_stops_at_once_and_keeps_what_is_stored() -> None:
    with serve(lambda _: GOOD) as fake:
        given = source(fake.url)
    with pytest.raises(SourceError) as caught:
        list(given.batches(asked(NOW, date(2026, 9, 1))))
    assert caught.value.reason == "unreachable"


def test_an_answer_that_takes_too_long_is_a_timeout() -> None:
    with answering(Reply(GOOD.body, stall=5), timeout=0.3) as (given, fake):
        with pytest.raises(SourceError) as caught:
            list(given.batches(asked(NOW, date(2026, 9, 1))))
        assert caught.value.reason == "timeout"
        assert len(fake.requests) == 1


def test_a_broken_connection_is_truncated_and_not_half_an_answer() -> None:
    with answering(Reply(GOOD.body, cut=60)) as (given, _), pytest.raises(SourceError) as caught:
        list(given.batches(asked(NOW, TODAY)))
    assert caught.value.reason == "truncated"


def test_too_many_requests_is_tried_again_when_the_server_says() -> None:
    replies = [Reply("slow down", 429, {"Retry-After": "1"}), GOOD]
    with answering(lambda _: replies.pop(0)) as (given, fake):
        started = time.monotonic()
        (batch,) = given.batches(asked(NOW, TODAY))
        assert time.monotonic() - started >= 1
    assert isinstance(batch, Batch)
    assert len(fake.requests) == 2


def test_bearer_basic_and_own_headers_arrive(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n")
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"bearer_token": SECRET}, "authorization", f"Bearer {SECRET}"),
        ({"bearer_token_file": token}, "authorization", f"Bearer {SECRET}"),
        ({"username": "u", "password": "p"}, "authorization", "Basic dTpw"),
        ({"headers": {"X-Scope-OrgID": "team-a"}}, "x-scope-orgid", "team-a"),
    ]
    for given, header, value in cases:
        with answering(GOOD, **given) as (api, fake):
            list(api.batches(asked(NOW, TODAY)))
        assert fake.requests[0].headers[header] == value


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_stop_at_once_and_no_secret_is_shown(status: int) -> None:
    given = {"bearer_token": SECRET, "headers": {"X-Key": SECRET}}
    with answering(Reply("no", status), **given) as (api, fake):
        with pytest.raises(SourceError) as caught:
            list(api.batches(asked(NOW, date(2026, 9, 1))))
        assert caught.value.reason == "auth"
        assert len(fake.requests) == 1
        assert fake.requests[0].headers["x-key"] == SECRET
        assert SECRET not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
        settings = {"url": fake.url, "measures": {"requests": REQUESTS}, **given}
        assert SECRET not in repr(PrometheusSettings.model_validate(settings))


@pytest.mark.needs("openssl")
def test_a_server_with_a_certificate_of_its_own_is_trusted_by_its_ca_file_only(tmp_path: Path) -> None:
    tls, ca_file = certificate(tmp_path)
    with serve(lambda _: GOOD, tls) as fake:
        (batch,) = source(fake.url, ca_file=ca_file).batches(asked(NOW, TODAY))
        assert isinstance(batch, Batch)
        with pytest.raises(SourceError, match="ca_file") as caught:
            list(source(fake.url).batches(asked(NOW, TODAY)))
    assert caught.value.reason == "unreachable"


# -------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("measures", "text"),
    [
        ({}, "at least 1"),
        ({"requests": "sum by (tenant) (increase(x[1d]))"}, r"'requests' lacks \$window"),
        ({"requests": "sum by (tenant) (increase(x[$windows]))"}, r"'requests' lacks \$window"),
        ({"API-requests": "x[$window]"}, "'API-requests' is not a name of lower case letters"),
    ],
)
def test_measures_need_a_name_and_a_window(measures: dict[str, str], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        PrometheusSettings(url="http://prometheus:9090", measures=measures)


def test_unknown_settings_are_mistakes() -> None:
    with pytest.raises(ValidationError, match="tenant_lable"):
        PrometheusSettings.model_validate({"url": "http://p", "measures": {"requests": REQUESTS}, "tenant_lable": "x"})


# ----------------------------------------------------------------------------------------- a real Prometheus

HISTORY = utc(2024, 3, 1)
"""Where the samples of the real one start; far in the past of any clock that runs this."""
MINUTES = 3 * 1440


def counted(tenant: str, minute: int) -> int:
    """Return what a tenant's counter grew by in the minute before this one."""
    return {"acme": 30, "beta": 2}[tenant] + round(10 * math.sin(minute / 240) ** 2) * (tenant == "acme")


@contextmanager
def prometheus_with_history(folder: Path) -> Iterator[str]:
    """Run Prometheus under /prometheus with a sample a minute of two counters; acme's restarts once."""
    lines = ["# TYPE http_requests counter"]
    for tenant in ("acme", "beta"):
        value = 0
        for minute in range(MINUTES + 1):
            value = 0 if (tenant, minute) == ("acme", 2000) else value + counted(tenant, minute)
            at = int(HISTORY.timestamp()) + 60 * minute
            lines.append(f'http_requests_total{{tenant="{tenant}"}} {value} {at}')
    text = folder / "history.txt"
    text.write_text("\n".join([*lines, "# EOF\n"]))
    data = folder / "data"
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, data], check=True, capture_output=True
    )
    (folder / "prometheus.yml").write_text("{}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/prometheus"
    running = subprocess.Popen(
        [
            "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}",
            "--web.route-prefix=/prometheus", "--log.level=error",
        ],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while not _ready(url):
            assert running.poll() is None, running.communicate()[1].decode()
            assert time.monotonic() < deadline, "Prometheus did not get ready"
            time.sleep(0.05)
        yield url
    finally:
        running.terminate()
        running.communicate(timeout=10)


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=1).status_code == 200
    except requests.ConnectionError:
        return False


def truth(tenant: str, day: date) -> int:
    """Return what was counted from this midnight to the next; what the restart set to 0 was not counted."""
    start = (day - HISTORY.date()).days * 1440
    minutes = range(start + 1, min(start + 1440, MINUTES) + 1)
    return sum(counted(tenant, minute) for minute in minutes if (tenant, minute) != ("acme", 2000))


@pytest.mark.needs("prometheus")
def test_a_real_prometheus_counts_each_day_what_was_counted_in_it(tmp_path: Path) -> None:
    first, now = HISTORY.date(), HISTORY + timedelta(days=2, hours=12)
    stored = MemoryStored(now)
    with prometheus_with_history(tmp_path) as url:
        assert stored.take(source(url).batches(asked(now, first - timedelta(days=2), stored))) == []
        broken = source(url, measures={"requests": "sum by (tenant) (increase(http_requests_total[$window])"})
        (problem, *_) = [item for item in broken.batches(asked(now, now.date(), stored)) if isinstance(item, Problem)]
    assert stored.keys() == {"2024-03-01", "2024-03-02", "2024-03-03"}
    assert stored.empty.keys() == {"2024-02-28", "2024-02-29"}, "days before the history are unknown, not zero"
    for day in (first, first + timedelta(days=1)):
        found = used(stored.batches[day.isoformat()])
        for tenant in ("acme", "beta"):
            # Prometheus 2 sees both midnights and is exact; 3 leaves the first one out and extends the rest.
            assert float(found[tenant, "requests"]) == pytest.approx(truth(tenant, day), rel=0.002)
    today = used(stored.batches["2024-03-03"])
    assert float(today["beta", "requests"]) == pytest.approx(2 * 720, rel=0.002)
    assert problem.reason == "query"
    assert "parse error" in problem.text
