"""Splitting whole amounts without loss, outside of the ledger (which has `apportioned` for it)."""

from __future__ import annotations

from collections.abc import Sequence


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Split a whole amount by weights: the parts sum to it, and every beginning to its share, to within 1."""
    total, done, parts = sum(weights), 0, []
    reached = 0
    for weight in weights:
        reached += weight
        until = amount * reached // total
        parts.append(until - done)
        done = until
    return parts
