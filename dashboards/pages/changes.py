"""The part of the page about budgets that tells what changed."""

from __future__ import annotations

from collections.abc import Callable

from dashboards.cells import CENTS, COLOURED_RISE, MONEY, wide
from dashboards.grafana import Row, column, row, section, table_height
from dashboards.pages.alerts import columns
from dashboards.pages.parts import DAY, MONTH, RISE, RISE_RATIO, changes_of, difference, week_before
from dashboards.panels import Json, Panel, Query, hidden, override, table, timeseries
from dashboards.queries import (
    PREVIOUS,
    TENANT,
    compared,
    current_or_zero,
    daily,
    earlier_or_zero,
    info,
    now,
    otherwise,
    with_plan,
)
from dashboards.style import NO_PLAN, Settings, component_colours
from dashboards.tables import CUSTOMER, Figure, Reckoned, by_tenant, joined, tenant_link
from dashboards.words import NO_EARLIER
from unitcost import catalogue as c

BY_TENANT = ("tenant",)


def changes(settings: Settings) -> list[Row]:
    """Return the rows of what changed: within 30 days, and from day to day."""
    whole, above, rises = table_height(16), table_height(8), table_height(9)
    left = column((rises, _rises(settings)), (whole - rises, _falls(settings)))
    right = column((above, _components(settings)), (whole - above, _changed_customers(settings)))
    return [
        section("What changed: the last 30 complete days against the 30 before"),
        row(whole, (14, left), (10, right)),
        section("What changed: from day to day"),
        row(table_height(10), (12, _day_over_day(settings)), (12, _yesterday(settings))),
    ]


def _cost(by: tuple[str, ...], *, before: str = "", window: str = MONTH) -> str:
    return now(c.TENANT_COST, by, before=before, tenant=TENANT, window=window)


def _rises(settings: Settings) -> Panel:
    return _contributors(
        settings,
        "Whose cost rose most, and in what",
        "The nine pairs of a chosen customer and a component whose cost rose most against the 30 days before.",
        lambda change: f"topk(9, {change} >= 0.005)",
        descending=True,
    )


def _falls(settings: Settings) -> Panel:
    return _contributors(
        settings,
        "Whose cost fell most, and in what",
        "The five pairs of a chosen customer and a component whose cost fell most against the 30 days before.",
        lambda change: f"bottomk(5, {change} <= -0.005)",
        descending=False,
    )


def _contributors(
    settings: Settings, title: str, description: str, most: Callable[[str], str], *, descending: bool
) -> Panel:
    """Return the pairs that `most` picks from the changes. Grafana reckons what was before: it spares a third query."""
    sign, by = settings.sign, ("tenant", "component")
    current = _cost(by)
    changed = most(difference(current, _cost(by, before=PREVIOUS), by))
    known = compared(now(c.PLATFORM_COST, window=MONTH))
    change, later, earlier = f"Change {sign}", f"Now {sign}", f"Before {sign}"
    reckoned = (
        Reckoned(earlier, later, "-", change, MONEY | wide(90)),
        Reckoned("Change %", change, "/", earlier, RISE_RATIO | wide(105)),
    )
    headers = {"name": CUSTOMER, "plan": "Plan", "component": "Component", "Value #A": change, "Value #B": later}
    return table(
        title,
        description,
        [
            Query(otherwise(with_plan(changed, names=True), known, "name", "no such change")),
            Query(with_plan(f"({current} and on (tenant, component) {changed})", names=True)),
        ],
        transformations=[{"id": "merge", "options": {}}, *columns(headers), *map(_reckon, reckoned)],
        overrides=[
            hidden("tenant"),
            override(CUSTOMER, links=[tenant_link()]),
            override("Plan", mappings=NO_PLAN, **wide(100)),
            override("Component", **wide(110)),
            override(change, **RISE | wide(105)),
            override(later, **MONEY | wide(90)),
            *(override(said.header, **said.cell) for said in reckoned),
        ],
        sort_by=change,
        descending=descending,
        unknown=NO_EARLIER,
    )


