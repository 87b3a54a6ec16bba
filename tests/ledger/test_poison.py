"""One value must not stop all: it is refused with its batch, or left out with its day, and the others are served."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest

from tests.fakes.company import NOW, YESTERDAY, Company, cost, days_until, mrr
from unitcost.cli.check import check
from unitcost.config.load import load
from unitcost.config.sections import Budget
from unitcost.economics.margin import margin_rows, missing_days
from unitcost.errors import ConfigError, LedgerError, SourceError
from unitcost.facts import Batch, Cost, Revenue, Usage
from unitcost.ledger.derive import derive
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

HISTORY = timedelta(days=90)
RATES = {"USD": Decimal(1)}


def use(tenant: str, quantity: str, day: date = YESTERDAY) -> Usage:
    return Usage(day, tenant, "requests", Decimal(quantity))


@pytest.fixture
def company() -> Iterator[Company]:
    """A company of which yesterday is known: a bill, usage and revenue."""
    made = Company(
        [(0, {"component": "support"}, "measure", "requests"), (1, {"component": "idle"}, "direct_cost", None)]
    )
    made.put("cluster", [YESTERDAY], cost=[])
    made.put("bill", [YESTERDAY], cost=[cost("acme", "60"), cost("beta", "40")])
    made.put("usage", [YESTERDAY], usage=[use("acme", "3"), use("beta", "1")])
    made.put("revenue", [YESTERDAY], revenue=[mrr("acme", "3000"), mrr("beta", "300")])
    yield made
    made.ledger.close()


# ------------------------------------------------------------------------------------------------- at the door


REFUSED: Mapping[str, tuple[str, Mapping[str, Sequence[object]]]] = {
    "an MRR": (
        "revenue",
        {"revenue": [mrr("acme", "2e18")]},
    ),
    "a cost": ("bill", {"cost": [cost("acme", "2e18")]}),
    "a credit": ("bill", {"cost": [cost("acme", "-2e18")]}),
    "a shared cost": ("bill", {"cost": [cost(None, "9e25", "support")]}),
    "a quantity": ("usage", {"usage": [use("acme", "9e25")]}),
    "costs that sum up": ("bill", {"cost": [cost("acme", "1e15")] * 1001}),
    "costs that cancel out": ("bill", {"cost": [cost("acme", "1e15"), cost("acme", "-1e15")] * 501}),
    "quantities that sum up": ("usage", {"usage": [use(f"t{n}", "1e20") for n in range(11)]}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_counted_is_refused_with_its_batch_and_named(company: Company, what: str) -> None:
    source, records = REFUSED[what]
    before = company.gauges()
    with pytest.raises(
        SourceError, match=r"2026-11-22: its .*cannot be counted; the largest is .* of (tenant|nobody)"
    ) as caught:
        company.put(source, [YESTERDAY], **records)
    assert caught.value.reason == "value"
    assert company.gauges() == before, "the last good batch stays"
    company.put(source, [YESTERDAY - timedelta(1)])


def test_the_largest_that_is_allowed_comes_out_to_the_last_digit(company: Company) -> None:
    largest = "999999999999999.999999999999"
    company.put("bill", [YESTERDAY], cost=[cost("acme", largest), cost("beta", "1"), cost(None, largest, "idle")])
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", largest)])
    company.put("usage", [YESTERDAY], usage=[use("acme", "1e20"), use("beta", "99999999999999999999")])
    found = company.gauges(("1d", "30d", "mtd"))
    assert company.ledger.rows("SELECT sum(direct + shared) FROM tenant_day") == [(2 * Decimal(largest) + 1,)]
    assert company.ledger.rows("SELECT mrr FROM revenue_day") == [(Decimal(largest),)]
    assert found["tenant_mrr_dollars"] == {("acme",): float(largest)}
    assert company.ledger.rows("SELECT * FROM doubt") == []


def test_a_million_records_of_1e12_on_every_day_are_counted_shared_and_forecast(company: Company) -> None:
    """The most that a source may say of a day, on each of 120 days, in batches of a thousand rows."""
    days = days_until(YESTERDAY, 120)
    rows = [
        Cost(day, tenant, "s", component, Decimal("333333333333333.3"), "USD")
        for day in days
        for tenant, component in [("acme", "compute"), ("beta", "compute"), (None, "support")] * 333
    ]
    company.put_all("bill", days, cost=rows)
    company.put_all("usage", days, usage=[use(tenant, "1e20", day) for day in days for tenant in ("acme", "beta", "c")])
    company.put("cluster", days, cost=[])
    company.put_all(
        "revenue", days, revenue=[Revenue(days[0], None, f"t{n}", Decimal("1e15"), "USD") for n in range(999)]
    )
    found = company.gauges(("1d", "30d", "mtd", "last_month"), history=200)
    total = sum((row.amount for row in rows if row.day.month == 10), Decimal(0))
    assert margin_rows(company.ledger, "last_month")[-1].cost == total
    assert found["platform_cost_forecast_dollars"][("expected",)] > 0
    assert found["platform_revenue_dollars"][("last_month",)] == 999e15


# --------------------------------------------------------------------------- what a ledger holds all the same


POISON = {
    "a cost": "INSERT INTO cost SELECT * REPLACE (9e24::DECIMAL(38, 12) AS amount) FROM cost WHERE tenant = 'acme'",
    "an MRR": "UPDATE revenue SET mrr = 1e25::DECIMAL(38, 12) WHERE tenant = 'acme'",
    "a quantity": "UPDATE usage SET quantity = 9e25::DECIMAL(38, 12)",
}


@pytest.mark.parametrize("what", POISON)
def test_what_a_ledger_holds_from_a_version_before_is_left_out_and_the_others_are_served(
    company: Company, what: str
) -> None:
    source = {"a cost": "bill", "an MRR": "revenue", "a quantity": "usage"}[what]
    good = company.gauges()
    company.ledger.rows(POISON[what])
    company.ledger.rows("DELETE FROM derived_day")
    found = company.gauges()
    assert good["window_complete"] == {("1d",): 1.0}
    assert found["window_complete"] == {("1d",): 0.0}
    assert company.ledger.rows("SELECT DISTINCT source, day, reason FROM doubt") == [(source, YESTERDAY, "value")]
    for name, kind in {"tenant_cost_dollars": "bill", "tenant_mrr_dollars": "revenue", "tenant_usage": "usage"}.items():
        assert found[name] == ({} if kind == source else good[name]), "unknown is absent, the others are as they were"


def test_the_source_is_asked_again_for_what_is_left_out_and_then_all_is_served(company: Company) -> None:
    good = company.gauges()
    company.ledger.rows(POISON["an MRR"])
    company.ledger.rows("DELETE FROM derived_day")
    company.gauges()
    stored = company.ledger.stored("revenue", "")
    assert stored.fingerprint(YESTERDAY.isoformat()) is None
    assert stored.keys() == set()
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", "3000"), mrr("beta", "300")])
    assert company.gauges() == good
    assert company.ledger.stored("revenue", "").keys() == {YESTERDAY.isoformat()}


def test_a_bill_that_is_left_out_does_not_end_the_clusters_estimate(company: Company) -> None:
    company.put("cluster", [YESTERDAY], cost=[cost("acme", "70", cluster="prod"), cost("beta", "30", cluster="prod")])
    company.put("bill", [YESTERDAY], cost=[cost(None, "200", cluster="prod")])
    assert company.gauges()["tenant_cost_dollars"][("acme", "compute", "1d")] == 140
    company.ledger.rows("UPDATE cost SET amount = 9e24::DECIMAL(38, 12) WHERE source = 'bill'")
    company.ledger.rows("DELETE FROM derived_day")
    found = company.gauges()
    assert found["tenant_cost_dollars"][("acme", "compute", "1d")] == 70
    assert found["estimated_cost_dollars"] == {("cluster", "1d"): 100.0}
    assert found["window_complete"] == {("1d",): 0.0}


def test_a_currency_whose_rate_was_taken_away_leaves_out_its_source_and_counts_again_with_a_rate(
    company: Company,
) -> None:
    eur = replace(cost("acme", "100"), currency="EUR")
    company.model = replace(company.model, rates=[("USD", Decimal(1)), ("EUR", Decimal("1.5"))])
    company.ledger.put("bill", "", Batch("2026-11-22", [YESTERDAY], cost=[eur]), NOW, {"EUR": Decimal(1)})
    both = company.gauges()
    assert both["tenant_cost_dollars"] == {("acme", "compute", "1d"): 150.0}
    with_rate, company.model = company.model, replace(company.model, rates=[("USD", Decimal(1))])
    found = company.gauges()
    assert found["tenant_cost_dollars"] == {}
    assert found["tenant_mrr_dollars"] == both["tenant_mrr_dollars"]
    assert found["window_complete"] == {("1d",): 0.0}
    [(reason, text)] = company.ledger.rows("SELECT reason, text FROM doubt")
    assert (reason, text) == ("currency", "holds EUR, which has no rate; add EUR to currency.rates")
    company.model = with_rate
    assert company.gauges() == both


# ------------------------------------------------------------------------------------- what slips through all


SPOILING = [replace(cost("acme", "5"), resource="i-1", quantity=Decimal("9e25"), unit="Hrs")] * 2
"""Rows of which each can be stored, and that no derivation can add up: of quantities only money's limits are known."""


