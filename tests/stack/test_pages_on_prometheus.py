"""The pages' own queries on a real Prometheus: days stand on their day, and no panel fails or is empty by mistake."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dashboards.pages.parts import EARLIER
from dashboards.panels import GREY
from tests.fakes.company import Company, cost, mrr
from tests.fakes.pages import UIDS, expressions, filled, midnights, page, panel, panels
from tests.fakes.processes import PrometheusServer, prometheus
from unitcost.cli.backfill import write
from unitcost.config.model import Config
from unitcost.config.sections import Limits
from unitcost.economics.margin import MarginRow, margin_rows
from unitcost.economics.windows import look
from unitcost.ledger.derive import derive
from unitcost.metrics.exposition import Family, openmetrics_head, timed_lines
from unitcost.metrics.families import families
from unitcost.metrics.history import Past
from unitcost.metrics.state import ExporterState
from unitcost.run.setup import terms

pytestmark = pytest.mark.needs("prometheus", "promtool")

COMPONENTS = ("compute", "ai")
FIRST = date(2026, 11, 1)
SCRAPED_FROM = date(2026, 11, 10)
LAST = date(2026, 11, 17)
"""The last day with costs; the exporter runs until the noon after it."""
RESTATED = date(2026, 11, 13)
NO_AI = (date(2026, 11, 6), date(2026, 11, 15))
WINDOWS = ("1d", "30d", "mtd", "last_month")


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(n) for n in range((last - first).days + 1)]


def amounts(day: date, *, restated: bool = True) -> dict[tuple[str, str], Decimal]:
    """Return (tenant, component) → dollars of a day: no two days alike, none of AI on some days."""
    number = (day - FIRST).days
    found = {
        ("acme", "compute"): Decimal(100 + number * number),
        ("beta", "compute"): Decimal(7 * number + 1) / 4,
        ("acme", "ai"): Decimal(20 + 3 * number),
    }
    if day in NO_AI:
        del found["acme", "ai"]
    if day == RESTATED and not restated:
        found["acme", "compute"] -= 50
    return found


def put(company: Company, day: date, *, restated: bool = True) -> None:
    given = [
        cost(name, str(dollars), component, day)
        for (name, component), dollars in amounts(day, restated=restated).items()
    ]
    company.put("bill", [day], cost=given)


def settings() -> Config:
    return Config.model_construct(windows=WINDOWS, limits=Limits(), history=timedelta(days=90))


def said(company: Company, now: datetime) -> list[Family]:
    """Return what an exporter says that has just refreshed."""
    derive(company.ledger, company.model, now, timedelta(days=90))
    look(company.ledger, terms(settings(), company.directory), now)
    return list(families(company.ledger, ExporterState({}, now, with_directory=True)))


def scraped(company: Company) -> list[tuple[float, list[Family]]]:
    """Return (time, page) of scrapes a quarter of an hour apart.

    The exporter refreshes five minutes past: at midnight it still says what it said the day before. The bill of each
    day comes in the night after; one is wrong until the next noon.
    """
    pages = []
    shown: list[Family] = []
    for day in days(SCRAPED_FROM, LAST + timedelta(1)):
        for quarter in range(96 if day <= LAST else 49):
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=15 * quarter)
            pages.append((at.timestamp(), shown))
            if quarter == 0 and day > SCRAPED_FROM:
                put(company, day - timedelta(1), restated=False)
            if quarter == 48 and day - timedelta(1) == RESTATED:
                put(company, RESTATED)
            if quarter in (0, 47, 48):
                shown = said(company, at + timedelta(minutes=5))
    return [(at, shown) for at, shown in pages if shown]


def written(pages: list[tuple[float, list[Family]]], instance: str, file: Path) -> None:
    """Write scrapes as Prometheus would have stored them."""
    rows: dict[Any, list[tuple[Any, ...]]] = {}
    for at, shown in pages:
        for family in shown:
            rows.setdefault(family.metric, []).extend(
                (*row[:-1], "unitcost", instance, row[-1], int(at * 1000)) for row in family.rows
            )
    with file.open("wb") as out:
        for metric, lines in rows.items():
            if metric.type == "gauge" and lines:
                out.write(openmetrics_head(metric).encode())
                labelled = replace(metric, labels=(*metric.labels, "job", "instance"))
                out.write(timed_lines(labelled, sorted(lines, key=lambda line: (*line[:-2], line[-1]))))
        out.write(b"# EOF\n")


def imported(file: Path, data: Path) -> None:
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"]
    subprocess.run([*command, str(file), str(data)], check=True, capture_output=True)


def backfilled(past: Past, begun: Sequence[date], folder: Path) -> None:
    """Import these days for a Prometheus in the folder."""
    for day in begun:
        past.add(day)
    with (folder / "past.om").open("wb") as file:
        write(past, file)
    (folder / "tsdb").mkdir()
    imported(folder / "past.om", folder / "tsdb")


def lived_through(pages: list[tuple[float, list[Family]]], folder: Path) -> None:
    """Import what it has scraped from two exporters, beside what was backfilled."""
    for instance in ("a:9488", "b:9488"):
        written(pages, instance, folder / f"{instance[0]}.om")
        imported(folder / f"{instance[0]}.om", folder / "tsdb")


Report = Mapping[str, Sequence[MarginRow]]


@pytest.fixture(scope="module")
def written_history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """Write a week of backfilled days and a week scraped from two exporters; return what the report says at the end."""
    folder = tmp_path_factory.mktemp("young")
    company = Company(sources=(("bill", "bill", True), ("revenue", "revenue", True)))
    begun = days(FIRST, SCRAPED_FROM - timedelta(1))
    for day in begun:
        put(company, day)
    company.put("revenue", days(FIRST, LAST), revenue=[mrr("acme", "3000", day) for day in days(FIRST, LAST)])
    now = datetime(SCRAPED_FROM.year, SCRAPED_FROM.month, SCRAPED_FROM.day, 0, 5, tzinfo=UTC)
    derive(company.ledger, company.model, now, timedelta(days=90))
    backfilled(Past(company.ledger, terms(settings(), company.directory)), begun, folder)
    lived_through(scraped(company), folder)
    return folder, {window: margin_rows(company.ledger, window) for window in WINDOWS}


@pytest.fixture(scope="module")
def young(written_history: tuple[Path, Report]) -> Iterator[PrometheusServer]:
    """Return a Prometheus with that history."""
    with prometheus(written_history[0], {}) as server:
        yield server


@pytest.fixture(scope="module")
def told(written_history: tuple[Path, Report]) -> Report:
    """Return window → the lines of its report."""
    return written_history[1]


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


NOW = noon(LAST + timedelta(1))


def points(
    server: PrometheusServer, exprs: Sequence[str], start: datetime, end: datetime, hours: float = 0
) -> dict[tuple[str, str], float]:
    """Return (component, day) → value as Grafana's graph shows it: the day is that of the picker's time zone."""
    found: dict[tuple[str, str], float] = {}
    for expr in exprs:
        answer = server.get("query_range", query=expr, **midnights(start.timestamp(), end.timestamp(), hours))
        for series in answer["result"]:
            for at, value in series["values"]:
                day = datetime.fromtimestamp(at + hours * 3600, UTC)
                assert (day.hour, day.minute) == (0, 0), "a point stands on a midnight of the picker's time zone"
                key = series["metric"].get("component", ""), str(day.date())
                assert key not in found, "one query gives something, not both"
                found[key] = float(value)
    return found


def truth(tenant: str | None = None) -> dict[tuple[str, str], float]:
    found = {(component, str(day)): 0.0 for component in COMPONENTS for day in days(FIRST, LAST)}
    for day in days(FIRST, LAST):
        for (name, component), dollars in amounts(day).items():
            if tenant in (None, name):
                found[component, str(day)] += float(dollars)
    return found


def without_zeros(found: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return {key: value for key, value in found.items() if value}


GRAPH = "Daily cost by component, against revenue"
BY_COMPONENT = "{{component}}"
WHO = [("unitcost-economics", "", None), ("unitcost-tenant", "acme", "acme"), ("unitcost-tenant", ".*", None)]


def by_day(uid: str, chosen: str) -> list[str]:
    return expressions(panel(page(uid), GRAPH), BY_COMPONENT, {"tenant": chosen})


@pytest.mark.parametrize(("uid", "chosen", "of"), WHO)
def test_the_point_of_a_day_is_its_cost_backfilled_and_scraped_and_the_total_is_the_ledgers(
    young: PrometheusServer, uid: str, chosen: str, of: str | None
) -> None:
    shown = points(young, by_day(uid, chosen), NOW - timedelta(days=30), NOW)
    assert without_zeros(shown) == pytest.approx(without_zeros(truth(of)))
    assert shown.keys() <= truth(of).keys(), "no other day has a point"
    assert sum(shown.values()) == pytest.approx(sum(truth(of).values()))


ZONES = {"Honolulu": -10, "Los Angeles": -8, "Kathmandu": 5.75, "Tokyo": 9, "Auckland": 13}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("uid", "chosen", "of"), WHO)
def test_days_stand_on_their_day_in_every_time_zone(
    young: PrometheusServer, uid: str, chosen: str, of: str | None, zone: str
) -> None:
    hours = ZONES[zone]
    end = datetime(LAST.year, LAST.month, LAST.day, 23, 59, 59, tzinfo=UTC) - timedelta(hours=hours)
    shown = points(young, by_day(uid, chosen), end - timedelta(days=30), end, hours)
    assert without_zeros(shown) == pytest.approx(without_zeros(truth(of)))


@pytest.mark.parametrize("zone", [*ZONES, "UTC"])
def test_a_past_range_has_all_its_days_on_the_morning_after(young: PrometheusServer, zone: str) -> None:
    """Yesterday, or on the first of a month the previous one: the range ends before its last day was told."""
    hours = ZONES.get(zone, 0)
    for first in (LAST, FIRST, SCRAPED_FROM - timedelta(1)):
        start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(hours=hours)
        end = datetime(LAST.year, LAST.month, LAST.day, 23, 59, 59, tzinfo=UTC) - timedelta(hours=hours)
        shown = points(young, by_day("unitcost-economics", ""), start, end, hours)
        expected = {key: value for key, value in truth().items() if key[1] >= str(first)}
        assert without_zeros(shown) == pytest.approx(without_zeros(expected)), first


def test_a_day_of_the_bill_without_a_component_shows_none_not_the_day_before(young: PrometheusServer) -> None:
    shown = points(young, by_day("unitcost-economics", ""), NOW - timedelta(days=30), NOW)
    assert [shown.get(("ai", str(day)), 0.0) for day in NO_AI] == [0.0, 0.0]


def test_the_revenue_of_a_day_is_on_that_day(young: PrometheusServer) -> None:
    exprs = expressions(panel(page("unitcost-economics"), GRAPH), "revenue", {})
    shown = points(young, exprs, NOW - timedelta(days=30), NOW)
    assert shown == pytest.approx({("", str(day)): 100.0 for day in days(FIRST, LAST)})


def test_the_month_to_date_of_a_day_is_what_its_end_said(young: PrometheusServer) -> None:
    graph = panel(page("unitcost-tenant"), "Month to date, budget and forecast")
    exprs = expressions(graph, "cost so far", {"tenant": "acme"})
    shown = points(young, exprs, NOW - timedelta(days=30), NOW)
    of_acme = {
        day: float(sum(v for (name, _), v in amounts(day).items() if name == "acme")) for day in days(FIRST, LAST)
    }
    for day in of_acme:
        # The bill of a day comes in the night after, so a running exporter knows the days before at its end.
        last = day if day < SCRAPED_FROM else day - timedelta(1)
        if last != RESTATED:
            assert shown["", str(day)] == pytest.approx(sum(of_acme[d] for d in of_acme if d <= last)), day


COMPARED = [
    one["title"]
    for one in panels(page("unitcost-economics"))
    if any(target["legendFormat"] == EARLIER for target in one.get("targets", []))
]


@pytest.mark.parametrize("period", WINDOWS)
def test_without_earlier_figures_nothing_is_compared(young: PrometheusServer, period: str) -> None:
    """Before November nothing is known. Of yesterday and of this month something is, but not in October."""
    assert len(COMPARED) >= 6
    for title in COMPARED:
        one = panel(page("unitcost-economics"), title)
        values = {"tenant": ".*", "period": period}
        [earlier] = expressions(one, EARLIER, values)
        known = bool(young.query(earlier, str(NOW.timestamp())))
        assert known is (period == "1d" and title != "Per request"), title


@pytest.mark.parametrize("period", ["1d", "30d", "mtd"])
def test_figures_are_those_that_the_report_prints(young: PrometheusServer, told: Report, period: str) -> None:
    values = {"tenant": ".*", "period": period}
    total = told[period][-1]
    for title, expected in (("Cost", total.cost), ("Revenue", total.revenue), ("Margin, all cost", total.margin_ratio)):
        [expr] = expressions(panel(page("unitcost-economics"), title), "period", values)
        [found] = young.query(expr, str(NOW.timestamp()))
        assert expected is not None
        assert float(found["value"][1]) == pytest.approx(float(expected), abs=0.005), title
    customers = panel(page("unitcost-economics"), "Customers")["targets"]
    shown = {
        series["metric"]["tenant"]: float(series["value"][1])
        for series in young.query(filled(customers[1]["expr"], values), str(NOW.timestamp()))
    }
    assert shown == pytest.approx({line.tenant: float(line.cost or 0) for line in told[period] if line.tenant})


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus that has scraped nothing yet."""
    with prometheus(tmp_path_factory.mktemp("nothing"), {}) as server:
        yield server


