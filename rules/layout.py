"""Line breaks for long PromQL: at the operators that bind least, then inside parentheses. Only white space changes."""

from __future__ import annotations

import re
from itertools import pairwise

WIDTH = 100

OPERATORS = (("or",), ("and", "unless"), (">=", "<=", "==", "!=", ">", "<"), ("+", "-"), ("*", "/"))
"""Binary operators of PromQL that are used here, those that bind least first."""


def layout(promql: str, room: int = WIDTH) -> str:
    """Return the expression in lines of about `room` characters."""
    if len(promql) <= room:
        return promql
    if promql.endswith(","):
        return layout(promql[:-1], room - 1) + ","
    for operators in OPERATORS:
        parts = _split(promql, operators)
        if len(parts) > 1:
            return "\n".join(layout(part, room) for part in parts)
    opening = _last_opening(promql)
    if opening is None:
        return promql
    head, inside = promql[: opening + 1], promql[opening + 1 : -1]
    lines: list[str] = []
    for argument in (layout(part, room - 2) for part in _split(inside, (",",))):
        short = lines and "\n" not in argument and "\n" not in lines[-1] and len(lines[-1]) + len(argument) < room - 2
        if short:
            lines[-1] += f" {argument}"
        else:
            lines.append(argument)
    return head + "\n" + _indent("\n".join(lines)) + "\n)"


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _depths(promql: str) -> list[int]:
    """Return how many brackets each character stands in; characters of a string count as inside."""
    depths, depth, quoted, place = [], 0, False, 0
    while place < len(promql):
        char = promql[place]
        if quoted:
            step = 2 if char == "\\" else 1
            depths += [depth + 1] * step
            quoted = char != '"' or step == 2  # noqa: PLR2004 - an escaped quote
            place += step
            continue
        if char in ")}]":
            depth -= 1
        depths.append(depth)
        if char in "({[":
            depth += 1
        quoted = char == '"'
        place += 1
    return depths


def _split(promql: str, operators: tuple[str, ...]) -> list[str]:
    """Split outside of brackets before each operator; a comma stays with what is before it."""
    depths = _depths(promql)
    if operators == (",",):
        cuts = [place + 1 for place, char in enumerate(promql) if char == "," and depths[place] == 0]
    else:
        found = re.finditer("|".join(rf"(?<= ){re.escape(operator)}(?= )" for operator in operators), promql)
        cuts = [match.start() for match in found if depths[match.start()] == 0]
    parts = (promql[start:end].strip() for start, end in pairwise([0, *cuts, len(promql)]))
    return [part for part in parts if part]


def _last_opening(promql: str) -> int | None:
    """Return where the bracket opens that the expression's last character closes."""
    if not promql.endswith(")"):
        return None
    depths = _depths(promql)
    return max(place for place, char in enumerate(promql[:-1]) if char == "(" and depths[place] == depths[-1])
