"""SQL over the Tags of a FOCUS file: JSON text, a MAP (AWS), a list of key and value (GCP) or a STRUCT."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from unitcost.sources.focus_scan import Schema, literal

CLUSTER_TAGS = ("aws:eks:cluster-name", "eks:cluster-name", "goog-k8s-cluster-name", "aks-managed-cluster-name")
CLUSTER_PREFIX = "kubernetes.io/cluster/"
ANY_PREFIX = "kubernetes.io/"
CLUSTER_MARKS = (*CLUSTER_TAGS, ANY_PREFIX)
"""What marks a charge as Kubernetes: tag keys, and the prefix of tag keys."""


@dataclass(frozen=True)
class Tags:
    """The Tags column as one of three shapes; `column` is SQL for it."""

    shape: Literal["json", "map", "pairs", "none"]
    column: str

    @classmethod
    def of(cls, schema: Schema) -> Tags:
        """Return the tags of files with this schema."""
        if not schema.has("Tags"):
            return cls("none", "NULL::VARCHAR")
        kind, raw = schema.type("Tags"), schema.raw("Tags")
        if kind.startswith("MAP"):
            return cls("map", raw)
        if kind.startswith("STRUCT") and kind.endswith("[]"):
            return cls("pairs", raw)
        if kind.startswith("STRUCT"):
            return cls("json", f"CAST(to_json({raw}) AS VARCHAR)")
        return cls("json", raw if kind == "VARCHAR" else f"CAST({raw} AS VARCHAR)")

    def get_all(self, keys: Sequence[str]) -> list[str]:
        """Return SQL for the value of each key as text, over `found`, the column that `parsed` makes."""
        if self.shape == "json":
            return ["found"] if len(keys) == 1 else [f"found[{at}]" for at in range(1, len(keys) + 1)]
        return [self.get(key) for key in keys]

    def parsed(self, keys: Sequence[str]) -> str:
        """Return SQL for `found`: JSON is parsed once for all keys, and to NULL where it is no JSON."""
        if self.shape != "json" or not keys:
            return "NULL"
        paths = ", ".join(literal(_path(key)) for key in keys)
        return f"TRY(json_extract_string({self.column}, {paths if len(keys) == 1 else f'[{paths}]'}))"

    def get(self, key: str) -> str:
        """Return SQL for one value as text."""
        if self.shape == "json":
            return f"json_extract_string({self.column}, {literal(_path(key))})"
        if self.shape == "map":
            return f"CAST({self.column}[{literal(key)}] AS VARCHAR)"
        if self.shape == "pairs":
            return f"CAST(list_filter({self.column}, lambda tag: tag.key = {literal(key)})[1].value AS VARCHAR)"
        return "NULL::VARCHAR"

    def keys(self) -> str:
        """Return SQL for the list of all keys; NULL where the text is no JSON."""
        if self.shape == "json":
            return f"TRY(json_keys({self.column}))"
        if self.shape == "map":
            return f"map_keys({self.column})"
        if self.shape == "pairs":
            return f"list_transform({self.column}, lambda tag: tag.key)"
        return "NULL::VARCHAR[]"

    def present(self) -> str:
        """Return SQL that tells whether a row has tags at all."""
        if self.shape == "json":
            # No trim: over a million rows it takes longer than all the rest of the scan.
            return f"coalesce({self.column} NOT IN ('', ' ', '{{}}', '{{ }}', 'null', 'NULL'), false)"
        return "false" if self.shape == "none" else f"coalesce(len({self.keys()}) > 0, false)"

    def broken(self) -> str:
        """Return SQL that tells whether a row's tags are no JSON."""
        return f"({self.present()} AND NOT json_valid({self.column}))" if self.shape == "json" else "false"

    def marks(self) -> list[str]:
        """Return SQL that tells, for each of CLUSTER_MARKS, whether a row may have such a tag; never wrongly no."""
        if self.shape == "none":
            return ["false"] * len(CLUSTER_MARKS)
        if self.shape == "json":
            return [f"coalesce(contains({self.column}, '{_in_json(mark)}'), false)" for mark in CLUSTER_MARKS]
        any_key = f"list_filter({self.keys()}, lambda key: starts_with(key, '{ANY_PREFIX}'))"
        return [*(f"{self.get(key)} IS NOT NULL" for key in CLUSTER_TAGS), f"coalesce(len({any_key}) > 0, false)"]

    def cluster(self, marks: Collection[str]) -> str:
        """Return SQL for the Kubernetes cluster that the tags name, '' where they only say that it is one, else NULL.

        marks: those of CLUSTER_MARKS that occur at all; the others are not looked for.
        """
        if self.shape == "none":
            return "NULL::VARCHAR"
        found = [f"nullif({self.get(key)}, '')" for key in CLUSTER_TAGS if key in marks]
        if ANY_PREFIX in marks:
            owned = f"list_min(list_filter({self.keys()}, lambda key: starts_with(key, '{CLUSTER_PREFIX}')))"
            some = f"len(list_filter({self.keys()}, lambda key: starts_with(key, '{ANY_PREFIX}'))) > 0"
            found += [f"substr({owned}, {len(CLUSTER_PREFIX) + 1})", f"CASE WHEN {some} THEN '' END"]
        first = f"coalesce({', '.join(found)})"
        if self.shape != "json":
            return first
        maybe = " OR ".join(f"contains({self.column}, '{_in_json(mark)}')" for mark in CLUSTER_MARKS if mark in marks)
        return f"CASE WHEN {maybe} THEN TRY({first}) END"


def _in_json(mark: str) -> str:
    # Some writers escape the slash; without it the text is long enough.
    return mark.rstrip("/")


def _path(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{escaped}"'
