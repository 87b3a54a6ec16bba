"""What the pages about AI, efficiency and budgets share: their variables, figures over their change, and queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dashboards.cells import CHANGE_RATIO, COLOURED_RISE, MONEY, Cell, wide
from dashboards.grafana import Column, Variable, column
from dashboards.panels import GREY, Json, Panel, Query, Unknown, override, stat, steps, values_as
from dashboards.queries import compared
from dashboards.tables import Reckoned
from dashboards.words import NO_COSTS, change_stat
from rules.promql import select
from unitcost.catalogue import DIMENSION_COST, TENANT_INFO

MONTH = "30d"
DAY = "1d"
FEATURE = "feature"
UNLABELLED = "__unallocated__"
NOT_LABELLED = "not labelled"

PLAIN = steps((None, "text"))
RISE: Cell = MONEY | COLOURED_RISE
RISE_RATIO: Cell = CHANGE_RATIO


def tenants() -> Variable:
    """Return the choice of customers; All is short however many there are."""
    return Variable("tenant", "Customer", f"label_values({TENANT_INFO.name}, tenant)", multi=True, all_regex=".*")


def dimensions() -> Variable:
    """Return the choice of a dimension; left alone, Grafana begins with the first in the alphabet: see preselected."""
    return Variable("dimension", "Dimension", f"label_values({DIMENSION_COST.name}, dimension)")


def preselected(board: Json, variable: str, value: str) -> Json:
    """Let a page open with a value of a variable; where the data source does not know it, Grafana takes the first."""
    for entry in board["templating"]["list"]:
        if entry["name"] == variable:
            entry["current"] = {"selected": True, "text": value, "value": value}
    return board


def moving(
    title: str,
    description: str,
    through_time: str,
    current: str,
    before: str,
    *,
    unit: str,
    decimals: int,
    bad_up: bool = True,
    points: bool = False,
    unknown: Unknown = NO_COSTS,
) -> Column:
    """Return a figure of 30 days with its course over the page's time, above its change against the 30 days before."""
    figure = stat(
        title,
        f"{description} The line: how these 30 days moved along the page's time range.",
        [Query(through_time, title)],
        unit=unit,
        decimals=decimals,
        sparkline=True,
        unknown=unknown,
    )
    return column((4, figure), (2, change_stat(current, before, bad_up=bad_up, points=points)))


def note(
    description: str,
    expr: str,
    legend: str,
    *,
    unit: str,
    decimals: int | None,
    unknown: Unknown,
    thresholds: Sequence[Json] = PLAIN,
) -> Panel:
    """Return the small panel under a figure: another one with a word on it."""
    return stat(
        "",
        description,
        [Query(expr, legend, instant=True)],
        unit=unit,
        decimals=decimals,
        thresholds=thresholds,
        names=True,
        text_size=(13, 18),
        unknown=unknown,
        interval=None,
    )


def figure(
    title: str,
    description: str,
    expr: str,
    unknown: Unknown,
    *,
    unit: str = "none",
    decimals: int | None = 0,
    thresholds: Sequence[Json] = PLAIN,
    mappings: Sequence[Json] = (),
    legend: str = "",
    size: int | None = 34,
) -> Panel:
    """Return a large figure of now. size: in pixels; None to fill the panel."""
    return stat(
        title,
        description,
        [Query(expr, legend or title, instant=True)],
        unit=unit,
        decimals=decimals,
        thresholds=thresholds,
        mappings=mappings,
        text_size=(None, size),
        unknown=unknown,
        interval=None,
    )


def ratio(part: str, whole: str) -> str:
    """Return a part of a whole; nothing where the whole is 0."""
    return f"({part} / ({whole} > 0))"


def growth(current: str, earlier: str) -> str:
    """Return a change as a part of what was earlier; nothing where that is 0 or unknown."""
    return f"({current} / ({earlier} > 0) - 1)"


def changes_of(sign: str, earlier: str, later: str) -> tuple[Reckoned, Reckoned]:
    """Return the columns that Grafana reckons from those with these headers: the change, and its part of the earlier.

    It spares Prometheus from finding the earlier and later figures twice more.
    """
    change = f"Change {sign}"
    return (
        Reckoned(change, later, "-", earlier, RISE | wide(105)),
        Reckoned("Change %", change, "/", earlier, RISE_RATIO | wide(105)),
    )


def difference(current: str, earlier: str, by: tuple[str, ...]) -> str:
    """Return by how much series differ from those of the 30 days before; who is only in one counts with 0 in the other.

    Both have just those labels. Nothing where there are no earlier figures at all.
    """
    both = f'label_replace({current}, "of", "now", "", "") or label_replace(-({earlier}), "of", "before", "", "")'
    return compared(f"sum by ({', '.join(by)}) ({both})")


def last_of_graph(days: str) -> str:
    """Return, at every point of a graph of days, its last value: that of today or yesterday, midnights both."""
    return f"last_over_time({days}[2d:1d] @ end())"


def week_before(days: str) -> str:
    """Return the same figures of days a week earlier; the subquery meets only the midnight it ends with."""
    return f"last_over_time({days}[12h:1d] offset 7d)"


def at_end_with(label: Literal["name", "plan"], expression: str) -> str:
    """Add to a graph's series by tenant the name or plan they have at its end; much cheaper than one per point."""
    # Grafana ends a graph of days with today's midnight; what is said since then is looked for ahead of it.
    at_end = f"last_over_time({select(TENANT_INFO)}[2d] @ end() offset -1d)"
    known = f"topk by (tenant) (1, max by (tenant, {label}) ({at_end}))"
    return f"({expression} * on (tenant) group_left ({label}) {known})"


def plan_in_words(expression: str) -> str:
    """Return series by plan whose legend can say the plan: none at all would leave it to Grafana."""
    return f'label_replace({expression}, "plan", "no plan", "plan", "")'


def unlabelled() -> Json:
    """Return the override that says in words what costs without a value of a dimension are."""
    return override(UNLABELLED, displayName=NOT_LABELLED, fixed_color=GREY)


def unlabelled_row(header: str) -> Json:
    """Return the same for a column of such values."""
    return override(header, mappings=values_as({UNLABELLED: NOT_LABELLED}))
