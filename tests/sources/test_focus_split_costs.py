"""AWS' split cost allocation: pods get their part of a node, the sum stays the invoice's, and nothing counts twice.

The files are made after AWS' documentation of CUR 2.0; no real export was at hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.cur2 import ACME, BETA, HOUR, POD, Row, line, pod
from tests.fakes.focus_shapes import SHAPES, generated
from tests.fakes.refreshed import refreshed, said
from tests.fakes.stored import utc
from tests.sources.test_focus import write_csv
from unitcost.errors import ConfigError
from unitcost.ledger.store import Ledger

NOW = utc(2026, 11, 20)


def cur(path: Path, rows: Sequence[Row]) -> Path:
    """Write a CSV, gzipped by its name, or Parquet with AWS' types: costs double, tags MAP."""
    text = write_csv(path.with_suffix(".tmp") if path.suffix == ".parquet" else path, rows, list(rows[0]))
    if path.suffix == ".parquet":
        columns = [_typed(name) for name in rows[0]]
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT {', '.join(columns)} FROM read_csv('{text}', all_varchar = true, header = true,"
                f" quote = '\"', escape = '\"')) TO '{path}' (FORMAT parquet)"
            )
        text.unlink()
    return path


def _typed(name: str) -> str:
    if name.endswith("_date") and name != "savings_plan_total_commitment_to_date":
        return f"CAST({name} AS TIMESTAMP) AS {name}"
    if name in {"resource_tags", "tags"}:
        return f"CAST(CAST({name} AS JSON) AS MAP(VARCHAR, VARCHAR)) AS {name}"
    number = name.endswith(("_cost", "commitment", "commitment_to_date", "_fee", "_fee_for_billing_period"))
    return f"CAST({name} AS DOUBLE) AS {name}" if number else name


def read(folder: Path, path: Path, **own: object) -> tuple[Ledger, list[str]]:
    bill = {"type": "focus", "path": str(path), **own}
    ledger, fetcher = refreshed(folder, NOW, sources={"bill": bill})
    return ledger, said(fetcher)


def by(ledger: Ledger, column: str) -> dict[str | None, Decimal]:
    return dict(ledger.rows(f"SELECT {column}, sum(amount) FROM cost GROUP BY ALL HAVING sum(amount) <> 0"))


@pytest.mark.parametrize("name", ["cur.csv", "cur-00001.csv.gz", "BILLING_PERIOD=2026-10/cur-00001.snappy.parquet"])
def test_pods_get_their_part_of_a_node(tmp_path: Path, name: str) -> None:
    ledger, wrong = read(tmp_path, cur(tmp_path / name, HOUR), split_cost_allocation=True)
    with closing(ledger):
        assert not wrong
        assert by(ledger, "tenant") == {"acme": Decimal("0.55"), "beta": Decimal("0.25"), None: Decimal("0.2")}
        assert ledger.rows("SELECT DISTINCT component FROM line") == [("compute",)]
        assert by(ledger, "service") == {"AmazonEKS": Decimal(1)}, "nothing is left at the instance"
        assert ledger.rows("SELECT sum(list_amount) FROM cost WHERE tenant = 'acme'") == [(Decimal("0.55"),)]


@pytest.mark.parametrize("name", ["cur.csv", "cur.parquet"])
def test_without_the_setting_the_node_is_whose_it_is_and_its_parts_count_not_at_all(tmp_path: Path, name: str) -> None:
    ledger, wrong = read(tmp_path, cur(tmp_path / name, HOUR), tenant="none")
    with closing(ledger):
        assert not wrong
        assert by(ledger, "tenant") == {None: Decimal(1)}


def test_what_no_pod_used_is_counted_once(tmp_path: Path) -> None:
    """AWS tells it in the pods' unused cost, and besides in a row of its own."""
    idle = pod("x", "0.3", "", {}, line_item_resource_id=POD.rpartition("/")[0].format("x") + "/Unused")
    ledger, _ = read(tmp_path, cur(tmp_path / "cur.csv", [*HOUR, idle]), split_cost_allocation=True)
    with closing(ledger):
        assert sum(by(ledger, "tenant").values()) == 1
        assert by(ledger, "tenant")[None] == Decimal("0.2")


