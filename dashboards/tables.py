"""Tables of one row per customer (or any label), joined from several instant queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from dashboards.cells import wide
from dashboards.panels import Json, Panel, Query, Unknown, hidden, link, override, table
from dashboards.queries import info, otherwise
from dashboards.style import NO_PLAN

CUSTOMER = "Customer"
NAME_WIDTH = 168
"""Pixels in which a name of 20 letters is read."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A column: its header, the query that gives a value per row, and how a cell looks (properties of `override`)."""

    header: str
    expr: str
    cell: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A column that Grafana works out of two others, named by their headers; operator: +, -, * or /."""

    header: str
    left: str
    operator: str
    right: str
    cell: dict[str, Any] = field(default_factory=dict)


def page_link(title: str, uid: str, *variables: str, **values: str) -> Json:
    """Return the link to one of our pages; the time range, the data source and these variables go along.

    values: of variables that the page opens with.
    """
    carried = "".join(f"&${{{name}:queryparam}}" for name in variables)
    carried += "".join(f"&var-{name}={value}" for name, value in values.items())
    return link(title, f"/d/{uid}?${{__url_time_range}}&var-datasource=${{datasource:percentencode}}{carried}")


def tenant_link(field_name: str = "tenant", *, period: bool = True) -> Json:
    """Return the link from a row to its customer's page; time range, data source and the page's period go along."""
    return _tenant_page(f'${{__data.fields["{field_name}"]:percentencode}}', period=period)


def series_link() -> Json:
    """Return the link from a series with a tenant label to its customer's page."""
    return _tenant_page("${__field.labels.tenant:percentencode}")


def _tenant_page(tenant: str, *, period: bool = True) -> Json:
    return page_link("All about this customer", "unitcost-tenant", *(["period"] if period else []), tenant=tenant)


def joined(
    title: str,
    description: str,
    label: str,
    figures: Sequence[Figure],
    *,
    reckoned: Sequence[Reckoned] = (),
    shown: Sequence[tuple[str, str]] = (),
    first: Query | None = None,
    order: Sequence[str] = (),
    largest: tuple[str, int] | None = None,
    overrides: Sequence[Json] = (),
    sort_by: str | None = None,
    descending: bool = True,
    paginate: bool = False,
    unknown: Unknown | None = None,
) -> Panel:
    """Return a table with a row per value of `label`: the labels in `shown` as (label, header), then the figures.

    first: a query whose labels are shown; it comes before the figures. Rows stay although a figure has no value there.
    order: headers from left to right, where not in the order given. largest: a header and a number: only so many rows
    whose value there is farthest from 0. Grafana picks them, which spares Prometheus from finding them for each column.
    """
    labels = list(shown) or [(label, label)]
    queries = ([first] if first else []) + [Query(figure.expr) for figure in figures]
    letters = ascii_uppercase[len(queries) - len(figures) : len(queries)]
    # Grafana tells columns apart by their query only where there are several.
    values = ["Value"] if len(queries) == 1 else [f"Value #{letter}" for letter in letters]
    names = [name for name, _ in labels]
    wanted = ([] if label in names else [label]) + names
    given = [*wanted, *values]
    by_header = {figure.header: value for value, figure in zip(values, figures, strict=True)}
    headers = dict(labels) | {value: figure.header for value, figure in zip(values, figures, strict=True)}
    columns: list[Figure | Reckoned] = [*figures, *reckoned]
    fields = [*given, *(column.header for column in reckoned)]
    if order:
        fields.sort(key=lambda name: order.index(headers.get(name, name)) if headers.get(name, name) in order else -1)
    cells = [override(column.header, **column.cell) for column in columns if column.cell]
    return table(
        title,
        description,
        queries,
        transformations=[
            {"id": "joinByField", "options": {"byField": label, "mode": "outer"}},
            {"id": "filterFieldsByName", "options": {"include": {"names": given}}},
            *(calculation(column, by_header) for column in reckoned),
            *(_farthest_from_zero(by_header.get(largest[0], largest[0]), largest[1]) if largest else ()),
            {
                "id": "organize",
                "options": {
                    "excludeByName": {_SIZE: True} if largest else {},
                    "includeByName": {},
                    "indexByName": {name: position for position, name in enumerate(fields)},
                    "renameByName": headers,
                },
            },
        ],
        overrides=[*([] if label in names else [hidden(label)]), *cells, *overrides],
        sort_by=sort_by,
        descending=descending,
        paginate=paginate,
        unknown=unknown,
    )


def calculation(column: Reckoned, by_header: Mapping[str, str] = {}) -> Json:
    """Return the step that adds a reckoned column. by_header: the names that columns bear then, where not headers."""
    binary = {
        "left": by_header.get(column.left, column.left),
        "operator": column.operator,
        "right": by_header.get(column.right, column.right),
    }
    return {
        "id": "calculateField",
        "options": {"mode": "binary", "alias": column.header, "binary": binary, "replaceFields": False},
    }


_SIZE = "size"


def _farthest_from_zero(name: str, rows: int) -> list[Json]:
    """Return the steps that keep so many rows, those with the largest values whatever their sign."""
    size = {"mode": "unary", "alias": _SIZE, "unary": {"fieldName": name, "operator": "abs"}, "replaceFields": False}
    return [
        {"id": "calculateField", "options": size},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": _SIZE, "desc": True}]}},
        {"id": "limit", "options": {"limitField": rows}},
    ]


def by_tenant(
    title: str,
    description: str,
    figures: Sequence[Figure],
    *,
    reckoned: Sequence[Reckoned] = (),
    tenants: str = "",
    order: Sequence[str] = (),
    largest: tuple[str, int] | None = None,
    sort_by: str | None = None,
    descending: bool = True,
    paginate: bool = True,
    plan: bool = True,
    nobody: tuple[str, str] | None = None,
    name_width: int | None = None,
    unknown: Unknown | None = None,
) -> Panel:
    """Return a table with a row per customer: name (linked to its page), plan, then the figures.

    Each figure's query gives one series per tenant. tenants: a query by tenant that says which rows to show; else all.
    nobody: what must be known to say that there is none, and the words. name_width: pixels of the first column, else
    what is left.
    """
    rows = info("name", "plan") if plan else info("name")
    if tenants:
        rows = f"({rows} and on (tenant) {tenants})"
    if nobody:
        rows = otherwise(rows, nobody[0], "name", nobody[1])
    name = override(
        CUSTOMER, links=[tenant_link()], **(wide(name_width) if name_width else {"custom__minWidth": NAME_WIDTH})
    )
    return joined(
        title,
        description,
        "tenant",
        figures,
        reckoned=reckoned,
        shown=[("name", CUSTOMER), ("plan", "Plan")] if plan else [("name", CUSTOMER)],
        first=Query(rows),
        order=order,
        largest=largest,
        overrides=[name, *([override("Plan", mappings=NO_PLAN, **wide(95))] if plan else [])],
        sort_by=sort_by,
        descending=descending,
        paginate=paginate,
        unknown=unknown,
    )
