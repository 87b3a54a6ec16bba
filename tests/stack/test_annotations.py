"""The events on the pages, asked of a real Prometheus: each is one mark, on its day, with its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.fakes.annotations import Mark, annotation, marks
from tests.fakes.company import YESTERDAY, Company, cost, days_until, mrr
from tests.fakes.pages import UIDS, filled, page, panels
from tests.fakes.processes import PrometheusServer, prometheus
from tests.fakes.promql_names import Reading, everything
from tests.stack.test_pages_on_prometheus import backfilled, lived_through, noon, said, settings
from unitcost.config.directory import Directory, Tenant
from unitcost.facts import Usage
from unitcost.metrics import catalogue as c
from unitcost.metrics import catalogue_exporter as x
from unitcost.metrics.exposition import Family
from unitcost.metrics.history import Past
from unitcost.run.setup import terms

DAYS = days_until(YESTERDAY, 45)
CHANGED, LAUNCHED, RESTATED, LEFT = DAYS[20], DAYS[21], DAYS[10], DAYS[31]
CAME = DAYS[25]
SCRAPED_FROM = DAYS[34]
NAME = 'R&D "Labs" {{text}} \\ $tenant <b>'
PRICES, CUSTOMERS = "Price and plan changes", "Customers that came or left"
DAYS_AGAIN, VALUES, DOWN = "Restated days", "New values of dimensions", "Sources down"

each_page = pytest.mark.parametrize("uid", UIDS)


# as written


@each_page
def test_graphs_of_days_have_switches_for_what_happened_and_no_other_panel_has(uid: str) -> None:
    board = page(uid)
    days = [one["id"] for one in panels(board) if one["type"] == "timeseries" and one["interval"] == "1d"]
    found = board["annotations"]["list"]
    assert [one["name"] for one in found] == ([PRICES, CUSTOMERS, DAYS_AGAIN, VALUES, DOWN] if days else [])
    assert len({one["iconColor"] for one in found}) == len(found)
    for one in found:
        assert one["enable"] is True
        assert one["hide"] is False, "the switch is shown"
        assert one["filter"] == {"exclude": False, "ids": days}
        assert one["datasource"] == one["target"]["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert (one["target"]["expr"], one["target"]["interval"]) == (one["expr"], one["step"]), "of Grafana 11 and 12"
        assert one["target"]["range"] is not one["target"]["instant"]
        assert len(one["expr"]) < 600


@each_page
def test_what_an_annotation_asks_for_is_in_the_catalogue_and_its_text_is_known(uid: str) -> None:
    values = {"tenant": "acme", "__to": "1763900000", "__interval": "900s"}
    chooses = any(one["name"] == "tenant" for one in page(uid)["templating"]["list"])
    for one in page(uid)["annotations"]["list"]:
        reading = Reading(filled(one["expr"], values), everything())
        assert reading.problems == []
        assert set(re.findall(r"\{\{(\w+)\}\}", one["textFormat"])) <= reading.labels
        assert ("$tenant" in one["expr"]) == (chooses and one["name"] in (PRICES, CUSTOMERS))


# as drawn


NOW = noon(YESTERDAY + timedelta(1))
OUTAGES = (
    (noon(DAYS[38]), noon(DAYS[38]) + timedelta(hours=5)),
    (noon(DAYS[41]), noon(DAYS[41]) + timedelta(minutes=15)),
)
"""When the bill is down: from the first scrape that says so to the last."""


def deliver(company: Company, days: list[date], **restated: str) -> None:
    for day in days:
        rows = [cost(name, restated.get("amount", "40"), day=day) for name in ("acme", "beta")]
        if day >= LAUNCHED:
            rows.append(replace(cost("acme", "520", "ai", day), dimensions={"feature": "assistant"}))
        company.put("bill", [day], cost=rows)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Return a Prometheus with a month of backfilled days and then twelve that two exporters were scraped."""
    folder = tmp_path_factory.mktemp("events")
    people = (Tenant("acme", "Acme Corp", "pro", "active", None, ()), Tenant("rnd", NAME, "", "active", None, ()))
    company = Company(
        directory=Directory(people),
        sources=[("bill", "bill", True), ("revenue", "revenue", True), ("usage", "usage", True)],
    )
    revenue = [mrr("acme", "299" if day < CHANGED else "349", day) for day in DAYS]
    revenue += [mrr("beta", "49", day) for day in DAYS if day < LEFT]
    revenue += [mrr("rnd", "9", day) for day in DAYS if day >= CAME]
    company.put_all("revenue", DAYS, revenue=revenue)
    used = [Usage(day, "beta", "requests", Decimal(1)) for day in DAYS if day < LEFT]
    company.put_all("usage", DAYS, usage=used)
    begun = [day for day in DAYS if day < SCRAPED_FROM]
    deliver(company, begun)
    said(company, noon(DAYS[29]))
    deliver(company, [RESTATED], amount="90")
    said(company, noon(SCRAPED_FROM))
    backfilled(Past(company.ledger, terms(settings(), company.directory), noon(SCRAPED_FROM)), begun, folder)
    deliver(company, DAYS[len(begun) :])
    pages = []
    for day in [*DAYS[len(begun) :], NOW.date()]:
        events = [family for family in said(company, noon(day)) if family.metric is c.EVENT]
        for quarter in range(-48, 48 if day < NOW.date() else 1):
            at = noon(day) + timedelta(minutes=15 * quarter)
            down = any(begins <= at <= ends for begins, ends in OUTAGES)
            up = Family(x.SOURCE_UP, [("bill", float(not down)), ("usage", 1.0)])
            pages.append((at.timestamp(), [*events, up, Family(x.BUILD_INFO, [("1", 1.0)])]))
    lived_through(pages, folder)
    with prometheus(folder, {}) as running:
        yield running


