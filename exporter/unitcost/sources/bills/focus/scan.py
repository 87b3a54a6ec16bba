"""How DuckDB reads a FOCUS file: its columns by name, and SQL that turns each into what we count with.

Every function here that returns SQL returns one expression over the columns of `Schema.relation`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import duckdb

from unitcost.errors import SourceError
from unitcost.facts import LARGEST_AMOUNT
from unitcost.sources.bills.focus.csv_text import header
from unitcost.sources.bills.focus.files import BillFile

COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
EXACT, EXACT_SCALE = "DECIMAL(38, 18)", 18
"""Costs that may have more than the ledger's 12 decimals are summed with 18, and rounded once per result row."""
LEDGER = "DECIMAL(38, 12)"
LEDGER_SCALE = 12
MAX_DOUBLE = 2048
"""Below it the doubles are closer together than 10^-12, so that a plain cast finds the decimal that was meant."""
TIME = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?\s*(Z|UTC|[+-]\d\d(:?\d\d)?)?"


@dataclass(frozen=True)
class Schema:
    """A file's kind and columns (name, DuckDB type); files with equal ones are read together.

    mark: the delimiter of a CSV. lists: some Tags of a CSV are JSON lists of keys and values.
    """

    kind: str
    columns: tuple[tuple[str, str], ...]
    mark: str = ","
    lists: bool = False

    @cached_property
    def relation(self) -> str:
        """The table function over one parameter, a list of paths."""
        if self.kind == "parquet":
            return "read_parquet(?, hive_partitioning = false)"
        # Columns are named by position, so that an odd or a doubled name in a header does no harm.
        columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(len(self.columns)))
        compression = "gzip" if self.kind == "csv.gz" else "none"
        return (
            f"read_csv(?, auto_detect = false, header = true, delim = '{self.mark}', quote = '\"', escape = '\"',"
            " nullstr = ['NULL', ''], hive_partitioning = false,"
            f" compression = '{compression}', columns = {{{columns}}})"
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name.lower(): at for at, (name, _) in reversed(list(enumerate(self.columns)))}

    def has(self, name: str) -> bool:
        """Tell whether there is such a column, whatever its case."""
        return name.lower() in self._places

    def type(self, name: str) -> str:
        """Return the DuckDB type of a column that is there."""
        return self.columns[self._places[name.lower()]][1]

    def raw(self, name: str) -> str:
        """Return SQL for the column as it is; NULL where the file has none."""
        if not self.has(name):
            return "NULL::VARCHAR"
        at = self._places[name.lower()]
        return f"c{at}" if self.kind.startswith("csv") else _identifier(self.columns[at][0])

    def text(self, name: str) -> str:
        """Return SQL for the column as text; empty strings and the string NULL, which real files hold, are NULL."""
        if not self.has(name):
            return "NULL::VARCHAR"
        raw = self.raw(name)
        return raw if self.kind.startswith("csv") else clean(f"CAST({raw} AS VARCHAR)")

    def given(self, name: str) -> str:
        """Return SQL that is NULL where the column holds nothing; cheaper than text."""
        return self.text(name) if not self.has(name) or self.type(name) == "VARCHAR" else self.raw(name)

    def cost(self, name: str, *, trying: bool = False) -> str:
        """Return SQL for the cost, exact: text with up to 18 decimals, a double (AWS) as the decimal it prints as.

        trying: NULL for what is no number or too large to be counted.
        """
        if trying and not self.always_fits(name):
            cost = self._cost(name, "TRY_CAST")
            return f"CASE WHEN {cost} BETWEEN -{LARGEST_AMOUNT:f} AND {LARGEST_AMOUNT:f} THEN {cost} END"
        return self._cost(name, "CAST")

    def has_amounts(self, name: str) -> bool:
        """Tell whether there is such a column, of a type that amounts may have."""
        return self.has(name) and re.fullmatch(_AMOUNT, self.type(name)) is not None

    def always_fits(self, name: str) -> bool:
        """Tell whether a cost column can hold nothing but what can be counted."""
        found = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", self.type(name))
        if found is None:
            return False
        digits, scale = int(found[1]), int(found[2])
        return scale <= EXACT_SCALE and digits - scale < len(f"{LARGEST_AMOUNT:f}")

    def fits(self, name: str, largest: float) -> bool:
        """Tell whether a cost column is a DECIMAL whose values, up to the largest, fit into 18 digits."""
        found = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", self.type(name))
        return found is not None and int(found[2]) <= LEDGER_SCALE and largest < 10 ** (17 - int(found[2]))

    def narrow(self, name: str) -> str:
        """Return SQL for a cost that `fits`: it is added up as a plain integer."""
        return f"CAST({self.raw(name)} AS DECIMAL(18, {self.type(name).partition(',')[2].strip(' )')}))"

    def _cost(self, name: str, cast: str) -> str:
        raw, kind = self.raw(name), self.type(name)
        if self.always_fits(name):
            return raw
        if kind == "DOUBLE":
            # Through text would always be exact, but costs half as much again as all the rest.
            return (
                f"CASE WHEN abs({raw}) < {MAX_DOUBLE} THEN {cast}({raw} AS {LEDGER})"
                f" ELSE {cast}({raw}::VARCHAR AS {LEDGER}) END"
            )
        if kind in {"VARCHAR", "FLOAT"}:
            text = self.text(name)
            # DuckDB takes 1_000 for a number.
            return f"{cast}(CASE WHEN contains({text}, '_') THEN 'no number' ELSE {text} END AS {EXACT})"
        return f"{cast}({raw} AS {self.sum_type(name)})"

    def sum_type(self, name: str) -> str:
        """Return the type that loses nothing of a sum of costs."""
        kind = self.type(name)
        scale = re.search(r"DECIMAL\(\d+,\s*(\d+)\)", kind)
        finer = kind in {"VARCHAR", "FLOAT"} or (scale is not None and int(scale.group(1)) > LEDGER_SCALE)
        return EXACT if finer else LEDGER

    def time(self, name: str, *, trying: bool = False) -> str:
        """Return SQL for the UTC time, a text's offset applied. trying: NULL for a text that is no such time."""
        if not self.has(name):
            return "NULL::TIMESTAMP"
        raw, kind = self.raw(name), self.type(name)
        if kind == "TIMESTAMP WITH TIME ZONE":
            return f"make_timestamp(epoch_us({raw}))"  # a cast would use the time zone of the session
        if kind != "VARCHAR":
            return f"CAST({raw} AS TIMESTAMP)"
        text = self.text(name)
        cast = "TRY_CAST" if trying else "CAST"
        # A cast to TIMESTAMP ignores an offset; one to TIMESTAMPTZ takes a time without offset as a local one.
        offset = f"contains(substr({text}, 12), '+') OR contains(substr({text}, 12), '-')"
        shifted = f"make_timestamp(epoch_us({cast}({text} AS TIMESTAMPTZ)))"
        parsed = f"CASE WHEN {offset} THEN {shifted} ELSE {cast}({text} AS TIMESTAMP) END"
        return f"CASE WHEN regexp_full_match({text}, '{TIME}') THEN {parsed} END" if trying else parsed

    def sound_time(self, name: str) -> str:
        """Return SQL for the UTC time, NULL for what is none from 1970 to 9999 (others are slips, or infinite)."""
        time = self.time(name, trying=True)
        return f"CASE WHEN {time} >= TIMESTAMP '1970-01-01' AND {time} < TIMESTAMP '9999-12-31' THEN {time} END"


