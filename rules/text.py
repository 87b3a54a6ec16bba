"""Sentences of alerts: Go templates as Prometheus fills them in, with figures from queries and in the currency."""

from __future__ import annotations

from rules.expressions import days, one
from rules.promql import Match, over
from unitcost.days import DAY, LAST_MONTH, MTD
from unitcost.figures import SMALL, sign
from unitcost.metrics.metric import Metric

NAME = "{{ or $labels.name $labels.tenant }}"
"""The tenant's name, or its id where the directory has none."""

_THOUSANDS = '| reReplaceAll "^(-?[0-9]+)([0-9]{3})$" "${1},${2}" | reReplaceAll "^(-?[0-9]+)([0-9]{3})," "${1},${2},"'


class Money:
    """How an amount is written: $4,107 from 10 up, $4.11 below; a currency without a sign by its code."""

    def __init__(self, code: str) -> None:
        self._sign = sign(code, " ")

    def template(self) -> str:
        """Return the definition that a sentence with amounts begins with."""
        small = f'{{{{ if and (lt . {SMALL:.1f}) (gt . -{SMALL:.1f}) }}}}{{{{ printf "%.2f" . }}}}{{{{ else }}}}'
        large = f'{{{{ printf "%.0f" . {_THOUSANDS} }}}}{{{{ end }}}}'
        return f'{{{{ define "money" }}}}{self._sign}{small}{large}{{{{ end }}}}'

    def sentence(self, text: str) -> str:
        """Return a text with the definition in front, if it needs it."""
        return self.template() + text if '{{ template "money"' in text else text


VALUE = '{{ template "money" $value }}'
"""The alert's value as an amount."""

PERCENT = "{{ $value | humanizePercentage }}"
"""The alert's value, a ratio, in percent."""


def _query(promql: str, then: str, label: str) -> str:
    """Fill each %q of a query from the alert's label, and write `then` of what it finds, if it finds anything."""
    query = f"printf `{promql}`{f' $labels.{label}' * promql.count('%q')} | query" if label else f"query `{promql}`"
    return f"{{{{ with {query} }}}}{then}{{{{ end }}}}"


def amount(promql: str, label: str = "") -> str:
    """Return a query's first value as an amount. label: the alert's label that stands for each %q."""
    return _query(promql, '{{ template "money" (. | first | value) }}', label)


def percent(promql: str, label: str = "") -> str:
    """Return a query's first value, a ratio, in percent, to a tenth."""
    return _query(f"round({promql}, 0.001)", "{{ . | first | value | humanizePercentage }}", label)


def phrase(promql: str, text: str, label: str, form: str = "") -> str:
    """Return a text whose {} is a query's first value: by a printf form, else as an amount.

    Nothing at all where the query finds nothing.
    """
    value = f'{{{{ printf "{form}" (. | first | value) }}}}' if form else '{{ template "money" (. | first | value) }}'
    return _query(promql, text.replace("{}", value), label)


def listed(lead: str, promql: str, shown: str, label: str = "") -> str:
    """Return "LEAD a $1, b $2.": the label `shown` of every result, and its value as an amount."""
    item = f'{{{{ $s.Labels.{shown} }}}} {{{{ template "money" $s.Value }}}}'
    each = f"{{{{ range $i, $s := . }}}}{{{{ if $i }}}}, {{{{ end }}}}{item}{{{{ end }}}}"
    return _query(promql, f"{lead} {each}. ", label)


def this(metric: Metric, by: tuple[str, ...] = (), label: str = "tenant", **labels: str | Match) -> str:
    """Return a metric of the alert's own tenant (or other label), for a sentence: %q stands for the value."""
    fixed = {**labels, label: "%q"}
    series = one(metric, **fixed)
    # What one() has left no label to sum over is a sum already.
    kept = series if len(fixed) == len(metric.labels) else over("sum", by, series)
    return kept.replace('"%q"', "%q")


def words(window: str) -> str:
    """Return a window as it is said after an amount: "in the last 30 days"."""
    if window == MTD:
        return "since the first of the month"
    if window == LAST_MONTH:
        return "last month"
    if window == DAY:
        return "yesterday"
    return f"in the last {days(window)} days"
