"""Who is the tenant: spellings that mean one customer are one where it is said so, and are told of where not."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.company import YESTERDAY, Company, cost, mrr
from tests.fakes.stored import MemoryStored, asked, rows, utc
from unitcost.cli.main import main
from unitcost.config.directory import Directory, Tenant
from unitcost.config.load import load
from unitcost.errors import ConfigError, SourceError
from unitcost.facts import Batch, Note, Revenue, Usage
from unitcost.ledger.store import Ledger
from unitcost.names import Names, fold
from unitcost.sources.base import Context
from unitcost.sources.revenue.csv_revenue import CsvRevenue, CsvRevenueSettings

SPELLINGS = ["ACME", "Acme", "acme", "Acme\u00a0", " acme", "ac\u200bme"]
NOW = utc(2026, 11, 23, 12)


def company(directory: Directory, *, folding: bool) -> Company:
    found = Company(directory=directory)
    names = directory.names("case" if folding else "none")
    found.model = replace(found.model, aliases=names.keys(), folding=folding)
    return found


def filled(found: Company) -> Company:
    """Costs, usage and revenue of one customer, each source with a spelling of its own."""
    found.put("bill", [YESTERDAY], cost=[cost("ACME", "40"), cost("Acme\u00a0", "20"), cost("beta", "5")])
    found.put("cluster", [YESTERDAY], cost=[cost("ac\u200bme", "30", cluster="prod")])
    found.put("usage", [YESTERDAY], usage=[Usage(YESTERDAY, "Acme", "requests", Decimal(100))])
    found.put("revenue", [YESTERDAY], revenue=[mrr("acme", "3000")])
    return found


def test_names_that_differ_by_case_form_or_white_space_are_one_tenant_for_every_source_where_they_fold() -> None:
    found = filled(company(Directory(), folding=True)).gauges()
    assert found["tenant_cost_dollars"] == {("acme", "compute", "1d"): 60.0, ("beta", "compute", "1d"): 5.0}
    assert found["tenant_margin_dollars"]["acme", "1d"] == 40.0
    assert found["cost_per_request"] == {("acme", "1d"): 0.6}
    assert found["unitcost_similar_tenants_dollars"] == {("1d",): 0.0}


def test_the_directory_says_how_a_folded_name_is_written() -> None:
    directory = Directory((Tenant("Acme", "Acme Corp", "pro", "active", None, ("Acme Old",)),))
    found = filled(company(directory, folding=True))
    found.put("usage", [YESTERDAY], usage=[Usage(YESTERDAY, "ACME\u00a0 OLD", "requests", Decimal(50))])
    gauges = found.gauges()
    assert gauges["tenant_cost_dollars"]["Acme", "compute", "1d"] == 60.0
    assert gauges["tenant_usage"] == {("Acme", "requests", "1d"): 50.0}


def test_names_that_differ_only_so_stay_apart_by_default_and_their_dollars_are_told() -> None:
    found = filled(company(Directory(), folding=False)).gauges()
    assert {tenant for tenant, _, _ in found["tenant_cost_dollars"]} == {"ACME", "Acme\u00a0", "beta"}
    assert found["unitcost_similar_tenants_dollars"] == {("1d",): 60.0}


@pytest.mark.parametrize("spelt", SPELLINGS)
def test_every_spelling_folds_to_one(spelt: str) -> None:
    assert fold(spelt) == "acme"


def test_composed_and_decomposed_letters_fold_to_one() -> None:
    assert fold("Cafe\u0301 Zürich") == fold("CAFÉ  ZU\u0308RICH") == "café zürich"


@settings(max_examples=300, deadline=None)
@example(["İzmir", "ß"])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"], max_codepoint=0x24FF)), max_size=30))
def test_names_fold_the_same_in_python_and_in_the_ledger(names: list[str]) -> None:
    given_names = [name for name in names if "\0" not in name]
    found = LEDGER.rows("SELECT folded(unnest(?::VARCHAR[]))", [given_names])
    assert [name for (name,) in found] == [fold(name) for name in given_names]


LEDGER = Ledger(None)


@given(st.text(st.characters(exclude_categories=["Cs", "Cn"], max_codepoint=0x24FF)))
def test_folding_twice_is_folding_once(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert unicodedata.is_normalized("NFC", fold(name))


def test_two_tenants_of_the_directory_that_fold_to_one_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "tenants.csv").write_text("id,aliases\nacme,\nACME,\nbeta,Acme \n")
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,1\n")
    path = tmp_path / "unitcost.yaml"
    text = "tenants: {{directory: tenants.csv, fold: {fold}}}\nsources: {{r: {{type: csv_revenue, path: mrr.csv}}}}\n"
    path.write_text(text.format(fold="case"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "'acme' of 'acme' and 'ACME' of 'ACME' are one name" in caught.value.mistakes[0]
    path.write_text(text.format(fold="none"))
    load(path)


# ------------------------------------------------------------------------------------------- revenue and aliases

RENAMED = "tenant,mrr,as_of\nacme-old,100,2026-01-01\nacme,120,2026-10-01\n"
ALIASES = Names([("acme", "acme"), ("acme-old", "acme")])


def revenue(tmp_path: Path, text: str, names: Names = ALIASES, **given_settings: object) -> CsvRevenue:
    path = tmp_path / "mrr.csv"
    path.write_text(text)
    read = CsvRevenueSettings.model_validate({"type": "csv_revenue", "path": path, **given_settings})
    return CsvRevenue("revenue", read, Context(names=lambda: names))


def on(source: CsvRevenue, day: date) -> tuple[dict[str, Decimal], list[str]]:
    """Return the MRR of each spelling on a day, and the notes."""
    found = list(source.batches(asked(NOW, date(2026, 1, 1), MemoryStored(NOW))))
    [batch] = [item for item in found if isinstance(item, Batch) and item.key == day.isoformat()]
    held: dict[str, Decimal] = {}
    for row in rows(Revenue, batch.revenue):
        held[row.tenant] = held.get(row.tenant, Decimal(0)) + row.mrr
    return held, [item.text for item in found if isinstance(item, Note)]


def test_a_renamed_customer_pays_once(tmp_path: Path) -> None:
    source = revenue(tmp_path, RENAMED)
    assert on(source, date(2026, 9, 30))[0] == {"acme-old": 100}
    held, notes = on(source, date(2026, 10, 1))
    assert held == {"acme": 120}
    assert "'acme' with 120 from 2026-10-01 replaces 'acme-old' with 100" in notes[0]


def test_a_customer_whose_name_folds_pays_once(tmp_path: Path) -> None:
    text = "tenant,mrr,as_of\nACME,100,2026-01-01\nacme,120,2026-10-01\n"
    assert on(revenue(tmp_path, text, Names(folding=True)), date(2026, 10, 1))[0] == {"acme": 120}
    assert on(revenue(tmp_path, text, Names()), date(2026, 10, 1))[0] == {"ACME": 100, "acme": 120}


def test_a_customer_who_left_under_an_old_name_has_left(tmp_path: Path) -> None:
    text = "tenant,mrr,as_of\nacme-old,100,2026-01-01\nacme,0,2026-10-01\n"
    held, notes = on(revenue(tmp_path, text), date(2026, 10, 1))
    assert held == {"acme": 0}
    assert notes == []


@pytest.mark.parametrize(
    "text",
    [
        "tenant,mrr\nacme-old,100\nacme,120\n",
        "tenant,mrr,as_of\nacme-old,100,2026-10-01\nacme,120,2026-10-01\n",
    ],
)
@pytest.mark.parametrize("mode", ["changes", "snapshots"])
def test_two_lines_of_one_tenant_at_one_time_are_refused(tmp_path: Path, text: str, mode: str) -> None:
    with pytest.raises(SourceError, match=r"line 3: tenant 'acme'.* line 2 already as 'acme-old', the same tenant"):
        list(revenue(tmp_path, text, rows=mode).batches(asked(NOW, date(2026, 1, 1))))


def test_subscriptions_of_one_tenant_add_up_and_change_one_by_one(tmp_path: Path) -> None:
    text = (
        "tenant,subscription,mrr,as_of\nacme-old,eu,100,2026-01-01\nacme,us,50,2026-02-01\nacme,eu,120,2026-10-01\n"
        "acme,us,0,2026-11-01\n"
    )
    source = revenue(tmp_path, text)
    assert sum(on(source, date(2026, 3, 1))[0].values()) == 150
    assert sum(on(source, date(2026, 10, 1))[0].values()) == 170
    assert sum(on(source, date(2026, 11, 1))[0].values()) == 120


# ------------------------------------------------------------------------------------------------ what check says

BILL = """BillingPeriodStart,ChargePeriodStart,BillingCurrency,EffectiveCost,ServiceName,Tags
2026-11-01T00:00:00Z,2026-11-19T00:00:00Z,USD,40,EC2,"{""tenant"": ""ACME""}"
2026-11-01T00:00:00Z,2026-11-19T00:00:00Z,USD,20,EC2,"{""tenant"": ""acme""}"
2026-11-01T00:00:00Z,2026-11-19T00:00:00Z,USD,60,EC2,"{""Tenant"": ""beta""}"
2026-11-01T00:00:00Z,2026-11-20T00:00:00Z,USD,80,EC2,
"""


def test_check_says_in_dollars_what_has_no_tenant_and_what_is_spelt_in_several_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bill.csv").write_text(BILL)
    path = tmp_path / "unitcost.yaml"
    path.write_text("sources: {bill: {type: focus, path: bill.csv}}\n")
    main(["check", "--config", str(path), "--as-of", "2026-11-23T12:00:00Z"])
    said = capsys.readouterr().out
    assert "200.00 USD with 2 names of tenants, 140.00 USD (70%) of it without a tenant" in said
    assert "1 of its 2 days with costs have no tenant at all, the first is 2026-11-20" in said
    assert "no tenant by tenant, but 60.00 USD under Tenant" in said
    assert "only case, Unicode form or white space tells apart ACME 40.00, acme 20.00 USD" in said
    path.write_text("tenants: {fold: case}\n" + path.read_text())
    main(["check", "--config", str(path), "--as-of", "2026-11-23T12:00:00Z"])
    said = capsys.readouterr().out
    assert "80.00 USD (40%) of it without a tenant" in said
    assert "tells apart" not in said
    assert "under Tenant" not in said


def test_a_bill_that_is_shared_as_a_whole_is_up_once_that_is_said(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "bill.csv").write_text(BILL.replace("enant", "eam"))
    (tmp_path / "usage.csv").write_text("day,tenant,measure,quantity\n2026-11-19,acme,requests,1\n")
    usage = "usage: {type: csv_usage, path: usage.csv}"
    path = tmp_path / "unitcost.yaml"
    for said, code, up in (("", 1, b"0"), (", tenant: none", 0, b"1")):
        path.write_text(
            f"sources: {{bill: {{type: focus, path: bill.csv{said}}}, {usage}}}\n"
            "sharing: [{match: {source: bill}, by: requests}]\n"
        )
        serve = ["serve", "--once", "--config", str(path), "--as-of", "2026-11-23T12:00:00Z"]
        assert main(serve) == code
        metrics = capsysbinary.readouterr().out
        assert b'unitcost_source_up{source="bill"} ' + up in metrics
        assert b'tenant_cost_dollars{tenant="acme",component="other",window="mtd"} 120' in metrics
