"""Inputs that are nearly right: real examples, changed where their grammar has joints; the same by the same seed."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import yaml

ODD = (
    *("", " ", "0", "-0", "1", "-1", "007", "1e308", "1e-308", "1e1000000", "-1e-400", "9" * 40, "9" * 5000, "0x10"),
    *("1.5", "1,5", "1_000", "1.000,00", "NaN", "nan", "sNaN", "Infinity", "-inf", ".nan", ".inf", "٣", "1²", "½"),
    *("99999999999999999999999999.999999999999", "0.0000000000001", "1e26", "1e14", "340282366920938463463374607431"),
    *("2026-11-22", "2026-13-45", "2026-02-30", "0001-01-01", "9999-12-31", "10000-01-01", "-0001-01-01", "20261122"),
    *(
        "2026-11-22T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22 25:00",
    ),
    *("2026-11-22T00:00:00+99:99", "1700000000", "12:30", "90d", "800000d", "99999999999999d", "5m", "0s", "mtd"),
    *("null", "NULL", "None", "true", "yes", "on", "~", "{}", "[]", '{"tenant": "a"}', "[1, 2]", '""', "''", '"', "'"),
    *("tenant", "acme", "__idle__", "__other__", "__proto__", "Total", "sum", "USD", "EUR", "XXX", "usd", "$window"),
    *("~nobody/x", "/dev/zero", "/dev/null", "/proc/self/mem", ".", "..", "x" * 5000, "http://[::x", "http://a:99999"),
    *(
        "\x00",
        "\x1b[31m",
        "\r",
        "\n",
        "\t",
        "\u202e",
        "\ufeff",
        "\u2028",
        "\ud800",
        "\U0001f600",
        "é",
        "e\u0301",
        "\xa0",
    ),
    *(";", ",", ":", "|", "=", "*x", "&x", "!!int x", "!!set", "<<", "${HOME}", "${NOT_SET}", "\\", "%00", "'; DROP--"),
)
"""Values that have broken somebody's parser."""

HALF = 0.5
TREES = 0.6
"""The part of the changes that goes by the grammar; the others change bytes."""

BODY = 0.8
"""The part of the changes of a table that is not in its header."""

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\w.+-]+|\s+|.', re.DOTALL)


def mutated(rng: random.Random, seed: bytes, kind: str) -> bytes:
    """Return a seed, changed a few times. kind: yaml, json or csv, whose trees are changed too."""
    data = seed
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6))):
        data = _tree(rng, data, kind) if rng.random() < TREES else rng.choice(BYTES)(rng, data)
    return data[: 1 << 20]


def _spot(rng: random.Random, data: bytes) -> tuple[int, int]:
    """Return where a token begins and ends, near a random place."""
    if not data:
        return 0, 0
    begin = max(0, rng.randrange(len(data)) - 40)
    found = list(TOKEN.finditer(data, begin, min(len(data), begin + 200)))
    chosen = rng.choice(found)
    return chosen.span()


def _odd(rng: random.Random) -> bytes:
    return rng.choice(ODD).encode("utf-8", "surrogatepass")


def _replace(rng: random.Random, data: bytes) -> bytes:
    begin, end = _spot(rng, data)
    return data[:begin] + _odd(rng) + data[end:]


def _insert(rng: random.Random, data: bytes) -> bytes:
    begin, _ = _spot(rng, data)
    return data[:begin] + _odd(rng) + data[begin:]


def _remove(rng: random.Random, data: bytes) -> bytes:
    begin, end = _spot(rng, data)
    return data[:begin] + data[end:]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    begin, end = _spot(rng, data)
    return data[:begin] + data[begin:end] * rng.choice((2, 3, 50, 3000)) + data[end:]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def flip(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[at:at] = rng.choice(([lines[other]], [b"\n"], [lines[other]] * 20, [lines[other].rstrip() + b"\r\n"]))
    return b"".join(lines)


def _encoded(rng: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace")
    how = rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "latin-1", "utf-32", "crlf"))
    return data.replace(b"\n", b"\r\r\n") if how == "crlf" else text.encode(how, "replace")


BYTES: Sequence[Callable[[random.Random, bytes], bytes]] = (
    *(_replace, _replace, _replace, _insert, _insert, _remove, _repeat, _cut, flip, _lines, _encoded),
)


def _tree(rng: random.Random, data: bytes, kind: str) -> bytes:
    """Change a value, a key or a cell of what can still be parsed."""
    try:
        if kind == "csv":
            table = list(csv.reader(io.StringIO(data.decode())))
            if table:
                _change_table(rng, table)
            out = io.StringIO()
            csv.writer(out, delimiter=rng.choice(",,,,;\t")).writerows(table)
            return out.getvalue().encode("utf-8", "surrogatepass")
        tree = _parsed(data, kind)
        tree = _change(rng, tree, rng.randrange(1, 12))
        dumped = json.dumps(tree, ensure_ascii=rng.random() < HALF) if kind == "json" else yaml.safe_dump(tree)
        return dumped.encode("utf-8", "surrogatepass")
    except NO_TREE:
        return rng.choice(BYTES)(rng, data)  # no tree any more


NO_TREE = (ValueError, csv.Error, yaml.YAMLError, RecursionError, AttributeError, TypeError, LookupError, OverflowError)
"""What Python's own readers make of an input that was changed byte by byte before."""


@lru_cache(maxsize=64)
def _parsed(data: bytes, kind: str) -> Any:
    """Return a tree, which nobody changes in place."""
    return json.loads(data) if kind == "json" else yaml.safe_load(data)


def _change(rng: random.Random, tree: Any, depth: int) -> Any:
    """Return a tree in which one place is another."""
    if depth and isinstance(tree, dict) and tree:
        key = rng.choice(list(tree))
        how = rng.random()
        if how < 0.06:
            return {name: value for name, value in tree.items() if name != key}
        if how < 0.12:
            return {**tree, rng.choice(ODD): tree[key]}
        return {**tree, key: _change(rng, tree[key], depth - 1)}
    if depth and isinstance(tree, list) and tree:
        at = rng.randrange(len(tree))
        return [*tree[:at], _change(rng, tree[at], depth - 1), *tree[at + 1 :], *([tree[at]] * rng.choice((0, 0, 1)))]
    odd = rng.choice(ODD)
    nested: Any = tree
    for _ in range(rng.choice((1, 3, 30, 200))):
        nested = [nested]
    numbers = (0, -1, 1e308, 2**63, 10**30, 0.1, -1e-320, float("nan"), float("inf"))
    others: tuple[Any, ...] = (
        None,
        True,
        False,
        [],
        {},
        [tree],
        {"a": tree},
        {odd: odd},
        [odd],
        nested,
        f"{tree}{odd}",
        *numbers,
    )
    return odd if rng.random() < HALF else rng.choice(others)


def _change_table(rng: random.Random, table: list[list[str]]) -> None:
    """Change a few cells, and now and then the width of a row."""
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(table[1:] if len(table) > 1 and rng.random() < BODY else table)
        if row:
            row[rng.randrange(len(row))] = rng.choice(ODD)
    if rng.random() < 0.1:
        rng.choice(table)[-1:] = rng.choice(([], ["", ""]))
    if rng.random() < 0.1:
        table.append(list(rng.choice(table)))
