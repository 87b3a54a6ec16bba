"""What each engine calls what the rows of a bill are made of, written by hand: types, casts, times, tags.

sqlglot translates the sums (stage.py); but of casts that may fail, times with a zone, JSON and MAPs it is silent about
most of what an engine has otherwise. Athena is Trino here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from unitcost.facts import LARGEST_AMOUNT
from unitcost.sources.bills.focus.stage import tag_value
from unitcost.sources.bills.focus.tags import ANY_PREFIX, CLUSTER_PREFIX, CLUSTER_TAGS

Kind = Literal["text", "time", "zoned", "date", "exact", "double", "float", "map", "json", "pairs", "other"]

KINDS: tuple[tuple[str, Kind], ...] = (
    (r"(var)?char.*|string.*|text", "text"),
    (r"timestamp.* with time zone|timestamp_ltz", "zoned"),
    (r"timestamp.*|datetime", "time"),
    (r"date", "date"),
    (r"(decimal|numeric|bignumeric).*|(tiny|small|big)?int(eger|64)?|long|short|byte", "exact"),
    (r"double( precision)?|float64", "double"),
    (r"real|float", "float"),
    (r"map *[<(].*", "map"),
    (r"json", "json"),
    (r"array *[<(] *(struct|row) *[<(].*", "pairs"),
)
"""Types as Athena, BigQuery, Trino and Spark spell them, in lower case → what they are."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its name and its type as the engine spells them."""

    name: str
    type: str

    @property
    def kind(self) -> Kind:
        """What its type is."""
        kind = self.type.strip().lower()
        return next((found for pattern, found in KINDS if re.fullmatch(pattern, kind)), "other")


@dataclass(frozen=True)
class Dialect:
    """How an engine writes things. name: sqlglot's.

    exact, ledger: decimals with 18 and 12 places (BIGNUMERIC has 38). try_cast: gives NULL for what cannot be cast.
    """

    name: str
    text: str = "VARCHAR"
    time: str = "TIMESTAMP"
    try_cast: str = "TRY_CAST"
    exact: str = "DECIMAL(38, 18)"
    ledger: str = "DECIMAL(38, 12)"
    quote: str = '"'
    json_text: str = "JSON_FORMAT({})"
    size: str = "CARDINALITY({})"

    def identifier(self, name: str) -> str:
        """Return SQL for a column."""
        return f"{self.quote}{name}{self.quote}"

    def literal(self, text: str) -> str:
        """Return SQL for a text."""
        return exp.Literal.string(text).sql(self.name)

    def cast(self, value: str, kind: str) -> str:
        """Return SQL for a value as another type."""
        return f"CAST({value} AS {kind})"

    def given(self, column: Column) -> str:
        """Return SQL that is NULL where a column holds nothing, the string NULL included."""
        name = self.identifier(column.name)
        return f"NULLIF(NULLIF({name}, 'NULL'), '')" if column.kind == "text" else name

    def as_time(self, column: Column) -> str:
        """Return SQL for a UTC time; NULL for a text that is none, or that is not one of UTC."""
        value = self.given(column)
        if column.kind == "text":
            utc = " OR ".join([f"LENGTH({value}) <= 19", *(f"{value} LIKE '%{end}'" for end in ("Z", "UTC", "+00:00"))])
            whole = f"REPLACE(SUBSTR({value}, 1, 19), 'T', ' ')"
            return f"CASE WHEN {utc} THEN {self.try_cast}({whole} AS {self.time}) END"
        if column.kind == "zoned":
            return self.cast(f"{value} AT TIME ZONE 'UTC'", self.time)
        return self.cast(value, self.time)

    def as_cost(self, column: Column) -> str:
        """Return SQL for a cost, exact (a double as the decimal that it prints as); NULL for what cannot be counted."""
        value, kind = self.given(column), self.exact
        if column.kind == "double":
            value, kind = self.cast(value, self.text), self.ledger
        elif column.kind == "float":
            value = self.cast(value, self.text)
        cost = f"{self.try_cast}({value} AS {kind})"
        return f"CASE WHEN {cost} BETWEEN -{LARGEST_AMOUNT:f} AND {LARGEST_AMOUNT:f} THEN {cost} END"

    def moment(self, column: Column, utc: str) -> str:
        """Return SQL for a UTC time ("2026-10-01 11:00:00") as a column has them."""
        return f"TIMESTAMP '{utc} UTC'" if column.kind == "zoned" else f"TIMESTAMP '{utc}'"

    def tag(self, tags: Column, key: str) -> str:
        """Return SQL for the value of a tag as text; NULL without one."""
        kind: Literal["json", "map"] = "map" if tags.kind == "map" else "json"
        value = tag_value(kind, key, exp.column(tags.name, quoted=True)).sql(self.name)
        return self.cast(value, self.text) if kind == "map" else value

    def tagged(self, tags: Column) -> str:
        """Return SQL that tells whether a row has tags at all."""
        name = self.identifier(tags.name)
        if tags.kind in {"map", "pairs"}:
            return f"{self.size.format(name if tags.kind == 'pairs' else f'MAP_KEYS({name})')} > 0"
        return f"TRIM({self.tags_text(tags)}) NOT IN ('', '{{}}', '{{ }}', 'null', 'NULL')"

    def tags_text(self, tags: Column) -> str:
        """Return SQL for tags that are JSON as text."""
        name = self.identifier(tags.name)
        return self.json_text.format(name) if tags.kind == "json" else name

    def clusters(self, tags: Column) -> tuple[list[str], str]:
        """Return SQL for the Kubernetes cluster that tags name, in each way; and '' where they only say it is one."""
        name, some = self.owned(tags)
        return [*(f"NULLIF({self.tag(tags, key)}, '')" for key in CLUSTER_TAGS), name], some

    def owned(self, tags: Column) -> tuple[str, str]:
        """Return SQL for what the keys kubernetes.io/… say: the cluster's name, and '' where there is any of them."""
        if tags.kind == "map":
            return self.owned_by(f"MAP_KEYS({self.identifier(tags.name)})")
        text = self.tags_text(tags)
        name = self.found(text, f'"{CLUSTER_PREFIX}([^"]+)"')
        return name, f"CASE WHEN {text} LIKE '%\"{ANY_PREFIX}%' THEN '' END"

    def owned_by(self, keys: str) -> tuple[str, str]:
        """Return SQL for what a list of keys says, as owned() does."""
        names = f"ARRAY_MIN(FILTER({keys}, k -> k LIKE '{CLUSTER_PREFIX}%'))"
        some = self.size.format(f"FILTER({keys}, k -> k LIKE '{ANY_PREFIX}%')")
        return f"NULLIF(SUBSTR({names}, {len(CLUSTER_PREFIX) + 1}), '')", f"CASE WHEN {some} > 0 THEN '' END"

    def found(self, text: str, pattern: str) -> str:
        """Return SQL for the first group of a regular expression; NULL where it does not match."""
        return f"NULLIF(REGEXP_EXTRACT({text}, {self.literal(pattern)}, 1), '')"


