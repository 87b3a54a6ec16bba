"""A ledger that an earlier version wrote: all that it holds goes on to count, also what the sources have forgotten."""

from __future__ import annotations

import gzip
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unitcost.cli.main import main
from unitcost.ledger.store import Ledger

OLD = Path(__file__).parents[1] / "data" / "schema1"
NOON = "2026-11-20T12:00:00Z"


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """Return the folder of a company with the ledger that schema 1 left; its sources hold November only."""
    folder = tmp_path / "company"
    shutil.copytree(OLD, folder)
    (folder / "state").mkdir()
    (folder / "state" / "ledger.duckdb").write_bytes(gzip.decompress((folder / "ledger.duckdb.gz").read_bytes()))
    return folder


def served(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Refresh once; return what is served about the company, by series."""
    assert main(["serve", "--config", str(folder / "unitcost.yaml"), "--once", "--as-of", NOON]) == 0
    return read(capsys.readouterr().out)


NO_SERIES_OF_THEN = ("#", "unitcost_", "process_", "python_", "commitment_", "restated_")
"""What says nothing of the company, and what was told of it first after schema 1."""


def read(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith(NO_SERIES_OF_THEN)]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def test_what_it_served_is_served_again_and_it_goes_on(company: Path, capsys: pytest.CaptureFixture[str]) -> None:
    then = (OLD / "served.txt").read_text()
    before = read(then.replace('source="cluster",cluster="', 'source="cluster",scope="k8s/'))  # its only other name
    assert served(company, capsys) == before
    assert served(company, capsys) == before, "once migrated it is opened as it is"
    bill = company / "bill" / "2026-11.csv"
    more = bill.read_text().splitlines()[-1].replace("-19T", "-20T").replace("-18T", "-19T")
    bill.write_text(f"{bill.read_text()}{more}\n")
    after = served(company, capsys)
    grown = {series for series in before if after[series] != before[series]}
    assert 'platform_cost_dollars{component="storage",window="mtd"}' in grown
    assert not any('window="last_month"' in series for series in grown), "days that the sources forgot stay"


def test_a_change_of_schema_2_has_the_revision_that_its_time_stood_for(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        for table, column in (("changed_day", "revision"), ("usage", "unit"), ("usage", "scope")):
            ledger.rows(f"ALTER TABLE {table} DROP COLUMN {column}")
        ledger.rows("INSERT INTO changed_day VALUES ('2026-11-19', '2026-11-20T12:01:40Z', true)")
        ledger.rows("UPDATE meta SET value = '2' WHERE key = 'schema'")
    with closing(Ledger(tmp_path)) as ledger:
        [(revision,)] = ledger.rows("SELECT revision FROM changed_day")
        assert revision == datetime(2026, 11, 20, 12, 1, 40, tzinfo=UTC).timestamp() // 100
