"""The sections of the page that show money: components, losers, customers, windows. Each returns HTML."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from html import escape

from unitcost.economics.margin import MarginRow, margin_ratio, per_unit
from unitcost.facts import COMPONENTS, OTHER
from unitcost.figures import SYMBOLS, UNKNOWN, count, cut, day_range, is_small, money, percent, plural, unit_cost
from unitcost.web.pages.view import PageView, WindowTotals

TOP_CUSTOMERS = 50
TOP_LOSERS = 8
NAME, SHORT, TITLE = 48, 24, 300
"""How many characters are shown of a name, of a key or plan, and of what appears when the pointer rests on it."""

LABELS = {"gpu": "GPU", "ai": "AI", "unallocated": "Unallocated"}
SHARED_LATER = "Costs that name no customer and that no sharing rule matches"


def _column(view: PageView) -> tuple[str, str]:
    """Return the currency to write in every cell of a table, and what to say once above it.

    A sign such as $ is written each time, a code such as CHF once.
    """
    return (view.currency, "") if view.currency in SYMBOLS else ("", f", in {escape(view.currency)}")


def components(view: PageView, main: WindowTotals) -> str:
    """Where each dollar went: one bar of all, and a row for each part; unallocated comes last, as its own."""
    code, above = _column(view)
    parts = [(part.component, part.cost) for part in view.components]
    parts.sort(key=lambda part: (-part[1], part[0]))
    if main.unallocated:
        parts.append(("unallocated", main.unallocated))
    total = sum((amount for _, amount in parts), Decimal(0))
    largest = max((amount for _, amount in parts), default=Decimal(0))
    cents = any(is_small(amount) for _, amount in parts)
    stack = "".join(f'<i class="{_colour(name)}" {_width(amount, total)}></i>' for name, amount in parts)
    rows = "".join(
        f'<tr><th scope="row"><span class="swatch {_colour(name)}"></span>{_component(name)}</th>'
        f'<td class="bar"><i class="{_colour(name)}" {_width(amount, largest)}></i></td>'
        f"<td>{escape(money(amount, code, cents=cents))}</td><td>{_share(amount, total)}</td></tr>\n"
        for name, amount in parts
    )
    return (
        '<section><table class="bars"><caption><h2>Where each dollar went</h2>'
        f"{day_range(main.first_day, main.last_day)}{above}"
        f'<div class="stack" aria-hidden="true">{stack}</div></caption>'
        f'<tbody>{rows}<tr class="total"><th scope="row">Total</th><td class="bar"></td>'
        f"<td>{escape(money(total, code, cents=cents))}</td><td>{_share(total, total)}</td></tr></tbody>"
        "</table></section>"
    )


def _colour(component: str) -> str:
    return component if component in COMPONENTS or component == "unallocated" else "other"


def _component(name: str) -> str:
    return escape(LABELS.get(name, cut(name, SHORT).capitalize()))


def _width(amount: Decimal, of: Decimal) -> str:
    """Return a width in percent; a credit (below 0) has none."""
    part = max(Decimal(0), amount) / of * 100 if of > 0 else Decimal(0)
    return f'style="width:{min(part, Decimal(100)):.2f}%"'


def _share(amount: Decimal, total: Decimal) -> str:
    return percent(float(amount / total)) if total else UNKNOWN


def losers(view: PageView) -> str:
    """Who loses most: bars of dollars lost, and what they paid for what they cost."""
    losing = view.losing()
    if not losing:
        text = (
            "No customer costs more than it pays."
            if any(row.margin is not None for row in view.customers)
            else "Nobody can say without revenue."
        )
        return f'<section><h2>Who loses money</h2><p class="lead">{text}</p></section>'
    code, above = _column(view)
    shown = losing[:TOP_LOSERS]
    largest = -(shown[0].margin or Decimal(0))
    cents = any(is_small(row.margin) for row in shown)
    rows = "".join(
        f'<tr><th scope="row" class="name">{_name(row)}<span class="under"> {_plan(row.plan)}</span></th>'
        f'<td class="bar"><i class="lost" {_width(-(row.margin or Decimal(0)), largest)}></i></td>'
        f'<td class="loss">{escape(money(row.margin, code, cents=cents))}</td></tr>\n'
        for row in shown
    )
    rest = losing[TOP_LOSERS:]
    more = ""
    if rest:
        lost = escape(money(sum((row.margin or Decimal(0) for row in rest), Decimal(0)), code, cents=cents))
        more = f'<tr class="total"><th scope="row" colspan="2">{len(rest):,} more</th><td class="loss">{lost}</td></tr>'
    return (
        '<section><table class="bars losers"><caption><h2>Who loses money</h2>'
        f"Revenue less cost of the {plural(len(losing), 'customer', 'customers')} below zero{above}</caption>"
        f"<tbody>{rows}{more}</tbody></table></section>"
    )


def _name(row: MarginRow) -> str:
    """Return a customer's name as HTML: cut, with more of it in the title, and safe from odd directions."""
    if row.tenant == OTHER:
        return '<span title="Beyond limits.tenants the cheapest customers are summed up">All other customers</span>'
    text = row.name or row.tenant
    title = f' title="{escape(cut(text, TITLE))}"' if len(text) > NAME else ""
    return f"<bdi{title}>{escape(cut(text, NAME))}</bdi>"


