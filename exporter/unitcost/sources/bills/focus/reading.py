"""How DuckDB runs the first stage on a file: the charges of the file, and their sums, kept until they are stored."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import duckdb
from sqlglot import exp

from unitcost.errors import SourceError
from unitcost.scratch import place, scratch
from unitcost.sources.bills.focus.files import BillFile, Copy
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.scan import COSTS, Schema, clean, literal
from unitcost.sources.bills.focus.stage import CHARGED, NAMES, PERIOD, TABLE, first_stage
from unitcost.sources.bills.focus.tags import Tags

BROKEN, LISTED, SIMILAR, UNREAD = 1, 2, 4, 8
"""Bits of the check `found`, of any row that is summed: Tags are no JSON, or a list; a key reads like the tenant's, and
is none of them; a time or a cost cannot be read. The first three are looked for only where no key was found."""

NO_RESOURCES = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Databases",
    "Developer Tools",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Security",
    "Web",
)
"""FOCUS ServiceCategory of what is no node, disk or load balancer, so that nobody asks which one it was."""
_NO_RESOURCES = ", ".join(map(literal, NO_RESOURCES))


@dataclass(frozen=True)
class Sums:
    """SQL that gives a file's sums, over a list with this path; where they are kept, a SELECT from there."""

    sql: str
    path: str
    kept: Copy | None = None


def cluster_service(service: str, category: str) -> str:
    """Return SQL that tells whether a service is managed Kubernetes: AmazonEKS, AKS, GKE; security of one is none."""
    named = f"contains({service}, 'EKS') OR contains({service}, 'Kubernetes')"
    return f"coalesce(({named}) AND coalesce({category} NOT IN ({_NO_RESOURCES}), true), false)"


def sums(file: BillFile, schema: Schema, options: Options, month: date) -> Sums:
    """Return what sums a file up, of one billing period; what cannot be counted makes DuckDB fail."""
    return Sums(_sql(schema, options, Known(), month), file.pattern)


def keep(file: BillFile, schema: Schema, options: Options, connection: duckdb.DuckDBPyConnection) -> Sums:
    """Sum a file up and keep the sums in a file of our own. Raises SourceError `unreadable` where there is no room.

    Where no file can be made at all they are summed up again each time they are asked for. Raises DuckDB's errors.
    """
    found = Sums(_sql(schema, options, _known(file, schema, connection), None), file.pattern)
    return written(found.sql, [[found.path]], str(file.path), connection) or found


def written(sql: str, params: Sequence[object], where: str, connection: duckdb.DuckDBPyConnection) -> Sums | None:
    """Write sums to a file of our own; None where none can be made. Raises as keep() does."""
    try:
        handle, name = tempfile.mkstemp(suffix=".parquet", dir=scratch())
    except OSError:
        return None
    os.close(handle)
    copy = Copy(Path(name))
    try:
        connection.execute(f"COPY ({sql}) TO {literal(name)} (FORMAT parquet, COMPRESSION uncompressed)", list(params))
    except duckdb.Error as error:
        if name not in str(error):
            raise
        text = f"needs room for its sums in {place()}, which cannot be written"
        raise SourceError("unreadable", where, text, "Make room there") from error
    return Sums("SELECT * FROM read_parquet(?)", name, copy)


@dataclass(frozen=True)
class Known:
    """What a Parquet file says of its columns by itself, which makes them cheaper to read.

    constants: those with one value in every row, and that value as SQL. sound: times that are all ones that can be
    counted. narrow: costs that fit into 18 digits, so that they are added up as plain integers.
    """

    constants: tuple[tuple[str, str], ...] = ()
    sound: frozenset[str] = frozenset()
    narrow: frozenset[str] = frozenset()


