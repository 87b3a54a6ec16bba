"""Files of a ConfigMap or Secret are replaced as a whole folder behind a link; what they say now is read."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.certificates import self_signed
from tests.fakes.projected import DATA, mount
from unitcost.config.load import load
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.web.snapshot import Current
from unitcost.web.web_config import WebConfig

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIG = {
    "state_dir": "/nowhere/that/is/used",
    "tenants": {"directory": "lists/tenants.csv"},
    "sources": {"revenue": {"type": "csv_revenue", "path": "mrr.csv"}},
}


def contents(name: str, mrr: int) -> dict[str, str]:
    return {
        "unitcost.yaml": json.dumps(CONFIG),
        "lists/tenants.csv": f"id,name\nacme,{name}\n",
        "mrr.csv": f"tenant,mrr,as_of\nacme,{mrr},2026-10-01\n",
    }


def test_tenants_and_revenue_are_read_again_after_their_objects_changed(tmp_path: Path) -> None:
    folder = tmp_path / "unitcost"
    mount(folder, contents("Acme", 5000))
    config, directory = load(folder / "unitcost.yaml")
    with closing(Ledger(None)) as ledger:
        current = Current()
        refresher = Refresher(config, directory, ledger, current, lambda: NOW)
        for name, mrr in (("Acme", 5000), ("Acme Corporation", 6000)):
            mount(folder, contents(name, mrr))
            assert refresher.refresh()
            snapshot = current.get()
            assert snapshot is not None
            assert f'name="{name}"' in snapshot.text.decode()
            assert f'tenant_mrr_dollars{{tenant="acme"}} {mrr}' in snapshot.text.decode()


def test_a_mistake_names_the_file_as_the_configuration_does(tmp_path: Path) -> None:
    folder = tmp_path / "unitcost"
    mount(folder, contents("Acme", 5000))
    config, _ = load(folder / "unitcost.yaml")
    assert config.tenants.directory == folder / "lists" / "tenants.csv"
    assert DATA not in str(config.settings("revenue"))


@pytest.mark.needs("openssl")
def test_the_web_configs_certificate_is_the_one_that_is_mounted_now(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    web = json.dumps({"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"}})
    for _ in range(2):
        self_signed(tmp_path)
        files = {name: (tmp_path / name).read_text(encoding="utf-8") for name in ("server.crt", "server.key")}
        mount(folder, {"web.yml": web, **files})
        read = WebConfig.of(folder / "web.yml")
        assert read.files() == [folder / "web.yml", folder / "server.crt", folder / "server.key"]
    mount(folder, {"web.yml": web, **files})
    assert all(path.is_file() for path in read.files())
