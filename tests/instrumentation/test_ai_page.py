"""docs/ai-instrumentation.md tells the truth of what each way of counting misses: its table, to the token."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.ai_calls import values
from tests.fakes.instrumented_app import NODE, App, node_app, python_app
from tests.fakes.model_provider import provider
from tests.fakes.recorded_pages import DATA, GAPS, LEFT, Gaps, bill_of, read, samples_in, whole
from unitcost.sources.ai.counters import Counted, count, presets

PAGE = Path(__file__).parents[2] / "docs" / "ai-instrumentation.md"
HEAD = "| Page | Billed: input + output | Counted | Cached input | Of a tenant | What is missing |"
SAME = "otel-genai"
"""The page whose calls the modules of instrumentation/ make again."""
MODULES: dict[str, tuple[Callable[..., AbstractContextManager[App]], Gaps]] = {
    "instrumentation/python": (python_app, {LEFT: (4000, 400)}),
    "instrumentation/typescript": (node_app, {LEFT: (4000, 400)}),
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat", {}),
    "chat-no-retry": ("chat", {}),
    "chat-raw": ("raw", {}),
    "stream-plain": ("chat", {"more": {"stream": True}}),
    "stream+usage": ("chat", {"more": {"stream": True, "stream_options": {"include_usage": True}}}),
    "stream+usage+cut": (
        "chat",
        {"more": {"stream": True, "stream_options": {"include_usage": True}}, "read": "first"},
    ),
    "responses": ("responses", {}),
    "responses-stream": ("responses", {"more": {"stream": True}}),
    "embeddings": ("embeddings", {}),
    "messages": ("messages", {}),
    "messages-create-stream": ("messages", {"more": {"stream": True}}),
    "messages-stream-helper": ("stream", {}),
}
"""Kinds of calls as they are told in the recording: the API, and how it is called."""
STATUS = {"OverloadedError": 529, "RateLimitError": 429, "InternalServerError": 500}


def line(name: str, billed_as: str, found: Counted, gaps: Gaps) -> str:
    """Return a line of the table, all of whose tokens add up."""
    bill, sums = bill_of(billed_as), whole(found)
    cached = sums["cache_read"] + sums["cache_write"]
    counted = (sums["input"] + cached, sums["output"])
    missing = [sum(gap[n] for gap in gaps.values()) for n in (0, 1)]
    assert (counted[0] + missing[0], counted[1] + missing[1]) == (bill["input"], bill["output"]), name
    whose = sum(
        quantity
        for cell, units in found.tokens.items()
        for unit, quantity in units.items()
        if cell.tenant and unit != "requests"
    )
    cells = (
        name,
        f"{bill['input']:,} + {bill['output']:,}",
        f"{counted[0]:,.0f} + {counted[1]:,.0f}",
        f"{cached:,.0f} of {bill['cached_input'] + bill['cache_write']:,}",
        "all" if whose == sum(counted) else f"{whose:,.0f}" if whose else "none",
        "; ".join(map(said, gaps, gaps.values())) or "nothing",
    )
    return f"| {' | '.join(cells)} |"


def said(why: str, gap: tuple[int, int]) -> str:
    much = " more" if min(gap) < 0 else ""
    return f"{why}: {abs(gap[0]):,} + {abs(gap[1]):,}{much}"


def in_the_page() -> dict[str, str]:
    """Return the lines of the table in the docs, by their first cell."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"{HEAD}\n|---|---|---|---|---|---|\n")
    lines = rest.partition("\n\n")[0].splitlines()
    return {text.split(" | ")[0].removeprefix("| "): text for text in lines}


def test_the_table_has_a_line_for_each_page_and_module() -> None:
    assert list(in_the_page()) == [*MODULES, *GAPS]


@pytest.mark.parametrize("name", GAPS)
def test_a_recorded_page_says_what_the_table_says(name: str) -> None:
    assert in_the_page()[name] == line(name, name, read(name), GAPS[name])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(str(NODE))) if "type" in name else name for name in MODULES]
)
def test_the_modules_count_the_same_calls_as_the_table_says(name: str, tmp_path: Path) -> None:
    app_of, gaps = MODULES[name]
    calls = json.loads((DATA / f"{SAME}.calls.json").read_text())
    with provider() as there, app_of(tmp_path, there) as app:
        for call in calls:
            api, how = KINDS[call["kind"]]
            sent, status = call["sent"], STATUS.get(call["result"])
            read, written = sent.get("cached_input", 0), sent.get("cache_write", 0)
            told = {"input": sent.get("input", 0) - read - written, "output": sent.get("output", 0)}
            told |= {"cache_read": read, "cache_write": written} | ({} if status is None else {"status": status})
            more = {"model": call["model"], **how.get("more", {})}
            answer = app.call(api, call["tenant"], call["feature"], told=told, **{**how, "more": more})
            assert ("error" in answer) == (status is not None), call
        page = app.metrics()
    assert in_the_page()[name] == line(name, SAME, count(presets()["plain"], samples_in(page)), gaps)
    assert sum(values(page, "ai_requests_total").values()) == len(calls)
    reasons = {reason: n for (_, reason), n in values(page, "ai_requests_without_usage_total").items()}
    assert sum(values(page, "ai_requests_without_usage_total").values()) == 4
    assert set(reasons) == {"failed", "left"}
