"""Recorded pages of token counters, with the truth of what was sent (tests/data/ai)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from unitcost.sources.ai.counters import Sample

DATA = Path(__file__).parents[1] / "data" / "ai"


def text(page: str) -> str:
    """Return a page as it was served."""
    return gzip.decompress((DATA / f"{page}.txt.gz").read_bytes()).decode()


def samples(page: str) -> Iterator[Sample]:
    """Yield the samples of a page, as if all of them had grown from 0."""
    for family in text_string_to_metric_families(text(page)):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, Decimal(str(sample.value)))


def truth(page: str) -> dict[str, Any]:
    """Return what was sent."""
    found: dict[str, Any] = json.loads((DATA / f"{page}.truth.json").read_text())
    return found
