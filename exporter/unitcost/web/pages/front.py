"""The page `/`: the unit economics at a glance, as one HTML file without scripts or anything from elsewhere.

Its reader looks at it on a Monday morning: the first sentence tells the story, the table adds up to the bill.
All text that is not our own is escaped and cut.
"""

from __future__ import annotations

from decimal import Decimal
from html import escape
from importlib.resources import files

from unitcost.figures import count, cut, day_ranges, moment, money, percent, plural, unit_cost
from unitcost.web.pages.parts import NAME, components, customers, losers, windows
from unitcost.web.pages.sources import sources
from unitcost.web.pages.view import PageView, WindowTotals

STYLE = files("unitcost.web.pages").joinpath("page.css").read_text(encoding="utf-8")

MADE = """\
Cost is what the bills say. Where no bill covers a Kubernetes day yet, OpenCost's figures stand in as an estimate.
A cost that names its customer goes to that customer whole; what names none is shared by the rules you configured.
What no rule matches stays unallocated: it is in the total and in nobody's cost.
Revenue is each day's monthly recurring revenue divided by the days of its month.
Margin is revenue less cost, in percent of revenue. A customer who costs something and pays nothing is at −100%.
Days are UTC. What is not known is a dash, never 0. Sums are made before rounding.
""".splitlines()
"""How a number is made, line by line."""


def render_page(view: PageView) -> str:
    """Return the page as HTML5."""
    main = view.main
    parts = [_notices(view)]
    if main is not None and main.cost is not None:
        parts += [
            _cards(view, main, main.cost),
            f'<div class="pair">{components(view, main)}{losers(view)}</div>\n',
            customers(view, main),
            windows(view),
        ]
    parts.append(sources(view))
    first, second = story(view)
    tone = "" if second == NO_LOSER else ' class="loss"'
    headline = f"{escape(first)} <span{tone}>{escape(second)}</span>" if second else escape(first)
    return document(
        f"{first} {second}".strip(),
        f"<header>{_top(view)}<h1>{headline}</h1></header>\n<main>\n{''.join(parts)}</main>\n{_footer(view)}",
    )


