"""Bills of vendors that are no hyperscalers: every dollar, known days, and no day of a cluster that is not theirs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.refreshed import refreshed, said
from tests.fakes.stored import utc
from tests.fakes.tables import as_csv
from unitcost.cli.check import check
from unitcost.config.load import load
from unitcost.economics.margin import missing_days
from unitcost.economics.windows import look
from unitcost.errors import ConfigError
from unitcost.ledger.store import Ledger
from unitcost.run.setup import terms
from unitcost.sources.base import Context
from unitcost.sources.bills.focus.settings import FocusSettings

NOW = utc(2026, 11, 20, 12)
NOVEMBER = (date(2026, 11, 1), date(2026, 12, 1))
OCTOBER = (date(2026, 10, 1), date(2026, 11, 1))
Row = dict[str, Any]


def charge(first: date, end: date, cost: str, **more: object) -> Row:
    """A charge of [first, end) in the calendar month of its first day, as FOCUS 1.4 names things."""
    month = first.replace(day=1)
    return {
        "BillingPeriodStart": f"{month}T00:00:00Z",
        "BillingPeriodEnd": f"{(month + timedelta(31)).replace(day=1)}T00:00:00Z",
        "ChargePeriodStart": f"{first}T00:00:00Z",
        "ChargePeriodEnd": f"{end}T00:00:00Z",
        "ChargeCategory": "Usage",
        "ServiceProviderName": "Datadog",
        "ServiceName": "Infrastructure Monitoring",
        "ServiceCategory": "Management and Governance",
        "BillingCurrency": "USD",
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ConsumedQuantity": "12",
        "ConsumedUnit": "Hosts",
        "PricingQuantity": "12",
        "PricingUnit": "Hosts",
        **more,
    }


def write(path: Path, rows: Sequence[Row]) -> str:
    path.write_text(as_csv(rows), encoding="utf-8")
    return str(path)


def without(rows: Iterable[Row], *columns: str) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


def weekly(month: tuple[date, date], cost: str, **more: object) -> list[Row]:
    first, end = month
    starts = [first + timedelta(7 * at) for at in range(5)]
    return [charge(at, min(at + timedelta(7), end), cost, **more) for at in starts]


def span(first: date, end: date) -> set[date]:
    return {first + timedelta(at) for at in range((end - first).days)}


BARE = ("ServiceCategory", "ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit")
BILLS: Mapping[str, tuple[list[Row], Mapping[str, object], set[date]]] = {
    "a row a month": ([charge(*OCTOBER, "310")], {"tenant": "none"}, span(*OCTOBER)),
    "a row a month, which is not over": (
        [charge(*NOVEMBER, "300", Tags='{"tenant": "acme"}')],
        {},
        span(NOVEMBER[0], date(2026, 11, 21)),
    ),
    "a row a week": (weekly(OCTOBER, "7", SubAccountId="acme"), {"tenant": "SubAccountId"}, span(*OCTOBER)),
    "no more columns than it takes": (without([charge(*OCTOBER, "310")], *BARE), {"tenant": "none"}, span(*OCTOBER)),
    "another currency": (
        [charge(*OCTOBER, "310", BillingCurrency="EUR", ServiceProviderName="Snowflake")],
        {"tenant": "none"},
        span(*OCTOBER),
    ),
    "a row a day of a subscription that was bought": (
        [charge(*OCTOBER, "100"), charge(date(2026, 10, 3), date(2026, 10, 4), "50", ChargeCategory="Purchase")],
        {"tenant": "none"},
        span(*OCTOBER),
    ),
}


@pytest.mark.parametrize("name", BILLS)
def test_any_bill_counts_whole_and_makes_known_what_it_covers(tmp_path: Path, name: str) -> None:
    rows, own, known = BILLS[name]
    bill = {"type": "focus", "path": write(tmp_path / "saas.csv", rows), "cost": "BilledCost", **own}
    euros = {"code": "USD", "rates": {"EUR": "1.5"}, "as_of": "2026-10-01"}
    ledger, fetcher = refreshed(tmp_path, NOW, currency=euros, sources={"saas": bill})
    with closing(ledger):
        assert not said(fetcher)
        assert {day for (day,) in ledger.rows("SELECT day FROM known_day")} == known
        [(counted,)] = ledger.rows("SELECT sum(amount) FROM cost")
        assert counted == sum(Decimal(row["BilledCost"]) for row in rows)
        [(dollars,)] = ledger.rows("SELECT sum(amount) FROM counted_day")
        rate = Decimal("1.5") if rows[0]["BillingCurrency"] == "EUR" else 1
        assert dollars == counted * rate


def test_a_long_charge_is_spread_over_its_days(tmp_path: Path) -> None:
    bill = {"type": "focus", "path": write(tmp_path / "saas.csv", weekly(OCTOBER, "7")), "tenant": "none"}
    ledger, _ = refreshed(tmp_path, NOW, sources={"saas": bill})
    with closing(ledger):
        found = dict(ledger.rows("SELECT day, sum(amount) FROM cost GROUP BY day"))
    weeks, rest = span(OCTOBER[0], date(2026, 10, 29)), span(date(2026, 10, 29), OCTOBER[1])
    assert {found[day] for day in weeks} == {Decimal(1)}
    assert sum(found[day] for day in rest) == 7
    assert {round(found[day], 11) for day in rest} == {round(Decimal(7) / 3, 11)}


@pytest.mark.parametrize(("required", "complete"), [(True, False), (False, True)])
def test_a_month_is_not_incomplete_for_ever_for_a_bill_that_comes_after_it(
    tmp_path: Path, required: bool, complete: bool
) -> None:
    saas = {"type": "focus", "path": write(tmp_path / "saas.csv", [charge(*OCTOBER, "310")]), "tenant": "none"}
    days = [charge(day, day + timedelta(1), "1") for day in sorted(span(NOVEMBER[0], NOW.date()))]
    cloud = {"type": "focus", "path": write(tmp_path / "cloud.csv", days), "tenant": "none"}
    sources = {"cloud": cloud, "saas": {**saas, "required": required}}
    ledger, _ = refreshed(tmp_path, NOW, sources=sources)
    config, directory = load(tmp_path / "unitcost.yaml")
    with closing(ledger):
        look(ledger, terms(config, directory), NOW)
        assert (not missing_days(ledger, "mtd")) is complete
        assert (not missing_days(ledger, "1d")) is complete


# ------------------------------------------------------------------------------------- beside a cluster


def allocation(day: date, amount: float) -> dict[str, Any]:
    """OpenCost's answer for a day of cluster prod, of which all is acme's."""
    window = {"start": f"{day}T00:00:00Z", "end": f"{day + timedelta(1)}T00:00:00Z"}
    entry = {
        "name": "prod/acme",
        "properties": {"cluster": "prod", "providerID": "i-1"},
        "window": window,
        **window,
        "minutes": 1440,
        "cpuCost": amount,
        "ramCost": 0,
        "gpuCost": 0,
        "pvCost": 0,
        "networkCost": 0,
        "loadBalancerCost": 0,
        "sharedCost": 0,
        "externalCost": 0,
        "totalCost": amount,
    }
    return {"code": 200, "data": [{"prod/acme": entry}]}


DAYS = [date(2026, 11, day) for day in range(1, 11)]
"""The days that OpenCost told, at 100 each."""


def cluster(folder: Path, **more: object) -> dict[str, Any]:
    answers = folder / "opencost"
    answers.mkdir(exist_ok=True)
    for day in DAYS:
        (answers / f"{day}.json").write_text(json.dumps(allocation(day, 100)), encoding="utf-8")
    return {"type": "opencost", "path": str(answers), "aggregate": ["cluster", "label:tenant"], **more}


def datadog(folder: Path, days: Sequence[date], own: Mapping[str, object], **more: object) -> dict[str, Any]:
    rows = [charge(day, day + timedelta(1), "5", **{"Tags": "{}", "ResourceId": "", **more}) for day in days]
    return {"type": "focus", "path": write(folder / "datadog.csv", rows), **own}


def aws(folder: Path, days: Sequence[date], tags: str, **own: object) -> dict[str, Any]:
    node = {"ServiceProviderName": "AWS", "ServiceName": "AmazonEC2", "ServiceCategory": "Compute", "Tags": tags}
    return {
        "type": "focus",
        "path": write(folder / "aws.csv", [charge(day, day + timedelta(1), "80", **node) for day in days]),
        **own,
    }


def estimated(ledger: Ledger) -> set[date]:
    """Return the days of which OpenCost's estimate counts."""
    return {day for (day,) in ledger.rows("SELECT DISTINCT day FROM line WHERE source = 'k8s' AND amount <> 0")}


