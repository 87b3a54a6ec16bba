"""What is shown holds no secret and no control code: the log, errors, `check`, `report`, the problems on the page.

All of it passes through `visible`. A secret is what ${NAME} filled in, wherever it stands, what a key for secrets
holds, and what a file for one holds. Each is shown by its name: `http://collector/${TOKEN}/metrics`.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import unicodedata
from collections.abc import Iterator
from html import escape
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters of a value that ${NAME} fills in: shorter ones (a port, a region) would hide half of every text."""

SHORTEST_SECRET = 4
"""Characters of a value that a key for secrets holds."""

ROTATED = 4
"""So many values of a file that is renewed are remembered."""


class Secrets:
    """The secrets of a process: each value with the name that is shown for it. Any thread may add and hide."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}
        self._read: dict[str, list[str]] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, name: str, value: str, shortest: int = SHORTEST_SECRET) -> None:
        """Remember a value. name: what is shown for it; the first name of a value stays."""
        if len(value) >= shortest and value.lower() not in self._names:
            with self._lock:
                self._set({**{form.lower(): name for form in _forms(value)}, **self._names})

    def read(self, name: str, value: str) -> None:
        """Remember what a file held; what it held before the last few changes is a secret no more."""
        seen = self._read.setdefault(name, [])
        if value in seen:
            return
        self.add(name, value)
        seen.append(value)
        if len(seen) > ROTATED:
            with self._lock:
                gone = {form.lower() for form in _forms(seen.pop(0))}
                self._set({form: kept for form, kept in self._names.items() if (form not in gone or kept != name)})

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._read.clear()
            self._set({})

    def hide(self, text: str) -> str:
        """Return the text with the name of each secret in its place."""
        pattern, names = self._pattern, self._names
        return pattern.sub(lambda found: names.get(found[0].lower(), "<secret>"), text) if pattern else text

    def _set(self, names: dict[str, str]) -> None:
        longest_first = sorted(names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if names else None
        self._names = names


SECRETS = Secrets()
"""Of this process: what is logged anywhere must not hold any of them."""


def _forms(value: str) -> Iterator[str]:
    """Yield a value as texts spell it: as it is, in a URL, in JSON, as Python shows it, in HTML."""
    yield value
    yield quote(value)
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield escape(value)
    yield " ".join(value.split())  # as an error's line folds it


def escaped(text: str) -> str:
    r"""Return a text with whatever has no glyph written out: one line, which does nothing but stand.

    Control codes (\n, \x1b), what turns the direction of texts or hides in them (\u202e), halves of characters, and
    code points that stand for none.
    """
    return text if text.isprintable() else "".join(c if _is_shown(c) else ascii(c)[1:-1] for c in text)


def _is_shown(character: str) -> bool:
    """Whether a character may stand in a line: letters of some languages need the joiners between them."""
    return character.isprintable() or character in "\u200c\u200d" or unicodedata.category(character) == "Zs"


def visible(text: str) -> str:
    """Return a text fit to be shown: without secrets, in one line, without control codes."""
    return escaped(SECRETS.hide(text))


def say(out: TextIO, line: str) -> None:
    """Print a line, fit to be shown."""
    print(visible(line), file=out)


class LogFormatter(logging.Formatter):
    """Log lines that are fit to be shown; only a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the record as one line."""
        return visible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback, each of its lines by itself."""
        return "\n".join(map(escaped, SECRETS.hide(super().formatException(ei)).split("\n")))
