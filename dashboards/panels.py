"""Panels in the terms of a current Grafana: graphs, figures, bars, tables and texts, and what their fields look like.

Each takes `Query` objects and a description, and what it says where nothing is known. Colours, units and links of one
series or column: `override(...)`. grafana.py gives panels their place on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]

DAILY = "1d"
"""The least step of a graph of daily figures: with the time zone utc, a day's point is on its UTC midnight."""


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL query of a panel. legend: the series' name, {{label}} filled in.

    instant: only its value at the range's end is asked for; tables do so always.
    """

    expr: str
    legend: str = ""
    instant: bool = False


class Unknown(NamedTuple):
    """What a panel says where nothing is known: in a word, which fits a figure, and in a sentence."""

    word: str
    why: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel without its place. kind: Grafana's name of its type. fields: the defaults of its fields.

    as_table: the queries' answers are tables with a column per label, not series. interval: the least step.
    time_from: a time range of its own, such as 24h, which ends where the page's does.
    """

    kind: Literal["timeseries", "stat", "bargauge", "table", "text", "row"]
    title: str
    description: str | None = None
    queries: tuple[Query, ...] = ()
    fields: Json | None = None
    options: Json | None = None
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    interval: str | None = None
    time_from: str | None = None
    transparent: bool = False
    as_table: bool = False

    @property
    def of_now(self) -> bool:
        """Whether it shows figures of one moment, which is now and not the end of the page's time range."""
        return bool(self.queries) and (self.as_table or all(query.instant for query in self.queries))


def steps(*given: tuple[float | None, str]) -> list[Json]:
    """Return threshold steps: (from this value on, colour); the first value is None, for everything below."""
    return [{"value": value, "color": colour} for value, colour in given]


def override(field: str, *, regex: bool = False, **properties: Any) -> Json:
    """Return an override of one series or column, by its name or a regular expression over names.

    Properties are those of a field's configuration; `custom__x` says custom.x, `fixed_color` a colour that stays.
    """
    found: list[Json] = []
    for key, value in properties.items():
        if key == "fixed_color":
            found.append({"id": "color", "value": {"mode": "fixed", "fixedColor": value}})
        elif key == "thresholds":
            found.append({"id": key, "value": {"mode": "absolute", "steps": value}})
        else:
            found.append({"id": key.replace("__", "."), "value": value})
    return {"matcher": {"id": "byRegexp" if regex else "byName", "options": field}, "properties": found}


def hidden(field: str) -> Json:
    """Return an override that keeps a column out of sight but within reach of links."""
    return override(field, custom__hideFrom=OUT_OF_SIGHT)


OUT_OF_SIGHT: Json = {"legend": False, "tooltip": False, "viz": True}


def link(title: str, url: str) -> Json:
    """Return a data link; the url may use ${__url_time_range}, and others as ${name:percentencode}.

    Without it Grafana leaves &, + and # as they are, and the page of `R&D Labs` opens `R`.
    """
    return {"title": title, "url": url, "targetBlank": False}


def values_as(texts: Mapping[str, str | tuple[str, str]]) -> list[Json]:
    """Return a mapping of values to other texts, or (text, colour)."""
    options = {}
    for position, (value, shown) in enumerate(texts.items()):
        text, colour = (shown, None) if isinstance(shown, str) else shown
        options[value] = {"text": text, "index": position} | ({"color": colour} if colour else {})
    return [{"type": "value", "options": options}]


def _field_config(
    *,
    unit: str,
    decimals: int | None,
    bounds: tuple[float | None, float | None],
    thresholds: Sequence[Json],
    mappings: Sequence[Json],
    color: Json,
    no_value: str | None,
    custom: Json,
    links: Sequence[Json] = (),
) -> Json:
    """Return the defaults of a panel's fields; what is None stays unsaid."""
    said: Json = {
        "unit": unit,
        "decimals": decimals,
        "min": bounds[0],
        "max": bounds[1],
        "thresholds": {"mode": "absolute", "steps": list(thresholds)},
        "mappings": list(mappings),
        "color": color,
        "noValue": no_value,
        "custom": custom,
        "links": list(links),
    }
    return {key: value for key, value in said.items() if value is not None}


GREY = "#8E8E8E"
NO_THRESHOLDS = steps((None, "text"))


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    decimals: int | None = None,
    stacked: bool = False,
    bars: bool = False,
    fill: int | None = None,
    legend: Literal["bottom", "right", "hidden"] = "bottom",
    calcs: Sequence[str] = (),
    bounds: tuple[float | None, float | None] = (None, None),
    thresholds: Sequence[Json] = NO_THRESHOLDS,
    threshold_lines: bool = False,
    overrides: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
    links: Sequence[Json] = (),
    unknown: Unknown | None = None,
    interval: str = DAILY,
    time_from: str | None = None,
) -> Panel:
    """Return a graph. calcs: columns of a legend table (sum, lastNotNull, max, ...), a plain list without them.

    interval: the least step; daily figures keep the default.
    """
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 0 if bars else 1,
        "fillOpacity": fill if fill is not None else (80 if bars else 45 if stacked else 0),
        "showPoints": "auto",
        "pointSize": 5,
        "lineInterpolation": "linear",
        "gradientMode": "none",
        "spanNulls": False,
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisCenteredZero": False,
        "barAlignment": 0,
        "barWidthFactor": 0.8,
        "insertNulls": False,
        "scaleDistribution": {"type": "linear"},
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if threshold_lines else "off"},
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
    }
    shown = legend != "hidden"
    legend_options: Json = {
        "showLegend": shown,
        "displayMode": "table" if calcs else "list",
        "placement": legend if shown else "bottom",
        "calcs": list(calcs),
    }
    return Panel(
        "timeseries",
        title,
        description,
        tuple(queries),
        _field_config(
            unit=unit,
            decimals=decimals,
            bounds=bounds,
            thresholds=thresholds,
            mappings=(),
            color={"mode": "palette-classic"},
            no_value=unknown.why if unknown else None,
            custom=custom,
            links=links,
        ),
        {"legend": legend_options, "tooltip": {"mode": "multi", "sort": "desc" if not stacked else "none"}},
        overrides=tuple(overrides),
        transformations=tuple(transformations),
        interval=interval,
        time_from=time_from,
    )


