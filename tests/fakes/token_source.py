"""What the source of token counters says of a real Prometheus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.fakes.processes import PrometheusServer
from tests.fakes.stored import MemoryStored, rows
from unitcost.facts import Asked, Batch, Usage
from unitcost.sources.ai.tokens import UNMAPPED, Tokens, TokenSettings


def asked(source: Tokens, now: datetime, days: int) -> list[Usage]:
    """Return all that a source says of the last days, today included."""
    first = now.date() - timedelta(days)
    found = list(source.batches(Asked(now, first, days, MemoryStored(now))))
    batches = [one for one in found if isinstance(one, Batch)]
    assert len(batches) == len(found), found
    usage: list[Usage] = []
    for one in batches:
        usage += rows(Usage, one.usage)
    return usage


def settings(server: PrometheusServer, preset: str, **given: object) -> TokenSettings:
    """Return the settings of a source that asks a server."""
    return TokenSettings.model_validate({"type": "ai_tokens", "url": server.url, "preset": preset, **given})


def summed(usage: Sequence[Usage]) -> dict[tuple[str, ...], Decimal]:
    """Return tenant, feature, model, unit → how much; what is unmapped by what it says."""
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for one in usage:
        if one.measure == UNMAPPED:
            sums[UNMAPPED, one.item or ""] += one.quantity
        else:
            sums[one.tenant or "", one.dimensions.get("feature", ""), one.item or "", one.unit or ""] += one.quantity
    return dict(sums)


def soon() -> datetime:
    """Return a time at which what has just been scraped is over, and the day is old enough to be asked."""
    return datetime.now(UTC) + timedelta(minutes=6)
