"""Sources of tokens: what their settings mean, and what a file or a server says that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, rows
from unitcost.errors import SourceError
from unitcost.facts import Asked, Batch, Problem, Usage
from unitcost.sources.ai.csv_tokens import CsvTokens, CsvTokensSettings
from unitcost.sources.ai.growth import MOST_RESETS, grown
from unitcost.sources.ai.tokens import UNMAPPED, Tokens, TokenSettings
from unitcost.sources.base import Context

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = date(2026, 11, 22)


def settings(**given: Any) -> TokenSettings:
    return TokenSettings.model_validate({"type": "ai_tokens", "url": "http://127.0.0.1:9", "preset": "plain", **given})


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"preset": "langfuse"}, "'langfuse' is none of envoy, kong, litellm"),
        ({"selector": "job=gateway"}, "must be PromQL matchers"),
        ({"selector": '{job="gateway"}'}, "must be PromQL matchers"),
        ({"selector": 'job="a"} or up{x="'}, "must be PromQL matchers"),
        ({"labels": {"tenant": "a b"}}, "String should match pattern"),
        ({"preset": "litellm", "labels": {"direction": "kind"}}, "has no such label"),
        ({"accounts": {"openai": "a/b"}}, "String should match pattern"),
    ],
)
def test_wrong_settings_are_told(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        settings(**wrong)


def test_labels_are_those_of_the_preset_unless_another_is_named() -> None:
    keyed = Context(tenant_keys=("customer-id", "team"))
    assert settings().meaning(keyed).tenant == ("customer_id", "team")
    assert settings(preset="litellm").meaning(keyed).tenant == ("metadata_customer_id", "metadata_team")
    assert settings(preset="kong").meaning(keyed).tenant == ("consumer",)
    named = settings(labels={"tenant": "org", "model": "m", "direction": "kind"}).meaning(keyed)
    assert (named.tenant, named.model, named.counters[0].unit_label) == (("org",), ("m",), "kind")
    assert settings(preset="litellm", input_includes_cache=False).meaning(keyed).input_includes == ()


Series = list[tuple[dict[str, str], str]]


def server(answers: Callable[[str], Series | Reply]) -> Callable[[Request], Reply]:
    """Answer queries of the sums; nothing was reset."""

    def answer(request: Request) -> Reply:
        query = request.params["query"]
        found = answers(query) if query.startswith("sum by") else []
        if isinstance(found, Reply):
            return found
        result = [{"metric": labels, "value": [0, value]} for labels, value in found]
        return Reply(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}))

    return answer


def said(answers: Callable[[str], Series | Reply], **given: Any) -> list[Usage]:
    """Return what a source says of one day."""
    with serve(server(answers)) as fake:
        source = Tokens("ai", settings(url=fake.url, **given), Context())
        asked = Asked(NOW.replace(hour=0), DAY, 1, MemoryStored(NOW))
        found = list(source.batches(asked))
    return [one for batch in found if isinstance(batch, Batch) for one in rows(Usage, batch.usage)]


def labelled(**labels: str) -> dict[str, str]:
    return {"tenant": "acme", "model": "gpt-4o", "feature": "chat", "direction": "input", **labels}


def tokens_of(query: str) -> bool:
    return "ai_tokens_total" in query


def test_usage_has_its_unit_scope_and_feature() -> None:
    found = said(
        lambda query: (
            [(labelled(provider="azure"), "7"), (labelled(tenant="", direction="output"), "3")]
            if tokens_of(query)
            else [(labelled(direction=""), "2")]
        ),
        provider="openai",
        accounts={"openai": "acme-org"},
    )
    assert {(one.tenant, one.measure, one.unit, one.quantity, one.item, one.scope) for one in found} == {
        ("acme", "ai_tokens", "input", Decimal(7), "gpt-4o", "azure/"),
        (None, "ai_tokens", "output", Decimal(3), "gpt-4o", "openai/acme-org"),
        ("acme", "ai_requests", "requests", Decimal(2), "gpt-4o", "openai/acme-org"),
    }
    assert {one.dimensions["feature"] for one in found} == {"chat"}


def test_only_the_providers_that_are_read_count_and_what_has_none_is_unmapped() -> None:
    found = said(
        lambda query: (
            [
                (labelled(provider="openai"), "7"),
                (labelled(provider="anthropic"), "5"),
                (labelled(), "3"),
            ]
            if tokens_of(query)
            else []
        ),
        providers=["anthropic"],
    )
    assert {(one.measure, one.quantity, one.item) for one in found} == {
        ("ai_tokens", Decimal(5), "gpt-4o"),
        (UNMAPPED, Decimal(3), "no provider"),
    }


def test_models_of_ones_own_are_of_no_provider() -> None:
    found = said(
        lambda query: [({"model_name": "llama", "tenant": "acme"}, "7")] if "prompt" in query else [], preset="vllm"
    )
    assert [(one.scope, one.item, one.unit) for one in found] == [("self-hosted/", "llama", "input")]


def success(kind: str = "vector", result: str = "[]", more: str = "") -> str:
    return f'{{"status": "success", {more}"data": {{"resultType": "{kind}", "result": {result}}}}}'


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("oops", status=500), "http"),
        (Reply(success("matrix")), "format"),
        (Reply(success(result='[{"metric": {}, "value": [0, "-1"]}]')), "value"),
        (Reply(success(result='[{"metric": {"model": 1}, "value": [0, "1"]}]')), "format"),
        (Reply(success(more='"warnings": ["a store is away"], ')), "partial"),
        (Reply(success(), cut=40), "truncated"),
    ],
)
def test_a_day_of_which_one_counter_fails_keeps_what_is_stored(reply: Reply, reason: str) -> None:
    with serve(server(lambda query: reply if "ai_requests" in query else [(labelled(), "1")])) as fake:
        source = Tokens("ai", settings(url=fake.url, timeout=2), Context())
        found = list(source.batches(Asked(NOW.replace(hour=0), DAY, 1, MemoryStored(NOW))))
    assert [one.reason for one in found if isinstance(one, Problem)] == [reason]
    assert not [one for one in found if isinstance(one, Batch)]


def test_a_server_that_refuses_the_key_is_asked_once() -> None:
    with serve(lambda _: Reply("", status=401)) as fake:
        source = Tokens("ai", settings(url=fake.url), Context())
        with pytest.raises(SourceError, match="401"):
            list(source.batches(Asked(NOW, DAY, 3, MemoryStored(NOW))))
        assert len(fake.requests) == 1


def test_too_many_resets_are_told_and_not_estimated() -> None:
    def answer(request: Request) -> Reply:
        many = [] if request.params["query"].startswith("sum by") else range(MOST_RESETS + 1)
        result = [{"metric": {"pod": str(one)}, "value": [0, "1"]} for one in many]
        return Reply(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}))

    with serve(answer) as fake:
        source = Tokens("ai", settings(url=fake.url), Context())
        found = list(source.batches(Asked(NOW.replace(hour=0), DAY, 1, MemoryStored(NOW))))
    assert {one.reason for one in found if isinstance(one, Problem)} == {"resets"}


@pytest.mark.parametrize(
    ("samples", "before", "first", "expected"),
    [
        ("5 7 7 9", "5", False, 4),
        ("5 7 2 3", "5", False, 5),
        ("2 3", "5", False, 3),
        ("5 7", None, False, 2),
        ("5 7", None, True, 7),
        ("5 2 4", None, True, 9),
        ("", "5", True, 0),
    ],
)
def test_a_value_below_the_one_before_counts_whole(
    samples: str, before: str | None, first: bool, expected: int
) -> None:
    values = [Decimal(one) for one in samples.split()]
    assert grown(values, None if before is None else Decimal(before), first) == expected


FILE = """\
day,tenant,provider,model,feature,direction,quantity
2026-11-21,acme,openai,gpt-4o,chat,input,1000
2026-11-21,acme,openai,gpt-4o,chat,output,200
2026-11-22,,azure,gpt-4o,,images,3
"""


def from_file(tmp_path: Path, text: str, **given: Any) -> list[Batch]:
    path = tmp_path / "tokens.csv"
    path.write_text(text)
    made = CsvTokensSettings.model_validate({"type": "csv_tokens", "path": path, **given})
    found = CsvTokens("ai", made, Context()).batches(Asked(NOW, DAY - timedelta(9), 3, MemoryStored(NOW)))
    return [one for one in found if isinstance(one, Batch)]


def test_a_file_says_the_same(tmp_path: Path) -> None:
    newest, older = from_file(tmp_path, FILE, accounts={"Azure OpenAI": "eu"})
    assert rows(Usage, newest.usage) == [
        Usage(DAY, None, "ai_images", Decimal(3), "gpt-4o", {}, "images", "azure/eu"),
    ]
    assert [(one.tenant, one.unit, one.quantity, one.scope) for one in rows(Usage, older.usage)] == [
        ("acme", "input", Decimal(1000), "openai/"),
        ("acme", "output", Decimal(200), "openai/"),
    ]
    assert newest.says == ("cost", "usage")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("2026-11-21,acme,openai,gpt-4o,chat,prompt,1", "line 5: direction 'prompt' is none of input, cache_read"),
        ("2026-11-21,acme,openai,gpt-4o,chat,input,1", "line 5: says the same as line 2"),
        ("2026-11-21,acme,openai,,chat,input,1", "line 5: model is empty"),
        ("2026-11-21,acme,openai,gpt-4o,chat,input,-1", "line 5: quantity '-1' is negative"),
        ("yesterday,acme,openai,gpt-4o,chat,input,1", "line 5: day 'yesterday' is not a day"),
    ],
)
def test_a_bad_line_refuses_the_file_and_is_named(tmp_path: Path, line: str, text: str) -> None:
    with pytest.raises(SourceError, match=text):
        from_file(tmp_path, FILE + line + "\n")