def _known(file: BillFile, schema: Schema, connection: duckdb.DuckDBPyConnection) -> Known:
    if schema.kind != "parquet":
        return Known()
    given = {schema.raw(name).strip('"'): name for name in (*PERIOD, *CHARGED, *NAMES, *COSTS) if schema.has(name)}
    found = connection.execute(STATISTICS, [file.pattern]).fetchall()
    told = [(given[path], *said) for path, *said in found if path in given]
    names = [name for name, constant, _, _ in told if constant and name in (*PERIOD, *NAMES)]
    columns = ", ".join(f"CAST({_read(schema, name)} AS VARCHAR)" for name in names)
    rows = connection.execute(f"SELECT {columns} FROM {schema.relation} LIMIT 1", [[file.pattern]]) if names else None
    constants = (
        (name, f"CAST({'NULL' if value is None else literal(value)} AS {_type(name)})")
        for row in (rows.fetchall() if rows else [])
        for name, value in zip(names, row, strict=True)
    )
    return Known(
        tuple(constants),
        frozenset(name for name, _, sound, _ in told if sound and "TIMESTAMP" in schema.type(name)),
        frozenset(name for name, _, _, largest in told if largest is not None and schema.fits(name, largest)),
    )


STATISTICS = """
SELECT path_in_schema,
    bool_and(coalesce(stats_null_count = num_values, false)) OR bool_and(coalesce(stats_null_count = 0, false))
        AND count(DISTINCT stats_min_value) = 1 AND count(stats_min_value) = count(*)
        AND bool_and(coalesce(stats_min_value = stats_max_value, false)),
    bool_and(coalesce(
        TRY_CAST(stats_min_value AS TIMESTAMP) >= TIMESTAMP '1970-01-01'
        AND TRY_CAST(stats_max_value AS TIMESTAMP) < TIMESTAMP '9999-12-31', false)),
    CASE WHEN bool_and(TRY_CAST(stats_min_value AS DOUBLE) + TRY_CAST(stats_max_value AS DOUBLE) IS NOT NULL)
        THEN max(greatest(abs(TRY_CAST(stats_min_value AS DOUBLE)), abs(TRY_CAST(stats_max_value AS DOUBLE)))) END
FROM parquet_metadata(?) GROUP BY path_in_schema
"""
"""Column, whether it is constant, whether all of it are countable times, its largest number. Every row group says so;
what it says are bounds, which need not be values."""


def _type(name: str) -> str:
    return "TIMESTAMP" if name in PERIOD else "VARCHAR"


def _read(schema: Schema, name: str) -> str:
    return schema.sound_time(name) if name in PERIOD else f"CAST({schema.raw(name)} AS VARCHAR)"


@lru_cache(maxsize=64)
def _sql(schema: Schema, options: Options, said: Known, month: date | None) -> str:
    """Return the first stage over what DuckDB reads of files with this schema."""
    missing = [(name, f"CAST(NULL AS {_type(name)})") for name in (*PERIOD, *NAMES) if not schema.has(name)]
    known: dict[str, exp.Expression] = {
        name: exp.maybe_parse(value, dialect="duckdb") for name, value in (*said.constants, *missing)
    }
    also = [*(["tenant"] if options.tenant else []), "resource", "cluster", "unused"]
    for name, there in {
        "resource": options.resources and schema.has("ResourceId"),
        "unused": _tells_unused(schema, options),
    }.items():
        if not there:
            also.remove(name)
            known[name] = exp.cast(exp.null(), "VARCHAR")
    stage = first_stage(
        exp.to_table(TABLE),
        exp.column("cost"),
        [exp.column(f"key{at}") for at in range(len(options.keys))],
        list_cost=exp.column("listed") if schema.has_amounts("ListCost") else None,
        also=also,
        constants=known,
        checks=["found"],
        month=month,
    )
    charges = _charges(schema, options, said, trying=month is None)
    return f"WITH {TABLE} AS NOT MATERIALIZED ({charges}) {stage.sql(dialect='duckdb')}"


