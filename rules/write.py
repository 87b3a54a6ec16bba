"""Rule files as YAML: for Prometheus, and the same groups as PrometheusRule for its operator."""

from __future__ import annotations

from typing import Any

import yaml

from rules.layout import layout
from rules.model import AT_ONCE, Alert, Group, Record, RuleFile

FOLDED_FROM = 100
"""Characters of a text from which on it is folded over lines, without quotes to escape."""

HEADER = "# Made by `python -m rules` from the catalogue and the configuration; changes here are lost.\n"
OPERATOR_NOTE = (
    "# The same groups as in ../prometheus. The {{ }} are Prometheus' own: apply this as it is; a Helm template would\n"
    "# have to quote them.\n"
)


def prometheus(file: RuleFile) -> str:
    """Return a rule file for Prometheus' rule_files."""
    return HEADER + dump({"groups": [_group(group) for group in file.groups]})


def operator(file: RuleFile) -> str:
    """Return the same as a custom resource of prometheus-operator."""
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": file.name, "labels": {"app.kubernetes.io/name": "unitcost"}},
        "spec": {"groups": [_group(group) for group in file.groups]},
    }
    return HEADER + OPERATOR_NOTE + dump(resource)


def _group(group: Group) -> dict[str, Any]:
    return {"name": group.name, "rules": [_rule(rule) for rule in group.rules]}


def _rule(rule: Record | Alert) -> dict[str, Any]:
    if isinstance(rule, Record):
        return {"record": rule.metric.name, "expr": layout(rule.expression)}
    made: dict[str, Any] = {"alert": rule.name, "expr": layout(rule.expression)}
    if rule.wait != AT_ONCE:
        made["for"] = rule.wait
    if rule.keep != AT_ONCE:
        made["keep_firing_for"] = rule.keep
    made["labels"] = {"severity": rule.severity, "owner": rule.owner}
    made["annotations"] = {
        "summary": rule.summary.strip(),
        "description": rule.description.strip(),
        "runbook_url": rule.runbook,
        "dashboard": rule.dashboard,
    }
    return made


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, and texts of several lines as they are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else ">" if len(text) > FOLDED_FROM else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(content: Any) -> str:
    """Return YAML in which long texts can be read."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
