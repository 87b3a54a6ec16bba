"""docs/reliability.md promises nothing that no test holds: each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
CLAIM = re.compile(r"^\s*def test_(\w+)", re.MULTILINE)


def claims(file: str) -> list[str]:
    [found] = TESTS.rglob(f"test_{file}.py")
    return CLAIM.findall(found.read_text(encoding="utf-8"))


def named() -> list[tuple[str, str]]:
    """Return (file, claim) of every test in the last column; a section's head may name the file."""
    found = []
    for section in PAGE.split("\n## ")[1:]:
        head = re.search(r"\| Test \((\w+)", section)
        for cell in re.findall(r"^\|.*\| ([^|]+) \|$", section, re.MULTILINE)[1:]:
            files = [head[1]] if head else []
            for part in cell.split(", "):
                before, colon, claim = part.rpartition(": ")
                files = before.split(" and ") if colon else files
                found += [(file, claim) for file in files]
    return found


@pytest.mark.parametrize(("file", "claim"), named())
def test_every_test_that_the_page_names_is_there(file: str, claim: str) -> None:
    if claim == "all":
        assert claims(file)
        return
    pattern = ".*".join(re.escape(part) for part in claim.split("…"))
    assert [name for name in claims(file) if re.fullmatch(pattern, name)], claims(file)


def test_the_page_names_tests_in_every_section() -> None:
    assert len(named()) > 70
