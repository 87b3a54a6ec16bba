"""Anthropic's bill against a fake of its admin API: cents to the last digit, by workspace, model and kind of token."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.ai_accounts import CLAUDE, DAY, NOW, TODAY, anthropic_account, asking, costs, days, source, usage
from tests.fakes.ai_providers import ADMIN_KEY, AnthropicFake, Calls, Charge, failing, refusal
from tests.fakes.company import NOW as COMPANY_NOW
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked
from unitcost.config.load import load
from unitcost.facts import Batch, Cost, Note
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.sources.ai.anthropic import read_cost, read_usage
from unitcost.web.snapshot import Current

COSTS, MESSAGES = "/v1/organizations/cost_report", "/v1/organizations/usage_report/messages"
AN_HOUR = '"starting_at": "2026-10-01T00:00:00Z", "ending_at": "2026-10-01T01:00:00Z"'

# ------------------------------------------------------------------------------------- what answers become


def test_ninety_days_are_asked_in_ranges_and_come_to_what_was_charged() -> None:
    first = TODAY - 93 * DAY
    fake = anthropic_account(first, TODAY + DAY)
    stored = MemoryStored(NOW)
    with serve(fake) as server:
        assert stored.take(source(fake, server.url).batches(asked(NOW, first, stored))) == []
    spans = {(one.params["starting_at"], one.params["ending_at"]) for one in server.requests}
    assert spans == {(f"{first + n * 31 * DAY}T00:00:00Z", f"{first + (n + 1) * 31 * DAY}T00:00:00Z") for n in range(3)}
    grouped = {one.path: one.every["group_by[]"] for one in server.requests}
    assert grouped == {
        COSTS: ["workspace_id", "description"],
        MESSAGES: ["workspace_id", "api_key_id", "model", "service_tier"],
    }
    assert {(one.params["limit"], one.params["bucket_width"]) for one in server.requests} == {("31", "1d")}
    assert stored.keys() == {str(day) for day in days(first, TODAY)}
    assert stored.total() == fake.total(days(first, TODAY))


def cents(amount: str, **more: Any) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD", "workspace_id": None, **more}


@pytest.mark.parametrize(
    ("amount", "dollars"),
    [
        ("123.45", "1.2345"), ("123.78912", "1.2378912"), ("12345", "123.45"), ("0.0000000001", "0.000000000001"),
        ("0E-6176", "0"), ("1E+2", "1"), ("-250", "-2.5"), ("0", "0"),
    ],
)  # fmt: skip
def test_amounts_are_cents(amount: str, dollars: str) -> None:
    assert read_cost(cents(amount))[1:3] == (Decimal(dollars), "USD")


TOKENS = {"cost_type": "tokens", "model": CLAUDE, "description": "Claude Sonnet 4.5 Usage - Input Tokens"}


@pytest.mark.parametrize(
    ("row", "item", "unit", "batch"),
    [
        ({**TOKENS, "token_type": "uncached_input_tokens"}, CLAUDE, "input", False),
        ({**TOKENS, "token_type": "cache_read_input_tokens"}, CLAUDE, "cache_read", False),
        ({**TOKENS, "token_type": "cache_creation.ephemeral_5m_input_tokens"}, CLAUDE, "cache_write", False),
        ({**TOKENS, "token_type": "cache_creation.ephemeral_1h_input_tokens"}, CLAUDE, "cache_write_1h", False),
        ({**TOKENS, "token_type": "output_tokens", "service_tier": "batch"}, CLAUDE, "output", True),
        ({**TOKENS, "token_type": "tokens_of_a_new_kind"}, TOKENS["description"], None, False),
        ({"cost_type": "web_search", "description": "Web Search Usage"}, None, "searches", False),
        ({"cost_type": "code_execution", "description": "Code Execution Usage"}, "Code Execution Usage", None, False),
        ({"cost_type": "session_usage", "description": None}, "session_usage", None, False),
        ({"description": None, "cost_type": None}, None, None, False),
    ],
)
def test_a_line_says_its_model_and_unit(row: dict[str, Any], item: str | None, unit: str | None, batch: bool) -> None:
    found = read_cost(cents("1", **row))
    assert (found.item, found.unit, found.batch, found.quantity) == (item, unit, batch, None)


def test_tokens_are_each_in_one_unit() -> None:
    row = {
        "uncached_input_tokens": 1500, "cache_read_input_tokens": 200, "output_tokens": 500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 400},
        "server_tool_use": {"web_search_requests": 10}, "service_tier": "batch", "api_key_id": None, "model": CLAUDE,
    }  # fmt: skip
    found = read_usage(json.loads(json.dumps(row), parse_int=Decimal))
    assert {unit: int(quantity) for unit, quantity in found.quantities.items()} == {
        "input": 1500, "cache_read": 200, "cache_write": 400, "cache_write_1h": 1000, "output": 500, "searches": 10,
    }  # fmt: skip
    assert found.batch
    less = {"uncached_input_tokens": Decimal(1), "output_tokens": Decimal(2), "cache_creation": None}
    assert {unit: int(count) for unit, count in read_usage(less).quantities.items() if count} == {
        "input": 1,
        "output": 2,
    }


def test_costs_are_the_accounts_by_workspace_and_the_default_one_has_no_id() -> None:
    day = TODAY - DAY
    fake = anthropic_account(day, TODAY)
    fake.charges.append(Charge(day, None, Decimal(3), "Code Execution Usage", more={"cost_type": "code_execution"}))
    stored = MemoryStored(NOW)
    with asking(fake, account="acme-org", tenants={"wrkspc_a": "Acme", "default": "Console"}) as api:
        assert stored.take(api.batches(asked(NOW, day, stored))) == []
    found = costs(stored, day)
    assert {(one.service, one.category, one.currency, one.scope, one.charge) for one in found} == {
        ("Anthropic API", "ai", "USD", "anthropic/acme-org", "usage")
    }
    assert (
        Cost(
            day, "Console", "Anthropic API", "ai", Decimal(3), "USD", "anthropic/acme-org", item="Code Execution Usage"
        )
        in found
    )
    assert {one.tenant for one in found if one.item == CLAUDE} == {"Acme"}
    assert sum(one.amount for one in found) == fake.total([day])


def test_keys_attribute_tokens_only_and_names_are_asked_once() -> None:
    day = TODAY - DAY
    fake = anthropic_account(day, TODAY)
    fake.per_page = 1
    fake.keys = {("wrkspc_a", "apikey_1"): "customer-gamma", ("wrkspc_b", "apikey_2"): "batch jobs"}
    fake.calls.append(
        Calls(day, "messages", "wrkspc_b", "apikey_2", CLAUDE, {"output_tokens": 9}, batch=True),
    )
    fake.calls.append(Calls(day, "messages", None, None, CLAUDE, {"output_tokens": 4}))
    stored = MemoryStored(NOW)
    with asking(fake, tenant_pattern="customer-(?P<tenant>.+)", tenants={"internal": "us"}) as api:
        assert stored.take(api.batches(asked(NOW, day, stored))) == []
    assert {one.tenant for one in costs(stored, day) if one.amount} == {"acme"}
    found = {
        (one.tenant, one.unit, one.dimensions.get("service_tier")): int(one.quantity) for one in usage(stored, day)
    }
    assert found == {
        ("gamma", "cache_read", None): 1, ("gamma", "cache_write", None): 2, ("gamma", "cache_write_1h", None): 3,
        ("gamma", "output", None): 4, ("gamma", "searches", None): 1, ("us", "output", "batch"): 9,
        (None, "output", None): 4,
    }  # fmt: skip
    lists = [one for one in fake.asked if one[0].endswith(("workspaces", "api_keys"))]
    assert sorted(lists) == [
        ("/v1/organizations/api_keys", ""),
        ("/v1/organizations/api_keys", "apikey_1"),
        ("/v1/organizations/workspaces", ""),
        ("/v1/organizations/workspaces", "wrkspc_a"),
    ]


# ------------------------------------------------------------------------------------------------- what fails


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal(500, "Internal server error"), "http"),
        (refusal(529, "Overloaded"), "http"),
        (Reply('{"data": [], "has_more": false, "next_page": null}', cut=20), "truncated"),
        (Reply('{"data": [{"starting_at": "yesterday", "results": []}], "has_more": false}'), "format"),
        (Reply(f'{{"data": [{{{AN_HOUR}, "results": []}}], "has_more": false}}'), "format"),
    ],
)
@pytest.mark.parametrize("path", [COSTS, MESSAGES])
def test_a_range_whose_second_page_fails_gives_nothing_and_the_others_are_kept(
    path: str, reply: Reply, reason: str
) -> None:
    first, broken_end = TODAY - 62 * DAY, TODAY - 31 * DAY
    fake = anthropic_account(first, TODAY)
    fake.fault = failing(path, "page_7", reply, until=broken_end)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        (problem,) = stored.take(api.batches(asked(NOW, first, stored)))
        assert (problem.reason, problem.where) == (reason, f"anthropic, {first} to {broken_end - DAY}")
        assert stored.keys() == {str(day) for day in days(broken_end, TODAY)}
        fake.fault = lambda _: None
        assert stored.take(api.batches(asked(NOW, first, stored))) == []
    assert stored.total() == fake.total(days(first, TODAY))


def spoilt(fake: AnthropicFake, day: date, name: str, value: object) -> None:
    """Let a field of the first row of a day's costs be something else."""

    def fault(request: Request) -> Reply | None:
        if request.path != COSTS:
            return None
        body = json.loads(str(fake.answer(request).body))
        for bucket in body["data"]:
            if bucket["starting_at"].startswith(str(day)):
                bucket["results"][0][name] = value
        return Reply(json.dumps(body))

    fake.fault = fault


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("amount", None, "an amount is null, not a number"),
        ("amount", "12,5", "an amount '12,5' is not a plain number"),
        ("amount", {"value": 1}, "an amount is a map, not a number"),
        ("currency", None, "the currency of an amount is null"),
        ("currency", "JPY", "an amount is in JPY, of which nobody knows the smallest unit"),
        ("workspace_id", 7, "workspace_id is 7, not a text"),
    ],
)
def test_a_value_that_is_none_is_a_problem_of_its_day_only(name: str, value: object, text: str) -> None:
    first, broken = TODAY - 5 * DAY, TODAY - 2 * DAY
    fake = anthropic_account(first, TODAY)
    spoilt(fake, broken, name, value)
    stored = MemoryStored(NOW)
    with asking(fake) as api:
        (problem,) = stored.take(api.batches(asked(NOW, first, stored)))
    assert (problem.reason, problem.where) == ("value", f"anthropic, {broken}")
    assert problem.text.startswith(f"{COSTS}: ")
    assert text in problem.text
    assert stored.keys() == {str(day) for day in days(first, TODAY) if day != broken}


