"""`/-/healthy` says no where a restart may help, with the reason; never as a source fails."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes.processes import exporter, wait_for
from unitcost.web.health import Health

HOUR = timedelta(hours=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that stands where its only element says."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def watched(every: timedelta) -> Health:
    health = Health()
    health.watch(threading.current_thread(), every)
    return health


def test_before_the_refresh_has_begun_nothing_is_expected_of_it(clock: list[float]) -> None:
    health = Health()
    clock[0] += 1e6
    assert health.problem() is None


@pytest.mark.parametrize(("every", "limit"), [(timedelta(minutes=5), HOUR), (HOUR, 3 * HOUR)])
def test_numbers_that_were_not_renewed_for_an_hour_or_three_refreshes_are_not_healthy(
    clock: list[float], every: timedelta, limit: timedelta
) -> None:
    health = watched(every)
    clock[0] += limit.total_seconds()
    assert health.problem() is None
    clock[0] += 1
    assert (health.problem() or "").startswith("no numbers were published for ")
    health.published()
    assert health.problem() is None


def test_a_refresh_that_ended_is_not_healthy() -> None:
    health = Health()
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    health.watch(thread, HOUR)
    assert health.problem() == "the refresh has ended in a way it should not; see the log"


def test_a_lost_ledger_is_not_healthy_until_numbers_are_published_without_it_being_lost() -> None:
    health = watched(HOUR)
    health.lost("the ledger is gone")
    assert health.problem() == "the ledger is gone"
    health.published("some of it cannot be read")
    assert health.problem() == "some of it cannot be read"
    health.published()
    assert health.problem() is None


def test_sources_that_all_fail_are_no_reason_to_restart(tmp_path: Path) -> None:
    (tmp_path / "mrr.csv").write_text("no,such,columns\n1,2,3\n")
    (tmp_path / "unitcost.yaml").write_text(
        "sources:\n  revenue: {type: csv_revenue, path: mrr.csv}\n"
        '  cluster: {type: opencost, url: "http://127.0.0.1:9"}\nrefresh: {every: 1s}\n'
    )
    with exporter(tmp_path) as unitcost:
        wait_for(lambda: len(unitcost.values("unitcost_source_up")) == 2, "both have failed")
        assert set(unitcost.values("unitcost_source_up").values()) == {0.0}
        answer = unitcost.get("/-/healthy")
        assert (answer.status_code, answer.text) == (200, "healthy\n")
