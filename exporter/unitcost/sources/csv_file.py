"""What the CSV sources share: a file read whole and strictly, and every bad line of it named.

RFC 4180 with a header line, quotes (line breaks may stand in them), and what `csv_lines` reads besides: any line
ends, semicolons or tabs, UTF-16 with a byte order mark. Other columns than ours are ignored. One bad line refuses
the file: half a file would be a wrong sum, and what the file gave before stays in use.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from unitcost.errors import SourceError
from unitcost.facts import Problem
from unitcost.sources import csv_lines
from unitcost.sources.csv_lines import COMPLETE
from unitcost.sources.values import EXACT, shown

MAX_NAMED = 5
"""How many bad lines an error names; the others are counted."""

T = TypeVar("T")


class Mistakes:
    """The bad lines of one file, in the order they were found."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._by_line: dict[int, str] = {}

    def add(self, line: int, text: str) -> None:
        """Note what is wrong with a line; the first mistake of each line is kept."""
        self._by_line.setdefault(line, text)

    def parse(self, line: int, column: str, spelt: str, parse: Callable[[str], T]) -> T | None:
        """Parse a cell; a ValueError is noted, and None returned."""
        try:
            return parse(spelt)
        except ValueError as error:
            self.add(line, f"{column} {error}")
            return None

    def named(self) -> list[tuple[int, str]]:
        """Return each bad line and what is wrong with it, by line."""
        return sorted(self._by_line.items())

    def refuse(self) -> None:
        """Raise SourceError `value` when there are any."""
        count = len(self._by_line)
        if not count:
            return
        named = [f"line {line}: {text}" for line, text in self.named()[:MAX_NAMED]]
        more = f"; and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
        lines = "1 bad line" if count == 1 else f"{count} bad lines"
        raise SourceError("value", self.where, f"{lines}: {'; '.join(named)}{more}", "Correct them; nothing was read")


class Table:
    """A CSV file's lines under our own names of its columns.

    needed, optional: our names. renames: ours → the file's, where they differ; a renamed column must exist.
    """

    def __init__(self, path: Path, needed: Sequence[str], optional: Sequence[str], renames: Mapping[Any, str]) -> None:
        """Read the file. Raises SourceError: `missing` (file or column), `unreadable`, `format`."""
        self.where = str(path)
        self.names = {ours: renames.get(ours, ours) for ours in (*needed, *optional)}
        self._mark, self._records = csv_lines.read(_lines(path), self.names.values(), self.where)
        self.header = [name.strip() for name in next(self._records)[1]]
        missing = [
            theirs
            for ours, theirs in self.names.items()
            if theirs not in self.header and (ours in needed or ours in renames)
        ]
        if missing:
            raise SourceError(
                "missing",
                self.where,
                f"has no column {', '.join(missing)}; line 1 has {shown(self._mark.join(self.header))}",
                "Name the columns in line 1, separated by commas, or map them with `columns`",
            )
        twice = sorted({theirs for theirs in self.names.values() if self.header.count(theirs) > 1})
        if twice:
            raise SourceError("format", self.where, f"line 1 names the column {twice[0]} twice", "Keep one of them")

    def __contains__(self, column: str) -> bool:
        """Say whether the file has one of our columns."""
        return self.names[column] in self.header

    def lines(self, mistakes: Mistakes, *, may_be_empty: bool = False) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield each line's number in the file (where it starts) and its cells by our names; only once.

        Lines of another width than the header are noted as mistakes. Raises SourceError `format`.
        """
        places = [(ours, self.header.index(theirs)) for ours, theirs in self.names.items() if theirs in self.header]
        width = len(self.header)
        found = may_be_empty
        for number, cells in self._records:
            found = True
            if len(cells) == width:
                yield number, {ours: cells[place] for ours, place in places}
            else:
                mistakes.add(number, csv_lines.misfit(cells, width, self._mark))
        if not found:
            raise SourceError("format", self.where, "has a header and no lines", COMPLETE)


class Row(NamedTuple):
    """One amount of a file, and the line that says it."""

    line: int
    tenant: str
    amount: Decimal


def totals(groups: Iterable[Collection[Row]], mistakes: Mistakes) -> list[Problem]:
    """Note as a mistake each row that is named like a total and is one; return a Problem for each that is none.

    groups: the rows that may be added up with each other, such as those of one day and measure. A total is the sum of
    the other rows of its group, or of those since the total before it.
    """
    told = []
    for group in groups:
        suspects = {row.line for row in group if csv_lines.sounds_total(row.tenant)}
        whole = _sum([row.amount for row in group if row.line not in suspects]) if suspects else Decimal(0)
        part = Decimal(0)
        for row in group if suspects else ():
            if row.line not in suspects:
                part = EXACT.add(part, row.amount)
                continue
            if row.amount and row.amount in {whole, part}:
                mistakes.add(
                    row.line,
                    f"{shown(row.tenant)} is the sum of the other lines and would count them twice; remove it,"
                    " or spell the name differently if it is a customer",
                )
            else:
                told.append(
                    Problem(
                        "suspicious",
                        f"{mistakes.where}, line {row.line}",
                        f"{shown(row.tenant)} reads as a total, and counts as a tenant with {row.amount.normalize():f}",
                        "Remove the line if it is one",
                    )
                )
            part = Decimal(0)
    return told


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, which holds more than white space."""
    where = str(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError("missing", where, "does not exist any more", "Put it back") from error
    except OSError as error:
        raise SourceError("unreadable", where, f"cannot be read: {error.strerror}") from error
    empty = True
    try:
        for number, line in enumerate(csv_lines.lines(io.BytesIO(content)), 1):
            if "\0" in line:
                raise SourceError("format", where, f"line {number}: holds a zero byte", f"Save it as UTF-8. {COMPLETE}")
            empty = empty and not line.strip()
            yield line
    except csv_lines.NotUtf8Error as error:
        raise SourceError("format", where, f"line {error.line}: is not UTF-8", "Save the file as CSV UTF-8") from error
    if empty:
        raise SourceError("format", where, "is empty", COMPLETE)
