"""unitcost.yaml as an example to begin with: example.yaml, without what is about other types of sources.

There `# [TYPE]`, alone on a line, says that what follows, to the next empty line or the next such one, is printed where
that type is chosen; `[A or B]`, `[A and B]` and `[A and not B]` mean what they say, `[any]` always holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.resources import files

DEFAULT = ("opencost", "focus", "csv_revenue", "prometheus")
_CONDITION = re.compile(r" *# \[([a-z_ ]+)\]")


def whole() -> str:
    """Return the example of all types, with its conditions."""
    return (files("unitcost.config") / "example.yaml").read_text(encoding="utf-8")


def example(types: Collection[str]) -> str:
    """Return the example of a company with these types of sources."""
    lines: list[str] = []
    shown = True
    for line in whole().splitlines():
        if condition := _CONDITION.fullmatch(line):
            shown = _holds(condition[1], types)
            continue
        shown = shown or not line
        if shown and (line or lines[-1]):  # what is left out leaves no two empty lines
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


def _holds(condition: str, types: Collection[str]) -> bool:
    return condition == "any" or any(
        all((term.removeprefix("not ") in types) != term.startswith("not ") for term in terms.split(" and "))
        for terms in condition.split(" or ")
    )
