"""Product usage from a CSV file: day, tenant, measure, quantity; one line for each of the first three.

Days are UTC. The file speaks for every day from its first to its last one: a day between them without lines
is one without usage. Days it does not reach keep what is stored, so a file of only the last weeks is fine.

Batches: one per UTC day, key = the ISO day, newest first, and only days whose lines changed. fingerprint:
digest of the day's lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from unitcost.facts import USAGE, Asked, Batch, Note, Problem, Usage
from unitcost.sources import values
from unitcost.sources.base import Context, FilePath, Settings, SourceKind
from unitcost.sources.csv_file import Mistakes, Row, Table, totals
from unitcost.sources.usage.csv_days import changed_days

NEEDED = ("day", "tenant", "measure", "quantity")


class CsvUsageSettings(Settings):
    """A CSV file of usage by day. path: the file. columns: our names → the file's, where they differ."""

    type: Literal["csv_usage"] = "csv_usage"
    path: FilePath
    columns: dict[Literal["day", "tenant", "measure", "quantity"], str] = Field(default_factory=dict)


class CsvUsage:
    """A CSV file of what each tenant used per UTC day."""

    kind: ClassVar[SourceKind] = "usage"

    def __init__(self, name: str, settings: CsvUsageSettings, context: Context) -> None:  # noqa: ARG002 - as all sources
        self.name = name
        self._settings = settings

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield each UTC day of the history whose lines changed, newest first.

        Raises SourceError `missing`, `unreadable`, `format` or `value`; then nothing of the file is used.
        Days after today are a Problem `value` and left out; a tenant that reads as a total is one, `suspicious`.
        """
        by_day, told = self._lines()
        yield from told

        def usage_of(day: date) -> list[Usage]:
            found = by_day.get(day, {})
            usage = [
                Usage(day, name, measure, row.amount) for measure, rows in found.items() for name, row in rows.items()
            ]
            return sorted(usage, key=lambda one: (one.tenant or "", one.measure))

        yield from changed_days(by_day, usage_of, asked, self._settings.path, USAGE)

    def _lines(self) -> tuple[Mapping[date, Mapping[str, Mapping[str, Row]]], list[Problem]]:
        """Return day → measure → tenant → its line: a large file is held once, and nothing of it twice."""
        table = Table(self._settings.path, NEEDED, (), self._settings.columns)
        names = table.names
        mistakes = Mistakes(table.where)
        by_day: dict[date, dict[str, dict[str, Row]]] = {}
        for number, cells in table.lines(mistakes):
            day = mistakes.parse(number, names["day"], cells["day"], values.day)
            tenant = mistakes.parse(number, names["tenant"], cells["tenant"], values.tenant)
            measure = mistakes.parse(number, names["measure"], cells["measure"], values.measure)
            quantity = mistakes.parse(number, names["quantity"], cells["quantity"], values.quantity)
            if day is None or tenant is None or measure is None or quantity is None:
                continue
            rows = by_day.setdefault(day, {}).setdefault(measure, {})
            tenant = sys.intern(tenant)
            first = rows.setdefault(tenant, Row(number, tenant, quantity)).line
            if first != number:
                mistakes.add(number, f"{day}, {values.shown(tenant)}, {measure} stand on line {first} already")
        told = totals([rows.values() for measures in by_day.values() for rows in measures.values()], mistakes)
        mistakes.refuse()
        return by_day, told
