"""Recorded answers of OpenCost: JSON files of /allocation, and of /assets for the node ids."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from unitcost.errors import SourceError
from unitcost.facts import COST, Asked, Batch, Cost, Note, Problem, Resource
from unitcost.sources.cluster.opencost import nulls
from unitcost.sources.cluster.opencost.answer import (
    Pieces,
    Step,
    holds_assets,
    opened,
    read_assets,
    read_costs,
    read_steps,
)
from unitcost.sources.cluster.opencost.clusters import placed
from unitcost.sources.cluster.opencost.names import Naming, odd_names, untagged
from unitcost.sources.cluster.opencost.spans import days_of
from unitcost.sources.json_pieces import pieces


@dataclass
class _Folder:
    """What the files hold together, while they are read."""

    rows: dict[date, list[Cost]] = field(default_factory=lambda: defaultdict(list))
    resources: dict[date, set[Resource]] = field(default_factory=lambda: defaultdict(set))
    taken: dict[date, list[tuple[datetime, datetime, str]]] = field(default_factory=lambda: defaultdict(list))
    unknown: set[date] = field(default_factory=set)
    findings: list[Problem | Note] = field(default_factory=list)


class Recorded:
    """Reads a file, or the *.json of a folder, again when one of them changed.

    A window of several UTC days is spread over them by time. Where two files speak of the same time, the
    first in name order is kept.
    """

    def __init__(self, name: str, path: Path, naming: Naming, cluster: str | None, currency: str) -> None:
        self._name = name
        self._path = path
        self._naming = naming
        self._cluster = cluster
        self._currency = currency
        self._seen = ""
        self._keys: set[str] = set()
        self._findings: list[Problem | Note] = []

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield a batch per UTC day of which the files say something new, newest first, after what is wrong with them.

        Raises SourceError `missing` when there is no file.
        """
        files = self._files()
        seen = _stamp(files)
        if seen == self._seen and self._keys <= asked.stored.keys():
            yield from self._findings
            return
        folder = _Folder()
        for path in files:
            try:
                self._read(path, folder)
            except SourceError as error:
                folder.findings.append(Problem.of(error))
        rows = [found for day, found in folder.rows.items() if day not in folder.unknown]
        folder.findings += untagged(self._name, rows, self._naming, self._currency)
        yield from folder.findings
        keys = set()
        for day in sorted(set(folder.rows) - folder.unknown, reverse=True):
            costs, ids = folder.rows[day], sorted(folder.resources[day], key=astuple)
            batch = Batch(day.isoformat(), [day], _digest(costs, ids), cost=costs, resources=ids, says=COST)
            keys.add(batch.key)
            if asked.stored.fingerprint(batch.key) != batch.fingerprint:
                yield batch
        self._seen, self._keys, self._findings = seen, keys, folder.findings

    def _files(self) -> list[Path]:
        files = sorted(self._path.glob("*.json")) if self._path.is_dir() else [self._path]
        if not files:
            raise SourceError("missing", f"{self._name}, {self._path}", "holds no *.json", "Record answers into it")
        return files

    def _read(self, path: Path, folder: _Folder) -> None:
        where = f"{self._name}, {path.name}"
        body = _load(path, where)
        if holds_assets(_pieces(body, where)):
            for one in read_assets(_pieces(body, where), where, self._cluster, self._name).resources:
                folder.resources[one.day].add(one)
            return
        steps = read_steps(_pieces(body, where), where)
        if not steps:
            folder.findings.append(Problem("no_data", where, "holds no costs", "Record a day that has some"))
        for step in steps:
            self._add(step, path.name, where, folder)

    def _add(self, step: Step, file: str, where: str, folder: _Folder) -> None:
        pieces = days_of(step.start, step.end)
        at = f"{where}, {pieces[0][0]}"
        problem = nulls.unknown_day(step.entries, at)
        if problem is None:
            try:
                entries = placed(step.entries, self._naming, self._cluster, self._name, None, at)
            except SourceError as error:
                problem = Problem.of(error)
        if problem is not None:
            folder.findings.append(problem)
            folder.unknown.update(day for day, _, _ in pieces)
            return
        days = read_costs(entries, self._naming, self._currency)
        folder.findings += odd_names(((entry.name, entry.cluster) for entry in entries), self._naming, where)
        folder.findings += nulls.named(entries, [], None, at)
        if len(pieces) > 1:
            folder.findings.append(
                Note(
                    f"{where}: the window {step.start:%Y-%m-%dT%H:%M:%SZ} to {step.end:%Y-%m-%dT%H:%M:%SZ} "
                    f"touches {len(pieces)} UTC days; its costs are spread over them by time"
                )
            )
        twice: dict[str, list[date]] = defaultdict(list)
        for day, start, end in pieces:
            others = [name for since, until, name in folder.taken[day] if since < end and start < until]
            if others:
                twice[others[0]].append(day)
                continue
            folder.taken[day].append((start, end, file))
            if days.get(day):
                folder.rows[day] += days[day]
        for other, doubled in twice.items():
            lost = sum((row.amount for day in doubled for row in days.get(day, [])), Decimal(0))
            more = f" and {len(doubled) - 1} more days" if len(doubled) > 1 else ""
            folder.findings.append(
                Problem(
                    "duplicate",
                    where,
                    f"{other} speaks of {doubled[0]}{more} too; {other} is kept, "
                    f"{lost:.2f} {self._currency} of {file} is not counted",
                    "Remove one of the two files",
                )
            )


def _load(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError("missing", where, f"cannot be read: {error.strerror}") from error


def _pieces(body: bytes, where: str) -> Pieces:
    try:
        yield from pieces(body, opened)
    except ValueError as error:
        raise SourceError("format", where, f"is not JSON: {error}", "Record the answer again") from error


def _stamp(files: list[Path]) -> str:
    """Digest what tells a changed file: names, sizes and times."""
    try:
        stats = [(path.name, path.stat()) for path in files]
    except OSError as error:
        raise SourceError("missing", str(error.filename), f"cannot be read: {error.strerror}") from error
    lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest(rows: list[Cost], resources: list[Resource]) -> str:
    return hashlib.sha256(repr((rows, resources)).encode()).hexdigest()[:32]
