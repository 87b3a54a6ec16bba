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