def place(schema: Schema, file: BillFile, number: object) -> str:
    """Return where a row is; in a CSV the header is row 1. Rows of a view are not those of the file."""
    return str(file.path) if schema.kind == "view" else f"{file.path}, row {number}"


def read_schema(file: BillFile, connection: duckdb.DuckDBPyConnection) -> Schema:
    """Return a file's columns, from its header or footer. Raises SourceError `empty`, or DuckDB's and IO errors."""
    if file.kind == "parquet":
        found = connection.execute(
            "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [[file.pattern]]
        ).fetchall()
        return Schema("parquet", tuple((str(row[0]), str(row[1])) for row in found))
    names, mark = header(file)
    return Schema(file.kind, tuple((name, "VARCHAR") for name in names), mark)


FOCUS_HINT = "Point path at a FOCUS export"


def require(schema: Schema, file: BillFile, cost: str, tenant: str | None) -> None:
    """Raise SourceError `column`, `time` or `number` when the columns are not enough to read a bill by."""
    for name in (cost, "BillingCurrency", "BillingPeriodStart", "ChargePeriodStart", *([tenant] if tenant else [])):
        if not schema.has(name):
            raise SourceError("column", str(file.path), f"has no column {name}", _likely(schema, name, cost))
    if not (schema.has("ServiceName") or schema.has("ServiceCategory")):
        hint = _likely(schema, "ServiceName", cost)
        raise SourceError("column", str(file.path), "has no column ServiceName or ServiceCategory", hint)
    for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"):
        if schema.has(name) and not re.fullmatch(r"VARCHAR|DATE|TIMESTAMP[^\[]*", kind := schema.type(name)):
            unit = ", whose unit (seconds, milliseconds, days) is not said" if "INT" in kind else ", which is no time"
            hint = "Write it as a timestamp, or as text such as 2026-11-01T00:00:00Z"
            raise SourceError("time", str(file.path), f"{name} is {_short(kind)}{unit}", hint)
    if not schema.has_amounts(cost):
        text = f"{cost} is {_short(schema.type(cost))}, which is no amount"
        raise SourceError("number", str(file.path), text, "Write it as DECIMAL")


def _short(kind: str) -> str:
    return kind if len(kind) <= MAX_KIND else f"{kind[:MAX_KIND]}…"


_AMOUNT = r"VARCHAR|DECIMAL\(.*\)|DOUBLE|FLOAT|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?"
MAX_KIND = 60
"""Characters of a type that an error shows."""


def concerns_costs(schema: Schema) -> bool:
    """Tell whether a file is, or was meant to be, of FOCUS's cost dataset, and not of another or no FOCUS file.

    Contract commitments, billing periods and invoices (FOCUS 1.3, 1.4) have no charge periods. A name counts
    wherever it stands in the header, which may be split by another sign than a comma.
    """
    header = " ".join(name for name, _ in schema.columns).lower()
    charges = "chargeperiodstart" in header or "chargeperiodend" in header
    return charges or ("invoicedetailid" not in header and any(name.lower() in header for name in COSTS))


def _likely(schema: Schema, name: str, cost: str) -> str:
    others = [column for column in COSTS if schema.has(column)]
    if name == cost and others:
        return f"Set cost to one that it has: {', '.join(others)}"
    names = {column.lower(): column for column, _ in schema.columns}
    close = [names[match] for match in get_close_matches(name.lower(), names, n=3, cutoff=0.5)]
    if close:
        return f"Its most similar columns: {', '.join(close)}"
    return f"{FOCUS_HINT}; this file's columns begin {', '.join(name for name, _ in schema.columns[:5])}"


def clean(expression: str) -> str:
    """Return SQL that makes the string NULL and the empty string NULL."""
    return f"nullif(nullif({expression}, 'NULL'), '')"


def literal(text: str) -> str:
    """Return SQL for a text; for keys that come from the configuration."""
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
