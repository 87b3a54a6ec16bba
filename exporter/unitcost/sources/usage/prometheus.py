"""Usage per tenant and UTC day from any Prometheus API: Prometheus, Mimir, Thanos, VictoriaMetrics.

A measure is PromQL with `$window` in it, asked once per day as an instant query at the day's end (the next
midnight UTC) with `$window` = 86400s, the whole day. For a counter, `increase(x[$window])` is then what was
counted between the two midnights: the windows of neighbouring days meet in one instant, so their increases
neither overlap nor leave a gap. Three things to know:

- Prometheus 2 closes the window on both ends, Prometheus 3 opens its left end. A sample at exactly midnight
  is the end of one day and, in Prometheus 2, the start of the next as well: right for an increase, counted
  on both days by sum_over_time and count_over_time.
- increase() extends what it saw to the edges of the window, so results need not be whole numbers.
- The first value a new series shows is not an increase to PromQL; what was counted before is not seen.

Today is asked as at the last full minute, with `$window` = the seconds since midnight, unless those are fewer
than 300.

Batches: as of by_day, with all measures or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from unitcost.errors import SourceError, describe
from unitcost.facts import USAGE, Asked, Batch, Note, Problem, Usage
from unitcost.sources import values
from unitcost.sources.base import Context, HttpSettings, SourceKind
from unitcost.sources.http import Client
from unitcost.sources.usage.by_day import Day, Window, each_day
from unitcost.sources.usage.promql import read_vector

WINDOW = re.compile(r"\$\{window\}|\$window\b")
SHOWN_REMARKS = 5


class PrometheusSettings(HttpSettings):
    """Usage from any Prometheus API.

    measures: name → PromQL with $window. tenant_label: the label whose value is the tenant; default: `tenants.key` (of
    several keys the first that a series has), with _ for what a label's name cannot hold. url: what comes before
    /api/v1 (Mimir: http://mimir/prometheus). headers: what is sent with every request, such as X-Scope-OrgID.
    """

    type: Literal["prometheus"] = "prometheus"
    measures: dict[str, str] = Field(min_length=1)
    tenant_label: str | None = Field(default=None, min_length=1)

    def identity(self, context: Context) -> list[object]:
        """Series are read by the keys of tenants."""
        return [*super().identity(context), context.tenant_keys]

    @field_validator("measures")
    @classmethod
    def _named_and_windowed(cls, measures: dict[str, str]) -> dict[str, str]:
        wrong = []
        for name, query in measures.items():
            try:
                values.measure(name)
            except ValueError as error:
                wrong.append(str(error))
            if WINDOW.search(query) is None:
                wrong.append(f"{name!r} lacks $window, the day it is asked for: increase(…[$window])")
        if wrong:
            raise ValueError("; ".join(wrong))
        return measures


@dataclass
class _Said:
    """What answers say besides. nobodys: measure → usage without a tenant; remarks: of PromQL → the first such day."""

    nobodys: dict[str, Decimal] = field(default_factory=dict)
    remarks: dict[tuple[str, str], date] = field(default_factory=dict)


class Prometheus:
    """Measures of usage per tenant from a Prometheus API."""

    kind: ClassVar[SourceKind] = "usage"

    def __init__(self, name: str, settings: PrometheusSettings, context: Context, client: Client | None = None) -> None:
        self.name = name
        self._measures = settings.measures
        self._labels = (settings.tenant_label,) if settings.tenant_label else context.tenant_labels
        self._client = client or Client(settings, waiting=context.waiting)

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield today and the last restate_days, and each older day that is not stored, newest first.

        A day of which one measure fails is a Problem and keeps what is stored: `query`, `http`, `format`,
        `partial`, `value`, `label`, `no_data`. Raises SourceError when the server cannot be reached or
        refuses the credentials, and after three failed days in a row.
        """
        said = _Said()
        yield from each_day(asked, lambda window: self._ask_all(window, said), USAGE)
        for measure, quantity in said.nobodys.items():
            yield Note(
                f"{measure}: {quantity.normalize(values.EXACT):f} on the days asked now has no tenant in"
                f" the label {' or '.join(self._labels)}; it is nobody's usage and left out"
            )
        for (measure, text), day in said.remarks.items():
            yield Note(describe(measure, f"the server remarks, first on {day}, which counts all the same: {text}"))

    def _ask_all(self, window: Window, said: _Said) -> Day:
        """Ask every measure of one day; add to what was said besides."""
        day = Day()
        for measure, query in self._measures.items():
            answer = window.ask(self._client, WINDOW.sub(f"{window.seconds}s", query))
            try:
                found = read_vector(answer, self._labels, f"{window.day} {measure}")
            except SourceError as error:
                day.problems.append(Problem.of(error))
                continue
            for text in found.remarks[: SHOWN_REMARKS - len(said.remarks)]:
                said.remarks.setdefault((measure, text), window.day)
            for tenant, quantity in found.sums.items():
                if tenant is not None:
                    day.usage.append(Usage(window.day, tenant, measure, quantity))
                elif quantity:
                    said.nobodys[measure] = values.EXACT.add(said.nobodys.get(measure, Decimal(0)), quantity)
        day.heard = bool(day.usage)
        return day
