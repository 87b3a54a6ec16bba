"""The sample company is the one that the design describes, when its files are counted by hand.

The counting here is a model of its own: plain dicts and Decimals, no code of the ledger or of the sources.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from unitcost.config.load import load
from unitcost.sample import write

ZERO = Decimal(0)
HALF_A_CENT = Decimal("0.005")
KUBERNETES = "aws:eks:cluster-name"
CATEGORIES = {
    "Compute": "compute",
    "Databases": "database",
    "Storage": "storage",
    "Networking": "network",
    "AI and Machine Learning": "ai",
}
DOLLARS_A_MILLION = {
    "gpt-4o-mini": {"input": "0.15", "output": "0.6"},
    "gpt-4o": {"input": "2.5", "cache_read": "1.25", "output": "10"},
    "gpt-5": {"input": "1.25", "output": "10"},
}
RESOURCES = {
    "cpuCost": "compute",
    "ramCost": "compute",
    "gpuCost": "gpu",
    "pvCost": "storage",
    "networkCost": "network",
    "loadBalancerCost": "network",
}
AI = "OpenAI API"
NOWS = [
    datetime(2026, 11, 23, 13, 30, tzinfo=UTC),
    datetime(2026, 3, 1, 0, 30, tzinfo=UTC),
    datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC),
]
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)

Row = dict[str, str]


@dataclass
class Company:
    """The files of one sample, read."""

    folder: Path
    now: datetime
    config: dict[str, Any]
    directory: dict[str, Row]
    bill: dict[date, list[Row]]
    cluster: dict[date, dict[str, Any]]
    usage: dict[date, dict[str, dict[str, Decimal]]]
    tokens: dict[date, dict[tuple[str, str], Decimal]]
    mrr: dict[date, dict[str, Decimal]]
    last_month: list[date]
    counted: Counted

    @property
    def this_month(self) -> list[date]:
        first = self.now.date().replace(day=1)
        return [first + timedelta(n) for n in range(self.now.day)]

    def tenants_of(self, plan: str) -> list[str]:
        return [tenant for tenant, row in self.directory.items() if row["plan"] == plan]

    def revenue(self, tenant: str) -> Decimal:
        days = len(self.last_month)
        return sum((self.mrr_on(day).get(tenant, ZERO) for day in self.last_month), ZERO) / days

    def margin(self, tenant: str) -> Decimal:
        revenue, cost = self.revenue(tenant), self.counted.cost[tenant]
        return (revenue - cost) / revenue if revenue else Decimal(-1)

    def mrr_on(self, day: date) -> dict[str, Decimal]:
        return self.mrr[max(as_of for as_of in self.mrr if as_of <= day)]

    def assistant(self) -> dict[str, Decimal]:
        """What the tokens of the new AI feature are worth this month, by tenant."""
        found: dict[str, Decimal] = defaultdict(Decimal)
        for day in self.this_month:
            for (tenant, feature), worth in self.tokens.get(day, {}).items():
                if feature == "assistant":
                    found[tenant] += worth
        return found


@dataclass
class Counted:
    """What the last month comes to."""

    cost: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    unallocated: Decimal = ZERO
    idle: Decimal = ZERO
    active: set[int] = field(default_factory=set)


@pytest.fixture(scope="module", params=NOWS, ids=lambda now: f"{now:%Y-%m-%dT%H:%M}")
def company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Company:
    return read_company(write(tmp_path_factory.mktemp("sample"), request.param), request.param)


def read_company(config_path: Path, now: datetime) -> Company:
    folder = config_path.parent
    config = yaml.safe_load(config_path.read_text())
    first = now.date().replace(day=1)
    last = (first - timedelta(1)).replace(day=1)
    usage: dict[date, dict[str, dict[str, Decimal]]] = defaultdict(lambda: defaultdict(dict))
    for row in read_csv(folder / config["sources"]["usage"]["path"]):
        usage[date.fromisoformat(row["day"])][row["measure"]][row["tenant"]] = Decimal(row["quantity"])
    mrr: dict[date, dict[str, Decimal]] = defaultdict(dict)
    for row in read_csv(folder / config["sources"]["revenue"]["path"]):
        assert row["currency"] == "USD"
        mrr[date.fromisoformat(row["as_of"])][row["tenant"]] = Decimal(row["mrr"])
    company = Company(
        folder=folder,
        now=now,
        config=config,
        directory={row["id"]: row for row in read_csv(folder / config["tenants"]["directory"])},
        bill=read_bill(folder / config["sources"]["bill"]["path"]),
        cluster=read_cluster(folder / config["sources"]["cluster"]["path"]),
        usage=usage,
        tokens=read_tokens(folder / config["sources"]["tokens"]["path"]),
        mrr=mrr,
        last_month=[last + timedelta(n) for n in range((first - last).days)],
        counted=Counted(),
    )
    for day in company.last_month:
        count_day(company, day)
    return company


def read_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, strict=True)


def read_bill(folder: Path) -> dict[date, list[Row]]:
    days: dict[date, list[Row]] = defaultdict(list)
    for path in sorted(folder.glob("BILLING_PERIOD=*/*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                day = date.fromisoformat(row["ChargePeriodStart"][:10])
                assert path.parent.name == f"BILLING_PERIOD={day:%Y-%m}"
                days[day].append(row)
    return days


def read_tokens(path: Path) -> dict[date, dict[tuple[str, str], Decimal]]:
    """Return what the tokens of each day, customer and feature are worth at list prices."""
    days: dict[date, dict[tuple[str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in read_csv(path):
        price = DOLLARS_A_MILLION[row["model"]][row["direction"]]
        days[date.fromisoformat(row["day"])][row["tenant"], row["feature"]] += (
            Decimal(row["quantity"]) * Decimal(price) / 1_000_000
        )
    return days


def read_cluster(folder: Path) -> dict[date, dict[str, Any]]:
    days = {}
    for path in sorted(folder.glob("*.json")):
        answer = json.loads(path.read_text(), parse_float=Decimal, parse_int=Decimal)
        assert answer["code"] == 200
        (days[date.fromisoformat(path.stem)],) = answer["data"]
    return days


def count_day(company: Company, day: date) -> None:
    """Apply the four rules of counting to one day."""
    direct: dict[str, Decimal] = defaultdict(Decimal)
    tenantless: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    nodes = models = ZERO
    for row in company.bill[day]:
        amount, tags = Decimal(row["EffectiveCost"]), json.loads(row["Tags"])
        if row["ServiceName"] == AI:
            models += amount
        elif KUBERNETES in tags:
            assert tags[KUBERNETES] == "prod"
            nodes += amount
        elif "tenant" in tags:
            direct[tags["tenant"]] += amount
        else:
            tenantless[CATEGORIES[row["ServiceCategory"]], row["ServiceName"]] += amount
    divide(company, day, models, direct, tenantless)
    distribute(company, day, nodes, direct, tenantless)
    requests = company.usage[day]["requests"]
    here = {tenant for tenant, cost in direct.items() if cost} | set(requests)
    here |= {tenant for tenant, mrr in company.mrr_on(day).items() if mrr}
    company.counted.active.add(len(here))
    weights = {"direct_cost": direct, "requests": requests, "even": dict.fromkeys(here, Decimal(1))}
    for tenant, amount in direct.items():
        company.counted.cost[tenant] += amount
    for (component, service), amount in tenantless.items():
        rule = first_match(company.config["sharing"], {"component": component, "service": service})
        if rule is None:
            company.counted.unallocated += amount
            continue
        whole = sum(weights[rule].values(), ZERO)
        for tenant, weight in weights[rule].items():
            company.counted.cost[tenant] += amount * weight / whole


def divide(
    company: Company, day: date, models: Decimal, direct: dict[str, Decimal], tenantless: dict[tuple[str, str], Decimal]
) -> None:
    """Add what the bill says of models, in proportion to what each customer's tokens are worth."""
    worth = company.tokens[day]
    for (tenant, _), part in worth.items():
        amount = models * part / sum(worth.values(), ZERO)
        if tenant:
            direct[tenant] += amount
        else:
            tenantless["ai", AI] += amount


