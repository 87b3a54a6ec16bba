"""The part of the page about budgets that tells what changed."""

from __future__ import annotations

from dashboards.cells import MONEY, wide
from dashboards.grafana import Row, column, row, section, table_height
from dashboards.pages.alerts import columns
from dashboards.pages.parts import AI_PAGE, EFFICIENCY_PAGE, changes_of, components
from dashboards.panels import Panel, Query, Unknown, hidden, override, table, timeseries
from dashboards.queries import BEFORE, PERIOD, TENANT, either, info, now, of_tenants
from dashboards.style import Settings, dashed_line
from dashboards.tables import CUSTOMER, NAME_WIDTH, Figure, by_tenant, calculation, joined, tenant_link
from dashboards.words import NO_COSTS, NO_EARLIER
from rules.promql import matches
from unitcost.days import DAY
from unitcost.metrics import catalogue as c

BY_TENANT, BY_COMPONENT = ("tenant",), ("component",)
PAIRS = 17
UNCHANGED = Unknown("no such change", "Nothing earlier is known to compare with, or there was no such change.")
WEEK_BEFORE = "a week before"


def changes(settings: Settings) -> list[Row]:
    """Return the rows of what changed: within the period, and from day to day."""
    whole, above = table_height(PAIRS), table_height(8)
    right = column((above, _components(settings)), (whole - above, _customers(settings)))
    return [
        section("What changed: the period against the one before"),
        row(whole, (13, _pairs(settings)), (11, right)),
        section("What changed: from day to day"),
        row(10, (24, _days(settings))),
    ]


def _pairs(settings: Settings) -> Panel:
    """Return the pairs of a customer and a component whose cost changed most, the largest rise first.

    Half the difference of two figures is their standard deviation, which finds the largest changes with one read of
    both; it is 0 where only one is known.
    """
    by = ("tenant", "component")
    both = now(c.TENANT_COST, (*by, "window"), tenant=TENANT, window=matches(f"{PERIOD}|{BEFORE}"))
    changed = f"topk({PAIRS}, stddev by (tenant, component) ({both}) > 0.0025)"

    def cost(window: str) -> str:
        return f"{now(c.TENANT_COST, by, tenant=TENANT, window=window)} and {changed}"

    earlier, later = f"Before {settings.sign}", f"Now {settings.sign}"
    reckoned = changes_of(settings.sign, earlier, later)
    headers = {"name": CUSTOMER, "component": "Component", "Value #A": earlier, "Value #B": later}
    return table(
        "Whose cost changed most, and in what",
        f"The {PAIRS} pairs of a chosen customer and a component whose cost differs most from that of the period"
        " before, the largest rise first.",
        [Query(cost(BEFORE)), Query(cost(PERIOD)), Query(info("name", tenant=TENANT))],
        transformations=[
            {"id": "merge", "options": {}, "filter": {"id": "byRefId", "options": "/^(?:A|B)$/"}},
            {"id": "joinByField", "options": {"byField": "tenant", "mode": "inner"}},
            *columns(headers),
            *map(calculation, reckoned),
        ],
        overrides=[
            hidden("tenant"),
            override(CUSTOMER, links=[tenant_link()], custom__minWidth=NAME_WIDTH),
            override("Component", links=[EFFICIENCY_PAGE, AI_PAGE], **wide(90)),
            *(override(header, **MONEY | wide(80)) for header in (earlier, later)),
            *(override(said.header, **said.cell) for said in reckoned),
        ],
        sort_by=reckoned[0].header,
        unknown=UNCHANGED,
    )


def _components(settings: Settings) -> Panel:
    sign = settings.sign
    earlier, later = f"Before {sign}", f"Now {sign}"

    def cost(window: str) -> str:
        return either(lambda costs: costs.now(BY_COMPONENT, window=window))

    return joined(
        "By component",
        "Cost of the chosen customers by component, against that of the period before.",
        "component",
        [Figure(earlier, cost(BEFORE), MONEY | wide(80)), Figure(later, cost(PERIOD), MONEY | wide(80))],
        reckoned=changes_of(sign, earlier, later),
        shown=[("component", "Component")],
        overrides=[override("Component", links=[EFFICIENCY_PAGE, AI_PAGE], custom__minWidth=100)],
        sort_by=f"Change {sign}",
        unknown=NO_COSTS,
    )


def _customers(settings: Settings) -> Panel:
    sign = settings.sign
    earlier, later = f"Before {sign}", f"Now {sign}"
    before = now(c.TENANT_COST, BY_TENANT, tenant=TENANT, window=BEFORE)
    current = now(c.TENANT_COST, BY_TENANT, tenant=TENANT, window=PERIOD)
    return by_tenant(
        "By customer, the largest changes",
        "The seven chosen customers whose cost differs most from that of the period before.",
        [
            Figure(earlier, before, MONEY | wide(80)),
            Figure(later, f"({current} and {before})", MONEY | wide(80)),
        ],
        reckoned=changes_of(sign, earlier, later),
        tenants=before,
        largest=(f"Change {sign}", 7),
        sort_by=f"Change {sign}",
        paginate=False,
        plan=False,
        unknown=NO_EARLIER,
    )


def _days(settings: Settings) -> Panel:
    shown = [
        *((found, "{{component}}") for found in of_tenants(lambda costs: costs.daily(BY_COMPONENT, window=DAY))),
        *((found, WEEK_BEFORE) for found in of_tenants(lambda costs: costs.daily(window=DAY, days_before=7))),
    ]
    return timeseries(
        "Daily cost by component, and that of the week before",
        "Each day's cost of the chosen customers by component. Dashed: their cost of the same weekday a week before,"
        " as days of the week differ. What reaches over it became dearer.",
        [Query(expr, legend) for expr, legend in shown],
        unit=settings.money,
        stacked=True,
        bars=True,
        calcs=("sum", "lastNotNull"),
        legend="right",
        bounds=(0, None),
        overrides=[*components(), dashed_line(WEEK_BEFORE)],
        links=[EFFICIENCY_PAGE],
        unknown=NO_COSTS,
    )
