"""What DuckDB says of a file that it cannot read, as an error that names the file and the line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.csv_text import COPY_AGAIN
from unitcost.sources.bills.focus.files import BillFile


def explain(error: Exception, files: Sequence[BillFile]) -> SourceError:
    """Turn what DuckDB said about one of these files into an error that names the file and the line."""
    said = str(error)
    named = [file for file in files if str(file.path) in said or file.pattern in said]
    where = str(named[0].path if named else files[0].path)
    if len(files) > 1 and not named:
        where = f"{files[0].path} and {len(files) - 1} more"
    if line := re.search(r"on Line: (\d+)", said):
        where = f"{where}, line {line.group(1)}"
    for pattern, reason, text, hint in _SAID:
        if found := re.search(pattern, said):
            return SourceError(reason, where, text.format(*found.groups()), hint)
    first = next((line for line in said.splitlines() if line.strip()), "DuckDB says no more")
    return SourceError("format", where, f"cannot be read: {first}", "If it was cut off, copy it again")


_SAID = (
    ("[Oo]verflow|out of range", "value", "its costs sum to more than can be counted", "Correct the largest of them"),
    ("Invalid unicode", "encoding", "is not UTF-8", "Export it as UTF-8"),
    (
        r"Expected Number of Columns: (\d+) Found: (\d+)",
        "format",
        "has {1} columns where the header has {0}",
        COPY_AGAIN,
    ),
    ("unterminated quote", "format", "has a quote that is never closed", COPY_AGAIN),
    ("end of GZIP stream", "truncated", "is not a complete gzip file", COPY_AGAIN),
    ("not a GZIP stream", "format", "is not a gzip file", "Name it .csv if it is not compressed"),
    ("No magic bytes|too small to be a Parquet", "format", "is not a complete Parquet file", COPY_AGAIN),
    (r'Could not convert string "([^"]*)"', "number", "holds '{0}', which cannot be counted", ""),
)