def test_parts_may_stand_in_another_file_than_their_node(tmp_path: Path) -> None:
    for number, rows in enumerate(([HOUR[0], *HOUR[3:]], HOUR[1:3]), 1):
        cur(tmp_path / "cur" / f"cur-0000{number}.csv", rows)
    ledger, wrong = read(tmp_path, tmp_path / "cur", split_cost_allocation=True)
    with closing(ledger):
        assert not wrong
        assert by(ledger, "tenant") == {"acme": Decimal("0.55"), "beta": Decimal("0.25"), None: Decimal("0.2")}


def test_amortised_costs_are_those_of_aws_query_library(tmp_path: Path) -> None:
    rows = [
        line(line_item_line_item_type="SavingsPlanCoveredUsage", savings_plan_savings_plan_effective_cost="0.7"),
        line(line_item_line_item_type="SavingsPlanNegation", line_item_unblended_cost="-1.0"),
        line(
            line_item_line_item_type="SavingsPlanRecurringFee",
            line_item_unblended_cost="2.0",
            savings_plan_total_commitment_to_date="2.0",
            savings_plan_used_commitment="0.7",
        ),
        line(
            line_item_line_item_type="DiscountedUsage", line_item_unblended_cost="0", reservation_effective_cost="0.4"
        ),
        line(
            line_item_line_item_type="RIFee",
            line_item_unblended_cost="9.0",
            reservation_unused_recurring_fee="0.5",
            reservation_unused_amortized_upfront_fee_for_billing_period="0.25",
        ),
        line(line_item_line_item_type="Fee", line_item_unblended_cost="100", reservation_reservation_a_r_n="arn:x"),
        line(line_item_line_item_type="Fee", line_item_unblended_cost="3"),
        line(line_item_line_item_type="Tax", line_item_unblended_cost="0.19"),
        line(line_item_line_item_type="EdpDiscount", line_item_unblended_cost="-0.05"),
    ]
    expected = {
        "EffectiveCost": Decimal("0.7") + Decimal("1.3") + Decimal("0.4") + Decimal("0.75") + 3 + Decimal("0.14"),
        "BilledCost": sum(Decimal(row["line_item_unblended_cost"]) for row in rows),
    }
    for cost, whole in expected.items():
        ledger, _ = read(tmp_path, cur(tmp_path / "cur.csv", rows), cost=cost, tenant="none")
        with closing(ledger):
            assert sum(by(ledger, "tenant").values()) == whole
            kinds = {kind for (kind,) in ledger.rows("SELECT DISTINCT charge FROM cost")}
            unused = {"unused"} if cost == "EffectiveCost" else set()
            assert kinds == {"usage", "purchase", "tax", "adjustment"} | unused
            waste = ledger.rows("SELECT sum(amount) FROM line WHERE component = 'commitment'")
            assert waste == [(Decimal("1.3") + Decimal("0.75") if unused else None,)]


def test_keys_are_found_however_aws_spells_them(tmp_path: Path) -> None:
    rows = [
        line(resource_tags=json.dumps({"user_cost_center": "acme"})),
        line(resource_tags=json.dumps({"user:cost-center": "beta"})),
        line(tags=json.dumps({"iamPrincipal/cost-center": "gamma"})),
        line(tags=json.dumps({"iamPrincipal/cost-center": "nobody"}), resource_tags='{"user_cost_center": "delta"}'),
    ]
    bill = {"type": "focus", "path": str(cur(tmp_path / "cur.parquet", rows))}
    ledger, _ = refreshed(tmp_path, NOW, tenants={"key": "cost-center"}, sources={"bill": bill})
    with closing(ledger):
        assert by(ledger, "tenant") == dict.fromkeys(["acme", "beta", "gamma", "delta"], Decimal(1))


