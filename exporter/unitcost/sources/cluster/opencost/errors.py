"""OpenCost's own error messages, the cause first: they hold every failed query in full, 30 KB and more."""

from __future__ import annotations

import re

from unitcost.errors import SourceError
from unitcost.sources.http import Answer

URL_HINT = "url must be OpenCost's API (port 9003 by default)"
LOG_HINT = "See OpenCost's log; most often its Prometheus is down or refuses the queries"
QUOTED = 120
"""How many characters of OpenCost's own words follow the cause."""
REFUSED = re.compile(r'\\*"error\\*":\s*\\*"(?P<cause>[^"\\]+)')
STATUS = re.compile(r"Communication error: (?P<cause>\d{3} \([^)]*\))")
DOWN = re.compile(r"(?P<cause>dial tcp [^'\"]*?(?:refused|no such host|timeout|unreachable)|context deadline exceeded)")


def message_of(answer: Answer) -> str:
    """Return what an answer says of its error, or the start of whatever text it holds."""
    try:
        return in_plain_words(answer.json()["message"])
    except (SourceError, KeyError, TypeError):
        return shorten(answer.text)


def in_plain_words(message: object) -> str:
    """Return the cause first where it is known: its Prometheus refused a query, or cannot be reached."""
    for pattern, words in (
        (REFUSED, "OpenCost's Prometheus refused the query"),
        (DOWN, "OpenCost cannot reach its Prometheus"),
        (STATUS, "OpenCost's Prometheus refused the query"),
    ):
        found = pattern.search(str(message))
        if found is not None:
            return f"{words}: {shorten(found['cause'])} ({shorten(message)[:QUOTED]}…)"
    return shorten(message)


def shorten(text: object) -> str:
    """Fold and cut a foreign text."""
    folded = " ".join(str(text).split())
    return folded if len(folded) <= SHOWN else f"{folded[:SHOWN]}…"


SHOWN = 300
