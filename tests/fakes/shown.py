"""The configurations that README.md and docs show, and files such as these name, so that they can be loaded."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unitcost.config.model import Config
from unitcost.yaml_file import read_yaml

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SOURCE = "sources: {revenue: {type: csv_revenue, path: mrr.csv}}\n"


def shown() -> dict[str, str]:
    """Return every part of a unitcost.yaml that a page shows, by page and number, with a source where it has none."""
    found = {}
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        texts = (textwrap.dedent(text) for _, text in FENCE.findall(page.read_text(encoding="utf-8")))
        for number, text in enumerate(texts, 1):
            keys = re.findall(r"^([a-z_]+):", text, re.MULTILINE)
            if keys and set(keys) <= Config.model_fields.keys():
                found[f"{page.stem}-{number}"] = text if "sources" in keys else SOURCE + text
    return found


def put(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a configuration and the files that it names, all below the folder, and set the variables that it names."""
    text = re.sub(r"(?<=_file: )/", "", text)
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "made-up")
    path = folder / "unitcost.yaml"
    path.write_text(text, encoding="utf-8")
    for key, named in texts_of(read_yaml(path)):
        there = folder / named
        if key == "path" or key.endswith("_file"):
            there.parent.mkdir(parents=True, exist_ok=True)
        if key == "directory":
            there.write_text("id\n", encoding="utf-8")
        elif key.endswith("_file") or (key == "path" and there.suffix):
            there.touch()
        elif key == "path" and "://" not in named:
            there.mkdir(parents=True, exist_ok=True)
    return path


def texts_of(value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text of a configuration and its key."""
    for key, one in value.items() if isinstance(value, dict) else ():
        if isinstance(one, str):
            yield key, one
        yield from texts_of(one)
    for one in value if isinstance(value, list) else ():
        yield from texts_of(one)
