"""What the CSV sources share: a file read whole and strictly, and every bad line of it named.

RFC 4180 with a header line: commas, quotes (line breaks may stand in them), CRLF or LF, UTF-8 with or without
a byte order mark. Other columns than ours are ignored. One bad line refuses the file: half a file would be a
wrong sum, and what the file gave before stays in use.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator

from unitcost.errors import SourceError
from unitcost.sources.base import ExistingPath
from unitcost.sources.values import shown

MAX_NAMED = 5
"""How many bad lines an error names; the others are counted."""

T = TypeVar("T")


def _a_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    return path


CsvPath = Annotated[ExistingPath, AfterValidator(_a_file)]


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

    def refuse(self) -> None:
        """Raise SourceError `value` when there are any."""
        count = len(self._by_line)
        if not count:
            return
        named = [f"line {line}: {text}" for line, text in sorted(self._by_line.items())[:MAX_NAMED]]
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
        self._reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
        self.header = [name.strip() for _, cells in self._records() for name in cells]
        self.names = {ours: renames.get(ours, ours) for ours in (*needed, *optional)}
        missing = [
            theirs
            for ours, theirs in self.names.items()
            if theirs not in self.header and (ours in needed or ours in renames)
        ]
        if missing:
            raise SourceError(
                "missing",
                self.where,
                f"has no column {', '.join(missing)}; line 1 has {shown(','.join(self.header))}",
                "Name the columns in line 1, separated by commas, or map them with `columns`",
            )
        twice = sorted({theirs for theirs in self.names.values() if self.header.count(theirs) > 1})
        if twice:
            raise SourceError("format", self.where, f"line 1 names the column {twice[0]} twice", "Keep one of them")

    def __contains__(self, column: str) -> bool:
        """Say whether the file has one of our columns."""
        return self.names[column] in self.header

    def lines(self, mistakes: Mistakes) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield each line's number in the file (where it starts) and its cells by our names; only once.

        Lines of another width than the header are noted as mistakes. Raises SourceError `format`.
        """
        places = [(ours, self.header.index(theirs)) for ours, theirs in self.names.items() if theirs in self.header]
        width = len(self.header)
        found = False
        for number, cells in self._records(first=False):
            found = True
            if len(cells) == width:
                yield number, {ours: cells[place] for ours, place in places}
            else:
                mistakes.add(number, f"has {len(cells)} cells and line 1 has {width}; quote values that hold commas")
        if not found:
            raise SourceError("format", self.where, "has a header and no lines", COMPLETE)

    def _records(self, *, first: bool = True) -> Iterator[tuple[int, list[str]]]:
        """Yield the header only, or all that follows, without empty lines."""
        start = self._reader.line_num + 1
        try:
            for cells in self._reader:
                if cells:
                    yield start, cells
                    if first:
                        return
                start = self._reader.line_num + 1
        except csv.Error as error:
            raise SourceError(
                "format", self.where, f"line {start}: is not CSV ({error})", f"Close its quotes. {COMPLETE}"
            ) from error


COMPLETE = "If it was cut off while being written, write it elsewhere and move it here"


def _text(path: Path) -> str:
    where = str(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError("missing", where, "does not exist any more", "Put it back") from error
    except OSError as error:
        raise SourceError("unreadable", where, f"cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SourceError("format", where, f"line {line}: is not UTF-8", "Save the file as CSV UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise SourceError("format", where, f"line {line}: holds a zero byte", f"Save it as UTF-8. {COMPLETE}")
    if not text.strip():
        raise SourceError("format", where, "is empty", COMPLETE)
    return text
