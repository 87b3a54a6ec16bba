"""A new source is one module and one line of the table, and whatever it brings is derived, served and known."""

from __future__ import annotations

import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fakes import toy_source
from tests.fakes.company import NOW, YESTERDAY
from unitcost.config.load import load
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.sources.registry import TYPES, SourceType
from unitcost.web.snapshot import Current

YAML = """
windows: [1d]
sources: {calls: {type: phone, path: calls.jsonl}}
sharing: [{match: {service: calls}, by: minutes}]
"""
CALLS = f"""\
{{"day": "{YESTERDAY}", "customer": "acme", "line": "mobile", "minutes": 30, "dollars": 6.5}}
{{"day": "{YESTERDAY}", "customer": "beta", "line": "fixed", "minutes": 10, "dollars": 1.5}}
{{"day": "{YESTERDAY}", "customer": null, "line": "trunk", "minutes": 0, "dollars": 4}}
"""


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unitcost.sources.bills.phone", toy_source)
    line = SourceType("bill", "bills.phone:PhoneSettings", "bills.phone:Phone", also=("usage",))
    monkeypatch.setitem(TYPES, "phone", line)


def test_what_it_brings_is_served_to_the_cent_and_known_for_both(tmp_path: Path) -> None:
    (tmp_path / "unitcost.yaml").write_text(YAML)
    (tmp_path / "calls.jsonl").write_text(CALLS.replace("null", '"__unallocated__"'))
    config, directory = load(tmp_path / "unitcost.yaml")
    current = Current()
    with closing(Ledger(tmp_path)) as ledger:
        refresher = Refresher(config, directory, ledger, current, lambda: NOW)
        assert refresher.refresh(), refresher.runners[0].problems
        snapshot = current.get()
        assert snapshot is not None
        lines = snapshot.text.decode().splitlines()
        # 4 dollars are nobody's: 30 of 40 minutes are acme's, 10 beta's.
        assert 'tenant_cost_dollars{tenant="acme",component="network",window="1d"} 9.5' in lines
        assert 'tenant_cost_dollars{tenant="beta",component="network",window="1d"} 2.5' in lines
        assert 'cost_per_unit{tenant="acme",unit="minutes",window="1d"} 0.31666666666666665' in lines
        assert 'window_complete{window="1d"} 1.0' in lines
        assert 'unitcost_source_rows{source="calls"} 6.0' in lines
        assert b"bill and usage" in snapshot.page
        found = ledger.rows("SELECT item, unit, quantity, amount, via, basis FROM line ORDER BY amount DESC")
        assert found == [
            ("mobile", "minutes", 30, Decimal("6.5"), 0, "billed"),
            ("trunk", "minutes", 0, Decimal(4), 1, "billed"),
            ("fixed", "minutes", 10, Decimal("1.5"), 0, "billed"),
        ]


def test_its_errors_say_where_and_leave_what_is_stored(tmp_path: Path) -> None:
    (tmp_path / "unitcost.yaml").write_text(YAML)
    (tmp_path / "calls.jsonl").write_text(CALLS.replace("null", '"__unallocated__"'))
    config, directory = load(tmp_path / "unitcost.yaml")
    with closing(Ledger(tmp_path)) as ledger:
        assert Refresher(config, directory, ledger, Current(), lambda: NOW).refresh()
        (tmp_path / "calls.jsonl").write_text("nothing\n")
        again = Refresher(config, directory, ledger, Current(), lambda: NOW)
        assert not again.refresh()
        assert again.runners[0].problems[0].startswith(f"{tmp_path}/calls.jsonl, line 1: is no call")
        assert ledger.rows("SELECT sum(amount) FROM line") == [(12,)]
