"""python -m dashboards: write every page as JSON that Grafana imports or provisions as it is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from dashboards.grafana import TAG
from dashboards.pages import PAGES
from dashboards.panels import Json
from dashboards.style import Settings, settings
from unitcost.errors import ConfigError

OUTPUT = Path(__file__).parent / "json"


def rendered(given: Settings) -> dict[str, str]:
    """Return file name → content of every page, in one line: `kubectl apply` takes no ConfigMap above 262,144 bytes."""
    return {f"{uid}.json": minified(make(given)) + "\n" for uid, make in PAGES.items()}


def minified(page: Json) -> str:
    """Return a page as JSON without white space."""
    return json.dumps(page, separators=(",", ":"), ensure_ascii=False)


def write(folder: Path, given: Settings) -> None:
    """Write the pages, and remove files of pages that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = rendered(given)
    for stale in folder.glob(f"{TAG}-*.json"):
        if stale.name not in pages:
            stale.unlink()
    for name, content in pages.items():
        (folder / name).write_text(content, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 2 when the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--config", type=Path, help="unitcost.yaml, for its currency and labels; defaults without it")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write to (%(default)s)")
    given = parser.parse_args(argv)
    try:
        write(given.output, settings(given.config))
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command says what is wrong
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