def _reckon(said: Reckoned) -> Json:
    """Return the step that adds a reckoned column to a table whose columns have their headers already."""
    binary = {"left": said.left, "operator": said.operator, "right": said.right}
    options = {"mode": "binary", "alias": said.header, "binary": binary, "replaceFields": False}
    return {"id": "calculateField", "options": options}


def _components(settings: Settings) -> Panel:
    by, sign = ("component",), settings.sign
    current, before = _cost(by), _cost(by, before=PREVIOUS)
    return joined(
        "By component",
        "Cost of the chosen customers by component, against that of the 30 days before.",
        "component",
        [
            Figure(f"Before {sign}", earlier_or_zero(current, before), MONEY | wide(95)),
            Figure(f"Now {sign}", current, MONEY | wide(95)),
        ],
        reckoned=changes_of(sign, f"Before {sign}", f"Now {sign}"),
        shown=[("component", "Component")],
        sort_by=f"Change {sign}",
        unknown=NO_EARLIER,
    )


def _changed_customers(settings: Settings) -> Panel:
    sign = settings.sign
    current, before = _cost(BY_TENANT), _cost(BY_TENANT, before=PREVIOUS)
    return by_tenant(
        "By customer, the six largest changes",
        "The chosen customers whose cost differs most from that of the 30 days before.",
        [
            Figure(f"Before {sign}", earlier_or_zero(current, before), MONEY | wide(95)),
            Figure(f"Now {sign}", current_or_zero(current, before), MONEY | wide(95)),
        ],
        reckoned=changes_of(sign, f"Before {sign}", f"Now {sign}"),
        tenants=compared(info(tenant=TENANT)),
        largest=(f"Change {sign}", 6),
        sort_by=f"Change {sign}",
        paginate=False,
        plan=False,
        unknown=NO_EARLIER,
    )


def _day_over_day(settings: Settings) -> Panel:
    by = ("component",)

    cost = daily(c.TENANT_COST, by, tenant=TENANT, window=DAY)
    return timeseries(
        "Change from the week before, day by day",
        "Each day's cost of the chosen customers less that of the same weekday a week before, by component: above 0"
        " what became dearer, below 0 what became cheaper. Days of the week differ, so this says more than the day"
        " before.",
        [Query(f"{cost} - {week_before(cost)}", "{{component}}")],
        unit=settings.money,
        stacked=True,
        bars=True,
        calcs=("sum", "lastNotNull"),
        legend="right",
        overrides=component_colours(),
        unknown=NO_EARLIER,
    )


def _yesterday(settings: Settings) -> Panel:
    sign = settings.sign
    current = _cost(BY_TENANT, window=DAY)
    before = _cost(BY_TENANT, window=DAY, before=DAY)
    week = _cost(BY_TENANT, window=DAY, before="7d")
    return by_tenant(
        "Yesterday against the day before",
        "The ten chosen customers whose cost of the last complete day (UTC) differs most from that of the day"
        " before; the same weekday a week earlier beside it.",
        [
            Figure(f"Week before {sign}", compared(week, ago=DAY), CENTS | wide(130)),
            Figure(f"Day before {sign}", earlier_or_zero(current, before, ago=DAY), CENTS | wide(120)),
            Figure(f"Yesterday {sign}", current_or_zero(current, before, ago=DAY), CENTS | wide(120)),
        ],
        reckoned=[
            Reckoned(
                f"Change {sign}",
                f"Yesterday {sign}",
                "-",
                f"Day before {sign}",
                CENTS | COLOURED_RISE | wide(110),
            )
        ],
        tenants=compared(info(tenant=TENANT), ago=DAY),
        largest=(f"Change {sign}", 10),
        sort_by=f"Change {sign}",
        paginate=False,
        plan=False,
        unknown=NO_EARLIER,
    )