def stat(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    decimals: int | None = None,
    thresholds: Sequence[Json] = NO_THRESHOLDS,
    mappings: Sequence[Json] = (),
    names: bool = False,
    name_only: bool = False,
    text_size: tuple[int | None, int | None] = (None, None),
    overrides: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
    links: Sequence[Json] = (),
    unknown: Unknown | None = None,
) -> Panel:
    """Return large figures over instant queries. names: beside each figure its legend; name_only: in its place.

    text_size: pixels of (name, figure), None to fit the panel.
    """
    options: Json = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "horizontal",
        "textMode": "name" if name_only else "value_and_name" if names else "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    if any(text_size):
        options["text"] = _sizes(text_size)
    return Panel(
        "stat",
        title,
        _explained(description, unknown),
        _instant(queries),
        _field_config(
            unit=unit,
            decimals=decimals,
            bounds=(None, None),
            thresholds=thresholds,
            mappings=[*mappings, *_in_grey(unknown, len(mappings))],
            color={"mode": "thresholds"},
            no_value=unknown.word if unknown else None,
            custom={},
            links=links,
        ),
        options,
        overrides=tuple(overrides),
        transformations=tuple(transformations),
    )


def _instant(queries: Sequence[Query]) -> tuple[Query, ...]:
    """Return queries that ask for one moment: what is shown are figures of now."""
    return tuple(replace(query, instant=True) for query in queries)


def _explained(description: str, unknown: Unknown | None) -> str:
    """Return a description that also tells what the word means that stands where a figure is not known."""
    return f"{description} {unknown.word.capitalize()}: {unknown.why}" if unknown else description


def _in_grey(unknown: Unknown | None, position: int = 0) -> list[Json]:
    """Return the mapping that keeps what is unknown from the colour of the first threshold."""
    if unknown is None:
        return []
    result = {"text": unknown.word, "color": GREY, "index": position}
    return [{"type": "special", "options": {"match": "null+nan", "result": result}}]


def _sizes(text_size: tuple[int | None, int | None]) -> Json:
    """Return the sizes of names and figures in pixels; one left out fits the panel."""
    return {key: size for key, size in zip(("titleSize", "valueSize"), text_size, strict=True) if size is not None}


def bar_gauge(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    bounds: tuple[float | None, float | None],
    decimals: int | None = None,
    thresholds: Sequence[Json] = NO_THRESHOLDS,
    fixed_color: str | None = None,
    text_size: tuple[int | None, int | None] = (13, 18),
    overrides: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
    links: Sequence[Json] = (),
    unknown: Unknown | None = None,
) -> Panel:
    """Return horizontal bars over instant queries. bounds: where one is empty and full; without a max every bar is."""
    color: Json = {"mode": "fixed", "fixedColor": fixed_color} if fixed_color else {"mode": "thresholds"}
    return Panel(
        "bargauge",
        title,
        _explained(description, unknown),
        _instant(queries),
        _field_config(
            unit=unit,
            decimals=decimals,
            bounds=bounds,
            thresholds=thresholds,
            mappings=_in_grey(unknown),
            color=color,
            no_value=unknown.word if unknown else None,
            custom={},
            links=links,
        ),
        {
            "displayMode": "basic",
            "orientation": "horizontal",
            "valueMode": "color",
            "showUnfilled": True,
            "minVizWidth": 8,
            "minVizHeight": 16,
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "text": _sizes(text_size),
        },
        overrides=tuple(overrides),
        transformations=tuple(transformations),
    )


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str = "none",
    decimals: int | None = None,
    overrides: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
    sort_by: str | None = None,
    descending: bool = True,
    paginate: bool = False,
    unknown: Unknown | None = None,
) -> Panel:
    """Return a table over instant queries. See `tables.by_tenant` for one that joins several by a label."""
    return Panel(
        "table",
        title,
        description,
        tuple(queries),
        _field_config(
            unit=unit,
            decimals=decimals,
            bounds=(None, None),
            thresholds=NO_THRESHOLDS,
            mappings=(),
            color={"mode": "thresholds"},
            no_value=unknown.why if unknown else None,
            custom={
                "align": "auto",
                "cellOptions": {"type": "auto"},
                "filterable": paginate,
                "inspect": False,
                "minWidth": 60,  # Grafana's own 150 pushes the last columns of a narrow table out of sight
            },
        ),
        {
            "showHeader": True,
            "cellHeight": "sm",
            "frameIndex": 0,
            "sortBy": [{"displayName": sort_by, "desc": descending}] if sort_by else [],
            "enablePagination": paginate,
        },
        overrides=tuple(overrides),
        transformations=tuple(transformations),
        as_table=True,
    )


def text(content: str, description: str) -> Panel:
    """Return a text in Markdown, without a frame; it may use variables."""
    return Panel("text", "", description, options={"content": content, "mode": "markdown"}, transparent=True)
