"""Cost Explorer in an exporter: its ledger, its metrics, its budget, beside OpenCost, and in `check`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.company import NOW as RELOADED
from tests.fakes.cost_explorer import DAY, EC2, KEY_ID, NOW, SECRET, TODAY, Charged, CostExplorerFake, account, days
from tests.fakes.reloaded import running, until
from tests.fakes.server import serve
from tests.run.test_refresh import opencost
from unitcost.cli.main import main
from unitcost.config.load import load
from unitcost.config.model import settings_digest
from unitcost.errors import ConfigError
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

FIRST = TODAY - 9 * DAY
CLUSTER = "aws:eks:cluster-name"


def written(folder: Path, url: str, others: dict[str, Any] | None = None, **given: Any) -> Path:
    """Write a configuration of a Cost Explorer and other sources."""
    aws = {
        "type": "aws_cost_explorer", "tenant": "customer", "endpoint": url,
        "access_key_id": KEY_ID, "secret_access_key": SECRET, **given,
    }  # fmt: skip
    config = {"history": "9d", "months": 0, "windows": ["1d"], "state_dir": "state", "copies": {"keep": 0}}
    path = folder / "unitcost.yaml"
    path.write_text(yaml.safe_dump({**config, "sources": {"aws": aws, **(others or {})}}))
    return path


@contextmanager
def exporter(path: Path, now: datetime = NOW) -> Iterator[tuple[Refresher, Ledger]]:
    config, directory = load(path)
    with closing(Ledger(config.state_dir)) as ledger:
        yield Refresher(config, directory, ledger, Current(), lambda: now), ledger


def value(given: Refresher, series: str) -> float | None:
    snapshot = given.current.get()
    assert snapshot is not None
    found = re.search(rf"^{re.escape(series)} (\S+)$", snapshot.text.decode(), re.MULTILINE)
    return None if found is None else float(found[1])


PAID = 'unitcost_source_paid_requests_total{source="aws"}'


def test_a_restart_asks_for_nothing_that_was_paid_for_and_serves_it_all(tmp_path: Path) -> None:
    fake = account(FIRST, TODAY)
    with serve(fake) as server:
        path = written(tmp_path, server.url)
        with exporter(path) as (given, ledger):
            assert given.refresh()
            assert value(given, PAID) == len(fake.asked) == 15
            assert given.refresh()
            assert ledger.stored("aws", given.runners[0].settings).totals(str(FIRST)) == {"USD": fake.total([FIRST])}
        with exporter(path) as (given, ledger):
            assert given.refresh()
            assert (value(given, PAID), len(fake.asked)) == (0, 15)
            assert ledger.known("aws").days == 9
            assert value(given, 'bill_dollars{source="aws",component="compute",window="1d"}') is not None
        with exporter(path, NOW + DAY) as (given, _):
            fake.asked.clear()
            given.refresh()
            assert fake.days_asked() == days(TODAY - 2 * DAY, TODAY + DAY)
            assert value(given, PAID) == len(fake.asked)


def test_the_metric_is_of_sources_that_cost_money_only(tmp_path: Path) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,300\n")
    with serve(account(FIRST, TODAY)) as server:
        others = {"revenue": {"type": "csv_revenue", "path": "mrr.csv"}}
        with exporter(written(tmp_path, server.url, others)) as (given, _):
            given.refresh()
            assert value(given, PAID) is not None
            assert value(given, PAID.replace("aws", "revenue")) is None


def test_the_budget_holds_over_restarts_and_for_check_beside_the_exporter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = account(FIRST, TODAY)
    as_of = ["--as-of", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"]
    with serve(fake) as server:
        path = written(tmp_path, server.url, request_budget=6)
        for _ in range(2):
            with exporter(path) as (given, _):
                assert not given.refresh()
                assert len(fake.asked) == 6
                assert main(["check", "--config", str(path), *as_of]) == 1
        out = capsys.readouterr().out
    assert len(fake.asked) == 6
    assert "aws (aws_cost_explorer): FAILED: no data" in out
    assert re.search(
        r"! aws: 6 paid requests were sent in \d{4}-\d\d, request_budget allows 6; none is sent before", out
    )
    assert "Raise sources.aws.request_budget" in out


def test_a_budget_that_is_raised_counts_from_the_next_reload_on(tmp_path: Path) -> None:
    fake = account(RELOADED.date() - 9 * DAY, RELOADED.date())
    with serve(fake) as server:
        config = yaml.safe_load(written(tmp_path, server.url, request_budget=2).read_text())
        with running(tmp_path, config) as given:
            until(given.settled, "the first refresh")
            assert given.value('unitcost_source_up{source="aws"}') == 0
            assert len(fake.asked) == 2
            aws = config["sources"]["aws"]
            assert given.reload(sources={"aws": {**aws, "request_budget": 100}}).successful
            until(lambda: given.value('unitcost_source_up{source="aws"}') == 1, "it goes on")
            assert given.value(PAID) == len(fake.asked) == 2 + 15


def test_a_currency_without_a_rate_is_told_and_costs_nothing_again_until_there_is_one(tmp_path: Path) -> None:
    fake = account(RELOADED.date() - 9 * DAY, RELOADED.date())
    fake.books = [replace(one, unit="EUR") for one in fake.books]
    with serve(fake) as server:
        config = yaml.safe_load(written(tmp_path, server.url).read_text())
        config["refresh"] = {"every": "1s"}
        with running(tmp_path, config) as given:
            until(
                lambda: (given.value('unitcost_source_errors_total{source="aws",reason="currency"}') or 0) > 20, "told"
            )
            assert given.value(PAID) == len(fake.asked) == 15
            assert given.reload(currency={"rates": {"EUR": 2}, "as_of": "2026-11-01"}).successful
            until(lambda: given.value('unitcost_source_up{source="aws"}') == 1, "it is stored")
            assert given.ledger.known("aws").days == 9
            assert given.value(PAID) == len(fake.asked) == 15


def test_a_ledger_that_is_gone_is_paid_for_by_nobody(tmp_path: Path) -> None:
    fake = account(FIRST, TODAY)
    with serve(fake) as server, exporter(written(tmp_path, server.url)) as (given, _):
        (tmp_path / "state").rename(tmp_path / "elsewhere")
        assert not given.refresh()
        assert fake.asked == []
        assert not (tmp_path / "state").exists()


def test_check_says_which_command_activates_the_tag_and_what_asking_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = CostExplorerFake([Charged(day, Decimal(5)) for day in days(FIRST, TODAY)], active={}, known=("customer",))
    fake.per_page = 1000
    with serve(fake) as server:
        path = written(tmp_path, server.url)
        assert main(["check", "--config", str(path), "--as-of", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"]) == 1
    out = capsys.readouterr().out
    assert "aws (aws_cost_explorer): FAILED: 7 days, 2026-11-11 to 2026-11-17, 7 rows; 35.00 USD" in out
    assert (
        "  ! aws: no charge has the tag customer, which is not activated. Activate it: aws ce"
        " update-cost-allocation-tags-status --cost-allocation-tags-status TagKey=customer,Status=Active; or correct"
    ) in out
    assert "  - aws: 2 of the 100 paid requests that request_budget allows in" in out
    assert len((next((tmp_path / "state" / "paid").iterdir())).read_text().splitlines()) == 2
    assert not (tmp_path / "state" / "ledger.duckdb").exists(), "the ledger is not touched"


# ------------------------------------------------------------------------------------------- beside OpenCost


def test_nodes_that_opencost_knows_count_once_at_the_bills_price_and_reach_tenants(tmp_path: Path) -> None:
    day = TODAY - DAY
    fake = CostExplorerFake(active={"customer": "2026-01-01", CLUSTER: "2026-01-01"}, per_page=1000)
    for each in days(FIRST, TODAY):
        fake.books += [
            Charged(each, Decimal(40), EC2, {CLUSTER: "prod", "customer": "platform"}),
            Charged(each, Decimal(7), "Amazon Relational Database Service", {"customer": "beta"}),
            Charged(each, Decimal(2), "Tax", {}, "Tax"),
        ]
    with serve(fake) as server, serve(opencost) as cluster:
        others = {"cluster": {"type": "opencost", "url": cluster.url}}
        with exporter(written(tmp_path, server.url, others, cluster_tag=CLUSTER)) as (given, ledger):
            given.refresh()
            assert value(given, 'tenant_cost_dollars{tenant="acme",component="compute",window="1d"}') == 40
            assert value(given, 'tenant_cost_dollars{tenant="beta",component="database",window="1d"}') == 7
            assert value(given, 'reconciliation_ratio{source="cluster",scope="k8s/prod",window="1d"}') == 4
            assert value(given, 'estimated_cost_dollars{source="cluster",window="1d"}') in {None, 0.0}
            lines = dict(ledger.rows("SELECT day, sum(amount) FROM line GROUP BY day"))
    assert {each: lines[each] for each in days(FIRST, TODAY)} == {
        each: fake.total([each]) for each in days(FIRST, TODAY)
    }
    assert lines[TODAY] > 0, "what no bill covers yet is OpenCost's estimate"
    assert fake.total([day]) == 49


def test_a_cluster_whose_nodes_cannot_be_told_on_the_bill_is_refused_at_the_start(tmp_path: Path) -> None:
    cluster: dict[str, Any] = {"type": "opencost", "url": "http://opencost:9003"}
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, "http://127.0.0.1:9", {"cluster": cluster}))
    assert str(caught.value) == (
        f"{tmp_path / 'unitcost.yaml'}: sources.cluster: aws cannot tell this cluster's nodes from other machines, so"
        " that they would count twice; set sources.aws.cluster_tag to the tag that names a node's cluster"
        " (aws:eks:cluster-name, say), or sources.cluster.billed_by to the bills that do hold this cluster ([] if none"
        " does)"
    )
    load(written(tmp_path, "http://127.0.0.1:9", {"cluster": cluster}, cluster_tag=CLUSTER))
    load(written(tmp_path, "http://127.0.0.1:9", {"cluster": {**cluster, "billed_by": []}}))


# ------------------------------------------------------------------------------------------- settings


def mistakes(folder: Path, top: dict[str, Any] | None = None, **given: Any) -> str:
    path = written(folder, "http://127.0.0.1:9", **given)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **(top or {})}))
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"cost": "blended"},
            "sources.aws.cost: Input should be 'amortized', 'unblended', 'net_amortized' or 'net_unb",
        ),
        ({"request_budget": 0}, "sources.aws.request_budget: "),
        ({"every": "5m"}, "sources.aws.every: must be at least 1h and at most 7d"),
        ({"every": 300}, "sources.aws.every: must be a duration such as 30s, 5m, 2h or 90d"),
        ({"delay": "6d"}, "sources.aws.delay: must be at least 1h and at most 5d"),
        (
            {"components": {"AWS Lambda": "serverless"}},
            "sources.aws.components: AWS Lambda: serverless is no component",
        ),
        ({"role_arn": "admin"}, "sources.aws.role_arn: "),
        ({"region": "Frankfurt"}, "sources.aws.region: "),
        ({"profile": "work"}, "sources.aws: has profile and access_key_id; keep one"),
        ({"external_id": "e"}, "sources.aws: external_id belongs to a role_arn"),
        ({"access_key_id": None}, "sources.aws: needs access_key_id and one of secret_access_key"),
        ({"secret_access_key_file": "unitcost.yaml"}, "sources.aws: has secret_access_key and secret_access_key_file"),
        ({"colour": 1}, "sources.aws.colour: unknown key"),
    ],
)
def test_settings_that_are_wrong_are_told_with_their_path(tmp_path: Path, given: dict[str, Any], text: str) -> None:
    assert text in mistakes(tmp_path, **given)


def test_several_tenant_keys_need_a_choice(tmp_path: Path) -> None:
    keys = {"tenants": {"key": ["customer", "tenant"]}}
    assert (
        "sources.aws: Cost Explorer groups by one tag only; set tenant to one of customer, tenant, or tenant: none if"
        " all of it is shared"
    ) in mistakes(tmp_path, keys, tenant=None)


@pytest.mark.parametrize(
    ("given", "again"),
    [
        ({"cost": "unblended"}, True),
        ({"tenant": "team"}, True),
        ({"tenant": "none"}, True),
        ({"cluster_tag": CLUSTER}, True),
        ({"record_types": "apart"}, True),
        ({"request_budget": 500}, False),
        ({"every": "8h"}, False),
        ({"every_estimated": "3d"}, False),
        ({"delay": "24h"}, False),
        ({"components": {"AWS Lambda": "other"}}, False),
        ({"scopes": [{"scope": "bedrock/us", "match": {"service": "Amazon Bedrock"}}]}, False),
        ({"role_arn": "arn:aws:iam::123456789012:role/x"}, False),
        ({"region": "cn-northwest-1"}, False),
        ({"timeout": 5}, False),
        ({"required": False}, False),
    ],
)
def test_a_changed_setting_asks_again_only_what_it_decides(tmp_path: Path, given: dict[str, Any], again: bool) -> None:
    before, after = (load(written(tmp_path, "http://127.0.0.1:9", **more))[0] for more in ({}, given))
    assert (settings_digest(before, "aws") != settings_digest(after, "aws")) is again


def test_services_are_components_by_name_and_the_configuration_overrides_them(tmp_path: Path) -> None:
    own = {"components": {"Amazon Simple Storage Service": "database"}}
    config, _ = load(written(tmp_path, "http://127.0.0.1:9", **own))
    found = config.components_of("aws")
    assert [found[name] for name in (EC2, "Amazon ElastiCache", "AWS Data Transfer", "Amazon Bedrock")] == [
        "compute",
        "database",
        "network",
        "ai",
    ]
    assert found["Amazon Simple Storage Service"] == "database"
    assert "EC2 - Other" not in found, "disks, transfer and addresses in one: nobody can say"
