"""CSV files as people have them: what is read whatever its spelling, and what is refused with its line and cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.stored import MemoryStored, asked, rows, utc
from unitcost.config.directory import Directory
from unitcost.errors import SourceError
from unitcost.facts import Problem, Revenue, Usage
from unitcost.sources.base import Context
from unitcost.sources.csv_file import Mistakes, Table
from unitcost.sources.csv_lines import sounds_total
from unitcost.sources.revenue.csv_revenue import CsvRevenue, CsvRevenueSettings
from unitcost.sources.usage.csv_usage import CsvUsage, CsvUsageSettings

NOW = utc(2026, 11, 18, 12)
FIRST = NOW.date()

Write = Callable[[str | bytes], Path]


def revenue(path: Path) -> tuple[dict[str, Decimal], list[Problem]]:
    """Return today's MRR by tenant, and the problems."""
    stored = MemoryStored(NOW)
    source = CsvRevenue("revenue", CsvRevenueSettings(path=path), Context())
    told = stored.take(source.batches(asked(NOW, FIRST, stored)))
    return {one.tenant: one.mrr for one in rows(Revenue, stored.batches[str(FIRST)].revenue)}, told


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        revenue(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def usage(path: Path) -> tuple[list[Usage], list[Problem]]:
    stored = MemoryStored(NOW)
    told = stored.take(CsvUsage("usage", CsvUsageSettings(path=path), Context()).batches(asked(NOW, FIRST, stored)))
    return [one for batch in stored.batches.values() for one in rows(Usage, batch.usage)], told


# ------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    "content",
    [
        b"tenant,mrr\r\r\nacme,5\r\r\nbeta,7.5\r\r\n",
        b"tenant,mrr\nacme,5\r\nbeta,7.5\r",
        b"tenant,mrr\racme,5\nbeta,7.5\r\n",
        b"\r\n\r\ntenant,mrr\r\n\r\nacme,5\r\nbeta,7.5",
        b"tenant;mrr\r\nacme;5\r\nbeta;7.5\r\n",
        b'"tenant";"mrr"\n"acme";"5"\n"beta";"7.5"\n',
        b"tenant\tmrr\nacme\t5\nbeta\t7.5\n",
        b'\xef\xbb\xbf"tenant","mrr"\nacme,5\nbeta,7.5\n',
        "tenant\tmrr\r\nacme\t5\r\nbeta\t7.5\r\n".encode("utf-16"),
        b"\xfe\xff" + "tenant,mrr\nacme,5\nbeta,7.5\n".encode("utf-16-be"),
        b"tenant,mrr,\nacme,5,\nbeta,7.5,\n",
    ],
)
def test_a_file_reads_the_same_however_it_is_spelt(write: Write, content: bytes) -> None:
    assert revenue(write(content)) == ({"acme": Decimal(5), "beta": Decimal("7.5")}, [])


CELLS = st.text(st.sampled_from("ab ,;\t\"'\n\r\\é0"), max_size=6)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"])


