"""Pages as a current Grafana writes them itself; the only module that imports grafanalib.

A page is `page(uid, title, description, rows, ...)` with rows made of
- `section(title)`: a heading over the rows below it,
- `row(height, (width, panel), (width, panel), ...)`: panels side by side; widths sum to 24 at most. In place of a
  panel, `column((height, panel), ...)` stacks several; their heights sum to the row's.
Places and ids follow from that order, so nothing overlaps and a panel keeps its id until something is put before it.
Heights are in Grafana's rows of 38 px, widths in its 24 columns. A table of n rows needs 36 px for each, for its head
and for its title: `table_height(n)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from dashboards.annotations import as_json, marks
from dashboards.origin import origin
from dashboards.panels import DAILY, Json, Panel

SCHEMA_VERSION = 42  # what Grafana 12 writes: it has nothing to migrate when it loads the page
WRITTEN_FOR = "12.4.0"  # so a panel has nothing to migrate either
OF_NOW = "1h"  # whatever the page's range, figures are of now; an absolute range alone, such as a zoom, is followed
TAG = "unitcost"
COLUMNS = 24
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Column:
    """Panels one under the other: (height, panel) each."""

    cells: tuple[tuple[int, Panel], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side: (width, panel or column) each."""

    height: int
    cells: tuple[tuple[int, Panel | Column], ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A drop-down of the page, filled by the data source. query: a `label_values(...)` or `query_result(...)`.

    all_regex: what its "All" stands for. regex: which of what is found are choices, or what of them in groups named
    text and value. descending: the last one in the alphabet comes first.
    """

    name: str
    label: str
    query: str
    multi: bool = False
    all_regex: str | None = None
    regex: str = ""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A drop-down of fixed choices: (value, text) each, the first one preselected."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]


def row(height: int, *cells: tuple[int, Panel | Column]) -> Row:
    """Return panels side by side. Raises ValueError when they do not fit the page, or a column not the row."""
    if sum(width for width, _ in cells) > COLUMNS:
        raise ValueError(f"the panels of a row are {sum(width for width, _ in cells)} wide, more than {COLUMNS}")
    for _, cell in cells:
        if isinstance(cell, Column) and sum(tall for tall, _ in cell.cells) != height:
            raise ValueError(f"a column is {sum(tall for tall, _ in cell.cells)} high in a row of {height}")
    return Row(height, cells)


def column(*cells: tuple[int, Panel]) -> Column:
    """Return panels one under the other."""
    return Column(cells)


def section(title: str) -> Row:
    """Return a heading over the rows that follow."""
    return Row(1, ((COLUMNS, Panel("row", title)),))


def table_height(rows: int) -> int:
    """Return how high a table's panel must be to show that many rows."""
    return -(-(36 * (rows + 2) + 8) // 38)


def page(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    variables: Sequence[Variable | Choice] = (),
    time_from: str = "now-90d",
    refresh: str = "5m",
) -> Json:
    """Return a whole page as Grafana's JSON. time_from: the start of its default time range, which ends now.

    Graphs of days show what happened (`annotations.py`): to the chosen customers where the page has a $tenant.
    """
    board = core.Dashboard(
        title=title,
        uid=uid,
        description=description,
        tags=[TAG],
        timezone="utc",
        editable=False,
        refresh=refresh,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        schemaVersion=SCHEMA_VERSION,
        time=core.Time(time_from, "now"),
        links=[_menu()],
        templating=core.Templating([_datasource_variable(), *map(_variable, variables)]),
        panels=_placed(rows),
    )
    plain: Json = json.loads(json.dumps(board.to_json_data(), cls=DashboardEncoder))
    made = _modern(plain)
    days = [panel["id"] for panel in made["panels"] if (panel["type"], panel.get("interval")) == ("timeseries", DAILY)]
    of_customers = any(variable.name == "tenant" for variable in variables)
    if days:
        made["annotations"]["list"] = [as_json(said, DATASOURCE, days) for said in marks(of_customers=of_customers)]
    return made


def _menu() -> Any:
    """Return the menu of all our pages; the time range and the chosen customers go along."""
    return core.DashboardLink(title="Unitcost pages", tags=[TAG], asDropdown=True, keepTime=True, includeVars=True)


def _datasource_variable() -> Any:
    """Return the choice of the Prometheus every panel asks."""
    return core.Template(name="datasource", label="Data source", type="datasource", query="prometheus", sort=0)


def _variable(said: Variable | Choice) -> Any:
    """Return a drop-down; one of the data source's is filled whenever the page loads or its time range changes."""
    if isinstance(said, Choice):
        query = ",".join(f"{text} : {value}" for value, text in said.options)
        return core.Template(name=said.name, label=said.label, query=query, type="custom")
    return core.Template(
        name=said.name,
        label=said.label,
        query=said.query,
        dataSource=DATASOURCE,
        multi=said.multi,
        includeAll=said.all_regex is not None,
        allValue=said.all_regex,
        regex=said.regex,
        refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
        sort=core.SORT_ALPHA_IGNORE_CASE_DESC if said.descending else core.SORT_ALPHA_IGNORE_CASE_ASC,
    )


def _placed(rows: Sequence[Row]) -> list[Any]:
    """Give every panel its place and, in reading order, its id."""
    placed: list[Any] = []
    top = 0
    for line in rows:
        left = 0
        for width, cell in line.cells:
            below = top
            for height, panel in cell.cells if isinstance(cell, Column) else ((line.height, cell),):
                placed.append(_made(panel, len(placed) + 1, core.GridPos(h=height, w=width, x=left, y=below)))
                below += height
            left += width
        top += line.height
    return placed


_KINDS = {
    "timeseries": core.TimeSeries,
    "stat": core.Stat,
    "bargauge": core.BarGauge,
    "table": core.Table,
    "text": core.Text,
    "row": core.RowPanel,
}


def _made(panel: Panel, number: int, place: Any) -> Any:
    """Return grafanalib's panel; its options and fields, older than ours, are replaced in `_modern_panel`."""
    ours: Json = {"options": panel.options, "pluginVersion": WRITTEN_FOR}
    if panel.of_now:
        ours["hideTimeOverride"] = True
    if panel.fields is not None:
        ours["fieldConfig"] = {"defaults": panel.fields, "overrides": list(panel.overrides)}
    return _KINDS[panel.kind](
        id=number,
        gridPos=place,
        title=panel.title,
        description=_described(panel),
        dataSource=DATASOURCE if panel.queries else None,
        targets=_targets(panel),
        transformations=list(panel.transformations),
        interval=panel.interval,
        timeFrom=OF_NOW if panel.of_now else panel.time_from,
        transparent=panel.transparent,
        extraJson={"ours": ours},
    )


def _described(panel: Panel) -> str | None:
    """Return the description, with the metrics that the panel shows."""
    if panel.description is None:
        return None
    return f"{panel.description} {origin(query.expr for query in panel.queries)}".strip()


def _targets(panel: Panel) -> list[Any]:
    """Return the queries under refIds A, B, ...: a table's as instant tables."""
    return [
        core.Target(
            expr=query.expr,
            legendFormat=query.legend or ("" if panel.as_table else "__auto"),
            refId=letter,
            instant=query.instant or panel.as_table,
            format="table" if panel.as_table else "time_series",
            datasource=DATASOURCE,
        )
        for letter, query in zip(ascii_uppercase, panel.queries, strict=False)
    ]


# What Grafana 12 itself writes. grafanalib says more, for versions long gone: some of it harms (intervalFactor 2
# doubles the step and halves a legend's total), the rest would be migrated or ignored at load.
_PAGE_KEYS = (
    *("annotations", "description", "editable", "fiscalYearStartMonth", "graphTooltip", "links", "panels", "refresh"),
    *("schemaVersion", "tags", "templating", "time", "timepicker", "timezone", "title", "uid", "version"),
)
_PANEL_KEYS = (
    *("collapsed", "datasource", "description", "gridPos", "id", "interval", "panels", "targets", "timeFrom", "title"),
    *("transformations", "transparent", "type"),
)
_TARGET_KEYS = ("datasource", "expr", "format", "instant", "legendFormat", "refId")
_VARIABLE_KEYS = (
    *("allValue", "datasource", "hide", "includeAll", "label", "multi", "name", "options", "query", "refresh"),
    *("regex", "sort", "type"),
)


def _modern(board: Json) -> Json:
    """Keep what a current Grafana writes, in one order of keys."""
    board["panels"] = [_modern_panel(panel) for panel in board["panels"]]
    board["templating"]["list"] = [_modern_variable(variable) for variable in board["templating"]["list"]]
    board["timepicker"] = {}
    board["fiscalYearStartMonth"] = 0
    return {key: board[key] for key in _PAGE_KEYS}


def _modern_panel(panel: Json) -> Json:
    """Return a panel with our options and field configuration in place of grafanalib's."""
    kept = _chosen(panel, _PANEL_KEYS)
    if panel["type"] == "row":
        return _chosen(kept, ("collapsed", "gridPos", "id", "panels", "title", "type"))
    kept |= panel["ours"]
    kept["targets"] = [_modern_target(target) for target in panel["targets"]]
    for key in ("targets", "transformations", "transparent"):
        if not kept[key]:
            del kept[key]
    return dict(sorted(kept.items()))


def _modern_target(target: Json) -> Json:
    """Return a query in the words of the Prometheus data source; `range` is what `instant` is not."""
    said = _chosen(target, _TARGET_KEYS) | {"editorMode": "code", "range": not target["instant"]}
    return dict(sorted(said.items()))


def _modern_variable(variable: Json) -> Json:
    """Return a variable; its current value is left to Grafana, but where the choices are fixed: the first one."""
    keys = [key for key in _VARIABLE_KEYS if not (key == "datasource" and variable["type"] == "datasource")]
    current: Json = {}
    options: list[Json] = []
    if variable["type"] == "custom":
        keys = [key for key in keys if key not in {"datasource", "refresh", "regex", "sort"}]
        for place, (text, value) in enumerate(entry.split(" : ") for entry in variable["query"].split(",")):
            options.append({"selected": place == 0, "text": text, "value": value})
        current = options[0]
    return dict(sorted((_chosen(variable, keys) | {"current": current, "options": options}).items()))


def _chosen(given: Mapping[str, Any], keys: Sequence[str]) -> Json:
    """Return the values of these keys that say something."""
    return {key: given[key] for key in keys if given.get(key) is not None}
