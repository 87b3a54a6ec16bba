"""The OpenCost source against recorded answers, good and bad, over a real loopback server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes.opencost import DATA, NO_DATA, REAL, Replay, dumped, loaded, recorded
from tests.fakes.server import Fake, Reply, Request, serve
from tests.fakes.stored import MemoryStored, asked, utc
from unitcost.errors import SourceError
from unitcost.facts import Batch, Cost, Note, Problem
from unitcost.sources.base import Context
from unitcost.sources.cluster.opencost.answer import cloud_id
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost
from unitcost.sources.cluster.opencost.spans import spread

NOW = utc(2026, 11, 23, 0, 5)
FIRST = date(2026, 11, 19)
DAYS = ("2026-11-22", "2026-11-21", "2026-11-20", "2026-11-19")
COMPONENTS = ("cpu", "gpu", "ram", "pv", "network", "loadBalancer", "shared", "external")


def source(
    url: str = "",
    *,
    context: Context | None = None,
    pause: Callable[[float], None] = lambda _: None,
    **settings: Any,
) -> OpenCost:
    given_settings = {"type": "opencost", **({"url": url} if url else {}), **settings}
    return OpenCost("cluster", OpenCostSettings.model_validate(given_settings), context or Context(), pause=pause)


@contextmanager
def opencost(
    replay: Callable[[Request], Reply] | None = None,
    **settings: Any,
) -> Iterator[tuple[OpenCost, Fake]]:
    with serve(replay or Replay()) as fake:
        yield source(fake.url, **settings), fake


def components_of(document: Any, *, idle: bool | None = None) -> Decimal:
    """Sum what an answer's entries cost, straight from the JSON."""
    return sum(
        (
            entry.get(f"{name}Cost", 0) + entry.get(f"{name}CostAdjustment", 0)
            for step in document["data"]
            for key, entry in step.items()
            if idle is None or (key == "__idle__") == idle
            for name in COMPONENTS
        ),
        Decimal(0),
    )


def costs(batch: Batch) -> Sequence[Cost]:
    assert isinstance(batch.cost, tuple | list)
    return batch.cost


def total(rows: Sequence[Cost], tenant: str | None = "any") -> Decimal:
    return sum((row.amount for row in rows if tenant in {"any", row.tenant}), Decimal(0))


def test_four_recorded_days_sum_to_their_components_to_the_last_digit() -> None:
    stored = MemoryStored(NOW)
    with opencost() as (reader, fake):
        assert stored.take(reader.batches(asked(NOW, FIRST, stored))) == []
    assert sorted(stored.batches, reverse=True) == list(DAYS)
    for day in DAYS:
        document = loaded(f"tenant-{day}.json")
        assert total(stored.costs(day)) == components_of(document)
        idle = [row for row in stored.costs(day) if row.category == "idle"]
        assert total(idle) == components_of(document, idle=True)
        assert all(row.tenant is None and row.service in {"cpu", "ram", "gpu"} for row in idle)
    assert stored.total() == sum(components_of(loaded(f"tenant-{day}.json")) for day in DAYS)
    assert [request.params["window"] for request in fake.requests] == [
        f"{day}T00:00:00Z,{date.fromisoformat(day) + timedelta(days=1)}T00:00:00Z" for day in DAYS
    ]
    assert {request.path for request in fake.requests} == {"/allocation"}


def test_each_cost_stands_with_its_tenant_service_component_and_cluster() -> None:
    with opencost() as (reader, _):
        batch = next(reader.batches(asked(NOW, FIRST)))
    assert isinstance(batch, Batch)
    assert {row.tenant for row in costs(batch)} == {None, "acme", "beta", "gamma", "Gamma-Corp", "delta"}
    acme = {(row.service, row.category): row.amount for row in costs(batch) if row.tenant == "acme"}
    assert acme == {
        ("cpu", "compute"): Decimal("3.82111"),
        ("ram", "compute"): Decimal("2.86224"),
        ("pv", "storage"): Decimal("0.26301"),
        ("network", "network"): Decimal("7.69922"),
        ("load_balancer", "network"): Decimal("0.60208"),
    }
    nobody = {row.service: row.category for row in costs(batch) if row.tenant is None and row.category != "idle"}
    assert nobody["gpu"] == "gpu"
    assert {(row.day, row.currency, row.scope) for row in costs(batch)} == {(date(2026, 11, 22), "USD", "k8s/prod-us")}


