"""The chart as Helm 4's own engine renders it, and Kubernetes' and the operators' schemas to hold it against."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "unitcost"
CRDS = ROOT / "tests" / "data" / "crds"
KUBERNETES = ("1.27", "1.32", "1.37")

Object = dict[str, Any]


class Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: `=` is a text."""

    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        **yaml.CSafeLoader.yaml_constructors,
        "tag:yaml.org,2002:value": yaml.CSafeLoader.construct_yaml_str,
    }


def load_all(text: str) -> list[Object]:
    return [document for document in yaml.load_all(text, Loader) if document]


def helm() -> Any:
    """Return Helm's engine, which only some machines have a build of."""
    import helm_python  # noqa: PLC0415

    return helm_python


@cache
def _chart() -> Any:
    return helm().Chart.load(str(CHART))


def files_of(values: Mapping[str, Any], name: str = "unitcost", namespace: str = "finops") -> dict[str, str]:
    """Return template → text; values are checked against the chart's schema first, as Helm does."""
    chart = _chart()
    chart.validate_schema(dict(values))
    rendered: dict[str, str] = chart.render(dict(values), name=name, namespace=namespace)
    return {path.removeprefix("unitcost/templates/"): text for path, text in rendered.items()}


def render(values: Mapping[str, Any], name: str = "unitcost", namespace: str = "finops") -> list[Object]:
    """Return the objects that an installation makes."""
    texts = files_of(values, name, namespace)
    return [one for path, text in sorted(texts.items()) if path != "NOTES.txt" for one in load_all(text)]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [one for one in objects if one["kind"] == kind]


@cache
def custom() -> dict[tuple[str, str], Object]:
    """Return (apiVersion, kind) → the schema that an API server checks, with unknown fields as mistakes."""
    found = {}
    for path in CRDS.iterdir():
        [definition] = load_all(path.read_text(encoding="utf-8"))
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = _strict(schema)
    return found


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    closed = schema.get("type") == "object" and isinstance(schema.get("properties"), dict)
    if closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        made.pop("type", None)
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        made["type"] = [schema["type"], "null"]
    return made


def wrong(objects: list[Object]) -> Iterator[str]:
    """Yield what an API server of any of these versions would refuse."""
    for one in objects:
        where = f"{one['kind']} {one['metadata']['name']}"
        schema = custom().get((one["apiVersion"], one["kind"]))
        if schema is not None:
            for mistake in jsonschema.Draft202012Validator(schema).iter_errors(one):
                yield f"{where}: {mistake.json_path}: {mistake.message[:300]}"
            continue
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as mistake:
                yield f"{where}: {version}: {mistake.message[:300]}"
