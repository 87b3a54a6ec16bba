"""The alerts of the default configuration, and promtool's tests of rules over series that a test makes up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rules.__main__ import rule_files, settings
from rules.model import Alert, RuleFile


def alerts_of(files: tuple[RuleFile, ...]) -> dict[str, Alert]:
    rules = [rule for file in files for group in file.groups for rule in group.rules]
    return {rule.name: rule for rule in rules if isinstance(rule, Alert)}


DEFAULTS = rule_files(settings(None))
ALERTS = alerts_of(DEFAULTS)


def promtool(folder: Path, content: Mapping[str, Any]) -> None:
    """Assert that a test of rules, as promtool reads it, holds."""
    (folder / "test.yml").write_text(json.dumps(content))
    command = ["promtool", "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
