"""SQL over the Tags of a FOCUS file: JSON text, a MAP (AWS), a list of key and value (GCP) or a STRUCT.

JSON text may be an object, or a list of pairs: [{"Key": …, "Value": …}]. A value is a text, a number or a boolean;
what is none (an object, a list, the word null) names nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from unitcost.sources.bills.focus.scan import Schema, literal
from unitcost.sources.bills.focus.stage import tag_value

CLUSTER_TAGS = ("aws:eks:cluster-name", "eks:cluster-name", "goog-k8s-cluster-name", "aks-managed-cluster-name")
CLUSTER_NAME = "cluster-name"
"""What all of CLUSTER_TAGS contain."""
CLUSTER_PREFIX = "kubernetes.io/cluster/"
ANY_PREFIX = "kubernetes.io/"
SEPARATORS = r"[-_.:/\s]"
"""By which a key may be spelt otherwise."""
AS_JSON = "json_extract_string(to_json({}), '$')"
"""SQL that makes a nested value JSON text, which is told from a name; a plain cast would write {'v': acme}."""


@dataclass(frozen=True)
class Tags:
    """The Tags column as one of three shapes; `column` is SQL for it.

    value: SQL that makes a value of a map or a pair text. pair: the fields of a pair that hold its key and its value.
    """

    shape: Literal["json", "map", "pairs", "none"]
    column: str
    value: str = "CAST({} AS VARCHAR)"
    pair: tuple[str, str] = ("key", "value")

    @classmethod
    def of(cls, schema: Schema) -> Tags:
        """Return the tags of files with this schema."""
        if not schema.has("Tags"):
            return cls("none", "NULL::VARCHAR")
        kind, raw = schema.type("Tags"), schema.raw("Tags")
        nested = re.search(r"[(, ](STRUCT|MAP|JSON)|\[\]\)", kind)
        value = AS_JSON if nested else cls.value
        if kind.startswith("MAP"):
            return cls("map", raw, value)
        if kind.startswith("STRUCT") and kind.endswith("[]"):
            pair = _pair(kind)
            return cls("pairs", raw, value, pair) if pair else cls("none", "NULL::VARCHAR")
        if kind.startswith("STRUCT"):
            return cls("json", f"CAST(to_json({raw}) AS VARCHAR)")
        text = raw if kind == "VARCHAR" else f"CAST({raw} AS VARCHAR)"
        listed = f"CASE WHEN {text}[1] = '[' THEN {_as_object(text)} ELSE {text} END"
        return cls("json", listed if schema.lists else text)

    @staticmethod
    def unreadable(kind: str) -> bool:
        """Tell whether a column of this type is a list of structs without a key and a value."""
        return kind.startswith("STRUCT") and kind.endswith("[]") and _pair(kind) is None

    def get_all(self, keys: Sequence[str]) -> list[str]:
        """Return SQL for the value of each key as text, over `found_tags`, the column that `parsed` makes."""
        if self.shape == "json":
            return ["found_tags"] if len(keys) == 1 else [f"found_tags[{at}]" for at in range(1, len(keys) + 1)]
        return [self.get(key) for key in keys]

    def parsed(self, keys: Sequence[str]) -> str:
        """Return SQL for `found_tags`: JSON is parsed once for all keys, and to NULL where it is no JSON."""
        if self.shape != "json" or not keys:
            return "NULL"
        paths = ", ".join(literal(_path(key)) for key in keys)
        return f"TRY(json_extract_string({self.column}, {paths if len(keys) == 1 else f'[{paths}]'}))"

    def get(self, key: str) -> str:
        """Return SQL for one value as text."""
        if self.shape == "json":
            return f"json_extract_string({self.column}, {literal(_path(key))})"
        if self.shape == "map":
            column: exp.Expression = exp.maybe_parse(self.column, dialect="duckdb")
            return self.value.format(tag_value("map", key, column).sql("duckdb"))
        if self.shape == "pairs":
            name, value = self.pair
            found = f"list_filter({self.column}, lambda tag: tag.{name} = {literal(key)})[1].{value}"
            return self.value.format(found)
        return "NULL::VARCHAR"

    def keys(self) -> str:
        """Return SQL for the list of all keys; NULL where the text is no JSON."""
        if self.shape == "json":
            return f"TRY(json_keys({self.column}))"
        if self.shape == "map":
            return f"map_keys({self.column})"
        if self.shape == "pairs":
            return f"list_transform({self.column}, lambda tag: tag.{self.pair[0]})"
        return "NULL::VARCHAR[]"

    def present(self) -> str:
        """Return SQL that tells whether a row has tags at all."""
        if self.shape == "json":
            # No trim: over a million rows it takes longer than all the rest of the scan.
            return f"coalesce({self.column} NOT IN ('', ' ', '{{}}', '{{ }}', 'null', 'NULL'), false)"
        return "false" if self.shape == "none" else f"coalesce(len({self.keys()}) > 0, false)"

    def broken(self) -> str:
        """Return SQL that tells whether a row's tags are neither a JSON object nor a list of pairs."""
        if self.shape != "json":
            return "false"
        return f"({self.present()} AND (NOT json_valid({self.column}) OR starts_with({self.column}, '[')))"

    def similar(self, keys: Sequence[str]) -> str:
        """Return SQL that tells whether a row may have a key that differs from these by case or separators only."""
        if self.shape == "json":
            # With the quotes around it: the first is found fast, and a value that only holds the key is no such key.
            between = SEPARATORS.replace("]", r"\\]*")
            looks = "|".join(between.join(["", *map(re.escape, key), ""]) for key in sorted(map(_bare, keys)))
            pattern = literal(f'(?i)"({looks})"')
            return f"coalesce(regexp_matches({self.column}, {pattern}), false)"
        return f"coalesce(len(list_filter({self.keys()}, lambda key: {self.is_similar(keys)})) > 0, false)"

    @staticmethod
    def is_similar(keys: Sequence[str]) -> str:
        """Return SQL that tells whether `key` differs from all of these, and from one by case or separators only."""
        plain = ", ".join(literal(key) for key in sorted({_bare(key) for key in keys}))
        same = f"regexp_replace(lower(key), '{SEPARATORS}', '', 'g') IN ({plain})"
        return f"{same} AND key NOT IN ({', '.join(map(literal, keys))})"

    def cluster(self) -> str:
        """Return SQL for the Kubernetes cluster that the tags name, '' where they only say it is one, else NULL."""
        if self.shape == "none":
            return "NULL::VARCHAR"
        found = [f"nullif({self.get(key)}, '')" for key in CLUSTER_TAGS]
        owned = f"list_min(list_filter({self.keys()}, lambda key: starts_with(key, '{CLUSTER_PREFIX}')))"
        some = f"len(list_filter({self.keys()}, lambda key: starts_with(key, '{ANY_PREFIX}'))) > 0"
        found += [f"substr({owned}, {len(CLUSTER_PREFIX) + 1})", f"CASE WHEN {some} THEN '' END"]
        first = f"coalesce({', '.join(found)})"
        if self.shape != "json":
            return first
        # Most rows are told apart by their text alone, which is much faster than to read its keys. Some writers escape
        # the slash; without it the text is long enough.
        maybe = " OR ".join(f"contains({self.column}, '{mark}')" for mark in (CLUSTER_NAME, ANY_PREFIX.rstrip("/")))
        return f"CASE WHEN {maybe} THEN TRY({first}) END"


