"""The page for closing a month: what finance holds against the invoices, and takes along as a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from dashboards.cells import CENTS, COLOURED_LOSS, wide
from dashboards.grafana import Variable, column, row, table_height
from dashboards.grafana import page as whole_page
from dashboards.pages.parts import figure, sums
from dashboards.panels import Json, Panel, Query, Unknown, override, text
from dashboards.queries import info, present
from dashboards.style import COMPLETE, MARGIN_STEPS, Settings
from dashboards.tables import NAME_WIDTH, Figure, Reckoned, joined, tenant_link
from dashboards.words import NO_COSTS, NO_REVENUE
from rules.promql import Match, labelled, matches, over, select
from unitcost.facts import COMPONENTS
from unitcost.metrics import catalogue as c
from unitcost.metrics.metric import Metric

UID = "unitcost-close"
MONTH = "$month"
NOBODY, TOTAL = "No customer", "Total"
NOT_SETTLED = Unknown("not settled", "A month is settled five days after its end, once all its days are known.")


def page(settings: Settings) -> Json:
    """Return the page."""
    adds_up = sums(settings, partial(present, window=MONTH))
    beside = column((table_height(9) - 4, _sources(settings)), (4, adds_up))
    return whole_page(
        UID,
        "Month close",
        "A closed calendar month to the cent: each customer and component, what no customer bears, and the invoices.",
        [
            row(2, (24, _intro())),
            row(4, *zip((5, 5, 5, 4, 5), _figures(settings), strict=True)),
            row(table_height(9), (12, _components(settings)), (12, beside)),
            row(table_height(20), (24, _customers(settings))),
        ],
        variables=[Variable("month", "Month", f"query_result({_closed()})", regex=MONTH_OF, descending=True)],
    )


MONTH_OF = r'/window="(\d{4}-\d{2})"/'


def _closed() -> str:
    """Return a series a closed month: what is said at the range's end, or was said later, as it may lie in the past."""
    said = select(c.WINDOW_COMPLETE, window=matches("[0-9]{4}-[0-9]{2}"))
    return f"group by (window) (last_over_time({said}[1h]) or max_over_time({said}[400d:1h] offset -400d))"


def _intro() -> Panel:
    return text(
        "A closed month, UTC, as the ledger knows it now. A table as CSV: its menu, *Inspect*, *Data*.",
        "How many closed months are served is `months` in unitcost.yaml.",
    )


def _figures(settings: Settings) -> list[Panel]:
    dollars = partial(figure, unit=settings.exact, decimals=2)
    cost, revenue = present(c.PLATFORM_COST, window=MONTH), present(c.PLATFORM_REVENUE, window=MONTH)
    return [
        dollars("Cost", "The whole company's cost of the month, costs without a customer included.", cost, NO_COSTS),
        dollars("Revenue", "MRR of each day of the month, divided by its days, summed.", revenue, NO_REVENUE),
        figure(
            "Margin, all cost",
            "(Revenue - cost) / revenue of the month; costs without a customer are in it.",
            present(c.PLATFORM_MARGIN_RATIO, window=MONTH),
            NO_REVENUE,
            unit="percentunit",
            decimals=1,
            thresholds=MARGIN_STEPS,
        ),
        figure(
            "Data",
            "Whether every required source knows every day of the month.",
            present(c.WINDOW_COMPLETE, window=MONTH),
            NO_COSTS,
            mappings=COMPLETE,
        ),
        dollars(
            "Changed since settled",
            "How much more is counted of the month now than when it was settled, five days after its end: what later"
            " deliveries changed.",
            present(c.RESTATED_COST, month=MONTH),
            NOT_SETTLED,
        ),
    ]


def _components(settings: Settings) -> Panel:
    by = ("component",)
    customers, whole = present(c.ALLOCATED_COST, by, window=MONTH), present(c.PLATFORM_COST, by, window=MONTH)
    return _with_total(
        settings,
        "By component",
        "All cost, what the customers cost of it, and what no customer bears. Where a cluster tells what its nodes were"
        " used for, the bill's money for them stands under what they were used for.",
        "component",
        {"Cost": whole, "Customers": customers, NOBODY: f"({whole} - {customers})"},
    )


