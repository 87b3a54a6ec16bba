"""Texts and small panels that several pages share."""

from __future__ import annotations

from dashboards.panels import Panel, Query, override, stat
from dashboards.style import GREEN, RED

NO_COSTS = "No figures in this time: is the exporter up, and is its history loaded?"
NO_EARLIER = "nothing earlier to compare with"


def change_stat(
    now: str, before: str, *, bad_up: bool, points: bool = False, what: str = "the 30 days before"
) -> Panel:
    """Return the small panel under a figure: how much more or less it is than before.

    points: both are ratios, so the difference is told in percentage points. bad_up: more is worse.
    """
    delta = f"(100 * ({now} - {before}))" if points else f"({now} / ({before} != 0) - 1)"
    up, down = f"more than {what}", f"less than {what}"
    same = f"as {what}"
    least = 0.05 if points else 0.0005  # what the last digit shown can say
    return stat(
        "",
        f"The figure above against that of {what}"
        + (", in percentage points." if points else ", as a part of it.")
        + " Where there is no history yet, nothing is compared.",
        [
            Query(f"{delta} >= {least}", up, instant=True),
            Query(f"-({delta} <= -{least})", down, instant=True),
            Query(f"0 * ({delta} > -{least} < {least}) or 0 * ({now} == {before})", same, instant=True),
        ],
        unit="suffix: points" if points else "percentunit",
        decimals=1,
        names=True,
        text_size=(13, 18),
        overrides=[
            override(up, fixed_color=RED if bad_up else GREEN),
            override(down, fixed_color=GREEN if bad_up else RED),
            override(same, fixed_color="text"),
        ],
        no_value=NO_EARLIER,
        interval=None,
    )
