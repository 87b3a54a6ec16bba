"""Tokens, images and the like from a CSV file: what a warehouse or a log knows of the use of models.

A line a UTC day, tenant, provider, model, feature and direction. direction: one of units.UNITS, each token in one; the
tenant, provider and feature may be empty. Days and batches: as of csv_usage. Their costs are what the price book says.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from unitcost.facts import COST, USAGE, Asked, Batch, Note, Problem, Usage
from unitcost.sources import values
from unitcost.sources.ai.metered import Metered, MeteredSettings
from unitcost.sources.ai.units import UNITS
from unitcost.sources.base import Context, FilePath, SourceKind
from unitcost.sources.csv_file import Mistakes, Table
from unitcost.sources.usage.csv_days import changed_days

NEEDED, MORE = ("day", "model", "direction", "quantity"), ("tenant", "provider", "feature")


class CsvTokensSettings(MeteredSettings):
    """A CSV file of tokens by day. path: the file. columns: our names → the file's, where they differ."""

    type: Literal["csv_tokens"] = "csv_tokens"
    path: FilePath
    columns: dict[Literal["day", "model", "direction", "quantity", "tenant", "provider", "feature"], str] = Field(
        default_factory=dict
    )

    def identity(self, context: Context) -> list[object]:  # noqa: ARG002 - as all settings
        """Which bill there is, is no matter of the file's."""
        return [self.model_dump(mode="json", exclude={"type", "required", "path", "billed_by"})]


class CsvTokens:
    """A CSV file of what was used of models."""

    kind: ClassVar[SourceKind] = "tokens"

    def __init__(self, name: str, settings: CsvTokensSettings, context: Context) -> None:  # noqa: ARG002 - as all sources
        self.name = name
        self._settings = settings
        self._metered = Metered(settings)

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield each UTC day of the history whose lines changed, newest first.

        Raises SourceError `missing`, `unreadable`, `format` or `value`; then nothing of the file is used. Days after
        today are a Problem `value` and left out.
        """
        by_day = self._lines()
        yield from changed_days(by_day, lambda day: by_day.get(day, []), asked, self._settings.path, (*COST, *USAGE))

    def _lines(self) -> Mapping[date, list[Usage]]:
        table = Table(self._settings.path, NEEDED, MORE, self._settings.columns)
        names = table.names
        mistakes = Mistakes(table.where)
        by_day: dict[date, list[Usage]] = defaultdict(list)
        lines: dict[tuple[object, ...], int] = {}
        for number, cells in table.lines(mistakes):
            day = mistakes.parse(number, names["day"], cells["day"], values.day)
            model = mistakes.parse(number, names["model"], cells["model"], values.tenant)
            unit = mistakes.parse(number, names["direction"], cells["direction"], _unit)
            quantity = mistakes.parse(number, names["quantity"], cells["quantity"], values.quantity)
            if day is None or model is None or unit is None or quantity is None:
                continue
            tenant, spelt, feature = (sys.intern(cells.get(name, "").strip()) for name in MORE)
            provider = self._metered.provider(spelt)
            first = lines.setdefault((day, tenant, provider, model, feature, unit), number)
            if first != number:
                mistakes.add(number, f"says the same as line {first}: day, tenant, model, feature and direction")
            if self._metered.reads(provider):
                by_day[day].append(
                    self._metered.usage(day, tenant, provider, sys.intern(model), feature, unit, quantity)
                )
        mistakes.refuse()
        return by_day


def _unit(spelt: str) -> str:
    unit = spelt.strip()
    if unit not in UNITS:
        raise ValueError(f"{values.shown(spelt)} is none of {', '.join(UNITS)}")
    return sys.intern(unit)