def spelt(cell: str, mark: str, *, quoted: bool) -> str:
    """Return a cell as RFC 4180 writes it."""
    if quoted or any(letter in cell for letter in (mark, '"', "\r", "\n")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


@given(
    given_=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5),
    ends=st.lists(ENDS, min_size=6, max_size=6),
    mark=st.sampled_from(",;\t"),
    quoted=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_reads_to_the_same_rows(
    given_: Sequence[tuple[str, str]], ends: Sequence[str], mark: str, quoted: bool, encoding: str
) -> None:
    given_ = [(one.replace("\r", ""), other.replace("\r", "")) for one, other in given_]
    text = ""
    for cells, end in zip([("one", "two"), *given_], ends, strict=False):
        text += mark.join(spelt(cell, mark, quoted=quoted) for cell in cells) + end
    with TemporaryDirectory() as folder:
        path = Path(folder) / "given.csv"
        path.write_bytes(text.encode(encoding))
        mistakes = Mistakes(str(path))
        table = Table(path, ("one", "two"), (), {})
        assert [(cells["one"], cells["two"]) for _, cells in table.lines(mistakes)] == given_
        mistakes.refuse()


# --------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"tenant;mrr\nacme;1\nbeta;1,5\n", "line 3: mrr '1,5' is not a plain number such as 1234.50"),
        (b'tenant,mrr\nok,1\n"a \\"b\\", c",5\n', "line 3: is not CSV (its quotes are escaped by a backslash)"),
        (b'tenant,mrr\nok,1\n"acme,5\nbeta,6\n', "line 3: is not CSV (a quote that is never closed)"),
        (b"tenant" * 30_000 + b",mrr\nok,1\n", "line 1: is not CSV (a value of more than 131,072 characters)"),
        (b"tenant,mrr\n" + b"a" * 200_000 + b",5\n", "line 2: is not CSV (a value of more than 131,072 characters)"),
        (b'"tenant' + b"x" * 200_000, "line 1: is not CSV (a quote that is never closed)"),
        (b'tenant,mrr\n"ac"me,1\n', "a quote ends inside a value"),
        (b"tenant,mrr\r\r\nok,1\r\r\nacme,x\r\r\n", "line 3: mrr 'x'"),
        (b"tenant,mrr\racme,1\rb\xe9ta,2\rz,3\r", "line 3: is not UTF-8"),
        (b"tenant,mrr\r\nacme,1\r\nb\xe9ta,2\r\nz,3\r\n", "line 3: is not UTF-8"),
        (b"tenant,mrr\nacme,5,\n", "line 2: has 3 cells and line 1 has 2; the last one is empty"),
        (b"tenant;mrr\nacme;Inc;5\n", "line 2: has 3 cells and line 1 has 2; quote values that hold semicolons"),
        (
            b"tenant,mrr,plan\nacme,5,x\nbeta,6\n",
            "line 3: has 2 cells and line 1 has 3; if it was cut off, write or copy it again",
        ),
        (b"tenant,mrr,plan\nacme,5,x\nTotal,5\n", "line 3: has 2 cells and line 1 has 3; it reads as a line of totals"),
        ("tenant,mrr\nacme,5\n".encode("utf-16")[:-3], "is not UTF-8"),
        ("tenant,mrr\nacme,5\n".encode("utf-16-be"), "line 1: holds a zero byte"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused_with_its_line_and_cause(
    write: Write, content: bytes, text: str
) -> None:
    assert text in refused(write(content))


def test_a_bad_byte_far_into_a_long_file_is_on_its_line(write: Write) -> None:
    good = b"".join(b"tenant-%d,1\n" % number for number in range(50_000))
    assert "line 50002: is not UTF-8" in refused(write(b"tenant,mrr\n" + good + b"b\xe9ta,2\n"))


# --------------------------------------------------------------------------------------------- the directory


def directory(write: Write, content: str | bytes) -> tuple[Directory, list[str]]:
    return Directory.read(write(content))


def test_an_unquoted_comma_in_the_directory_shifts_no_cell(write: Write) -> None:
    content = "id,name,plan\nacme,Acme, Inc.,pro\n,nobody,\nbeta,Beta\nok,Ok,pro\n"
    found, wrong = directory(write, content)
    path = write(content)
    assert [tenant.id for tenant in found.tenants] == ["ok"]
    assert wrong == [
        f"{path} line 3: has no id",
        f"{path} line 2: has 4 cells and line 1 has 3; quote values that hold commas",
        f"{path} line 4: has 2 cells and line 1 has 3; if it was cut off, write or copy it again",
    ]


def test_an_unquoted_comma_is_found_where_the_cells_happen_to_fit(write: Write) -> None:
    found, wrong = directory(write, "id,name,plan,aliases\nacme,Acme, Inc.,pro\nbeta,Beta,pro,B\n")
    assert [tenant.id for tenant in found.tenants] == ["beta"]
    (mistake,) = wrong
    assert "line 2: ' Inc.' begins with a space: remove it, or quote values that hold commas" in mistake


def test_a_directory_with_a_space_behind_every_comma_is_read(write: Write) -> None:
    found, wrong = directory(write, "id, name, plan\nacme, Acme, pro\n")
    assert wrong == []
    assert [(tenant.name, tenant.plan) for tenant in found.tenants] == [("Acme", "pro")]


def test_every_mistake_before_an_unclosed_quote_of_the_directory_is_told_with_it(write: Write) -> None:
    _, wrong = directory(write, 'id,name\n,x\nacme,"Acme\n')
    assert "line 2: has no id" in wrong[0]
    assert "line 3: is not CSV (a quote that is never closed)" in wrong[1]


def test_a_directory_with_semicolons_and_mixed_line_ends_is_read(write: Write) -> None:
    found, wrong = directory(write, b'id;name;aliases\r\nacme;Acme, Inc.;"A;B"\nbeta;Beta;\r\r\n')
    assert wrong == []
    assert [tenant.aliases for tenant in found.tenants] == [("A", "B"), ()]
    assert [tenant.name for tenant in found.tenants] == ["Acme, Inc.", "Beta"]


def test_a_directory_may_have_no_line_yet(write: Write) -> None:
    assert directory(write, "id,name\n") == (Directory(), [])


# ---------------------------------------------------------------------------------------------------- totals


@pytest.mark.parametrize(
    "lines",
    [
        "acme,100\nbeta,50\nTotal,150\n",
        "acme,100\nbeta,50\n GRAND  TOTAL: ,150.00\n",
        "gesamt,150\nacme,100\nbeta,50\n",
        "acme,100\nSubtotal,100\nbeta,50\nSub-total,50\n",
    ],
)
def test_a_line_of_totals_refuses_the_file_with_its_number(write: Write, lines: str) -> None:
    path = write("tenant,mrr\n" + lines)
    number = next(at for at, line in enumerate(lines.splitlines(), 2) if sounds_total(line.split(",")[0]))
    assert f"line {number}: " in refused(path)
    assert "is the sum of the other lines and would count them twice" in refused(path)


def test_a_tenant_that_is_only_named_like_a_total_counts_and_is_told(write: Write) -> None:
    path = write("tenant,mrr\nacme,100\nSomme,7.50\n")
    found, (problem,) = revenue(path)
    assert found == {"acme": Decimal(100), "Somme": Decimal("7.5")}
    assert (problem.reason, problem.where) == ("suspicious", f"{path}, line 3")
    assert problem.text == "'Somme' reads as a total, and counts as a tenant with 7.5"


def test_totals_are_those_of_their_own_day(write: Write) -> None:
    path = write("tenant,mrr,as_of\nacme,100,2026-10-01\nacme,120,2026-11-01\ntotal,120,2026-11-01\n")
    assert "line 4: 'total' is the sum" in refused(path)
    _, (problem,) = revenue(write(path.read_text().replace("total,120", "total,220")))
    assert problem.reason == "suspicious"


def test_totals_of_usage_are_those_of_their_day_and_measure(write: Write) -> None:
    lines = f"day,tenant,measure,quantity\n{FIRST},acme,requests,3\n{FIRST},beta,requests,4\n{FIRST},acme,seats,7\n"
    with pytest.raises(SourceError, match="line 5: 'Total' is the sum of the other lines"):
        usage(write(f"{lines}{FIRST},Total,requests,7\n"))
    found, (problem,) = usage(write(f"{lines}{FIRST},Total,seats,8\n"))
    assert sum(one.quantity for one in found) == 22
    assert "'Total' reads as a total" in problem.text


@pytest.mark.parametrize("name", ["Total Energies", "Summit", "sum-up", "Gesamtwerk", "acme total", ""])
def test_a_name_that_only_begins_like_a_total_is_a_name(name: str) -> None:
    assert not sounds_total(name)


def test_a_total_of_nothing_is_no_reason_to_refuse(write: Write) -> None:
    found, told = revenue(write("tenant,mrr\nfree,0\ntotal,0\n"))
    assert found == {"free": Decimal(0), "total": Decimal(0)}
    assert [one.reason for one in told] == ["suspicious"]
