"""What a metric is, and for one that the exporter serves: what fills it, and what must be known for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from unitcost.metrics.state import ExporterState, SourceState

Rows = Sequence[tuple[Any, ...]]
"""Label values in the order of a metric's labels, then the value."""

COSTS, REVENUE = "costs", "revenue"
"""What can be needed, by the names that first_known.sql gives it."""

USAGE = "usage "
"""The same for usage, with the name of a measure behind it."""

REQUESTS, AI_REQUESTS = f"{USAGE}requests", f"{USAGE}ai_requests"

NO_WINDOW = ""
"""In place of a window: a number is of the moment, and what it needs must be known by then."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name, what it says, its labels in the order they are written, its unit ("" for none)."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter"] = "gauge"
    unit: str = ""
    stability: Literal["stable", "experimental"] = "stable"


@dataclass(frozen=True, slots=True)
class Label:
    """What a row says in a label, behind a text: Label("period", "prev_") is prev_30d of a row with period 30d."""

    name: str
    behind: str = ""


WINDOW = Label("window")
"""The window that a row says."""


@dataclass(frozen=True, slots=True)
class Select:
    """A SELECT over the tables of look() that gives a metric's rows, as of any day that the ledger knows.

    Its columns are the labels in their order and the value, which is left out where it is NULL. window: the name of the
    window that a row is of, or NO_WINDOW. needs: what must be known as a whole since that window began; a backfill
    leaves out the rows of which it is not.
    """

    sql: str
    needs: tuple[str | Label, ...]
    window: str | Label


@dataclass(frozen=True, slots=True)
class PresentSelect:
    """The same of what the ledger can say of the present only: no backfill writes it.

    with_directory: whether it says something only where there is a tenant directory.
    """

    sql: str
    with_directory: bool = False


@dataclass(frozen=True, slots=True)
class FromState:
    """What gives a metric's rows from what the exporter knows of itself."""

    rows: Callable[[ExporterState], Rows]


def each_source(read: Callable[[SourceState], float | None]) -> FromState:
    """Return a row a source, for those of which `read` knows a value."""

    def rows(state: ExporterState) -> Rows:
        found = ((name, read(source)) for name, source in state.sources.items())
        return [(name, value) for name, value in found if value is not None]

    return FromState(rows)


@dataclass(frozen=True, slots=True)
class Served(Metric):
    """A metric of the exporter, with what fills it."""

    filled: Select | PresentSelect | FromState = field(kw_only=True)


VALUE = "__value"
"""The column of a metric's value; Prometheus keeps labels that begin like this for itself."""


def columns(metric: Metric) -> list[str]:
    """Return the columns of a metric's rows, quoted: its labels, and VALUE."""
    return [f'"{name}"' for name in (*metric.labels, VALUE)]


def query(metric: Metric, sql: str) -> str:
    """Return a SELECT of a metric's rows by the SELECT that fills it. What is not known, NULL, is left out."""
    return (
        f"SELECT * REPLACE (CAST({VALUE} AS DOUBLE) AS {VALUE}) FROM ({sql}) told({', '.join(columns(metric))})"
        f" WHERE {VALUE} IS NOT NULL"
    )
