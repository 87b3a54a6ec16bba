"""Annotations as Grafana makes them of a page's queries: its processing of Prometheus' answers, once more in Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.fakes.pages import Json, filled
from tests.fakes.processes import PrometheusServer

PIXELS = 1600
SECONDS = {"m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Mark:
    """A mark on the graphs; a region where it ends later than it begins."""

    begins: datetime
    ends: datetime
    text: str


def annotation(board: Json, name: str) -> Json:
    """Return the annotation of that name."""
    [found] = (one for one in board["annotations"]["list"] if one["name"] == name)
    return dict(found)


def marks(
    server: PrometheusServer, said: Json, start: datetime, end: datetime, values: Mapping[str, str] | None = None
) -> list[Mark]:
    """Return the marks that Grafana draws in a time range, sorted. values: of the page's variables."""
    step = _step(said["step"], start, end)
    known = {"__to": f"{end.timestamp():.0f}", "__interval": f"{step}s", **(values or {})}
    answer = server.get(
        "query_range",
        query=filled(said["expr"], known),
        start=str(start.timestamp() // step * step),
        end=str(end.timestamp() // step * step),
        step=str(step),
    )
    found = [mark for series in answer["result"] for mark in _of_series(said, series, step)]
    return sorted((mark for mark in found if start <= mark.ends and mark.begins <= end), key=lambda mark: mark.begins)


def _step(least: str, start: datetime, end: datetime) -> int:
    """Return the step in seconds: no more points than pixels, and no closer than the query asks for."""
    return max(int(least[:-1]) * SECONDS[least[-1]], int((end - start).total_seconds() / PIXELS))


def _of_series(said: Json, series: Mapping[str, Any], step: int) -> list[Mark]:
    """Return the marks of one series: of its values or its times, those no farther apart than a step as one."""
    if said["useValueForTime"]:
        times = [int(float(value)) for _, value in series["values"]]
    else:
        times = [int(at * 1000) for at, value in series["values"] if float(value) > 0]
    spans: list[list[int]] = []
    for at in times:
        if spans and spans[-1][1] + step * 1000 >= at:
            spans[-1][1] = at
        else:
            spans.append([at, at])
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: series["metric"].get(found[1]) or found[1], said["textFormat"])
    return [Mark(_moment(begins), _moment(ends), text) for begins, ends in spans]


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
