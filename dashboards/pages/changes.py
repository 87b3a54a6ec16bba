"""The part of the page about budgets that tells what changed, and which alerts fire."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dashboards.cells import CENTS, COLOURED_RISE, COUNT, MONEY, wide
from dashboards.grafana import Row, column, row, section, table_height
from dashboards.pages.parts import DAY, MONTH, RISE, RISE_RATIO, changes_of, difference, week_before
from dashboards.panels import Json, Panel, Query, hidden, override, table, timeseries, values_as
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
from dashboards.style import BLUE, NO_PLAN, ORANGE, RED, Settings, component_colours
from dashboards.tables import CUSTOMER, Figure, Reckoned, by_tenant, joined, tenant_link
from dashboards.words import NO_EARLIER, NO_RULES
from rules.promql import matches, over, select
from unitcost import catalogue as c
from unitcost import catalogue_external as e
from unitcost import catalogue_recorded as r

BY_TENANT = ("tenant",)
SEVERITIES = ("info", "warning", "critical")
SEVERITY = override(
    "Severity",
    mappings=values_as({"3": ("critical", RED), "2": ("warning", ORANGE), "1": ("info", BLUE)}),
    custom__cellOptions={"type": "color-text"},
    custom__align="left",
    **wide(100),
)


def alerts() -> Row:
    """Return the row of alerts that fire: how many of each, and about whom."""
    return row(table_height(6), (8, _counted()), (16, _alerts()))


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


def _counted() -> Panel:
    ranks = " or ".join(
        f'label_replace({over("count", ("alertname",), _firing(severity))}, "severity", "{rank}", "", "")'
        for rank, severity in enumerate(SEVERITIES, start=1)
    )
    return table(
        "Alerts firing, by kind",
        "How many alerts of unitcost's rules fire now about the chosen customers and about the whole company. Each"
        " kind has a page in docs/runbooks.",
        [Query(_or_none(ranks, "alertname"))],
        transformations=_columns({"severity": "Severity", "alertname": "Alert", "Value": "Firing"}),
        overrides=[SEVERITY, override("Firing", **COUNT | wide(75))],
        sort_by="Severity",
        unknown=NO_RULES,
    )


def _alerts() -> Panel:
    shown = ("alertname", "name", "plan", "source", "owner", "tenant")
    ranked = " or ".join(
        f'label_replace({over("max", shown, _firing(severity))}, "severity", "{rank}", "", "")'
        for rank, severity in enumerate(SEVERITIES, start=1)
    )
    columns = {"severity": "Severity", "alertname": "Alert", "name": CUSTOMER, "plan": "Plan", "source": "Source"}
    return table(
        "Alerts firing",
        "Alerts of unitcost's rules that fire now, the most severe first: those about the chosen customers and those"
        " about the whole company.",
        [Query(_or_none(ranked, "alertname"))],
        transformations=_columns(columns | {"owner": "Owner"}),
        overrides=[
            hidden("tenant"),
            SEVERITY,
            override(CUSTOMER, links=[tenant_link()], noValue="-"),
            override("Plan", noValue="-", **wide(100)),
            override("Source", noValue="-", **wide(100)),
            override("Owner", noValue="-", **wide(110)),
        ],
        sort_by="Severity",
        paginate=True,
        unknown=NO_RULES,
    )


def _or_none(alerts: str, label: str) -> str:
    """Return alerts, or that there are none; only where our rules run does the absence of alerts say anything."""
    return otherwise(alerts, select(r.PLATFORM_TOTAL), label, "none is firing")


def _firing(severity: str) -> str:
    """Select alerts about the chosen customers, and those that have no customer."""
    chosen = matches("$tenant|")
    return select(e.ALERTS, alertname=matches("Unitcost.*"), alertstate="firing", severity=severity, tenant=chosen)


def _columns(headers: Mapping[str, str]) -> list[Json]:
    """Return the steps that leave these columns of a table, in this order and under these headers, and the tenant."""
    order = [*headers, "tenant"]
    return [
        {"id": "filterFieldsByName", "options": {"include": {"names": order}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "includeByName": {},
                "indexByName": {name: place for place, name in enumerate(order)},
                "renameByName": dict(headers),
            },
        },
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
    columns = {"name": CUSTOMER, "plan": "Plan", "component": "Component", "Value #A": change, "Value #B": later}
    return table(
        title,
        description,
        [
            Query(otherwise(with_plan(changed, names=True), known, "name", "no such change")),
            Query(with_plan(f"({current} and on (tenant, component) {changed})", names=True)),
        ],
        transformations=[{"id": "merge", "options": {}}, *_columns(columns), *map(_reckon, reckoned)],
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