def on(day: date, text: str) -> Mark:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Mark(midnight, midnight, text)


PRICE = on(CHANGED, "Subscription changed: Acme Corp, MRR $299 → $349")
NEW = on(CAME, 'New customer: R&D "Labs" {{text}} \\ $tenant ‹b›, MRR $9.00')
GONE = on(LEFT, "Customer gone: beta, MRR was $49")
STOPPED = on(LEFT, "Subscription changed: beta, MRR $49 → $0")
FEATURE = on(LAUNCHED, "New feature: assistant, $520 on its first day")
AGAIN = on(RESTATED, "Restated: 19 October 2026, cost $80 → $180 since 12 November 2026")


def drawn(
    server: PrometheusServer, uid: str, name: str, end: datetime = NOW, tenant: str = "", days: int = 60
) -> list[Mark]:
    return marks(server, annotation(page(uid), name), end - timedelta(days=days), end, {"tenant": tenant})


@pytest.mark.needs("prometheus", "promtool")
def test_every_event_of_the_company_is_one_mark_on_its_day(server: PrometheusServer) -> None:
    found = {name: drawn(server, "unitcost-economics", name) for name in (PRICES, CUSTOMERS, DAYS_AGAIN, VALUES)}
    assert found == {PRICES: [PRICE], CUSTOMERS: [NEW, GONE], DAYS_AGAIN: [AGAIN], VALUES: [FEATURE]}


@pytest.mark.needs("prometheus", "promtool")
@pytest.mark.parametrize(
    ("chosen", "prices", "customers"),
    [
        ("acme", [PRICE], []),
        ("rnd", [], [NEW]),
        ("(acme|beta)", [PRICE], [GONE]),
        ("acm", [], []),
        (".*", [PRICE], [NEW, GONE]),
    ],
)
def test_where_customers_are_chosen_theirs_are_shown_and_of_all_the_companys(
    server: PrometheusServer, chosen: str, prices: list[Mark], customers: list[Mark]
) -> None:
    assert drawn(server, "unitcost-tenant", PRICES, tenant=chosen) == prices
    assert drawn(server, "unitcost-tenant", CUSTOMERS, tenant=chosen) == customers
    assert drawn(server, "unitcost-tenant", VALUES, tenant=chosen) == [FEATURE]


@pytest.mark.needs("prometheus", "promtool")
@pytest.mark.parametrize(
    ("end", "days", "prices"),
    [
        (noon(CHANGED), 10, [PRICE]),  # backfilled: the day before the end is drawn, so what happened on it is too
        (noon(CHANGED) + timedelta(days=7), 10, [PRICE]),
        (noon(CHANGED) + timedelta(days=7), 5, []),
        (noon(DAYS[35]), 10, [STOPPED]),  # scraped, before a week had passed
    ],
)
def test_a_range_of_the_past_shows_what_was_known_a_day_after_it(
    server: PrometheusServer, end: datetime, days: int, prices: list[Mark]
) -> None:
    assert drawn(server, "unitcost-economics", PRICES, end, days=days) == prices


@pytest.mark.needs("prometheus", "promtool")
def test_marks_stay_while_the_exporter_is_down_for_less_than_an_hour(server: PrometheusServer) -> None:
    assert drawn(server, "unitcost-economics", VALUES, NOW + timedelta(minutes=50)) == [FEATURE]
    assert drawn(server, "unitcost-economics", VALUES, NOW + timedelta(minutes=70)) == []


@pytest.mark.needs("prometheus", "promtool")
@pytest.mark.parametrize("days", [5, 60, 300])
def test_a_source_that_was_down_is_one_region_an_outage(server: PrometheusServer, days: int) -> None:
    found = drawn(server, "unitcost-data", DOWN, days=days)
    assert [mark.text[:5] for mark in found] == ["bill:"] * (2 if days > 5 else 1)
    step = max(timedelta(minutes=15), timedelta(days=days) / 1600)
    for mark, (begins, ends) in zip(found, OUTAGES[-len(found) :], strict=True):
        assert begins <= mark.begins <= begins + step
        assert ends <= mark.ends <= ends + step
