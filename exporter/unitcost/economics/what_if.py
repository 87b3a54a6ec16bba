"""What AI could cost instead, as rows: what ai_savings.sql tells of a window. Dollars are the configured currency."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from unitcost.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class Routing:
    """What the tokens of a feature cost, and would cost of another model.

    ratio: how many tokens the other makes of one. fallback: the part of the cost that is paid all the same. cost,
    other_cost and saving are None where a price is not known; lacks says which.
    """

    table: ClassVar[str] = "routing"
    feature: str
    model: str
    target: str
    tokens: float | None
    cost: float | None
    other_cost: float | None
    ratio: float
    fallback: float
    saving: float | None
    lacks: str | None


@dataclass(frozen=True, slots=True)
class CacheSaved:
    """What the prompt cache of a model saved; None where a price is not known."""

    table: ClassVar[str] = "cache_saved"
    model: str
    read_tokens: float
    written_tokens: float
    saved: float | None


@dataclass(frozen=True, slots=True)
class CacheMissed:
    """What a prompt cache could have saved besides, at most. share: the part of the input that could be cached."""

    table: ClassVar[str] = "cache_missed"
    feature: str
    model: str
    share: float
    tokens: float
    read_tokens: float
    missed_tokens: float
    dollars: float


@dataclass(frozen=True, slots=True)
class SemanticCache:
    """What a cache of answers saved: mean is of an AI request; embedding is None where nobody counts or prices it."""

    table: ClassVar[str] = "semantic_cache"
    hits: float
    mean: float | None
    embedding: float | None
    saved: float | None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """How many AI requests the price of a tenant or plan carries this month; None is unknown.

    base: what it costs besides its own AI. mean: what an AI request costs. carried: None where one of these is unknown.
    """

    name: str
    plan: str
    price: float | None
    base: float | None
    mean: float | None
    carried: float | None


Row = TypeVar("Row", Routing, CacheSaved, CacheMissed, SemanticCache)


def told(ledger: Ledger, kind: type[Row], window: str) -> list[Row]:
    """Return the rows of a window, sorted. look() must have been run."""
    names = ", ".join(field.name for field in fields(kind))
    return [
        kind(*row) for row in ledger.rows(f"SELECT {names} FROM {kind.table} WHERE span = ? ORDER BY ALL", [window])
    ]


def break_evens(ledger: Ledger, by: str) -> list[BreakEven]:
    """Return those of each tenant or each plan, sorted. look() must have been run.

    by: plan or tenant. A tenant whose price, base cost or mean is unknown has none.
    """
    sql = {
        "tenant": "SELECT tenant, plan, price, base, mean, carried FROM break_even ORDER BY ALL",
        "plan": "SELECT plan, plan, price, base, mean, carried FROM plan_break_even ORDER BY ALL",
    }
    found: list[tuple[Any, ...]] = ledger.rows(sql[by])
    return [BreakEven(*row) for row in found]