def _plan(plan: str) -> str:
    return f"<bdi>{escape(cut(plan, SHORT))}</bdi>" if plan else ""


def customers(view: PageView, main: WindowTotals) -> str:
    """Return the margin table: the dearest customers, all others in a line, unallocated, and the total."""
    ordered = sorted(view.customers, key=lambda row: (row.tenant == OTHER, -(row.cost or 0), row.tenant))
    table = _CustomerTable(view, ordered)
    shown, rest = ordered[:TOP_CUSTOMERS], ordered[TOP_CUSTOMERS:]
    body = "".join(
        table.line(
            _name(row) + _key(row) + f'<span class="under narrow"> {_plan(row.plan)}</span>', _plan(row.plan), [row]
        )
        for row in shown
    )
    ending = ""
    if rest:
        ending += table.line(f"and {plural(len(rest), 'more customer', 'more customers')}", "", rest)
    if main.unallocated:
        label = f'<span title="{SHARED_LATER}">Unallocated</span>'
        ending += table.line(label, "", [_unallocated(main)], why="it belongs to no customer")
    total = [*ordered, _unallocated(main)]
    above = _column(view)[1] + ("" if table.cents else ", rounded to whole amounts")
    return (
        f"<section><table><caption><h2>Customers</h2>{day_range(main.first_day, main.last_day)}, by cost{above}"
        f"</caption><thead><tr>{table.head()}</tr></thead>\n<tbody>{body}</tbody>\n"
        f'<tbody class="rest">{ending}</tbody>\n<tfoot>{table.line("Total", "", total)}</tfoot></table></section>\n'
    )


def _unallocated(main: WindowTotals) -> MarginRow:
    return MarginRow("unallocated", "", "", "", main.unallocated)


def _key(row: MarginRow) -> str:
    """Return the tenant's key where it is not the name itself."""
    if not row.name or row.tenant in {row.name, OTHER}:
        return ""
    return f' <span class="under key wide"><bdi>{escape(cut(row.tenant, SHORT))}</bdi></span>'


class _CustomerTable:
    """The columns of the customers' table; those that no customer could fill are left out."""

    def __init__(self, view: PageView, rows: list[MarginRow]) -> None:
        self._currency, _ = _column(view)
        self._code = view.currency
        self._revenue = any(row.revenue is not None for row in rows)
        self._requests = any(row.requests is not None for row in rows)
        self.cents = any(is_small(row.cost) for row in rows[:TOP_CUSTOMERS])

    def head(self) -> str:
        names = [("Customer", ""), ("Plan", "text wide"), ("Cost", "")]
        names += [("Revenue", ""), (f"Margin {self._code}", "wide"), ("Margin %", "")] if self._revenue else []
        names += [("Requests", "wide"), ("Cost per request", "wide")] if self._requests else []
        return "".join(f'<th scope="col" class="{kind}">{escape(name)}</th>' for name, kind in names)

    def line(self, label: str, plan: str, rows: list[MarginRow], why: str = "") -> str:
        """Return one table row that sums up the given rows; label and plan are HTML."""
        cost = _known(row.cost for row in rows)
        revenue = _known(row.revenue for row in rows)
        requests = _known(row.requests for row in rows)
        cells = [
            f'<td class="text wide">{plan}</td>',
            f"<td>{escape(money(cost, self._currency, cents=self.cents))}</td>",
        ]
        if self._revenue:
            single = rows[0] if len(rows) == 1 else None
            margin = None if revenue is None else single.margin if single else revenue - (cost or 0)
            ratio = single.margin_ratio if single else margin_ratio(revenue, cost)
            unknown = why or "no revenue is known"
            cells += [
                _cell(money(revenue, self._currency, cents=self.cents), "", unknown),
                _cell(money(margin, self._currency, cents=self.cents), _tone("wide", margin), unknown),
                f"<td>{_chip(ratio, unknown if revenue is None else 'neither cost nor revenue')}</td>",
            ]
        if self._requests:
            each = rows[0].cost_per_request if len(rows) == 1 else per_unit(cost, requests)
            cells += [
                _cell(count(requests), "wide", why or "no requests are known"),
                _cell(unit_cost(each, self._currency), "wide", why or "no requests are known"),
            ]
        return f'<tr><th scope="row" class="name">{label}</th>{"".join(cells)}</tr>\n'