TAGGED = '{"aws:eks:cluster-name": "prod"}'
LIKE_THE_CLUSTER: Mapping[str, Mapping[str, object]] = {
    "monitoring": {},
    "tagged like the cluster": {"Tags": TAGGED},
    "named after Kubernetes": {"ServiceName": "Kubernetes Security", "ServiceCategory": "Security"},
    "named after Kubernetes, without a category": {"ServiceName": "Kubernetes Monitoring", "ServiceCategory": ""},
    "of a node": {"ResourceId": "i-1"},
}


@pytest.mark.parametrize("name", LIKE_THE_CLUSTER)
def test_a_vendors_bill_takes_no_day_of_a_cluster_over(tmp_path: Path, name: str) -> None:
    sources = {"k8s": cluster(tmp_path), "datadog": datadog(tmp_path, DAYS, {}, **LIKE_THE_CLUSTER[name])}
    ledger, _ = refreshed(tmp_path, NOW, sources=sources)
    with closing(ledger):
        assert estimated(ledger) == set(DAYS)
        assert ledger.rows("SELECT sum(amount) FROM line") == [(Decimal(10 * 100 + 10 * 5),)]


@pytest.mark.parametrize("tags", [TAGGED, "{}"])
def test_nor_days_that_the_clouds_bill_has_not_delivered_yet(tmp_path: Path, tags: str) -> None:
    """Whether or not the cloud's bill marks the nodes: Datadog's covers all ten days, that of AWS six."""
    bills = {"datadog": datadog(tmp_path, DAYS, {}, Tags=TAGGED), "aws": aws(tmp_path, DAYS[:6], tags)}
    ledger, _ = refreshed(tmp_path, NOW, sources={"k8s": cluster(tmp_path), **bills})
    with closing(ledger):
        assert estimated(ledger) == set(DAYS[6:])
        assert ledger.rows("SELECT sum(amount) FROM line") == [(Decimal(6 * 80 + 4 * 100 + 10 * 5),)]


