"""The margin ratio is one thing, whoever reckons it: the page, the ledger's SQL, the rules, and a page of Grafana."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.pages.parts import margin_ratio as margin_ratio_of_pages
from rules.promql import select
from unitcost.economics.margin import margin_ratio, per_unit
from unitcost.ledger.store import Ledger
from unitcost.metrics import catalogue as c
from unitcost.metrics import recorded as r
from unitcost.metrics.metric import Metric

CASES = (
    (600, 300, 0.5),
    (200, 300, -0.5),
    (100, 0, 1.0),
    (100, -25, 1.25),
    (0, 10, -1.0),
    (0, 0, None),
    (0, -10, None),
    (None, 10, None),
    (10, None, None),
)
"""Revenue, cost → the ratio."""
RULES = Path(__file__).parents[2] / "rules" / "prometheus" / "unitcost-recording.yml"


def decimal(number: int | None) -> Decimal | None:
    return None if number is None else Decimal(number)


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger(None)


@pytest.mark.parametrize(("revenue", "cost", "ratio"), CASES)
def test_a_margin_ratio_is_relative_to_revenue(revenue: int | None, cost: int | None, ratio: float | None) -> None:
    assert margin_ratio(decimal(revenue), decimal(cost)) == ratio


amounts = st.none() | st.decimals(-(10**9), 10**9, places=4)


@given(revenue=amounts, cost=amounts)
def test_the_ledger_reckons_the_same(ledger: Ledger, revenue: Decimal | None, cost: Decimal | None) -> None:
    asked = "SELECT margin_ratio(x, y), per_unit(y, x) FROM (SELECT ?::DECIMAL(38, 12) AS x, ?::DECIMAL(38, 12) AS y)"
    [(ratio, each)] = ledger.rows(asked, [revenue, cost])
    assert margin_ratio(revenue, cost) == (None if ratio is None else pytest.approx(ratio, rel=1e-12))
    assert per_unit(cost, revenue) == (None if each is None else pytest.approx(each, rel=1e-12))


def series(metric: Metric, value: int, **labels: str) -> dict[str, str]:
    return {"series": select(metric, **labels), "values": f"{value}x5"}


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("of_pages", [False, True])
def test_the_rules_and_the_pages_reckon_the_same(of_pages: bool, tmp_path: Path) -> None:
    """A plan for each case. A page shows nothing where nobody paid, as its graphs are of what is left of a dollar."""
    given, expected = [], []
    for number, (revenue, cost, ratio) in enumerate(CASES):
        tenant, plan = f"t{number}", f"p{number}"
        given.append(series(c.TENANT_INFO, 1, tenant=tenant, name=tenant, plan=plan, status="active"))
        if cost is not None:
            given.append(series(c.TENANT_COST, cost, tenant=tenant, component="ai", window="30d"))
        if revenue is not None:
            given.append(series(c.TENANT_REVENUE, revenue, tenant=tenant, window="30d"))
        if revenue is not None and cost is not None:
            given.append(series(c.TENANT_MARGIN, revenue - cost, tenant=tenant, window="30d"))
        if ratio is not None and (revenue or not of_pages):
            name = "" if of_pages else r.PLAN_MARGIN_RATIO.name
            expected.append({"labels": f'{name}{{plan="{plan}",window="30d"}}', "value": ratio})
    recorded = select(r.PLAN_MARGIN_RATIO)
    asked = margin_ratio_of_pages(select(r.PLAN_COST), select(r.PLAN_REVENUE)) if of_pages else recorded
    case = {"input_series": given, "promql_expr_test": [{"expr": asked, "eval_time": "2m", "exp_samples": expected}]}
    path = tmp_path / "margin.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "tests": [{"interval": "1m", **case}]}))
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