def spoiling(day: date) -> list[Cost]:
    return [replace(row, day=day) for row in SPOILING]


def test_a_source_that_spoils_the_derivation_is_found_and_the_other_days_and_sources_are_served(
    company: Company,
) -> None:
    days = days_until(YESTERDAY, 8)
    company.put("usage", days, usage=[use("acme", "3", day) for day in days])
    company.put("bill", days, cost=[cost("acme", "5", day=day) for day in days])
    bad = days[3]
    company.put("bill", [bad], cost=spoiling(bad))
    found = company.gauges(("1d", "8d"))
    assert company.ledger.rows("SELECT source, day, reason FROM doubt") == [("bill", bad, "defect")]
    assert found["tenant_cost_dollars"][("acme", "compute", "8d")] == 35, "7 of 8 days"
    assert found["tenant_usage"][("acme", "requests", "8d")] == 24, "of every day"
    assert dict(missing_days(company.ledger, "8d"))["bill"] == [bad]
    company.put("bill", [bad], cost=[cost("acme", "5", day=bad)])
    assert company.gauges(("1d", "8d"))["tenant_cost_dollars"][("acme", "compute", "8d")] == 40
    assert company.ledger.rows("SELECT * FROM doubt") == []


def test_where_no_single_source_is_to_blame_the_day_is_unknown_and_the_others_are_served(company: Company) -> None:
    days = days_until(YESTERDAY, 2)
    company.put("bill", days, cost=[cost("acme", "5", day=day) for day in days])
    for source in ("bill", "cluster"):
        company.put(source, days[:1], cost=spoiling(days[0]))
    found = company.gauges(("1d", "2d"))
    assert {source for (source,) in company.ledger.rows("SELECT source FROM doubt")} == {
        "cluster",
        "bill",
        "usage",
        "revenue",
    }
    assert found["tenant_cost_dollars"][("acme", "compute", "2d")] == 5
    assert found["window_complete"] == {("1d",): 1.0, ("2d",): 0.0}


