"""What holds for every model provider's bill: nothing is left out or counted twice, and its key is shown nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.ai_accounts import DAY, NOW, TODAY, anthropic_account, asking, costs, days, openai_account, usage
from tests.fakes.ai_providers import ADMIN_KEY, Charge, ProviderFake, refusal
from tests.fakes.server import Reply
from tests.fakes.stored import MemoryStored, asked
from unitcost.errors import SourceError
from unitcost.facts import Problem
from unitcost.sources.base import Context

ACCOUNTS: dict[str, Callable[[date, date], ProviderFake]] = {"openai": openai_account, "anthropic": anthropic_account}
PATHS = {
    "openai": [f"/v1/organization/{name}" for name in ("costs", "usage/completions", "usage/embeddings")],
    "anthropic": [f"/v1/organizations/{name}" for name in ("cost_report", "usage_report/messages")],
}
HEADER = {"openai": "authorization", "anthropic": "x-api-key"}

a_fault = st.tuples(st.integers(0, 2), st.sampled_from([None, "page_3", "page_6", "page_9"]), st.integers(0, 3))


@pytest.mark.parametrize("provider", ACCOUNTS)
@given(
    faults=st.lists(st.lists(a_fault, max_size=4), min_size=1, max_size=4),
    late=st.lists(st.tuples(st.integers(0, 3), st.integers(-5_000, 9_000)), max_size=4),
)
@settings(max_examples=20, deadline=None)
def test_whatever_fails_no_day_is_half_told_left_out_or_counted_twice(
    provider: str, faults: list[list[tuple[int, str | None, int]]], late: list[tuple[int, int]]
) -> None:
    first = TODAY - 40 * DAY
    every = days(first, TODAY)
    fake, paths = ACCOUNTS[provider](first, TODAY), PATHS[provider]
    fake.per_page = 3
    stored = MemoryStored(NOW)
    kinds = (refusal(500, "boom"), Reply("{}"), Reply('{"data": [', cut=3), Reply("<html>", 502))
    with asking(fake, retries=0) as api:
        for refresh, broken in enumerate([*faults, []]):
            wrong = {(paths[path % len(paths)], page): kinds[kind] for path, page, kind in broken}
            fake.fault = lambda request, wrong=wrong: wrong.get((request.path, request.params.get("page")))  # type: ignore[misc]
            for number, (when, cents) in enumerate(late):
                if when == refresh % len(faults):
                    line = f"Late {refresh} {number}"
                    fake.charges.append(Charge(TODAY - 2 * DAY, None, Decimal(cents) / 100, line))
            before = {day: stored.batches.get(str(day)) for day in every}
            stored.take(api.batches(asked(NOW + refresh * timedelta(minutes=5), first, stored)))
            for day, was in before.items():
                now = stored.batches.get(str(day))
                assert now is was or sum(one.amount for one in costs(stored, day)) == fake.total([day])
    assert stored.keys() == {str(day) for day in every}
    assert stored.total() == fake.total(every)
    found = [one for day in every for one in usage(stored, day) if one.measure == "ai_tokens"]
    sold = ("input_tokens", "output_tokens", "uncached_input_tokens", "cache_read_input_tokens")
    cached = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    assert sum(one.quantity for one in found) == sum(fake.used(every, name) for name in (*sold, *cached))


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("provider", ACCOUNTS)
def test_a_key_that_is_refused_stops_at_once_says_what_is_needed_and_is_shown_nowhere(
    provider: str, status: int
) -> None:
    fake = ACCOUNTS[provider](TODAY - 90 * DAY, TODAY)
    fake.fault = lambda request: refusal(status, f"Incorrect API key: {request.headers[HEADER[provider]]}")
    with asking(fake) as api:
        with pytest.raises(SourceError, match="must be an admin key") as caught:
            list(api.batches(asked(NOW, TODAY - 90 * DAY)))
        shown = f"{caught.value!r} {vars(caught.value)} {api.settings!r} {api.settings.identity(Context())}"
    assert caught.value.reason == "auth"
    assert ADMIN_KEY not in shown
    assert len(fake.asked) == 1


@pytest.mark.parametrize("provider", ACCOUNTS)
def test_a_server_that_repeats_the_key_in_an_error_shows_it_to_nobody(
    provider: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    fake = ACCOUNTS[provider](TODAY - DAY, TODAY)
    fake.fault = lambda request: refusal(500, f"cannot handle {request.headers[HEADER[provider]]} here")
    path = tmp_path / "key"
    path.write_text(f"{ADMIN_KEY}\n")
    for key in ({}, {"admin_key": None, "admin_key_file": path}):
        with asking(fake, **key) as api, caplog.at_level(logging.DEBUG):
            (problem,) = api.batches(asked(NOW, TODAY - DAY))
        assert isinstance(problem, Problem)
        assert "> here" in problem.line
        assert ADMIN_KEY not in problem.line + caplog.text


@pytest.mark.parametrize("provider", ACCOUNTS)
def test_a_key_in_a_file_counts_as_it_is_now(provider: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old\n")
    fake = ACCOUNTS[provider](TODAY - DAY, TODAY)
    stored = MemoryStored(NOW)
    with asking(fake, admin_key=None, admin_key_file=path) as api:
        with pytest.raises(SourceError, match="answered 401"):
            list(api.batches(asked(NOW, TODAY - DAY, stored)))
        path.write_text(f"{ADMIN_KEY}\n")
        assert stored.take(api.batches(asked(NOW, TODAY - DAY, stored))) == []
    assert stored.total() == fake.total([TODAY - DAY])
