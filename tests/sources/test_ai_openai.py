"""OpenAI's bill against a fake of its admin API: exact to the last digit, and nothing left out or counted twice."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes.ai_providers import ADMIN_KEY, Calls, Charge, OpenAIFake, refusal
from tests.fakes.company import NOW as COMPANY_NOW
from tests.fakes.company import YESTERDAY
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, rows, utc
from unitcost.config.load import load
from unitcost.errors import ConfigError, SourceError
from unitcost.facts import Batch, Cost, Note, Problem, Usage
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.run.setup import Setup
from unitcost.sources.ai.openai import OpenAI, OpenAISettings, read_completions, read_cost
from unitcost.sources.base import Context
from unitcost.sources.http import Client
from unitcost.web.snapshot import Current

NOW = utc(2026, 11, 18, 12, 34)
TODAY = NOW.date()
DAY = timedelta(days=1)
COSTS, COMPLETIONS = "/v1/organization/costs", "/v1/organization/usage/completions"
OPTIONAL = ("embeddings", "images", "audio_speeches", "audio_transcriptions", "web_search_calls")

LINES = ("gpt-4o-2024-08-06, input", "gpt-4o-2024-08-06, cached input", "gpt-4o-2024-08-06, output", "Vector storage")


def source(url: str, *, context: Context | None = None, retries: int = 1, **given: Any) -> OpenAI:
    found = OpenAISettings.model_validate({"url": url, "admin_key": ADMIN_KEY, **given})
    return OpenAI("openai", found, context or Context(), partial(Client, retries=retries, backoff=0))


@contextmanager
def asking(fake: OpenAIFake, **given: Any) -> Iterator[OpenAI]:
    with serve(fake) as server:
        yield source(server.url, **given)


def company(first: date, end: date) -> OpenAIFake:
    """Return an organization whose every day cost something else, in every way that an amount is spelt."""
    fake = OpenAIFake(names={"proj_a": "customer-acme", "proj_b": "internal"})
    for n in range((end - first).days):
        day = first + n * DAY
        for number, line in enumerate(LINES):
            dollars = Decimal(7 * n + number + 1) / 1000 + Decimal("0.000000000001")
            spelt = format(dollars, "f") if number % 2 else ""
            fake.charges.append(Charge(day, ("proj_a", "proj_b", None)[n % 3], dollars, line, spelt))
        fake.charges.append(Charge(day, "proj_a", Decimal(0), "o1-2024-12-17, input", "0E-6176"))
        counts = {"input_tokens": 1000 + n, "input_cached_tokens": 400, "output_tokens": 50, "num_model_requests": 3}
        fake.calls.append(Calls(day, "completions", "proj_a", "key_1", "gpt-4o-2024-08-06", counts))
    return fake


def costs(stored: MemoryStored, day: date | str) -> list[Cost]:
    return stored.costs(str(day))


def usage(stored: MemoryStored, day: date | str) -> list[Usage]:
    return rows(Usage, stored.batches[str(day)].usage)


def sums(found: list[Usage]) -> dict[tuple[str | None, str | None, str | None], Decimal]:
    return {(one.tenant, one.item, one.unit): one.quantity for one in found}


def days(first: date, end: date) -> list[date]:
    return [first + n * DAY for n in range((end - first).days)]


# ------------------------------------------------------------------------------------------------ what is asked


def test_only_days_that_are_over_are_asked_and_today_is_never_billed() -> None:
    fake = company(TODAY - 5 * DAY, TODAY + DAY)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        assert stored.take(api.batches(asked(NOW, TODAY - 5 * DAY, stored))) == []
    assert stored.keys() == {str(day) for day in days(TODAY - 5 * DAY, TODAY)}
    assert stored.total() == fake.total(days(TODAY - 5 * DAY, TODAY))


def test_restated_days_are_asked_again_older_ones_only_while_they_are_missing() -> None:
    first = TODAY - 20 * DAY
    fake = company(first, TODAY)
    stored = MemoryStored(NOW)
    with serve(fake) as server:
        api = source(server.url)
        stored.take(api.batches(asked(NOW, first, stored)))
        del stored.batches[str(TODAY - 10 * DAY)]
        server.requests.clear()
        assert stored.take(api.batches(asked(NOW, first, stored, restate_days=2))) == []
    spans = {(one.params["start_time"], one.params["end_time"]) for one in server.requests}
    assert {(at(start), at(end)) for start, end in spans} == {
        (TODAY - 2 * DAY, TODAY),
        (TODAY - 10 * DAY, TODAY - 9 * DAY),
    }
    assert stored.total() == fake.total(days(first, TODAY))


def at(seconds: str) -> date:
    return date(1970, 1, 1) + timedelta(seconds=int(seconds))


def test_ninety_days_are_asked_in_ranges_that_every_report_allows() -> None:
    first = TODAY - 93 * DAY
    fake = company(first, TODAY)
    stored = MemoryStored(NOW)
    with serve(fake) as server:
        assert stored.take(source(server.url).batches(asked(NOW, first, stored))) == []
    assert {one.params["limit"] for one in server.requests} == {"31"}
    assert {one.params["bucket_width"] for one in server.requests} == {"1d"}
    spans = {(at(one.params["start_time"]), at(one.params["end_time"])) for one in server.requests}
    assert sorted(spans) == [(first + n * 31 * DAY, first + (n + 1) * 31 * DAY) for n in range(3)]
    grouped = {one.path: one.every["group_by"] for one in server.requests}
    assert grouped[COSTS] == ["project_id", "line_item"]
    assert grouped[COMPLETIONS] == ["project_id", "api_key_id", "model", "batch"]
    assert len(stored.keys()) == 93
    assert stored.total() == fake.total(days(first, TODAY))


def test_an_unchanged_day_is_not_handed_over_again_and_one_restated_late_replaces_what_was_said() -> None:
    first = TODAY - 3 * DAY
    fake = company(first, TODAY)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        stored.take(api.batches(asked(NOW, first, stored)))
        assert list(api.batches(asked(NOW, first, stored))) == []
        fake.charges.append(Charge(TODAY - 2 * DAY, "proj_b", Decimal("41.99"), "gpt-5, output"))
        fake.charges.append(Charge(TODAY - 2 * DAY, "proj_a", Decimal("-2.5"), "Credit"))
        (batch,) = api.batches(asked(NOW, first, stored))
        assert isinstance(batch, Batch)
        assert batch.key == str(TODAY - 2 * DAY)
        stored.take([batch])
    assert stored.total() == fake.total(days(first, TODAY))
    assert {one.charge for one in costs(stored, TODAY - 2 * DAY) if one.amount < 0} == {"credit"}


# ----------------------------------------------------------------------------------------- what answers become


def test_a_line_of_the_bill_is_a_cost_of_the_account_with_its_model_and_unit() -> None:
    day = TODAY - DAY
    fake = OpenAIFake(
        charges=[
            Charge(day, "proj_a", Decimal("1.25"), "gpt-4o-2024-08-06, input", more={"quantity": 500_000}),
            Charge(day, None, Decimal("0.5"), "web search tool calls", more={"quantity": 50}),
        ]
    )
    stored = MemoryStored(NOW)
    with asking(fake, account="acme-org") as api:
        stored.take(api.batches(asked(NOW, day, stored)))
    searches, tokens = costs(stored, day)
    assert tokens == Cost(
        day, None, "OpenAI API", "ai", Decimal("1.25"), "USD", "openai/acme-org", item="gpt-4o-2024-08-06",
        unit="input", quantity=Decimal(500_000),
    )  # fmt: skip
    assert searches == Cost(
        day, None, "OpenAI API", "ai", Decimal("0.5"), "USD", "openai/acme-org", item="web search tool calls"
    )
    (batch,) = stored.batches.values()
    assert (batch.days, batch.says) == ([day], ("cost", "usage"))


@pytest.mark.parametrize(
    ("line", "item", "unit", "batch"),
    [
        ("gpt-4o-2024-08-06, input", "gpt-4o-2024-08-06", "input", False),
        ("gpt-4o-2024-08-06, cached input", "gpt-4o-2024-08-06", "cache_read", False),
        ("gpt-5.6-terra, cache writes", "gpt-5.6-terra", "cache_write", False),
        ("o1-2024-12-17, output", "o1-2024-12-17", "output", False),
        ("ft:gpt-4o-mini-2024-07-18:acme::A1b, output", "ft:gpt-4o-mini-2024-07-18:acme::A1b", "output", False),
        ("gpt-image-1 text, input", "gpt-image-1", "input", False),
        ("gpt-image-1 image, input", "gpt-image-1", "input_image", False),
        ("gpt-image-1 image, cached input", "gpt-image-1", "cache_read", False),
        ("gpt-image-2-2026-04-21 image, output", "gpt-image-2-2026-04-21", "output_image", False),
        ("gpt-audio-mini-2025-12-15 audio, input", "gpt-audio-mini-2025-12-15", "input_audio", False),
        ("gpt-audio-mini-2025-12-15 audio, output", "gpt-audio-mini-2025-12-15", "output_audio", False),
        ("priority | gpt-5.4-2026-03-05, output, long context", "gpt-5.4-2026-03-05", "output", False),
        ("batch | gpt-4o-2024-08-06, input", "gpt-4o-2024-08-06", "input", True),
        ("gpt-4o-2024-08-06, input, batch", "gpt-4o-2024-08-06", "input", True),
        ("web search tool calls", "web search tool calls", None, False),
        ("assistants api | file search", "assistants api | file search", None, False),
        ("gpt-4o, inputs of a new kind", "gpt-4o, inputs of a new kind", None, False),
        (None, None, None, False),
    ],
)
def test_line_items_say_model_unit_and_batch_where_they_are_of_the_known_form(
    line: str | None, item: str | None, unit: str | None, batch: bool
) -> None:
    found = read_cost({"amount": {"value": Decimal(1), "currency": "usd"}, "line_item": line, "project_id": "proj_a"})
    assert (found.item, found.unit, found.batch, found.quantity) == (item, unit, batch, None)


def test_what_a_line_is_sold_by_may_stand_beside_it() -> None:
    row = {"amount": {"value": "0.36", "currency": "usd"}, "line_item": "whisper-1", "quantity": Decimal(3600)}
    assert read_cost({**row, "quantity_unit": "duration_seconds"})[3:6] == ("whisper-1", "audio_seconds", Decimal(3600))
    assert read_cost({**row, "quantity_unit": "something"})[3:6] == ("whisper-1", None, None)


OLD = {"input_tokens": 1000, "input_cached_tokens": 400, "output_tokens": 50, "num_model_requests": 3}
NEW = {
    **OLD, "input_cache_write_tokens": 100, "input_text_tokens": 300, "input_audio_tokens": 150, "input_image_tokens": 50,
    "output_text_tokens": 20, "output_audio_tokens": 30, "input_cached_text_tokens": 400, "input_uncached_tokens": 500,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "units"),
    [
        (OLD, {"input": 600, "cache_read": 400, "output": 50, "requests": 3}),
        ({**OLD, "input_audio_tokens": 70, "output_audio_tokens": 9},
         {"input": 600, "cache_read": 400, "output": 50, "requests": 3, "input_audio": 70, "output_audio": 9}),
        (NEW, {"input": 300, "cache_read": 400, "cache_write": 100, "input_audio": 150, "input_image": 50,
               "output": 20, "output_audio": 30, "requests": 3}),
        ({"input_tokens": 5, "output_tokens": 0, "input_cached_tokens": None}, {"input": 5}),
    ],
)  # fmt: skip
def test_tokens_are_each_in_one_unit(row: dict[str, Any], units: dict[str, int]) -> None:
    found = read_completions({name: None if value is None else Decimal(value) for name, value in row.items()})
    assert {unit: int(quantity) for unit, quantity in found.quantities.items() if quantity} == units


def test_usage_is_of_model_unit_and_account_and_says_what_was_asked_in_a_batch() -> None:
    day = TODAY - DAY
    fake = OpenAIFake(charges=[Charge(day, "proj_a", Decimal(1), LINES[0])])
    counts = {"input_tokens": 100, "output_tokens": 7, "num_model_requests": 2}
    for batch in (False, True):
        fake.calls.append(Calls(day, "completions", "proj_a", "key_1", "gpt-4o-2024-08-06", counts, batch))
    fake.calls += [
        Calls(day, "embeddings", "proj_a", "key_1", "text-embedding-3-small", {"input_tokens": 9, "num_model_requests": 4}),
        Calls(day, "images", "proj_a", "key_1", "dall-e-3", {"images": 2, "num_model_requests": 2}),
        Calls(day, "audio_speeches", "proj_a", "key_1", "tts-1", {"characters": 45, "num_model_requests": 1}),
        Calls(day, "audio_transcriptions", "proj_a", "key_1", "whisper-1", {"seconds": 20, "num_model_requests": 1}),
        Calls(day, "web_search_calls", "proj_a", "key_1", "gpt-4o-2024-08-06", {"num_requests": 6, "num_model_requests": 5}),
    ]  # fmt: skip
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        assert stored.take(api.batches(asked(NOW, day, stored))) == []
    found = {
        (one.measure, one.item, one.unit, one.dimensions.get("service_tier")): int(one.quantity)
        for one in usage(stored, day)
    }
    model = "gpt-4o-2024-08-06"
    assert found == {
        **{("ai_tokens", model, "input", tier): 100 for tier in (None, "batch")},
        **{("ai_tokens", model, "output", tier): 7 for tier in (None, "batch")},
        **{("ai_requests", model, "requests", tier): 2 for tier in (None, "batch")},
        ("ai_tokens", "text-embedding-3-small", "input", None): 9,
        ("ai_requests", "text-embedding-3-small", "requests", None): 4,
        ("ai_images", "dall-e-3", "images", None): 2,
        ("ai_characters", "tts-1", "characters", None): 45,
        ("ai_requests", "tts-1", "requests", None): 1,
        ("ai_audio_seconds", "whisper-1", "audio_seconds", None): 20,
        ("ai_requests", "whisper-1", "requests", None): 1,
        ("ai_searches", model, "searches", None): 6,
    }
    assert {one.scope for one in usage(stored, day)} == {"openai/"}


def test_a_day_on_which_nothing_was_used_is_known_and_costs_nothing() -> None:
    stored = MemoryStored(NOW)
    with asking(OpenAIFake()) as api:
        assert stored.take(api.batches(asked(NOW, TODAY - 2 * DAY, stored))) == []
    assert stored.keys() == {str(TODAY - DAY), str(TODAY - 2 * DAY)}
    assert stored.total() == 0


def test_a_day_that_was_used_and_is_not_billed_yet_stays_unknown_until_it_can_no_longer_change() -> None:
    fake = company(TODAY - 5 * DAY, TODAY)
    billed, fake.charges = fake.charges, []
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        found = list(api.batches(asked(NOW, TODAY - 5 * DAY, stored)))
        text = next(item.text for item in found if isinstance(item, Note))
        assert text.startswith(f"openai, {TODAY - DAY}: was used and is not billed yet")
        stored.take(found)
        assert stored.keys() == {str(TODAY - 4 * DAY), str(TODAY - 5 * DAY)}
        fake.charges = billed
        stored.take(api.batches(asked(NOW, TODAY - 5 * DAY, stored)))
        assert len(stored.keys()) == 5
        fake.charges = []
        problems = stored.take(api.batches(asked(NOW, TODAY - 5 * DAY, stored)))
    assert {one.reason for one in problems} == {"no_data"}
    assert stored.total() == sum(one.dollars for one in billed if one.day >= TODAY - 3 * DAY)


# ------------------------------------------------------------------------------------------------- what fails


def on(path: str, page: str | None, reply: Reply, *, end: date | None = None) -> Callable[[Request], Reply | None]:
    """Answer so for a path, its first (None) or a later page, and the range that ends there (None: any)."""

    def fault(request: Request) -> Reply | None:
        same = request.path == path and request.params.get("page") == page
        return reply if same and (end is None or at(request.params["end_time"]) == end) else None

    return fault


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
    fake = company(first, TODAY)
    fake.fault = on(path, "page_7", reply, end=broken_end)
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
    fake = company(day, TODAY)
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
    fake = company(first, TODAY)
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
        ({"amount": {"value": 1, "currency": "usd"}, "line_item": LINES[0], "quantity": -1}, "quantity '-1' is negative"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_line_of_a_bill_is_refused_in_words(row: dict[str, Any], text: str) -> None:
    fake = company(TODAY - DAY, TODAY)
    fake.fault = lambda request: poisoned(fake, request, TODAY - DAY, row)
    with asking(fake) as api:
        (problem,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(problem, Problem)
    assert text in problem.text


def test_more_cached_than_input_is_a_problem_and_not_a_negative_number() -> None:
    fake = company(TODAY - DAY, TODAY)
    counts = {"input_tokens": 1, "input_cached_tokens": 2, "output_tokens": 0}
    fake.calls = [Calls(TODAY - DAY, "completions", None, None, "m", counts)]
    with asking(fake) as api:
        (problem,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(problem, Problem)
    assert "input_tokens are 1 less than what is in them" in problem.text


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_report_that_an_organization_does_not_have_is_told_and_the_bill_counts(status: int) -> None:
    fake = company(TODAY - 40 * DAY, TODAY)
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
    fake = company(TODAY - DAY, TODAY)
    fake.fault = on("/v1/organization/usage/embeddings", None, refusal(500, "boom"))
    with asking(fake) as api:
        (problem,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(problem, Problem)
    assert problem.reason == "http"


def test_three_failed_ranges_in_a_row_stop_the_source() -> None:
    fake = company(TODAY - DAY, TODAY)
    fake.fault = lambda _: refusal(500, "boom")
    with asking(fake) as api:
        found: list[Batch | Problem | Note] = []
        with pytest.raises(SourceError, match="3 ranges of days in a row failed; older ranges of days") as caught:
            found.extend(api.batches(asked(NOW, TODAY - 300 * DAY)))
    assert caught.value.reason == "http"
    assert len(found) == 2
    assert len(fake.asked) == 3


def test_too_many_requests_waits_as_long_as_the_server_says() -> None:
    fake = company(TODAY - DAY, TODAY)
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
    fake = company(TODAY - 60 * DAY, TODAY)
    fake.fault = lambda _: refusal(429, "slow down", headers)
    with asking(fake) as api, pytest.raises(SourceError) as caught:
        list(api.batches(asked(NOW, TODAY - 60 * DAY)))
    assert caught.value.reason == "retry_later"
    assert len(set(fake.asked)) == 1, "no other range is asked"


@given(
    faults=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([COSTS, COMPLETIONS, "/v1/organization/usage/embeddings"]),
                st.sampled_from([None, "page_3", "page_6", "page_9"]),
                st.integers(0, 3),
            ),
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    ),
    late=st.lists(st.tuples(st.integers(0, 3), st.integers(-5_000, 9_000)), max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_whatever_fails_no_day_is_half_told_left_out_or_counted_twice(
    faults: list[list[tuple[str, str | None, int]]], late: list[tuple[int, int]]
) -> None:
    first = TODAY - 40 * DAY
    fake = company(first, TODAY)
    fake.per_page = 3
    stored = MemoryStored(NOW)
    kinds = (refusal(500, "boom"), Reply("{}"), Reply('{"data": [', cut=3), Reply("<html>", 502))
    with asking(fake, retries=0) as api:
        for refresh, broken in enumerate([*faults, []]):
            wrong = {(path, page): kinds[kind] for path, page, kind in broken}
            fake.fault = lambda request, wrong=wrong: wrong.get((request.path, request.params.get("page")))  # type: ignore[misc]
            for when, cents in late:
                if when == refresh % len(faults):
                    fake.charges.append(Charge(TODAY - 2 * DAY, None, Decimal(cents) / 100, "Late"))
            before = {day: stored.batches.get(str(day)) for day in days(first, TODAY)}
            stored.take(api.batches(asked(NOW, first, stored)))
            for day, was in before.items():
                now = stored.batches.get(str(day))
                assert now is was or sum(one.amount for one in costs(stored, day)) == fake.total([day])
    assert len(stored.keys()) == 40
    assert stored.total() == fake.total(days(first, TODAY))
    total = sum(one.quantity for key in stored.batches for one in usage(stored, key) if one.measure == "ai_tokens")
    assert total == fake.used(days(first, TODAY), "input_tokens") + fake.used(days(first, TODAY), "output_tokens")


# ---------------------------------------------------------------------------------------------- whose it is


def two_customers() -> OpenAIFake:
    day = TODAY - DAY
    fake = OpenAIFake(per_page=1)
    fake.names = {"proj_a": "customer-acme", "proj_b": "customer-beta", "proj_c": "internal", "proj_z": "customer-"}
    fake.keys = {
        ("proj_a", "key_1"): "backend",
        ("proj_c", "key_2"): "customer-gamma",
        ("proj_c", "key_3"): "customer-delta",
    }
    for number, project in enumerate([*fake.names, None, "proj_gone"], start=1):
        fake.charges.append(Charge(day, project, Decimal(number), LINES[0]))
    for project, key in [*fake.keys, (None, None), ("proj_gone", "key_gone")]:
        counts = {"input_tokens": 10, "output_tokens": 0}
        fake.calls.append(Calls(day, "completions", project, key, "gpt-4o", counts))
    return fake


def whose(fake: OpenAIFake, **given: Any) -> tuple[dict[str | None, Decimal], dict[str | None, Decimal], list[Note]]:
    """Return dollars and tokens by tenant, and the notes."""
    stored = MemoryStored(NOW)
    with asking(fake, **given) as api:
        found = list(api.batches(asked(NOW, TODAY - DAY, stored)))
        assert stored.take(found) == []
    dollars: dict[str | None, Decimal] = {}
    for cost in costs(stored, TODAY - DAY):
        dollars[cost.tenant] = dollars.get(cost.tenant, Decimal(0)) + cost.amount
    tokens = {one.tenant: one.quantity for one in usage(stored, TODAY - DAY)}
    return dollars, tokens, [item for item in found if isinstance(item, Note)]


def test_without_a_word_on_tenants_all_of_it_is_nobodys_and_no_list_is_asked() -> None:
    fake = two_customers()
    dollars, tokens, notes = whose(fake)
    assert dollars == {None: 21}
    assert tokens == {None: 50}
    assert notes == []
    assert not [path for path, _ in fake.asked if "projects" in path]


def test_ids_in_the_map_need_no_list_and_keys_attribute_tokens_only() -> None:
    fake = two_customers()
    tenants = {"proj_a": "Acme", "key_1": "One", "key_2": "Gamma", "default": "Console"}
    dollars, tokens, notes = whose(fake, tenants=tenants)
    assert dollars == {"Acme": 1, "Console": 5, None: 15}
    assert tokens == {"One": 10, "Gamma": 10, "Console": 10, None: 20}, "the key comes before its project"
    assert not [path for path, _ in fake.asked if "projects" in path]
    assert notes[0].text == (
        "openai: costs of the days asked now without a tenant: "
        "proj_gone 6 USD, proj_z 4 USD, proj_c 3 USD, proj_b 2 USD"
    )


def test_a_pattern_names_tenants_by_whole_names_and_the_map_comes_first() -> None:
    fake = two_customers()
    pattern = "customer-(?P<tenant>.*)"
    dollars, tokens, _ = whose(fake, tenant_pattern=pattern, tenants={"customer-beta": "Beta Inc", "internal": "us"})
    assert dollars == {"acme": 1, "Beta Inc": 2, "us": 3, None: 15}, (
        "an empty name is none, nor is a project that is gone"
    )
    assert tokens == {"acme": 10, "gamma": 10, "delta": 10, None: 20}


def test_each_list_is_asked_once_in_a_refresh_page_by_page_and_archived_projects_too() -> None:
    fake = two_customers()
    with serve(fake) as server:
        list(source(server.url, tenant_pattern="(?P<tenant>.+)").batches(asked(NOW, TODAY - 3 * DAY)))
    lists = [one for one in fake.asked if "projects" in one[0]]
    assert len(lists) == len(set(lists))
    projects = [after for path, after in lists if path == "/v1/organization/projects"]
    assert projects == ["", "proj_a", "proj_b", "proj_c"]
    assert {one.params.get("include_archived") for one in server.requests if one.path.endswith("/projects")} == {"true"}
    assert ("/v1/organization/projects/proj_c/api_keys", "key_2") in lists
    assert not [path for path, _ in lists if "proj_b" in path], "no key of it was used"


@pytest.mark.parametrize("path", ["/v1/organization/projects", "/v1/organization/projects/proj_a/api_keys"])
def test_names_that_cannot_be_had_leave_what_is_stored_as_it_is(path: str) -> None:
    fake = two_customers()
    stored = MemoryStored(NOW)
    with asking(fake, tenant_pattern="customer-(?P<tenant>.+)") as api:
        stored.take(api.batches(asked(NOW, TODAY - DAY, stored)))
        before = dict(stored.batches)
        fake.fault = on(path, None, refusal(500, "boom"))
        fake.charges.append(Charge(TODAY - DAY, "proj_a", Decimal(1), "Late"))
        (problem,) = stored.take(api.batches(asked(NOW, TODAY - DAY, stored)))
        assert problem.reason == "http"
        fake.fault = on(path, None, refusal(403, "missing scope: api.management.read"))
        with pytest.raises(SourceError, match=r"answered 403\. The key must be an admin key"):
            stored.take(api.batches(asked(NOW, TODAY - DAY, stored)))
    assert stored.batches == before


# ------------------------------------------------------------------------------------------- keys and settings


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_stops_at_once_says_what_is_needed_and_is_shown_nowhere(status: int) -> None:
    fake = company(TODAY - 90 * DAY, TODAY)
    fake.fault = lambda request: refusal(status, f"Incorrect API key: {request.headers['authorization']}")
    with asking(fake) as api:
        with pytest.raises(SourceError, match="admin key") as caught:
            list(api.batches(asked(NOW, TODAY - 90 * DAY)))
        assert caught.value.reason == "auth"
        assert (
            ADMIN_KEY
            not in f"{caught.value!r} {vars(caught.value)} {api.settings!r} {api.settings.identity(Context())}"
        )
    assert len(fake.asked) == 1


def test_a_server_that_repeats_the_key_in_an_error_shows_it_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    fake = company(TODAY - DAY, TODAY)
    fake.fault = lambda request: refusal(500, f"cannot handle {request.headers['authorization']}")
    with asking(fake) as api, caplog.at_level(logging.DEBUG):
        (problem,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(problem, Problem)
    assert "cannot handle Bearer" in problem.line
    assert ADMIN_KEY not in problem.line + caplog.text


def test_the_key_may_stand_in_a_file_that_is_renewed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old\n")
    fake = company(TODAY - DAY, TODAY)
    with asking(fake, admin_key=None, admin_key_file=path) as api:
        with pytest.raises(SourceError, match="answered 401"):
            list(api.batches(asked(NOW, TODAY - DAY)))
        path.write_text(f"{ADMIN_KEY}\n")
        (batch,) = api.batches(asked(NOW, TODAY - DAY))
    assert isinstance(batch, Batch)


WRONG = [
    ({"admin_key": None}, "needs exactly one of admin_key and admin_key_file"),
    ({"admin_key": ""}, "is empty"),
    ({"admin_key": "two\nlines"}, "must be one line"),
    ({"bearer_token": "x" * 8}, "is asked with its admin key"),
    ({"account": "a/b"}, "should match pattern"),
    ({"tenants": {"proj_a": " "}}, "the tenant of 'proj_a' is empty"),
    ({"tenants": {"proj_a": "__idle__"}}, "reserved name"),
    ({"tenant_pattern": "customer-(?P<tenant>"}, "is no regular expression"),
    ({"tenant_pattern": "customer-(.+)"}, "has no group that names the tenant"),
    ({"workspace": "x"}, "Extra inputs"),
]


@pytest.mark.parametrize(("changes", "text"), WRONG)
def test_settings_that_are_wrong(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text.replace("(", r"\(")):
        OpenAISettings.model_validate({"admin_key": ADMIN_KEY, **changes})


def test_a_wrong_pattern_is_told_with_its_path_and_the_key_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", ADMIN_KEY)
    (tmp_path / "unitcost.yaml").write_text(
        "sources: {openai: {type: openai, admin_key: '${OPENAI_ADMIN_KEY}', tenant_pattern: 'x-(.+)', tenants: [1]}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "unitcost.yaml")
    assert len(caught.value.mistakes) == 2
    assert "sources.openai.tenant_pattern: has no group that names the tenant, (?P<tenant>…)" in str(caught.value)
    assert ADMIN_KEY not in str(caught.value)


def test_what_decides_the_content_is_the_map_and_not_the_key() -> None:
    def identity(**given: Any) -> list[object]:
        return OpenAISettings.model_validate({"admin_key": ADMIN_KEY, **given}).identity(Context())

    assert identity() == identity(admin_key="another", url="https://proxy.example.com", timeout=5)
    assert identity() != identity(tenants={"proj_a": "acme"})
    assert identity() != identity(tenant_pattern="(?P<tenant>.+)")
    assert identity() != identity(account="acme-org")


# ---------------------------------------------------------------------------------------------- the whole way

YAML = """
windows: [1d]
history: 10d
sources:
  openai: {{type: openai, url: "{url}", admin_key: "{key}", account: acme-org, tenant_pattern: "customer-(?P<tenant>.+)"}}
