"""CSV as files spell it: any line ends, `,` `;` or tab as the header says, UTF-8 or UTF-16 with a byte order mark.

What would have to be guessed is refused: every error here names the line and the real cause.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import IO

from unitcost.errors import SourceError

COMPLETE = "If it was cut off while being written, write it elsewhere and move it here"
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""The byte order marks; without one, UTF-16 is not told from other bytes."""


class NotUtf8Error(ValueError):
    """Bytes that are no UTF-8; line: where they are. The chain holds what the decoder said."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


def lines(opened: IO[bytes]) -> Iterator[str]:
    """Yield a file's lines with their ends, whichever they are; CR CR LF is one end. Raises NotUtf8Error."""
    start = opened.read(2)
    opened.seek(0)
    number = 1
    before = ""
    try:
        with io.TextIOWrapper(opened, "utf-16" if start in UTF16 else "utf-8-sig", newline="") as text:
            for line in text:
                if line == "\r\n" and before.endswith("\r"):
                    before = before.rstrip("\r") + line
                    continue
                if before:
                    number += 1
                    yield before
                before = line
    except UnicodeError as error:
        # The text is decoded ahead of its lines: those that came in the same piece are before the bad bytes.
        ahead = bytes(getattr(error, "object", b""))[: getattr(error, "start", 0)]
        raise NotUtf8Error(number + (before != "") + len(re.findall(rb"\r*\n|\r", ahead))) from error
    if before:
        yield before


def delimiter(first: str, wanted: Collection[str]) -> str:
    """Return the delimiter by which a header has the most of the wanted names, whatever their case."""
    names = {name.lower() for name in wanted}

    def having(mark: str) -> int:
        try:
            cells = next(csv.reader([first], delimiter=mark), [])
        except csv.Error:  # a header longer than any; it is refused where it is read
            return 0
        return len(names & {cell.strip().lower() for cell in cells})

    return max(DELIMITERS, key=having)  # of equal ones the first: the comma


def read(given: Iterator[str], wanted: Collection[str], where: str) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Return the delimiter that the first line which is not blank has, and (line, cells) of each record, that one too.

    wanted: the names that its header may have. Raises SourceError `format`, here and while the records are read.
    """
    ahead: list[str] = []
    for line in given:
        ahead.append(line)
        if line.strip():
            break
    mark = delimiter(ahead[-1] if ahead else "", wanted)
    return mark, records(chain(ahead, given), mark, where)


def records(given: Iterable[str], mark: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line where it starts, cells) of each record that is not empty. Raises SourceError `format`."""
    texts: list[str] = []  # of the present record, to see why it cannot be read

    def kept() -> Iterator[str]:
        for text in given:
            if len(texts) < MAX_KEPT:
                texts.append(text)
            yield text

    reader = csv.reader(kept(), delimiter=mark, strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
            texts.clear()
    except csv.Error as error:
        text, hint = _cause(texts, error)
        raise SourceError("format", where, f"line {start}: is not CSV ({text})", hint) from error


MAX_KEPT = 20
"""Lines of a record that are looked at once it cannot be read; an open quote may swallow the whole file."""


def _cause(texts: list[str], error: csv.Error) -> tuple[str, str]:
    if any('\\"' in text for text in texts):
        return "its quotes are escaped by a backslash", 'Export it with quotes doubled: "" for each \\"'
    if "field limit" in str(error) and not any('"' in text for text in texts):
        return f"a value of more than {csv.field_size_limit():,} characters", COMPLETE
    if "unexpected end of data" in str(error) or "field limit" in str(error):
        return "a quote that is never closed", f"Close its quotes. {COMPLETE}"
    return f"{error}; a quote ends inside a value", 'Double the quotes inside of values: "" for each "'


def misfit(cells: list[str], width: int, mark: str) -> str:
    """Say what is wrong with a record of another width than the header's."""
    if sounds_total(cells[0]):
        return f"has {len(cells)} cells and line 1 has {width}; it reads as a line of totals: remove it"
    if len(cells) == width + 1 and not cells[-1].strip():
        return f"has {len(cells)} cells and line 1 has {width}; the last one is empty: end lines as line 1 does"
    if len(cells) < width:
        return f"has {len(cells)} cells and line 1 has {width}; if it was cut off, write or copy it again"
    return f"has {len(cells)} cells and line 1 has {width}; quote values that hold {DELIMITERS[mark]}s"


_TOTALS = (
    "total|totals|subtotal|subtotals|sub total|grand total|overall total|total amount|sum|sum total|summe|gesamt"
    "|gesamtsumme|insgesamt|zwischensumme|somme|total général|total general|sous total|suma|totale|totaal|totalt|итого"
)
_SOUNDS_TOTAL = re.compile(rf"(?:{_TOTALS})\W*", re.IGNORECASE)


def sounds_total(text: str) -> bool:
    """Tell whether a name is a word for a total: Total, Grand total, Sum, Gesamt, Somme, …, in any case."""
    return _SOUNDS_TOTAL.fullmatch(" ".join(text.replace("-", " ").split())) is not None
