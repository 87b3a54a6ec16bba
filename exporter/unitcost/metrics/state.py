"""What the exporter knows of itself when a snapshot is made, beside what the ledger holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class SourceState:
    """What the refresh knows of one source. errors: count by reason since the start.

    similar: dollars without a tenant as the tag key that would name it is spelt otherwise.
    up: None before the first answer. duration: seconds the last refresh took; None before the first is over.
    paid: requests that cost money since the start; None of a source that has none.
    """

    up: bool | None
    last_success: datetime | None
    duration: float | None
    errors: Mapping[str, int]
    similar: Decimal
    paid: int | None = None


@dataclass(frozen=True)
class LastReload:
    """Whether the configuration was right when it was last read, and when (UTC) it was last read and right."""

    successful: bool
    succeeded_at: datetime


@dataclass(frozen=True)
class ExporterState:
    """The sources with their states, when the numbers are of (UTC), and whether there is a tenant directory.

    reload: None where no configuration was read from a file.
    """

    sources: Mapping[str, SourceState]
    now: datetime
    with_directory: bool
    reload: LastReload | None = None