# --------------------------------------------------------------------------- the whole way, from files to pages


Make = Callable[..., Path]

BILL = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,"
    "ServiceName,ServiceCategory,ChargeCategory,Tags\n"
)


def charge(amount: str, currency: str = "USD", month: int = 11) -> str:
    return (
        f"{amount},{amount},{currency},2026-{month}-01T00:00:00Z,2026-{month % 12 + 1:02}-01T00:00:00Z,"
        f'2026-{month}-22T00:00:00Z,2026-{month}-23T00:00:00Z,EC2,Compute,Usage,"{{""tenant"": ""acme""}}"\n'
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(rates: str = "", **files: str) -> Path:
        good = {
            "bill": BILL + charge("50"),
            "mrr": "tenant,mrr\nacme,3000\n",
            "usage": "day,tenant,measure,quantity\n2026-11-22,acme,requests,7\n",
        }
        for name, content in {**good, **files}.items():
            (tmp_path / f"{name}.csv").write_text(content, encoding="utf-8")
        path = tmp_path / "unitcost.yaml"
        path.write_text(
            f"currency: {{code: USD{rates}}}\nhistory: 3d\nwindows: [1d]\nstate_dir: state\nsources:\n"
            "  bill: {type: focus, path: bill.csv}\n"
            "  mrr: {type: csv_revenue, path: mrr.csv}\n"
            "  usage: {type: csv_usage, path: usage.csv}\n"
        )
        return path

    return make


class Run:
    """A configuration over a ledger in a file, refreshed so many times."""

    def __init__(self, path: Path, times: int = 1) -> None:
        self.config, self.directory = load(path)
        current = Current()
        with closing(Ledger(self.config.state_dir)) as ledger:
            refresher = Refresher(self.config, self.directory, ledger, current, lambda: NOW)
            for _ in range(times):
                self.good = refresher.refresh()
            self.up = {runner.name: runner.fine for runner in refresher.runners}
        snapshot = current.get()
        assert snapshot is not None, "something is served"
        self.text = snapshot.text.decode()
        self.page = snapshot.page.decode()

    def check(self) -> str:
        """Return what `unitcost check` prints of the same."""
        out = StringIO()
        check(self.config, self.directory, lambda: NOW, self.config.state_dir, out)
        return out.getvalue()

    def value(self, series: str) -> float | None:
        lines = [line for line in self.text.splitlines() if line.startswith(f"{series} ")]
        return float(lines[0].split()[-1]) if lines else None


BAD_FILES: Mapping[str, tuple[str, dict[str, str], str]] = {
    "mrr": ("mrr", {"mrr": "tenant,mrr\nacme,1e16\n"}, "line 2: mrr &#x27;1e16&#x27; is too large"),
    "usage": (
        "usage",
        {"usage": "day,tenant,measure,quantity\n2026-11-22,acme,requests,9e25\n"},
        "line 2: quantity &#x27;9e25&#x27; is too large",
    ),
    "bill": ("bill", {"bill": BILL + charge("2") + charge("9e19")}, "row 3: EffectiveCost holds &#x27;9e19&#x27;"),
    "sum": ("bill", {"bill": BILL + charge("999999999999999") * 1005}, "comes to 1.005e+18, and more"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_bad_value_in_one_file_is_named_and_the_other_files_are_served(make: Make, what: str) -> None:
    source, files, said = BAD_FILES[what]
    ran = Run(make(**files))
    assert not ran.good
    assert ran.up == {name: name != source for name in ("bill", "mrr", "usage")}
    assert said in ran.page
    assert "value" in ran.text
    assert (ran.value('tenant_mrr_dollars{tenant="acme"}') is None) == (source == "mrr")
    assert (ran.value('tenant_cost_dollars{tenant="acme",component="compute",window="1d"}') is None) == (
        source == "bill"
    )
    assert Run(make()).good, "the corrected file corrects the days it spoke for"


def test_a_ledger_with_poison_says_so_everywhere_and_recovers_by_itself(make: Make, tmp_path: Path) -> None:
    path = make()
    assert Run(path).good
    ledger = Ledger(tmp_path / "state")
    ledger.rows("UPDATE revenue SET mrr = 1e25::DECIMAL(38, 12)")
    ledger.rows("UPDATE usage SET quantity = 9e25::DECIMAL(38, 12)")
    ledger.rows("DELETE FROM derived_day")
    ledger.close()
    # The usage's file no longer reaches the day, so that nothing can replace what the ledger holds of it.
    ran = Run(make(usage="day,tenant,measure,quantity\n2026-11-23,acme,requests,7\n"), times=2)
    assert ran.up == {"bill": True, "mrr": True, "usage": False}
    assert not ran.good
    assert ran.value('tenant_mrr_dollars{tenant="acme"}') == 3000
    assert ran.value('unitcost_source_up{source="usage"}') == 0
    assert ran.value('unitcost_source_errors_total{source="usage",reason="value"}') == 2
    assert ran.value('window_complete{window="1d"}') == 0
    said = "its usage in requests comes to 9e+25, and more than 1e+21 cannot be counted"
    assert said in ran.page
    assert "! usage: the ledger, 2026-11-22: its usage in requests comes to 9e+25" in ran.check()
    assert Run(make()).up == {"bill": True, "mrr": True, "usage": True}


def test_a_rate_that_was_taken_away_leaves_the_other_sources_served(make: Make) -> None:
    bill = BILL + charge("50", "EUR")
    assert Run(make(", rates: {EUR: 2}, as_of: 2026-11-01", bill=bill)).good
    ran = Run(make(bill=bill))
    assert ran.up == {"bill": False, "mrr": True, "usage": True}
    assert ran.value('unitcost_source_errors_total{source="bill",reason="currency"}')
    assert ran.value('tenant_mrr_dollars{tenant="acme"}') == 3000
    assert ran.value('window_complete{window="1d"}') == 0
    assert "holds EUR, which has no rate; add EUR to currency.rates" in ran.check()
    again = Run(make(", rates: {EUR: 2}, as_of: 2026-11-01", bill=bill))
    assert again.value('tenant_cost_dollars{tenant="acme",component="compute",window="1d"}') == 100


def test_a_rate_of_a_billionth_keeps_its_digits(make: Make) -> None:
    mrr = "tenant,mrr,currency\nacme,1000000000,LBP\n"
    ran = Run(make(", rates: {LBP: 0.000000001}, as_of: 2026-11-01", mrr=mrr))
    assert ran.good
    assert ran.value('tenant_mrr_dollars{tenant="acme"}') == 1


def test_a_budget_and_fixed_shares_keep_their_digits(company: Company) -> None:
    shares = {"acme": "0.3333333333333333333333333", "beta": "0.6666666666666666666666667"}
    company.model = replace(
        company.model,
        rules=[(0, {"component": "support"}, "fixed", None)],
        fixed=[(0, tenant, Decimal(share)) for tenant, share in shares.items()],
    )
    company.put("bill", [YESTERDAY], cost=[cost(None, "300000000000000", "support")])
    company.put("revenue", [YESTERDAY], revenue=[mrr("acme", "1000000000000")])
    found = company.gauges(budgets={"default": Budget(share_of_mrr=Decimal("0.0000000001"))})
    assert found["tenant_budget_dollars"][("acme",)] == 100
    served = dict(company.ledger.rows("SELECT tenant, shared FROM tenant_day"))
    assert served == {"acme": Decimal("99999999999999.99999999999"), "beta": Decimal("200000000000000.00000000001")}


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        ("1e11", "must be a number from 0.000000001 to 10000000000"),
        ("1.0e+300", "must be a number from 0.000000001 to 10000000000"),
        ("'1e1000000'", "should be a finite number"),
        ("1.0e-10", "must be a number from 0.000000001 to 10000000000"),
        ("'1e-1000000'", "must be a number from 0.000000001 to 10000000000"),
        ("'1.2345678901234567890'", "must have at most 18 digits, up to 25 of them behind the point"),
        ("'0.00000000100000000000000001'", "must have at most 18 digits, up to 25 of them behind the point"),
        (".nan", "should be a finite number"),
        ("0", "must be a number from 0.000000001 to 10000000000"),
    ],
)
def test_a_rate_that_cannot_be_multiplied_exactly_is_a_mistake_with_its_path(make: Make, rate: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"currency\.rates\.EUR: .*") as caught:
        load(make(f", rates: {{EUR: {rate}}}, as_of: 2026-11-01"))
    assert text in str(caught.value), str(caught.value)


def test_a_derivation_that_finds_no_way_leaves_the_days_as_they_were(company: Company) -> None:
    company.gauges()
    company.ledger.rows("ALTER TABLE tenant_day RENAME TO gone")
    company.put("bill", [YESTERDAY], cost=[cost("acme", "1")])
    with pytest.raises(LedgerError, match=r"nothing can be derived: .* please report it"):
        derive(company.ledger, company.model, NOW, HISTORY)
    company.ledger.rows("ALTER TABLE gone RENAME TO tenant_day")
    [(direct,)] = company.ledger.rows("SELECT sum(direct) FROM tenant_day")
    assert direct == 100, "what was derived before"
