"""The rendered pages as tests read them: panels, queries, and what Grafana makes of a query before it asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dashboards.__main__ import rendered
from dashboards.style import Settings

Json = dict[str, Any]
DAY = 86400
UIDS = tuple(name.removesuffix(".json") for name in rendered(Settings()))


def page(uid: str, settings: Settings | None = None) -> Json:
    """Return a page as it is written."""
    found: Json = json.loads(rendered(settings or Settings())[f"{uid}.json"])
    return found


def panels(board: Json) -> list[Json]:
    """Return the page's panels without its headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def panel(board: Json, title: str) -> Json:
    """Return the panel of that title."""
    (found,) = (panel for panel in board["panels"] if panel.get("title") == title)
    return dict(found)


@dataclass(frozen=True)
class Asked:
    """A query of a panel. instant: it is asked for one moment only."""

    uid: str
    panel: str
    expr: str
    instant: bool
    step: int


def asked(board: Json, values: Mapping[str, str] | None = None) -> Iterator[Asked]:
    """Return every query of a page, its variables filled in; without values they stay."""
    for one in panels(board):
        name = f"{one['id']} {one['title']}".strip()
        step = {None: 60, "1d": DAY, "5m": 300}[one.get("interval")]
        for target in one.get("targets", []):
            yield Asked(board["uid"], name, filled(target["expr"], values or {}), target["instant"], step)


def filled(expr: str, values: Mapping[str, str]) -> str:
    """Fill in $name, ${name} and ${name:format}; __to is the range's end in seconds."""
    pattern = r"\$(?:(\w+)|\{(\w+)(?::[^}]*)?\})"
    return re.sub(pattern, lambda found: values.get(found[1] or found[2], found[0]), expr)


def midnights(start: float, end: float, hours: float = 0) -> dict[str, str]:
    """Return the range that Grafana asks for with a step of a day: both ends cut to midnights of the time zone.

    hours: how far the picker's time zone is ahead of UTC.
    """
    ahead = hours * 3600

    def cut(at: float) -> str:
        return str((at + ahead) // DAY * DAY - ahead)

    return {"start": cut(start), "end": cut(end), "step": str(DAY)}


def expressions(one: Json, legend: str, values: Mapping[str, str]) -> list[str]:
    """Return the queries of a panel that have this legend, their variables filled in."""
    return [filled(target["expr"], values) for target in one["targets"] if target.get("legendFormat") == legend]
