"""values.schema.json: the chart's typed values, and below `config` the schema of unitcost.yaml itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from helm.values import Values
from unitcost.config.schema import schema as of_config

Node = dict[str, Any]

VARIABLE = r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"
FROM_ENVIRONMENT = {
    "type": "string",
    "if": {"pattern": VARIABLE},
    "else": {"const": "${NAME}, of extraEnv with a secretKeyRef, or a *_file of files"},
}
"""What a secret must be; in these words, as the message about a pattern would hold the secret."""
SECRET_HEADERS = "|".join(
    "".join(f"[{letter.upper()}{letter}]" for letter in word) for word in ("auth", "key", "token", "secret", "cookie")
)
"""Header names whose values are secrets; others, such as X-Scope-OrgID, may stand in the file."""


def values_schema() -> str:
    """Return the schema as JSON. Secrets below `config` must be ${NAME}: a ConfigMap shows its content to many."""
    renamed = json.loads(json.dumps(of_config()).replace("#/$defs/", "#/$defs/unitcost.yaml."))
    config = _each(renamed, _from_environment)
    parts = {f"unitcost.yaml.{name}": part for name, part in config.pop("$defs").items()}
    made = _each(Values.model_json_schema(mode="validation"), _tidied)
    made["$defs"] |= {"unitcost.yaml": config, **parts}
    description = made["properties"]["config"]["description"]
    made["properties"]["config"] = {"description": description, "$ref": "#/$defs/unitcost.yaml"}
    made["properties"]["global"] = {"type": "object", "description": "Of charts that hold this one; not used."}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **made}, indent=1) + "\n"


def _each(node: Any, change: Callable[[Node], Node]) -> Any:
    """Return a schema with every mapping in it changed, the innermost first."""
    if isinstance(node, list):
        return [_each(one, change) for one in node]
    if not isinstance(node, dict):
        return node
    return change({key: _each(value, change) for key, value in node.items()})


def _from_environment(node: Node) -> Node:
    if node.get("writeOnly"):
        about = {"description": node["description"]} if "description" in node else {}
        return {"writeOnly": True, **about, **FROM_ENVIRONMENT}
    others = node.get("additionalProperties")
    if isinstance(others, dict) and others.get("writeOnly"):
        return {**node, "patternProperties": {SECRET_HEADERS: others}, "additionalProperties": {"type": "string"}}
    return node


def _tidied(node: Node) -> Node:
    """Return a schema by pydantic without its title; keys of a map that has a pattern for them must fit it."""
    made = {key: value for key, value in node.items() if key != "title" or isinstance(value, dict)}
    return made | ({"additionalProperties": False} if "patternProperties" in made else {})
