"""`python -m helm`: write what of the chart is made: values, their schema, the README's table, rules and pages."""

from __future__ import annotations

import sys
from pathlib import Path

from helm.bundle import files
from helm.schema import values_schema
from helm.text import values_yaml, with_table

CHART = Path(__file__).parent / "unitcost"


def made() -> dict[str, str]:
    """Return path below the chart's folder → content of every file that is made."""
    readme = with_table((CHART / "README.md").read_text(encoding="utf-8"))
    written = {"values.yaml": values_yaml(), "values.schema.json": values_schema(), "README.md": readme}
    return written | files()


def main() -> int:
    """Write them, and remove rules and pages that are no more; return the exit code."""
    contents = made()
    for path in (CHART / "files").rglob("*.*"):
        if path.relative_to(CHART).as_posix() not in contents:
            path.unlink()
    for name, text in contents.items():
        (CHART / name).parent.mkdir(parents=True, exist_ok=True)
        (CHART / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
