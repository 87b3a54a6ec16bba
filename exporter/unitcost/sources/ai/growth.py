"""By how much counters grew in a window: exactly, sample by sample, and not as PromQL's increase() estimates it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from unitcost.errors import SourceError
from unitcost.sources import values
from unitcost.sources.ai.counters import Sample
from unitcost.sources.http import Client
from unitcost.sources.usage.by_day import Window
from unitcost.sources.usage.promql import VALUE_HINT, read_series, text_of

BEFORE = 86400
"""A series is new that was not there in so many seconds before the window; an hour without a scrape makes none new."""

MOST_RESETS = 500
"""So many series that were reset are read sample by sample; a request each."""

HINT = "Check the preset and the selector"

Labels = frozenset[tuple[str, str]]


class Growth:
    """Asks for the growth of counters. selector: matchers; first_samples: whether the first value of a new one counts.

    A series grew by its last value less the last one before the window, which the server sums up. Of one that was reset
    the samples are read: a value below the one before it counts whole, as a counter begins with 0.
    """

    def __init__(self, client: Client, selector: str, *, first_samples: bool) -> None:
        self._client = client
        self._selector = selector
        self._first_samples = first_samples

    def of(self, metric: str, labels: Sequence[str], window: Window) -> list[Sample]:
        """Return by how much a counter grew, by these labels; nothing where there is no such series.

        Raises SourceError: `query`, `http`, `format`, `partial`, `value`, `resets`.
        """
        series = f"{metric}{{{self._selector}}}"
        inside = f"{series}[{window.seconds}s]"
        before = f"last_over_time({series}[{BEFORE}s] offset {window.seconds}s)"
        restarted = f"(resets({inside}) > 0 or (min_over_time({inside}) < {before}))"
        first = f"0 * last_over_time({inside})" if self._first_samples else f"min_over_time({inside})"
        grown = f"((last_over_time({inside}) - ({before} or {first})) unless {restarted})"
        where = f"{window.day} {metric}"
        found = [
            Sample(metric, {name: text_of(one, name, where) for name in labels}, _quantity(value, where))
            for one, value in self._ask(f"sum by ({', '.join(labels)}) {grown}", window, where)
        ]
        resets = [_labels(one, where) for one, _ in self._ask(restarted, window, where)]
        if len(resets) > MOST_RESETS:
            raise SourceError(
                "resets",
                where,
                f"{len(resets)} series were reset, and no more than {MOST_RESETS} are read sample by sample",
                "Scrape each process under labels of its own (instance, pod), so that a restart makes new series",
            )
        if resets:
            known = {
                _labels(one, where): _quantity(value, where)
                for one, value in self._ask(f"({before} and {restarted})", window, where)
            }
            found += [self._reset(metric, one, labels, known.get(one), window) for one in resets]
        return found

    def _reset(
        self, metric: str, series: Labels, labels: Sequence[str], before: Decimal | None, window: Window
    ) -> Sample:
        """Return by how much one series grew that was reset. before: its last value before the window."""
        where = f"{window.day} {metric}"
        # A matcher of "" leaves out series with that label, and with others there may be: they are told apart below.
        matchers = ",".join(f"{name}={quoted(value)}" for name, value in sorted(series))
        asked = f"{metric}{{{matchers}}}[{window.seconds}s]"
        told = [
            [_quantity(value, where) for value in found]
            for one, found in self._ask(asked, window, where, "matrix")
            if _labels(one, where) == series
        ]
        samples = [value for found in told for value in found]
        given = dict(series)
        return Sample(
            metric, {name: given.get(name, "") for name in labels}, grown(samples, before, self._first_samples)
        )

    def _ask(self, query: str, window: Window, where: str, kind: str = "vector") -> list[tuple[Mapping[str, Any], Any]]:
        found: list[tuple[Mapping[str, Any], Any]] = []
        answer = window.ask(self._client, query)
        read_series(answer, where, lambda labels, value: found.append((labels, value)), HINT, kind)
        return found


def grown(samples: Iterable[Decimal], before: Decimal | None, first_samples: bool) -> Decimal:
    """Return by how much a counter grew that showed these values, in their order, after `before`."""
    total = Decimal(0)
    last = before
    for value in samples:
        if last is None:
            last = Decimal(0) if first_samples else value
        total = values.EXACT.add(total, value - last if value >= last else value)
        last = value
    return total


def quoted(value: str) -> str:
    """Return a text as PromQL writes it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _labels(given: Mapping[str, Any], where: str) -> Labels:
    return frozenset((name, text_of(given, name, where)) for name in given if name != "__name__")


def _quantity(value: str, where: str) -> Decimal:
    try:
        return values.quantity(value)
    except ValueError as error:
        raise SourceError("value", where, str(error), VALUE_HINT) from error
