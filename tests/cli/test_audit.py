"""`unitcost audit ai`: what it prints, and the example that the documentation shows."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.ai_company import SCOPE, ai_company, charge, tokens
from tests.fakes.ai_providers import ADMIN_KEY, Calls, Charge, OpenAIFake
from tests.fakes.company import NOW, RATES, YESTERDAY
from tests.fakes.server import serve
from unitcost.cli.audit import table
from unitcost.cli.main import main
from unitcost.days import window
from unitcost.economics.audit_ai import Terms, audit
from unitcost.facts import Batch, Usage
from unitcost.ledger.derive import derive
from unitcost.run.pricing import batch_shares
from unitcost.sources.ai.units import UNITS, measure_of

DOCS = Path(__file__).parents[2] / "docs" / "ai.md"
AS_OF = ("--as-of", "2026-11-23T12:00:00Z")


def example() -> str:
    """Return the audit of the documentation: counters of an application and a gateway, and a bill of $14,800."""
    made = ai_company(())
    batch = Usage(
        YESTERDAY, None, "ai_tokens", Decimal(100_000_000), "gpt-4o", {"service_tier": "batch"}, "output", SCOPE
    )
    loose = Usage(YESTERDAY, None, "ai_unmapped", Decimal(250_000_000), "ai_tokens_total no model")
    app = [tokens("acme", "input", "2400", "gpt-4o"), tokens("beta", "output", "300", "gpt-4o"), loose]
    gateway = [tokens("acme", unit, count, "gpt-4o") for unit, count in (("input", "2000"), ("cache_read", "400"))]
    made.put("counters", [YESTERDAY], usage=app)
    made.ledger.put("gateway", "", Batch("day", [YESTERDAY], usage=gateway), NOW, RATES)
    report = [
        tokens(None, "input", "2000", "gpt-4o"),
        tokens(None, "cache_read", "400", "gpt-4o"),
        tokens(None, "output", "500", "gpt-4o"),
        batch,
        tokens(None, "input", "1250", "gpt-4.1"),
    ]
    bill = [
        charge("5000", "gpt-4o", "input"),
        charge("500", "gpt-4o", "cache_read"),
        charge("5500", "gpt-4o", "output"),
        charge("2500.004", "gpt-4.1", "input"),
        charge("1299.996", "web search tool calls"),
    ]
    made.put("openai", [YESTERDAY], usage=report, cost=bill)
    derive(made.ledger, made.model, NOW, timedelta(90))
    span = window("1d", NOW)
    units = [unit for unit in UNITS if measure_of(unit) == "ai_tokens"]
    sources = Terms([("counters", "counted"), ("gateway", "compared"), ("openai", "bill")], units, batch_shares(()))
    return "\n".join(table("USD", ["gateway"], span, audit(made.ledger, span.days(), sources)))


def test_the_documentation_shows_what_it_prints() -> None:
    assert f"```\n{example()}\n```\n" in DOCS.read_text(encoding="utf-8")


def test_the_samples_bill_is_explained_to_the_last_digit(
    sample_company: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = shutil.copytree(sample_company, tmp_path / "sample") / "unitcost.yaml"
    sample = ["audit", "ai", "--config", str(config), *AS_OF, "--window", "2026-10", "--format", "json"]
    assert main([*sample, "--provider", "openai_chat"]) == 0
    body = json.loads(capsys.readouterr().out)
    [account] = body["accounts"]
    assert (account["account"], account["billed"], account["reported"]) == ("openai/", "14800", None)
    difference = Decimal(account["billed"]) - Decimal(account["booked"])
    assert sum(Decimal(cause["amount"]) for cause in account["causes"]) == difference
    assert [cause["cause"] for cause in account["causes"]] == ["rounding"]  # its tokens are whole


CONFIG = """
sources:
  app: {type: csv_tokens, path: tokens.csv, provider: openai}
  gateway: {type: ai_tokens, url: "http://127.0.0.1:9", preset: litellm, compare_only: true}
"""


def test_a_source_that_does_not_answer_is_told_and_the_rest_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokens.csv").write_text("day,model,direction,quantity\n2026-10-05,gpt-4o,input,4000000\n")
    path = tmp_path / "unitcost.yaml"
    path.write_text(CONFIG)
    assert main(["audit", "ai", "--config", str(path), *AS_OF]) == 1
    out, err = capsys.readouterr()
    assert "2026-10-05  gpt-4o  4,000,000         -     10.00           -          -" in out
    assert "gateway: " in err


def test_a_provider_of_whom_nobody_knows_anything_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokens.csv").write_text("day,model,direction,quantity\n2026-10-05,gpt-4o,input,4000000\n")
    path = tmp_path / "unitcost.yaml"
    path.write_text("sources: {app: {type: csv_tokens, path: tokens.csv, provider: openai}}")
    assert main(["audit", "ai", "--config", str(path), *AS_OF, "--provider", "anthropic"]) == 1
    assert "no source knows any use of models of anthropic in the window last_month" in capsys.readouterr().err


def test_a_providers_own_bill_and_report_are_held_against_the_counters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = date(2026, 11, 17)
    fake = OpenAIFake(names={"proj_a": "acme"})
    counts = {"input_tokens": 3_000_000, "input_cached_tokens": 1_000_000, "output_tokens": 1_000_000}
    fake.calls = [Calls(day, "completions", "proj_a", "key_1", "gpt-4o", {**counts, "num_model_requests": 9})]
    lines = {"gpt-4o, input": "5", "gpt-4o, cached input": "1.25", "gpt-4o, output": "9", "Vector storage": "2"}
    fake.charges = [Charge(day, "proj_a", Decimal(dollars), line) for line, dollars in lines.items()]
    rows = f"{day},gpt-4o,input,3000000\n{day},gpt-4o,output,600000\n"
    (tmp_path / "tokens.csv").write_text(f"day,model,direction,quantity\n{rows}")
    path = tmp_path / "unitcost.yaml"
    with serve(fake) as server:
        path.write_text(
            "history: 5d\nmonths: 0\nwindows: [1d]\nsources:\n"
            "  app: {type: csv_tokens, path: tokens.csv, provider: openai}\n"
            f"  openai: {{type: openai, url: '{server.url}', admin_key: {ADMIN_KEY}}}\n"
        )
        as_of = ["--as-of", "2026-11-18T12:00:00Z", "--window", "1d", "--format", "json"]
        assert main(["audit", "ai", "--config", str(path), *as_of]) == 0
    out, _ = capsys.readouterr()
    [account] = json.loads(out)["accounts"]
    assert (account["booked"], account["billed"]) == ("13.5", "17.25")
    assert {one["cause"]: (one["tokens"], one["amount"]) for one in account["causes"]} == {
        "not metered": ("400000", "4"),
        "cached input counted as other input": ("0", "-1.25"),
        "another price than the book's": ("0", "-1"),
        "not a model's tokens": ("0", "2"),
    }
    assert ADMIN_KEY not in out