def test_it_is_asked_once_a_minute_at_the_most_unless_a_day_is_missing() -> None:
    first = TODAY - 5 * DAY
    fake = anthropic_account(first, TODAY)
    stored = MemoryStored(NOW)

    def requests(seconds: int) -> int:
        before = len(fake.asked)
        stored.take(api.batches(asked(NOW + timedelta(seconds=seconds), first, stored)))
        return len(fake.asked) - before

    with asking(fake) as api:
        assert requests(0) == 2
        assert requests(30) == 0
        assert requests(60) == 2
        fake.fault = failing(COSTS, None, refusal(500, "boom"))
        assert requests(120) == 1
        assert requests(121) == 1, "what failed is asked again"
        fake.fault = lambda _: None
        assert requests(122) == 2
        del stored.batches[str(first)]
        assert requests(123) == 4, "a day is missing, which is a range of its own"


# --------------------------------------------------------------------------------------------------- the key


def test_headers_of_ones_own_are_sent_beside_the_key() -> None:
    fake = anthropic_account(TODAY - DAY, TODAY)
    with serve(fake) as server:
        (batch,) = source(fake, server.url, headers={"X-Proxy": "eu"}).batches(asked(NOW, TODAY - DAY))
    assert isinstance(batch, Batch)
    assert {one.headers["x-proxy"] for one in server.requests} == {"eu"}
    assert not [one for one in server.requests if "authorization" in one.headers]


