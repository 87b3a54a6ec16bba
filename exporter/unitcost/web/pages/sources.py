"""The section of the page that shows the sources: their state, what they brought, how they agree."""

from __future__ import annotations

from datetime import timedelta
from html import escape

from unitcost.figures import count, cut, elapsed, moment, percent
from unitcost.web.pages.parts import NAME, SHORT
from unitcost.web.pages.view import PageView, Reconciliation, SourceRow

SHOWN_PROBLEMS = 5
LINE = 400
"""How many characters of a problem are shown."""

STALE = timedelta(hours=1)
"""From this on, how much older a source's data are than the page is said beside the time."""

AGREE = 0.005
"""Bill and OpenCost agree when they differ by less than this."""


def sources(view: PageView) -> str:
    """Return the section; nothing where there is no source."""
    if not view.sources:
        return ""
    rows = "".join(_source(view, source) for source in view.sources)
    return (
        "<section><table><caption><h2>Sources</h2>Where the numbers come from, and how fresh they are</caption>"
        '<thead><tr><th scope="col">Source</th><th scope="col" class="text wide">Type</th>'
        '<th scope="col" class="text">State</th><th scope="col">Last success</th>'
        '<th scope="col" class="wide">Days known</th><th scope="col" class="wide">Rows</th></tr></thead>\n'
        f"{rows}</table>{_reconciliations(view)}</section>\n"
    )


def _source(view: PageView, source: SourceRow) -> str:
    state = {
        True: '<span class="chip state gain">fine</span>',
        False: '<span class="chip state loss">failed</span>',
        None: '<span class="chip state warn">not asked yet</span>',
    }[source.up]
    if source.last_success is None:
        success = '<span class="none" title="It has not succeeded since its data were last lost">never</span>'
    else:
        success = f'<time datetime="{source.last_success.isoformat()}">{moment(source.last_success)}</time>'
        if view.made_at - source.last_success > STALE:
            success += f'<span class="under block">{elapsed(source.last_success, view.made_at)} earlier</span>'
    said = [cut(line, LINE) for line in (*source.problems, *source.notes)]
    lines = "".join(f"<li>{escape(line)}</li>" for line in said[:SHOWN_PROBLEMS])
    if len(said) > SHOWN_PROBLEMS:
        lines += f"<li>and {len(said) - SHOWN_PROBLEMS} more; `unitcost check` says them all</li>"
    tone = "loss" if source.problems else "quiet"
    below = f'<tr class="said"><td colspan="6" class="{tone}"><ul>{lines}</ul></td></tr>\n' if lines else ""
    kind = f'<span class="under">{escape(cut(" and ".join(source.brings), SHORT))}</span>'
    return (
        f'<tbody><tr><th scope="row" class="name"><bdi>{escape(cut(source.name, NAME))}</bdi></th>'
        f'<td class="text wide">{escape(cut(source.type, SHORT))} {kind}</td>'
        f'<td class="text">{state}</td><td>{success}</td>'
        f'<td class="wide">{count(source.days)}</td><td class="wide">{count(source.rows)}</td></tr>\n{below}</tbody>\n'
    )


def _reconciliations(view: PageView) -> str:
    if not view.reconciliations:
        return ""
    lines = "".join(f"<p>{_agreement(found)}</p>" for found in view.reconciliations)
    return f'<div class="facts"><p class="quiet">Bill against OpenCost</p>{lines}</div>'


def _agreement(found: Reconciliation) -> str:
    names = f"Cluster <bdi>{escape(cut(found.cluster, NAME))}</bdi> (source {escape(cut(found.source, NAME))})"
    ratio = f"{found.ratio:.3f}"
    if abs(found.ratio - 1) < AGREE:
        return f"{names}: {ratio}, they agree"
    side = "more" if found.ratio > 1 else "less"
    return f"{names}: {ratio}, the bill is {percent(abs(found.ratio - 1))} {side} than OpenCost says"