def first_named(values: Sequence[str]) -> str:
    """Return SQL for the first of these values that is a name; NULL without any."""
    names = [named(value) for value in values]
    return names[0] if len(names) == 1 else f"coalesce({', '.join(names) or 'NULL::VARCHAR'})"


def named(value: str) -> str:
    """Return SQL for a tag's value as the name that it is; NULL for an object, a list and the word null."""
    nothing = f"lower({value}) IN ('', 'null') OR (({value}[1] = '{{' OR {value}[1] = '[') AND json_valid({value}))"
    return f"CASE WHEN {nothing} THEN NULL ELSE {value} END"


def _pair(kind: str) -> tuple[str, str] | None:
    """Return the fields of a list of structs that hold key and value."""
    fields = {name.lower(): name for name in re.findall(r'(?:^STRUCT\(|, )"?(\w+)"? ', kind)}
    key = next((fields[name] for name in ("key", "name") if name in fields), None)
    value = next((fields[name] for name in ("value", "val") if name in fields), None)
    return (f'"{key}"', f'"{value}"') if key and value else None


def _as_object(text: str) -> str:
    """Return SQL that makes a JSON list of pairs an object; what is none, or has a key twice, stays as it is."""
    keys, values = (
        ", ".join(f"tag{arrow}'$.{name}'" for name in names)
        for arrow, names in (("->>", ("Key", "key", "Name", "name")), ("->", ("Value", "value", "Val", "val")))
    )
    pair = f"{{k: CASE WHEN coalesce({values}) IS NOT NULL THEN coalesce({keys}) END, v: coalesce({values})}}"
    pairs = f"list_transform(json_extract({text}, '$[*]'), lambda tag: {pair})"
    return f"coalesce(TRY(CAST(to_json(map_from_entries({pairs})) AS VARCHAR)), {text})"


def _bare(key: str) -> str:
    """Return a key without what it may be spelt with otherwise."""
    return re.sub(SEPARATORS, "", key).lower()


def _path(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{escaped}"'
