"""values.yaml and the README's table, from the typed values: every key with its default and what it means."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from helm.values import Part, Values

WIDTH = 110
HEADER = "# Made by `python -m helm` from helm/values.py, as are values.schema.json and the table in README.md."
BEGIN, END = "<!-- made by `python -m helm` -->", "<!-- end -->"


def values_yaml() -> str:
    """Return the chart's values.yaml, each key below what it means."""
    return "\n".join([HEADER, *_lines(Values(), "")]) + "\n"


def _lines(part: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        comment = _meaning(value, field.description)
        if not indent:
            yield ""
        yield from textwrap.wrap(comment, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if isinstance(value, Part):
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            dumped = yaml.safe_dump({name: plain(value)}, sort_keys=False, width=1000).rstrip()
            yield textwrap.indent(dumped, indent)


def _meaning(value: object, description: str | None) -> str:
    if description or not isinstance(value, Part):
        return description or ""
    return " ".join(inspect.cleandoc(type(value).__doc__ or "").split())


def plain(value: Any) -> Any:
    """Return a default as YAML and JSON have it."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def table() -> str:
    """Return the table of values: key, default, meaning."""
    rows = (f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _rows(Values(), ""))
    return "\n".join(["| Key | Default | |", "|---|---|---|", *rows])


def _rows(part: BaseModel, above: str) -> Iterator[tuple[str, str, str]]:
    for name, field in type(part).model_fields.items():
        value, key = getattr(part, name), f"{above}{name}"
        meaning = _meaning(value, field.description).replace("|", "\\|")
        if isinstance(value, Part):
            yield key, "", meaning
            yield from _rows(value, f"{key}.")
        else:
            yield key, f"`{json.dumps(plain(value), ensure_ascii=False)}`".replace("|", "\\|"), meaning


def with_table(readme: str) -> str:
    """Return the README with the table as it is now between its two marks. Raises ValueError where they lack."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