def document(title: str, body: str, style: str = STYLE) -> str:
    """Wrap a body (HTML) into a whole document; title is text, style is CSS."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


WAITING_PAGE = document(
    "unitcost is starting",
    "<header><h1>unitcost is starting.</h1></header>\n<main><p>The sources are being asked for the first time."
    " Load this page again in a moment; it has the numbers as soon as the first answers are in.</p></main>",
).encode()
"""What `/` says before the first snapshot."""


NO_LOSER = "No customer loses money."


def story(view: PageView) -> tuple[str, str]:
    """Return what happened in the main window, and who loses money, as sentences; the second may be empty."""
    main = view.main
    if main is None or main.cost is None:
        return ("No cost is known yet.", "")
    code = view.currency
    label = f"{main.label} (incomplete)" if main.gaps else main.label
    active = main.active_tenants
    who = "All customers" if active is None else plural(active, "customer", "customers")
    cost = f"{label}: {who} cost {money(main.cost, code)}"
    if main.revenue is None:
        each = "" if main.cost_per_tenant is None else f", {money(main.cost_per_tenant, code)} each"
        return (f"{cost}{each}.", "")
    if not main.revenue:
        return (f"{cost} and paid nothing.", "")
    first = f"{cost} and paid {money(main.revenue, code)}: a margin of {percent(main.margin_ratio)}."
    losing = view.losing()
    if not losing:
        return (first, NO_LOSER)
    lost = money(-sum((row.margin for row in losing if row.margin is not None), Decimal(0)), code)
    if len(losing) == 1:
        return (first, f"1 customer loses money, {lost}.")
    return (first, f"{len(losing):,} customers lose money, {lost} in all.")


def _top(view: PageView) -> str:
    links = "".join(f'<a href="{escape(address)}">{escape(cut(text, NAME))}</a>' for text, address in view.links)
    nav = f'<nav aria-label="Links">{links}</nav>' if links else ""
    company = f"{escape(cut(view.company, NAME))}: " if view.company else ""
    return (
        f'<div class="top"><span><strong>{company}Unit economics</strong></span>'
        f"<span>as of {moment(view.made_at)}</span>{nav}</div>\n"
    )


def _notices(view: PageView) -> str:
    """Say what a reader must know before believing a figure."""
    main = view.main
    notices = []
    if main is None or main.cost is None:
        why = "The sources below say why." if view.sources else "No source is configured."
        notices.append(("", "No data yet.", f"No source has brought a cost. {why}"))
    else:
        for gap in main.gaps:
            lacks = f"{cut(gap.source, NAME)} lacks {plural(len(gap.days), 'day', 'days')}, {day_ranges(gap.days)}."
            notices.append(("", f"{main.label} is not complete.", f"{lacks} The figures hold only what is known."))
        if main.revenue is None:
            why = (
                "No revenue is known for these days; the sources below say why."
                if view.has_revenue_source
                else "No source of revenue is configured; add one, such as csv_revenue, to see who earns and who loses."
            )
            notices.append(("", "Margins are absent.", why))
    failing = [cut(source.name, NAME) for source in view.sources if source.up is False]
    if failing:
        title = f"{plural(len(failing), 'source', 'sources')} failed:"
        notices.append((" bad", title, f"{', '.join(failing)}. The last good data stay in use."))
    return "".join(
        f'<p class="notice{tone}"><b>{escape(what)}</b> {escape(text)}</p>\n' for tone, what, text in notices
    )


LONG = 9
"""With a figure of more characters than this, all are set in smaller type."""


def _cards(view: PageView, main: WindowTotals, cost: Decimal) -> str:
    code = view.currency
    margin = None if main.revenue is None else main.revenue - cost
    paying = sum(1 for row in view.customers if row.revenue)
    no_revenue = "revenue not known" if view.has_revenue_source else "no source of revenue"
    unallocated = main.unallocated
    share = None if unallocated is None or not cost else float(unallocated / cost)
    beside_cost = (
        f"{money(main.estimated, code)} estimated" if main.estimated else f"{money(cost / main.day_count, code)} a day"
    )
    beside_revenue = no_revenue if main.revenue is None else f"{plural(paying, 'customer', 'customers')} paid"
    active = f"{count(main.active_tenants)} active" if main.active_tenants else "no active customer"
    requests = f"{count(main.requests)} requests" if main.requests else "no requests known"
    of_all = "not known" if share is None else f"{percent(share)} of the cost"
    cards = (
        ("Cost", money(cost, code), beside_cost),
        ("Revenue", money(main.revenue, code), beside_revenue),
        ("Margin", percent(main.margin_ratio), no_revenue if margin is None else money(margin, code)),
        ("Cost per customer", money(main.cost_per_tenant, code, cents=True), active),
        ("Cost per request", unit_cost(main.cost_per_request, code), requests),
        ("Unallocated", money(unallocated, code), of_all),
    )
    loss = " loss" if margin is not None and margin < 0 else ""
    items = "".join(
        f'<div><dt>{title}</dt><dd class="figure{loss if title == "Margin" else ""}">{escape(figure)}</dd>'
        f'<dd class="beside">{escape(beside)}</dd></div>'
        for title, figure, beside in cards
    )
    tight = " tight" if any(len(figure) > LONG for _, figure, _ in cards) else ""
    return f'<dl class="cards{tight}">{items}</dl>\n'


def _footer(view: PageView) -> str:
    steps = "".join(f"<li>{escape(step)}</li>" for step in MADE)
    return (
        f"<footer><h2>How a number is made</h2><ol>{steps}</ol>"
        f"<p>unitcost {escape(cut(view.version, NAME))} · amounts in {escape(view.currency)}</p></footer>"
    )