@pytest.mark.parametrize(
    ("of_bill", "of_cluster", "days"),
    [
        ({}, {}, DAYS),
        ({"clusters": True}, {}, []),
        ({"clusters": False}, {}, DAYS),
        ({}, {"billed_by": ["datadog"]}, []),
        ({}, {"billed_by": []}, DAYS),
    ],
)
def test_the_configuration_may_say_which_bill_holds_the_clusters(
    tmp_path: Path, of_bill: Mapping[str, object], of_cluster: Mapping[str, object], days: list[date]
) -> None:
    sources = {"k8s": cluster(tmp_path, **of_cluster), "datadog": datadog(tmp_path, DAYS, of_bill)}
    ledger, _ = refreshed(tmp_path, NOW, sources=sources)
    with closing(ledger):
        assert estimated(ledger) == set(days)


def test_a_bill_of_no_cluster_keeps_its_own_tenants_whatever_its_rows_are_tagged_with(tmp_path: Path) -> None:
    tags = '{"aws:eks:cluster-name": "prod", "tenant": "beta"}'
    bill = datadog(tmp_path, DAYS, {"clusters": False}, Tags=tags)
    ledger, _ = refreshed(tmp_path, NOW, sources={"k8s": cluster(tmp_path), "datadog": bill})
    with closing(ledger):
        found = dict(ledger.rows("SELECT tenant, sum(amount) FROM line GROUP BY tenant"))
        assert found == {"acme": 1000, "beta": 50}
        assert ledger.rows("SELECT DISTINCT basis FROM line WHERE source = 'k8s'") == [("priced",)]


def test_security_of_kubernetes_is_its_tenants_and_not_divided_among_the_users_of_nodes(tmp_path: Path) -> None:
    bill = datadog(tmp_path, DAYS, {}, **LIKE_THE_CLUSTER["named after Kubernetes"], Tags='{"tenant": "beta"}')
    ledger, _ = refreshed(tmp_path, NOW, sources={"k8s": cluster(tmp_path), "datadog": bill})
    with closing(ledger):
        assert dict(ledger.rows("SELECT tenant, sum(amount) FROM line GROUP BY tenant")) == {"acme": 1000, "beta": 50}


def test_which_bill_holds_the_clusters_is_nothing_to_ask_again_for_and_who_bears_split_costs_is(tmp_path: Path) -> None:
    path = write(tmp_path / "datadog.csv", [charge(*OCTOBER, "310")])

    def identity(**own: object) -> list[object]:
        return FocusSettings.model_validate({"type": "focus", "path": path, **own}).identity(Context())

    assert identity() == identity(clusters=False) == identity(clusters=True) == identity(split_cost_allocation=False)
    assert identity(split_cost_allocation=True) != identity()


