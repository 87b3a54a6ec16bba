"""The JSON schema of unitcost.yaml: what an editor or a chart may check of the file without unitcost.

It is made of the same classes that read the file, and refuses nothing that these accept: ${NAME} of the environment may
stand in any text, and so in the place of any number, choice or pattern. What only the whole file or the machine can
tell (shares that sum to 1, files that are there) is left to `unitcost check`.

Secrets are `writeOnly`. Draft 2020-12, without anything that draft-07 has not but for `$defs`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from unitcost.config.model import Config
from unitcost.config.model_schema import TEXTS, OfTheFile, by_type
from unitcost.config.variables import VARIABLE
from unitcost.sources.base import Section
from unitcost.sources.registry import TYPES

Node = dict[str, Any]

BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Names of bounds that pydantic leaves on what it does not know for a number."""
LENGTHS = {"minLength": "minItems", "maxLength": "maxItems"}
ABOUT = ("default", "description")


def schema() -> Node:
    """Return the schema of the whole file; each call a new one."""
    kinds = {kind: TYPES[kind].settings for kind in sorted(TYPES)}
    classes: list[type[Section]] = [Config, *kinds.values()]
    models: list[tuple[type[Section], JsonSchemaMode]] = [(one, "validation") for one in classes]
    found, whole = models_json_schema(models, schema_generator=OfTheFile)
    definitions = {name: _of_the_file(one) for name, one in sorted(whole["$defs"].items())}
    source = by_type({kind: found[settings, "validation"] for kind, settings in kinds.items()})
    definitions["Source"] = _of_the_file({"description": "Where costs, usage or revenue come from.", **source})
    root: Node = definitions.pop(_name(found[Config, "validation"]))
    root["properties"]["sources"] |= {"minProperties": 1, "additionalProperties": {"$ref": "#/$defs/Source"}}
    return {"$defs": dict(sorted(definitions.items())), **root}


def _name(reference: Node) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _of_the_file(given: Node) -> Node:
    """Return a schema by pydantic as one of what the file holds, and all that is in it; its words are sorted."""
    return dict(sorted(_converted(given).items()))


def _converted(given: Node) -> Node:
    node = {BOUNDS.get(key, key): value for key, value in given.items() if key != "title"}
    node |= {bound: _number(node[bound]) for bound in BOUNDS.values() if bound in node}
    if "properties" in node:
        node["properties"] = {name: _of_the_file(one) for name, one in node["properties"].items()}
    for pattern, value in node.pop("patternProperties", {}).items():  # there is but one, and no key is beside it
        node["propertyNames"], node["additionalProperties"] = {"pattern": pattern}, value
    for key in ("items", "additionalProperties", "then"):
        if isinstance(node.get(key), dict):
            node[key] = _of_the_file(node[key])
    if "allOf" in node:
        node["allOf"] = [_of_the_file(one) for one in node["allOf"]]
    if "anyOf" in node:
        return _any_of(node, [_of_the_file(one) for one in node.pop("anyOf")])
    return _of_a_list(node) if node.get("type") == "array" else _or_variable(node)


def _number(bound: object) -> float:
    """Return a bound as the number that it is, where pydantic leaves a Decimal or a text of it."""
    exact = Decimal(str(bound))
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def _of_a_list(node: Node) -> Node:
    """Return a schema of lists with lengths that are those of lists, where pydantic takes them for a text's."""
    return {LENGTHS.get(key, key): value for key, value in node.items()}


def _any_of(node: Node, members: list[Node]) -> Node:
    """Return a schema of alternatives: one flat schema of several types where that says the same.

    Of alternatives only the flat one has an error that says what is wrong with a value.
    """
    flat: Node = {}
    apart: list[Node] = []
    for one in (inner for member in members for inner in member.get("anyOf", [member])):
        types = _types(one)
        if "$ref" in one or "enum" in one or "const" in one:
            apart.append(one)
        elif not set(types) & set(_types(flat)):
            flat = {**flat, **one, "type": [*_types(flat), *types]}
        elif one != AS_VARIABLE:  # which every schema of texts takes
            apart.append(one)
    if "array" in _types(flat):
        node = _of_a_list(node)
    if not apart:
        return {**flat, **node}
    return {"anyOf": [*apart, *([flat] if flat else [])], **node}


def _types(node: Node) -> list[str]:
    found = node.get("type", [])
    return [found] if isinstance(found, str) else list(found)


AS_VARIABLE: Node = {"type": "string", "pattern": VARIABLE}


def _or_variable(node: Node) -> Node:
    """Return a schema that takes a text with a variable as well.

    The text's own length says nothing then of that of its value; nor has it a format, but for being a secret.
    """
    if "enum" in node or "const" in node:
        about = {key: node.pop(key) for key in ABOUT if key in node}
        return {"anyOf": [node, AS_VARIABLE], **about}
    types = _types(node)
    node = {key: value for key, value in node.items() if key != "maxLength" or "string" not in types}
    if node.get("format") != "password":
        node.pop("format", None)
    if "string" in types:
        return {**node, "pattern": f"{node['pattern']}|{VARIABLE}"} if "pattern" in node else node
    for kind in types:
        if kind in TEXTS:
            number = {"minimum": 0, "maximum": 1} if kind == "boolean" else {}
            types = [*types, *(["integer"] if number else []), "string"]
            return {**node, **number, "type": types, "pattern": f"{TEXTS[kind]}|{VARIABLE}"}
    return node
