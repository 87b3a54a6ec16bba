"""The part of CHANGELOG.md that a release is told by."""

from __future__ import annotations

import re

from tools.release.steps import ReleaseError


def notes(changelog: str, version: str) -> str:
    """Return what stands below `## VERSION - YYYY-MM-DD`. Raises ReleaseError where nothing does."""
    heading = rf"^## \[?{re.escape(version)}\]? - \d{{4}}-\d{{2}}-\d{{2}}\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseError(f"CHANGELOG.md has nothing below a line like: ## {version} - 2026-11-28")
    return found[1].strip() + "\n"
