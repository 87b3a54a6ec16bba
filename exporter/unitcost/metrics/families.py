"""From the ledger's tables, and what the exporter knows of itself, to metric families."""

from __future__ import annotations

from collections.abc import Iterable

from unitcost.ledger.store import Ledger
from unitcost.metrics.catalogue import ALL
from unitcost.metrics.exposition import Family, Written
from unitcost.metrics.metric import FromState, PresentSelect, Rows, Served, query
from unitcost.metrics.state import ExporterState


def families(ledger: Ledger, state: ExporterState) -> list[Family]:
    """Return every family of a snapshot in the catalogue's order. look() must have been run for `state.now`."""
    return [Family(metric, _rows(metric, ledger, state)) for metric in ALL]


def written(ledger: Ledger, state: ExporterState, former: Iterable[Written]) -> list[Written]:
    """Return the same as they are written. former: those of the same sums; what the ledger told is taken over."""
    kept = {one.metric.name: one for one in former}
    return [
        kept[metric.name]
        if metric.name in kept and not isinstance(metric.filled, FromState)
        else Family(metric, _rows(metric, ledger, state)).written
        for metric in ALL
    ]


def _rows(metric: Served, ledger: Ledger, state: ExporterState) -> Rows:
    filled = metric.filled
    if isinstance(filled, FromState):
        return filled.rows(state)
    if isinstance(filled, PresentSelect) and filled.with_directory and not state.with_directory:
        return []
    return ledger.rows(f"{query(metric, filled.sql)} ORDER BY ALL")
