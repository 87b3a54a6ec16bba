"""JSON read piece by piece, so that an answer of 200 MB never stands in memory as objects, which take 30 times that.

What is opened is walked through; everything else comes whole, with numbers as Decimal, from the standard library's
scanner. A window of the text is looked at; where a value goes on behind it, the window grows.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from enum import Enum
from json import JSONDecodeError
from typing import Any

from unitcost.sources.values import DECODER

Path = tuple[str | int, ...]
"""Keys of maps and positions in lists, from the outside in."""

WINDOW = 1 << 18
LARGEST = 1 << 20
"""Characters of a value that is not opened: the objects that it becomes take many times that."""
MOST = 500_000
"""Keys of a map that is opened; they are remembered, as none may come twice."""
ENDS = frozenset(" \t\r\n,]}:")
"""What may stand behind a value; with anything else a number may be one that goes on behind the window."""
SPACE = " \t\r\n"


class Opened(Enum):
    """Stands for a container whose members follow one by one."""

    MAP = "map"
    LIST = "list"


def pieces(body: bytes | bytearray, opened: Callable[[Path], bool]) -> Iterator[tuple[Path, Any]]:
    """Yield the path and the value of each piece of a JSON document (UTF-8), outer containers before their members.

    opened: whether a map or list at a path is walked through. Raises ValueError where it is no JSON, an opened map
    has a key twice, or a part is too large.
    """
    text = _Text(body)
    yield from _walk(text, (), opened)
    if text.peek():
        raise text.wrong("something follows the document")


def _walk(text: _Text, path: Path, opened: Callable[[Path], bool]) -> Iterator[tuple[Path, Any]]:
    first = text.peek() if opened(path) else ""
    if first == "{":
        yield path, Opened.MAP
        seen: set[str] = set()
        for key in _members(text, "}"):
            if key != '"':
                raise text.wrong("a key in double quotes should stand here")
            name = text.value()
            if name in seen:
                raise text.wrong(f"the key {name!r} comes twice")
            seen.add(name)
            if len(seen) > MOST:
                raise text.wrong(f"a map has more than {MOST:,} keys")
            text.skip(":")
            yield from _piece(text, (*path, name), opened)
    elif first == "[":
        yield path, Opened.LIST
        for position, _ in enumerate(_members(text, "]")):
            yield from _piece(text, (*path, position), opened)
    else:
        yield path, text.value()


def _piece(text: _Text, path: Path, opened: Callable[[Path], bool]) -> Iterator[tuple[Path, Any]]:
    return _walk(text, path, opened) if opened(path) else iter(((path, text.value()),))


def _members(text: _Text, end: str) -> Iterator[str]:
    """Yield the first character of each member of a container, which the caller then reads."""
    text.pos += 1
    if text.peek() == end:
        text.pos += 1
        return
    while True:
        yield text.peek()
        if text.peek() == end:
            text.pos += 1
            return
        text.skip(",")


class _Text:
    """A window of the text and a position in it."""

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = memoryview(body)
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._passed = 0
        self._text = ""
        self.pos = 0

    def peek(self) -> str:
        """Return the next character that is no space, or "" at the end."""
        while True:
            while self.pos < len(self._text):
                char = self._text[self.pos]
                if char not in SPACE:
                    return char
                self.pos += 1
            if not self._more():
                return ""

    def skip(self, char: str) -> None:
        """Pass a character that has to come next. Raises ValueError where another one does."""
        if self.peek() != char:
            raise self.wrong(f"{char!r} should stand here")
        self.pos += 1

    def value(self) -> Any:
        """Return the value that begins here, whole."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self.pos)
            except JSONDecodeError as error:
                if self._more():
                    continue
                raise self.wrong(error.msg, error.pos) from error
            except RecursionError as error:
                raise self.wrong("it is nested too deeply") from error
            except ArithmeticError as error:
                raise self.wrong("a number has an exponent that is none") from error
            if end < len(self._text) and self._text[end] in ENDS:
                self.pos = end
                return value
            if self._more():
                continue
            self.pos = end
            return value

    def wrong(self, what: str, pos: int | None = None) -> ValueError:
        """Return an error that says where."""
        return ValueError(f"{what}, character {self._passed + (self.pos if pos is None else pos) + 1}")

    def _more(self) -> bool:
        """Look at more of the text, twice as much as before where a value goes on; return whether there is more."""
        if self._read == len(self._body):
            return False
        kept = self._text[self.pos :]
        if len(kept) >= LARGEST:
            raise self.wrong(f"a value is longer than {LARGEST:,} characters")
        until = min(self._read + max(WINDOW, len(kept)), len(self._body))
        part = bytes(self._body[self._read : until])
        self._read = until
        self._passed += self.pos
        try:
            self._text = kept + self._decoder.decode(part, until == len(self._body))
        except UnicodeDecodeError as error:
            raise ValueError("it is not UTF-8") from error
        self.pos = 0
        return True
