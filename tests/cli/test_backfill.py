"""The history as promtool imports it and a real Prometheus answers with it: each day's cost on its own day."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser

from tests.fakes.opencost import record
from tests.fakes.processes import PrometheusServer, exporter, prometheus, wait_for
from tests.fakes.stored import utc
from unitcost.cli import backfill as command
from unitcost.cli.main import main
from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.days import PREVIOUS, is_window
from unitcost.errors import LedgerError
from unitcost.facts import Batch, Cost
from unitcost.ledger.copied import copied
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.store import Ledger
from unitcost.metrics import catalogue
from unitcost.metrics.history import Past
from unitcost.metrics.metric import Metric, Select
from unitcost.run.setup import terms

NOW = utc(2026, 11, 23, 9)
FIRST = date(2026, 9, 20)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(1)
GAP = date(2026, 10, 10)
RESTATED = date(2026, 11, 18)
LATELY = ("--from", "2026-11-17")
CONFIG = """
tenants: {key: tenant}
history: 90d
sources:
  cluster: {type: opencost, path: opencost}
  revenue: {type: csv_revenue, path: mrr.csv}
  usage: {type: csv_usage, path: usage.csv}
sharing: [{match: {component: idle}, by: direct_cost}]
plans: {pro: {target_margin: 0.5}}
budgets: {default: {share_of_mrr: 0.5}}
"""
OF_DAY = "last_over_time({metric}[23h] offset -2d)"
"""What was said on the day after: evaluated at the midnight that begins a day, it is of that day."""

parse_openmetrics: Callable[[str], Iterable[Any]] = openmetrics_parser.text_string_to_metric_families
"""The strict parser of the format's authors."""

Labels = frozenset[tuple[str, str]]
Samples = Mapping[str, Mapping[Labels, Sequence[tuple[float, float]]]]


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(n) for n in range((last - first).days + 1)]


def cents(day: date, tenant: str) -> Decimal:
    """A cost that no other day has."""
    return Decimal(100 + (day - date(2026, 1, 1)).days * 3 + len(tenant)) / 4


def write(folder: Path, first: date = FIRST, last: date = TODAY, gap: date | None = GAP) -> None:
    """Write a company of two tenants: costs since `first`, MRR three weeks later, requests five weeks later."""
    (folder / "unitcost.yaml").write_text(CONFIG)
    for day in days(first, last):
        if day != gap:
            record(folder, day, {tenant: cents(day, tenant) for tenant in ("acme", "beta")})
    as_of = first + timedelta(21)
    (folder / "mrr.csv").write_text(f"tenant,mrr,currency,plan,as_of\nacme,9000,USD,pro,{as_of}\n")
    usage = [f"{day},acme,requests,1000" for day in days(first + timedelta(35), last)]
    (folder / "usage.csv").write_text("\n".join(["day,tenant,measure,quantity", *usage]) + "\n")


def run(folder: Path, *args: str, as_of: datetime = NOW, output: str = "past.om") -> int:
    given = ["--config", str(folder / "unitcost.yaml"), "--output", str(folder / output), *args]
    return main(["backfill", "--as-of", as_of.isoformat(), *given])


