"""The page about budgets and changes: will the month stay within budget, what changed, and which alerts fire."""

from __future__ import annotations

from dashboards.cells import BUDGET_BAR, CENTS, MONEY, wide
from dashboards.grafana import page as whole_page
from dashboards.grafana import row, table_height
from dashboards.pages.alerts import alert_kinds, alerts
from dashboards.pages.changes import changes
from dashboards.pages.parts import RISE, intro, periods, ratio, tenants
from dashboards.panels import GREY, Json, Panel, Query, Unknown, override, stat, steps, timeseries
from dashboards.queries import TENANT, by_plan, day_end, each_day, now, series
from dashboards.style import (
    BLUE,
    BUDGET_STEPS,
    COST_DELTA_STEPS,
    GREEN,
    MARGIN_STEPS,
    NO_PLAN,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Settings,
)
from dashboards.tables import Figure, Reckoned, by_tenant, joined
from dashboards.words import NO_BUDGET, NO_FORECAST
from rules.promql import over
from unitcost.days import LAST_MONTH, MTD
from unitcost.metrics import catalogue as c

UID = "unitcost-budgets"
BY_TENANT = ("tenant",)
DASHED = {"fill": "dash", "dash": [8, 6]}


def page(settings: Settings) -> Json:
    """Return the page."""
    beside = table_height(8) + 3
    return whole_page(
        UID,
        "Budgets and changes",
        "Will the month stay within budget, what changed, and which alerts fire.",
        [
            row(2, (24, _intro())),
            row(5, *zip((5, 5, 4, 5, 5), _headlines(settings), strict=True)),
            row(beside, (14, alert_kinds(settings, beside)), (10, _plans(settings))),
            row(table_height(7), (24, alerts(settings))),
            row(11, (12, _burn_down(settings)), (12, _forecast(settings))),
            row(table_height(11), (24, _budgets(settings))),
            *changes(settings),
        ],
        variables=[periods(settings), tenants()],
    )


def _intro() -> Panel:
    return intro(
        "Budgets and forecasts are of this calendar month, whatever the period; used is its cost until now."
        " The first three figures and the forecast's graph are of the whole company."
    )


def _budget(by: tuple[str, ...] = BY_TENANT) -> str:
    return now(c.TENANT_BUDGET, by, tenant=TENANT)


def _used_ratio() -> str:
    return now(c.TENANT_BUDGET_USED, BY_TENANT, tenant=TENANT)


def _budgeted_cost() -> str:
    """Return the month's cost until now of the customers that have a budget; their costs are many more series."""
    return f"({_used_ratio()} * {_budget()})"


def _expected() -> str:
    return now(c.TENANT_FORECAST, BY_TENANT, tenant=TENANT, bound="expected")


def _company(bound: str) -> str:
    return now(c.PLATFORM_FORECAST, bound=bound)


def _headlines(settings: Settings) -> list[Panel]:
    expected = _company("expected")
    last_month, mrr = now(c.PLATFORM_COST, window=LAST_MONTH), now(c.TENANT_MRR)
    against = "against last month"
    return [
        _figures(
            settings,
            "Forecast of the month",
            "The whole company's cost of this calendar month: its complete days as they are, every other day like the"
            " average of the last 7. Below: how much more or less that is than last month's cost.",
            {"expected": expected, against: f"{expected} / ({last_month} > 0) - 1"},
            NO_FORECAST,
            override(against, unit="percentunit", decimals=1, thresholds=COST_DELTA_STEPS),
        ),
        _figures(
            settings,
            "The month so far",
            "The whole company's cost from the first of the month to now, and the forecast with the cheapest and with"
            " the dearest 7 days in a row of the last 28 in place of the last 7.",
            {"so far": now(c.PLATFORM_COST, window=MTD), "low": _company("low"), "high": _company("high")},
            NO_FORECAST,
        ),
        _figures(
            settings,
            "Month's margin",
            "(MRR of now - the company's forecast cost of the month) / MRR.",
            {"expected": f"({mrr} - {expected}) / ({mrr} > 0)", "MRR": mrr},
            NO_FORECAST,
            override("expected", unit="percentunit", decimals=1, thresholds=MARGIN_STEPS),
        ),
        _figures(
            settings,
            "Month's budgets",
            "Cost from the first of the month to now of all chosen customers that have a budget, divided by their"
            " budgets; and by how much those that are expected to exceed theirs will, all together.",
            {
                "used": ratio(over("sum", (), _budgeted_cost()), _budget(())),
                "of": _budget(()),
                "over at its end": over("sum", (), f"clamp_min({_expected()} - {_budget()}, 0)"),
            },
            NO_BUDGET,
            override("used", unit="percentunit", decimals=1, thresholds=BUDGET_STEPS),
        ),
        _over(settings),
    ]


def _figures(
    settings: Settings, title: str, description: str, shown: dict[str, str], unknown: Unknown, *overrides: Json
) -> Panel:
    """Return figures of the month, one under the other, by their names; amounts where an override does not say else."""
    return stat(
        title,
        description,
        [Query(expr, name) for name, expr in shown.items()],
        unit=settings.exact,
        decimals=0,
        names=True,
        text_size=(13, 22),
        overrides=overrides,
        unknown=unknown,
    )


def _count(expression: str) -> str:
    """Return for how many series a comparison (with bool) is true; 0 is said too."""
    return over("sum", (), expression)


