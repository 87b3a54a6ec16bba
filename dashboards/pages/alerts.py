"""The part of the page about budgets that tells which alerts fire, since when, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from dashboards.cells import COUNT, Cell, wide
from dashboards.grafana import Column, column
from dashboards.panels import Json, Panel, Query, hidden, link, override, stat, table, values_as
from dashboards.queries import otherwise
from dashboards.style import BLUE, ORANGE, RED, Settings
from dashboards.tables import CUSTOMER, tenant_link
from dashboards.words import NO_RULES
from rules.promql import Match, copied, matches, other_than, over, select
from unitcost.metrics import external as e
from unitcost.metrics import recorded as r

CHOSEN = matches("$tenant|")
"""The chosen customers, and alerts that have no customer."""
INFO = "info"
NOT_INFO = other_than(INFO)
NONE = "no warning or worse"
ABOUT, TO_DO, SINCE = "Plan or source", "What to do", "Since"
"""Labels and headers of columns that the queries make."""

SEVERITY = override(
    "Severity",
    mappings=values_as({"critical": ("critical", RED), "warning": ("warning", ORANGE), INFO: (INFO, BLUE)}),
    custom__cellOptions={"type": "color-text"},
    custom__align="left",
    **wide(80),
)


def alert_kinds(settings: Settings, height: int) -> Column:
    """Return how many alerts of each kind fire; those of severity info are only counted."""
    below = 3
    return column((height - below, _kinds(settings)), (below, _info()))


def _kinds(settings: Settings) -> Panel:
    return table(
        "Alerts firing, by kind",
        "How many alerts of unitcost's rules fire now about the chosen customers and about the whole company; those"
        " of severity info are counted below.",
        [Query(_or_none(over("count", ("severity", "alertname"), _firing(NOT_INFO)), "alertname"))],
        transformations=columns({"severity": "Severity", "alertname": "Alert", "Value": "Firing"}),
        overrides=[SEVERITY, _in_words(settings), override("Firing", **COUNT | wide(70))],
        sort_by="Severity",
        descending=False,
        unknown=NO_RULES,
    )


def _info() -> Panel:
    firing = over("count", (), _firing(INFO))
    return stat(
        "For information",
        "How many alerts of severity info fire now: nobody is told of them, and nothing has to be done. They are in"
        " Alertmanager, and in Prometheus under Alerts.",
        [Query(f"({firing} or 0 * group({_known()}))", INFO)],
        unit="none",
        decimals=0,
        text_size=(None, 24),
        unknown=NO_RULES,
    )


def alerts(settings: Settings) -> Panel:
    """Return the table of alerts, except those of severity info.

    ALERTS knows which fire, ALERTS_FOR_STATE since when their conditions hold. Neither has the rules' sentences, so an
    alert is told in the few words that its rule has for lists.
    """
    kept = ("severity", "alertname", "tenant", "name", "plan", "source", "window", "cluster", "scope")
    since = select(e.ALERTS_FOR_STATE, alertname=matches("Unitcost.*"), severity=NOT_INFO, tenant=CHOSEN)
    firing = select(e.ALERTS, alertstate="firing")
    found = over("min", kept, f"1000 * {since} and ignoring (alertstate) {firing}")  # Grafana's times are milliseconds
    # A customer that the directory does not know has no name.
    found = copied(found, "who", "tenant")
    found = copied(found, "who", "name")
    found = f'label_join({found}, "about", " ", "plan", "window", "source", "scope", "cluster")'
    found = f'label_replace({found}, "about", "$1", "about", " *(.*?) *")'
    runbooks = settings.runbooks
    shown = "$1" if runbooks.can_be_opened else "$1.md"
    found = f'label_replace({found}, "runbook", "{shown}", "alertname", "(.+?)[0-9]*")'  # one for all levels of budgets
    page = link("What to do", runbooks.address('${__data.fields["runbook"]:percentencode}'))
    opened: Cell = {"links": [page]} if runbooks.can_be_opened else {}
    headers = {"severity": "Severity", "alertname": "Alert", "who": CUSTOMER, "about": ABOUT, "Value": SINCE}
    return table(
        "Alerts firing",
        "Alerts of unitcost's rules that fire now about the chosen customers and about the whole company, since when"
        " (UTC) their condition holds, and the page that says what it means and what to do. Alerts that Grafana"
        " evaluates itself are in its own list.",
        [Query(_or_none(found, "alertname"))],
        transformations=columns(headers | {"runbook": TO_DO}),
        overrides=[
            hidden("tenant"),
            SEVERITY,
            _in_words(settings),
            override(CUSTOMER, links=[tenant_link()], noValue="-", **wide(150)),
            override(ABOUT, noValue="-", **wide(140)),
            override(SINCE, unit="time:D MMM HH:mm", mappings=values_as({"0": "-"}), custom__align="left", **wide(105)),
            override(TO_DO, noValue="-", **opened | wide(265)),
        ],
        sort_by="Severity",
        descending=False,
        paginate=True,
        unknown=NO_RULES,
    )


def _firing(severity: str | Match) -> str:
    return select(e.ALERTS, alertname=matches("Unitcost.*"), alertstate="firing", severity=severity, tenant=CHOSEN)


def _known() -> str:
    """Return what is there where Prometheus evaluates our alerts: only there their absence says anything."""
    return select(r.ALERT_RULES)


def _or_none(alerts: str, label: str) -> str:
    return otherwise(alerts, _known(), label, NONE)


def _in_words(settings: Settings) -> Json:
    """Return the override that tells an alert by its rule's words for it."""
    words = {name: f"{meaning[0].upper()}{meaning[1:]}" for name, meaning in settings.alerts.items()}
    return override("Alert", mappings=values_as(words), custom__minWidth=390)


def columns(headers: Mapping[str, str]) -> list[Json]:
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
