"""A refresh that brings nothing new sums nothing up again, and whatever is new counts in the next snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.company import NOW
from unitcost.config.load import load
from unitcost.ledger.store import Ledger
from unitcost.run import publish
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

YAML = "windows: [1d]\nsources: {usage: {type: csv_usage, path: usage.csv}}\ntenants: {directory: tenants.csv}\n"
USAGE = "day,tenant,measure,quantity\n2026-11-21,acme,requests,3\n2026-11-22,acme,requests,7\n"


class Company:
    """An exporter of one file, with a clock that a test sets. sums: how often it summed up."""

    def __init__(self, folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.now, self.sums = folder, NOW, 0
        config, directory = load(folder / "unitcost.yaml")
        self._current = Current()
        self._refresher = Refresher(config, directory, ledger, self._current, lambda: self.now)
        look: Callable[..., None] = getattr(publish, "look")  # noqa: B009 - not exported for anybody else

        def counted(ledger: Ledger, terms: object, now: datetime) -> None:
            self.sums += 1
            look(ledger, terms, now)

        monkeypatch.setattr(publish, "look", counted)

    def served(self) -> dict[str, float]:
        """Refresh; return the served series."""
        assert self._refresher.refresh()
        snapshot = self._current.get()
        assert snapshot is not None
        lines = [line for line in snapshot.text.decode().splitlines() if not line.startswith("#")]
        return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    (tmp_path / "unitcost.yaml").write_text(YAML)
    (tmp_path / "usage.csv").write_text(USAGE)
    (tmp_path / "tenants.csv").write_text("id,name\nacme,Acme Corp\n")
    with closing(Ledger(tmp_path)) as ledger:
        yield Company(tmp_path, ledger, monkeypatch)


ACME = 'tenant_usage{tenant="acme",measure="requests",window="1d"}'


def test_nothing_new_is_not_summed_up_again_and_the_time_of_the_numbers_moves_on(company: Company) -> None:
    first = company.served()
    company.now += timedelta(minutes=5)
    second = company.served()
    assert company.sums == 1
    own = "unitcost_snapshot_timestamp_seconds"
    assert second[own] - first[own] == 300
    numbers = [{name: value for name, value in found.items() if "seconds" not in name} for found in (first, second)]
    assert numbers[0] == numbers[1]


def test_what_is_new_counts_at_once(company: Company) -> None:
    assert company.served()[ACME] == 7
    (company.folder / "usage.csv").write_text(USAGE.replace(",7", ",8"))
    assert company.served()[ACME] == 8
    (company.folder / "tenants.csv").write_text("id,name\nacme,Another\n")
    assert 'tenant_info{tenant="acme",name="Another",plan="",status="active"}' in company.served()
    company.now += timedelta(hours=12)
    assert ACME not in company.served(), "another day is the last complete one"
    assert company.sums == 4
