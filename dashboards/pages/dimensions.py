"""Panels of the company's cost by a dimension, such as feature or environment, chosen at the top of the page."""

from __future__ import annotations

from dashboards.cells import MONEY, wide
from dashboards.pages.parts import (
    DAY,
    MONTH,
    RISE,
    RISE_RATIO,
    difference,
    growth,
    unlabelled,
    unlabelled_row,
)
from dashboards.panels import Panel, Query, timeseries
from dashboards.queries import PREVIOUS, daily, earlier_or_zero, now
from dashboards.style import Settings
from dashboards.tables import Figure, joined
from dashboards.words import NO_DIMENSION
from unitcost.catalogue import DIMENSION_COST

BY_VALUE = ("value",)
CHOSEN = "$dimension"


def cost_by_day(settings: Settings, title: str, description: str, **labels: str) -> Panel:
    """Return each day's cost, a bar's part for each value of the dimension. labels: which costs, all without."""
    cost = daily(DIMENSION_COST, BY_VALUE, dimension=CHOSEN, window=DAY, **labels)
    return timeseries(
        title,
        description,
        [Query(f"{cost} > 0", "{{value}}")],
        unit=settings.money,
        stacked=True,
        bars=True,
        legend="right",
        calcs=("sum", "lastNotNull"),
        bounds=(0, None),
        overrides=[unlabelled()],
        unknown=NO_DIMENSION,
    )


def cost_against_before(settings: Settings, title: str, description: str, **labels: str) -> Panel:
    """Return the cost of 30 days by value beside that of the 30 days before, largest change first."""
    sign = settings.sign
    current = now(DIMENSION_COST, BY_VALUE, dimension=CHOSEN, window=MONTH, **labels)
    before = now(DIMENSION_COST, BY_VALUE, before=PREVIOUS, dimension=CHOSEN, window=MONTH, **labels)
    return joined(
        title,
        description,
        "value",
        [
            Figure(f"Before {sign}", earlier_or_zero(current, before), MONEY | wide(100)),
            Figure(f"Now {sign}", current, MONEY | wide(100)),
            Figure(f"Change {sign}", difference(current, before, BY_VALUE), RISE | wide(110)),
            Figure("Change %", growth(current, before), RISE_RATIO | wide(110)),
        ],
        shown=[("value", "Value")],
        overrides=[unlabelled_row("Value")],
        sort_by=f"Change {sign}",
        unknown=NO_DIMENSION,
    )
