"""`unitcost what-if ai` and `unitcost limits`, asked of a company in files."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from unitcost.cli.main import main
from unitcost.sources.ai.book import PriceBook

BOOK = PriceBook()

DAYS = [date(2026, 11, 1) + timedelta(n) for n in range(22)]
AS_OF = "2026-11-23T12:00:00Z"
PRICES = [
    {"model": "gpt-4", "prices": {"input": 30, "output": 60}},
    {"model": "nova", "prices": {"input": 2, "output": 10, "cache_read": 0.2, "cache_write": 2.5}},
    {"model": "mini", "prices": {"input": 0.5, "output": 1}},
]
ROUTING = [
    {"feature": "chat", "from": "gpt-4", "to": "nova", "tokenizer_ratio": 1.1, "fallback_share": 0.05},
    {"feature": "search", "to": "unheard-of"},
]


def company(folder: Path, ai: dict[str, Any], **more: Any) -> list[str]:
    """Write a company: `gamma` asks GPT-4 ten times a day, `beta` reads much from the cache of `nova`.

    Return the arguments that name it.
    """
    tokens, usage = ["day,tenant,model,feature,direction,quantity"], ["day,tenant,measure,quantity"]
    for day in DAYS:
        tokens += [f"{day},gamma,gpt-4,chat,input,5000", f"{day},gamma,gpt-4,chat,output,2000"]
        tokens += [f"{day},beta,nova,search,input,200000", f"{day},beta,nova,search,cache_read,800000"]
        tokens += [f"{day},beta,nova,search,cache_write,100000"]
        usage += [f"{day},gamma,ai_requests,10", f"{day},beta,ai_requests,90", f"{day},beta,ai_cache_hits,5"]
    (folder / "tokens.csv").write_text("\n".join(tokens) + "\n")
    (folder / "usage.csv").write_text("\n".join(usage) + "\n")
    (folder / "tenants.csv").write_text("id,name,plan\ngamma,Gamma LLC,starter\nbeta,Beta Inc,pro\n")
    given = {
        "tenants": {"directory": "tenants.csv"},
        "sources": {
            "tokens": {"type": "csv_tokens", "path": "tokens.csv"},
            "usage": {"type": "csv_usage", "path": "usage.csv"},
        },
        "plans": {"starter": {"price": 14}, "pro": {"target_margin": 0.5}},
        "ai": {"prices": PRICES, **ai},
        **more,
    }
    (folder / "unitcost.yaml").write_text(yaml.safe_dump(given))
    return ["--config", str(folder / "unitcost.yaml"), "--as-of", AS_OF]


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    return out, err


WHAT_IF = """\
What AI could cost instead, mtd: 2026-11-01 to 2026-11-22 (UTC), in USD
All of it is potential, at the price book's prices of each day.

Another model
Feature  Model  To              Tokens  Cost  Cost there  Tokens for one  Falls back  Saving
-------  -----  ----------  ----------  ----  ----------  --------------  ----------  ------
chat     gpt-4  nova           154,000  5.94        0.73             1.1          5%    4.92
search   nova   unheard-of  24,200,000     -           -               1          0%       -
No figure for search: unheard-of has no price of cache_read; unheard-of has no price of cache_write; \
unheard-of has no price of input.
"""


def test_what_if_names_what_would_be_saved_and_what_that_assumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"routing": ROUTING, "cacheable_share": {"search": 0.9}}
    out, err = said(capsys, "what-if", "ai", "--window", "mtd", *company(tmp_path, more))
    assert out.startswith(WHAT_IF)
    rows = [line.split() for line in out.splitlines()]
    # 17.6 million read at $1.8 less, 2.2 million written at $0.5 more; and 190,000 a day more could have been read.
    assert ["nova", "17,600,000", "2,200,000", "30.58"] in rows
    assert ["search", "nova", "24,200,000", "17,600,000", "90%", "4,180,000", "7.52"] in rows
    # $5.94 and $17.82 of 2,200 requests, and 110 hits.
    assert ["110", "0.01080", "-", "1.19"] in rows
    assert out.count("Assumes") + out.count("assumes") == 4
    assert err == ""


def test_what_if_says_what_is_not_known_and_what_would_tell_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = said(capsys, "what-if", "ai", "--window", "mtd", *company(tmp_path, {}))
    assert "Not known: ai.routing names no model that could serve a feature." in out
    assert "Not known: ai.cacheable_share says of no feature which part of its input could be cached." in out
    assert "ai.semantic_cache names no measure of it" in out


@pytest.mark.parametrize("window", ["prev_30d", "2026-10"])
def test_what_if_is_asked_of_no_window_that_it_does_not_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], window: str
) -> None:
    _, err = said(capsys, "what-if", "ai", "--window", window, *company(tmp_path, {}), code=2)
    assert f"{window!r} is no window of this" in err


# ------------------------------------------------------------------------------------------- limits

LIMIT = 518
"""Requests of $0.027 in $14: the article's plan of $49 with a base cost of $35."""


