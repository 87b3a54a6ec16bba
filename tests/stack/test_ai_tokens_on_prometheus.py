"""Token counters behind a real Prometheus: scraped pages, and days on which counters reset, appear and vanish."""

from __future__ import annotations

import random
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.processes import PrometheusServer, prometheus, wait_for
from tests.fakes.recorded_pages import samples, text
from tests.fakes.server import Reply, serve
from tests.fakes.stored import MemoryStored
from tests.fakes.token_source import asked, settings, soon, summed
from unitcost.facts import Asked, Batch
from unitcost.sources.ai.counters import count, presets
from unitcost.sources.ai.tokens import UNMAPPED, Tokens
from unitcost.sources.base import Context

pytestmark = pytest.mark.needs("prometheus", "promtool")

PAGES = (
    "litellm-default",
    "litellm-tenant-labels",
    "litellm-tenant-labels-after-restart",
    "litellm-two-workers",
    "otel-genai",
    "otel-genai-after-restart",
    "otel-openai-v2",
    "openlit",
    "traceloop",
    "traceloop-no-tracing",
    "traceloop-tenant-attributes",
)
IDLE = ("litellm-idle-1", "litellm-idle-2", "litellm-idle-3")
"""One after the other: LiteLLM drops series that are idle for an hour, and they are born again."""

