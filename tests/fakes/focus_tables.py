"""A FOCUS table as an engine holds it: in DuckDB, asked in the engine's own dialect, answered with texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
from sqlglot import exp, parse_one

from unitcost.sources.bills.focus.engines.dialect import Column

TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
NAMES = (
    "CommitmentDiscountStatus",
    "CommitmentDiscountId",
    "ServiceName",
    "ServiceCategory",
    "BillingCurrency",
    "ChargeCategory",
    "ChargeClass",
    "ProviderName",
)
SHAPES = {
    "athena": {"time": "timestamp", "cost": "double", "tags": "map<string,string>", "text": "string"},
    "trino": {"time": "timestamp(3)", "cost": "decimal(38,12)", "tags": "map(varchar, varchar)", "text": "varchar"},
    "bigquery": {"time": "TIMESTAMP", "cost": "FLOAT64", "tags": "STRING", "text": "STRING"},
    "spark": {"time": "timestamp", "cost": "string", "tags": "string", "text": "string"},
}
"""Engine → the types of its table: AWS in Athena, Azure's JSON tags and texts in Spark."""
DUCKDB = {"double": "DOUBLE", "float64": "DOUBLE", "decimal(38,12)": "DECIMAL(38, 12)", "string": "VARCHAR"}


class FocusTable:
    """A table called focus. types: of columns, as the engine spells them; those of the first bill by default."""

    def __init__(self, engine: str, connection: duckdb.DuckDBPyConnection) -> None:
        self.engine = engine
        self._connection = connection
        shape = SHAPES[engine]
        types = dict.fromkeys(TIMES, shape["time"])
        types |= dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost"), shape["cost"])
        types |= dict.fromkeys((*NAMES, "ResourceId", "SubAccountId"), shape["text"])
        self.types = {**types, "Tags": shape["tags"]}
        columns = ", ".join(f"{name} {self._type(kind)}" for name, kind in self.types.items())
        connection.execute(f"CREATE TABLE focus ({columns})")

    @property
    def columns(self) -> list[Column]:
        """Return the columns as an engine tells them."""
        return [Column(name, kind) for name, kind in self.types.items()]

    def add(self, rows: str) -> None:
        """Add the rows of a SELECT; Tags as a MAP of texts."""
        is_map = self.types["Tags"].startswith("map")
        tags = "Tags" if is_map else "CAST(to_json(Tags) AS VARCHAR) AS Tags"
        self._connection.execute(f"INSERT INTO focus BY NAME SELECT * EXCLUDE (Tags), {tags} FROM ({rows})")

    def partition(self, name: str, value: str) -> None:
        """Give the table a column that divides it by billing period, of one value."""
        self.types[name] = SHAPES[self.engine]["text"]
        self._connection.execute(f"ALTER TABLE focus ADD COLUMN {name} VARCHAR DEFAULT '{value}'")

    def run(self, sql: str) -> tuple[list[str], list[Sequence[str | None]]]:
        """Run a statement that is written for the engine; return the names of its columns, and its rows."""
        tree = parse_one(sql, read=self.engine)
        for table in tree.find_all(exp.Table):
            if table.db:  # whatever the engine calls the database
                table.replace(exp.to_table("focus"))
        for parsed in list(tree.find_all(exp.FromJson)):
            parsed.replace(
                parse_one(f"TRY_CAST({parsed.this.sql('duckdb')} AS JSON)::MAP(VARCHAR, VARCHAR)", read="duckdb")
            )
        found = self._connection.cursor().execute(tree.sql("duckdb"))
        names = [column[0] for column in found.description or []]
        return names, list(found.fetchall())

    @staticmethod
    def _type(kind: str) -> str:
        if kind.startswith("map"):
            return "MAP(VARCHAR, VARCHAR)"
        return "TIMESTAMP" if kind.lower().startswith("timestamp") else DUCKDB.get(kind.lower(), "VARCHAR")


@contextmanager
def focus_table(engine: str) -> Iterator[FocusTable]:
    """Give an empty table."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield FocusTable(engine, connection)


def charges(month: str = "2026-10", *, days: int = 31, extra: str = "") -> str:
    """Return SELECT for a month of charges: two tenants' hours, a fee of the month, a tax without a tag, an unused
    commitment and a used one in a cluster without a name.

    extra: SQL in the place of the columns that it names (`'EUR' AS BillingCurrency`).
    """
    first = f"TIMESTAMP '{month}-01'"
    one = f"""
        SELECT {first} AS BillingPeriodStart, {first} + INTERVAL 1 MONTH AS BillingPeriodEnd,
            {first} + INTERVAL 1 HOUR * n AS ChargePeriodStart, {first} + INTERVAL 1 HOUR * (n + 1) AS ChargePeriodEnd,
            '0.1' AS EffectiveCost, '0.2' AS ListCost, '0.1' AS BilledCost, 'USD' AS BillingCurrency,
            'Amazon EC2' AS ServiceName, 'Compute' AS ServiceCategory, 'Usage' AS ChargeCategory,
            'i-' || (n % 3) AS ResourceId, 'acc-1' AS SubAccountId,
            MAP {{'tenant': CASE WHEN n % 2 = 0 THEN 'acme' ELSE 'beta' END, 'aws:eks:cluster-name': 'prod'}} AS Tags
        FROM range({24 * days}) r(n)
        UNION ALL BY NAME SELECT {first} AS BillingPeriodStart, {first} + INTERVAL 1 MONTH AS BillingPeriodEnd,
            {first} AS ChargePeriodStart, {first} + INTERVAL 1 MONTH AS ChargePeriodEnd, '31' AS EffectiveCost,
            '31' AS BilledCost, 'USD' AS BillingCurrency, 'Support' AS ServiceName, 'Other' AS ServiceCategory,
            'Purchase' AS ChargeCategory, MAP {{'kubernetes.io/cluster/other': 'owned', 'tenant': ''}} AS Tags
        UNION ALL BY NAME SELECT {first} AS BillingPeriodStart, {first} + INTERVAL 1 MONTH AS BillingPeriodEnd,
            {first} AS ChargePeriodStart, {first} + INTERVAL 1 DAY AS ChargePeriodEnd, '1.25' AS EffectiveCost,
            '1.25' AS BilledCost, 'USD' AS BillingCurrency, 'Tax' AS ServiceName, 'Other' AS ServiceCategory,
            'Tax' AS ChargeCategory, 'NULL' AS ChargeClass, NULL::MAP(VARCHAR, VARCHAR) AS Tags
        UNION ALL BY NAME SELECT {first} AS BillingPeriodStart, {first} + INTERVAL 1 MONTH AS BillingPeriodEnd,
            {first} AS ChargePeriodStart, {first} + INTERVAL 1 HOUR AS ChargePeriodEnd, '2.5' AS EffectiveCost,
            '0' AS BilledCost, 'USD' AS BillingCurrency, 'Amazon EC2' AS ServiceName, 'Compute' AS ServiceCategory,
            'Usage' AS ChargeCategory, unnest(['Unused', 'Used']) AS CommitmentDiscountStatus,
            unnest(['', 'sp-1']) AS CommitmentDiscountId, MAP {{'kubernetes.io/service': 'x'}} AS Tags"""
    return f"SELECT * REPLACE ({extra}) FROM ({one})" if extra else one