def test_limits_are_what_the_price_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(capsys, "limits", *company(tmp_path, {}))
    [limit] = json.loads(out)["limits"]
    assert limit == {
        "tenant": "gamma",
        "plan": "starter",
        "requests_a_month": LIMIT,
        "dollars_a_month": 14.0,
        "price": 14.0,
        "base_cost": 0.0,
        "cost_per_ai_request": pytest.approx(0.027),
    }
    out, err = said(capsys, "limits", "--by", "plan", *company(tmp_path, {}))
    assert [(one["plan"], one["requests_a_month"]) for one in json.loads(out)["limits"]] == [("starter", LIMIT)]
    assert "pro: no limit, its price is not set" in err


# The bodies that LiteLLM's documentation shows for these calls, and the types of what stands in them.
LITELLM = {
    ("teams", "tenant"): {
        "team_id": str,
        "team_alias": str,
        "max_budget": float,
        "budget_duration": str,
        "metadata": dict,
    },
    ("budgets", "plan"): {"budget_id": str, "max_budget": float, "budget_duration": str},
}


@pytest.mark.parametrize(("name", "by"), LITELLM)
def test_a_file_for_litellm_holds_bodies_as_its_documentation_shows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, by: str
) -> None:
    out, _ = said(capsys, "limits", "--format", "litellm", "--by", by, *company(tmp_path, {}))
    told = json.loads(out)
    assert list(told) == [name]
    [body] = told[name]
    assert {key: type(value) for key, value in body.items()} == LITELLM[name, by]
    assert (body["max_budget"], body["budget_duration"]) == (14.0, "30d")


MATCHES = {
    "tenant": [{"type": "consumer", "key": "username", "values": ["gamma"]}],
    "plan": [
        {"type": "consumer_group", "key": "name", "values": ["starter"]},
        {"type": "consumer", "partition_by": True},
    ],
}


@pytest.mark.parametrize("by", MATCHES)
def test_a_file_for_kong_is_declarative_and_limits_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    out, _ = said(capsys, "limits", "--format", "kong", "--by", by, *company(tmp_path, {}))
    assert yaml.safe_load(out) == {
        "_format_version": "3.0",
        "plugins": [
            {
                "name": "ai-rate-limiting-advanced",
                "config": {
                    "policies": [
                        {
                            "match": MATCHES[by],
                            "window_type": "fixed",
                            "limits": [{"limit": 14.0, "window_size": 2592000, "tokens_count_strategy": "cost"}],
                        }
                    ]
                },
            }
        ],
    }


def test_a_gateway_counts_in_dollars_whatever_we_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    euros = {"code": "EUR", "rates": {"USD": 0.5}, "as_of": "2026-11-01"}
    out, _ = said(capsys, "limits", "--format", "litellm", *company(tmp_path, {}, currency=euros))
    assert [team["max_budget"] for team in json.loads(out)["teams"]] == [28.0]


def test_without_prices_of_plans_there_is_no_limit_and_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = said(capsys, "limits", *company(tmp_path, {}, plans={}), code=1)
    assert out == ""
    assert "no limit is known of any tenant: it takes a price (MRR, or plans.NAME.price)" in err


# ------------------------------------------------------------------------------------------- the page

PAGE = (Path(__file__).parents[2] / "docs" / "ai-what-if.md").read_text("utf-8")

SHOWN = {
    "what-if": ["what-if", "ai", "--window", "mtd"],
    "litellm": ["limits", "--format", "litellm"],
    "kong": ["limits", "--format", "kong", "--by", "plan"],
}


@pytest.mark.parametrize("shown", SHOWN)
def test_the_page_shows_what_the_commands_print(tmp_path: Path, capsys: pytest.CaptureFixture[str], shown: str) -> None:
    more = {"routing": ROUTING, "cacheable_share": {"search": 0.9}}
    out, _ = said(capsys, *SHOWN[shown], *company(tmp_path, more))
    assert f"```\n{out}```\n" in PAGE


ARTICLE = {
    ("GPT-4", "gpt-4", "openai"): "0.03 in, 0.06 out: right",
    ("GPT-4 Turbo", "gpt-4-turbo", "openai"): "0.03: what output costs, three times its input",
    ("GPT-3.5 Turbo", "gpt-3.5-turbo", "openai"): "0.002: an output price of before",
    ("Claude Haiku 3.5", "claude-3-5-haiku", "anthropic"): "0.0008: its input; output is five times that",
}
"""What a model is called there, in the price book and by whom → what the article says."""


def test_the_page_shows_both_sides_of_the_articles_prices() -> None:
    lines = ["| Model | Input | Output | The article said |", "|---|---|---|---|"]
    for (model, name, provider), article in ARTICLE.items():
        sides = [BOOK.price(name, unit, date(2026, 11, 28), provider) for unit in ("input", "output")]
        told = [f"{price.of(Decimal(1000)).normalize():f}" for price in sides if price is not None]
        lines.append(f"| {model} | {' | '.join(told)} | {article} |")
    assert "\n".join(lines) + "\n" in PAGE