SCRAPES = 3.5
"""Seconds in which a page is scraped at least twice."""


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Return a Prometheus that has scraped every page, and those of IDLE in their order."""
    with ExitStack() as stack:
        turn = [0]
        hosts = {}
        for page in PAGES:
            body = text(page)
            fake = stack.enter_context(serve(lambda _, body=body: Reply(body, headers=TEXT)))  # type: ignore[misc]
            hosts[page] = fake.url.removeprefix("http://")
        idle = [text(page) for page in IDLE]
        fake = stack.enter_context(serve(lambda _: Reply(idle[turn[0]], headers=TEXT)))
        hosts["litellm-idle"] = fake.url.removeprefix("http://")
        running = stack.enter_context(prometheus(tmp_path_factory.mktemp("pages"), hosts))
        for at in range(len(IDLE)):
            turn[0] = at
            wait_for(partial(running.has, f'timestamp(up{{job="litellm-idle"}}) > {time.time()}'), "a scrape")
            time.sleep(SCRAPES)
        yield running


TEXT = {"Content-Type": "text/plain; version=0.0.4"}


@pytest.mark.parametrize("page", PAGES)
def test_a_scraped_page_says_what_its_text_does(page: str, scraped: PrometheusServer) -> None:
    """tests/sources/test_ai_counters.py holds the texts against the truth of what was sent."""
    preset = page.partition("-")[0]
    source = Tokens("ai", settings(scraped, preset, selector=f'job="{page}"', first_samples=True), Context())
    said = count(presets()[preset], samples(page))
    counted: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for cell, units in said.tokens.items():
        for unit, quantity in units.items():
            counted[cell.tenant, cell.feature, cell.model, unit] += quantity
    expected = {key: quantity for key, quantity in counted.items() if quantity}
    expected |= {(UNMAPPED, f"{metric} {why}"): quantity for (metric, why), quantity in said.unmapped.items()}
    assert sum(expected.values()) > 0
    assert summed(asked(source, soon(), 1)) == expected


def test_series_that_were_dropped_and_born_again_count_what_was_sent(scraped: PrometheusServer) -> None:
    source = Tokens("ai", settings(scraped, "litellm", selector='job="litellm-idle"', first_samples=True), Context())
    assert summed(asked(source, soon(), 1)) == {
        ("acme", "chat", "gpt-4o", "input"): 400,
        ("acme", "chat", "gpt-4o", "output"): 40,
        ("globex", "chat", "gpt-4o", "input"): 300,
        ("globex", "chat", "gpt-4o", "output"): 30,
    }


FIRST = date(2026, 11, 18)
DAYS = 5
NOW = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
EVERY = 60


def days_of_counters(seed: int) -> tuple[list[str], dict[date, Decimal], dict[date, Decimal]]:
    """Return OpenMetrics of counters over DAYS, and what was counted of each day by the scrapes of it.

    With the first value of every series, and without. Counters reset in the middle and at midnight, pods come and go,
    and one is not scraped for two hours around a midnight.
    """
    chance = random.Random(seed)
    start = int(datetime.combine(FIRST, datetime.min.time(), UTC).timestamp())
    lines: list[str] = []
    with_first: dict[date, Decimal] = defaultdict(Decimal)
    without_first: dict[date, Decimal] = defaultdict(Decimal)
    for pod in range(12):
        begins = start + EVERY if pod < 4 else start + EVERY + chance.randrange(0, (DAYS - 1) * 86400)
        ends = start + DAYS * 86400 if pod % 3 else begins + chance.randrange(3600, 3 * 86400)
        labels = f'tenant="t{pod % 3}",model="gpt-4o",feature="chat",direction="{"output" if pod % 2 else "input"}"'
        value, counted, known = 0, 0, False
        for at in range(begins - begins % EVERY + pod % 7, min(ends, start + DAYS * 86400), EVERY):
            if chance.random() < 0.2:
                value, counted = value + (more := chance.randrange(1, 5000)), counted + more
            at_midnight = (at - start) % 86400 < EVERY
            if chance.random() < 0.0004 or (pod == 2 and at_midnight):
                value = counted = chance.randrange(0, 50) if counted >= 50 else 0
                fresh = value
            else:
                fresh = counted
            if pod == 1 and (at - start + 3600) % 86400 < 7200:
                continue  # not scraped
            day = datetime.fromtimestamp(at, UTC).date() if (at - start) % 86400 else _before(at)
            with_first[day] += fresh
            without_first[day] += fresh if known else 0
            known, counted = True, 0
            lines.append(f'ai_tokens_total{{{labels},pod="p{pod}"}} {value} {at}')
    return lines, with_first, without_first


def _before(at: int) -> date:
    """A sample at midnight is the last one of the day before."""
    return datetime.fromtimestamp(at - 1, UTC).date()


@pytest.fixture(scope="module", params=[1, 2, 3])
def history(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PrometheusServer, dict[date, Decimal], dict[date, Decimal]]]:
    lines, *sums = days_of_counters(request.param)
    folder = tmp_path_factory.mktemp("history")
    by_series = sorted(lines, key=lambda line: (line.split("} ")[0], int(line.rsplit(" ", 1)[1])))
    body = ["# TYPE ai_tokens counter", *by_series, "# EOF", ""]
    (folder / "past.om").write_text("\n".join(body))
    (folder / "tsdb").mkdir()
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"]
    subprocess.run([*command, str(folder / "past.om"), str(folder / "tsdb")], check=True, capture_output=True)
    with prometheus(folder, {}) as running:
        yield running, sums[0], sums[1]


@pytest.mark.parametrize("first_samples", [True, False])
def test_counters_that_reset_appear_and_vanish_are_read_to_the_token(
    history: tuple[PrometheusServer, dict[date, Decimal], dict[date, Decimal]], first_samples: bool
) -> None:
    server, with_first, without_first = history
    source = Tokens("ai", settings(server, "plain", first_samples=first_samples), Context())
    found: dict[date, Decimal] = defaultdict(Decimal)
    for one in asked(source, NOW, DAYS):
        found[one.day] += one.quantity
    assert dict(found) == dict(with_first if first_samples else without_first)


def test_a_counter_that_is_not_there_makes_no_day_known(tmp_path: Path) -> None:
    with prometheus(tmp_path, {}) as server:
        found = list(
            Tokens("ai", settings(server, "plain"), Context()).batches(Asked(NOW, FIRST, 3, MemoryStored(NOW)))
        )
    assert found
    assert all(isinstance(one, Batch) and one.empty for one in found)
