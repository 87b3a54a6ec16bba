"""PromQL written from the catalogue: a metric or label that does not exist is an error here, not an empty panel."""

from __future__ import annotations

from dataclasses import dataclass

from unitcost.metrics.metric import Metric


@dataclass(frozen=True, slots=True)
class Match:
    """A label matcher that is not plain equality. operator: !=, =~ or !~."""

    operator: str
    value: str


def matches(regex: str) -> Match:
    """Match values by a regular expression; a variable of Grafana is one: "$tenant"."""
    return Match("=~", regex)


def other_than(value: str) -> Match:
    """Match every other value."""
    return Match("!=", value)


def select(metric: Metric, **labels: str | Match) -> str:
    """Return an instant selector, such as tenant_cost_dollars{window="30d"} for TENANT_COST and window="30d".

    Raises ValueError when the metric has no such label.
    """
    unknown = [label for label in labels if label not in metric.labels]
    if unknown:
        raise ValueError(f"{metric.name} has no label {', '.join(unknown)}; it has {', '.join(metric.labels)}")
    pairs = []
    for label, wanted in labels.items():
        match = wanted if isinstance(wanted, Match) else Match("=", wanted)
        value = match.value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        pairs.append(f'{label}{match.operator}"{value}"')
    return metric.name + (f"{{{','.join(pairs)}}}" if pairs else "")


def over(aggregate: str, by: tuple[str, ...], expression: str) -> str:
    """Return an aggregation, such as sum by (plan) (expression); over everything where `by` is empty."""
    return f"{aggregate} by ({', '.join(by)}) ({expression})" if by else f"{aggregate}({expression})"


def one_of(by: tuple[str, ...], expression: str) -> str:
    """Return one series for each value of these labels, the largest where there are several."""
    return over("topk", by, f"1, {expression}")


def with_labels(expression: str, on: tuple[str, ...], other: str, labels: tuple[str, ...] = ()) -> str:
    """Return each series times the one of `other` that has the same values of `on`, with these labels of that one."""
    return f"{expression} * on ({', '.join(on)}) group_left ({', '.join(labels)}) {other}"


def labelled(expression: str, label: str, value: str) -> str:
    """Return series with a label that says this."""
    return f'label_replace({expression}, "{label}", "{value}", "", "")'


def copied(expression: str, label: str, source: str) -> str:
    """Return series whose label says what another one says, where that says something."""
    return f'label_replace({expression}, "{label}", "$1", "{source}", "(.+)")'
