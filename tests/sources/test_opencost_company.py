"""OpenCost as it runs in companies: several clusters behind one, costs that are null, partial first loads, twins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.company import RATES, YESTERDAY, Company, cost
from tests.fakes.opencost import DATA, Replay, dumped, loaded, recorded
from tests.fakes.server import Fake, Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.errors import SourceError
from unitcost.facts import Batch, Cost, Note, Problem, Resource
from unitcost.ledger.store import Ledger
from unitcost.sources.base import Context
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost

NOW = utc(2026, 11, 23, 0, 5)
DAY = "2026-11-22"
WINDOW = {"start": f"{DAY}T00:00:00Z", "end": "2026-11-23T00:00:00Z"}


COMPANY = DATA / "opencost-company"
HERE = {"folder": COMPANY}


def rebuilt(name: str) -> bytes:
    """Return an answer as OpenCost gave it where several clusters share it, or its Prometheus hit a limit."""
    return (COMPANY / name).read_bytes()


@contextmanager
def opencost(replay: Callable[[Request], Reply], context: Context | None = None, **settings: Any) -> Any:
    with serve(replay) as fake:
        given = OpenCostSettings.model_validate({"type": "opencost", "url": fake.url, **settings})
        yield OpenCost("shared", given, context or Context(), pause=lambda _: None), fake


def answered(replay: Callable[[Request], Reply], **settings: Any) -> tuple[list[Batch | Problem | Note], Fake]:
    with opencost(replay, **settings) as (reader, fake):
        return list(reader.batches(asked(NOW, YESTERDAY))), fake


def problem_of(found: Iterable[object]) -> Problem:
    [problem] = [item for item in found if isinstance(item, Problem)]
    return problem


def batch_of(found: Iterable[object]) -> Batch:
    [batch] = [item for item in found if isinstance(item, Batch)]
    return batch


def rows_of(found: Iterable[object]) -> list[Cost]:
    batch = batch_of(found)
    assert isinstance(batch.cost, list)
    return batch.cost


def entry(cluster: str | None, **costs: float | None) -> dict[str, Any]:
    return {"properties": {"cluster": cluster} if cluster else {}, "window": WINDOW, "minutes": 1440, **costs}


def node(cluster: str, **costs: float) -> dict[str, Any]:
    given = {"cpuCost": 0.0, "ramCost": 0.0, "gpuCost": 0.0, **costs}
    total = sum(given.values())
    properties = {"cluster": cluster, "providerID": f"i-{cluster}"}
    return {"type": "Node", "properties": properties, "window": WINDOW, "totalCost": total, **given}


def shared(assets: dict[str, Any] | None = None, **more: dict[str, Any]) -> Replay:
    """Answer for the clusters east and west, whose idle cost OpenCost merges into one entry."""
    entries = {
        "east/acme": entry("east", cpuCost=122.28),
        "west/gamma": entry("west", cpuCost=10.54),
        "__idle__": entry(None, cpuCost=24.46),
        **more,
    }
    nodes = assets or {"a": node("east", cpuCost=142.28), "b": node("west", cpuCost=15.0)}
    return Replay({DAY: [dumped({"code": 200, "data": [entries]})]}, {DAY: [dumped({"code": 200, "data": nodes})]})


# --- several clusters


def test_merged_idle_is_divided_by_the_clusters_nodes_less_their_workloads_with_one_request_more() -> None:
    found, fake = answered(shared())
    idle = {row.scope: row.amount for row in rows_of(found) if row.category == "idle"}
    assert idle == {"k8s/east": Decimal("20.00"), "k8s/west": Decimal("4.46")}
    assert [request.path for request in fake.requests] == ["/allocation", "/assets"]
    assert fake.requests[0].params["aggregate"] == "cluster,label:tenant"


def test_each_clusters_bill_goes_to_the_tenants_that_live_in_it_and_is_served_by_cluster() -> None:
    found, _ = answered(shared())
    company = Company()
    company.put("cluster", [YESTERDAY], cost=rows_of(found))
    pools = [cost(None, "71.14", cluster="east"), cost(None, "7.5", cluster="west")]
    company.put("bill", [YESTERDAY], cost=pools)
    gauges = company.gauges()
    costs = {key[0]: value for key, value in gauges["tenant_cost_dollars"].items() if value}
    assert costs == {"acme": pytest.approx(61.14), "gamma": pytest.approx(5.27)}
    served: dict[str, float] = {}
    for (dimension, value, *_), dollars in gauges["dimension_cost_dollars"].items():
        if dimension == "cluster":
            served[value] = served.get(value, 0) + dollars
    assert served == {"east": pytest.approx(71.14), "west": pytest.approx(7.5)}


def test_a_tenant_that_lives_in_two_clusters_gets_its_part_of_both_bills() -> None:
    found, _ = answered(Replay({DAY: [Reply(rebuilt("by-cluster.json"))]}))
    company = Company()
    company.put("cluster", [YESTERDAY], cost=rows_of(found))
    company.put("bill", [YESTERDAY], cost=[cost(None, "61.33", cluster="west"), cost(None, "10.16", cluster="east")])
    costs = {key[0]: round(value, 2) for key, value in company.gauges()["tenant_cost_dollars"].items() if value}
    assert costs == {"acme": 61.14, "gamma": 5.27, "beta": 5.08}


def test_entries_merged_over_clusters_are_refused_and_their_bill_is_nobodys_guess() -> None:
    # Taken as they are, gamma, alone in west only, would get all of west, 61.33, and acme its estimate, 22.85.
    replay = Replay({DAY: [Reply(rebuilt("merged.json"))]})
    found, _ = answered(replay)
    assert problem_of(found).reason == "merged"
    assert "belongs to no cluster" in problem_of(found).text
    settings = OpenCostSettings.model_validate({"type": "opencost", "path": COMPANY / "merged.json"}, context=HERE)
    reader = OpenCost("shared", settings, Context())
    found = list(reader.batches(asked(NOW, YESTERDAY)))
    assert problem_of(found).reason == "merged"
    assert not [item for item in found if isinstance(item, Batch)]


def test_a_dimension_of_the_users_own_called_cluster_comes_first() -> None:
    company = Company()
    company.model.dimensions.append("cluster")
    row = Cost(YESTERDAY, "acme", "cpu", "compute", Decimal(5), "USD", "k8s/east", {"cluster": "blue"})
    company.put("cluster", [YESTERDAY], cost=[row])
    found = company.gauges()["dimension_cost_dollars"]
    assert {key[1] for key in found if key[0] == "cluster"} == {"blue"}


def test_what_no_cluster_is_known_of_makes_no_cluster_series() -> None:
    company = Company()
    company.put("bill", [YESTERDAY], cost=[cost("acme", "5")])
    assert {key[0] for key in company.gauges()["dimension_cost_dollars"]} == {"feature"}


@pytest.mark.parametrize(
    ("replay", "text"),
    [
        (shared({"a": node("east", cpuCost=142.28)}), "/assets gives 9.46 of idle cpu, not 24.46"),
        (shared(**{"/acme": entry(None, cpuCost=3.0)}), "only its idle cost could be told apart"),
        (shared(__idle__=entry(None, cpuCost=24.46, pvCost=1.0)), "it holds pv cost"),
    ],
)
def test_what_belongs_to_no_cluster_where_several_exist_is_refused_for_that_day(replay: Replay, text: str) -> None:
    problem = problem_of(answered(replay)[0])
    assert problem.reason == "merged"
    assert text in problem.text
    assert "CURRENT_CLUSTER_ID_FILTER_ENABLED" in problem.line


def test_idle_of_a_cluster_without_workloads_is_found_by_its_nodes() -> None:
    replay = Replay(
        {
            DAY: [
                dumped(
                    {
                        "code": 200,
                        "data": [{"east/acme": entry("east", cpuCost=6.0), "__idle__": entry(None, cpuCost=5.0)}],
                    }
                )
            ]
        },
        {DAY: [dumped({"code": 200, "data": {"a": node("east", cpuCost=10.0), "b": node("spare", cpuCost=1.0)}})]},
    )
    found, _ = answered(replay)
    idle = {row.scope: row.amount for row in rows_of(found) if row.category == "idle"}
    assert idle == {"k8s/east": Decimal(4), "k8s/spare": Decimal(1)}


def test_a_rename_meets_several_clusters_and_says_so() -> None:
    with pytest.raises(SourceError, match="speaks of 2 clusters: east, west") as caught:
        answered(shared(), cluster="prod")
    assert caught.value.reason == "cluster"


def test_the_name_of_a_cluster_may_hold_slashes() -> None:
    arn = "arn:aws:eks:us-east-1:1:cluster/prod"
    replay = Replay({DAY: [dumped({"code": 200, "data": [{f"{arn}/acme": entry(arn, cpuCost=2.0)}]})]})
    found, _ = answered(replay)
    assert [(row.scope, row.tenant) for row in rows_of(found)] == [(f"k8s/{arn}", "acme")]


# --- null


def with_null(name: str, key: str) -> Reply:
    document = loaded("tenant-2026-11-22.json")
    document["data"][0][name] |= {key: None, "totalCost": None}
    return dumped(document)


def total(rows: Iterable[Cost]) -> Decimal:
    return sum((row.amount for row in rows), Decimal(0))


WHOLE = total(rows_of(answered(Replay())[0]))


def test_one_null_field_costs_the_day_that_field_and_is_named_with_a_bound() -> None:
    known = loaded("tenant-2026-11-22.json")["data"][0]["acme"]["loadBalancerCost"]
    replay = Replay({DAY: [with_null("acme", "loadBalancerCost")]})
    found, _ = answered(replay, context=Context(billed=True))
    assert not [item for item in found if isinstance(item, Problem)]
    assert total(rows_of(found)) == WHOLE - known
    [note] = [item.text for item in found if isinstance(item, Note) and "null" in item.text]
    assert "load_balancer cost of 'prod-us/acme" in note
    assert f"at most {known:.2f}" in note


def test_a_day_of_which_no_compute_is_known_is_not_known() -> None:
    document = loaded("tenant-2026-11-22.json")
    for name in document["data"][0]:
        document["data"][0][name] |= {"cpuCost": None, "ramCost": None}
    found, _ = answered(Replay({DAY: [dumped(document)]}))
    [problem] = found
    assert isinstance(problem, Problem)
    assert problem.reason == "null"
    assert "not taken as 0" in problem.text


def test_what_did_not_run_for_a_minute_is_nothing_and_not_unknown() -> None:
    found, _ = answered(Replay({DAY: [Reply(recorded("tenant-2026-11-18.json"))]}))
    assert not [item for item in found if isinstance(item, Problem)]


def test_a_stored_day_that_knows_more_stays() -> None:
    stored = MemoryStored(NOW)
    replay = Replay({DAY: [Reply(recorded("tenant-2026-11-22.json")), with_null("acme", "cpuCost")]})
    with opencost(replay) as (reader, _):
        stored.take(reader.batches(asked(NOW, YESTERDAY, stored)))
        found = list(reader.batches(asked(NOW, YESTERDAY, stored)))
    assert stored.take(found) == []
    assert any("stays in use" in item.text for item in found if isinstance(item, Note))
    assert total(stored.costs(DAY)) == WHOLE


# --- partial first loads


def test_partial_days_of_the_first_load_are_asked_anew_once_good_days_stand_beside_them() -> None:
    now = utc(2026, 11, 28, 0, 5)
    partial = Reply(recorded("errors/silent-partial-2026-11-21.json"))
    answers = {
        "2026-11-21": [partial, Reply(recorded("tenant-2026-11-21.json"))],
        "2026-11-22": [Reply(recorded("tenant-2026-11-22.json"))],
    }
    stored = MemoryStored(now)
    with opencost(Replay(answers), partial_guard=0) as (reader, _):
        stored.take(reader.batches(asked(now, date(2026, 11, 21), stored)))
    assert total(stored.costs("2026-11-21")) < 51
    with opencost(Replay(answers)) as (reader, _):
        found = list(reader.batches(asked(now, date(2026, 11, 21), stored)))
        stored.take(found)
    assert any("look partial beside" in item.text for item in found if isinstance(item, Note))
    assert total(stored.costs("2026-11-21")) == Decimal("80.01212")


def test_a_first_load_that_is_partial_throughout_is_told_and_mended_once_the_server_answers_in_full() -> None:
    first = date(2026, 11, 18)
    stored = MemoryStored(NOW)

    def load(now: datetime, answers: str) -> list[Problem]:
        replay = Replay({f"2026-11-{day}": [step(answers, day - 18)] for day in range(18, 23)})
        with opencost(replay) as (reader, _):
            return stored.take(reader.batches(asked(now, first, stored)))

    def step(answers: str, number: int) -> Reply:
        return dumped({"code": 200, "data": [json.loads(rebuilt(answers))["data"][number]]})

    told = load(NOW, "first-load-partial.json")
    assert sum(total(stored.costs(f"2026-11-{day}")) for day in range(18, 23)) == Decimal("253.94")
    assert [(one.reason, "may be partial too" in one.hint) for one in told] == [("untagged", True)]
    for hours in range(1, 4):
        load(NOW + timedelta(days=1, hours=hours), "first-load-whole.json")
    assert sum(total(stored.costs(f"2026-11-{day}")) for day in range(18, 23)) == Decimal("403.67")


def test_a_doubted_day_that_stays_as_it_is_is_asked_five_times_a_day_apart_and_no_more() -> None:
    now = utc(2026, 11, 28, 0, 5)
    partial = Reply(recorded("errors/silent-partial-2026-11-21.json"))
    stored = MemoryStored(now)
    replay = Replay({"2026-11-21": [partial]})
    with opencost(replay, partial_guard=0) as (reader, _):
        stored.take(reader.batches(asked(now, date(2026, 11, 21), stored)))
    with opencost(replay) as (reader, fake):
        for hours in range(0, 240, 12):
            stored.take(reader.batches(asked(now + timedelta(hours=hours), date(2026, 11, 21), stored)))
    windows = [request.params["window"][:10] for request in fake.requests if request.path == "/allocation"]
    assert windows.count("2026-11-21") == 5


# --- two sources of one cluster


def put(
    ledger: Ledger, source: str, configured: tuple[str, ...], cluster: str = "prod", ids: tuple[str, ...] = ()
) -> None:
    batch = Batch(
        DAY,
        [YESTERDAY],
        cost=[cost("acme", "5", cluster=cluster)],
        resources=[Resource(YESTERDAY, i, f"k8s/{cluster}") for i in ids],
    )
    ledger.put(source, "", batch, NOW, RATES, configured)


def test_a_cluster_that_another_source_tells_of_is_refused_and_not_added() -> None:
    ledger = Ledger(None)
    put(ledger, "one", ("one", "two"))
    with pytest.raises(SourceError, match="the sources one and two both tell of the cluster 'prod'") as caught:
        put(ledger, "two", ("one", "two"))
    assert caught.value.reason == "duplicate"
    assert ledger.rows("SELECT sum(amount)::INTEGER FROM cost") == [(5,)]


def test_the_same_nodes_under_another_name_are_the_same_cluster() -> None:
    ledger = Ledger(None)
    put(ledger, "one", ("one", "two"), ids=("i-1", "i-2", "i-3"))
    with pytest.raises(SourceError, match="one has 2 of its 3 provider ids"):
        put(ledger, "two", ("one", "two"), "other", ids=("i-1", "i-2", "i-9"))
    put(ledger, "two", ("one", "two"), "third", ids=("i-1", "i-7", "i-8"))


def test_a_source_that_left_the_configuration_blocks_nothing() -> None:
    ledger = Ledger(None)
    put(ledger, "one", ("one",))
    put(ledger, "two", ("two",))
    put(ledger, "two", ("two",))


def test_a_closed_day_that_the_ledger_refused_is_asked_again_an_hour_later_and_stays_reported() -> None:
    now = utc(2026, 11, 28, 0, 5)
    with opencost(Replay()) as (reader, fake):
        for minutes in (0, 5, 61):
            later = now + timedelta(minutes=minutes)
            found = list(reader.batches(asked(later, YESTERDAY)))
            if minutes == 5:
                assert "refused" in {item.reason for item in found if isinstance(item, Problem)}
    windows = [request.params["window"][:10] for request in fake.requests]
    assert windows.count(DAY) == 2


# --- tenants


def test_the_first_of_several_tenant_keys_that_a_workload_has_counts() -> None:
    context = Context(tenant_keys=("tenant", "owner", "namespace"))
    entries = {
        "prod/acme/x/ns": entry("prod", cpuCost=1.0),
        "prod/__unallocated__/beta/ns": entry("prod", cpuCost=2.0),
        "prod/__unallocated__/__unallocated__/ns": entry("prod", cpuCost=4.0),
    }
    found, fake = answered(Replay({DAY: [dumped({"code": 200, "data": [entries]})]}), context=context)
    assert fake.requests[0].params["aggregate"] == "cluster,label:tenant,label:owner,namespace"
    assert {row.tenant: row.amount for row in rows_of(found)} == {"acme": 1, "beta": 2, "ns": 4}


def test_a_sources_own_tenant_may_be_a_list() -> None:
    replay = Replay({DAY: [dumped({"code": 200, "data": [{"prod/__unallocated__/ns": entry("prod", cpuCost=1.0)}]})]})
    found, _ = answered(replay, tenant=["annotation:owner", "namespace"])
    assert [row.tenant for row in rows_of(found)] == ["ns"]


def test_dollars_without_a_tenant_are_said_and_none_with_one_is_a_problem() -> None:
    found, _ = answered(Replay())
    assert any("have no tenant (label:tenant)" in item.text for item in found if isinstance(item, Note))
    entries = {"prod/__unallocated__": entry("prod", cpuCost=7.25)}
    found, _ = answered(Replay({DAY: [dumped({"code": 200, "data": [entries]})]}))
    [problem] = [item for item in found if isinstance(item, Problem)]
    assert problem.reason == "untagged"
    assert "7.25 USD" in problem.text
    assert "label:tenant" in problem.text


def test_a_cluster_that_is_shared_as_a_whole_is_said_to_be_so_and_nothing_is_missed() -> None:
    entries = {"prod/kube-system": entry("prod", cpuCost=7.25), "prod/acme": entry("prod", cpuCost=1.0)}
    replay = Replay({DAY: [dumped({"code": 200, "data": [entries]})]})
    found, fake = answered(replay, tenant="none")
    assert fake.requests[0].params["aggregate"] == "cluster,namespace"
    assert {row.tenant for row in rows_of(found)} == {None}
    assert sum(row.amount for row in rows_of(found)) == Decimal("8.25")
    assert not [
        item for item in found if isinstance(item, Problem) or (isinstance(item, Note) and "tenant" in item.text)
    ]


# --- errors, and a life without Prometheus


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("prometheus-limit-error", "OpenCost's Prometheus refused the query: query processing would load too many"),
        ("prometheus-down", "OpenCost cannot reach its Prometheus: dial tcp 127.0.0.1:9099: connect: connection ref"),
    ],
)
def test_an_error_of_opencost_says_the_cause_first(name: str, cause: str) -> None:
    bad = Reply(recorded(f"errors/{name}.json"), status=500)
    assert f"answered 500: {cause}" in problem_of(answered(lambda _: bad)[0]).text


def test_in_collector_mode_today_is_asked_by_whole_hours_and_what_is_too_old_is_said() -> None:
    now = utc(2026, 11, 22, 12, 34)
    stored = MemoryStored(now)
    stored.empty["2026-11-01"] = now
    with opencost(Replay(), collector=True, partial_guard=0) as (reader, fake):
        stored.take(reader.batches(asked(now, date(2026, 11, 1), stored)))
        found = list(reader.batches(asked(now, date(2026, 11, 1), stored)))
    today = [request for request in fake.requests if request.params["window"].startswith("2026-11-22")]
    assert {(request.params["window"][21:], request.params["step"]) for request in today} == {
        ("2026-11-22T12:00:00Z", "1h")
    }
    assert all("step" not in request.params for request in fake.requests if request not in today)
    assert any("nothing before 2026-11-19; it keeps 15 days" in item.text for item in found if isinstance(item, Note))
