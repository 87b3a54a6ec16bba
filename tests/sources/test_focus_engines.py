"""A bill in an engine's table: the same rows as from a file, each billing period asked for only when it is due."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.fakes.engines import FakeEngine, fake
from tests.fakes.focus_tables import SHAPES, charges
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.errors import SourceError
from unitcost.facts import Batch, Note, Problem
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.engines import engine as engines
from unitcost.sources.bills.focus.engines.engine import QueryError
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus

NOW = utc(2026, 11, 20)
CONTEXT = Context(tenant_keys=("tenant",), dimensions=("feature",), metered=True)
OPTIONS = Options("EffectiveCost", None, ("tenant",), ("feature",), resources=True)
NAMES = {
    "athena": "billing.focus",
    "trino": "lake.billing.focus",
    "bigquery": "p.billing.focus",
    "spark": "billing.focus",
}
REACHED = {"trino": {"url": "http://trino:8080"}, "spark": {"url": "sc://spark:15002"}}


@pytest.fixture(params=sorted(SHAPES))
def each(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """Every engine in turn, its table empty."""
    yield from fake(request.param, monkeypatch)


@pytest.fixture
def trino(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    yield from fake("trino", monkeypatch)


def bill(name: str = "trino", context: Context = CONTEXT, **given: Any) -> Focus:
    engine = {"type": name, "table": NAMES[name], **REACHED.get(name, {}), **given.pop("engine", {})}
    return Focus("bill", FocusSettings.model_validate({"type": "focus", "engine": engine, **given}), context)


def ask(
    source: Focus, stored: MemoryStored | None = None, now: datetime = NOW, first: date = date(2026, 10, 1)
) -> list[Any]:
    """Ask once, and store what comes; a batch stays in the answer."""
    kept = stored or MemoryStored(now)
    kept.now = now
    found = []
    for item in source.batches(asked(now, first, kept)):
        kept.take([item])
        found.append(item)
    return found


def only(kind: type[Any], found: Sequence[Any]) -> list[Any]:
    return [one for one in found if isinstance(one, kind)]


# ------------------------------------------------------------------------------------------- the same as a file


def test_every_engine_gives_the_rows_that_a_file_gives(each: FakeEngine, tmp_path: Path) -> None:
    each.table.add(charges())
    each.table.add(charges("2026-11", days=19))
    name = each.table.engine
    stored = MemoryStored(NOW)
    ask(bill(name), stored)
    with duckdb.connect() as connection:
        for month, days in (("2026-10", 31), ("2026-11", 19)):
            connection.execute(f"COPY ({charges(month, days=days)}) TO '{tmp_path / month}.parquet' (FORMAT parquet)")
    files = MemoryStored(NOW)
    ask(Focus("bill", FocusSettings(type="focus", path=tmp_path), CONTEXT), files)
    assert stored.keys() == files.keys() == {"2026-10", "2026-11"}
    for key in ("2026-10", "2026-11"):
        assert sorted(stored.costs(key), key=repr) == sorted(files.costs(key), key=repr)
        assert stored.batches[key].days == files.batches[key].days
    assert stored.total() == Decimal("0.1") * 24 * 50 + 2 * Decimal("37.25")


@pytest.mark.parametrize(("category", "scopes"), [("Security", {None}), ("Compute", {"k8s/prod"})])
def test_security_of_a_cluster_is_none(trino: FakeEngine, category: str, scopes: set[str | None]) -> None:
    service = f"'Defender for Kubernetes' AS ServiceName, '{category}' AS ServiceCategory"
    trino.table.add(charges(extra=f"{service}, 'x/cluster/prod' AS ResourceId, MAP {{'tenant': 'acme'}} AS Tags"))
    stored = MemoryStored(NOW)
    ask(bill(), stored)
    assert {cost.scope for cost in stored.costs("2026-10")} == scopes


def test_clusters_resources_and_tenants_come_through(each: FakeEngine) -> None:
    each.table.add(charges())
    stored = MemoryStored(NOW)
    ask(bill(each.table.engine), stored)
    costs = stored.costs("2026-10")
    assert {cost.scope for cost in costs} == {"k8s/prod", "k8s/other", "k8s/", None}
    assert {cost.resource for cost in costs if cost.service == "Amazon EC2"} == {"i-0", "i-1", "i-2", None}
    assert [(cost.charge, cost.item, cost.amount) for cost in costs if cost.charge == "unused"] == [
        ("unused", None, Decimal("2.5"))
    ]
    assert {cost.tenant for cost in costs} == {"acme", "beta", None}, "an empty tag names nobody"


@pytest.mark.parametrize(
    ("columns", "reason", "said"),
    [
        (
            {"EffectiveCost": None},
            "column",
            "has no column EffectiveCost. Set cost to one that it has: BilledCost, ListCost",
        ),
        ({"BillingCurrency": None}, "column", "has no column BillingCurrency"),
        ({"ServiceName": None, "ServiceCategory": None}, "column", "has no column ServiceName or ServiceCategory"),
        ({"ChargePeriodStart": "bigint"}, "time", "ChargePeriodStart is bigint, which is no time"),
        ({"EffectiveCost": "boolean"}, "number", "EffectiveCost is boolean, which is no amount"),
        ({"Tags": "array(row(key varchar, value varchar))"}, "tags", "Make a view of it"),
        ({"Tags": "row(tenant varchar)"}, "tags", "Make a view of it"),
    ],
)
def test_a_table_that_is_no_bill_says_what_it_lacks(
    trino: FakeEngine, columns: dict[str, str | None], reason: str, said: str
) -> None:
    trino.table.types = {name: kind for name, kind in (trino.table.types | columns).items() if kind is not None}
    with pytest.raises(SourceError, match=re.escape(said)) as error:
        ask(bill())
    assert error.value.reason == reason
    assert not trino.statements, "nothing that costs was asked"


# ------------------------------------------------------------------------------------------- what is asked, and when


def months_of(statements: Sequence[str]) -> list[str]:
    """Return the day on which each asked billing period begins in the east."""
    return [found[1] for sql in statements if (found := re.search(r">= TIMESTAMP '([0-9-]+) 11:00", sql))]


def test_a_closed_period_that_is_stored_is_never_asked_for_again(trino: FakeEngine) -> None:
    trino.table.add(charges())
    trino.table.add(charges("2026-11", days=19))
    stored = MemoryStored(NOW)
    ask(bill(), stored)
    assert months_of(trino.statements) == ["2026-10-31", "2026-09-30"], "newest first"
    trino.statements.clear()
    again = bill()  # as after a restart
    ask(again, stored, NOW + timedelta(minutes=5))
    assert trino.statements == [], "and the open one not before its time"
    found = ask(again, stored, NOW + timedelta(hours=6))
    assert months_of(trino.statements) == ["2026-10-31"]
    assert [one.key for one in only(Batch, found)] == ["2026-11"]


def test_a_period_is_asked_for_once_more_when_it_is_closed(trino: FakeEngine) -> None:
    trino.table.add(charges())
    stored, early = MemoryStored(NOW), utc(2026, 11, 4)
    source = bill()
    ask(source, stored, early)
    trino.table.add(charges(extra="'1' AS EffectiveCost") + " LIMIT 1")
    for later in (early + timedelta(hours=5), utc(2026, 11, 6, 1), utc(2026, 11, 7), utc(2026, 11, 30)):
        ask(source, stored, later)
    asked_october = [key for key in months_of(trino.statements) if key == "2026-09-30"]
    assert len(asked_october) == 2
    assert stored.totals("2026-10")["USD"] == Decimal("0.1") * 744 + Decimal("37.25") + 1


def test_another_table_is_asked_for_everything(trino: FakeEngine) -> None:
    trino.table.add(charges())
    stored = MemoryStored(NOW)
    ask(bill(), stored)
    trino.statements.clear()
    ask(bill(engine={"table": "lake.billing.other"}), stored)
    assert "2026-09-30" in months_of(trino.statements)


def test_a_month_of_which_there_is_nothing_is_asked_for_weekly(trino: FakeEngine) -> None:
    trino.table.add(charges())
    stored = MemoryStored(NOW)
    source = bill()
    ask(source, stored, first=date(2026, 9, 1))
    assert len(trino.statements) == 3
    ask(bill(), stored, NOW + timedelta(days=6), date(2026, 9, 1))
    assert len([sql for sql in trino.statements if ">= TIMESTAMP '2026-08-31" in sql]) == 1
    ask(bill(), stored, NOW + timedelta(days=8), date(2026, 9, 1))
    assert len([sql for sql in trino.statements if ">= TIMESTAMP '2026-08-31" in sql]) == 2


def test_what_fails_is_told_and_asked_again_half_an_hour_later_and_the_rest_goes_on(trino: FakeEngine) -> None:
    trino.table.add(charges())
    trino.table.add(charges("2026-11", days=19))
    stored, source = MemoryStored(NOW), bill()
    trino.fails = [QueryError("query", trino.where, "the statement failed: out of memory", "")]
    found = ask(source, stored)
    assert [one.reason for one in only(Problem, found)] == ["query"]
    assert stored.keys() == {"2026-10"}
    found = ask(source, stored, NOW + timedelta(minutes=5))
    assert len(trino.statements) == 2, "what may cost money is not tried again at once"
    assert [one.reason for one in only(Problem, found)] == ["query"], "and still told"
    assert not only(Problem, ask(source, stored, NOW + timedelta(minutes=30)))
    assert stored.keys() == {"2026-10", "2026-11"}


def test_what_never_ran_ends_the_refresh_and_is_tried_at_the_next(trino: FakeEngine) -> None:
    trino.table.add(charges())
    trino.fails = [SourceError("unreachable", trino.where, "nobody listens")]
    source = bill()
    with pytest.raises(SourceError, match="nobody listens"):
        ask(source)
    assert "2026-10" in {one.key for one in only(Batch, ask(source))}


def test_what_could_not_be_stored_is_handed_over_again_and_not_asked_for(trino: FakeEngine) -> None:
    """As when its currency has no rate yet."""
    trino.table.add(charges(extra="'EUR' AS BillingCurrency"))
    source = bill()
    first = [one.key for one in source.batches(asked(NOW, date(2026, 10, 1))) if isinstance(one, Batch)]
    stored = MemoryStored(NOW)
    ask(source, stored, NOW + timedelta(minutes=5))
    assert first == ["2026-11", "2026-10"]
    assert len(trino.statements) == 2
    assert set(stored.totals("2026-10")) == {"EUR"}


# ------------------------------------------------------------------------------------------- what is wrong is told


@pytest.mark.parametrize(
    ("extra", "reason", "said"),
    [
        ("NULL AS BillingCurrency", "currency", "748 of 748 rows of 2026-10 have no BillingCurrency"),
        ("'NULL' AS BillingCurrency", "currency", "have no BillingCurrency"),
        ("CAST(NULL AS TIMESTAMP) AS ChargePeriodStart", "time", "have no ChargePeriodStart"),
        ("NULL AS EffectiveCost", "cost", "EffectiveCost is empty in every one of 748 rows"),
        ("MAP {'team': 'x'} AS Tags", "untagged", "none of the 748 tagged rows of 2026-10 has the tag tenant"),
        ("MAP {'tenant': ''} AS Tags", "untagged", "none of the 748 tagged rows"),
    ],
)
def test_a_period_that_cannot_be_counted_is_a_problem_and_no_result(
    trino: FakeEngine, extra: str, reason: str, said: str
) -> None:
    trino.table.add(charges(extra=extra))
    source, stored = bill(), MemoryStored(NOW)
    found = ask(source, stored)
    assert [(one.reason, said in one.line) for one in only(Problem, found)] == [(reason, True)], found
    assert not stored.keys()
    again = ask(source, stored, NOW + timedelta(minutes=5))
    assert len(trino.statements) == 2, "two months, each asked for once"
    assert only(Problem, again) == only(Problem, found)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("'1,5' AS EffectiveCost", "number"),
        ("'1e30' AS EffectiveCost", "number"),
        ("'soon' AS ChargePeriodStart", "time"),
        ("'soon' AS BillingPeriodStart", "time"),
        ("'2026-10-05T00:00:00+02:00' AS ChargePeriodEnd", "number"),
    ],
)
def test_texts_that_cannot_be_read_are_a_problem(monkeypatch: pytest.MonkeyPatch, extra: str, reason: str) -> None:
    monkeypatch.setitem(SHAPES, "spark", {**SHAPES["spark"], "time": "string"})
    for spark in fake("spark", monkeypatch):
        spark.table.add(charges(extra=extra))
        found = ask(bill("spark"))
        assert {one.reason for one in only(Problem, found)} == {reason}
        assert not only(Batch, [one for one in found if isinstance(one, Batch) and not one.empty])


def test_a_column_that_divides_the_table_otherwise_is_told(trino: FakeEngine) -> None:
    trino.table.add(charges("2026-11", days=19))
    trino.table.partition("billing_period", "2026-10")
    [problem] = only(Problem, ask(bill()))
    assert problem.reason == "partition"
    assert "holds charges of billing period 2026-11" in problem.text


def test_rows_without_the_cost_are_counted_and_told(each: FakeEngine) -> None:
    each.table.add(charges())
    each.table.add(charges(extra="NULL AS EffectiveCost"))
    found = ask(bill(each.table.engine))
    assert [(one.reason, one.text[:17]) for one in only(Problem, found)] == [("cost", "745 rows have no ")]
    assert "2026-10: 3 rows have no EffectiveCost and count as 0" in [one.text for one in only(Note, found)]


def test_a_tag_that_names_nobody_is_told_with_its_value(trino: FakeEngine) -> None:
    trino.table.add(charges())
    trino.table.add(charges(extra="""MAP {'tenant': '{"v": "acme"}'} AS Tags"""))
    [problem] = only(Problem, ask(bill()))
    assert problem.reason == "tags"
    assert """'{"v": "acme"}'""" in problem.text


def test_a_tenant_may_be_a_column(each: FakeEngine) -> None:
    each.table.add(charges())
    stored = MemoryStored(NOW)
    assert not only(Problem, ask(bill(each.table.engine, tenant="SubAccountId"), stored))
    assert {cost.tenant for cost in stored.costs("2026-10")} == {"acc-1", None}


@pytest.mark.usefixtures("trino")
def test_a_table_without_any_charge_says_so() -> None:
    with pytest.raises(SourceError, match="holds no charge of 2026-10 to 2026-11") as error:
        ask(bill())
    assert error.value.reason == "empty"


def test_a_closed_month_with_other_dollars_is_told(trino: FakeEngine) -> None:
    trino.table.add(charges())
    stored, source = MemoryStored(NOW), bill()
    ask(source, stored, utc(2026, 11, 4))
    trino.table.add(charges(extra="'1' AS EffectiveCost") + " LIMIT 1")
    found = ask(source, stored, utc(2026, 11, 6, 1))
    assert any("2026-10 was restated: 111.65 → 112.65 USD" in one.text for one in only(Note, found)), found


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(engines, "import_module", missing)
    with pytest.raises(SourceError, match=r"pip install 'unitcost\[trino\]'"):
        engines.vendor("trino", "trino")
