"""Days that a source has forgotten keep what it told under former settings, and that is said, not hidden."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.company import NOW, RATES, YESTERDAY, Company, cost, days_until
from unitcost.cli import main
from unitcost.config import load, settings_digest
from unitcost.records import Batch

DAYS = days_until(YESTERDAY, 30)
FORGOTTEN = DAYS[:20]
CLUSTER = (("cluster", "cluster", True),)


def told(company: Company, days: Sequence[date], settings: str, tenant: str | None) -> None:
    for day in days:
        rows = [cost(tenant, "10", day=day, cluster="prod")]
        company.ledger.put("cluster", settings, Batch(day.isoformat(), [day], cost=rows), NOW, RATES)


def changed() -> Company:
    """Return a company whose cluster told 30 days by one label, and can tell 10 of them again by another."""
    company = Company(sources=CLUSTER)
    told(company, DAYS, "key: tenant", "acme")
    company.model.settings.append(("cluster", "key: customer"))
    told(company, DAYS[20:], "key: customer", "beta")
    return company


def test_a_window_with_days_of_former_settings_is_incomplete_and_their_dollars_stay() -> None:
    found = changed().gauges(("1d", "7d", "30d"))
    assert found["window_complete"] == {("1d",): 1, ("7d",): 1, ("30d",): 0}
    assert found["unitcost_source_former_settings"] == {("cluster",): 20}
    assert found["tenant_cost_dollars"]["acme", "compute", "30d"] == 200
    assert found["tenant_cost_dollars"]["beta", "compute", "30d"] == 100


def test_days_that_were_all_told_again_are_not_former() -> None:
    company = changed()
    told(company, FORGOTTEN, "key: customer", "beta")
    found = company.gauges(("30d",))
    assert found["window_complete"]["30d",] == 1
    assert found["unitcost_source_former_settings"] == {("cluster",): 0}


def test_a_setting_that_is_taken_back_makes_its_days_whole_again() -> None:
    company = changed()
    company.model.settings[:] = [("cluster", "key: tenant")]
    assert company.gauges(("30d",))["unitcost_source_former_settings"] == {("cluster",): 10}
    told(company, DAYS[20:], "key: tenant", "acme")
    assert company.gauges(("30d",))["window_complete"]["30d",] == 1


def test_a_forecast_is_not_made_of_days_of_former_settings() -> None:
    company = Company(sources=CLUSTER)
    told(company, DAYS, "former", "acme")
    company.model.settings.append(("cluster", "present"))
    told(company, DAYS[24:], "present", "acme")
    assert company.gauges()["platform_cost_forecast_dollars"] == {}
    told(company, DAYS[23:], "present", "acme")
    assert company.gauges()["platform_cost_forecast_dollars"]["expected",] == 300


def test_only_days_of_the_history_are_counted() -> None:
    company = Company(sources=CLUSTER)
    told(company, DAYS, "former", "acme")
    company.model.settings.append(("cluster", "present"))
    found = company.gauges(("1d",), history=5)
    assert company.seen(("1d",), history=timedelta(5))["unitcost_source_former_settings"] == {("cluster",): 5}
    assert found["window_complete"]["1d",] == 0


YAML = """
tenants: {{key: {key}}}
currency: {{code: {code}, rates: {{GBP: 1.3}}, as_of: 2026-11-01}}
components: {{AmazonS3: {component}}}
dimensions: [{dimension}]
sources:
  cluster: {{type: opencost, url: "{url}"}}
  bill: {{type: focus, path: bill.csv}}
  revenue: {{type: csv_revenue, path: mrr.csv}}
  usage: {{type: prometheus, url: "{url}", measures: {{requests: 'sum by (tenant) (increase(x[$window]))'}}}}
"""
GIVEN = {"key": "tenant", "code": "USD", "component": "storage", "dimension": "team", "url": "http://a"}


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        ({"key": "customer"}, {"cluster", "bill", "usage"}),
        ({"key": "[tenant, customer]"}, {"cluster", "bill", "usage"}),
        ({"code": "EUR"}, {"cluster", "revenue"}),
        ({"component": "other"}, {"bill"}),
        ({"dimension": "feature"}, {"cluster", "bill"}),
        ({"url": "http://b"}, set()),
    ],
)
def test_a_settings_change_concerns_only_the_sources_that_it_decides_something_of(
    tmp_path: Path, change: dict[str, str], concerned: set[str]
) -> None:
    (tmp_path / "bill.csv").write_text("")
    (tmp_path / "mrr.csv").write_text("")
    path = tmp_path / "unitcost.yaml"

    def digests(given: dict[str, str]) -> dict[str, str]:
        path.write_text(YAML.format_map(given))
        config, _ = load(path)
        return {name: settings_digest(config, name) for name in config.sources}

    before, after = digests(GIVEN), digests({**GIVEN, **change})
    assert {name for name in before if before[name] != after[name]} == concerned


def test_dollars_of_former_settings_are_still_conserved() -> None:
    company = changed()
    company.gauges(("30d",))
    assert company.ledger.rows("SELECT sum(amount) FROM counted_day") == [(Decimal(300),)]


def test_check_tells_of_them_and_leaves_the_ledger_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,30\n")
    path = tmp_path / "unitcost.yaml"
    path.write_text("sources: {revenue: {type: csv_revenue, path: mrr.csv}}\n")
    check = ["check", "--config", str(path), "--as-of", "2026-11-23T12:00:00Z"]
    assert main(check) == 0
    assert "ledger: none yet" in capsys.readouterr().out
    assert main(["report", *check[1:], "--window", "1d"]) == 0
    capsys.readouterr()
    assert main(check) == 0
    assert "former" not in capsys.readouterr().out
    path.write_text(path.read_text() + "currency: {code: EUR}\n")
    assert main(check) == 0
    assert "revenue: 91 days, 2026-08-25 to 2026-11-23, were told under former settings" in capsys.readouterr().out
