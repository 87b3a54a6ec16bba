"""The tenant directory is read again when its file changes; one that is wrong changes nothing and is told of once."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.company import NOW
from unitcost.config.load import load
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current

YAML = """
tenants: {directory: tenants.csv}
history: 3d
windows: [1d]
sources:
  revenue: {type: csv_revenue, path: mrr.csv}
"""
ACME = "id,name,plan,aliases\nacme,Acme Corp,pro,acme-old\n"


@pytest.fixture
def refresher(tmp_path: Path) -> Iterator[Refresher]:
    (tmp_path / "unitcost.yaml").write_text(YAML)
    (tmp_path / "tenants.csv").write_text(ACME)
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme-old,300\nbeta,200\n")
    config, directory = load(tmp_path / "unitcost.yaml")
    with closing(Ledger(None)) as ledger:
        yield Refresher(config, directory, ledger, Current(), lambda: NOW)


def write(path: Path, text: str) -> None:
    """Write a file so that its time differs, however coarse the file system's clock is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def told(refresher: Refresher, metric: str) -> dict[str, str]:
    """Return tenant → the labels and value of a metric, after a refresh."""
    assert refresher.refresh()
    snapshot = refresher.current.get()
    assert snapshot is not None
    lines = re.findall(rf'^{metric}(\{{tenant="([^"]*)".*)$', snapshot.text.decode(), re.MULTILINE)
    return {tenant: line for line, tenant in lines}


def test_a_customer_who_is_added_is_known_at_the_next_refresh(refresher: Refresher, tmp_path: Path) -> None:
    assert 'status="unknown"' in told(refresher, "tenant_info")["beta"]
    write(tmp_path / "tenants.csv", f"{ACME}beta,Beta Inc,starter,\n")
    found = told(refresher, "tenant_info")
    assert 'name="Beta Inc",plan="starter"' in found["beta"]
    assert 'name="Acme Corp"' in found["acme"]


def test_another_spelling_means_another_customer_from_then_on(refresher: Refresher, tmp_path: Path) -> None:
    assert told(refresher, "tenant_mrr_dollars").keys() == {"acme", "beta"}
    write(tmp_path / "tenants.csv", "id,name,plan,aliases\nacme,Acme Corp,pro,\nold,Old Acme,pro,acme-old\n")
    assert told(refresher, "tenant_mrr_dollars").keys() == {"old", "beta"}


@pytest.mark.parametrize("wrong", ["id,name\nacme,Acme\nacme,Twice\n", "name\nAcme\n", None])
def test_a_wrong_directory_changes_nothing_and_is_told_of_once(
    refresher: Refresher, tmp_path: Path, wrong: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    before = told(refresher, "tenant_info")
    if wrong is None:
        (tmp_path / "tenants.csv").unlink()
    else:
        write(tmp_path / "tenants.csv", wrong)
    with caplog.at_level(logging.WARNING):
        assert told(refresher, "tenant_info") == told(refresher, "tenant_info") == before
    assert len([line for line in caplog.messages if "what it said before stays in use" in line]) == 1
    write(tmp_path / "tenants.csv", ACME.replace("Acme Corp", "Acme Inc"))
    assert 'name="Acme Inc"' in told(refresher, "tenant_info")["acme"]
