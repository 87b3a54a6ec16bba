"""What a rule file is made of: recording rules, alerts, and the groups they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from unitcost.config.alerts import Severity
from unitcost.metrics.metric import Metric


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule: the series it writes, whose labels the expression must bring, and the expression."""

    metric: Metric
    expression: str


AT_ONCE = "0s"
AS_CONFIGURED = ""
"""In place of a duration: what alerts.wait or alerts.keep says."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule.

    meaning: in a few words, for lists, without figures. wait, keep: Prometheus durations of `for` and
    `keep_firing_for`, AT_ONCE leaves them out. owner: who looks after it. summary: one sentence with the figures;
    description: where to look and what it may mean. runbook: page in docs/runbooks, without .md. dashboard: path of a
    Grafana page.
    """

    name: str
    meaning: str
    expression: str
    severity: Severity
    owner: str
    summary: str
    description: str
    dashboard: str
    runbook: str = ""
    wait: str = AS_CONFIGURED
    keep: str = AS_CONFIGURED
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that Prometheus evaluates one after the other, so that a later one may read an earlier one's series."""

    name: str
    rules: tuple[Record | Alert, ...]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One file of groups. name: without ending; it is the PrometheusRule's name too."""

    name: str
    groups: tuple[Group, ...]