def _charges(schema: Schema, options: Options, said: Known, *, trying: bool) -> str:
    """Return SELECT for the charges of files: FOCUS columns of the types that FOCUS gives them, tags by key.

    trying: a time or a cost that is none is NULL, and said by the check.
    """

    def time(name: str) -> str:
        return schema.sound_time(name) if trying and name not in said.sound else schema.time(name)

    def cost(name: str, *, trying: bool) -> str:
        return schema.narrow(name) if name in said.narrow else schema.cost(name, trying=trying)

    tags = Tags.of(schema)
    values = tags.get_all(options.keys)
    resource = f"CAST({schema.raw('ResourceId')} AS VARCHAR)"
    columns = [
        *(f"{time(name)} AS {name}" for name in (*PERIOD, *CHARGED)),
        *(f"CAST({schema.raw(name)} AS VARCHAR) AS {name}" for name in NAMES),
        f"{cost(options.cost, trying=trying)} AS cost",
        *([f"{cost('ListCost', trying=True)} AS listed"] if schema.has_amounts("ListCost") else []),
        *([f"CAST({schema.raw(options.tenant)} AS VARCHAR) AS tenant"] if options.tenant else []),
        *(f"{value} AS key{at}" for at, value in enumerate(values)),
        f"{_found(schema, options, said, values)} AS found",
    ]
    if options.resources:
        kind = schema.raw("ServiceCategory")
        columns.append(f"CASE WHEN {kind} IN ({_NO_RESOURCES}) THEN NULL ELSE {clean(resource)} END AS resource")
    columns.append(f"{cluster_of(schema, tags, resource)} AS cluster")
    if _tells_unused(schema, options):
        columns.append(f"{_unused(schema)} AS unused")
    return (
        f"SELECT {', '.join(columns)} FROM (SELECT *, {tags.parsed(options.keys)} AS found_tags FROM {schema.relation})"
    )


def cluster_of(schema: Schema, tags: Tags, resource: str) -> str:
    """Return SQL for the Kubernetes cluster of a charge, '' where only its tags say that it is of one, else NULL."""
    marked = tags.cluster()
    if not schema.has("ResourceId"):
        return marked
    name = f"nullif(regexp_extract({resource}, 'cluster/([^/]+)$', 1), '')"
    managed = f"CASE WHEN {cluster_service(schema.raw('ServiceName'), schema.raw('ServiceCategory'))} THEN {name} END"
    return f"coalesce(nullif({marked}, ''), {managed}, {marked})"


def _tells_unused(schema: Schema, options: Options) -> bool:
    return options.spreads_commitments and schema.has("CommitmentDiscountStatus")


def _unused(schema: Schema) -> str:
    """Return SQL for the commitment that a charge is the unused part of, '' where it has no id, else NULL."""
    commitment = f"coalesce({schema.text('CommitmentDiscountId')}, '')"
    return f"CASE WHEN lower({schema.text('CommitmentDiscountStatus')}) = 'unused' THEN {commitment} END"


def _found(schema: Schema, options: Options, said: Known, values: Sequence[str]) -> str:
    """Return SQL for the bits of one row."""
    tags = Tags.of(schema)
    bits = [f"CASE WHEN {_unread(schema, options, said)} THEN {UNREAD} ELSE 0 END"]
    if tags.shape == "json":
        nothing = " AND ".join(f"{value} IS NULL" for value in values) or "true"
        broken = f"CASE WHEN NOT json_valid({tags.column}) THEN {BROKEN} ELSE 0 END"
        kind = f"CASE WHEN starts_with({tags.column}, '[') THEN {LISTED} ELSE {broken} END"
        bits.append(f"CASE WHEN {nothing} AND {tags.present()} THEN {kind} ELSE 0 END")
    if tags.shape != "none" and options.tenant_keys and not options.tenant:
        nobody = " AND ".join(f"{value} IS NULL" for value in options.own(values))
        similar = f"CASE WHEN {tags.similar(options.tenant_keys)} THEN {SIMILAR} ELSE 0 END"
        bits.append(f"CASE WHEN {nobody} THEN {similar} ELSE 0 END")
    return f"CAST({' + '.join(bits)} AS UTINYINT)"


def _unread(schema: Schema, options: Options, said: Known) -> str:
    """Return SQL that tells whether a row holds an end or a cost that is none."""
    wrong = [
        f"({schema.sound_time(name)} IS NULL AND {schema.given(name)} IS NOT NULL)"
        for name in ("BillingPeriodEnd", "ChargePeriodEnd")
        if schema.has(name) and name not in said.sound
    ]
    if not schema.always_fits(options.cost):
        cost, given = schema.cost(options.cost, trying=True), schema.given(options.cost)
        wrong.append(f"({cost} IS NULL AND {given} IS NOT NULL)")
    return " OR ".join(wrong) or "false"