def distribute(
    company: Company, day: date, nodes: Decimal, direct: dict[str, Decimal], tenantless: dict[tuple[str, str], Decimal]
) -> None:
    """Add what the bill says of the cluster's nodes, in proportion to OpenCost's costs."""
    aliases = {row["aliases"]: tenant for tenant, row in company.directory.items() if row["aliases"]}
    total = cluster_total(company.cluster[day])
    for name, entry in company.cluster[day].items():
        assert entry["properties"]["cluster"] == "prod"
        label = name.split("/")[0]
        for resource, component in RESOURCES.items():
            amount = nodes * entry[resource] / total
            if label == "__idle__":
                tenantless["idle", resource] += amount
                company.counted.idle += amount
            elif label == "__unallocated__":
                tenantless[component, resource] += amount
            else:
                direct[aliases.get(label, label)] += amount


def first_match(rules: list[dict[str, Any]], pool: dict[str, str]) -> str | None:
    for rule in rules:
        if all(pool.get(key) == value for key, value in rule["match"].items()):
            return str(rule["by"])
    return None


def cluster_total(entries: dict[str, Any]) -> Decimal:
    return sum((entry[resource] for entry in entries.values() for resource in RESOURCES), ZERO)


def bill_by_service(company: Company, days: list[date]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for day in days:
        for row in company.bill.get(day, []):
            sums[row["ServiceName"]] += Decimal(row["EffectiveCost"])
    return sums


def test_the_last_month_is_exactly_the_bill_of_the_design(company: Company) -> None:
    services = bill_by_service(company, company.last_month)
    assert services == {
        "Amazon Elastic Compute Cloud": 18_500,
        "Amazon Relational Database Service": 8_200,
        "Amazon Simple Storage Service": 3_400,
        "AWS Data Transfer": 6_100,
        "OpenAI API": 14_800,
    }
    assert sum(services.values()) == 51_000


def test_counting_loses_no_dollar_of_it(company: Company) -> None:
    counted = sum(company.counted.cost.values(), ZERO) + company.counted.unallocated
    assert abs(counted - 51_000) < Decimal("1e-15")


def test_the_last_month_has_exactly_50_million_requests(company: Company) -> None:
    assert sum(sum(company.usage[day]["requests"].values()) for day in company.last_month) == 50_000_000


@pytest.mark.parametrize(
    ("tenant", "name", "plan", "cost", "mrr", "percent"),
    [
        ("acme", "Acme Corp", "enterprise", "850", "5000", 83),
        ("beta", "Beta Inc", "pro", "120", "299", 60),
        ("gamma", "Gamma LLC", "starter", "68", "49", -39),
        ("delta", "Delta Co", "free", "22", "0", -100),
    ],
)
def test_the_named_customers_cost_and_earn_what_the_design_says(
    company: Company, tenant: str, name: str, plan: str, cost: str, mrr: str, percent: int
) -> None:
    assert (company.directory[tenant]["name"], company.directory[tenant]["plan"]) == (name, plan)
    assert abs(company.counted.cost[tenant] - Decimal(cost)) < HALF_A_CENT
    assert company.revenue(tenant) == Decimal(mrr)
    assert round(company.margin(tenant) * 100) == percent


def test_500_customers_are_active_on_every_day_of_the_last_month(company: Company) -> None:
    plans = Counter(row["plan"] for row in company.directory.values())
    assert plans == {"enterprise": 10, "pro": 90, "starter": 250, "free": 150}
    assert len({row["name"] for row in company.directory.values()}) == 500
    assert company.counted.active == {500}
    assert set(company.counted.cost) == set(company.directory)


def test_ten_enterprise_customers_make_40_percent_of_the_cost_or_more(company: Company) -> None:
    cost = sum(company.counted.cost[tenant] for tenant in company.tenants_of("enterprise"))
    assert cost >= 51_000 * Decimal("0.40")


def test_most_customers_who_pay_earn_and_some_lose(company: Company) -> None:
    earning = {
        plan: sum(company.margin(tenant) > 0 for tenant in company.tenants_of(plan)) for plan in company.config["plans"]
    }
    assert earning["enterprise"] == 10
    assert 80 <= earning["pro"] < 90
    assert 180 <= earning["starter"] <= 235
    assert earning["free"] == 0


def test_the_company_earns_40_to_50_percent(company: Company) -> None:
    revenue = sum(company.revenue(tenant) for tenant in company.directory)
    assert Decimal("0.40") < (revenue - 51_000) / revenue < Decimal("0.50")


def test_the_customers_of_the_last_month_cost_the_whole_bill_and_a_key_of_nobody_is_new(company: Company) -> None:
    assert company.counted.unallocated == 0
    nobodys = {day for day, worth in company.tokens.items() if ("", "") in worth}
    assert nobodys == {day for day in company.this_month if day in company.tokens}


def test_the_tokens_are_worth_what_the_provider_charges(company: Company) -> None:
    for day in company.bill:
        charged = bill_by_service(company, [day])[AI]
        assert abs(sum(company.tokens[day].values(), ZERO) / charged - 1) < Decimal("0.0001")


def test_a_fifth_of_the_cluster_is_idle(company: Company) -> None:
    assert Decimal("0.19") < company.counted.idle / 18_500 < Decimal("0.21")


def test_the_bill_is_94_percent_of_what_opencost_says_on_every_complete_day(company: Company) -> None:
    for day, entries in company.cluster.items():
        if day < company.now.date():
            nodes = bill_by_service(company, [day])["Amazon Elastic Compute Cloud"]
            assert abs(nodes / cluster_total(entries) - Decimal("0.94")) < Decimal("0.0001")


def test_every_part_of_opencosts_answers_is_a_cost_or_nothing_and_sums_to_its_total(company: Company) -> None:
    for entries in company.cluster.values():
        for name, entry in entries.items():
            assert entry["name"] == name
            assert name == "__idle__" or name.count("/") == 2
            assert min(entry[resource] for resource in RESOURCES) >= 0
            assert sum(entry[resource] for resource in RESOURCES) == entry["totalCost"] > 0


def months_of(company: Company) -> list[date]:
    """The first days of the five months, oldest first."""
    months = [company.now.date().replace(day=1)]
    while len(months) < 5:
        months.insert(0, (months[0] - timedelta(1)).replace(day=1))
    return months


def days_of(company: Company, month: date) -> list[date]:
    return [day for day in sorted(company.usage) if day.replace(day=1) == month]


def test_the_files_cover_four_whole_months_and_this_one_until_now(company: Company) -> None:
    today = company.now.date()
    first = months_of(company)[0]
    days = [first + timedelta(n) for n in range((today - first).days + 1)]
    assert len(days) > 120
    assert company.config["history"] == f"{len(days) - 1}d"
    assert sorted(company.cluster) == days
    assert sorted(company.usage) == days
    assert sorted(company.mrr) == months_of(company)
    assert sorted(company.tokens) == days
    assert sorted(company.bill) == days[:-1]


def test_today_there_are_opencosts_estimate_and_tokens_alone(company: Company) -> None:
    assert company.now.date() not in company.bill
    elapsed = company.now - company.now.replace(hour=0, minute=0, second=0)
    for entry in company.cluster[company.now.date()].values():
        assert entry["minutes"] == elapsed // timedelta(minutes=1)


def test_one_ai_feature_is_new_this_month_and_adds_15000_a_month(company: Company) -> None:
    first = company.now.date().replace(day=1)
    after = (first + timedelta(31)).replace(day=1)
    launch = first.replace(day=4) if company.now.day >= 8 else first
    start = datetime(launch.year, launch.month, launch.day, tzinfo=UTC)
    running = Decimal(int((company.now - start).total_seconds()))
    whole = Decimal((after - launch).days * 86_400)
    added = sum(company.assistant().values(), ZERO)
    assert abs(added - 15_000 * running / whole) < Decimal("0.05")
    features = {
        json.loads(row["Tags"]).get("feature") for day, rows in company.bill.items() if day < first for row in rows
    }
    assert features == {None, "dashboards", "ingest"}
    assert {feature for day in company.tokens if day < first for _, feature in company.tokens[day]} == {
        "reports",
        "search",
    }


def test_a_few_customers_cause_most_of_it(company: Company) -> None:
    costs = sorted(company.assistant().values(), reverse=True)
    assert len(costs) > 20
    assert sum(costs[:3]) > sum(costs) * Decimal("0.75")


def test_a_renamed_customer_runs_under_both_labels(company: Company) -> None:
    assert company.directory["gamma"]["aliases"] == "Gamma-Corp"
    for entries in company.cluster.values():
        assert {name.split("/")[0] for name in entries} >= {"gamma", "Gamma-Corp"}


def test_a_label_that_is_no_customer_shows_up_this_month(company: Company) -> None:
    known = {*company.directory, "Gamma-Corp", "__idle__", "__unallocated__"}
    for day, entries in company.cluster.items():
        unknown = {name.split("/")[0] for name in entries} - known
        assert unknown == ({"quickstart-demo"} if day >= company.this_month[0] else set())


def test_customers_come_on_trial_and_pay_from_the_next_month(company: Company) -> None:
    months = months_of(company)
    here = [[set(company.usage[day]["requests"]) for day in days_of(company, month)] for month in months]
    came = [set().union(*days) - days[0] for days in here]
    assert [len(new) for new in came] == [27, 17, 6, 0, 0]
    for number, new in enumerate(came[:-1]):
        paying = [set(company.mrr[month]) for month in months]
        assert not new & paying[number]
        assert paying[number + 1] - paying[number] == new
    assert any(company.directory[tenant]["plan"] == "enterprise" for tenant in came[1])


def test_two_customers_left_after_the_last_month(company: Company) -> None:
    this = company.this_month[0]
    left = {tenant for tenant, row in company.directory.items() if row["status"] == "churned"}
    assert len(left) == 2
    assert {company.mrr[this][tenant] for tenant in left} == {ZERO}
    assert not any(left & set(company.usage[day]["requests"]) for day in company.this_month if day in company.usage)


def test_the_named_customers_were_always_here_and_pay_the_same(company: Company) -> None:
    named = ("acme", "beta", "gamma", "delta")
    assert all([mrr[tenant] for tenant in named] == [5000, 299, 49, 0] for mrr in company.mrr.values())
    assert all({*named} <= set(usage["requests"]) for usage in company.usage.values())


def test_mrr_and_the_bill_grow_from_month_to_month(company: Company) -> None:
    whole = months_of(company)[:-1]
    mrr = [sum(company.mrr[month].values()) for month in whole]
    bill = [sum(bill_by_service(company, days_of(company, month)).values()) for month in whole]
    for sums in (mrr, bill):
        assert all(Decimal("1.02") < later / earlier < Decimal("1.15") for earlier, later in pairwise(sums))


def test_the_company_rests_at_weekends(company: Company) -> None:
    requests = {day: sum(company.usage[day]["requests"].values(), ZERO) for day in company.usage}
    weekend = [requests[day] for day in company.last_month if day.weekday() >= 5]
    weekday = [requests[day] for day in company.last_month if day.weekday() < 5]
    assert sum(weekend, ZERO) / len(weekend) < sum(weekday, ZERO) / len(weekday) * Decimal("0.8")


def test_the_configuration_is_one_that_unitcost_accepts(company: Company) -> None:
    config, directory = load(company.folder / "unitcost.yaml")
    assert config.history == timedelta((company.now.date() - min(company.cluster)).days)
    assert len(directory.tenants) == 500


def test_the_files_stay_small(company: Company) -> None:
    assert sum(path.stat().st_size for path in company.folder.rglob("*") if path.is_file()) < 42_000_000


def test_the_same_moment_gives_the_same_bytes_in_any_time_zone(company: Company, tmp_path: Path) -> None:
    elsewhere = company.now.astimezone(timezone(timedelta(hours=-9)))
    write(tmp_path, elsewhere)
    assert contents(tmp_path) == contents(company.folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_day_of_which_nothing_is_over_has_no_files_and_no_rows(tmp_path: Path) -> None:
    company = read_company(write(tmp_path, NEW_YEAR), NEW_YEAR)
    assert max(company.cluster) == max(company.usage) == max(company.bill) == date(2026, 12, 31)
    assert sum(bill_by_service(company, company.last_month).values()) == 51_000
