"""How the cells of a table's columns look; each is a set of properties for `override`.

Combine with `|`: MONEY | COLOURED_LOSS | wide(100). Money in tables is a plain number under a header with the
currency's sign, with all its decimals: Grafana's currency units would shorten 3,487 to 3K, and `locale` 361.00 to 361.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from dashboards.panels import OUT_OF_SIGHT, steps, values_as
from dashboards.style import BUDGET_STEPS, COST_DELTA_STEPS, GREEN, MARGIN_STEPS, ORANGE, PLAIN_MONEY, RED

Cell: TypeAlias = dict[str, Any]

MONEY: Cell = {"unit": PLAIN_MONEY, "decimals": 0, "noValue": "-"}
CENTS: Cell = {"unit": PLAIN_MONEY, "decimals": 2, "noValue": "-"}
UNIT_PRICE: Cell = {"unit": "none", "decimals": 5, "noValue": "-"}
COUNT: Cell = {"unit": "locale", "decimals": 0, "noValue": "-"}
RATIO: Cell = {"unit": "percentunit", "decimals": 0, "noValue": "-"}
UNSEEN: Cell = {"custom__hideFrom": OUT_OF_SIGHT}
"""A column that only others are reckoned from."""

_TEXT: Cell = {"custom__cellOptions": {"type": "color-text"}}
COLOURED_LOSS: Cell = _TEXT | {"thresholds": steps((None, "text"), (-1e15, RED), (0, "text"))}
"""Red below 0."""
COLOURED_RISE: Cell = _TEXT | {"thresholds": COST_DELTA_STEPS}
"""For changes of cost: red where it rose, green where it fell."""
COLOURED_GROWTH: Cell = _TEXT | {
    "thresholds": steps((None, "text"), (-1, GREEN), (-0.05, "text"), (0.05, ORANGE), (0.25, RED)),
}
"""For ratios of change of cost: small ones are noise."""
MARGIN: Cell = RATIO | {
    "custom__cellOptions": {"type": "color-background", "mode": "basic"},
    "thresholds": steps((None, "transparent"), (-1e9, RED), (0, ORANGE), (0.3, "transparent")),
}
"""A margin ratio; only what needs a look is coloured."""


CHANGE_RATIO: Cell = RATIO | {
    "custom__cellOptions": {"type": "color-text"},
    # No cost falls by more than -1: the first colour is that of a cell without a value.
    "thresholds": steps((None, "text"), (-1, GREEN), (0, "text"), (1e-9, RED)),
    # What Grafana reckons from nothing before: something divided by 0, and 0 by 0.
    "mappings": values_as({"Infinity": "new", "NaN": "-"}),
    "noValue": "new",
}
"""A change of cost as a part of what it was, reckoned by Grafana; "new" where there was none."""


def wide(pixels: int) -> Cell:
    """Return the width of a column of figures; names and bars, without one, divide what a panel has left."""
    return {"custom__width": pixels}


def _gauge(top: float | None, text: str) -> Cell:
    bounds: Cell = {"min": 0} if top is None else {"min": 0, "max": top}
    return bounds | {"custom__cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": text}}


MARGIN_BAR: Cell = RATIO | _gauge(1, "color") | {"thresholds": MARGIN_STEPS}
BUDGET_BAR: Cell = RATIO | _gauge(1, "color") | {"thresholds": BUDGET_STEPS, "noValue": "no budget"}
"""Budget used: full at 100 %, the figure tells how far over it is."""


def bar(colour: str, *, top: float | None = None) -> Cell:
    """Return a bar of one colour; full at `top`, or at the column's largest value."""
    return _gauge(top, "text") | {"color": {"mode": "fixed", "fixedColor": colour}}
