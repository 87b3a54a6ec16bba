"""JSON read piece by piece is the JSON that the standard library reads, wherever the window ends."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitcost.sources import json_pieces
from unitcost.sources.json_pieces import Opened, Path, pieces
from unitcost.sources.values import exact_json

NUMBERS = st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False, places=3))
SCALARS = st.one_of(st.none(), st.booleans(), st.text(), NUMBERS)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


def written(value: Any, *, space: str) -> str:
    """Write JSON with spaces of every kind between its parts, and decimals as they are."""
    if isinstance(value, Decimal):
        return f"{value}{space}"
    if isinstance(value, list):
        return f"[{space}{','.join(space + written(one, space=space) for one in value)}]{space}"
    if isinstance(value, dict):
        inside = ",".join(f"{space}{json.dumps(key)}{space}:{written(one, space=space)}" for key, one in value.items())
        return f"{{{space}{inside}}}{space}"
    return json.dumps(value, ensure_ascii=False) + space


def rebuilt(body: bytes, depth: int) -> Any:
    """Open everything down to a depth, and put it together again."""
    built: dict[Path, Any] = {}
    for path, value in pieces(body, lambda path: len(path) < depth):
        built[path] = {Opened.MAP: {}, Opened.LIST: []}[value] if isinstance(value, Opened) else value
        if path and isinstance(path[-1], int):
            built[path[:-1]].append(built[path])
        elif path:
            built[path[:-1]][path[-1]] = built[path]
    return built[()]


@given(DOCUMENTS, st.integers(0, 4), st.integers(1, 9), st.sampled_from(["", " ", "\r\n\t"]), st.booleans())
def test_pieces_put_together_are_what_the_standard_library_reads(
    document: Any, depth: int, window: int, space: str, marked: bool
) -> None:
    body = space.encode() + written(document, space=space).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "WINDOW", window)
        assert rebuilt(b"\xef\xbb\xbf" * marked + body, depth) == exact_json(body)


@given(DOCUMENTS.filter(lambda one: isinstance(one, dict | list)), st.integers(0, 3), st.integers(1, 9), st.data())
def test_a_document_that_is_cut_off_is_an_error_wherever_it_is_cut(
    document: Any, depth: int, window: int, data: st.DataObject
) -> None:
    body = written(document, space="").encode()
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "WINDOW", window)
        with pytest.raises(ValueError):  # noqa: PT011 - any of them
            rebuilt(body[:cut], depth)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "Expecting value, character 1"),
        ("<html>", "Expecting value, character 1"),
        ('{"a" 1}', "':' should stand here, character 6"),
        ('{"a":1 "b":2}', "',' should stand here, character 8"),
        ("{a:1}", "a key in double quotes should stand here, character 2"),
        ('{"a":1,}', "a key in double quotes should stand here, character 8"),
        ('{"a":1}{', "something follows the document, character 8"),
        ('{"a":1,"a":2}', "the key 'a' comes twice"),
        ('{"a":[{"b":1,"b":2}]}', "the key 'b' stands twice in one object"),
        ('{"a":12.}', "',' should stand here, character 8"),
        ('{"a":-}', "Expecting value, character 6"),
        ('{"a":1e99999999999999999999}', "a number has an exponent that is none, character 6"),
        ('{"a":' + "[" * 100_000, "it is nested too deeply, character 6"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: str, text: str) -> None:
    with pytest.raises(ValueError, match="character") as caught:
        rebuilt(body.encode(), 1)
    assert text in str(caught.value)


def test_what_is_no_utf_8_is_said() -> None:
    with pytest.raises(ValueError, match=r"^it is not UTF-8$"):
        rebuilt(b'{"a":"\xff"}', 1)


def test_a_value_that_would_fill_the_memory_is_refused_before_it_is_built() -> None:
    body = b'{"warnings":[' + b"1," * 3_000_000 + b"1]}"
    with pytest.raises(ValueError, match="a value is longer than 1,048,576 characters"):
        rebuilt(body, 1)


def test_a_map_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_pieces, "MOST", 10)
    assert len(rebuilt(json.dumps({str(n): n for n in range(10)}).encode(), 1)) == 10
    with pytest.raises(ValueError, match="a map has more than 10 keys"):
        rebuilt(json.dumps({str(n): n for n in range(11)}).encode(), 1)


def test_a_window_grows_over_a_long_value() -> None:
    long = "é" * (json_pieces.WINDOW * 3)
    assert rebuilt(json.dumps({"a": long, "b": [long]}, ensure_ascii=False).encode(), 1) == {"a": long, "b": [long]}
