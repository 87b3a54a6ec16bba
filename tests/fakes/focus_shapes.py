"""FOCUS bills in the shapes that providers deliver: rows of focus-data-toolkit, written as each of them writes.

The toolkit has no generator of Oracle's: its rows are written in Oracle's layout (six-hourly files, times without
seconds, columns of OCI's own) to have that shape too.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
from focus_data_toolkit.generators import get_generator

from tests.fakes.tables import as_csv

COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
Row = Mapping[str, str]

AWS_TAGS = "CAST(CAST(Tags AS JSON) AS MAP(VARCHAR, VARCHAR))"
GCP_TAGS = (
    "list_transform(map_entries(CAST(CAST(Tags AS JSON) AS MAP(VARCHAR, VARCHAR))),"
    " lambda entry: {'key': entry.key, 'value': entry.value})"
)


def generated(provider: str, version: str, seed: int, count: int = 400) -> list[Row]:
    """Return the toolkit's rows of one billing period (May 2026); the same seed gives the same rows."""
    text = get_generator(provider, version).generate_csv_bytes(count, seed).decode()
    return list(csv.DictReader(io.StringIO(text)))


def other_month(rows: Iterable[Row], first: datetime, currency: str) -> list[Row]:
    """Return the rows moved to the month of as many days that begins with a day, and in another currency."""
    moved: list[Row] = []
    for row in rows:
        begins = _time(row["BillingPeriodStart"])
        changed = dict(row)
        for name in TIMES:
            at = first + (_time(row[name]) - begins)
            changed[name] = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        moved.append({**changed, "BillingCurrency": currency})
    return moved


def aws(folder: Path, rows: Sequence[Row]) -> Path:
    """Data Exports: Parquet by billing period, tags a MAP, costs DOUBLE."""
    return _by_period(folder, rows, _parquet(AWS_TAGS, "DOUBLE"), "BILLING_PERIOD={}", "focus-0000{}.snappy.parquet")


def gcp(folder: Path, rows: Sequence[Row]) -> Path:
    """A dump of BigQuery's view: Parquet, tags a list of key and value, costs NUMERIC with 15 decimals."""
    return _by_period(folder, rows, _parquet(GCP_TAGS, "DECIMAL(38, 15)"), "{}", "part-{}.parquet")


def azure(folder: Path, rows: Sequence[Row]) -> Path:
    """Cost Management: CSV by billing period, tags JSON."""
    return _by_period(folder, rows, _csv, "{}", "part_0_000{}.csv")


def oci(folder: Path, rows: Sequence[Row]) -> Path:
    """Oracle's cost reports: a CSV.gz every six hours, under the day, with columns of its own."""
    times = dict.fromkeys(TIMES, "%Y-%m-%dT%H:%MZ")
    files: dict[tuple[str, int], list[Row]] = {}
    for number, row in enumerate(rows):
        start = _time(row["ChargePeriodStart"])
        written = {name: f"{_time(row[name]):{form}}" for name, form in times.items()}
        own = {
            "oci_ReferenceNumber": str(number),
            "oci_CompartmentId": "ocid1.compartment.oc1..a",
            "oci_CostOverage": "",
        }
        files.setdefault((f"{start:%Y/%m/%d}", start.hour // 6), []).append({**row, **written, **own})
    for number, ((day, _), charges) in enumerate(sorted(files.items())):
        target = folder / "FOCUS Reports" / day / f"{number:016d}-00001.csv.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(as_csv(charges).encode()))
    return folder


SHAPES: Mapping[str, tuple[str, Callable[[Path, Sequence[Row]], Path]]] = {
    "aws": ("aws", aws),
    "azure": ("azure", azure),
    "gcp": ("gcp", gcp),
    "oci": ("azure", oci),
}
"""Shape → the toolkit's provider, and what writes it."""


def amount(row: Row, cost: str) -> Decimal:
    """Return a cost of a row; real files hold the string NULL."""
    return Decimal(0) if row[cost] in {"", "NULL"} else Decimal(row[cost])


def sums(rows: Iterable[Row], cost: str, key: Callable[[Row], str | None] = lambda _: None) -> dict[object, Decimal]:
    """Add a cost column up, by billing period, currency and a key, as the rows have it."""
    found: dict[object, Decimal] = {}
    for row in rows:
        at = (row["BillingPeriodStart"][:7], row["BillingCurrency"], key(row))
        found[at] = found.get(at, Decimal(0)) + amount(row, cost)
    return found


def _by_period(
    folder: Path, rows: Sequence[Row], write: Callable[[Path, Sequence[Row]], None], named: str, part: str
) -> Path:
    """Write each billing period as two parts."""
    for period in sorted({row["BillingPeriodStart"][:7] for row in rows}):
        charges = [row for row in rows if row["BillingPeriodStart"].startswith(period)]
        for number in (1, 2):
            target = folder / named.format(period) / part.format(number)
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, charges[number - 1 :: 2])
    return folder


def _parquet(tags: str, cost: str) -> Callable[[Path, Sequence[Row]], None]:
    def write(path: Path, rows: Sequence[Row]) -> None:
        text = path.with_suffix(".tmp")
        _csv(text, rows)
        typed = dict.fromkeys(COSTS, cost) | dict.fromkeys(TIMES, "TIMESTAMP")
        typed_tags = {name: tags.replace("Tags", name) for name in ("Tags", "AllocatedTags")}
        made = typed_tags | {name: f"CAST({name} AS {kind})" for name, kind in typed.items()}
        chosen = ", ".join(f"{made.get(name, name)} AS {name}" for name in rows[0])
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT {chosen} FROM read_csv(?, all_varchar = true, header = true, delim = ',',"
                f" quote = '\"', escape = '\"')) TO '{path}' (FORMAT parquet)",
                [str(text)],
            )
        text.unlink()

    return write


def _csv(path: Path, rows: Sequence[Row]) -> None:
    path.write_text(as_csv(rows), encoding="utf-8")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.rstrip("Z"))
