"""Reads requirements/*.txt: versions with hashes, and where each of them counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def linux(python: str, machine: str) -> dict[str, str]:
    """Return a place to install packages, in the words of environment markers. machine: x86_64, aarch64."""
    return {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "python_version": python,
        "python_full_version": f"{python}.1",
        "extra": "",
    }


@dataclass(frozen=True)
class Locked:
    """A line of a lock."""

    requirement: Requirement
    hashes: tuple[str, ...]

    def counts(self, place: Mapping[str, str]) -> bool:
        """Tell whether it is installed in a place."""
        return self.requirement.marker is None or self.requirement.marker.evaluate(dict(place))

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one version that is allowed, "" where several are."""
        one = re.fullmatch(r"==([^=*,]+)", str(self.requirement.specifier))
        return one[1] if one else ""


def locked(text: str) -> Iterator[Locked]:
    """Yield the lines of a lock's text."""
    plain = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for line in plain.replace("\\\n", " ").splitlines():
        requirement, *options = re.split(r"\s+(?=--)", line.strip())
        yield Locked(Requirement(requirement), tuple(options))
