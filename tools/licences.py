"""`python -m tools.licences`: docs/licences.md, the licences of everything that the exporter and its image install.

Read off the metadata of what is installed here, without versions, so that only a new package or licence changes it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("azure", "bigquery", "gcs")
"""What the image has beside the core."""
OLD_NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""How metadata that is older than SPDX' names says it → SPDX' name."""
OLDEST = {
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
}
"""The Python that is asked what it needs, so that the page is the same whatever Python writes it."""
BY_THEIR_TEXT = {"pyasn1-modules": "BSD-2-Clause", "python-dateutil": "Apache-2.0 OR BSD-3-Clause"}
"""Packages whose metadata do not say which licence exactly, as their licence file says it."""
ALLOWED = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unlicense"}
)
"""What may be used beside Apache-2.0 without a condition on the whole; another is argued here, package by package."""

HEAD = """\
# Licences

unitcost is under the [Apache License 2.0](../LICENSE). So is what it makes: pages, rules and the chart. The data of
the tests have licences of their own: `tests/data/README.md`.

What `pip install unitcost[azure,bigquery,gcs]`, and so the image, brings along. The SBOM of a release
(`unitcost-VERSION.cdx.json`) names each with its version.

| Package | Licence | Needed by |
|---|---|---|
"""


@dataclass
class Needed:
    """A package that is needed: its licence in SPDX' words, and what needs it."""

    licence: str
    by: set[str] = field(default_factory=set)


def needed() -> dict[str, Needed]:
    """Return every package that the core and EXTRAS need, by its canonical name.

    Raises PackageNotFoundError where one is not installed here.
    """
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    waiting = [("unitcost", Requirement(text)) for text in project["dependencies"]]
    waiting += [
        (f"unitcost[{extra}]", Requirement(text))
        for extra in EXTRAS
        for text in project["optional-dependencies"][extra]
    ]
    found: dict[str, Needed] = {}
    seen = set()
    while waiting:
        by, requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found.setdefault(name, Needed(licence(name, metadata.metadata(name)))).by.add(by)
        for extra in requirement.extras or {""}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(name, further) for further in _needs(name, extra)]
    return found


def _needs(name: str, extra: str) -> Iterator[Requirement]:
    for requirement in map(Requirement, metadata.requires(name) or ()):
        if requirement.marker is None or requirement.marker.evaluate({**OLDEST, "extra": extra}):
            yield requirement


def licence(name: str, told: metadata.PackageMetadata) -> str:
    """Return a package's licence as an SPDX expression; what its metadata say where that is none, "" for nothing."""
    if expressions := told.get_all("License-Expression"):
        return str(expressions[0])
    if name in BY_THEIR_TEXT:
        return BY_THEIR_TEXT[name]
    free = "".join(told.get_all("License") or ()).strip().partition("\n")[0]
    classified = [text.rpartition(" :: ")[2] for text in told.get_all("Classifier") or () if text.startswith("License")]
    if OLD_NAMES.get(free, free) in ALLOWED or not classified:
        return OLD_NAMES.get(free, free)
    return " and ".join(OLD_NAMES.get(text, text) for text in classified)


def allowed(expression: str) -> bool:
    """Tell whether an SPDX expression can be fulfilled by ALLOWED licences alone: one side of OR, both of AND."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)

    def joined(word: str, part: Callable[[], bool]) -> list[bool]:
        parts = [part()]
        while tokens and tokens[0] == word:
            tokens.pop(0)
            parts.append(part())
        return parts

    def either() -> bool:
        return any(joined("OR", both))

    def both() -> bool:
        return all(joined("AND", one))

    def one() -> bool:
        if not tokens:
            return False
        token = tokens.pop(0)
        if token != "(":  # noqa: S105 - of an expression
            return token in ALLOWED
        result = either()
        return bool(tokens) and tokens.pop(0) == ")" and result

    return either() and not tokens


def page() -> str:
    """Return docs/licences.md."""
    rows = [f"| {name} | {one.licence} | {', '.join(sorted(one.by))} |\n" for name, one in sorted(needed().items())]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())
