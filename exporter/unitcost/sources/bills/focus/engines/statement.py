"""The statement that sums up one billing period of a FOCUS table, in its engine's dialect, and what it answers with.

Its rows are texts in the order of `Statement.columns`: what an engine's own client makes of decimals and times differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from difflib import get_close_matches

from sqlglot import ErrorLevel, exp

from unitcost.days import month_after, month_of
from unitcost.errors import SourceError
from unitcost.sources.bills.focus.days import SINCE
from unitcost.sources.bills.focus.engines.dialect import Column, Dialect
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.reading import NO_RESOURCES
from unitcost.sources.bills.focus.scan import COSTS
from unitcost.sources.bills.focus.stage import CHARGED, NAMES, PERIOD, TABLE, first_stage

COUNTS = ("unread", "lost", "tagged")
"""Rows with a time or a cost that cannot be read; without the chosen cost, but another one; with any tags."""
AMOUNTS = ("text", "exact", "double", "float")
TIMES = ("text", "time", "zoned", "date")
TAGS = ("map", "json", "text", "pairs")
PARTITION = "billing_period"
"""How AWS Data Exports calls the column that its table is divided by; it holds 2026-10."""


@dataclass(frozen=True)
class Statement:
    """SQL for one billing period, and the names of the columns that it answers with."""

    sql: str
    columns: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A FOCUS table: its name and its columns as the engine says them."""

    name: str
    columns: Sequence[Column]
    dialect: Dialect
    partition: str | None = None

    def column(self, name: str) -> Column | None:
        """Return a column, whatever its case."""
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    def require(self, options: Options) -> None:
        """Raise SourceError `column`, `time`, `number` or `tags` where the columns are no FOCUS bill."""
        needed = [
            options.cost,
            "BillingCurrency",
            *PERIOD[:1],
            *CHARGED[:1],
            *([options.tenant] if options.tenant else []),
        ]
        for name in needed:
            if self.column(name) is None:
                raise SourceError("column", self.name, f"has no column {name}", self._likely(name))
        if self.column("ServiceName") is None and self.column("ServiceCategory") is None:
            hint = self._likely("ServiceName")
            raise SourceError("column", self.name, "has no column ServiceName or ServiceCategory", hint)
        self._require_kinds(PERIOD + CHARGED, TIMES, "time", "which is no time")
        self._require_kinds([name for name in COSTS if name == options.cost], AMOUNTS, "number", "which is no amount")
        tags = self.column("Tags")
        pairs = tags is not None and tags.kind == "pairs" and self.dialect.name != "bigquery"
        if options.keys and tags is not None and (tags.kind not in TAGS or pairs):
            text = f"Tags is {tags.type[:80]}, which cannot be asked for a key there"
            raise SourceError("tags", self.name, text, "Make a view of it with Tags as a MAP or as JSON text")
        if self.partition is not None and self.column(self.partition) is None:
            hint = "Set partition to the column that holds the billing period, or leave it out"
            raise SourceError("column", self.name, f"has no column {self.partition}", hint)

    def _require_kinds(self, names: Iterable[str], kinds: Sequence[str], reason: str, wrong: str) -> None:
        for name in names:
            if (column := self.column(name)) is not None and column.kind not in kinds:
                hint = "Make a view of the table that casts it"
                raise SourceError(reason, self.name, f"{name} is {column.type[:80]}, {wrong}", hint)

    def _likely(self, name: str) -> str:
        names = {column.name.lower(): column.name for column in self.columns}
        if name in COSTS and (others := [cost for cost in COSTS if cost.lower() in names]):
            return f"Set cost to one that it has: {', '.join(others)}"
        close = [names[match] for match in get_close_matches(name.lower(), names, n=3, cutoff=0.5)]
        if close:
            return f"Its most similar columns: {', '.join(close)}"
        return "Point table at a FOCUS table, or at a view with FOCUS's columns"

    def statement(self, options: Options, key: str) -> Statement:
        """Return what sums up the charges of billing period `key` ("2026-10").

        A row whose BillingPeriodStart is none is of every period, so that it is told, where no column divides the
        table.
        """
        also = [*(["tenant"] if options.tenant else []), "resource", "cluster", "unused"]
        values = [f"tag{at}" for at in range(len(options.keys))]
        columns = [*PERIOD, *NAMES, *also, "start", "ended", *values, "amount", "list_amount", "charges", "priced"]
        columns += COUNTS
        listed = self.column("ListCost")
        stage = first_stage(
            exp.to_table(TABLE),
            exp.column("cost"),
            [exp.column(f"key{at}") for at in range(len(options.keys))],
            list_cost=exp.column("listed") if listed is not None and listed.kind in AMOUNTS else None,
            also=also,
            counts=COUNTS,
        )
        told = exp.select(*(exp.cast(exp.column(name), exp.DataType.Type.VARCHAR).as_(name) for name in columns)).from_(
            stage.subquery("bill")
        )
        summed = told.sql(self.dialect.name, unsupported_level=ErrorLevel.RAISE)
        return Statement(f"WITH {TABLE} AS ({self._charges(options, key)}) {summed}", columns)

    def _charges(self, options: Options, key: str) -> str:
        """Return SELECT for the charges of a period: FOCUS columns of the types that FOCUS gives them, tags by key."""
        columns = {name: self._time(name) for name in (*PERIOD, *CHARGED)}
        columns |= {name: self._text(name) for name in NAMES}
        columns["cost"] = self._cost(options.cost)
        listed = self.column("ListCost")
        if listed is not None and listed.kind in AMOUNTS:
            columns["listed"] = self._cost("ListCost")
        if options.tenant:
            columns["tenant"] = self._text(options.tenant)
        columns["resource"] = self._resource() if options.resources else self._nothing()
        columns["cluster"] = self._cluster()
        columns["unused"] = self._unused(options)
        tags = self.column("Tags")
        for at, tag in enumerate(options.keys):
            columns[f"key{at}"] = self._nothing() if tags is None else self.dialect.tag(tags, tag)
        columns["unread"] = _bit(self._unread(options))
        columns["lost"] = _bit(self._lost(options))
        columns["tagged"] = _bit("1 = 0" if tags is None or tags.kind not in TAGS else self.dialect.tagged(tags))
        selected = ", ".join(f"{value} AS {name}" for name, value in columns.items())
        table = exp.to_table(self.name, dialect=self.dialect.name).sql(self.dialect.name)
        return f"SELECT {selected} FROM {table} WHERE {self._in_period(key)}"

    def _nothing(self) -> str:
        return self.dialect.cast("NULL", self.dialect.text)

    def _text(self, name: str) -> str:
        column = self.column(name)
        return (
            self._nothing()
            if column is None
            else self.dialect.cast(self.dialect.identifier(column.name), self.dialect.text)
        )

    def _time(self, name: str) -> str:
        column = self.column(name)
        return self.dialect.cast("NULL", self.dialect.time) if column is None else self.dialect.as_time(column)

    def _cost(self, name: str) -> str:
        column = self.column(name)
        return self.dialect.cast("NULL", self.dialect.exact) if column is None else self.dialect.as_cost(column)

    def _resource(self) -> str:
        column, kind = self.column("ResourceId"), self.column("ServiceCategory")
        if column is None:
            return self._nothing()
        if kind is None:
            return self.dialect.given(column)
        name = self.dialect.identifier(kind.name)
        return f"CASE WHEN {name} IN ({self._no_resources()}) THEN NULL ELSE {self.dialect.given(column)} END"

    def _no_resources(self) -> str:
        return ", ".join(map(self.dialect.literal, NO_RESOURCES))

    def _cluster(self) -> str:
        """Return SQL for the Kubernetes cluster of a charge: by its tags, or as a managed cluster's own resource."""
        tags, resource, service = map(self.column, ("Tags", "ResourceId", "ServiceName"))
        names, some = ([], self._nothing()) if tags is None or tags.kind not in TAGS else self.dialect.clusters(tags)
        if resource is not None and service is not None:
            name = self.dialect.identifier(service.name)
            managed = self.dialect.found(self.dialect.identifier(resource.name), "cluster/([^/]+)$")
            of_clusters = f"({name} LIKE '%EKS%' OR {name} LIKE '%Kubernetes%')"
            if (kind := self.column("ServiceCategory")) is not None:
                category = self.dialect.identifier(kind.name)
                of_clusters += f" AND ({category} IS NULL OR {category} NOT IN ({self._no_resources()}))"
            names = [*names, f"CASE WHEN {of_clusters} THEN {managed} END"]
        return f"COALESCE({', '.join([*names, some])})" if names else some

    def _unused(self, options: Options) -> str:
        """Return SQL for the commitment that a charge is the unused part of, '' where it has no id, else NULL."""
        status, commitment = map(self.column, ("CommitmentDiscountStatus", "CommitmentDiscountId"))
        if status is None or not options.spreads_commitments:
            return self._nothing()
        which = "''" if commitment is None else f"COALESCE({self.dialect.given(commitment)}, '')"
        return f"CASE WHEN LOWER({self.dialect.given(status)}) = 'unused' THEN {which} END"

    def _unread(self, options: Options) -> str:
        ends = [column for name in (PERIOD[1], CHARGED[1]) if (column := self.column(name)) is not None]
        wrong = [
            f"({self.dialect.as_time(column)} IS NULL AND {self.dialect.given(column)} IS NOT NULL)"
            for column in ends
            if column.kind == "text"
        ]
        cost = self.column(options.cost)
        if cost is not None:
            wrong.append(f"({self.dialect.as_cost(cost)} IS NULL AND {self.dialect.given(cost)} IS NOT NULL)")
        return " OR ".join(wrong)

    def _lost(self, options: Options) -> str:
        cost, kind = self.column(options.cost), self.column("ChargeCategory")
        others = [self._cost(name) for name in COSTS if name != options.cost and self.column(name) is not None]
        if cost is None or not others:
            return "1 = 0"
        lost = f"{self.dialect.given(cost)} IS NULL AND COALESCE({', '.join([*others, '0'])}) <> 0"
        if kind is None:
            return lost
        # A commitment's purchase has its effective cost in the rows that use it, and none of its own.
        name = self.dialect.identifier(kind.name)
        return f"{lost} AND ({name} IS NULL OR {name} <> 'Purchase')"

    def _in_period(self, key: str) -> str:
        """Return SQL for what the engine can prune by: a plain comparison of the column as it is."""
        month = month_of(key)
        column = self.column(self.partition or PARTITION)
        if column is not None and column.kind == "text":
            return f"{self.dialect.identifier(column.name)} = '{key}'"
        if column is not None and column.kind == "date":
            return f"{self.dialect.identifier(column.name)} = DATE '{month}'"
        starts = self.column(PERIOD[0])
        if starts is None:
            raise SourceError("column", self.name, f"has no column {PERIOD[0]}", self._likely(PERIOD[0]))
        following = month_after(month)
        if starts.kind == "date":
            name, first, last = self.dialect.identifier(starts.name), f"DATE '{month}'", f"DATE '{following}'"
        else:
            name = self._time(starts.name) if starts.kind == "text" else self.dialect.identifier(starts.name)
            first, last = (self._moment(starts, datetime.combine(day, time()) - SINCE) for day in (month, following))
        return f"({name} >= {first} AND {name} < {last}) OR {name} IS NULL"

    def _moment(self, column: Column, utc: datetime) -> str:
        if column.kind == "text":
            return self.dialect.cast(f"'{utc}'", self.dialect.time)
        return self.dialect.moment(column, f"{utc}")


def _bit(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"
