"""A reload while sources are asked and numbers are published: no fetch is lost, nothing is mixed."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.fakes.company import NOW, YESTERDAY
from tests.fakes.reloaded import Running, answered, basic, company, running, until, usage, write_company
from tests.fakes.server import Fake, Reply, Request, serve
from unitcost.config.directory import Directory
from unitcost.config.load import load
from unitcost.config.model import Config
from unitcost.facts import Asked, Batch, Note, Problem
from unitcost.ledger.store import Ledger
from unitcost.run.fetch import Fetcher
from unitcost.run.refresh import Refresher
from unitcost.sources.base import SourceKind
from unitcost.web.snapshot import Current

# ------------------------------------------------------------------------------------------- sources that stay


def days_asked(fake: Fake) -> Counter[str]:
    return Counter(request.params["time"] for request in fake.requests)


def test_another_sharing_rule_derives_all_days_again_and_asks_no_source(tmp_path: Path) -> None:
    with company(tmp_path) as (given, fake):
        asked = days_asked(fake)
        assert max(asked.values()) == 1
        read = given.ledger.rows("SELECT * FROM batch ORDER BY ALL")
        assert given.reload(sharing=[{"match": {"component": "database"}, "by": "requests"}]).successful
        until(lambda: given.value('tenant_shared_cost_dollars{tenant="acme",window="1d"}') == 22, "it is shared")
        assert given.settled()
        assert days_asked(fake) == asked
        assert given.ledger.rows("SELECT * FROM batch ORDER BY ALL") == read


def test_a_longer_history_asks_a_source_for_the_days_that_it_has_more(tmp_path: Path) -> None:
    with company(tmp_path) as (given, fake):
        before = days_asked(fake)
        assert given.reload(history="9d").successful
        until(lambda: given.ledger.known("usage").days == 10, "the older days")
        until(given.settled, "all is read")
        more = days_asked(fake) - before
        assert max(more.values()) == 1
        assert len(more) == 5 + 4, "the older days, and those that can still change"


def errors(given: Running) -> dict[str, float]:
    """Return how many errors each source has had, as it is served."""
    found = re.findall(r'^unitcost_source_errors_total\{source="(\w+)",.*\} (\S+)$', given.text(), re.MULTILINE)
    return {name: float(count) for name, count in found}


def problems(given: Running, name: str) -> list[str]:
    return next(runner.problems for runner in given.refresher.runners if runner.name == name)


def test_a_source_that_stays_keeps_its_state_one_that_goes_vanishes_and_a_new_one_is_asked_at_once(
    tmp_path: Path,
) -> None:
    failing = {"type": "csv_revenue", "path": "mrr.csv", "columns": {"tenant": "nobody"}}
    with company(tmp_path, sources={"revenue": failing, "usage": usage("http://127.0.0.1:9", timeout=1)}) as (
        given,
        fake,
    ):
        until(lambda: len(errors(given)) == 2, "both have failed")
        assert set(errors(given).values()) == {1}
        told = problems(given, "revenue")
        assert told
        more = {"revenue": failing, "new": usage(fake.url)}
        assert given.reload(sources=more).successful
        until(lambda: given.value('unitcost_source_up{source="new"}') == 1, "the new one is asked")
        assert given.value('unitcost_source_up{source="revenue"}') == 0
        assert errors(given) == {"revenue": 1}, "it was not asked"
        assert problems(given, "revenue") == told
        assert 'source="usage"' not in given.text()
        # Changed, and fine from now on: what it failed of before still counts.
        assert given.reload(sources={**more, "revenue": {**failing, "columns": {}}}).successful
        until(lambda: given.value('unitcost_source_up{source="revenue"}') == 1, "it is asked anew")
        assert errors(given) == {"revenue": 1}
        assert problems(given, "revenue") == []


# ------------------------------------------------------------------------------------------- in the middle of it


def gated(gate: threading.Event, slow: str = "") -> Callable[[Request], Reply]:
    """Answer 9 at once, but 7 behind a gate where the query holds a word."""

    def answer(request: Request) -> Reply:
        if slow in request.params["query"]:
            gate.wait(20)
            return answered(7)
        return answered(9)

    return answer


@contextmanager
def hanging(folder: Path, gate: threading.Event, slow: str = "") -> Iterator[tuple[Running, Fake]]:
    """Run with usage that waits for a gate, in the middle of the first refresh."""
    write_company(folder)
    with serve(gated(gate, slow)) as fake:
        config = {**basic(fake.url), "history": "3d"}
        try:
            with running(folder, config) as given:
                until(lambda: bool(fake.requests), "the refresh is under way")
                yield given, fake
        finally:
            gate.set()


def test_a_reload_in_a_refresh_is_served_at_once_and_loses_no_fetch_of_a_source_that_stays(tmp_path: Path) -> None:
    gate = threading.Event()
    with hanging(tmp_path, gate) as (given, fake):
        begun = time.monotonic()
        assert given.reload(windows=["2d"]).successful
        assert time.monotonic() - begun < 3
        until(lambda: 'window_complete{window="2d"}' in given.text(), "the new windows, while it hangs", 5)
        assert [runner.running for runner in given.refresher.runners if runner.name == "usage"] == [True]
        gate.set()
        until(lambda: given.value('tenant_usage{tenant="acme",measure="requests",window="2d"}') == 14, "what it brings")
        until(given.settled, "all is read")
        assert set(days_asked(fake).values()) == {1}


def test_a_source_that_was_removed_in_a_refresh_stores_nothing_afterwards(tmp_path: Path) -> None:
    gate = threading.Event()
    with hanging(tmp_path, gate) as (given, fake):
        [asking] = [runner.thread for runner in given.refresher.runners if runner.name == "usage"]
        rest = {name: settings for name, settings in given.config["sources"].items() if name != "usage"}
        assert given.reload(sources=rest).successful
        gate.set()
        assert asking is not None
        asking.join(10)
        until(given.settled, "all is read")
        assert len(fake.requests) == 1, "it asks no more"
        assert given.ledger.rows("SELECT count(*) FROM batch WHERE source = 'usage'") == [(0,)]
        assert given.ledger.rows("SELECT count(*) FROM source_state WHERE source = 'usage'") == [(0,)]
        assert "usage" not in given.text().replace("tenant_usage", "").replace("platform_usage", "").split("{")


class Scripted:
    """A source that delivers what it is given, and says when it has."""

    kind: ClassVar[SourceKind] = "usage"

    def __init__(self, *batches: Batch) -> None:
        self._batches = batches
        self.delivers = threading.Event()

    def batches(self, _: Asked) -> Iterator[Batch | Problem | Note]:
        for batch in self._batches:
            self.delivers.set()
            yield batch


@pytest.mark.parametrize("batches", [[Batch("day", [YESTERDAY])], []], ids=["a batch", "a success"])
def test_what_waits_to_be_stored_while_its_source_is_removed_is_dropped(tmp_path: Path, batches: list[Batch]) -> None:
    write_company(tmp_path)
    (tmp_path / "unitcost.yaml").write_text(yaml.safe_dump(basic("http://127.0.0.1:9")))
    config, directory = load(tmp_path / "unitcost.yaml")
    with closing(Ledger(None)) as ledger:
        fetcher = Fetcher(config, directory, ledger, lambda: NOW)
        for runner in fetcher.runners:
            runner.source = Scripted()
        [removed] = [runner for runner in fetcher.runners if runner.name == "usage"]
        removed.source = source = Scripted(*batches)
        with ledger.alone():  # as a publication does, and a reload does not wait for it
            asking = threading.Thread(target=fetcher.fetch)
            asking.start()
            until(lambda: source.delivers.is_set() or removed.last_success == NOW, "it comes to be stored")
            time.sleep(0.1)
            sources = {name: settings for name, settings in config.sources.items() if name != "usage"}
            rest = config.model_copy(update={"sources": sources})
            fetcher.take_over(fetcher.prepared(rest, directory, fetcher.configured))
        asking.join(10)
        assert removed.thread is not None
        removed.thread.join(10)
        assert ledger.rows("SELECT count(*) FROM batch WHERE source = 'usage'") == [(0,)]
        assert ledger.rows("SELECT count(*) FROM source_state WHERE source = 'usage'") == [(0,)]


def test_what_a_source_fails_of_after_it_was_changed_is_no_error_of_its_successor(tmp_path: Path) -> None:
    gate = threading.Event()

    def refuses(request: Request) -> Reply:
        if "requests" not in request.params["query"]:
            return answered(9)
        gate.wait(20)
        return Reply("no", 403)

    write_company(tmp_path)
    with serve(refuses) as fake, running(tmp_path, {**basic(fake.url), "history": "3d"}) as given:
        until(lambda: bool(fake.requests), "the refresh is under way")
        [asking] = [runner.thread for runner in given.refresher.runners if runner.name == "usage"]
        assert given.reload(sources={**given.config["sources"], "usage": usage(fake.url, "hits")}).successful
        until(lambda: given.value('unitcost_source_up{source="usage"}') == 1, "its successor answers")
        gate.set()
        assert asking is not None
        asking.join(10)
        assert given.reload(windows=["1d", "2d"]).successful
        until(lambda: 'window_complete{window="2d"}' in given.text(), "another snapshot")
        assert given.value('unitcost_source_up{source="usage"}') == 1
        assert errors(given) == {}


def test_a_source_that_may_tell_more_is_asked_again_as_soon_as_it_is_done(tmp_path: Path) -> None:
    gate = threading.Event()
    with hanging(tmp_path, gate) as (given, _):
        assert given.reload(history="9d").successful
        until(lambda: given.text() != "", "the refresh goes on")
        gate.set()
        until(lambda: given.ledger.known("usage").days == 10, "the older days, long before the next refresh")


def test_a_source_that_is_done_while_numbers_are_published_is_not_left_until_the_next_refresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    with hanging(tmp_path, gate) as (given, _):
        publish, published = given.refresher.publish, []

        def slowly() -> bool:
            published.append(publish())
            if len(published) > 1:  # the reload's own numbers are the first, and the refresh's that it came into
                gate.set()
                until(lambda: not any(runner.running for runner in given.refresher.runners), "the source is done")
            return published[-1]

        monkeypatch.setattr(given.refresher, "publish", slowly)
        assert given.reload(history="9d").successful
        until(lambda: given.ledger.known("usage").days == 10, "all its days, long before the next refresh")
        until(lambda: given.value('unitcost_source_up{source="usage"}') == 1, "and it is told")


def test_a_source_that_changed_in_a_refresh_is_asked_at_once_and_what_it_said_before_is_dropped(tmp_path: Path) -> None:
    gate = threading.Event()
    with hanging(tmp_path, gate, slow="requests") as (given, fake):
        [asking] = [runner.thread for runner in given.refresher.runners if runner.name == "usage"]
        changed = {**given.config["sources"], "usage": usage(fake.url, "hits")}
        assert given.reload(sources=changed).successful
        series = 'tenant_usage{tenant="acme",measure="requests",window="1d"}'
        until(lambda: given.value(series) == 9, "the new query's answer, while the old one hangs", 5)
        stored = given.ledger.rows("SELECT key, settings, fingerprint FROM batch WHERE source = 'usage' ORDER BY ALL")
        assert len({settings for _, settings, _ in stored}) == 1
        gate.set()
        assert asking is not None
        asking.join(10)
        until(given.settled, "all is read")
        assert given.reload(windows=["1d", "2d"]).successful
        until(lambda: given.value(series.replace("1d", "2d")) == 18, "another snapshot")
        assert given.value(series) == 9
        again = given.ledger.rows("SELECT key, settings, fingerprint FROM batch WHERE source = 'usage' ORDER BY ALL")
        assert again == stored


def test_sources_that_change_back_and_forth_while_they_are_asked_end_with_what_stands_in_the_file(
    tmp_path: Path,
) -> None:
    gate = threading.Event()
    gate.set()

    def slowly(request: Request) -> Reply:
        time.sleep(0.03)
        return answered(7 if "requests" in request.params["query"] else 9)

    with company(tmp_path, slowly, history="15d") as (given, fake):
        for number in range(12):
            query = ("hits", "requests")[number % 2]
            found = given.reload(sources={**given.config["sources"], "usage": usage(fake.url, query)})
            assert found.successful
            time.sleep(0.05 * (number % 4))
        until(given.settled, "all is read")
        assert given.ledger.rows("SELECT DISTINCT quantity FROM usage WHERE source = 'usage'") == [(7,)]
        assert given.ledger.rows("SELECT count(DISTINCT settings) FROM batch WHERE source = 'usage'") == [(1,)]
        until(lambda: 'unitcost_source_former_settings{source="usage"} 0.0' in given.text(), "none of before")


class Moments(Ledger):
    """A ledger in which another configuration is taken over before the n-th time that it is used."""

    def __init__(self) -> None:
        super().__init__(None)
        self.left = 0
        self.happen: Callable[[], None] = lambda: None

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.left -= 1
        if self.left == 0:
            self.happen()
        with super().alone():
            yield


def test_a_configuration_that_is_taken_over_at_any_moment_of_a_publication_is_in_all_of_the_snapshot_or_in_none(
    tmp_path: Path,
) -> None:
    write_company(tmp_path)
    old = {**basic("http://127.0.0.1:9"), "history": "2d"}
    del old["sources"]["usage"]
    new = {
        **old,
        "windows": ["2d"],
        "currency": {"rates": {"EUR": 3}, "as_of": "2026-11-02"},
        "sharing": [{"match": {"component": "database"}, "by": "even"}],
        "tenants": {"directory": "others.csv"},
        "limits": {"tenants": 1},
        "plans": {"pro": {"target_margin": 0.5}},
        "sources": {"bill": old["sources"]["bill"], "next": old["sources"]["revenue"]},
    }
    path = tmp_path / "unitcost.yaml"

    def loaded(config: dict[str, Any]) -> tuple[Config, Directory]:
        path.write_text(yaml.safe_dump(config))
        return load(path)

    ledger, current = Moments(), Current()
    before, after = loaded(old), loaded(new)
    refresher = Refresher(*before, ledger, current, lambda: NOW)
    assert refresher.refresh()

    def published() -> tuple[str, bytes]:
        assert refresher.publish()
        snapshot = current.get()
        assert snapshot is not None
        return re.sub(r"(refresh_duration_seconds\{.*\}) .*", r"\1", snapshot.text.decode()), snapshot.page

    whole = {}
    for name, config in (("new", after), ("old", before)):
        refresher.take_over(refresher.prepared(*config))
        whole[name] = published()
    assert 'source="next"' in whole["new"][0]
    assert 'source="next"' not in whole["old"][0]
    seen = []
    for moment in range(1, 1000):
        refresher.take_over(refresher.prepared(*before))
        prepared = refresher.prepared(*after)
        ledger.happen = partial(refresher.take_over, prepared)
        ledger.left = moment
        ledger.revision += 1  # as if facts were stored: all is summed up and read anew
        seen.append(published())
        if ledger.left > 0:
            break
    assert set(seen) == set(whole.values())
    assert seen[-1] == whole["old"], "the last moment came after all of it"
    assert len(seen) > 40
