"""The same alerts as rules that Grafana evaluates itself, in its format of provisioning files.

For those without an Alertmanager. Prometheus and Grafana do not mean the same by an alert:

- In Prometheus every series that an expression returns fires, whatever its value: a margin of 0.2 below its target, a
  window that is complete in 0 parts. In Grafana a value of 0 is fine. So the condition does not look at the value:
  query B is 1 for each series that the expression returns (`group without ()` keeps every label), and threshold C
  asks whether B is above 0. Grafana's own way to take over rules of Prometheus asks the same of the value by
  arithmetic of its own; a query can be tried on any Prometheus. Query A is the value itself, which the sentences
  tell.
- What is over is returned no more. Where nothing is returned at all the rule's state is OK (`noDataState`), and the
  alert outlives it by `keepFiringFor`; where only one series of several is missing, Grafana resolves it after so many
  evaluations (`missing_series_evals_to_resolve`), and knows no other way to outlive it. Both are alerts.keep.
- A sentence cannot ask Prometheus: `query` gives nothing in Grafana. Each figure of a sentence is a query of the rule
  (D, E, …) for all tenants or plans, of which Grafana picks the one that fits the alert's labels. Its expression
  reads what the alert's own reads, so it is there whenever the alert fires: in some versions a query without any
  answer would make the whole rule "no data". What need not be there, and lists, is whole sentences: those are left
  out.
- In labels $… is a variable of Grafana's environment, and in newer versions ${…} in annotations is one too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from rules.layout import layout
from rules.model import AT_ONCE, Alert, RuleFile
from rules.write import HEADER, dump
from unitcost.durations import seconds

NOTE = """\
# For Grafana's /etc/grafana/provisioning/alerting: Grafana evaluates these itself. Where Prometheus has the alerts of
# ../prometheus, do not load them too: everything would be told twice.
"""
FOLDER = "unitcost"
MINUTE = 60
"""Seconds between two evaluations."""
LOOK_BACK = {"from": 600, "to": 0}
"""Grafana asks for a range also where a query looks at now only."""
EXPRESSION = "__expr__"
"""The uid and the type of the data source that Grafana's own expressions belong to."""
VALUE, FIRES, CONDITION = "A", "B", "C"


def grafana(file: RuleFile, datasource: str) -> str:
    """Return the alerts of a rule file as Grafana provisions them. datasource: the uid of its Prometheus."""
    groups = [
        {"orgId": 1, "name": group.name, "folder": FOLDER, "interval": "1m", "rules": rules}
        for group in file.groups
        if (rules := [_rule(rule, datasource) for rule in group.rules if isinstance(rule, Alert)])
    ]
    return HEADER + NOTE + dump({"apiVersion": 1, "groups": groups})


def fires(expression: str) -> str:
    """Return a query that gives 1 for every series that an expression returns, with all of its labels."""
    return f"group without () ({expression})"