def test_who_asked_bedrock_may_name_the_tenant(tmp_path: Path) -> None:
    bedrock: dict[str, Any] = {
        "line_item_product_code": "AmazonBedrock",
        "line_item_resource_id": "",
        "line_item_operation": "Invoke",
    }
    rows = [
        line(line_item_iam_principal=f"arn:aws:sts::1:assumed-role/{name}/s", line_item_unblended_cost=cost, **bedrock)
        for name, cost in (("acme", "0.25"), ("beta", "0.5"))
    ]
    ledger, _ = read(tmp_path, cur(tmp_path / "cur.csv", rows), tenant="x_IamPrincipal")
    with closing(ledger):
        assert by(ledger, "tenant") == {
            "arn:aws:sts::1:assumed-role/acme/s": Decimal("0.25"),
            "arn:aws:sts::1:assumed-role/beta/s": Decimal("0.5"),
        }
        assert ledger.rows("SELECT DISTINCT component FROM line") == [("ai",)]


amounts = st.decimals("0", "3", places=5)
pods = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), amounts, amounts, st.sampled_from([ACME, BETA, {}]), st.integers(0, 5)),
    max_size=8,
)


nodes = st.lists(st.decimals("0", "5", places=5), min_size=6, max_size=6)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(nodes, pods), min_size=1, max_size=10))
def test_whatever_the_split_says_the_sum_is_the_invoices(
    tmp_path_factory: pytest.TempPathFactory, days: list[tuple[list[Decimal], list[Any]]]
) -> None:
    """Each example has a few days, of six hours each."""
    folder = tmp_path_factory.mktemp("cur")
    rows = []
    for at, (costs, told) in enumerate(days):
        rows += [line(24 * at + hour, line_item_unblended_cost=str(cost)) for hour, cost in enumerate(costs)]
        rows += [pod(name, str(split), str(unused), tags, 24 * at + hour) for name, split, unused, tags, hour in told]
    ledger, _ = read(folder, cur(folder / "cur.csv", rows), split_cost_allocation=True)
    with closing(ledger):
        for at, (costs, told) in enumerate(days):
            day = date(2026, 10, 5) + timedelta(at)
            found = dict(ledger.rows("SELECT tenant, sum(amount) FROM cost WHERE day = ? GROUP BY ALL", [day]))
            assert sum(found.values()) == sum(costs)
            for tenant, tags in (("acme", ACME), ("beta", BETA)):
                part = sum((split + unused for _, split, unused, of, _ in told if of == tags), Decimal(0))
                assert found.get(tenant, Decimal(0)) == part
        assert ledger.rows("SELECT sum(amount) FROM line") == [(sum(sum(costs) for costs, _ in days),)]


# ------------------------------------------------------------------------------------------- FOCUS 1.3


def allocated(rows: Iterable[Mapping[str, str]]) -> dict[str | None, Decimal]:
    """Add up by the allocated resource's workload, else by nobody, as the rows have it."""
    found: dict[str | None, Decimal] = {}
    for row in rows:
        tags = {**json.loads(row["Tags"] or "{}"), **json.loads(row["AllocatedTags"] or "{}")}
        at = tags.get("workload")
        found[at] = found.get(at, Decimal(0)) + Decimal(row["EffectiveCost"])
    return found


@pytest.mark.parametrize("shape", ["aws", "azure", "gcp"])
def test_rows_of_focus_that_are_allocated_are_whose_resource_they_are_allocated_to(tmp_path: Path, shape: str) -> None:
    provider, write = SHAPES[shape]
    rows = generated(provider, "1.3", 1)
    bill = {"type": "focus", "path": str(write(tmp_path / "bill", rows)), "split_cost_allocation": True}
    ledger, fetcher = refreshed(tmp_path, NOW, history="1000d", tenants={"key": "workload"}, sources={"bill": bill})
    with closing(ledger):
        assert not said(fetcher)
        expected = allocated(rows)
        assert len(expected) > 1
        found = by(ledger, "tenant")
        assert {*found} == {name for name, amount in expected.items() if amount}
        assert all(abs(amount - expected[name]) < Decimal("1e-9") for name, amount in found.items())