"""


def test_it_is_counted_served_and_known_to_the_cent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = OpenAIFake(names={"proj_a": "customer-acme", "proj_b": "internal"})
    for n in range(1, 11):
        day = COMPANY_NOW.date() - n * DAY
        fake.charges.append(Charge(day, "proj_a", Decimal("1.10"), LINES[0]))
        fake.charges.append(Charge(day, "proj_b", Decimal("0.123456789012"), "web search tool calls", "0.123456789012"))
        fake.calls.append(
            Calls(day, "completions", "proj_a", "key_1", "gpt-4o", {"input_tokens": 10, "output_tokens": 2})
        )
        fake.calls.append(
            Calls(day, "completions", None, None, "gpt-4o", {"input_tokens": 5, "output_tokens": 1}, batch=True)
        )
    current = Current()
    with serve(fake) as server, closing(Ledger(tmp_path)) as ledger:
        (tmp_path / "unitcost.yaml").write_text(YAML.format(url=server.url, key=ADMIN_KEY))
        config, directory = load(tmp_path / "unitcost.yaml")
        refresher = Refresher(config, directory, ledger, current, lambda: COMPANY_NOW)
        with caplog.at_level(logging.DEBUG):
            assert refresher.refresh(), refresher.runners[0].problems
            fake.fault = lambda request: refusal(500, f"at {request.headers['authorization']}")
            assert not refresher.refresh()
        snapshot = current.get()
        assert snapshot is not None
        lines = snapshot.text.decode().splitlines()
        assert 'tenant_cost_dollars{tenant="acme",component="ai",window="1d"} 1.1' in lines
        assert 'unallocated_cost_dollars{source="openai",component="ai",window="1d"} 0.123456789012' in lines
        assert 'window_complete{window="1d"} 1.0' in lines
        assert 'unitcost_source_up{source="openai"} 0.0' in lines
        found = ledger.rows("SELECT item, unit, scope, sum(amount) FROM line GROUP BY ALL ORDER BY item")
        assert found == [
            ("gpt-4o-2024-08-06", "input", "openai/acme-org", Decimal("11.00")),
            ("web search tool calls", None, "openai/acme-org", Decimal("1.234567890120")),
        ]
        [(tokens,)] = ledger.rows("SELECT sum(quantity) FROM usage WHERE measure = 'ai_tokens'")
        assert tokens == 10 * 18
    assert ADMIN_KEY not in caplog.text + snapshot.text.decode() + snapshot.page.decode()


def test_it_is_no_bill_of_a_cluster(tmp_path: Path) -> None:
    text = f"""
sources:
  cluster: {{type: opencost, url: "http://opencost:9003"BY}}
  openai: {{type: openai, admin_key: "{ADMIN_KEY}"}}
"""
    path = tmp_path / "unitcost.yaml"
    path.write_text(text.replace("BY", ""))
    config, directory = load(path)
    assert not config.context().billed
    assert Setup.of(config, directory).model.billed_by == [], "else OpenCost's days would be taken for billed"
    path.write_text(text.replace("BY", ", billed_by: [openai]"))
    with pytest.raises(ConfigError, match="'openai' is no bill among the sources that holds clusters"):
        load(path)


def test_yesterday_of_the_company_is_yesterday() -> None:
    assert COMPANY_NOW.date() - DAY == YESTERDAY
