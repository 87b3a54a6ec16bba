"""The immutable result of a refresh: every byte that a request can ask for, made once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from unitcost.metrics.exposition import Family, Written, render
from unitcost.metrics.packed import Packed, joined
from unitcost.web.health import Health


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The metrics in both formats and the page, plain and gzip. made_at: when they were derived, UTC."""

    made_at: datetime
    text: bytes
    text_gzip: bytes
    openmetrics: bytes
    openmetrics_gzip: bytes
    page: bytes
    page_gzip: bytes

    @classmethod
    def of(cls, families: Iterable[Family | Written], page_html: str, made_at: datetime) -> Snapshot:
        """Render and compress everything. The same input gives the same bytes.

        Raises ValueError or TypeError as exposition.render does.
        """
        exposition = render(families)
        page, page_gzip = joined([Packed.of(page_html.encode("utf-8", "replace"))])
        return cls(
            made_at=made_at,
            text=exposition.text,
            text_gzip=exposition.text_gzip,
            openmetrics=exposition.openmetrics,
            openmetrics_gzip=exposition.openmetrics_gzip,
            page=page,
            page_gzip=page_gzip,
        )


class Current:
    """Holds the snapshot that is served now, and whether it is being renewed. One thread publishes, any number read."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self.health = Health()

    def publish(self, snapshot: Snapshot) -> None:
        """Swap in a new snapshot; requests under way keep the one they began with."""
        self._snapshot = snapshot

    def get(self) -> Snapshot | None:
        """Return the newest snapshot, or None before the first."""
        return self._snapshot