class _BigQuery(Dialect):
    """BigQuery: times are DATETIME, which has no zone; tags are JSON, or a list of key and value."""

    def moment(self, column: Column, utc: str) -> str:
        """Return SQL for a TIMESTAMP, which is a moment, or a DATETIME, which is not."""
        return f"TIMESTAMP '{utc}+00'" if column.type.upper() == "TIMESTAMP" else f"DATETIME '{utc}'"

    def tag(self, tags: Column, key: str) -> str:
        """Return SQL for a value; a path of JSON_VALUE quotes keys with colons and dots as JSON does."""
        name = self.identifier(tags.name)
        if tags.kind == "pairs":
            return self.cast(tag_value("pairs", key, exp.column(tags.name, quoted=True)).sql(self.name), self.text)
        inner = key.replace("\\", "\\\\").replace('"', '\\"')
        return f"JSON_VALUE({name}, {self.literal(f'$.{chr(34)}{inner}{chr(34)}')})"

    def owned(self, tags: Column) -> tuple[str, str]:
        """Return SQL for what the keys say; a list is asked by a subquery."""
        if tags.kind != "pairs":
            return super().owned(tags)
        name = self.identifier(tags.name)
        keys = f"FROM UNNEST({name}) WHERE key LIKE"
        return (
            f"(SELECT NULLIF(SUBSTR(MIN(key), {len(CLUSTER_PREFIX) + 1}), '') {keys} '{CLUSTER_PREFIX}%')",
            f"(SELECT MIN('') {keys} '{ANY_PREFIX}%')",
        )

    def found(self, text: str, pattern: str) -> str:
        """Return SQL for the one group, which is what it gives."""
        return f"REGEXP_EXTRACT({text}, {self.literal(pattern)})"


class _Spark(Dialect):
    """Spark, in a session whose time zone is UTC, so that its TIMESTAMP is one of UTC.

    JSON is read as a MAP: a path of GET_JSON_OBJECT has no way to write a key with an apostrophe.
    """

    def as_time(self, column: Column) -> str:
        """Return SQL for a UTC time; a moment is a time of the session's zone."""
        return super().as_time(Column(column.name, "timestamp") if column.kind == "zoned" else column)

    def moment(self, column: Column, utc: str) -> str:  # noqa: ARG002 - as all
        """Return SQL for a time of the session's zone."""
        return f"TIMESTAMP '{utc}'"

    def as_map(self, tags: Column) -> str:
        """Return SQL for tags as a MAP; NULL for a text that is no JSON."""
        name = self.identifier(tags.name)
        return name if tags.kind == "map" else f"FROM_JSON({name}, 'MAP<STRING, STRING>')"

    def tag(self, tags: Column, key: str) -> str:
        """Return SQL for a value; NULL without such a key, which an element of a MAP is an error without."""
        return self.cast(f"TRY_ELEMENT_AT({self.as_map(tags)}, {self.literal(key)})", self.text)

    def owned(self, tags: Column) -> tuple[str, str]:
        """Return SQL for what the keys of the MAP say."""
        return self.owned_by(f"MAP_KEYS({self.as_map(tags)})")


DIALECTS: dict[str, Dialect] = {
    "athena": Dialect("athena"),
    "trino": Dialect("trino"),
    "bigquery": _BigQuery(
        "bigquery",
        text="STRING",
        time="DATETIME",
        try_cast="SAFE_CAST",
        exact="BIGNUMERIC",
        ledger="BIGNUMERIC",
        quote="`",
        json_text="TO_JSON_STRING({})",
        size="ARRAY_LENGTH({})",
    ),
    "spark": _Spark("spark", text="STRING", quote="`", json_text="{}", size="SIZE({})"),
}
"""Engine → how it writes things."""
