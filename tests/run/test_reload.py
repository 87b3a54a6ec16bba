"""Every key of unitcost.yaml that changes counts from the reload on, or is refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.company import NOW
from tests.fakes.reloaded import Running, company, until, usage
from tests.fakes.web_server import ask
from unitcost.config.model import Config
from unitcost.config.sections import Web
from unitcost.sources.ai.settings import Ai

# ------------------------------------------------------------------------------------------- every key counts

Seen = Callable[[Running], object]


def value(series: str) -> Seen:
    return lambda given: given.value(series)


def served(pattern: str) -> Seen:
    return lambda given: re.search(pattern, given.text()) is not None


def unallocated(component: str) -> Seen:
    return value(f'unallocated_cost_dollars{{source="bill",component="{component}",window="1d"}}')


CHANGES: dict[str, tuple[object, Seen, object, object]] = {
    "tenants": ({"directory": "others.csv"}, served('name="Another Acme"'), False, True),
    "refresh": ({"every": "1s"}, lambda given: any((given.folder / "state").glob("copies/*")), False, True),
    "history": ("9d", lambda given: given.ledger.known("usage").days, 5, 10),
    "copies": ({"keep": 1}, lambda given: given.refresher.config.copies.keep, 0, 1),
    "currency": ({"rates": {"EUR": 3}, "as_of": "2026-11-02"}, unallocated("other"), 10.0, 15.0),
    "sources": (
        {"revenue": {"type": "csv_revenue", "path": "mrr.csv"}},
        served('unitcost_source_up{source="(bill|usage)"}'),
        True,
        False,
    ),
    "sharing": ([{"match": {"component": "database"}, "by": "even"}], unallocated("database"), 22.0, None),
    "plans": ({"pro": {"target_margin": 0.5}}, value('plan_target_margin_ratio{plan="pro"}'), None, 0.5),
    "budgets": ({"default": {"dollars": 40}}, value('tenant_budget_dollars{tenant="beta"}'), None, 40.0),
    "dimensions": (["feature"], served('dimension_cost_dollars{dimension="feature",value="chat"'), False, True),
    "components": ({"RDS": "storage"}, unallocated("storage"), None, 22.0),
    "windows": (["2d"], served('window_complete{window="2d"} 1'), False, True),
    "months": (1, served('window_complete{window="2026-10"}'), False, True),
    "limits": ({"tenants": 1}, value("unitcost_tenants_folded"), 0.0, 1.0),
}
"""Key → what it becomes, where that is seen, and what is seen there before and after."""

REFUSED = {"state_dir": "other"}
UNUSED = {"alerts": {"wait": "20m"}, "ai": {"prices": [{"model": "acme-7b", "prices": {"input": 0}}]}}


def test_the_tables_hold_every_key_of_the_file() -> None:
    assert {*CHANGES, *REFUSED, *UNUSED, "web"} == set(Config.model_fields)


@pytest.mark.parametrize("key", CHANGES)
def test_a_key_that_changes_counts_from_then_on(tmp_path: Path, key: str) -> None:
    becomes, seen, before, after = CHANGES[key]
    more = {"history": "60d"} if key == "months" else {"copies": {"keep": 1}} if key == "refresh" else {}
    with company(tmp_path, **more) as (given, _):
        if key == "refresh":
            until(lambda: bool(seen(given)), "a copy of the first refresh")
            for copy in (given.folder / "state" / "copies").iterdir():
                copy.unlink()
        assert seen(given) == before
        found = given.reload(**{key: becomes})
        assert found.successful, found.lines
        assert key in found.lines[0]
        until(lambda: seen(given) == after, f"{key} counts: {seen(given)}")


def test_the_folder_of_the_ledger_takes_a_restart_and_says_so(tmp_path: Path) -> None:
    with company(tmp_path) as (given, _):
        found = given.reload(**REFUSED, windows=["2d"])
        assert not found.successful
        assert found.lines == [
            f"{tmp_path / 'unitcost.yaml'} was not taken over, what it said before stays in use:",
            (
                f"{tmp_path / 'unitcost.yaml'}: state_dir: {tmp_path / 'other'} takes a restart,"
                f" the ledger in {tmp_path / 'state'} is in use"
            ),
        ]
        until(lambda: given.value("unitcost_config_last_reload_successful") == 0, "it is told")
        assert 'window="2d"' not in given.text(), "nothing of a file that is refused counts"
        assert given.reload(state_dir="./state/").successful, "the same folder in other words"


def test_what_only_rules_and_pages_are_made_of_says_what_to_do(tmp_path: Path) -> None:
    with company(tmp_path) as (given, _):
        found = given.reload(**UNUSED, web={"external_url": "https://unitcost.example.com"})
        assert found.successful
        assert "changed: web.external_url, alerts, ai; " in found.lines[0]
        assert found.lines[0].endswith("; alerts and web.external_url decide the rules and pages, write these again")
        assert given.reload().lines[0].endswith("was read again: nothing in it changed")


# ------------------------------------------------------------------------------------------- `ai`

NOVA = {"model": "nova", "prices": {"input": 2, "cache_read": 0.2}}
MONTH = 365 / 12
AI: dict[str, tuple[object, Seen, object, object]] = {
    "prices": (
        [{**NOVA, "prices": {"input": 4}}],
        value('tenant_cost_dollars{tenant="acme",component="ai",window="1d"}'),
        2.0,
        4.0,
    ),
    "routing": (
        [{"feature": "chat", "to": "gpt-4.1-mini"}],
        value('savings_opportunity_dollars{kind="model_routing",target="chat: nova → gpt-4.1-mini",window="1d"}'),
        None,
        pytest.approx((2 - 0.4) * MONTH),
    ),
    "cacheable_share": (
        {"chat": 0.5},
        value('savings_opportunity_dollars{kind="prompt_cache_missed",target="chat: nova",window="1d"}'),
        None,
        pytest.approx(0.5 * (2 - 0.2) * MONTH),
    ),
    "semantic_cache": (
        {"embedding_tokens": "embedded", "embedding_model": "mini"},
        lambda given: given.ledger.rows("FROM embedding"),
        [],
        [("embedded", "mini")],
    ),
}


def test_the_table_holds_every_key_of_ai() -> None:
    assert set(AI) == set(Ai.model_fields)


@pytest.mark.parametrize("key", AI)
def test_what_changes_of_ai_counts_from_then_on(tmp_path: Path, key: str) -> None:
    becomes, seen, before, after = AI[key]
    (tmp_path / "tokens.csv").write_text(
        "day,tenant,model,feature,direction,quantity\n2026-11-22,acme,nova,chat,input,1000000\n"
    )
    tokens = {"type": "csv_tokens", "path": "tokens.csv"}
    with company(tmp_path, sources={"tokens": tokens}, ai={"prices": [NOVA]}) as (given, _):
        assert seen(given) == before
        assert given.reload(ai={"prices": [NOVA], key: becomes}).successful
        until(lambda: seen(given) == after, f"ai.{key} counts: {seen(given)}")


# ------------------------------------------------------------------------------------------- `web`

WEB: dict[str, tuple[object, Callable[[Running], int], int, int]] = {
    "enable_lifecycle": (True, lambda given: ask(given.server.port, "/-/reload", method="POST")[0].status, 403, 200),
    "config_file": ("web.yml", lambda given: ask(given.server.port, "/metrics")[0].status, 200, 401),
}


def test_the_table_holds_every_key_of_web() -> None:
    """max_connections: tests/web/test_lifecycle.py; listen and external_url: below and above."""
    assert {*WEB, "max_connections", "listen", "external_url"} == set(Web.model_fields)


@pytest.mark.parametrize("key", WEB)
def test_what_changes_of_web_counts_from_then_on(tmp_path: Path, key: str) -> None:
    becomes, seen, before, after = WEB[key]
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{prometheus: $2y$10${'.' * 53}}}\n")
    with company(tmp_path) as (given, _):
        assert seen(given) == before
        assert given.reload(web={key: becomes}).successful
        until(lambda: seen(given) == after, f"web.{key} counts")


def test_a_web_config_file_that_is_wrong_is_told_beside_all_else(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("basic_auth_users: {prometheus: in-plain-text}\n")
    with company(tmp_path) as (given, _):
        found = given.reload(web={"config_file": "web.yml"}, state_dir="other")
        assert [line.split(": ")[1] for line in found.lines[1:]] == ["state_dir", "basic_auth_users.prometheus"]
        assert "in-plain-text" not in str(found)
        assert ask(given.server.port, "/metrics")[0].status == 200


def test_an_address_to_listen_on_takes_a_restart_unless_the_command_line_decides(tmp_path: Path) -> None:
    with company(tmp_path) as (given, _):
        assert given.reload(web={"listen": "127.0.0.1:9999"}).successful, "--listen was given"
    with company(tmp_path, listening=None) as (given, _):
        found = given.reload(web={"listen": "127.0.0.1:9999"})
        assert not found.successful
        assert found.lines[1].endswith("web.listen: 127.0.0.1:9999 takes a restart, 0.0.0.0:9488 is listened on")


# ------------------------------------------------------------------------------------------- what is wrong


def test_a_wrong_file_changes_nothing_and_is_told_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t-of-the-environment")
    with company(tmp_path) as (given, fake):
        asked = len(fake.requests)
        good = given.config
        sources = {**good["sources"], "more": usage("http://x/${TOKEN}", bearer_token="s3cr3t in clear", colour=1)}
        found = given.reload(sources=sources, windows=["7x"], history="${TOKEN}", sharing=[{"by": "${TOKEN}"}])
        assert not found.successful
        path = given.folder / "unitcost.yaml"
        assert [line.removeprefix(f"{path}: ").split(": ")[0] for line in found.lines[1:]] == [
            "sources.more.colour",
            "history",
            "sharing.0.match",
        ]
        for line in found.lines:
            assert line in caplog.messages
        assert "s3cr3t" not in str(found) + caplog.text
        until(lambda: given.value("unitcost_config_last_reload_successful") == 0, "it is told")
        since = given.value("unitcost_config_last_reload_success_timestamp_seconds")
        assert since == NOW.timestamp()
        assert given.value('tenant_cost_dollars{tenant="acme",component="compute",window="1d"}') == 10
        path.unlink()
        gone = given.reloader.begin().result(10)
        assert gone.lines[1] == f"{path}: cannot be read: No such file or directory"
        given.config = good
        assert given.reload().successful
        until(lambda: given.value("unitcost_config_last_reload_successful") == 1, "it is mended")
        assert len(fake.requests) == asked, "no source was asked for any of it"


def test_all_who_ask_before_it_is_read_share_one_reading_of_the_file_as_it_is_then(tmp_path: Path) -> None:
    with company(tmp_path) as (given, _):
        with given.ledger.alone():  # does not stand in its way
            assert given.reload(windows=["2d"]).successful
        first, second = given.reloader.begin(), given.reloader.begin()
        assert first.result(10).successful
        assert second.result(10).successful
