"""The ledger file: opened by one process, replaced batch by batch, never half."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from unitcost.ending import ENDING
from unitcost.errors import LedgerLostError, LedgerStoppedError
from unitcost.facts import Batch, Cost, Resource, StoredBatch
from unitcost.ledger.bounds import refuse_uncountable
from unitcost.ledger.files import FILE_NAME, is_broken, translated
from unitcost.ledger.insert import insert
from unitcost.ledger.opening import open_ledger
from unitcost.ledger.refused import refuse_told_twice, refuse_unknown_currencies

STOP_SECONDS = 4.0
"""How long the end waits for who uses the ledger: a statement that is interrupted needs some hundredths."""

INTERRUPT_SECONDS = 0.02


@dataclass(frozen=True)
class StoredBatches:
    """What the ledger holds of one source under its present settings; satisfies facts.Stored."""

    ledger: Ledger
    source: str
    settings: str

    def batch(self, key: str) -> StoredBatch | None:
        """Return what is noted of the stored batch, or None; also where it holds values that cannot be counted."""
        found = self.ledger.rows(
            "SELECT fingerprint, epoch(until), lacks, epoch(loaded_at) FROM batch"
            f" WHERE source = $1 AND key = $2 AND settings = $3 AND NOT empty AND {SOUND}",
            [self.source, key, self.settings],
        )
        for fingerprint, until, lacks, loaded in found:
            until = None if until is None else datetime.fromtimestamp(until, UTC)  # noqa: PLW2901 - the same, typed
            return StoredBatch(fingerprint, until, lacks, datetime.fromtimestamp(loaded, UTC))
        return None

    def fingerprint(self, key: str) -> str | None:
        """Return the fingerprint of the stored batch, or None where batch() does."""
        found = self.batch(key)
        return None if found is None else found.fingerprint

    def keys(self) -> set[str]:
        """Return the keys of all stored batches that are not empty, nor hold values that cannot be counted."""
        sql = f"SELECT key FROM batch WHERE source = $1 AND settings = $2 AND NOT empty AND {SOUND}"
        return {key for (key,) in self.ledger.rows(sql, [self.source, self.settings])}

    def asked_empty(self, key: str) -> datetime | None:
        """Return when the source last had nothing for this key, or None; what it had before may be stored still."""
        found = self.ledger.rows(
            "SELECT epoch(loaded_at) FROM batch WHERE source = ? AND key = ? AND settings = ? AND empty",
            [self.source, key, self.settings],
        )
        return datetime.fromtimestamp(found[0][0], UTC) if found else None

    def costs(self, key: str) -> list[Cost]:
        """Return the cost rows of a stored batch, by day."""
        found = self.ledger.rows(
            f"SELECT {COST_COLUMNS} FROM cost c JOIN dimension_set d ON d.id = c.dims WHERE source = ? AND batch = ?",
            [self.source, key],
        )
        return [Cost(*row) for row in found]

    def totals(self, key: str) -> dict[str, Decimal]:
        """Return what the cost rows of a stored batch sum to, by currency."""
        sql = "SELECT currency, sum(amount) FROM cost WHERE source = ? AND batch = ? GROUP BY currency"
        return dict(self.ledger.rows(sql, [self.source, key]))

    def resources(self, first_day: date, last_day: date) -> list[Resource]:
        """Return the resources of these days that any source reported, sorted."""
        found = self.ledger.rows(
            "SELECT DISTINCT day, provider_id, scope, kind FROM resource WHERE day BETWEEN ? AND ? ORDER BY ALL",
            [first_day, last_day],
        )
        return [Resource(*row) for row in found]


COST_COLUMNS = ", ".join(field.name for field in fields(Cost) if field.name != "last_day")


@dataclass(frozen=True)
class Known:
    """How many UTC days a source is known for, the first and last of them (None: none), and its rows."""

    days: int
    first: date | None
    last: date | None
    rows: int


class Ledger:
    """The one writer of state_dir/ledger.duckdb; its methods may be called from any thread."""

    def __init__(self, folder: Path | None) -> None:
        """Open or create the ledger in a folder; None keeps it in memory.

        Raises LedgerError when the file is in use, damaged, of another version, or cannot be written.
        """
        self.path = folder / FILE_NAME if folder is not None else None
        self.revision = 0
        """How often facts were stored since it was opened: as long as it is the same, the same can be derived."""
        self._lock = threading.RLock()
        self._stopped = False
        self._connection = open_ledger(folder)
        self._inode = self.path.stat().st_ino if self.path is not None else None
        ENDING.at_signal(self.stop)

    def close(self) -> None:
        """Close the file; what was committed is in it. Whoever uses it in another thread is stopped."""
        self.stop()
        if self._lock.acquire(timeout=STOP_SECONDS):
            try:
                self._connection.close()
            finally:
                self._lock.release()

    def stop(self) -> None:
        """Interrupt what runs in any thread, for LedgerStoppedError there, and let nothing begin any more.

        Returns when nobody uses the ledger any more, at the latest after STOP_SECONDS.
        """
        self._stopped = True
        deadline = time.monotonic() + STOP_SECONDS
        # A statement ends at once, but it may be the last but one: only who holds the lock knows that none is to come.
        while not self._lock.acquire(timeout=INTERRUPT_SECONDS):
            with suppress(duckdb.Error):  # closed meanwhile
                self._connection.interrupt()
            if time.monotonic() > deadline:
                return
        self._lock.release()

    @property
    def stopped(self) -> bool:
        """Whether it was closed, or is about to be: DuckDB may notice a signal before stop() is called for it."""
        return self._stopped or ENDING.received is not None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else read or write meanwhile: everything in the block sees one state of the ledger."""
        with self._lock:
            self._refuse_stopped()
            yield

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold the connection alone; commit at the end, or roll back when the block raises.

        Raises LedgerError for what DuckDB says about the file (disk full, I/O); other errors pass.
        """
        with self.alone(), self._told("cannot be written"):
            self._connection.begin()
            try:
                yield self._connection
            except BaseException:
                with suppress(duckdb.Error):  # of a file that DuckDB has given up; the first error says why
                    self._connection.rollback()
                raise
            self._connection.commit()

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a SELECT and return all its rows. Raises LedgerError as transaction() does."""
        with self.alone(), self._told("cannot be read"):
            return self._connection.execute(sql, list(params)).fetchall()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a second connection: it sees what was committed when its transaction began, and holds up nobody."""
        with self.alone():
            return self._connection.cursor()

    def refuse_lost(self) -> None:
        """Raise LedgerLostError where the file is gone or was replaced, or its folder cannot be written."""
        if self.path is None:
            return
        try:
            found = self.path.stat().st_ino
        except OSError as error:
            raise LedgerLostError(
                f"{self.path}: is gone while it is in use ({error.strerror}); bring state_dir back and restart"
            ) from error
        if found != self._inode:
            raise LedgerLostError(f"{self.path}: was replaced while it was in use; restart")
        if not os.access(self.path.parent, os.W_OK) or not os.access(self.path, os.W_OK):
            raise LedgerLostError(f"{self.path}: cannot be written any more; make state_dir writable for this user")

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Raise LedgerError for what speaks of the file, and LedgerStoppedError for all that a stop interrupts."""
        try:
            yield
        except Exception as error:
            self._refuse_stopped(error)
            if is_broken(error):
                raise translated(self.path, error, what) from error
            raise

    def _refuse_stopped(self, error: Exception | None = None) -> None:
        if self.stopped:
            raise LedgerStoppedError(f"{self.path or 'the ledger in memory'}: is closed, unitcost is ending") from error

    def known(self, source: str) -> Known:
        """Return what is stored of a source, under whatever settings."""
        [(days, first, last)] = self.rows(
            "SELECT count(DISTINCT day), min(day), max(day) FROM known_day WHERE source = ?", [source]
        )
        [(rows,)] = self.rows("SELECT coalesce(sum(rows), 0) FROM batch WHERE source = ?", [source])
        return Known(days, first, last, int(rows))

    def stored(self, source: str, settings: str) -> StoredBatches:
        """Return what is stored of a source under these settings (a digest of them)."""
        return StoredBatches(self, source, settings)

    def put(
        self,
        source: str,
        settings: str,
        batch: Batch,
        now: datetime,
        rates: Mapping[str, Decimal],
        clusters: Sequence[str] = (),
    ) -> None:
        """Replace a batch in one transaction. Days whose content changed are derived again later.

        An empty batch replaces nothing: it is remembered that the source was asked, and had nothing (any more).

        clusters: the configured sources that are clusters; a cluster's day is told by one of them only.

        Raises SourceError when its rows cannot be read, are in a currency without a rate, are too large to be counted
        (facts.LARGEST_AMOUNT and those around it), or tell of a cluster that another source tells of already, and
        LedgerError when they cannot be written; either way the batch that was stored stays as it was.
        """
        with self.transaction() as connection:
            where = [source, batch.key]
            if batch.empty:  # what the source told before stays beside it
                connection.execute("DELETE FROM batch WHERE source = ? AND key = ? AND empty", where)
                _record(connection, source, settings, batch, now, 0)
                return
            former = connection.execute("DELETE FROM batch WHERE source = ? AND key = ? RETURNING empty", where)
            stored = (False,) in former.fetchall()
            moves = stored or bool(batch.resources)
            before = {}
            if moves:
                connection.execute(f"CREATE OR REPLACE TEMP TABLE former_resource AS {RESOURCES_OF}", where)
            if stored:
                before = _day_digests(connection, where)
                for table in ("cost", "usage", "revenue", "resource", "known_day"):
                    connection.execute(f"DELETE FROM {table} WHERE source = ? AND batch = ?", where)
            self.revision += 1  # also where it is rolled back
            rows = insert(connection, source, batch)
            if moves:
                _forget_moved(connection, where)
            refuse_unknown_currencies(connection, source, batch, rates)
            if source in clusters:
                refuse_told_twice(connection, source, batch, [name for name in clusters if name != source])
            connection.execute(
                "INSERT INTO known_day SELECT ?, ?, says, day"
                " FROM (SELECT unnest(?::VARCHAR[]) AS says), (SELECT unnest(?::DATE[]) AS day)",
                [*where, [*batch.known_for], sorted(set(batch.days))],
            )
            refuse_uncountable(connection, source, batch, rates)
            _record(connection, source, settings, batch, now, rows)
            if not stored:
                connection.execute(f"DELETE FROM derived_day WHERE day IN ({SPOKEN_OF})", where)
                return
            after = _day_digests(connection, where)
            changed = [day for day in before.keys() | after.keys() if before.get(day) != after.get(day)]
            connection.execute("DELETE FROM derived_day WHERE day IN (SELECT unnest(?::DATE[]))", [changed])

    def adopt(self, digests: Mapping[str, str]) -> None:
        """Take settings for present ones that are these, digested otherwise. digests: former → present."""
        with self.transaction() as connection:
            self.revision += 1
            connection.execute(
                "UPDATE batch SET settings = d.present FROM ("
                " SELECT unnest(?::VARCHAR[]) AS former, unnest(?::VARCHAR[]) AS present) d WHERE settings = d.former",
                [list(digests), list(digests.values())],
            )

    def succeeded(self, source: str, now: datetime) -> None:
        """Remember that a refresh of the source brought all it was asked for."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO source_state VALUES (?, ?)", [source, now])


SOUND = "key NOT IN (SELECT batch FROM doubt WHERE source = $1 AND reason = 'value')"
"""Batches that could be counted; others are asked for again, since a version of before did not look at values."""

SPOKEN_OF = """
SELECT day FROM known_day WHERE source = $1 AND batch = $2
UNION ALL SELECT day FROM cost WHERE source = $1 AND batch = $2
UNION ALL SELECT day FROM usage WHERE source = $1 AND batch = $2
"""
"""The days of a batch. All of them are new with it; what changed in one that was stored needs a closer look."""


RESOURCES_OF = "SELECT DISTINCT provider_id, scope, kind FROM resource WHERE source = $1 AND batch = $2"


def _forget_moved(connection: duckdb.DuckDBPyConnection, where: list[str]) -> None:
    """Forget the days on which a bill charges for resources that belong to another scope since this batch."""
    connection.execute(
        f"""
        DELETE FROM derived_day WHERE day IN (
            SELECT c.day FROM cost c JOIN (
                SELECT DISTINCT resource_tail(provider_id) AS tail
                FROM ((FROM former_resource EXCEPT {RESOURCES_OF}) UNION ({RESOURCES_OF} EXCEPT FROM former_resource))
                ANTI JOIN (FROM resource WHERE NOT (source = $1 AND batch = $2)) USING (provider_id, scope, kind)
            ) m ON m.tail = resource_tail(c.resource)
        )
        """,
        where,
    )


def _record(
    connection: duckdb.DuckDBPyConnection, source: str, settings: str, batch: Batch, now: datetime, rows: int
) -> None:
    connection.execute(
        "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [source, batch.key, batch.fingerprint, settings, batch.empty, now, rows, batch.until, batch.lacks],
    )


def _day_digests(connection: duckdb.DuckDBPyConnection, where: list[str]) -> dict[date, tuple[int, int]]:
    """Return a digest of everything a batch says about each day, so that only changed days are derived again."""
    found = connection.execute(
        """
        SELECT day, count(*), sum(digest::HUGEINT) FROM (
            SELECT day, hash(*COLUMNS(* EXCLUDE (source, batch, day))) AS digest
            FROM cost WHERE source = $1 AND batch = $2
            UNION ALL
            SELECT day, hash(*COLUMNS(* EXCLUDE (source, batch, day)))
            FROM usage WHERE source = $1 AND batch = $2
            UNION ALL SELECT day, hash(tenant, mrr, currency, plan) FROM mrr_day WHERE source = $1 AND batch = $2
            UNION ALL SELECT day, hash(says) FROM known_day WHERE source = $1 AND batch = $2
        ) GROUP BY day
        """,
        where,
    ).fetchall()
    return {day: (count, digest) for day, count, digest in found}
