"""CSV bills read by Python: the header always, all of a file only where DuckDB cannot read it as it is spelt.

DuckDB reads good files fast, but says little of the others, and nothing of some. A second look finds the real cause
and its line; a file that is only spelt unusually (mixed line ends, CR CR LF, UTF-16) is read from a plain copy.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from unitcost.errors import SourceError
from unitcost.scratch import place, scratch
from unitcost.sources import csv_lines
from unitcost.sources.bills.focus.files import BillFile, Copy

COPY_AGAIN = "It may have been cut off while it was copied; copy it again"
BOM = b"\xef\xbb\xbf"
KNOWN = ("BilledCost", "EffectiveCost", "BillingCurrency", "BillingPeriodStart", "ChargePeriodStart", "ServiceName")
"""Columns by which a header shows its delimiter."""

NO_CSV = {
    b"\x1f\x8b": ("a gzip file", "Name it .csv.gz"),
    b"PAR1": ("a Parquet file", "Name it .parquet"),
    b"PK\x03\x04": ("a zip file or an Excel workbook", "Unpack it, or export it as CSV"),
}
"""What other files begin with."""


@contextmanager
def _opened(file: BillFile) -> Iterator[IO[bytes]]:
    """Open what a CSV holds. Raises SourceError for whatever goes wrong while it is open."""
    where = str(file.path)
    try:
        opener = gzip.open if file.kind == "csv.gz" else open
        with opener(file.copy.path if file.copy else file.path, "rb") as opened:
            yield cast("IO[bytes]", opened)
    except csv_lines.NotUtf8Error as error:
        raise SourceError("encoding", f"{where}, line {error.line}", "is not UTF-8", "Export it as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError("truncated", where, f"is not a complete gzip file: {error}", COPY_AGAIN) from error
    except OSError as error:
        raise SourceError("missing", where, f"cannot be read: {error}") from error


def header(file: BillFile) -> tuple[list[str], str]:
    """Return the names in a CSV's first line and its delimiter. Raises SourceError."""
    where = str(file.path)
    with _opened(file) as opened:
        mark, records = csv_lines.read(csv_lines.lines(opened), KNOWN, where)
        _, names = next(records, (0, []))
    if not names:
        raise SourceError("empty", where, "is empty", COPY_AGAIN)
    if "\0" in "".join(names):
        raise SourceError("encoding", where, "has zero bytes in its first line", "Export it as UTF-8")
    return [name.strip() for name in names], mark


def needs_copy(file: BillFile) -> bool:
    """Tell whether DuckDB would take a CSV for something else, silently: UTF-16, or an empty first line.

    Raises SourceError `format` where the file is of another kind than its name says.
    """
    with _opened(file) as opened:
        start = opened.read(len(BOM) + 1)
    for magic, (what, hint) in NO_CSV.items():
        if start.startswith(magic):
            raise SourceError("format", str(file.path), f"is no CSV but {what}", hint)
    return start.startswith(csv_lines.UTF16) or start.removeprefix(BOM)[:1] in {b"\r", b"\n"}


def plain(file: BillFile) -> BillFile:
    """Return a CSV with a copy that DuckDB reads. Raises SourceError with the line and the cause where it is no CSV."""
    with _opened(file) as opened:
        mark, records = csv_lines.read(csv_lines.lines(opened), KNOWN, str(file.path))
        try:
            handle, name = tempfile.mkstemp(suffix=f".{file.kind}", dir=scratch())
            copy = Copy(Path(name))
            with os.fdopen(handle, "wb") as kept, _writing(kept, file.kind) as written:
                rows = csv.writer(written, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n")
                rows.writerows(_fitting(records, mark, file))
        except OSError as error:
            if isinstance(error, gzip.BadGzipFile):
                raise
            raise SourceError(
                "unreadable",
                str(file.path),
                f"needs a plain copy in {place()}, which cannot be written: {error.strerror}",
                "Make room there, or export it as UTF-8 with one kind of line end",
            ) from error
    return replace(file, copy=copy)


def _writing(kept: IO[bytes], kind: str) -> IO[str]:
    if kind == "csv.gz":
        return cast("IO[str]", gzip.open(kept, "wt", compresslevel=1, encoding="utf-8", newline=""))
    return io.TextIOWrapper(kept, "utf-8", newline="")


def _fitting(records: Iterator[tuple[int, list[str]]], mark: str, file: BillFile) -> Iterator[list[str]]:
    width = 0
    for line, cells in records:
        width = width or len(cells)
        if len(cells) == width + 1 and not cells[-1]:
            cells.pop()  # a delimiter at the end of lines, which DuckDB takes for none as well
        if len(cells) != width:
            raise SourceError("format", f"{file.path}, line {line}", csv_lines.misfit(cells, width, mark))
        yield cells
