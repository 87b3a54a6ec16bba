"""From the ledger's tables, and what the exporter knows of itself, to metric families."""

from __future__ import annotations

from unitcost.ledger.store import Ledger
from unitcost.metrics.catalogue import ALL
from unitcost.metrics.exposition import Family
from unitcost.metrics.metric import FromState, PresentSelect, Rows, Served, query
from unitcost.metrics.state import ExporterState


def families(ledger: Ledger, state: ExporterState) -> list[Family]:
    """Return every family of a snapshot in the catalogue's order. look() must have been run for `state.now`."""
    return [Family(metric, _rows(metric, ledger, state)) for metric in ALL]


def _rows(metric: Served, ledger: Ledger, state: ExporterState) -> Rows:
    filled = metric.filled
    if isinstance(filled, FromState):
        return filled.rows(state)
    if isinstance(filled, PresentSelect) and filled.with_directory and not state.with_directory:
        return []
    return ledger.rows(f"{query(metric, filled.sql)} ORDER BY ALL")
