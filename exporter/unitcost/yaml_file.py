"""YAML files: read whole, with errors that never show what stands in the file, since secrets may.

Scalars are those of YAML 1.2 (`on`, `12:30`, `010` and `2026-11-01` are text), and keys are the text that stands there,
so that a plan called 2024 or no keeps its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from unitcost.errors import ConfigError

MAX_BYTES = 256 << 10
"""The largest file: a second of reading, and thousands of sharing rules or users."""

MAX_VALUES = 20_000
"""So many values a file may mean, those that aliases (*name) repeat counted each time."""

TOO_MANY = f"more than {MAX_VALUES:,} values, those that aliases repeat counted each time"

MAX_DEPTH = 40
"""How deep values may be nested, through aliases too; an alias within its own anchor is deeper than any number."""

TAG = "tag:yaml.org,2002:"


def _wrong(problem: str, place: Any) -> yaml.MarkedYAMLError:
    """Return an error. place: the node or event that is wrong."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


class _Loader(yaml.SafeLoader):
    """Adds limits, plain scalars and keys, and that a key stands once.

    YAML lets a key stand twice and keeps the last; a source that vanishes that way would take its dollars along.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own
    yaml_constructors: ClassVar[dict[Any, Any]] = {}
    _depth = 0
    _count = 0

    def compose_document(self) -> yaml.Node | None:
        root = super().compose_document()
        if root is not None:  # an empty file
            _measure(root, 1, {})
        return root

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) and event.anchor not in self.anchors:
            raise _wrong("an alias (*name) without an anchor; quote a value that begins with *", event)
        self._count += 1
        if self._count > MAX_VALUES:
            raise _wrong(TOO_MANY, event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _wrong(f"nested deeper than {MAX_DEPTH} levels", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong("a key must be text", key)
            if key.value in seen:
                raise _wrong(f"the key {key.value} stands there twice", key)
            seen.add(key.value)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self.flatten_mapping(node)
        return {_text(key): self.construct_object(value, deep=deep) for key, value in node.value}

    def construct_plain(self, node: yaml.Node) -> object:
        """Return what a scalar means. An explicit tag, such as !!int, must fit its text."""
        if not isinstance(node, yaml.ScalarNode):
            raise _wrong("a tag that does not fit its value; remove it", node)
        kind, text = node.tag.removeprefix(TAG), _text(node)
        if kind == "str":
            return text
        if PLAIN[kind].fullmatch(text) is None:
            raise _wrong(f"a value that is no {kind}; remove the tag", node)
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return text.lower() == "true" if kind == "bool" else None

    def construct_container(self, node: yaml.Node) -> object:
        """Return an empty list or mapping, which is filled once its parts are known."""
        if node.tag == f"{TAG}map" and isinstance(node, yaml.MappingNode):
            return self.construct_yaml_map(node)
        if node.tag == f"{TAG}seq" and isinstance(node, yaml.SequenceNode):
            return self.construct_yaml_seq(node)
        raise _wrong("a tag that does not fit its value; remove it", node)

    def construct_other(self, node: yaml.Node) -> object:
        """Refuse a tag that is not known."""
        raise _wrong("a tag (!name) that is not known; quote a value that begins with !", node)


PLAIN = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(0|[1-9][0-9]{0,39})"),
    "float": re.compile(
        r"[-+]?(?:(0|[1-9][0-9]*)?\.[0-9]+|(0|[1-9][0-9]*)\.?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
    "merge": re.compile(r"<<"),
}
"""What a scalar without quotes is, the first that fits; any other is text. A number with zeros before it is a name."""

for _kind, _pattern in PLAIN.items():
    _Loader.add_implicit_resolver(f"{TAG}{_kind}", re.compile(rf"(?:{_pattern.pattern})\Z"), None)
for _kind in ("null", "bool", "int", "float", "str"):
    _Loader.add_constructor(f"{TAG}{_kind}", _Loader.construct_plain)
for _kind in ("map", "seq"):
    _Loader.add_constructor(f"{TAG}{_kind}", _Loader.construct_container)
_Loader.add_constructor(None, _Loader.construct_other)


def _text(node: yaml.ScalarNode) -> str:
    """Return a scalar's text, which must be fit to be shown, sent and stored."""
    text = str(node.value)
    if bad := next((char for char in text if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\t\n"), None):
        raise _wrong(f"the character U+{ord(bad):04X}, which is no text", node)
    return text


def _measure(node: yaml.Node, depth: int, known: dict[yaml.Node, tuple[int, int]]) -> tuple[int, int]:
    """Return how many values a node means and how deep they are; raise where either is too much."""
    if depth > MAX_DEPTH:
        raise _wrong(f"aliases that nest deeper than {MAX_DEPTH} levels, or that repeat themselves", node)
    if node not in known:
        parts = [] if isinstance(node, yaml.ScalarNode) else node.value
        inner = [part for pair in parts for part in (pair if isinstance(pair, tuple) else (pair,))]
        found = [_measure(part, depth + 1, known) for part in inner]
        known[node] = (1 + sum(count for count, _ in found), 1 + max((height for _, height in found), default=0))
    count, height = known[node]
    if depth + height - 1 > MAX_DEPTH:
        raise _wrong(f"aliases that nest deeper than {MAX_DEPTH} levels", node)
    if count > MAX_VALUES:
        raise _wrong(TOO_MANY, node)
    return count, height


def read_yaml(path: Path) -> Any:
    """Return what the file says. Raises ConfigError with the file, the line, and what is wrong."""
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError([f"{path}: is larger than {MAX_BYTES >> 10} KiB; this is no configuration"])
        return yaml.load(content.decode("utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8: {error.reason} at byte {error.start}"]) from None
    except yaml.reader.ReaderError as error:
        raise ConfigError([f"{path}: is not YAML: the character U+{error.character:04X}, which is no text"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise ConfigError([f"{path}: is not YAML{line}: {problem}"]) from None
    except (ValueError, OverflowError):  # \UFFFFFFFF, %YAML 99999…: PyYAML leaves such numbers to Python
        raise ConfigError([f"{path}: is not YAML: a number or an escape that is too large"]) from None