# ------------------------------------------------------------------------------------------- not twice


@pytest.mark.parametrize("billed_by", [None, ["bill"]])
def test_beside_an_opencost_of_the_same_nodes_it_is_refused_with_what_to_do(
    tmp_path: Path, billed_by: list[str] | None
) -> None:
    bill = {"type": "focus", "path": str(cur(tmp_path / "cur.csv", HOUR)), "split_cost_allocation": True}
    cluster = {"type": "opencost", "url": "http://127.0.0.1:9", **({"billed_by": billed_by} if billed_by else {})}
    text = "sources.bill.split_cost_allocation: k8s divides the nodes of this bill already; remove one of the two"
    with pytest.raises(ConfigError, match=text.replace(".", r"\.")):
        refreshed(tmp_path, NOW, sources={"bill": bill, "k8s": cluster})


def test_beside_an_opencost_of_another_cluster_it_is_not(tmp_path: Path) -> None:
    answers = tmp_path / "opencost"
    answers.mkdir()
    (answers / "empty.json").write_text('{"code": 200, "data": []}', encoding="utf-8")
    bill = {"type": "focus", "path": str(cur(tmp_path / "cur.csv", HOUR)), "split_cost_allocation": True}
    cluster = {"type": "opencost", "path": str(answers), "aggregate": ["cluster", "label:tenant"], "billed_by": []}
    ledger, _ = refreshed(tmp_path, NOW, sources={"bill": bill, "k8s": cluster})
    with closing(ledger):
        assert by(ledger, "tenant")["acme"] == Decimal("0.55")


def test_a_file_without_a_split_is_refused_where_one_is_wanted(tmp_path: Path) -> None:
    plain = [{name: value for name, value in row.items() if not name.startswith("split_")} for row in HOUR[:1]]
    focus = [dict(row) for row in generated("azure", "1.2", 1, 60)]
    for name, rows in (("cur.csv", plain), ("focus.csv", focus)):
        path = cur(tmp_path / name, rows)
        ledger, wrong = read(tmp_path, path, split_cost_allocation=True)
        ledger.close()
        assert "Switch split cost allocation on in the export, or remove split_cost_allocation" in wrong[0]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("line_item_usage_start_date", "yesterday", "ChargePeriodStart holds 'yesterday', which is no UTC time"),
        ("line_item_currency_code", "", "BillingCurrency holds an empty value, which is no currency"),
        ("line_item_unblended_cost", "abc", "holds 'abc', which cannot be counted"),
        ("split_line_item_unused_cost", "NaN", "holds 'NaN', which cannot be counted"),
    ],
)
def test_what_cannot_be_counted_is_named_without_a_row_that_is_another_ones(
    tmp_path: Path, column: str, value: str, told: str
) -> None:
    """The lines of a CUR are told apart before they are read, so that their numbers are not known any more."""
    changed: dict[str, Any] = {column: value}
    other = pod("x", "0.1", "0", ACME, **changed) if column.startswith("split_") else line(**changed)
    path = cur(tmp_path / "cur.csv", [*HOUR, other])
    ledger, wrong = read(tmp_path, path, split_cost_allocation=True)
    ledger.close()
    assert wrong[0].startswith(f"{path}: {told}")


def test_tags_of_two_kinds_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = cur(tmp_path / "rows.csv", [dict(row) for row in generated("azure", "1.3", 1, 60)])
    with duckdb.connect() as connection:
        made = f"SELECT * REPLACE (MAP {{'a': 'b'}} AS Tags) FROM read_csv('{rows}', all_varchar = true)"
        connection.execute(f"COPY ({made}) TO '{path}' (FORMAT parquet)")
    ledger, wrong = read(tmp_path, path, split_cost_allocation=True)
    ledger.close()
    assert "holds AllocatedTags as VARCHAR, while Tags is MAP(VARCHAR, VARCHAR). Write both alike" in wrong[0]