@pytest.mark.parametrize("uid", UIDS)
def test_where_nothing_is_known_nothing_is_said_to_be_fine(nothing: PrometheusServer, uid: str) -> None:
    values = {"tenant": ".*", "dimension": "feature", "period": "30d", "month": "2026-10"}
    for one in panels(page(uid)):
        for target in one.get("targets", []):
            assert nothing.query(filled(target["expr"], values), str(NOW.timestamp())) == [], one["title"]
        if one["type"] in ("row", "text"):
            continue
        fields = one["fieldConfig"]["defaults"]
        if one["type"] not in ("stat", "bargauge"):
            assert re.search(r"\bknown\b", fields["noValue"]), one["title"]
            continue
        # Without this mapping it would have the colour of the first threshold, often green.
        [grey] = [mapping["options"] for mapping in fields["mappings"] if mapping["type"] == "special"]
        assert grey["match"] == "null+nan"
        assert (grey["result"]["text"], grey["result"]["color"]) == (fields["noValue"], GREY)
        assert len(fields["noValue"]) <= 14, "it fits the narrowest figure"
        assert f"{fields['noValue'].capitalize()}: " in one["description"], "what the word means is said"


def test_where_the_exporter_restarts_or_the_past_is_chosen_figures_stay_and_count_once(young: PrometheusServer) -> None:
    sums = panel(page("unitcost-economics"), "Does it add up to the invoices?")
    for at, last in (
        (NOW, LAST),
        (NOW + timedelta(minutes=4), LAST),  # so long after the last scrape
        (noon(SCRAPED_FROM - timedelta(2)), SCRAPED_FROM - timedelta(2)),  # among backfilled days
    ):
        # A ledger of a few days has no past 30 days, but the months' figures are read in the same way.
        asked_for = [filled(target["expr"], {"period": "mtd"}) for target in sums["targets"]]
        found = [float(young.query(expr, str(at.timestamp()))[0]["value"][1]) for expr in asked_for]
        whole = round(sum(value for (_, day), value in truth().items() if day <= str(last)), 2)
        assert found == pytest.approx([whole, 0.0, whole, 0.0]), at
