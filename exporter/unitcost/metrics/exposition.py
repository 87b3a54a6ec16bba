"""Prometheus text 0.0.4 and OpenMetrics 1.0.0, written from columns of label values and numbers.

The sample lines are the same in both formats, so they are made once a family. prometheus_client's
generate_latest needs about 8 µs a series and would run once for each format; this needs well under 1 µs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from unitcost.metrics.metric import Metric
from unitcost.metrics.packed import Packed, joined


@dataclass(frozen=True)
class Family:
    """A metric and its series: rows of label values in the order of metric.labels, then the value."""

    metric: Metric
    rows: Sequence[tuple[Any, ...]]

    @property
    def written(self) -> Written:
        """The family as it is written. Raises ValueError or TypeError as render does."""
        return Written(self.metric, Packed.of(_encode(_samples(self))) if self.rows else None)


@dataclass(frozen=True)
class Written:
    """A metric and its sample lines, the same in both formats; None: there are none."""

    metric: Metric
    samples: Packed | None

    @property
    def written(self) -> Written:
        """This."""
        return self


def written(families: Iterable[Family | Written]) -> list[Written]:
    """Write the families, in their order, in threads: what one is compressed in, the next is read and written in.

    Raises ValueError or TypeError as render does.
    """
    with ThreadPoolExecutor(thread_name_prefix="write") as threads:
        return list(threads.map(attrgetter("written"), families))


@dataclass(frozen=True)
class Exposition:
    """The same series in both formats, UTF-8, plain and as gzip."""

    text: bytes
    text_gzip: bytes
    openmetrics: bytes
    openmetrics_gzip: bytes


def render(families: Iterable[Family | Written]) -> Exposition:
    """Write the families in the order given; those without rows leave no line.

    Raises ValueError when a family comes twice, a row has another number of labels than its metric, a value
    is NaN or infinite, or a name breaks a rule of OpenMetrics; TypeError when a label value is not text.
    """
    text: list[Packed] = []
    openmetrics: list[Packed] = []
    seen: set[str] = set()
    for family in families:
        metric = family.metric
        if metric.name in seen:
            raise ValueError(f"{metric.name} was given twice")
        seen.add(metric.name)
        _family_name(metric)
        samples = family.written.samples
        if samples is None:
            continue
        head = f"# HELP {metric.name} {_help(metric)}\n# TYPE {metric.name} {metric.type}\n"
        text += (Packed.of(_encode(head)), samples)
        openmetrics += (Packed.of(_encode(openmetrics_head(metric))), samples)
    openmetrics.append(Packed.of(b"# EOF\n"))
    return Exposition(*joined(text), *joined(openmetrics))


def openmetrics_head(metric: Metric) -> str:
    """Return the HELP, TYPE and UNIT lines of a family. Raises ValueError as render does."""
    bare = _family_name(metric)
    unit = f"# UNIT {bare} {metric.unit}\n" if metric.unit else ""
    quoted = _help(metric).replace('"', r"\"")
    return f"# HELP {bare} {quoted}\n# TYPE {bare} {metric.type}\n{unit}"


def timed_lines(metric: Metric, rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Return OpenMetrics sample lines: rows of label values, the value, milliseconds since 1970.

    Raises ValueError or TypeError as render does.
    """
    untimed = [row[:-1] for row in rows]
    times = [f"{row[-1] // 1000}.{row[-1] % 1000:03d}" for row in rows]
    return _encode(_samples(Family(metric, untimed), times))


def _help(metric: Metric) -> str:
    return metric.help.replace("\\", r"\\").replace("\n", r"\n")


def _family_name(metric: Metric) -> str:
    """Return the name OpenMetrics gives the family: a counter's without _total, and ending in its unit."""
    name = metric.name
    if metric.type == "counter":
        if not name.endswith("_total"):
            raise ValueError(f"{name}: a counter's name must end in _total")
        name = name.removesuffix("_total")
    if metric.unit and not name.endswith(f"_{metric.unit}"):
        raise ValueError(f"{metric.name}: must end in its unit {metric.unit}")
    return name


def _samples(family: Family, times: Iterable[str] | None = None) -> str:
    """Return all sample lines of a family. Works by columns, so that the loops run in C."""
    metric = family.metric
    try:
        columns = list(zip(*family.rows, strict=True))
    except ValueError as error:
        raise ValueError(f"{metric.name}: rows of different lengths") from error
    *labels, values = columns
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name}: {len(labels)} label values for the labels {metric.labels}")
    if not all(map(math.isfinite, values)):
        row = next(row for row in family.rows if not math.isfinite(row[-1]))
        raise ValueError(f"{metric.name}: {row} has no finite value; leave out what is not known")
    pairs = ",".join(f'{name}="%s"' for name in metric.labels)
    line = f"{metric.name}{{{pairs}}} %r" if pairs else f"{metric.name} %r"
    escaped = _Escaped()
    cells = (map(escaped.__getitem__, column) for column in labels)
    numbers = (map(float, values),) if times is None else (map(float, values), times)
    line += "\n" if times is None else " %s\n"
    return "".join(map(line.__mod__, zip(*cells, *numbers, strict=True)))


class _Escaped(dict[str, str]):
    """Label values as they are written between quotes; the same few tenants come thousands of times."""

    def __missing__(self, value: str) -> str:
        if not isinstance(value, str):
            raise TypeError(f"the label value {value!r} is not text")
        text = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        self[value] = text
        return text


def _encode(text: str) -> bytes:
    """Encode; half a surrogate pair in a foreign name becomes a question mark, not the end of the page."""
    return text.encode("utf-8", "replace")
