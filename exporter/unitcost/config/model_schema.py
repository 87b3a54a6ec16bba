"""JSON schemas of the classes of unitcost.yaml, as pydantic makes them, of what the file holds and in its own words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from unitcost.durations import DURATION, spelt_duration
from unitcost.sizes import SIZE, spelt_size

DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
WHOLE = r"^\s*[-+]?[0-9][0-9_]*(\.0*)?\s*$"
NUMBER = r"^\s*[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?\s*$"
SWITCH = r"^([Tt](rue|RUE)?|[Ff](alse|ALSE)?|[Yy](es|ES)?|[Nn][Oo]?|[Oo](n|N|ff|FF)|0|1)$"
TEXTS = {"integer": WHOLE, "number": NUMBER, "boolean": SWITCH}
"""The texts that are taken for a value of another type, as a variable's always is one."""


class OfTheFile(GenerateJsonSchema):
    """Says durations, days and decimals as the file does, and each key's meaning as the docstring of its class does."""

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        """Return a copy: older versions of pydantic write a key's default into what its type says of itself."""
        return {**super().generate_inner(schema)}

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        """Return that of a duration such as 5m."""
        return {"type": "string", "pattern": DURATION}

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        """Return that of a day such as 2026-11-01."""
        return {"type": "string", "pattern": DAY}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Return that of a number; texts of one are added for all numbers alike."""
        found: JsonSchemaValue = {"type": "number"}
        self.update_with_validations(found, schema, self.ValidationsMapping.numeric)
        return found

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Return that of a mapping, whose keys are texts even where they are numbers."""
        found = super().dict_schema(schema)
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        return found | ({"propertyNames": {"pattern": TEXTS["integer"]}} if keys.get("type") == "integer" else {})

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return that of a value with its default, if there is something to say of it."""
        found = super().default_schema(schema)
        if found.get("default") in (None, {}, [], ""):
            found.pop("default", None)
        elif found.get("pattern") == SIZE:
            found["default"] = spelt_size(found["default"])
        return found

    def encode_default(self, dft: Any) -> Any:
        """Return a default as the file has it; of a section, the keys that differ from its own defaults."""
        return _spelt(dft)

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return that of a section."""
        found = super().model_schema(schema)
        summary, meanings = described(schema["cls"])
        found["description"] = summary
        for name, meaning in meanings.items():
            found["properties"][name]["description"] = meaning
        return found

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Return that of sections which `type` tells apart, or what pydantic makes of others."""
        choices = {str(tag).strip("<>"): self.generate_inner(choice) for tag, choice in schema["choices"].items()}
        if all("$ref" in choice for choice in choices.values()):
            return by_type(choices)
        return {"anyOf": list(choices.values())}


def by_type(choices: Mapping[str, JsonSchemaValue]) -> JsonSchemaValue:
    """Return the schema of a section of one of several types, so that a mistake in it is one of its own type."""
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(choices), "description": "what it is; the other keys depend on it."}},
        "allOf": [
            {
                "if": {"type": "object", "required": ["type"], "properties": {"type": {"const": kind}}},
                "then": choice,
            }
            for kind, choice in choices.items()
        ],
    }


def _spelt(value: Any) -> Any:
    """Return a value as JSON has what the file holds."""
    if isinstance(value, BaseModel):
        return {name: _spelt(getattr(value, name)) for name in sorted(value.model_fields_set)}
    if isinstance(value, Mapping):
        return {str(key): _spelt(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelt(one) for one in value]
    if isinstance(value, (Decimal, float)):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, timedelta):
        return spelt_duration(value)
    return value.as_posix() if isinstance(value, Path) else value


def described(section: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return what a section's docstring says of it, and of each of its keys, by the names that the file has for them.

    `name: text`, or `name, other: text`, is about keys; what stands before the first is about the section. A key that
    is not told of there is told of by the class that it comes from.
    """
    meanings: dict[str, str] = {}
    for cls in section.__mro__:
        for name, text in _told(cls)[1].items():
            meanings.setdefault(name, text)
    for name in section.model_fields:
        if name.endswith("_file") and name.removesuffix("_file") in section.model_fields:
            meanings.setdefault(name, f"the file that {name.removesuffix('_file')} is read from.")
    keys = section.model_fields.items()
    return _told(section)[0], {field.alias or name: meanings[name] for name, field in keys if name in meanings}


def _told(cls: type) -> tuple[str, dict[str, str]]:
    text = " ".join((cls.__doc__ or "").split())
    names = sorted({name for base in cls.__mro__ for name in inspect.get_annotations(base)})
    if not names:
        return text, {}
    name = "|".join(names)
    summary, *parts = re.split(rf"(?:(?<=^)|(?<=[.;:] ))((?:{name})(?:, (?:{name}))*): ", text)
    told = zip(parts[::2], parts[1::2], strict=True)
    return summary.strip(), {name: about.strip(" ;") for named, about in told for name in named.split(", ")}