def test_dimensions_are_asked_for_and_read_and_change_no_sum() -> None:
    context = Context(dimensions=("feature",))
    with opencost(context=context, cluster="eu-1", currency="EUR") as (reader, fake):
        batch = next(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert isinstance(batch, Batch)
    assert fake.requests[0].params["aggregate"] == "cluster,label:tenant,label:feature"
    assert total(costs(batch)) == components_of(loaded("tenant-feature-2026-11-22.json"))
    found = {(row.tenant, row.dimensions.get("feature")) for row in costs(batch)}
    assert ("acme", "search") in found
    assert (None, "assistant") in found
    assert ("acme", None) in found
    assert {(row.currency, row.scope) for row in costs(batch)} == {("EUR", "k8s/eu-1")}


def test_other_services_and_adjustments_are_counted() -> None:
    document = loaded("tenant-2026-11-22.json")
    document["data"][0]["acme"] |= {"sharedCost": 1.5, "externalCost": 2.25, "cpuCostAdjustment": -1}
    replay = Replay({"2026-11-22": [dumped(document)]})
    with opencost(replay) as (reader, _):
        batch = next(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert isinstance(batch, Batch)
    acme = {row.service: (row.category, row.amount) for row in costs(batch) if row.tenant == "acme"}
    assert acme["shared"] == ("other", Decimal("1.5"))
    assert acme["external"] == ("other", Decimal("2.25"))
    assert acme["cpu"] == ("compute", Decimal("2.82111"))


def test_only_days_that_can_change_are_asked_again() -> None:
    stored = MemoryStored(NOW)
    with opencost() as (reader, fake):
        stored.take(reader.batches(asked(NOW, FIRST, stored, restate_days=1)))
        before = {key: batch.fingerprint for key, batch in stored.batches.items()}
        del fake.requests[:]
        stored.take(reader.batches(asked(NOW, FIRST, stored, restate_days=1)))
    assert [request.params["window"][:10] for request in fake.requests] == ["2026-11-22"]
    assert {key: batch.fingerprint for key, batch in stored.batches.items()} == before


def test_a_day_stored_while_it_ran_is_asked_again_once_it_is_over() -> None:
    noon = utc(2026, 11, 20, 12)
    stored = MemoryStored(noon)
    with opencost(partial_guard=0) as (reader, fake):
        stored.take(reader.batches(asked(noon, date(2026, 11, 20), stored)))
        assert fake.requests[0].params["window"] == "2026-11-20T00:00:00Z,2026-11-20T12:00:00Z"
        del fake.requests[:]
        stored.take(reader.batches(asked(NOW, date(2026, 11, 20), stored, restate_days=0)))
    assert [request.params["window"] for request in fake.requests][-1] == ("2026-11-20T00:00:00Z,2026-11-21T00:00:00Z")


@pytest.mark.parametrize(("minute", "windows"), [(9, 0), (10, 1), (59, 1)])
def test_today_ends_at_the_minute_and_is_left_out_while_it_is_too_young(minute: int, windows: int) -> None:
    now = datetime(2026, 11, 22, 0, minute, 59, tzinfo=UTC)
    with opencost() as (reader, fake):
        list(reader.batches(asked(now, now.date())))
    expected = [f"2026-11-22T00:00:00Z,2026-11-22T00:{minute:02d}:00Z"] * windows
    assert [request.params["window"] for request in fake.requests] == expected


def test_a_day_without_data_is_unknown_and_asked_again_a_day_later() -> None:
    stored = MemoryStored(NOW)
    first = date(2026, 11, 16)
    with opencost() as (reader, fake):
        problems = stored.take(reader.batches(asked(NOW, first, stored)))
        assert set(stored.empty) == {"2026-11-16", "2026-11-17", "2026-11-18"}
        assert problems == []
        del fake.requests[:]
        later = NOW + timedelta(hours=2)
        list(reader.batches(asked(later, first, stored)))
        assert "2026-11-16" not in {request.params["window"][:10] for request in fake.requests}
        del fake.requests[:]
        list(reader.batches(asked(NOW + timedelta(hours=25), first, stored)))
        assert "2026-11-16" in {request.params["window"][:10] for request in fake.requests}


@pytest.mark.parametrize(
    "body",
    ['{"code":200,"data":[{}]}', '{"code":200,"data":null}', '{"code":200,"data":[]}', '{"code":200,"data":[null]}'],
)
def test_no_data_is_not_a_day_of_zero_dollars(body: str) -> None:
    with opencost(lambda _: Reply(body)) as (reader, _):
        found = list(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert found == [Batch("2026-11-22", [])]


def test_a_stored_day_that_comes_back_empty_is_kept() -> None:
    stored = MemoryStored(NOW)
    with opencost() as (reader, _):
        stored.take(reader.batches(asked(NOW, FIRST, stored)))
    before = stored.total()
    with opencost(lambda _: NO_DATA) as (reader, _):
        problems = stored.take(reader.batches(asked(NOW, FIRST, stored, restate_days=1)))
    assert stored.total() == before
    assert [(problem.reason, problem.where) for problem in problems] == [("partial", "cluster, 2026-11-22")]


def test_an_old_day_that_stays_unusable_is_asked_only_once_an_hour_but_always_reported() -> None:
    stored = MemoryStored(NOW)
    document = loaded("tenant-2026-11-22.json")
    for entry in document["data"][0].values():
        entry |= {"cpuCost": None, "ramCost": None}
    with opencost(Replay({"2026-11-18": [dumped(document)]})) as (reader, fake):
        for minutes in (0, 5, 10):
            now = NOW + timedelta(minutes=minutes)
            problems = stored.take(reader.batches(asked(now, date(2026, 11, 18), stored, restate_days=1)))
            assert [problem.reason for problem in problems] == ["null"]
        assert sum(request.params["window"].startswith("2026-11-18") for request in fake.requests) == 1
        now = NOW + timedelta(minutes=61)
        stored.take(reader.batches(asked(now, date(2026, 11, 18), stored, restate_days=1)))
        assert sum(request.params["window"].startswith("2026-11-18") for request in fake.requests) == 2


@pytest.mark.parametrize(
    ("reply", "reason", "text"),
    [
        (Reply(recorded("errors/bad-aggregate.json")), "format", "aggregate"),
        (Reply(recorded("errors/bad-window.txt"), status=400), "request", "illegal window: soon"),
        (Reply(recorded("errors/missing-window.txt"), status=400), "request", "illegal window"),
        (Reply(recorded("errors/cloudcost-disabled.txt"), status=404), "request", "404 page not found"),
        (Reply(recorded("errors/bad-filter.json"), status=500), "http", "invalid filter"),
        (Reply(recorded("errors/prometheus-down.json"), status=500), "http", "error computing allocations"),
        (
            Reply(recorded("errors/prometheus-limit-error.json"), status=500),
            "http",
            "Prometheus refused the query: query processing",
        ),
        (Reply(recorded("errors/bad-filter.json")), "http", "invalid filter"),
        (Reply("<html>Sign in</html>"), "format", "not JSON"),
        (Reply(recorded("tenant-2026-11-22.json")[:5000]), "format", "not JSON"),
        (Reply(recorded("tenant-2026-11-22.json"), cut=5000), "truncated", "broke"),
        (Reply("[]"), "format", "no data"),
        (Reply('{"code":200,"data":{"a":1}}'), "format", "not a list"),
        (Reply('{"code":200,"data":["x"]}'), "format", 'a step of data is "x", not a map'),
        (Reply('{"code":200,"data":[{"acme":3}]}'), "format", "entry 'acme'"),
        (Reply('{"code":200,"data":[{"acme":{"cpuCost":1}}]}'), "format", "no readable window"),
        (Reply("", status=403), "auth", "403"),
        (Reply("slow", stall=2), "timeout", "no complete answer within 0.3 s"),
        (Reply("gone", status=504), "http", "504"),
    ],
)
def test_every_bad_answer_is_an_error_in_one_line_and_no_day_is_stored(reply: Reply, reason: str, text: str) -> None:
    stored = MemoryStored(NOW)
    with opencost(lambda _: reply, timeout=0.3) as (reader, _), pytest.raises(SourceError) as caught:
        stored.take(reader.batches(asked(NOW, FIRST, stored)))
    assert caught.value.reason == reason
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 601
    assert not stored.batches


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with serve(Replay()) as fake:
        url = fake.url
    with pytest.raises(SourceError) as caught:
        list(source(url).batches(asked(NOW, FIRST)))
    assert caught.value.reason == "unreachable"


def test_a_busy_server_is_asked_again_after_the_time_it_says() -> None:
    busy = Reply("slow down", status=429, headers={"Retry-After": "0"})
    replay = Replay({"2026-11-22": [busy, Reply(recorded("tenant-2026-11-22.json"))]})
    with opencost(replay) as (reader, fake):
        found = list(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert [item.key for item in found if isinstance(item, Batch)] == ["2026-11-22"]
    assert len(fake.requests) == 2


def test_one_failing_day_is_a_problem_and_the_others_go_on() -> None:
    stored = MemoryStored(NOW)
    bad = Reply(recorded("errors/prometheus-limit-error.json"), status=500)
    with opencost(Replay({"2026-11-21": [bad], "2026-11-19": [bad]})) as (reader, _):
        problems = stored.take(reader.batches(asked(NOW, FIRST, stored)))
    assert [(problem.reason, problem.where) for problem in problems] == [
        ("http", "cluster, 2026-11-21"),
        ("http", "cluster, 2026-11-19"),
    ]
    assert set(stored.batches) == {"2026-11-22", "2026-11-20"}


def test_of_a_refresh_in_which_no_day_answered_each_day_is_told() -> None:
    bad = Reply(recorded("errors/prometheus-down.json"), status=500)
    with opencost(lambda _: bad) as (reader, _):
        found = list(reader.batches(asked(NOW, date(2026, 11, 21))))
    assert [item.where for item in found if isinstance(item, Problem)] == ["cluster, 2026-11-22", "cluster, 2026-11-21"]


def test_three_failing_days_in_a_row_end_the_refresh_and_keep_what_came_before() -> None:
    stored = MemoryStored(NOW)
    bad = Reply(recorded("errors/prometheus-down.json"), status=500)
    replay = Replay({day: [bad] for day in DAYS[1:]})
    with opencost(replay) as (reader, fake), pytest.raises(SourceError, match="3 days in a row") as caught:
        stored.take(reader.batches(asked(NOW, date(2026, 11, 1), stored)))
    assert caught.value.reason == "http"
    assert set(stored.batches) == {"2026-11-22"}
    assert len(fake.requests) == 4


def test_an_old_day_that_is_always_too_slow_does_not_block_those_before_it() -> None:
    stored = MemoryStored(NOW)
    replay = Replay({"2026-11-20": [Reply("", stall=1)]})
    with opencost(replay, timeout=0.2) as (reader, _):
        with pytest.raises(SourceError, match=r"0\.2 s"):
            stored.take(reader.batches(asked(NOW, FIRST, stored, restate_days=1)))
        problems = stored.take(reader.batches(asked(NOW, FIRST, stored, restate_days=1)))
    assert [(problem.reason, problem.where) for problem in problems] == [("timeout", "cluster, 2026-11-20")]
    assert set(stored.batches) == {"2026-11-22", "2026-11-21", "2026-11-19"}


def test_an_answer_about_other_days_or_with_overlapping_steps_is_refused() -> None:
    steps = loaded("steps-4d.json")
    twice = loaded("tenant-2026-11-22.json")
    twice["data"] *= 2
    for document, text in ((steps, "other days"), (twice, "overlap")):
        with (
            opencost(Replay({"2026-11-22": [dumped(document)]})) as (reader, _),
            pytest.raises(SourceError, match=text),
        ):
            list(reader.batches(asked(NOW, date(2026, 11, 22))))


def test_a_name_with_too_many_parts_keeps_its_cost_for_no_tenant() -> None:
    context = Context(dimensions=("feature",))
    document = loaded("tenant-feature-2026-11-22.json")
    document["data"][0]["a/b/c"] = document["data"][0].pop("acme/search")
    with opencost(Replay({"2026-11-22": [dumped(document)]}), context=context) as (reader, _):
        found = [item for item in reader.batches(asked(NOW, date(2026, 11, 22))) if not isinstance(item, Note)]
    problem, batch = found
    assert isinstance(problem, Problem)
    assert "'prod-us/a/b/c'" in problem.text
    assert isinstance(batch, Batch)
    assert total(costs(batch)) == components_of(document)


def test_a_namespace_or_annotation_can_name_the_tenant() -> None:
    for tenant in ("namespace", "annotation:billing/owner", "label:tenant.id"):
        with opencost(lambda _: NO_DATA, tenant=tenant) as (reader, fake):
            list(reader.batches(asked(NOW, date(2026, 11, 22))))
        assert fake.requests[0].params["aggregate"] == f"cluster,{tenant}"


# --- nodes for the bills


def test_with_a_bill_the_ids_of_nodes_disks_and_load_balancers_are_reported() -> None:
    with opencost(context=Context(billed=True)) as (reader, fake):
        batch = next(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert isinstance(batch, Batch)
    assert [request.path for request in fake.requests] == ["/allocation", "/assets"]
    ids = {node.provider_id for node in batch.resources}
    assert len(ids) == 13
    assert {"i-2372835106b65033f", "34.1.2.2"} <= ids
    assert {(node.day, node.scope) for node in batch.resources} == {(date(2026, 11, 22), "k8s/prod-us")}


def test_a_cluster_that_is_on_no_bill_needs_no_assets() -> None:
    with opencost(context=Context(billed=True), billed_by=[]) as (reader, fake):
        list(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert {request.path for request in fake.requests} == {"/allocation"}


def test_failing_assets_lose_neither_the_allocation_nor_the_nodes_known_before() -> None:
    stored = MemoryStored(NOW)
    document = loaded("assets-2026-11-22.json")
    bad = Reply("boom", status=500)
    replay = Replay(assets={"2026-11-22": [dumped(document), bad], "2026-11-21": [bad]})
    with opencost(replay, context=Context(billed=True)) as (reader, _):
        stored.take(reader.batches(asked(NOW, date(2026, 11, 22), stored)))
        known = stored.resources(date(2026, 11, 22), date(2026, 11, 22))
        problems = stored.take(reader.batches(asked(NOW, date(2026, 11, 21), stored)))
    assert [problem.reason for problem in problems] == ["assets", "assets"]
    assert "13 known before are kept" in problems[0].text
    assert stored.resources(date(2026, 11, 22), date(2026, 11, 22)) == known
    before = stored.resources(date(2026, 11, 21), date(2026, 11, 21))
    assert [replace(one, day=date(2026, 11, 22)) for one in before] == known, "the days beside it stand in"
    assert set(stored.batches) == {"2026-11-22", "2026-11-21"}


def test_a_closed_day_without_its_nodes_is_asked_again_when_a_bill_needs_them() -> None:
    stored = MemoryStored(NOW)
    with opencost() as (reader, _):
        stored.take(reader.batches(asked(NOW, FIRST, stored)))
    with opencost(context=Context(billed=True)) as (reader, _):
        stored.take(reader.batches(asked(NOW, FIRST, stored, restate_days=0)))
    assert stored.resources(FIRST, FIRST)


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [
        ("aws:///us-east-1b/i-0a1", "i-0a1"),
        ("i-0a1", "i-0a1"),
        ("vol-1", "vol-1"),
        ("gce://p/z/n", "gce://p/z/n"),
        ("", ""),
    ],
)
def test_a_node_id_reads_as_a_bill_spells_it(given_id: str, expected: str) -> None:
    assert cloud_id(given_id) == expected


# --- recorded answers


def test_a_window_of_seven_days_is_spread_over_its_eight_utc_days_exactly() -> None:
    path = DATA / "opencost-allocation.json"
    stored = MemoryStored(NOW)
    found = list(source(path=path, aggregate=["namespace"]).batches(asked(NOW, FIRST, stored)))
    assert [problem.reason for problem in stored.take(found)] == ["untagged"]
    assert sorted(stored.batches) == [f"2023-07-{day}" for day in range(12, 20)]
    document = json.loads(path.read_text(), parse_float=Decimal, parse_int=Decimal)
    assert stored.total() == components_of(document)
    whole = total(stored.costs("2023-07-15"))
    assert abs(whole - stored.total() / 7) < Decimal("1e-9")
    assert total(stored.costs("2023-07-12")) < whole
    assert {row.tenant for key in stored.batches for row in stored.costs(key)} == {None}
    notes = [item.text for item in found if isinstance(item, Note)]
    assert len(notes) == 1
    assert "8 UTC days" in notes[0]
    assert "2023-07-12T11:02:46Z to 2023-07-19T11:02:46Z" in notes[0]


def test_a_namespace_can_be_the_tenant_of_recorded_answers() -> None:
    reader = source(path=DATA / "opencost-allocation.json", tenant="namespace")
    stored = MemoryStored(NOW)
    stored.take(reader.batches(asked(NOW, FIRST, stored)))
    assert {row.tenant for row in stored.costs("2023-07-15")} == {"kube-system", "opencost", "prometheus"}


def test_a_recorded_file_may_hold_several_days_some_of_them_empty_or_unknown() -> None:
    stored = MemoryStored(NOW)
    problems = stored.take(source(path=REAL / "steps-with-empty-days.json").batches(asked(NOW, FIRST, stored)))
    assert set(stored.batches) == {"2026-11-19"}
    assert problems == [], "what did not run for a minute is not unknown"
    assert stored.total() == components_of(loaded("tenant-2026-11-19.json"))


def folder_of(tmp_path: Path, *names: str) -> Path:
    for name in names:
        shutil.copy(REAL / name, tmp_path)
    return tmp_path


def test_a_folder_of_recorded_days_reads_like_the_server_and_only_when_it_changed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *(f"tenant-{day}.json" for day in DAYS), "assets-2026-11-22.json")
    stored = MemoryStored(NOW)
    reader = source(path=folder)
    assert stored.take(reader.batches(asked(NOW, FIRST, stored))) == []
    assert stored.total() == components_of(loaded("steps-4d.json"))
    assert len(stored.resources(date(2026, 11, 22), date(2026, 11, 22))) == 13
    assert all(isinstance(item, Note) for item in reader.batches(asked(NOW, FIRST, stored)))
    (folder / "tenant-2026-11-22.json").write_bytes(recorded("tenant-2026-11-22.json") + b"\n")
    assert all(isinstance(item, Note) for item in reader.batches(asked(NOW, FIRST, stored))), "it says the same"
    document = loaded("tenant-2026-11-22.json")
    document["data"][0]["acme"]["cpuCost"] += 1
    (folder / "tenant-2026-11-22.json").write_text(str(dumped(document).body))
    for again in (reader, source(path=folder)):
        keys = [item.key for item in again.batches(asked(NOW, FIRST, stored)) if isinstance(item, Batch)]
        assert keys == ["2026-11-22"]


def test_two_files_about_one_day_count_once_and_are_both_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "steps-4d.json", "tenant-2026-11-22.json", "tenant-2026-11-21.json")
    stored = MemoryStored(NOW)
    reader = source(path=folder)
    problems = stored.take(reader.batches(asked(NOW, FIRST, stored)))
    assert [problem.reason for problem in problems] == ["duplicate", "duplicate"]
    assert "tenant-2026-11-21.json" in problems[0].where
    assert "steps-4d.json is kept" in problems[0].text
    assert stored.total() == components_of(loaded("steps-4d.json"))
    assert stored.take(reader.batches(asked(NOW, FIRST, stored))) == problems


def test_two_files_about_different_hours_of_one_day_are_both_counted(tmp_path: Path) -> None:
    for name, start, end in (("a", "00:00:00", "11:02:46"), ("b", "11:02:46", "23:59:59")):
        entry = {"window": {"start": f"2026-11-22T{start}Z", "end": f"2026-11-22T{end}Z"}, "cpuCost": 1.5}
        (tmp_path / f"{name}.json").write_text(json.dumps({"code": 200, "data": [{"acme": entry}]}))
    stored = MemoryStored(NOW)
    assert stored.take(source(path=tmp_path).batches(asked(NOW, FIRST, stored))) == []
    assert total(stored.costs("2026-11-22"), "acme") == Decimal(3)


def test_a_bad_file_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "tenant-2026-11-22.json", "errors/no-data-2026-11-01.json", "errors/bad-filter.json")
    (folder / "half.json").write_bytes(recorded("tenant-2026-11-22.json")[:100])
    stored = MemoryStored(NOW)
    problems = stored.take(source(path=folder).batches(asked(NOW, FIRST, stored)))
    assert [(problem.reason, problem.where) for problem in problems] == [
        ("http", "cluster, bad-filter.json"),
        ("format", "cluster, half.json"),
        ("no_data", "cluster, no-data-2026-11-01.json"),
    ]
    assert set(stored.batches) == {"2026-11-22"}


def test_a_folder_without_answers_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no \*\.json"):
        list(source(path=tmp_path).batches(asked(NOW, FIRST)))


def test_recorded_names_are_read_by_what_they_were_aggregated_by() -> None:
    for name, aggregate in (
        ("namespace-tenant-2026-11-22.json", ["namespace", "label:tenant"]),
        ("tenant-dashed-label-2026-11-22.json", ["label:cost-center", "label:tenant-id"]),
    ):
        context = Context(
            tenant_keys=(aggregate[1].removeprefix("label:"),),
            dimensions=("cost-center",),
        )
        stored = MemoryStored(NOW)
        reader = source(path=REAL / name, aggregate=aggregate, context=context)
        assert stored.take(reader.batches(asked(NOW, FIRST, stored))) == []
        assert stored.total() == components_of(loaded(name))
        assert total(stored.costs("2026-11-22"), "acme") > 11
    centers = {row.dimensions.get("cost-center") for row in stored.costs("2026-11-22")}
    assert centers == {None, "analytics"}


# --- settings and arithmetic


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({}, "exactly one of url"),
        ({"url": "http://x", "path": "."}, "exactly one of url"),
        ({"url": "opencost:9003"}, "http://"),
        ({"url": "http://x", "aggregate": ["namespace"]}, "aggregate is for path only"),
        ({"url": "http://x", "tenant": "label:a,label:b"}, "tenant"),
        ({"url": "http://x", "partial_guard": 1}, "partial_guard"),
        ({"url": "http://x", "currency": "dollars"}, "currency"),
        ({"url": "http://x", "username": "u"}, "basic authentication"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], mistake: str) -> None:
    with pytest.raises(ValidationError, match=mistake):
        OpenCostSettings.model_validate({"type": "opencost", **settings})


@given(
    amount=st.decimals(min_value=-(10**15), max_value=10**15, places=12),
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - naive bounds
    length=st.timedeltas(timedelta(microseconds=1), timedelta(days=40)),
)
def test_spreading_keeps_every_digit_of_the_amount(amount: Decimal, start: datetime, length: timedelta) -> None:
    parts = spread(amount, start, start + length)
    assert sum(parts.values(), Decimal(0)) == amount
    assert all(part.as_tuple().exponent == -12 or part == 0 for part in parts.values())
    last = (start + length - timedelta(microseconds=1)).date()
    assert list(parts) == [start.date() + timedelta(days=n) for n in range((last - start.date()).days + 1)]
    assert all(part * amount >= -abs(amount) * len(parts) * Decimal("1e-12") for part in parts.values())


def test_a_stored_part_of_a_day_that_opencost_has_lost_is_asked_for_once_a_day_and_stays() -> None:
    noon = utc(2026, 11, 19, 12)
    stored = MemoryStored(noon)
    with opencost(partial_guard=0) as (reader, _):
        stored.take(reader.batches(asked(noon, noon.date(), stored)))
    before = stored.total()
    counts = []
    with opencost(lambda _: NO_DATA) as (reader, fake):
        for hours in (0, 1, 23, 25):
            stored.now = utc(2026, 11, 25, 12) + timedelta(hours=hours)
            del fake.requests[:]
            found = list(reader.batches(asked(stored.now, noon.date(), stored)))
            counts.append(sum(request.params["window"].startswith("2026-11-19") for request in fake.requests))
            notes = [item.text for item in found if isinstance(item, Note)]
            assert stored.take(found) == []
            assert counts[-1] == 0 or any(
                "2026-11-19: what is stored of this day is not all of it" in one for one in notes
            )
    assert counts == [1, 0, 0, 1]
    assert stored.total() == before > 0


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z"),
        ("2026-11-22T00:00:00Z", "2026-11-23T00:00:00.001Z"),
        ("2026-11-21T23:59:59Z", "2026-11-23T00:00:00Z"),
        ("2026-11-22T00:00:00Z", "9999-12-31T00:00:00Z"),
        ("1999-01-01T00:00:00Z", "9999-12-31T00:00:00Z"),
    ],
)
def test_an_answer_about_more_than_the_day_that_was_asked_is_refused_at_once(since: str, until: str) -> None:
    document = loaded("tenant-2026-11-22.json")
    for entry in document["data"][0].values():
        entry["window"] = {"start": since, "end": until}
    started = time.monotonic()
    with opencost(lambda _: dumped(document)) as (reader, _), pytest.raises(SourceError) as caught:
        list(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert time.monotonic() - started < 2
    assert caught.value.reason == "format"
    assert "other days" in str(caught.value) or "is longer than the 400 that are read" in str(caught.value)


def test_assets_of_8_000_years_give_the_nodes_of_the_day_that_was_asked_only() -> None:
    def answers(start: str, end: str) -> list[Batch | Problem | Note]:
        document = loaded("assets-2026-11-22.json")
        for asset in document["data"].values():
            asset["window"] = {"start": start, "end": end}
        replay = Replay({}, {"2026-11-22": [dumped(document)]})
        with serve(replay) as fake:
            reader = source(fake.url, context=Context(billed=True))
            return list(reader.batches(asked(NOW, date(2026, 11, 22))))

    (wide, *_) = answers("2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z")
    assert isinstance(wide, Batch)
    assert {node.day for node in wide.resources} == {date(2026, 11, 22)}
    problem, batch, *_ = answers("1999-01-01T00:00:00Z", "9999-01-01T00:00:00Z")
    assert isinstance(problem, Problem)
    assert problem.reason == "assets"
    assert "window of 2,921,940 days is longer than the 400 that are read" in problem.text
    assert isinstance(batch, Batch)
    assert list(batch.resources) == []


def test_a_recorded_answer_of_8_000_years_is_refused_and_one_of_a_year_is_spread(tmp_path: Path) -> None:
    document = loaded("tenant-2026-11-22.json")
    for end, days in (("2027-11-22T00:00:00Z", 365), ("9999-01-01T00:00:00Z", 0)):
        for entry in document["data"][0].values():
            entry["window"] = {"start": "2026-11-22T00:00:00Z", "end": end}
        (tmp_path / "answer.json").write_text(str(dumped(document).body))
        found = list(source(path=tmp_path).batches(asked(NOW, date(2026, 11, 22))))
        assert sum(isinstance(item, Batch) for item in found) == days
    assert any("is longer than the 400 that are read" in item.text for item in found if isinstance(item, Problem))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("1e999999", "1E+999999 is not an amount of money"),
        ("2" * 60, f"{'2' * 40}… is not an amount of money"),
        ('"12"', '"12" is not an amount of money'),
        ("true", "true is not an amount of money"),
        ("[1]", "a list is not an amount of money"),
        ("{}", "a map is not an amount of money"),
    ],
)
def test_what_is_no_amount_is_said_as_the_answer_spells_it(given: str, said: str) -> None:
    window = '"window":{"start":"2026-11-22T00:00:00Z","end":"2026-11-23T00:00:00Z"}'
    body = f'{{"code":200,"data":[{{"acme":{{{window},"cpuCost":{given}}}}}]}}'
    with opencost(lambda _: Reply(body)) as (reader, _), pytest.raises(SourceError) as caught:
        list(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert said in str(caught.value)
    assert "Decimal" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"code":200,"data":[7]}', "a step of data is 7, not a map"),
        ('{"code":200,"data":[[1]]}', "a step of data is a list, not a map"),
        ('{"code":200,"data":[{"acme":null}]}', "is null, not an allocation"),
        ('{"code":200,"data":[{"acme":"x"}]}', 'is "x", not an allocation'),
        ('{"code":200,"data":[{"acme":{"window":7}}]}', "has no readable window: 7"),
        ('{"code":200,"data":[{"acme":{"window":{"start":1,"end":null}}}]}', "has no readable window: 1 to null"),
        ('{"code":200,"data":[{"acme":{},"acme":{}}]}', "the key 'acme' comes twice"),
    ],
)
def test_what_is_no_answer_is_said_in_the_words_of_json(body: str, said: str) -> None:
    with opencost(lambda _: Reply(body)) as (reader, _), pytest.raises(SourceError) as caught:
        list(reader.batches(asked(NOW, date(2026, 11, 22))))
    assert said in str(caught.value)


def test_an_error_in_an_answer_is_told_whatever_comes_before_it() -> None:
    body = '{"data":[{"acme":3}],"code":500,"message":"boom"}'
    with opencost(lambda _: Reply(body)) as (reader, _):
        (problem,) = reader.batches(asked(NOW, date(2026, 11, 22)))
    assert isinstance(problem, Problem)
    assert problem.text == "OpenCost answered an error: boom"