def _known(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Sum what is known; None where nothing is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def _tone(kind: str, margin: Decimal | float | None) -> str:
    return f"{kind} loss".strip() if margin is not None and margin < 0 else kind


def _cell(text: str, kind: str, unknown: str) -> str:
    return f'<td class="{kind}">{_explained(text, unknown)}</td>'


def _explained(text: str, unknown: str) -> str:
    return f'<span class="none" title="{escape(unknown)}">{UNKNOWN}</span>' if text == UNKNOWN else escape(text)


def _chip(ratio: float | None, unknown: str) -> str:
    if ratio is None:
        return f'<span class="chip">{_explained(UNKNOWN, unknown)}</span>'
    return f'<span class="chip {"loss" if ratio < 0 else "gain"}">{percent(ratio)}</span>'


def windows(view: PageView) -> str:
    """Compare the windows; nothing where there is only one."""
    if len(view.windows) < len(("main", "another")):
        return ""
    code, above = _column(view)
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(window.label)}{_dates(window)}</th>'
        f"{_cell(money(window.cost, code), '', 'no cost is known')}"
        f"{_cell(money(window.revenue, code), 'wide', 'no revenue is known')}"
        f"<td>{_chip(window.margin_ratio, 'no revenue is known')}</td>"
        f"{_cell(count(window.active_tenants), 'wide', 'no customer is known')}"
        f"{_cell(money(window.cost_per_tenant, code, cents=True), 'wide', 'no customer is known')}"
        f"{_cell(unit_cost(window.cost_per_request, code), 'wide', 'no requests are known')}"
        f"{_cell(money(window.unallocated, code), 'wide', 'no cost is known')}"
        f"{_cell(_estimated(window, code), 'wide', 'no cost is known')}"
        f"<td>{_state(window)}</td></tr>\n"
        for window in view.windows
    )
    names = (
        "Cost",
        "Revenue",
        "Margin",
        "Customers",
        "Per customer",
        "Per request",
        "Unallocated",
        "Estimated",
        "Data",
    )
    always = {"Cost", "Margin", "Data"}
    head = "".join(f'<th scope="col" class="{"" if name in always else "wide"}">{name}</th>' for name in names)
    return (
        f"<section><table><caption><h2>Windows</h2>The same figures over other days{above}</caption>"
        f'<thead><tr><th scope="col">Window</th>{head}</tr></thead><tbody>{rows}</tbody></table></section>\n'
    )


def _dates(window: WindowTotals) -> str:
    """Return the window's days where its name does not tell them."""
    dates = day_range(window.first_day, window.last_day)
    return "" if window.label in dates else f'<span class="under key block">{dates}</span>'


def _estimated(window: WindowTotals, currency: str) -> str:
    return money(window.estimated or Decimal(0) if window.cost is not None else None, currency)


def _state(window: WindowTotals) -> str:
    if not window.gaps:
        return '<span class="quiet">complete</span>'
    lacking = "; ".join(f"{cut(gap.source, SHORT)} lacks {plural(len(gap.days), 'day', 'days')}" for gap in window.gaps)
    return f'<span class="chip state warn" title="{escape(lacking)}">incomplete</span>'
