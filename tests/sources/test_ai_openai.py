"""OpenAI's bill against a fake of its admin API: exact to the last digit, of the right day, model, unit and account."""

from __future__ import annotations

import logging
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.ai_accounts import DAY, LINES, NOW, TODAY, asking, at, costs, days, openai_account, source, usage
from tests.fakes.ai_providers import ADMIN_KEY, Calls, Charge, OpenAIFake, refusal
from tests.fakes.company import NOW as COMPANY_NOW
from tests.fakes.server import serve
from tests.fakes.stored import MemoryStored, asked
from unitcost.config.load import load
from unitcost.errors import ConfigError
from unitcost.facts import Batch, Cost, Note
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.run.setup import Setup
from unitcost.sources.ai.openai import read_completions, read_cost
from unitcost.web.snapshot import Current

COSTS, COMPLETIONS = "/v1/organization/costs", "/v1/organization/usage/completions"

# ------------------------------------------------------------------------------------------------ what is asked


def test_only_days_that_are_over_are_asked_and_today_is_never_billed() -> None:
    fake = openai_account(TODAY - 5 * DAY, TODAY + DAY)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        assert stored.take(api.batches(asked(NOW, TODAY - 5 * DAY, stored))) == []
    assert stored.keys() == {str(day) for day in days(TODAY - 5 * DAY, TODAY)}
    assert stored.total() == fake.total(days(TODAY - 5 * DAY, TODAY))


def test_restated_days_are_asked_again_older_ones_only_while_they_are_missing() -> None:
    first = TODAY - 20 * DAY
    fake = openai_account(first, TODAY)
    stored = MemoryStored(NOW)
    with serve(fake) as server:
        api = source(fake, server.url)
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


def test_ninety_days_are_asked_in_ranges_that_every_report_allows() -> None:
    first = TODAY - 93 * DAY
    fake = openai_account(first, TODAY)
    stored = MemoryStored(NOW)
    with serve(fake) as server:
        assert stored.take(source(fake, server.url).batches(asked(NOW, first, stored))) == []
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
    fake = openai_account(first, TODAY)
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
    **OLD,
    "input_cache_write_tokens": 100,
    "input_text_tokens": 300,
    "input_audio_tokens": 150,
    "input_image_tokens": 50,
    "output_text_tokens": 20,
    "output_audio_tokens": 30,
    "input_cached_text_tokens": 400,
    "input_uncached_tokens": 500,
}


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
    for report, name, count, requests in [
        ("embeddings", "input_tokens", 9, 4),
        ("images", "images", 2, 2),
        ("audio_speeches", "characters", 45, 1),
        ("audio_transcriptions", "seconds", 20, 1),
        ("web_search_calls", "num_requests", 6, 5),
    ]:
        fake.calls.append(Calls(day, report, "proj_a", "key_1", report, {name: count, "num_model_requests": requests}))
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
        ("ai_tokens", "embeddings", "input", None): 9,
        ("ai_requests", "embeddings", "requests", None): 4,
        ("ai_images", "images", "images", None): 2,
        ("ai_characters", "audio_speeches", "characters", None): 45,
        ("ai_requests", "audio_speeches", "requests", None): 1,
        ("ai_audio_seconds", "audio_transcriptions", "audio_seconds", None): 20,
        ("ai_requests", "audio_transcriptions", "requests", None): 1,
        ("ai_searches", "web_search_calls", "searches", None): 6,
    }
    assert {one.scope for one in usage(stored, day)} == {"openai/"}


def test_a_day_on_which_nothing_was_used_is_known_and_costs_nothing() -> None:
    stored = MemoryStored(NOW)
    with asking(OpenAIFake()) as api:
        assert stored.take(api.batches(asked(NOW, TODAY - 2 * DAY, stored))) == []
    assert stored.keys() == {str(TODAY - DAY), str(TODAY - 2 * DAY)}
    assert stored.total() == 0


def test_a_day_that_was_used_and_is_not_billed_yet_stays_unknown_until_it_can_no_longer_change() -> None:
    fake = openai_account(TODAY - 5 * DAY, TODAY)
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


# ---------------------------------------------------------------------------------------------- the whole way

YAML = """
windows: [1d]
history: 10d
sources:
  openai:
    {{type: openai, url: "{url}", admin_key: "{key}", account: acme-org, tenant_pattern: "customer-(?P<tenant>.+)"}}
"""


def test_it_is_counted_served_and_known_to_the_cent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = OpenAIFake(names={"proj_a": "customer-acme", "proj_b": "internal"})
    for n in range(1, 11):
        day = COMPANY_NOW.date() - n * DAY
        fake.charges.append(Charge(day, "proj_a", Decimal("1.10"), LINES[0]))
        fake.charges.append(Charge(day, "proj_b", Decimal("0.123456789012"), "web search tool calls", "0.123456789012"))
        counts = {"input_tokens": 10, "output_tokens": 2}
        fake.calls.append(Calls(day, "completions", "proj_a", "key_1", "gpt-4o", counts))
        fake.calls.append(Calls(day, "completions", None, None, "gpt-4o", counts, batch=True))
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
        found = ledger.rows(
            "SELECT tenant, item, unit, scope, sum(amount) FROM line WHERE amount <> 0 GROUP BY ALL ORDER BY tenant"
        )
        assert found == [
            ("acme", "gpt-4o", "input", "openai/acme-org", Decimal("11.00")),
            (None, "web search tool calls", None, "openai/acme-org", Decimal("1.234567890120")),
        ]
        [(tokens,)] = ledger.rows("SELECT sum(quantity) FROM usage WHERE measure = 'ai_tokens'")
        assert tokens == 10 * 24
    assert ADMIN_KEY not in caplog.text + snapshot.text.decode() + snapshot.page.decode()


def test_the_dollars_of_a_project_go_to_whose_keys_were_used(tmp_path: Path) -> None:
    day = COMPANY_NOW.date() - DAY
    fake = OpenAIFake(charges=[Charge(day, "proj_a", Decimal(30), LINES[0])])
    for key, tokens in (("key_1", 100), ("key_2", 400), ("key_3", 100)):
        counts = {"input_tokens": tokens, "output_tokens": 0}
        fake.calls.append(Calls(day, "completions", "proj_a", key, "gpt-4o-2024-08-06", counts))
    current = Current()
    with serve(fake) as server, closing(Ledger(tmp_path)) as ledger:
        (tmp_path / "unitcost.yaml").write_text(f"""
windows: [1d]
history: 3d
sources:
  openai: {{type: openai, url: "{server.url}", admin_key: {ADMIN_KEY}, tenants: {{key_1: acme, key_2: beta}}}}
""")
        config, directory = load(tmp_path / "unitcost.yaml")
        assert Refresher(config, directory, ledger, current, lambda: COMPANY_NOW).refresh()
        found = ledger.rows("SELECT tenant, sum(amount) FROM line GROUP BY ALL ORDER BY tenant")
    assert found == [("acme", 5), ("beta", 20), (None, 5)]


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
    assert Setup.of(config, directory).model.billed_by == [("openai", "openai")], (
        "else OpenCost's days would be taken for billed"
    )
    path.write_text(text.replace("BY", ", billed_by: [openai]"))
    with pytest.raises(ConfigError, match="billed_by: 'openai' charges for models, and for no cluster"):
        load(path)
