"""The ledger file: replaced whole or not at all, opened by one, and never a puzzle when it cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.fakes.stored import utc
from unitcost.errors import LedgerError, LedgerInUseError, SourceError
from unitcost.facts import Batch, Cost, Query, Resource, Revenue, Usage
from unitcost.ledger.derive import DAY_TABLES, Model, derive
from unitcost.ledger.files import FILE_NAME
from unitcost.ledger.opening import SCHEMA_VERSION
from unitcost.ledger.store import Ledger

NOW = utc(2026, 11, 23, 12)
DAY = date(2026, 11, 22)
RATES = {"USD": Decimal(1)}
MODEL = Model(
    sources=[("bill", "bill", True), ("revenue", "revenue", True)],
    billed_by=[],
    rates=[("USD", Decimal(1))],
    aliases=[],
    rules=[],
    fixed=[],
    dimensions=["feature"],
)


def cost(amount: str, day: date = DAY, tenant: str | None = "acme", currency: str = "USD") -> Cost:
    return Cost(day, tenant, "EC2", "compute", Decimal(amount), currency, None, {"feature": "search"})


def put(ledger: Ledger, batch: Batch, source: str = "bill") -> None:
    ledger.put(source, "s", batch, NOW, RATES)


def run_python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args], capture_output=True, text=True, check=False, timeout=60
    )


def test_records_come_back_to_the_last_digit(tmp_path: Path) -> None:
    rows = [cost("0.000000000001"), cost("-99999999999999.999999999999", tenant=None)]
    ledger = Ledger(tmp_path)
    put(ledger, Batch("k", [DAY], "f", cost=rows, resources=[Resource(DAY, "i-1", "k8s/prod")]))
    stored = ledger.stored("bill", "s")
    assert sorted(stored.costs("k"), key=lambda row: row.amount) == sorted(rows, key=lambda row: row.amount)
    assert stored.fingerprint("k") == "f"
    assert stored.resources(DAY, DAY) == [Resource(DAY, "i-1", "k8s/prod")]
    assert ledger.stored("bill", "other settings").keys() == set()
    ledger.close()
    again = Ledger(tmp_path)
    assert again.stored("bill", "s").keys() == {"k"}
    again.close()


def test_a_batch_is_replaced_whole_and_only_changed_days_are_derived_again() -> None:
    ledger = Ledger(None)
    days = [DAY - timedelta(1), DAY]
    put(ledger, Batch("2026-11", days, cost=[cost("1", days[0]), cost("2", days[1])]))
    assert derive(ledger, MODEL, NOW, timedelta(90)) == days
    assert derive(ledger, MODEL, NOW, timedelta(90)) == []
    put(ledger, Batch("2026-11", days, cost=[cost("1", days[0]), cost("3", days[1])]))
    assert derive(ledger, MODEL, NOW, timedelta(90)) == [days[1]]
    assert ledger.rows("SELECT sum(direct) FROM tenant_day") == [(Decimal(4),)]


def test_a_day_that_no_source_speaks_of_any_more_leaves_nothing_behind() -> None:
    ledger = Ledger(None)
    days = [DAY - timedelta(1), DAY]
    put(ledger, Batch("2026-11", days, cost=[cost("1", days[0]), cost("2", days[1])]))
    derive(ledger, MODEL, NOW, timedelta(90))
    put(ledger, Batch("2026-11", days[:1], cost=[cost("1", days[0])]))
    assert derive(ledger, MODEL, NOW, timedelta(90)) == []
    for table in DAY_TABLES:
        assert ledger.rows(f"SELECT count(*) FROM {table} WHERE day = ?", [days[1]]) == [(0,)], table
    assert ledger.rows("SELECT sum(direct) FROM tenant_day") == [(Decimal(1),)]


def test_two_equal_rows_that_both_change_are_noticed() -> None:
    ledger = Ledger(None)
    put(ledger, Batch("k", [DAY], cost=[cost("1"), cost("1")]))
    derive(ledger, MODEL, NOW, timedelta(90))
    put(ledger, Batch("k", [DAY], cost=[cost("2"), cost("2")]))
    assert derive(ledger, MODEL, NOW, timedelta(90)) == [DAY]


def test_an_empty_batch_never_replaces_a_stored_one() -> None:
    ledger = Ledger(None)
    put(ledger, Batch("k", [DAY], cost=[cost("1")]))
    put(ledger, Batch("k", []))
    put(ledger, Batch("other", []))
    stored = ledger.stored("bill", "s")
    assert stored.keys() == {"k"}
    assert stored.asked_empty("other") == NOW
    assert stored.asked_empty("k") == NOW, "it is asked again a day later"
    assert len(stored.costs("k")) == 1


def test_a_currency_without_a_rate_is_refused_and_the_old_batch_stays() -> None:
    ledger = Ledger(None)
    put(ledger, Batch("k", [DAY], cost=[cost("1")]))
    with pytest.raises(SourceError, match=r"k: 1 rows are in GBP, which has no rate\. Add GBP to currency\.rates"):
        put(ledger, Batch("k", [DAY], cost=[cost("5"), cost("7", currency="GBP")]))
    with pytest.raises(SourceError, match="GBP"):
        put(ledger, Batch("m", [DAY], revenue=[Revenue(DAY, None, "acme", Decimal(5), "GBP")]), "revenue")
    assert ledger.rows("SELECT sum(amount) FROM cost") == [(Decimal(1),)]
    assert ledger.rows("SELECT count(*) FROM revenue") == [(0,)]


def test_a_query_that_fails_in_the_middle_leaves_the_old_batch() -> None:
    ledger = Ledger(None)
    put(ledger, Batch("k", [DAY], usage=[Usage(DAY, "acme", "requests", Decimal(7))]))
    bad = Query(
        "SELECT DATE '2026-11-22' AS day, 't' AS tenant, 'requests' AS measure, x::DECIMAL(38, 12) AS quantity"
        " FROM (VALUES ('1'), ('x')) v(x)"
    )
    with pytest.raises(SourceError, match="cannot be read"):
        put(ledger, Batch("k", [DAY], usage=bad))
    assert ledger.rows("SELECT sum(quantity) FROM usage") == [(Decimal(7),)]


def test_a_revenue_of_a_whole_month_is_the_mrr_to_the_last_digit() -> None:
    ledger = Ledger(None)
    days = [date(2026, 10, 1) + timedelta(n) for n in range(31)]
    put(ledger, Batch("m", days, revenue=[Revenue(days[0], None, "acme", Decimal("49.99"), "USD")]), "revenue")
    derive(ledger, MODEL, NOW, timedelta(90))
    assert ledger.rows("SELECT count(*), sum(mrr) FROM revenue_day") == [(31, 31 * Decimal("49.99"))]


def test_a_second_process_is_told_who_holds_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    code = "import sys, pathlib; from unitcost.ledger.store import Ledger; Ledger(pathlib.Path(sys.argv[1]))"
    found = run_python(code, str(tmp_path))
    assert found.returncode == 1
    assert f"{tmp_path / FILE_NAME}: is in use by another process (PID {os.getpid()})" in found.stderr
    assert LedgerInUseError.__name__ in found.stderr
    ledger.close()


def test_a_corrupt_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database, but twelve bytes and more" * 1000)
    with pytest.raises(LedgerError, match=r"may be damaged.* delete nothing\. No copy is kept"):
        Ledger(tmp_path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_ledger_with_flipped_bytes_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    put(ledger, Batch("k", [DAY], cost=[cost(str(n), tenant=f"t{n}") for n in range(2000)]))
    ledger.close()
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    for at in range(4096, 12288):
        content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"ledger\.duckdb: cannot be"):
        Ledger(tmp_path)


def test_a_ledger_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    with duckdb.connect(str(tmp_path / FILE_NAME)) as connection:
        connection.execute("UPDATE meta SET value = '0' WHERE key = 'schema'")
    with pytest.raises(
        LedgerError,
        match=rf"another version of unitcost \(schema 0, this one reads {SCHEMA_VERSION}\); start that version",
    ):
        Ledger(tmp_path)


def test_a_duckdb_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE accounts (a INTEGER)")
    with pytest.raises(LedgerError, match="is a DuckDB file of something else; set state_dir to another folder"):
        Ledger(tmp_path)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    if os.geteuid() == 0:  # root may write anywhere but here
        folder = Path("/proc/unitcost")
    with pytest.raises(LedgerError, match=r"make state_dir (writable for|a folder that) this user"):
        Ledger(folder)


def test_a_full_disk_is_one_clear_line_and_what_was_stored_stays(tmp_path: Path) -> None:
    code = """
        import resource, signal, sys
        from datetime import date, datetime, UTC
        from decimal import Decimal
        from pathlib import Path
        from unitcost.errors import LedgerError
        from unitcost.ledger.store import Ledger
        from unitcost.facts import Batch, Cost
        day, now, rates = date(2026, 11, 22), datetime(2026, 11, 23, tzinfo=UTC), {"USD": Decimal(1)}
        def rows(count):
            return [Cost(day, f"tenant-{n}-{n * 7919}", "s", "compute", Decimal(n), "USD") for n in range(count)]
        ledger = Ledger(Path(sys.argv[1]))
        ledger.put("bill", "s", Batch("k", [day], cost=rows(10)), now, rates)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
        try:
            ledger.put("bill", "s", Batch("k", [day], cost=rows(200_000)), now, rates)
        except LedgerError as error:
            print(error)
    """
    found = run_python(code, str(tmp_path))
    assert "ledger.duckdb: cannot be written: the disk is full" in found.stdout, found
    assert "make room, the next refresh goes on" in found.stdout
    ledger = Ledger(tmp_path)
    assert ledger.rows("SELECT count(*), sum(amount) FROM cost") == [(10, Decimal(45))]
    ledger.close()


@pytest.mark.parametrize(
    ("spelt", "tenant"),
    [
        ("  acme\n", "acme"),
        ("", None),
        (" ", None),
        ("__idle__", None),
        ('o\'brien "$"', 'o\'brien "$"'),
        ("two\nlines", "two\nlines"),
    ],
)
def test_a_spelling_becomes_a_tenant_or_nobody(spelt: str, tenant: str | None) -> None:
    ledger = Ledger(None)
    assert ledger.rows("SELECT tenant_id(?)", [spelt]) == [(tenant,)]


def test_very_long_names_are_cut_and_stay_apart() -> None:
    ledger = Ledger(None)
    [(first, second)] = ledger.rows("SELECT tenant_id(?), tenant_id(?)", ["x" * 10_000 + "a", "x" * 10_000 + "b"])
    assert first != second
    assert len(first) == len(second) == 209