def _sources(settings: Settings) -> Panel:
    by = ("source",)
    billed = present(c.BILL, by, window=MONTH)

    def part(metric: Metric) -> str:
        return f"({present(metric, by, window=MONTH)} or 0 * {billed})"

    return _with_total(
        settings,
        "By source, to hold beside the invoices",
        "What each source brought in and was counted in the month; the part of it that is an estimate, because no bill"
        " covers the day; the part that no customer bears; and how much came or went after the month was settled.",
        "source",
        {
            "Brought in": billed,
            "Estimated": part(c.ESTIMATED_COST),
            NOBODY: part(c.UNALLOCATED),
            "Changed": present(c.RESTATED_COST, by, month=MONTH),
        },
    )


def _with_total(settings: Settings, title: str, description: str, label: str, columns: Mapping[str, str]) -> Panel:
    """Return a table of a row per value of a label, and their total, the largest of the first column first."""
    headers = [f"{name} {settings.sign}" for name in columns]
    return joined(
        title,
        description,
        label,
        [
            Figure(header, f"({expr} or {_named(TOTAL, f'sum({expr})', label)})", CENTS | wide(110))
            for header, expr in zip(headers, columns.values(), strict=True)
        ],
        shown=[(label, label.title())],
        overrides=[override(label.title(), custom__minWidth=90)],
        sort_by=headers[0],
        unknown=NO_COSTS,
    )


def _named(name: str, expr: str, label: str = "tenant") -> str:
    """Return an expression without labels as a row of that name."""
    return labelled(expr, label, name)


def _customers(settings: Settings) -> Panel:
    """Return the table to take along: no column is hidden, no cell has a unit, and its last two rows make it whole."""
    sign, by = settings.sign, ("tenant",)

    def cells(**labels: str | Match) -> str:
        parts = (
            present(c.TENANT_COST, by, window=MONTH, **labels),
            _named(NOBODY, present(c.UNALLOCATED, (), window=MONTH, **labels)),
            _named(TOTAL, present(c.PLATFORM_COST, (), window=MONTH, **labels)),
        )
        return " or ".join(parts)

    known = over("group", (), present(c.PLATFORM_COST, window=MONTH))
    rows = [info("name"), *(_named(name, _named(name, known, "name")) for name in (NOBODY, TOTAL))]
    revenues = (
        present(c.TENANT_REVENUE, by, window=MONTH),
        _named(NOBODY, f"0 * {present(c.PLATFORM_REVENUE, window=MONTH)}"),
        _named(TOTAL, present(c.PLATFORM_REVENUE, window=MONTH)),
    )
    cost, revenue = f"Cost {sign}", f"Revenue {sign}"
    return joined(
        "Each customer and component",
        "Every customer's cost of the month by component, shared costs included; then what no customer bears, and the"
        " total, which is that of the invoices. Margin: revenue less cost.",
        "tenant",
        [
            *(
                Figure(component, cells(component=component), CENTS | wide(max(76, 10 * len(component))))
                for component in COMPONENTS
            ),
            Figure(cost, cells(), CENTS | wide(98)),
            Figure(revenue, " or ".join(revenues), CENTS | wide(98)),
        ],
        reckoned=[Reckoned(f"Margin {sign}", revenue, "-", cost, CENTS | COLOURED_LOSS | wide(98))],
        shown=[("name", "Customer"), ("tenant", "Id")],
        first=Query(" or ".join(rows)),
        order=["Customer", "Id", cost, revenue, f"Margin {sign}", *COMPONENTS],
        overrides=[
            override("Customer", links=[tenant_link("Id", period=False)], custom__minWidth=NAME_WIDTH),
            override("Id", **wide(137)),
            override("/.*/", regex=True, custom__filterable=False),
        ],
        sort_by=cost,
        paginate=True,
        unknown=NO_COSTS,
    )
