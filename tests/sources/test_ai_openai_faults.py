"""What goes wrong with OpenAI's admin API: no day is left out, half told or counted twice, and the rest goes on."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.fakes.ai_accounts import DAY, LINES, NOW, TODAY, asking, at, days, openai_account
from tests.fakes.ai_providers import Calls, OpenAIFake, failing, refusal
from tests.fakes.server import Reply, Request
from tests.fakes.stored import MemoryStored, asked
from unitcost.errors import SourceError
from unitcost.facts import Batch, Note, Problem

COSTS, COMPLETIONS = "/v1/organization/costs", "/v1/organization/usage/completions"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal(500, "The server had an error"), "http"),
        (Reply("<html>bad gateway", 502), "http"),
        (Reply('{"object": "page", "data": [], "has_more": false, "next_page"', cut=40), "truncated"),
        (Reply('{"object": "page", "data": [{"start_time": 1, "results": ['), "format"),
        (Reply('{"data": []}'), "format"),
        (Reply('{"has_more": false}'), "format"),
        (Reply('{"data": [], "has_more": true, "next_page": null}'), "format"),
        (Reply('{"data": [], "has_more": true, "next_page": "page_7"}'), "format"),
        (Reply('{"data": [{"start_time": 1763424000, "end_time": 1763510400}], "has_more": false}'), "format"),
        (Reply('{"data": [{"start_time": 86400, "end_time": 172800, "results": []}], "has_more": false}'), "format"),
        (Reply('{"data": [{"start_time": 1, "end_time": 86401, "results": []}], "has_more": false}'), "format"),
        (Reply('{"data": [{"results": [7]}], "has_more": false}'), "format"),
        (Reply('{"data": {}, "has_more": false}'), "format"),
        (Reply("<html>please log in"), "format"),
        (refusal(400, "Invalid page"), "request"),
    ],
)
@pytest.mark.parametrize("path", [COSTS, COMPLETIONS])
def test_a_range_whose_second_page_fails_gives_nothing_and_the_others_are_kept(
    path: str, reply: Reply, reason: str
) -> None:
    first, broken_end = TODAY - 62 * DAY, TODAY - 31 * DAY
    fake = openai_account(first, TODAY)
    fake.fault = failing(path, "page_7", reply, until=broken_end)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        (problem,) = stored.take(api.batches(asked(NOW, first, stored)))
        assert (problem.reason, problem.where) == (reason, f"openai, {first} to {broken_end - DAY}")
        assert problem.hint
        assert stored.keys() == {str(day) for day in days(broken_end, TODAY)}
        assert stored.total() == fake.total(days(broken_end, TODAY))
        fake.fault = lambda _: None
        assert stored.take(api.batches(asked(NOW, first, stored))) == []
    assert len(stored.keys()) == 62
    assert stored.total() == fake.total(days(first, TODAY))


def test_a_day_that_comes_on_two_pages_is_not_counted_twice() -> None:
    day = TODAY - DAY
    fake = openai_account(day, TODAY)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        (good,) = api.batches(asked(NOW, day))
    assert isinstance(good, Batch)
    answers: list[str] = []

    def twice(request: Request) -> Reply | None:
        if request.path != COSTS:
            return None
        body = str(fake.answer(replace(request, params={**request.params, "page": "page_0"})).body)
        answers.append(body)
        more = '"has_more": true, "next_page": "again"'
        return Reply(body.replace('"has_more": false, "next_page": null', more) if len(answers) == 1 else body)

    fake.fault = twice
    with asking(fake) as api:
        (problem,) = stored.take(api.batches(asked(NOW, day, stored)))
    assert (problem.reason, problem.where) == ("value", f"openai, {day}")
    assert "two pages" in problem.text
    assert stored.keys() == set()


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "an amount is null, not a number"),
        ("much", "an amount 'much' is not a plain number"),
        (True, "an amount is true, not a number"),
        ("NaN", "an amount 'NaN' is not a plain number"),
        (10**16, "is too large"),
    ],
)
def test_an_amount_that_is_none_is_a_problem_of_its_day_only(amount: object, text: str) -> None:
    first, broken = TODAY - 5 * DAY, TODAY - 2 * DAY
    fake = openai_account(first, TODAY)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        stored.take(api.batches(asked(NOW, first, stored)))
        before = dict(stored.batches)
        row = {"amount": {"value": amount, "currency": "usd"}, "line_item": "x", "project_id": None}
        fake.fault = lambda request: poisoned(fake, request, broken, row)
        (problem,) = stored.take(api.batches(asked(NOW, first, stored)))
    assert (problem.reason, problem.where) == ("value", f"openai, {broken}")
    assert text in problem.text
    assert COSTS in problem.text
    assert stored.batches == before


def poisoned(fake: OpenAIFake, request: Request, day: date, row: dict[str, Any]) -> Reply | None:
    if request.path != COSTS:
        return None
    body = json.loads(str(fake.answer(request).body))
    for bucket in body["data"]:
        if at(bucket["start_time"]) == day:
            bucket["results"].append(row)
    return Reply(json.dumps(body))


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"amount": None}, "an amount is null, not a map of value and currency"),
        ({"amount": {"value": 1}}, "the currency of an amount is null, not the code of one"),
        ({"amount": {"value": 1, "currency": "us dollars"}}, 'is "us dollars", not the code of one'),
        ({"amount": {"value": 1, "currency": "usd"}, "line_item": 7}, "line_item is 7, not a text"),
        ({"amount": {"value": 1, "currency": "usd"}, "line_item": "a\0b"}, "holds a zero byte"),
        ({"amount": {"value": 1, "currency": "usd"}, "line_item": LINES[0], "quantity": -1}, "'-1' is negative"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_line_of_a_bill_is_refused_in_words(row: dict[str, Any], text: str) -> None:
    fake = openai_account(TODAY - DAY, TODAY)
    fake.fault = lambda request: poisoned(fake, request, TODAY - DAY, row)
    with asking(fake) as api:
        (problem,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(problem, Problem)
    assert text in problem.text


def test_more_cached_than_input_is_a_problem_and_not_a_negative_number() -> None:
    fake = openai_account(TODAY - DAY, TODAY)
    counts = {"input_tokens": 1, "input_cached_tokens": 2, "output_tokens": 0}
    fake.calls = [Calls(TODAY - DAY, "completions", None, None, "m", counts)]
    with asking(fake) as api:
        (problem,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(problem, Problem)
    assert "input_tokens are 1 less than what is in them" in problem.text


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_report_that_an_organization_does_not_have_is_told_and_the_bill_counts(status: int) -> None:
    fake = openai_account(TODAY - 40 * DAY, TODAY)
    path = "/v1/organization/usage/images"
    fake.fault = lambda request: refusal(status, "not for you") if request.path == path else None
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        found = list(api.batches(asked(NOW, TODAY - 40 * DAY, stored)))
    assert stored.take(found) == []
    (note,) = [item for item in found if isinstance(item, Note)]
    assert note.text.startswith(f"openai: {path} answered {status}")
    assert [one for one in fake.asked if one[0] == path] == [(path, "")], "once in a refresh"
    assert stored.total() == fake.total(days(TODAY - 40 * DAY, TODAY))


def test_usage_that_fails_fails_the_day_with_its_costs() -> None:
    fake = openai_account(TODAY - DAY, TODAY)
    fake.fault = failing("/v1/organization/usage/embeddings", None, refusal(500, "boom"))
    with asking(fake) as api:
        (problem,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(problem, Problem)
    assert problem.reason == "http"


def test_three_failed_ranges_in_a_row_stop_the_source() -> None:
    fake = openai_account(TODAY - DAY, TODAY)
    fake.fault = lambda _: refusal(500, "boom")
    with asking(fake) as api:
        given = api.batches(asked(NOW, TODAY - 300 * DAY))
        with pytest.raises(SourceError, match="3 ranges of days in a row failed; older ranges of days") as caught:
            list(given)
    assert caught.value.reason == "http"
    assert len(fake.asked) == 3


def test_too_many_requests_waits_as_long_as_the_server_says() -> None:
    fake = openai_account(TODAY - DAY, TODAY)
    replies = [refusal(429, "slow down", {"Retry-After": "1"})]
    fake.fault = lambda request: replies.pop() if replies and request.path == COSTS else None
    started = time.monotonic()
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        assert stored.take(api.batches(asked(NOW, TODAY - DAY, stored))) == []
    assert time.monotonic() - started >= 1
    assert stored.total() == fake.total([TODAY - DAY])


@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {}])
def test_a_server_that_wants_to_be_left_alone_is_asked_again_by_the_next_refresh(headers: dict[str, str]) -> None:
    fake = openai_account(TODAY - 60 * DAY, TODAY)
    fake.fault = lambda _: refusal(429, "slow down", headers)
    with asking(fake) as api, pytest.raises(SourceError) as caught:
        list(api.batches(asked(NOW, TODAY - 60 * DAY)))
    assert caught.value.reason == "retry_later"
    assert len(set(fake.asked)) == 1, "no other range is asked"
