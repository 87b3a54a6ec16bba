"""What a model costs, however it is spelt: the price book's rules, the list of genai-prices, and what has no price."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices.data_snapshot import get_snapshot
from pydantic import ValidationError

from unitcost.cli.main import main
from unitcost.cli.prices import prices
from unitcost.sources.ai.book import PriceBook
from unitcost.sources.ai.settings import Ai, PriceRule
from unitcost.sources.ai.units import UNITS

DAY = date(2026, 11, 20)
BOOK = PriceBook()

LISTED = {
    # model as spelt, provider as spelt: dollars a million of input, output, and of cached input where it is told apart
    ("gpt-4", "openai"): ("30", "60", ""),
    ("gpt-4-0314", "openai"): ("30", "60", ""),
    ("gpt-4-0613", "openai"): ("30", "60", ""),
    ("gpt-4-turbo", "openai"): ("10", "30", ""),
    ("text-davinci-003", "openai"): ("20", "20", ""),
    ("gpt-4o", ""): ("2.5", "10", "1.25"),
    ("GPT-4o ", "OpenAI"): ("2.5", "10", "1.25"),
    ("gpt-4o-2024-08-06", "openai"): ("2.5", "10", "1.25"),
    ("openai/gpt-4o", ""): ("2.5", "10", "1.25"),
    ("openai/gpt-4o-2024-11-20", "openai"): ("2.5", "10", "1.25"),
    ("azure/gpt-4o", ""): ("2.5", "10", "1.25"),
    ("gpt-4o", "azure.ai.openai"): ("2.5", "10", "1.25"),
    ("gpt-4o", "az.ai.openai"): ("2.5", "10", "1.25"),
    ("azure/global/gpt-4o-2024-11-20", ""): ("2.5", "10", "1.25"),
    ("azure/global-standard/gpt-4o-2024-11-20", "azure"): ("2.5", "10", "1.25"),
    ("o3-mini", "azure"): ("1.1", "4.4", "0.55"),
    ("gpt-4o-mini", "openai"): ("0.15", "0.6", "0.075"),
    ("gpt-4o-mini", "litellm"): ("0.15", "0.6", "0.075"),
    ("litellm_proxy/gpt-4o-mini", ""): ("0.15", "0.6", "0.075"),
    ("litellm_proxy/azure/gpt-4o", ""): ("2.5", "10", "1.25"),
    ("gpt-4.1", "openai"): ("2", "8", "0.5"),
    ("gpt-4.1-mini", "openai"): ("0.4", "1.6", "0.1"),
    ("gpt-4.1-nano-2025-04-14", "openai"): ("0.1", "0.4", "0.025"),
    ("gpt-5", "openai"): ("1.25", "10", "0.125"),
    ("gpt-5-mini", "openai"): ("0.25", "2", "0.025"),
    ("gpt-5.2-20251211", "openai"): ("1.75", "14", "0.175"),
    ("o1", "openai"): ("15", "60", "7.5"),
    ("o3-mini", "openai"): ("1.1", "4.4", "0.55"),
    ("ft:gpt-4o-2024-08-06:acme:support:1", "openai"): ("3.75", "15", ""),
    ("ft:gpt-4o-mini-2024-07-18:acme::abc", "openai"): ("0.3", "1.2", ""),
    ("text-embedding-3-small", "openai"): ("0.02", "", ""),
    ("text-embedding-3-large", "openai"): ("0.13", "", ""),
    ("claude-sonnet-4-5", "anthropic"): ("3", "15", "0.3"),
    ("claude-sonnet-4-5-20250929", "anthropic"): ("3", "15", "0.3"),
    ("anthropic/claude-sonnet-4-5", ""): ("3", "15", "0.3"),
    ("claude-haiku-4-5-20251001", "anthropic"): ("1", "5", "0.1"),
    ("claude-3-opus-20240229", "anthropic"): ("15", "75", "1.5"),
    ("claude-3-5-haiku-20241022", "anthropic"): ("0.8", "4", "0.08"),
    ("claude-3-haiku-20240307", "anthropic"): ("0.25", "1.25", "0.03"),
    ("claude-2.1", "anthropic"): ("8", "24", ""),
    ("anthropic.claude-3-5-sonnet-20240620-v1:0", "aws.bedrock"): ("3", "15", "0.3"),
    ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", ""): ("3", "15", "0.3"),
    ("bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0", ""): ("0.25", "1.25", ""),
    ("bedrock/converse/anthropic.claude-3-haiku-20240307-v1:0", ""): ("0.25", "1.25", ""),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock"): ("3.3", "16.5", "0.33"),
    ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock"): ("3.3", "16.5", "0.33"),
    ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock"): ("3", "15", "0.3"),
    ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "aws"): ("0.25", "1.25", ""),
    (
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "aws",
    ): ("3.3", "16.5", "0.33"),
    ("amazon.nova-pro-v1:0", "aws.bedrock"): ("0.8", "3.2", "0.2"),
    ("gemini-2.5-pro", "google"): ("1.25", "10", "0.125"),
    ("vertex_ai/gemini-2.5-pro", ""): ("1.25", "10", "0.125"),
    ("publishers/google/models/gemini-2.5-pro", "gcp.vertex_ai"): ("1.25", "10", "0.125"),
    ("models/gemini-2.5-flash", "gcp.gemini"): ("0.3", "2.5", "0.03"),
    ("gemini/gemini-2.5-flash", ""): ("0.3", "2.5", "0.03"),
    ("claude-sonnet-4-5@20250929", "vertex_ai"): ("3", "15", "0.3"),
    ("claude-sonnet-4-5@default", "vertex_ai"): ("3", "15", "0.3"),
    ("projects/p/locations/us-central1/publishers/anthropic/models/claude-sonnet-4-5", "vertex_ai"): (
        "3",
        "15",
        "0.3",
    ),
    ("grok-4", "x_ai"): ("3", "15", "0.75"),
    ("xai/grok-4", ""): ("3", "15", "0.75"),
    ("mistral/mistral-large-latest", ""): ("2", "6", ""),
    ("mistral-large-2411", "mistral_ai"): ("2", "6", ""),
    ("command-r-plus", "cohere_chat"): ("2.5", "10", ""),
    ("groq/llama-3.3-70b-versatile", ""): ("0.59", "0.79", ""),
    ("together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", ""): ("0.88", "0.88", ""),
    ("openrouter/anthropic/claude-3.5-sonnet", ""): ("3", "15", ""),
    ("sonar-pro", "perplexity"): ("3", "15", ""),
    ("deepseek-chat", "deepseek"): ("0.27", "1.1", "0.07"),
}


def rules(*given: Mapping[str, object]) -> Sequence[PriceRule]:
    return Ai.model_validate({"prices": list(given)}).prices


def dollars(book: PriceBook, model: str, unit: str, provider: str = "", day: date = DAY, *, batch: bool = False) -> str:
    found = book.price(model, unit, day, provider, batch=batch)
    return "" if found is None else f"{found.dollars.normalize():f}"


def test_a_model_has_its_list_price_however_it_is_spelt() -> None:
    assert len(LISTED) >= 60
    found = {}
    for model, provider in LISTED:
        whole, cached = dollars(BOOK, model, "input", provider), dollars(BOOK, model, "cache_read", provider)
        found[model, provider] = (whole, dollars(BOOK, model, "output", provider), "" if cached == whole else cached)
    assert found == LISTED


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("acme-7b", "openai"),
        ("", "openai"),
        ("None", ""),
        ("my-deployment", "azure"),
        ("azure/eu/gpt-4o", ""),  # costs a tenth more than gpt-4o
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", "aws"),
        ("gpt-4o", "a-gateway-of-our-own"),
        ("gemma-3", "google"),  # listed at $0
        ("openai/", ""),
        ("/", ""),
    ],
)
def test_what_has_no_price_is_unpriced_and_never_free(model: str, provider: str) -> None:
    assert [unit for unit in UNITS if BOOK.price(model, unit, DAY, provider) is not None] == []


def test_no_price_of_the_list_is_zero_and_cached_input_is_never_above_input() -> None:
    wrong = []
    for provider in get_snapshot().providers:
        for model in provider.models:
            name = model.id
            found = {unit: BOOK.price(name, unit, DAY, provider.id) for unit in ("input", "cache_read", "output")}
            wrong += [(provider.id, name, unit) for unit, price in found.items() if price and price.dollars <= 0]
            if found["input"] and found["cache_read"] and found["cache_read"].dollars > found["input"].dollars:
                wrong.append((provider.id, name, "cache_read"))
    assert wrong == []


def test_the_articles_request_on_gpt_4_costs_27_thousandths() -> None:
    sent, answered = (BOOK.price("gpt-4", unit, DAY, "openai") for unit in ("input", "output"))
    assert sent is not None
    assert answered is not None
    assert sent.of(Decimal(500)) + answered.of(Decimal(200)) == Decimal("0.027")


def test_a_window_of_many_requests_never_costs_what_one_long_request_does() -> None:
    price = BOOK.price("claude-sonnet-4-5", "input", DAY, "anthropic")
    assert price is not None
    assert price.of(Decimal(3_000_000)) == 9
    assert price.remarks == ("a long request costs more; the base price counts",)


def test_a_price_has_the_day_it_begins_on_and_those_before_count_until_then() -> None:
    rule = {"model": "gpt-4o", "from": "2026-10-01", "prices": {"input": 2, "output": 8}}
    book = PriceBook(rules(rule))
    assert dollars(book, "azure/gpt-4o", "input", day=date(2026, 9, 30)) == "2.5"
    assert dollars(book, "azure/gpt-4o", "input", day=date(2026, 10, 1)) == "2"
    found = book.price("gpt-4o", "output", DAY)
    assert found is not None
    assert (found.dollars, found.rule, found.since) == (Decimal(8), "ai.prices[0]", date(2026, 10, 1))
    assert dollars(book, "gpt-4o", "cache_read") == "1.25", "of what a rule does not say the list does"
    assert book.changes("gpt-4o", date(2026, 9, 1), DAY) == [date(2026, 10, 1)]
    assert book.changes("gpt-4o", date(2026, 10, 1), DAY) == []


def test_days_on_which_the_list_changes_are_told() -> None:
    assert BOOK.changes("claude-sonnet-4-6", date(2026, 1, 1), DAY, "anthropic") == [date(2026, 3, 13)]
    before = BOOK.price("claude-sonnet-4-6", "input", date(2026, 3, 12), "anthropic")
    after = BOOK.price("claude-sonnet-4-6", "input", date(2026, 3, 13), "anthropic")
    assert before is not None
    assert after is not None
    assert before.remarks
    assert (after.remarks, after.since) == ((), date(2026, 3, 13))


def test_a_deployment_costs_what_the_model_does_that_it_means() -> None:
    book = PriceBook(
        rules(
            {"model": "support-bot", "provider": "azure", "means": "gpt-4o-mini"},
            {"model": "*application-inference-profile/abc123", "means": "anthropic.claude-3-haiku-20240307-v1:0"},
            {"model": "gpt-4o-mini", "provider": "azure", "discount": "0.1"},
        )
    )
    assert dollars(book, "azure/support-bot", "input") == "0.135"
    assert dollars(book, "support-bot", "input", "openai") == ""
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
    assert dollars(book, profile, "output", "bedrock") == "1.25"


def test_deployments_that_mean_one_another_have_no_price() -> None:
    book = PriceBook(rules({"model": "a", "means": "b"}, {"model": "b", "means": "a"}))
    assert dollars(book, "a", "input") == ""


def test_a_discount_and_a_batch_lower_whatever_price_counts() -> None:
    book = PriceBook(
        rules(
            {"model": "gpt-4o", "prices": {"input": 2}},
            {"model": "gpt-*", "discount": "0.25", "batch": "0.5"},
            {"model": "gpt-*", "from": "2027-01-01", "discount": "0.5"},
        )
    )
    assert dollars(book, "gpt-4o", "input") == "1.5"
    assert dollars(book, "gpt-4o", "output") == "7.5"
    assert dollars(book, "gpt-4o", "output", batch=True) == "3.75"
    assert dollars(book, "gpt-4o", "output", day=date(2027, 1, 1), batch=True) == "2.5"
    assert dollars(BOOK, "gpt-4o", "output", batch=True) == "10", "no rule, no guess"
    found = book.price("gpt-4o", "output", DAY, batch=True)
    assert found is not None
    assert found.list_dollars == 10
    assert found.remarks == ("ai.prices[1]: discount 0.25", "ai.prices[1]: 0.5 of it in a batch")


def test_a_model_of_ones_own_may_cost_nothing_or_be_sold_by_the_image() -> None:
    book = PriceBook(rules({"model": "acme-*", "prices": {"input": 0, "images": "0.04", "audio_seconds": "0.36"}}))
    assert dollars(book, "acme-7b", "input") == "0"
    image, audio = (book.price("acme-7b", unit, DAY) for unit in ("images", "audio_seconds"))
    assert image is not None
    assert audio is not None
    assert (image.of(Decimal(3)), audio.of(Decimal(1800))) == (Decimal("0.12"), Decimal("0.18"))


def test_what_is_not_text_has_only_a_price_of_its_own() -> None:
    assert dollars(BOOK, "gpt-4o", "input_audio", "openai") == ""
    assert dollars(BOOK, "whisper-1", "audio_seconds", "openai") == "0.36"
    assert dollars(BOOK, "whisper-1", "input", "openai") == ""


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"model": "x"}, "says nothing"),
        ({"model": "x", "means": "y", "prices": {"input": 1}}, "means another model"),
        ({"model": "x", "prices": {"tokens": 1}}, "input"),
        ({"model": "x", "prices": {"input": -1}}, "greater than or equal to 0"),
        ({"model": "x", "prices": {"input": "nan"}}, "finite number"),
        ({"model": "x", "discount": 2}, "less than or equal to 1"),
        ({"model": "", "discount": 1}, "at least 1 character"),
        ({"model": "x", "since": "2026-01-01", "discount": 1}, "Extra inputs|not permitted|unknown"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_is_wrong(rule: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Ai.model_validate({"prices": [rule]})


def test_the_command_prints_each_price_with_its_rule_and_what_others_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,date,mrr\n")
    config = tmp_path / "unitcost.yaml"
    config.write_text(
        "sources: {revenue: {type: csv_revenue, path: mrr.csv}}\n"
        "ai: {prices: [{model: gpt-4o, provider: azure, from: 2026-10-01, prices: {input: 2}}]}\n"
    )
    assert main(["prices", "azure/gpt-4o", "--on", "2026-11-20", "--config", str(config)]) == 0
    first, whole, cached, *_, elsewhere = capsys.readouterr().out.splitlines()
    assert first == "azure/gpt-4o on 2026-11-20: azure, gpt-4o"
    assert whole.split() == ["input", "$2", "for", "a", "million", "ai.prices[0]", "since", "2026-10-01"]
    assert cached.split()[:2] == ["cache_read", "$1.25"]
    assert elsewhere.startswith("Elsewhere, input for a million: ")
    assert "openai $2.5" in elsewhere


def test_the_command_says_what_to_do_where_there_is_no_price() -> None:
    out = io.StringIO()
    assert not prices((), "acme-7b", "openai", DAY, out)
    assert "counts as unpriced, never as free" in out.getvalue()
    assert "ai.prices in unitcost.yaml" in out.getvalue()