# ---------------------------------------------------------------------------------------------- the whole way

YAML = """
windows: [1d]
history: 10d
dimensions: [feature]
sources:
  claude: {{type: anthropic, url: "{url}", admin_key_file: key, tenants: {{wrkspc_a: acme}}, required: false}}
"""


def test_it_is_counted_served_and_known_to_the_cent(tmp_path: Path) -> None:
    today = COMPANY_NOW.date()
    fake = anthropic_account(today - 9 * DAY, today)
    current = Current()
    (tmp_path / "key").write_text(ADMIN_KEY)
    with serve(fake) as server, closing(Ledger(tmp_path)) as ledger:
        (tmp_path / "unitcost.yaml").write_text(YAML.format(url=server.url))
        config, directory = load(tmp_path / "unitcost.yaml")
        refresher = Refresher(config, directory, ledger, current, lambda: COMPANY_NOW)
        assert refresher.refresh(), refresher.runners[0].problems
        snapshot = current.get()
        assert snapshot is not None
        [(total,)] = ledger.rows("SELECT sum(amount) FROM line")
        assert total == fake.total(days(today - 9 * DAY, today))
        [(mine,)] = ledger.rows("SELECT sum(amount) FROM line WHERE tenant = 'acme'")
        assert mine == sum(one.dollars for one in fake.charges if one.project == "wrkspc_a")
    notes = [note for runner in refresher.runners for note in runner.notes if isinstance(note, Note)]
    assert notes[0].text.startswith("claude: costs of the days asked now without a tenant: ")