def read(path: Path) -> Samples:
    """Return name → labels → (Unix time, value) of a file."""
    found: dict[str, dict[Labels, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for family in parse_openmetrics(path.read_text()):
        for sample in family.samples:
            assert sample.timestamp is not None
            found[sample.name][frozenset(sample.labels.items())].append((float(sample.timestamp), sample.value))
    return found


def in_window(samples: Samples, metric: Metric, window: str) -> set[date]:
    """Return the days that a metric has samples of for a window."""
    return {
        datetime.fromtimestamp(at, UTC).date()
        for labels, series in samples[metric.name].items()
        if ("window", window) in labels
        for at, _ in series
    }


def ledger_costs(folder: Path) -> dict[date, float]:
    ledger = Ledger(folder / "state")
    try:
        return {
            day: float(cost)
            for day, cost in ledger.rows("SELECT day, sum(direct + shared) FROM tenant_day GROUP BY day")
        }
    finally:
        ledger.close()


def imported(folder: Path, output: str = "past.om") -> None:
    command = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics"]
    subprocess.run([*command, str(folder / output), str(folder / "tsdb")], check=True, capture_output=True)


def by_day(server: PrometheusServer, first: date, last: date) -> dict[date, float]:
    """Ask like a page with a step of a day: what all tenants together cost, by day."""
    said = OF_DAY.format(metric=f'{catalogue.TENANT_COST.name}{{window="1d"}}')
    answer = server.get(
        "query_range",
        query=f"sum(max by (tenant, component) ({said}))",
        start=f"{first}T00:00:00Z",
        end=f"{last}T00:00:00Z",
        step="86400",
    )
    [series] = answer["result"]
    return {datetime.fromtimestamp(at, UTC).date(): float(value) for at, value in series["values"]}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company whose whole past is in past.om; not to be changed."""
    folder = tmp_path_factory.mktemp("told")
    write(folder)
    assert run(folder) == 0
    return folder


@pytest.fixture
def company(told: Path, tmp_path: Path) -> Path:
    """The same company with its ledger, to be changed."""
    return shutil.copytree(told, tmp_path / "company")


def restate(folder: Path) -> None:
    record(folder, RESTATED, {"acme": Decimal(7), "beta": Decimal(1)})


@pytest.mark.needs("prometheus", "promtool")
def test_the_point_of_a_day_is_the_ledgers_cost_of_it_and_a_restated_day_replaces_what_was_imported(
    company: Path,
) -> None:
    imported(company)
    costs = ledger_costs(company)
    del costs[TODAY], costs[YESTERDAY]  # said today, by the running exporter
    with prometheus(company, {}) as server:
        found = by_day(server, FIRST - timedelta(3), TODAY)
    assert set(found) == set(costs) == {*days(FIRST, YESTERDAY - timedelta(1))} - {GAP}
    assert found == pytest.approx(costs, rel=1e-12)
    assert sum(found.values()) == pytest.approx(sum(costs.values()), rel=1e-12)

    restate(company)
    assert run(company, *LATELY, as_of=NOW + timedelta(hours=1), output="again.om") == 0
    imported(company, "again.om")
    with prometheus(company, {}) as server:
        again = by_day(server, FIRST, YESTERDAY)
    assert found[RESTATED] > 9
    assert again == pytest.approx(found | {RESTATED: 9.0}, rel=1e-12)


@pytest.mark.needs("prometheus", "promtool")
def test_backfilled_and_scraped_days_are_one_row_of_days_while_the_exporter_holds_the_ledger(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    if now.hour == 0:
        pytest.skip("what is said in the first hour of a day is not asked for: it may still be of the day before")
    first = now.date() - timedelta(12)
    write(tmp_path, first, now.date(), gap=None)
    with exporter(tmp_path) as unitcost:
        wait_for(unitcost.ready, "the first snapshot")
        assert run(tmp_path, as_of=datetime.now(UTC)) == 0
        assert "another process holds the ledger: this is of a copy of it" in capfd.readouterr().err
        imported(tmp_path)
        with prometheus(tmp_path, {"unitcost": unitcost.url.removeprefix("http://")}) as server:
            wait_for(lambda: server.has(catalogue.TENANT_COST.name), "a scrape")
            found = by_day(server, first - timedelta(2), now.date())
    costs = ledger_costs(tmp_path)
    del costs[now.date()]
    assert found == pytest.approx(costs, rel=1e-12)
    assert list(found) == days(first, now.date() - timedelta(1))
    assert not list(tmp_path.glob(".unitcost-ledger-*"))


def test_the_file_is_strict_openmetrics_with_a_sample_a_day(told: Path) -> None:
    text = (told / "past.om").read_bytes()
    samples = read(told / "past.om")
    assert text.endswith(b"\n# EOF\n")
    for line in (b"# HELP tenant_cost_dollars ", b"# TYPE tenant_cost_dollars ", b"# UNIT tenant_cost_dollars "):
        assert text.count(line) == 1
    of_the_past = {metric.name for metric in catalogue.ALL if isinstance(metric.filled, Select)}
    assert set(samples) <= of_the_past
    assert {metric.name for metric in catalogue.ALL} - of_the_past == {
        *(
            f"unitcost_source_{name}"
            for name in (
                "up",
                "last_success_timestamp_seconds",
                "rows",
                "errors_total",
                "paid_requests_total",
                "former_settings",
                "similar_tags_dollars",
            )
        ),
        "unitcost_source_refresh_duration_seconds",
        "unitcost_snapshot_timestamp_seconds",
        "restated_cost_dollars",
        "unitcost_config_last_reload_successful",
        "unitcost_config_last_reload_success_timestamp_seconds",
        "unitcost_unknown_tenants",
        "unitcost_events_left_out",
        "unitcost_build_info",
    }
    for series in samples.values():
        for points in series.values():
            assert [at for at, _ in points] == sorted(at for at, _ in points)
            assert len({at // 86_400 for at, _ in points}) == len(points)
            assert all(3_600 < at % 86_400 < 7_200 for at, _ in points)


def test_an_event_is_told_from_its_day_on(company: Path) -> None:
    changed = date(2026, 11, 18)
    with (company / "mrr.csv").open("a") as file:
        file.write(f"acme,9900,USD,pro,{changed}\n")
    assert run(company, *LATELY) == 0
    told = read(company / "past.om")[catalogue.EVENT.name]
    midnight = datetime.combine(changed, time(), UTC).timestamp()
    assert [sorted(dict(labels)["tenant"] for labels in told)] == [["", "acme"]]
    for labels, points in told.items():
        assert dict(labels)["text"] == "Subscription changed: acme, MRR $9,000 → $9,900"
        assert [datetime.fromtimestamp(at, UTC).date() for at, _ in points] == days(changed, YESTERDAY)
        assert {value for _, value in points} == {midnight}


def test_the_same_ledger_gives_the_same_bytes(company: Path) -> None:
    assert run(company, *LATELY) == 0
    text = (company / "past.om").read_bytes()
    assert run(company, *LATELY, as_of=NOW + timedelta(minutes=10), output="again.om") == 0
    assert (company / "again.om").read_bytes() == text


def test_only_days_whose_windows_hold_a_restated_day_are_said_anew_and_later(company: Path) -> None:
    before = read(company / "past.om")
    restate(company)
    assert run(company, *LATELY, as_of=NOW + timedelta(hours=1)) == 0
    after = read(company / "past.om")
    changed: set[date] = set()
    for name, series in after.items():
        for labels, points in series.items():
            for (at, value), (later, new) in zip(before[name][labels][-len(points) :], points, strict=True):
                day = datetime.fromtimestamp(at, UTC).date()
                assert datetime.fromtimestamp(later, UTC).date() == day
                if later == at:
                    assert value == new
                else:
                    assert later - at == pytest.approx(0.036, abs=1e-4)  # a millisecond for every 100 seconds
                    changed.add(day)
    assert changed == {*days(RESTATED, YESTERDAY)}


def test_a_window_is_written_once_all_its_days_are_known(told: Path) -> None:
    samples = read(told / "past.om")
    cost = catalogue.TENANT_COST
    assert in_window(samples, cost, "1d") == {*days(FIRST + timedelta(1), YESTERDAY)} - {GAP + timedelta(1)}
    assert min(in_window(samples, cost, "30d")) == FIRST + timedelta(30)
    assert min(in_window(samples, cost, "mtd")) == date(2026, 10, 1)
    assert min(in_window(samples, cost, "last_month")) == date(2026, 11, 1)
    assert min(in_window(samples, catalogue.BILL, "30d")) == FIRST + timedelta(30)
    assert min(in_window(samples, catalogue.WINDOW_COMPLETE, "30d")) == FIRST + timedelta(30)
    revenue = FIRST + timedelta(21)
    for metric in (catalogue.TENANT_REVENUE, catalogue.TENANT_MARGIN, catalogue.PLATFORM_MARGIN_RATIO):
        assert min(in_window(samples, metric, "1d")) == revenue + timedelta(1)
        assert min(in_window(samples, metric, "30d")) == revenue + timedelta(30)
    requests = FIRST + timedelta(35)
    for metric in (catalogue.COST_PER_REQUEST, catalogue.TENANT_USAGE, catalogue.PLATFORM_COST_PER_REQUEST):
        assert min(in_window(samples, metric, "1d")) == requests + timedelta(1)
        assert in_window(samples, metric, "30d") == set()
    mrr = {datetime.fromtimestamp(at, UTC).date() for at, _ in samples[catalogue.TENANT_MRR.name][TENANT]}
    assert mrr == {*days(revenue, YESTERDAY)}
    used = samples[catalogue.TENANT_BUDGET_USED.name][TENANT]
    assert datetime.fromtimestamp(used[0][0], UTC).date() == revenue


TENANT: Labels = frozenset({("tenant", "acme")})


def test_a_past_day_says_what_the_exporter_said_when_it_ended(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = date(2026, 11, 20)
    past = {
        (name, labels): value
        for name, series in read(told / "past.om").items()
        for labels, points in series.items()
        for at, value in points
        if datetime.fromtimestamp(at, UTC).date() == day
    }
    write(tmp_path, last=day)
    assert main(["serve", "--once", "--config", str(tmp_path / "unitcost.yaml"), "--as-of", f"{day}T23:59:59Z"]) == 0
    said = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_openmetrics(f"{capsys.readouterr().out}# EOF\n")
        for sample in family.samples
    }
    assert past == {key: said[key] for key in past}
    left_out = {
        (name, dict(labels)["window"])
        for name, labels in said.keys() - past.keys()
        if not name.startswith("unitcost_") and is_window(dict(labels)["window"].removeprefix(PREVIOUS))
    }
    # Usage is known since 25 October, MRR since the 11th. Closed months are windows of now, and left out too.
    assert {window for _, window in left_out} == {"30d", "last_month", "prev_last_month"}
    assert not {name for name, _ in left_out} & {catalogue.TENANT_COST.name, catalogue.BILL.name}


def test_days_are_said_from_the_first_known_one_and_only_those_asked_for(company: Path) -> None:
    assert run(company, "--from", "2026-01-01", "--to", "2026-09-23") == 0
    assert in_window(read(company / "past.om"), catalogue.TENANT_COST, "1d") == {
        *days(date(2026, 9, 21), date(2026, 9, 23))
    }
    assert run(company, "--from", "2026-10-11", "--to", "2026-10-12") == 0
    assert in_window(read(company / "past.om"), catalogue.TENANT_COST, "1d") == {date(2026, 10, 12)}


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--from", "2026-11-05", "--to", "2026-11-04"], 2, "--from 2026-11-05: is after --to 2026-11-04"),
        (["--to", "2026-11-23"], 2, "--to 2026-11-23: today and later days are for the running exporter"),
        (["--from", "2026-11-25"], 2, "--from 2026-11-25: is after --to 2026-11-22"),
        (["--from", "yesterday"], 2, "'yesterday' is no day; write 2026-11-01"),
        (["--output", "nowhere/past.om"], 2, "there is no folder nowhere"),
        (["--output", "."], 2, "--output .: is a folder; name a file"),
        (
            ["--to", "2026-09-01"],
            1,
            "the ledger says nothing of any day to 2026-09-01: it knows 2026-09-20 to 2026-11-23",
        ),
    ],
)
def test_what_cannot_be_is_said_and_no_file_is_written(
    company: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(company)
    (company / "past.om").unlink()
    assert run(company, *args) == code
    assert said in capsys.readouterr().err
    assert not list(company.glob("past.om*"))


def test_without_an_output_the_usage_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backfill", "--sample"]) == 2
    assert "--output" in capsys.readouterr().err


def test_a_failing_source_is_told_and_the_rest_is_written(company: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (company / "usage.csv").write_text("day,tenant\n")
    assert run(company, *LATELY) == 1
    assert "usage: " in capsys.readouterr().err
    assert in_window(read(company / "past.om"), catalogue.TENANT_COST, "1d")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_until_the_file_is_whole_the_old_one_stays(
    company: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    (company / "past.om").write_text("old")
    seen = []

    def lines(*_: object) -> bytes:
        seen.append((company / "past.om").read_text())
        if len(seen) == 3:
            raise error
        return b"half"

    monkeypatch.setattr(command, "timed_lines", lines)
    code = run(company, *LATELY)
    assert seen == ["old"] * 3
    assert (company / "past.om").read_text() == "old"
    assert not list(company.glob("past.om.*"))
    if isinstance(error, OSError):
        assert code == 1
        assert "past.om: cannot be written: [Errno 28] No space left on device" in capsys.readouterr().err


def test_what_begins_later_than_the_file_is_said(company: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(company, "--from", "2026-10-20", "--to", "2026-10-21") == 0
    said = "usage requests: known as a whole since 2026-10-25; windows that begin before that are left out"
    assert capsys.readouterr().err.splitlines() == [said]
    config = (company / "unitcost.yaml").read_text().replace("sources:\n", f"sources:\n  bill: {LATE_BILL}\n")
    (company / "unitcost.yaml").write_text(config)
    (company / "bill").mkdir()
    assert run(company, "--from", "2026-10-20", "--to", "2026-10-21") == 1
    assert "costs: a required source knows no day, so nothing of it is written" in capsys.readouterr().err
    assert catalogue.TENANT_COST.name not in read(company / "past.om")


LATE_BILL = "{type: focus, path: bill}"
MODEL = Model([("bill", "bill", True)], [], [("USD", Decimal(1))], [], [], [], [])
MINIMAL = Config.model_validate({"sources": {}})


def put(ledger: Ledger, key: str, costs: Mapping[date, str]) -> None:
    rows = [Cost(day, "acme", "s", "compute", Decimal(cost), "USD", None, {}) for day, cost in costs.items()]
    ledger.put("bill", "", Batch(key, list(costs), cost=rows), NOW, {"USD": Decimal(1)})


def times(ledger: Ledger, past_days: Sequence[date]) -> list[float]:
    """Return seconds after 01:00:01 of each day's samples."""
    past = Past(ledger, terms(MINIMAL, Directory()))
    for day in past_days:
        past.add(day)
    found = sorted({row[-1] for rows in past.samples(catalogue.TENANTS) for row in rows})
    return [
        at / 1000 - datetime.combine(day, time(1, 0, 1), UTC).timestamp()
        for day, at in zip(past_days, found, strict=True)
    ]


def test_the_clock_may_stand_still_and_what_changed_is_later_all_the_same() -> None:
    ledger = Ledger(None)
    told = days(date(2026, 11, 20), YESTERDAY)
    put(ledger, "2026-11", dict.fromkeys(told, "1"))
    derive(ledger, MODEL, NOW, timedelta(90))
    first = times(ledger, told)
    put(ledger, "2026-11", dict.fromkeys(told, "1") | {told[1]: "2"})
    derive(ledger, MODEL, NOW, timedelta(90))
    derive(ledger, MODEL, NOW, timedelta(90))
    assert times(ledger, told) == pytest.approx([first[0], first[1] + 0.001, first[2] + 0.001])


def test_a_day_that_vanished_makes_later_what_spoke_of_it() -> None:
    ledger = Ledger(None)
    told = days(date(2026, 11, 20), YESTERDAY)
    put(ledger, "2026-11", dict.fromkeys(told, "1"))
    derive(ledger, MODEL, NOW, timedelta(90))
    first = times(ledger, told)
    put(ledger, "2026-11", {told[0]: "1", told[2]: "1"})
    for _ in range(2):
        derive(ledger, MODEL, NOW + timedelta(seconds=1000), timedelta(90))
        assert times(ledger, told) == pytest.approx([first[0], first[1] + 0.01, first[2] + 0.01])


def test_a_ledger_of_an_older_version_is_taken_over_and_its_samples_stand_in_the_morning(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    told = days(date(2026, 11, 20), YESTERDAY)
    put(ledger, "2026-11", dict.fromkeys(told, "1"))
    derive(ledger, MODEL, NOW, timedelta(90))
    ledger.rows("DROP TABLE changed_day")
    ledger.close()
    again = Ledger(tmp_path)
    assert derive(again, MODEL, NOW, timedelta(90)) == []
    assert times(again, told) == [0.0, 0.0, 0.0]
    assert again.rows("SELECT sum(direct) FROM tenant_day") == [(Decimal(3),)]
    again.close()


def test_a_ledger_that_never_stands_still_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written_meanwhile(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())
        os.utime(source)

    monkeypatch.setattr(shutil, "copyfile", written_meanwhile)
    with (
        closing(Ledger(tmp_path / "state")),
        pytest.raises(LedgerError, match="wrote all the time"),
        copied(tmp_path / "state" / FILE_NAME, tmp_path, 0.5),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