def _rule(alert: Alert, datasource: str) -> dict[str, Any]:
    sentences = Sentences()
    said = {"summary": sentences.translated(alert.summary), "description": sentences.translated(alert.description)}
    queries = {VALUE: alert.expression, FIRES: fires(alert.expression)}
    threshold = {"refId": CONDITION, "datasourceUid": EXPRESSION, "model": _threshold()}
    figures = [_query(letter, query, datasource) for query, letter in sentences.figures.items()]
    made: dict[str, Any] = {
        "uid": alert.name,
        "title": alert.name,
        "condition": CONDITION,
        "data": [*(_query(letter, query, datasource) for letter, query in queries.items()), threshold, *figures],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.wait,
    }
    if alert.keep != AT_ONCE:
        made["keepFiringFor"] = alert.keep
    made["missing_series_evals_to_resolve"] = max(1, -(-seconds(alert.keep) // MINUTE))
    made["annotations"] = {**said, "runbook_url": alert.runbook, "dashboard": alert.dashboard}
    made["labels"] = {"severity": alert.severity, "owner": alert.owner.replace("$", "$$")}
    return made


def _query(letter: str, query: str, datasource: str) -> dict[str, Any]:
    model = {
        "refId": letter,
        "datasource": {"type": "prometheus", "uid": datasource},
        "editorMode": "code",
        "expr": layout(query),
        "instant": True,
        "range": False,
    }
    return {"refId": letter, "datasourceUid": datasource, "relativeTimeRange": dict(LOOK_BACK), "model": model}


def _threshold() -> dict[str, Any]:
    return {
        "refId": CONDITION,
        "datasource": {"type": EXPRESSION, "uid": EXPRESSION},
        "type": "threshold",
        "expression": FIRES,
        "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
    }


_MONEY = re.compile(r'^\{\{ define "money" \}\}.*?\{\{ end \}\}\{\{ end \}\}')
_QUERY = re.compile(
    r"\{\{ with (?:query `(?P<plain>[^`]*)`|printf `(?P<of>[^`]*)`(?: \$labels\.(?P<label>\w+))+ \| query) \}\}"
)
_FIGURES = {
    '{{ template "money" (. | first | value) }}': '{{ template "money" .Value }}',
    "{{ . | first | value | humanizePercentage }}": "{{ .Value | humanizePercentage }}",
}
"""What a sentence does with a query's first value in Prometheus, and with its value in Grafana."""
_OPENS = re.compile(r"\{\{ (with|if|range|end)\b")
_AGGREGATION = re.compile(r"\b(sum|max|min)(?: by \(([^()]*)\))? ?\(")


@dataclass
class Sentences:
    """Sentences of one alert in Grafana's words. figures: the queries that they need → their letters."""

    figures: dict[str, str] = field(default_factory=dict)

    def translated(self, text: str) -> str:
        """Return a sentence of Prometheus as Grafana fills it in."""
        made, end = [], 0
        while found := _QUERY.search(text, end):
            close = _end(text, found.end())
            made += [text[end : found.start()], self._figure(found, text[found.end() : close])]
            end = close + len("{{ end }}")
        whole = "".join([*made, text[end:]])
        if '{{ template "money"' not in whole:
            whole = _MONEY.sub("", whole)
        whole = re.sub(r"\$value\b", f"$values.{VALUE}.Value", whole)
        return re.sub(r"\$\{(\d)\}", r"$\1", whole).replace("${", '{{ "$" }}{').strip()

    def _figure(self, found: re.Match[str], then: str) -> str:
        """Return a figure; nothing in place of a whole sentence."""
        if then not in _FIGURES:
            if not then.endswith(". "):
                raise ValueError(f"Grafana cannot tell this, and it is no sentence that can be left out: {then}")
            return ""
        query = found["plain"] or of_all(found["of"], found["label"])
        letter = self.figures.setdefault(query, ascii_uppercase[len((VALUE, FIRES, CONDITION)) + len(self.figures)])
        return f"{{{{ with $values.{letter} }}}}{_FIGURES[then]}{{{{ end }}}}"


def _end(text: str, start: int) -> int:
    """Return where the {{ end }} of a block is whose inside begins at start."""
    depth = 1
    for found in _OPENS.finditer(text, start):
        depth += -1 if found[1] == "end" else 1
        if not depth:
            return found.start()
    raise ValueError(f"a block has no end: {text[start:]}")


def of_all(promql: str, label: str) -> str:
    """Return what a sentence asks of one value of a label (label=%q) for all its values, by that label."""

    def by_label(found: re.Match[str]) -> str:
        return f"{found[1]} by ({', '.join(filter(None, (label, found[2])))}) ("

    grouped = _AGGREGATION.sub(by_label, promql)
    return re.sub(rf"\{{{label}=%q\}}|,{label}=%q(?=[,}}])|(?<=\{{){label}=%q,", "", grouped)
