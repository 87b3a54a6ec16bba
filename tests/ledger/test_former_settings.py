"""Days that a source has forgotten keep what it told under former settings, and that is said, not hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes.company import NOW, RATES, YESTERDAY, Company, cost, days_until
from tests.fakes.server import Fake, Reply, Request, serve
from unitcost.cli.main import main
from unitcost.config.load import load
from unitcost.config.model import settings_digest
from unitcost.facts import Asked, Batch, Note, Problem
from unitcost.ledger.rewound import rewound
from unitcost.ledger.store import Ledger
from unitcost.sources.base import Context
from unitcost.sources.usage.prometheus import Prometheus, PrometheusSettings

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


@contextmanager
def keeping(first: date) -> Iterator[Fake]:
    """Run a Prometheus that keeps the days from one on."""

    def answer(request: Request) -> Reply:
        end = datetime.fromtimestamp(int(request.params["time"]), UTC)
        series = [{"metric": {"tenant": "acme"}, "value": [0, "7"]}] if end.date() > first else []
        return Reply(json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}}))

    with serve(answer) as fake:
        yield fake


def refreshed(ledger: Ledger, url: str, settings: str, now: datetime) -> list[Batch | Problem | Note]:
    """Ask for 30 days of usage under these settings, and store what comes."""
    given = PrometheusSettings(url=url, measures={"requests": "sum by (tenant) (increase(x[$window]))"})
    source = Prometheus("usage", given, Context())
    found = []
    asked = Asked(now, now.date() - timedelta(30), 3, ledger.stored("usage", settings))
    for item in source.batches(asked):
        found.append(item)
        if isinstance(item, Batch):
            ledger.put("usage", settings, item, now, RATES)
    return found


def test_days_that_a_server_keeps_no_more_are_asked_once_a_day_and_stay_as_they_were_told() -> None:
    with keeping(NOW.date() - timedelta(30)) as whole, closing(Ledger(None)) as ledger:
        refreshed(ledger, whole.url, "former", NOW - timedelta(hours=1))
        assert len(whole.requests) == 31
        with keeping(NOW.date() - timedelta(11)) as fake:
            for hours, count in ((0, 31), (0.1, 4), (23, 4), (25, 4 + 18), (26, 4)):
                fake.requests.clear()
                found = refreshed(ledger, fake.url, "present", NOW + timedelta(hours=hours))
                assert len(fake.requests) == count, hours
                assert not [item for item in found if isinstance(item, Problem)]
        assert ledger.known("usage").days >= 31
        former = ledger.rows("SELECT count(*) FROM batch WHERE settings = 'former' AND NOT empty")
        assert former == [(19,)]
        assert ledger.stored("usage", "former").keys() & ledger.stored("usage", "present").keys() == set()


def test_that_a_source_has_nothing_now_changes_no_number_and_no_count_of_former_days() -> None:
    company = changed()
    before = company.gauges(("1d", "30d"))
    for day in FORGOTTEN:
        company.ledger.put("cluster", "key: customer", Batch(day.isoformat(), []), NOW, RATES)
    assert company.gauges(("1d", "30d")) == before
    company.model.settings.append(("cluster", "a third"))
    assert company.gauges(("30d",))["unitcost_source_former_settings"] == {("cluster",): 30}


def test_a_day_that_comes_back_replaces_that_there_was_nothing() -> None:
    company = changed()
    stored = company.ledger.stored("cluster", "key: customer")
    day = FORGOTTEN[0].isoformat()
    company.ledger.put("cluster", "key: customer", Batch(day, []), NOW, RATES)
    assert stored.asked_empty(day) == NOW
    assert stored.fingerprint(day) is None
    told(company, FORGOTTEN[:1], "key: customer", "beta")
    assert stored.asked_empty(day) is None
    assert day in stored.keys()  # noqa: SIM118 - a method of ours


def test_a_look_back_before_a_source_had_nothing_loses_nothing(tmp_path: Path) -> None:
    day = NOW.date() - timedelta(1)
    told_at = datetime.combine(day, time(12), UTC)
    with closing(Ledger(tmp_path)) as ledger:
        rows = [cost("acme", "10", day=day, cluster="prod")]
        ledger.put("cluster", "former", Batch(day.isoformat(), [day], cost=rows), told_at, RATES)
        ledger.put("cluster", "present", Batch(day.isoformat(), []), NOW, RATES)
    with rewound(tmp_path, told_at) as folder, closing(Ledger(folder)) as ledger:
        assert folder != tmp_path
        assert ledger.rows("SELECT sum(amount) FROM cost") == [(Decimal(10),)]


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
        ({"component": "other"}, set()),
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
    path.write_text("history: 4d\nwindows: [1d]\nsources: {revenue: {type: csv_revenue, path: mrr.csv}}\n")
    check = ["check", "--config", str(path), "--as-of", "2026-11-23T12:00:00Z"]
    assert main(check) == 0
    assert "ledger: none yet" in capsys.readouterr().out
    assert main(["report", *check[1:], "--window", "1d"]) == 0
    capsys.readouterr()
    assert main(check) == 0
    assert "former" not in capsys.readouterr().out
    path.write_text(path.read_text() + "currency: {code: EUR}\n")
    assert main(check) == 0
    assert "revenue: 5 days, 2026-11-19 to 2026-11-23, were told under former settings" in capsys.readouterr().out
