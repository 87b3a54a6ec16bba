"""A ledger as a refresh fills it from a configuration, its sources the real ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from unitcost.config.load import load
from unitcost.ledger.derive import derive
from unitcost.ledger.store import Ledger
from unitcost.run.fetch import Fetcher


def refreshed(folder: Path, now: datetime, **config: object) -> tuple[Ledger, Fetcher]:
    """Write the configuration into a folder, ask its sources, and derive what they say."""
    file = folder / "unitcost.yaml"
    file.write_text(yaml.safe_dump(json.loads(json.dumps(config))), encoding="utf-8")
    loaded, directory = load(file)
    ledger = Ledger(None)
    fetcher = Fetcher(loaded, directory, ledger, lambda: now)
    fetcher.fetch()
    derive(ledger, fetcher.configured.setup.model, now, loaded.history)
    return ledger, fetcher


def said(fetcher: Fetcher) -> list[str]:
    """Return what was said to be wrong."""
    return [line for runner in fetcher.runners for line in runner.said()]


Sources = Mapping[str, Mapping[str, Any]]
