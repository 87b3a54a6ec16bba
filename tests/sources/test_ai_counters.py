"""Token counters as gateways and instrumentations really serve them, by their presets: what was sent, or why not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from pydantic import ValidationError

from tests.fakes.recorded_pages import GAPS, SHIFTED, bill_of, read, truth, whole
from unitcost.sources.ai.book import PriceBook
from unitcost.sources.ai.counters import Cell, Preset, Sample, count, presets


@pytest.mark.parametrize("name", GAPS)
def test_each_token_that_is_billed_is_counted_or_has_its_reason(name: str) -> None:
    found, sent = read(name), bill_of(name)
    sums = whole(found)
    counted = sums["input"] + sums["cache_read"] + sums["cache_write"]
    assert counted + sum(inside for inside, _ in GAPS[name].values()) == sent["input"]
    assert sums["output"] + sum(out for _, out in GAPS[name].values()) == sent["output"]
    assert sum(found.unmapped.values()) == sum(GAPS[name].get(SHIFTED, (0, 0)))
    assert found.overlap == {}
    if name.startswith("litellm"):
        assert (sums["cache_read"], sums["cache_write"]) == (sent["cached_input"], sent["cache_write"])


def test_litellm_tells_each_tenant_feature_and_model_apart_to_the_token_and_the_cent() -> None:
    found, book = read("litellm-tenant-labels"), PriceBook()
    differing = []
    for sent in truth("litellm-tenant-labels")["cells"]:
        whose = tuple("" if sent[name] == "(none sent)" else sent[name] for name in ("tenant", "feature"))
        models = {sent["model"], sent["provider_model"]}
        cells = [cell for cell in found.tokens if (cell.tenant, cell.feature) == whose and cell.model in models]
        cell = cells[0] if cells else Cell("", "", "", "")
        units = found.tokens.get(cell, {})
        said = {unit: int(units.get(unit, 0)) for unit in ("input", "cache_read", "cache_write", "output")}
        expected = {
            "input": sent["input"] - sent["cached_input"] - sent["cache_write"],
            "cache_read": sent["cached_input"],
            "cache_write": sent["cache_write"],
            "output": sent["output"],
        }
        assert len(cells) <= 1
        if said != expected:
            differing.append((sent["tenant"], sent["feature"], sent["model"]))
            continue
        prices = {unit: book.price(cell.model, unit, date(2026, 11, 23), cell.provider) for unit in said}
        dollars = sum(price.of(Decimal(said[unit])) for unit, price in prices.items() if price is not None)
        assert float(dollars) == pytest.approx(sent["true_usd"] or 0, abs=1e-12), cell
    assert sorted(differing) == [
        ("acme", "(none sent)", "gpt-4o"),  # its metadata do not name the tenant, and are not guessed
        ("globex", "chat", "gpt-4o-mini"),  # the stream that was left
        ("initech", "chat", "gpt-4o-mini"),  # answered from LiteLLM's own cache
    ]
    assert sum(sum(units.values()) for cell, units in found.tokens.items() if not cell.tenant) == 77 + 7


def test_a_label_that_is_not_set_is_nobody() -> None:
    assert {cell.tenant for cell in read("litellm-default").tokens} == {""}
    assert {cell.tenant for cell in read("otel-genai").tokens} == {""}
    assert {cell.tenant for cell in read("traceloop-tenant-attributes").tokens} == {"acme", "globex", "initech"}


def test_a_series_that_was_dropped_and_born_again_shows_only_what_came_since() -> None:
    sums = [whole(read(f"litellm-idle-{n}"))["input"] for n in (1, 2, 3)]
    assert sums == [500, 300, 400]


def given(metric: str, increase: str, **labels: str) -> Sample:
    return Sample(metric, labels, Decimal(increase))


def test_what_is_counted_twice_counts_once_and_what_is_not_known_is_unmapped() -> None:
    kong = count(
        presets()["kong"],
        [
            given("ai_llm_tokens_total", "10", token_type="prompt_tokens", ai_model="gpt-4o", consumer="acme"),
            given("ai_llm_tokens_total", "5", token_type="completion_tokens", ai_model="gpt-4o", consumer="acme"),
            given("ai_llm_tokens_total", "15", token_type="total_tokens", ai_model="gpt-4o", consumer="acme"),
            given("ai_llm_tokens_total", "3", token_type="image_tokens", ai_model="gpt-4o", consumer="acme"),
            given("ai_llm_tokens_total", "2", token_type="prompt_tokens"),
            given("something_else_total", "9", token_type="prompt_tokens", ai_model="gpt-4o"),
        ],
    )
    assert kong.tokens == {Cell("acme", "", "", "gpt-4o"): {"input": 10, "output": 5}}
    assert kong.unmapped == {
        ("ai_llm_tokens_total", "token_type=image_tokens"): 3,
        ("ai_llm_tokens_total", "no model"): 2,
    }


def test_more_cached_input_than_input_is_told_and_never_below_zero() -> None:
    found = count(
        presets()["litellm"],
        [
            given("litellm_input_tokens_metric_total", "10", model="gpt-4o"),
            given("litellm_input_cached_tokens_metric_total", "12", model="gpt-4o"),
        ],
    )
    cell = Cell("", "", "", "gpt-4o")
    assert found.tokens[cell] == {"input": 0, "cache_read": 12}
    assert found.overlap == {cell: 2}


def test_every_preset_says_what_a_model_is_and_counts_input_and_output() -> None:
    assert set(presets()) == {
        "envoy",
        "kong",
        "litellm",
        "openlit",
        "otel",
        "otel_by_unit",
        "plain",
        "traceloop",
        "vllm",
    }
    for name, preset in presets().items():
        units = {unit for counter in preset.counters for unit in (counter.unit, *counter.units.values())}
        assert {"input", "output"} <= units, name


@pytest.mark.parametrize(
    "counter",
    [
        {"metric": "x"},
        {"metric": "x", "unit": "input", "unit_label": "type", "units": {"a": "input"}},
        {"metric": "x", "unit_label": "type"},
        {"metric": "x", "unit": "tokens"},
        {"metric": "x", "unit_label": "type", "units": {"a": "prompt"}},
    ],
)
def test_a_preset_that_does_not_say_one_unit_for_each_series_is_refused(counter: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preset.model_validate({"counters": [counter], "model": ["model"]})
