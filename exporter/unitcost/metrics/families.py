"""From the ledger's tables, and what the exporter knows of itself, to metric families."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unitcost.ledger.store import Ledger
from unitcost.metrics.catalogue import ALL
from unitcost.metrics.exposition import Family, Written
from unitcost.metrics.metric import FromState, PresentSelect, Rows, Served, query
from unitcost.metrics.state import ExporterState


def families(ledger: Ledger, state: ExporterState) -> Iterator[Family]:
    """Yield every family of a snapshot in the catalogue's order. look() must have been run for `state.now`."""
    return (Family(metric, _rows(metric, ledger, state)) for metric in ALL)


def renewed(told: Sequence[Written], state: ExporterState) -> list[Family | Written]:
    """Return the families of the same sums, as told before but for what the exporter knows of itself."""
    return [
        Family(metric, metric.filled.rows(state)) if isinstance(metric.filled, FromState) else one
        for metric, one in zip(ALL, told, strict=True)
    ]


def _rows(metric: Served, ledger: Ledger, state: ExporterState) -> Rows:
    filled = metric.filled
    if isinstance(filled, FromState):
        return filled.rows(state)
    if isinstance(filled, PresentSelect) and filled.with_directory and not state.with_directory:
        return []
    return ledger.rows(f"{query(metric, filled.sql)} ORDER BY ALL")