def _over(settings: Settings) -> Panel:
    used = _used_ratio()
    now_over, almost, then = "over", "90 - 100 %", "over at its end"
    return _figures(
        settings,
        "Over month's budget",
        "How many of the chosen customers have used all of this month's budget or more, how many 90 to 100 % of it, and"
        " how many are expected to cost more in the month than their budget.",
        {
            now_over: _count(f"{used} >= bool 1"),
            almost: _count(f"({used} >= bool 0.9) * ({used} < bool 1)"),
            then: _count(f"{_expected()} > bool {_budget()}"),
        },
        NO_BUDGET,
        override(now_over, unit="locale", thresholds=steps((None, GREEN), (1, RED))),
        override(almost, unit="locale", thresholds=steps((None, "text"), (1, YELLOW))),
        override(then, unit="locale", thresholds=steps((None, GREEN), (1, ORANGE))),
    )


def _burn_down(settings: Settings) -> Panel:
    used, each = (series(metric, None, tenant=TENANT) for metric in (c.TENANT_BUDGET_USED, c.TENANT_BUDGET))
    cost = each_day(lambda part, whole: f"max(sum without(tenant)({part} * {whole}))", used, each, ahead=0)
    budget = day_end(c.TENANT_BUDGET, tenant=TENANT)
    return timeseries(
        "Budgets through the month",
        "At each day's end, and now: what the chosen customers that have a budget cost since the first of the month,"
        " beside their budgets and the even pace, which spends the same every day and reaches the budget on the"
        " month's last day. What lies over the pace is early; what lies over the budget is too much.",
        [
            Query(cost, "used"),
            Query(f"{budget} * scalar({PACE})", "even pace"),
            Query(budget, "budget"),
        ],
        unit=settings.money,
        calcs=("lastNotNull",),
        bounds=(0, None),
        overrides=[
            override("used", fixed_color=BLUE, custom__fillOpacity=35, custom__lineWidth=2),
            override("even pace", fixed_color=GREY, custom__lineStyle=DASHED, custom__lineWidth=2),
            override("budget", fixed_color=RED, custom__lineWidth=2),
        ],
        unknown=NO_BUDGET,
    )


PACE = "day_of_month() / days_in_month()"
"""The part of its month that is over at the end of the day whose midnight a point stands on."""


def _forecast(settings: Settings) -> Panel:
    def bound(name: str) -> str:
        return day_end(c.PLATFORM_FORECAST, bound=name)

    return timeseries(
        "The month's forecast, as it was day by day",
        "What the whole company's calendar month was expected to cost at each day's end, between its low and high"
        " bound, and what it had cost by then. The band narrows to the month's cost on its last day.",
        [
            Query(bound("high"), "high"),
            Query(bound("low"), "low"),
            Query(bound("expected"), "expected"),
            Query(day_end(c.PLATFORM_COST, window=MTD), "so far"),
        ],
        unit=settings.money,
        calcs=("lastNotNull",),
        bounds=(0, None),
        overrides=[
            override(
                "high", fixed_color=PURPLE, custom__fillBelowTo="low", custom__fillOpacity=25, custom__lineWidth=0
            ),
            override("low", fixed_color=PURPLE, custom__lineWidth=0),
            override("expected", fixed_color=PURPLE, custom__lineWidth=2),
            override("so far", fixed_color=BLUE, custom__lineWidth=2),
        ],
        unknown=NO_FORECAST,
    )


def _plans(settings: Settings) -> Panel:
    budget, used = f"Budget {settings.sign}", f"Used {settings.sign}"
    return joined(
        "Budgets of the month, by plan",
        "Cost from the first of the month to now of each plan's chosen customers that have a budget, and their"
        " budgets; the bar is full at 100 %.",
        "plan",
        [
            Figure(budget, by_plan(_budget()), MONEY | wide(80)),
            Figure(used, by_plan(_budgeted_cost()), MONEY | wide(75)),
        ],
        reckoned=[Reckoned("Used %", used, "/", budget, BUDGET_BAR)],
        shown=[("plan", "Plan")],
        overrides=[override("Plan", mappings=NO_PLAN, **wide(90))],
        sort_by="Used %",
        unknown=NO_BUDGET,
    )


def _budgets(settings: Settings) -> Panel:
    sign = settings.sign
    budget, used, forecast = f"Budget {sign}", f"Used {sign}", f"Forecast {sign}"
    return by_tenant(
        "Budgets of this month, by customer",
        "Every chosen customer that has a budget. Used: cost from the first of the month to now. Forecast: the whole"
        " month, as expected. Over: by how many dollars the forecast exceeds the budget (below 0 it stays within)."
        " Click a header to sort, a name for the customer's page.",
        [
            Figure(budget, _budget(), CENTS | wide(115)),
            Figure("Used %", _used_ratio(), BUDGET_BAR),
            Figure(forecast, f"({_expected()} and {_budget()})", CENTS | wide(125)),
        ],
        reckoned=[
            Reckoned(used, "Used %", "*", budget, CENTS | wide(115)),
            Reckoned("Forecast %", forecast, "/", budget, BUDGET_BAR),
            Reckoned(f"Over {sign}", forecast, "-", budget, RISE | CENTS | wide(115)),
        ],
        order=("Customer", "Plan", budget, used, "Used %", forecast, "Forecast %", f"Over {sign}"),
        tenants=_budget(),
        sort_by=f"Over {sign}",
        unknown=NO_BUDGET,
    )
