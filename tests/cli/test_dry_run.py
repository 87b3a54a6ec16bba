"""`unitcost check --dry-run`: the statements of the next refresh and their price, and nothing that costs is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.engines import FakeEngine, fake
from tests.fakes.focus_tables import charges
from unitcost.cli.main import main
from unitcost.errors import SourceError

AS_OF = "2026-11-20T12:00:00Z"


@pytest.fixture
def trino(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    yield from fake("trino", monkeypatch)


def write(folder: Path, engine: str = "{type: trino, table: lake.billing.focus, url: 'http://trino:8080'}") -> Path:
    path = folder / "unitcost.yaml"
    path.write_text(f"history: 40d\nsources: {{bill: {{type: focus, engine: {engine}}}}}\n", encoding="utf-8")
    return path


def run(config: Path) -> int:
    return main(["check", "--dry-run", "--config", str(config), "--as-of", AS_OF])


def test_statements_and_their_price_are_printed_and_none_is_run(
    trino: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trino.bytes = 3_240_000_000
    assert run(write(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bill (trino lake.billing.focus): 2 billing periods are due"
    assert lines[1] == "2026-11: reads 3.2 GB by a fake, about 0.0162 USD at list price"
    assert lines[2].startswith("  WITH charge AS (SELECT ")
    assert "TIMESTAMP '2026-10-31 11:00:00'" in lines[2]
    assert lines[3].startswith("2026-10: ")
    assert len(lines) == 5
    assert trino.statements == []


def test_what_is_stored_and_closed_is_not_due(
    trino: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trino.table.add(charges())
    trino.table.add(charges("2026-11", days=19))
    config = write(tmp_path)
    assert main(["serve", "--once", "--config", str(config), "--as-of", AS_OF]) == 0
    capsys.readouterr()
    asked = len(trino.statements)
    assert run(config) == 0
    assert capsys.readouterr().out == "bill (trino lake.billing.focus): 0 billing periods are due\n"
    assert len(trino.statements) == asked == 2


def test_an_engine_that_does_not_answer_is_told(
    trino: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> None:
        raise SourceError("unreachable", "trino lake.billing.focus", "nobody listens", "Check url")

    monkeypatch.setattr(trino, "columns", nobody)
    assert run(write(tmp_path)) == 1
    assert capsys.readouterr().out == "bill: FAILED: trino lake.billing.focus: nobody listens. Check url\n"


def test_a_configuration_without_an_engine_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,5\n", encoding="utf-8")
    (tmp_path / "unitcost.yaml").write_text("sources: {m: {type: csv_revenue, path: mrr.csv}}", encoding="utf-8")
    assert run(tmp_path / "unitcost.yaml") == 0
    assert capsys.readouterr().out == "no bill is read by an engine, so there is no statement to show\n"
