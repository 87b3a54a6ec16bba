"""Whose a model provider's costs and tokens are, and how its admin key is kept."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes.ai_accounts import DAY, LINES, NOW, TODAY, asking, costs, source, usage
from tests.fakes.ai_providers import ADMIN_KEY, Calls, Charge, OpenAIFake, failing, refusal
from tests.fakes.server import serve
from tests.fakes.stored import MemoryStored, asked
from unitcost.config.load import load
from unitcost.errors import ConfigError, SourceError
from unitcost.facts import Note
from unitcost.sources.ai.openai import OpenAISettings
from unitcost.sources.base import Context

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
        list(source(fake, server.url, tenant_pattern="(?P<tenant>.+)").batches(asked(NOW, TODAY - 3 * DAY)))
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
        fake.fault = failing(path, None, refusal(500, "boom"))
        fake.charges.append(Charge(TODAY - DAY, "proj_a", Decimal(1), "Late"))
        (problem,) = stored.take(api.batches(asked(NOW, TODAY - DAY, stored)))
        assert problem.reason == "http"
        fake.fault = failing(path, None, refusal(403, "missing scope: api.management.read"))
        with pytest.raises(SourceError, match=r"answered 403\. The key must be an admin key"):
            stored.take(api.batches(asked(NOW, TODAY - DAY, stored)))
    assert stored.batches == before


# ------------------------------------------------------------------------------------------- keys and settings


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


def test_what_decides_the_content_is_the_map_and_not_the_key(tmp_path: Path) -> None:
    def identity(**given: Any) -> list[object]:
        return OpenAISettings.model_validate({"admin_key": ADMIN_KEY, **given}).identity(Context())

    (tmp_path / "key").write_text(ADMIN_KEY)
    assert identity() == identity(admin_key=None, admin_key_file=tmp_path / "key")
    assert identity() == identity(admin_key="another", url="https://proxy.example.com", timeout=5)
    assert identity() != identity(tenants={"proj_a": "acme"})
    assert identity() != identity(tenant_pattern="(?P<tenant>.+)")
    assert identity() != identity(account="acme-org")
