"""Events on the graphs of days: what changed, drawn by Grafana on the day that it is about.

Prometheus holds an event as a series whose value is the day (Unix time); an annotation of Grafana takes that value, in
milliseconds, for its time. It is asked for at every step of the range and says the same at each, so that it is one
mark: `@` fixes the moment that is read. That is what was said last until a day after the end of the range, as the
graphs look ahead too; of what has come, the last hour. Backfilled samples stand in the morning of their day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.panels import DAILY, Json
from dashboards.queries import TENANT
from dashboards.style import BLUE, GREEN, ORANGE, PURPLE, RED
from rules.promql import matches, one_of, over, select
from unitcost.metrics.catalogue import EVENT
from unitcost.metrics.catalogue_exporter import SOURCE_UP

END = "${__to:date:seconds}"
"""The range's end, written into the query: Grafana asks for steps of a day from midnight to midnight."""

IDENTITY = ("kind", "day", "tenant", "dimension")
"""What tells two events apart: replicas, a backfill, and texts of before and after a restatement are the same one."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on graphs, with a switch at the top of the page. text: of a mark, with {{labels}}.

    step: between the points that are asked for; marks no farther apart become one region. timed: whether a value is the
    mark's time, in milliseconds; else there is a mark wherever it is above 0.
    """

    name: str
    color: str
    expr: str
    text: str
    step: str = DAILY
    timed: bool = True


def marks(*, of_customers: bool) -> Sequence[Annotation]:
    """Return the annotations of a page with graphs of days. of_customers: whether the page chooses some ($tenant)."""
    return [
        _events("Price and plan changes", BLUE, "subscription_changed", of_customers=of_customers),
        _events("Customers that came or left", GREEN, "tenant_new", "tenant_gone", of_customers=of_customers),
        _events("Restated days", ORANGE, "day_restated"),
        _events("New values of dimensions", PURPLE, "value_new"),
        Annotation(
            "Sources down",
            RED,
            f"1 - {over('min', ('source',), f'min_over_time({select(SOURCE_UP)}[$__interval])')}",
            "{{source}}: its refresh did not bring all that was asked for; its last good data stayed in use",
            step="15m",
            timed=False,
        ),
    ]


def _events(name: str, color: str, *kinds: str, of_customers: bool = False) -> Annotation:
    """Return the events of the company; of_customers: of the chosen ones instead, but where All is chosen.

    All is the regular expression .*: instance!~".*" leaves no series, and only .* matches the dimension that events of
    customers do not have.
    """
    kind = matches("|".join(kinds))
    company = select(EVENT, kind=kind, tenant="")
    selectors = [company]
    if of_customers:
        chosen = select(EVENT, kind=kind, tenant=TENANT)
        selectors = [f'{chosen[:-1]},instance!~"$tenant"}}', f'{company[:-1]},dimension=~"$tenant"}}']
    told = " or ".join(f"last_over_time({selector}[25h] @ {END} offset -1d)" for selector in selectors)
    return Annotation(name, color, f"1000 * {one_of(IDENTITY, told)}", "{{text}}")


def as_json(said: Annotation, datasource: Json, panels: Sequence[int]) -> Json:
    """Return an annotation as Grafana writes it, for these panels (ids) only.

    The query stands there twice: Grafana 11 reads `expr` and `step`, later ones `target`.
    """
    return {
        "datasource": datasource,
        "enable": True,
        "expr": said.expr,
        "filter": {"exclude": False, "ids": list(panels)},
        "hide": False,
        "iconColor": said.color,
        "name": said.name,
        "step": said.step,
        "target": {
            "datasource": datasource,
            "editorMode": "code",
            "expr": said.expr,
            "instant": False,
            "interval": said.step,
            "range": True,
            "refId": "Anno",
        },
        "textFormat": said.text,
        "useValueForTime": said.timed,
    }
