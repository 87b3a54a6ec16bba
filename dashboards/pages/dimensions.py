"""Panels of the company's cost by a dimension, such as feature or environment, chosen at the top of the page."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards.cells import MONEY, wide
from dashboards.pages.parts import changes_of, cost_bars, unlabelled, unlabelled_row
from dashboards.panels import Json, Panel, Query
from dashboards.queries import BEFORE, PERIOD, daily, now
from dashboards.style import Settings
from dashboards.tables import Figure, joined
from dashboards.words import NO_DIMENSION
from unitcost.days import DAY
from unitcost.metrics.catalogue import DIMENSION_COST

BY_VALUE = ("value",)
CHOSEN = "$dimension"


def cost_by_day(
    settings: Settings, title: str, description: str, *, links: Sequence[Json] = (), **labels: str
) -> Panel:
    """Return each day's cost, a bar's part for each value of the dimension. labels: which costs, all without."""
    cost = daily(DIMENSION_COST, BY_VALUE, dimension=CHOSEN, window=DAY, **labels)
    return cost_bars(
        settings,
        title,
        description,
        [Query(f"{cost} > 0", "{{value}}")],
        overrides=[unlabelled()],
        links=links,
        unknown=NO_DIMENSION,
    )


def cost_against_before(settings: Settings, title: str, description: str, **labels: str) -> Panel:
    """Return the period's cost by value beside that of the period before, largest change first.

    Where the period before is not known, the columns that compare with it are missing.
    """
    sign = settings.sign
    earlier, later = f"Before {sign}", f"Now {sign}"

    def cost(window: str) -> str:
        return now(DIMENSION_COST, BY_VALUE, dimension=CHOSEN, window=window, **labels)

    return joined(
        title,
        description,
        "value",
        [Figure(earlier, cost(BEFORE), MONEY | wide(85)), Figure(later, cost(PERIOD), MONEY | wide(85))],
        reckoned=changes_of(sign, earlier, later),
        shown=[("value", "Value")],
        overrides=[unlabelled_row("Value")],
        sort_by=f"Change {sign}",
        unknown=NO_DIMENSION,
    )