def test_a_cluster_cannot_be_on_a_bill_of_no_cluster(tmp_path: Path) -> None:
    bill = datadog(tmp_path, DAYS, {"clusters": False})
    with pytest.raises(ConfigError, match=r"sources\.k8s\.billed_by: 'datadog' has clusters: false, for no cluster"):
        refreshed(tmp_path, NOW, sources={"k8s": cluster(tmp_path, billed_by=["datadog"]), "datadog": bill})


def test_check_says_that_no_bill_speaks_for_a_cluster(tmp_path: Path) -> None:
    sources = {"k8s": cluster(tmp_path), "datadog": datadog(tmp_path, DAYS, {})}
    refreshed(tmp_path, utc(2026, 11, 11), sources=sources)[0].close()
    config, directory = load(tmp_path / "unitcost.yaml")
    out = StringIO()
    check(config, directory, lambda: utc(2026, 11, 11), None, out)
    assert "k8s: no bill speaks for cluster prod, so what OpenCost says of it counts as an estimate beside datadog" in (
        out.getvalue()
    )
    assert "set sources.k8s.billed_by" in out.getvalue()


# ------------------------------------------------------------------------------------- every dollar

amounts = st.decimals("-50", "500", places=6)


def rows_of(services: Mapping[str, str], lengths: Sequence[int], tags: Sequence[str]) -> st.SearchStrategy[list[Row]]:
    def one(at: int, length: int, cost: Decimal, service: str, tag: str, category: str, currency: str) -> Row:
        first = DAYS[at]
        end = min(first + timedelta(length), NOVEMBER[1])
        own = {"ServiceName": service, "ServiceCategory": services[service], "Tags": tag}
        return charge(first, end, str(cost), ChargeCategory=category, BillingCurrency=currency, **own)

    return st.lists(
        st.builds(
            one,
            st.integers(0, 9),
            st.sampled_from(lengths),
            amounts,
            st.sampled_from([*services]),
            st.sampled_from(tags),
            st.sampled_from(["Usage", "Usage", "Purchase", "Credit"]),
            st.sampled_from(["USD", "EUR"]),
        ),
        min_size=1,
        max_size=24,
    )


CLOUD = {"AmazonEC2": "Compute", "AmazonRDS": "Databases", "AmazonEKS": "Compute"}
VENDORS = {"Datadog": "Management and Governance", "Kubernetes Security": "Security", "Vercel": "Compute"}
clouds = rows_of(CLOUD, [1], ["{}", TAGGED, '{"tenant": "acme"}'])
vendors = rows_of(VENDORS, [1, 7, 30], ["{}", TAGGED, '{"tenant": "beta"}'])


@pytest.mark.parametrize("told", [None, True, False])
@settings(max_examples=5, deadline=None)
@given(cloud=clouds, vendor=vendors)
def test_two_bills_beside_each_other_and_a_cluster_lose_no_dollar(
    told: bool | None, cloud: list[Row], vendor: list[Row]
) -> None:
    """Each example has ten days, whose rows meet rows of their own day alone."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        sources = {
            "k8s": cluster(folder),
            "aws": {"type": "focus", "path": write(folder / "aws.csv", cloud), "overlapping_files": "sum"},
            "vendor": {"type": "focus", "path": write(folder / "vendor.csv", vendor)}
            | ({} if told is None else {"clusters": told}),
        }
        euros = {"code": "USD", "rates": {"EUR": "1.5"}, "as_of": "2026-10-01"}
        ledger, _ = refreshed(folder, NOW, currency=euros, sources=sources)
        with closing(ledger):
            rate = {"USD": Decimal(1), "EUR": Decimal("1.5")}
            for bill, rows in (("aws", cloud), ("vendor", vendor)):
                [(counted,)] = ledger.rows("SELECT coalesce(sum(amount), 0) FROM line WHERE source = ?", [bill])
                whole = sum((Decimal(row["EffectiveCost"]) * rate[row["BillingCurrency"]] for row in rows), Decimal(0))
                assert abs(counted - whole) < Decimal("1e-9")
            served = "SELECT direct + shared AS amount FROM tenant_day UNION ALL SELECT amount FROM unallocated_day"
            assert ledger.rows(f"SELECT sum(amount) FROM ({served})") == ledger.rows("SELECT sum(amount) FROM line")
            if told is not True:
                machines = "SELECT DISTINCT day FROM cost WHERE category = 'Compute' AND charge = 'usage'"
                assert set(DAYS) - {day for (day,) in ledger.rows(machines)} <= estimated(ledger)
