"""Recorded pages of token counters (tests/data/ai), with the truth of what was sent and why not all of it is there."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from unitcost.sources.ai.counters import Counted, Preset, Sample, count, presets

DATA = Path(__file__).parents[1] / "data" / "ai"
LEFT = "a stream that the client left"
SILENT = "a stream without include_usage"
RESPONSES = "the Responses API"
SHIFTED = "under the labels of another scope (unmapped)"

Gaps = dict[str, tuple[int, int]]
STREAMS: Gaps = {SILENT: (900, 90), LEFT: (4000, 400)}
TRACELOOP: Gaps = {
    **STREAMS,
    RESPONSES: (2500, 125),
    SHIFTED: (7921, 1043),
    "a token too many of each Anthropic stream": (0, -2),
}
GAPS: dict[str, Gaps] = {
    # page: why input and output tokens that are billed do not stand there as such (or, below 0, more than are billed)
    "litellm-default": {LEFT: (3937, 395)},
    "litellm-tenant-labels": {LEFT: (3937, 395), "answered from LiteLLM's own cache, billed by nobody": (-3000, -240)},
    "litellm-tenant-labels-after-restart": {},
    "otel-genai": STREAMS,
    "otel-genai-after-restart": {},
    "otel-openai-v2": {**STREAMS, RESPONSES: (2500, 125)},
    "openlit": {
        "a stream without include_usage, guessed": (861, 78),
        LEFT: (4000, 400),
        "what Anthropic read from a cache or wrote to one": (2911, 0),
    },
    "traceloop": TRACELOOP,
    "traceloop-tenant-attributes": TRACELOOP,
    "traceloop-no-tracing": {
        **TRACELOOP,
        SHIFTED: (1921, 143),
        "Anthropic calls whose span is not recorded": (6000, 900),
    },
}


def text(page: str) -> str:
    """Return a page as it was served."""
    return gzip.decompress((DATA / f"{page}.txt.gz").read_bytes()).decode()


def samples(page: str) -> Iterator[Sample]:
    """Yield the samples of a page, as if all of them had grown from 0."""
    yield from samples_in(text(page))


def samples_in(text: str) -> Iterator[Sample]:
    """Yield the samples of a text of metrics the same way."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, Decimal(str(sample.value)))


def truth(page: str) -> dict[str, Any]:
    """Return what was sent."""
    found: dict[str, Any] = json.loads((DATA / f"{page}.truth.json").read_text())
    return found


def preset_of(page: str) -> Preset:
    name = page.partition("-")[0]
    return presets()[name]


def read(name: str) -> Counted:
    """Return what the preset of a page reads there."""
    return count(preset_of(name), samples(name))


def bill_of(name: str) -> dict[str, Decimal]:
    """Return the tokens that a provider bills of what was sent for a page, also those of streams that the client left.

    input includes cached_input and cache_write.
    """
    told = truth(name)
    left = [each["per_request"] for each in told.get("also_sent_not_in_cells", []) if "would bill" in each["what"]]
    return {
        unit: Decimal(told["totals"][unit] + sum(each.get(unit, 0) for each in left))
        for unit in ("input", "cached_input", "cache_write", "output")
    }


def whole(found: Counted) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for units in found.tokens.values():
        for unit, tokens in units.items():
            sums[unit] += tokens
    return sums
