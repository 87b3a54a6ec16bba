"""Batches that are refused as they are stored: in a currency without a rate, or of a cluster that another tells of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

import duckdb

from unitcost.errors import SourceError
from unitcost.facts import K8S, Batch, Query


def refuse_unknown_currencies(
    connection: duckdb.DuckDBPyConnection, source: str, batch: Batch, rates: Mapping[str, Decimal]
) -> None:
    """Raise SourceError for a batch, as it has just been written, in a currency without a rate."""
    for table, records in (("cost", batch.cost), ("revenue", batch.revenue)):
        if isinstance(records, Query):
            sql = f"SELECT currency, count(*) FROM {table} WHERE source = ? AND batch = ? GROUP BY currency"
            counts = dict(connection.execute(sql, [source, batch.key]).fetchall())
        else:
            counts = Counter(record.currency for record in records)
        found = min(((name, count) for name, count in counts.items() if name not in rates), default=None)
        if found is not None:
            raise SourceError(
                "currency",
                batch.key,
                f"{found[1]} rows are in {found[0]}, which has no rate",
                f"Add {found[0]} to currency.rates; until then the whole of {batch.key} is left out",
            )


def refuse_told_twice(connection: duckdb.DuckDBPyConnection, source: str, batch: Batch, others: list[str]) -> None:
    """Raise SourceError for a cluster's day that another source holds: by its name, or by most of its nodes."""
    found = connection.execute(
        """
        WITH
        mine AS (SELECT DISTINCT day, scope FROM cost WHERE source = $1 AND batch = $2 AND scope IS NOT NULL),
        ids AS (SELECT DISTINCT day, scope, provider_id FROM resource WHERE source = $1 AND batch = $2),
        counts AS (SELECT day, scope, count(*) AS ids FROM ids GROUP BY ALL)
        SELECT c.source, c.day, c.scope, 'a cluster of this name' AS why
        FROM cost c JOIN mine m ON m.day = c.day AND m.scope = c.scope WHERE list_contains($3, c.source)
        UNION ALL
        SELECT n.source, n.day, i.scope,
            count(DISTINCT n.provider_id) || ' of its ' || any_value(k.ids) || ' provider ids'
        FROM ids i JOIN resource n USING (day, provider_id) JOIN counts k ON k.day = i.day AND k.scope = i.scope
        WHERE list_contains($3, n.source)
        GROUP BY n.source, n.day, i.scope HAVING 2 * count(DISTINCT n.provider_id) > any_value(k.ids)
        ORDER BY ALL LIMIT 1
        """,
        [source, batch.key, others],
    ).fetchone()
    if found is not None:
        other, day, scope, why = found
        cluster = scope.removeprefix(K8S)
        raise SourceError(
            "duplicate",
            batch.key,
            f"the sources {other} and {source} both tell of the cluster {cluster!r} on {day}: {other} has {why} "
            f"already. What {source} says is not added",
            f"Remove one of {other} and {source}; if they are two clusters of one name, give one of them its own "
            "(OpenCost's defaultClusterId, or cluster in its source)",
        )
