"""OpenCost: what the workloads of a Kubernetes cluster cost, per tenant and UTC day."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from http import HTTPStatus
from itertools import pairwise
from typing import ClassVar

from unitcost.errors import SourceError
from unitcost.facts import COST, IDLE, Asked, Batch, Cost, Note, Problem, Query, Resource, Stored
from unitcost.sources.base import NOBODY, Context, SourceKind
from unitcost.sources.cluster.opencost import guard, nulls
from unitcost.sources.cluster.opencost.answer import (
    Assets,
    Entry,
    Pieces,
    opened,
    read_assets,
    read_costs,
    read_steps,
)
from unitcost.sources.cluster.opencost.clusters import idle_by_node, placed
from unitcost.sources.cluster.opencost.day import (
    HOUR,
    RESOURCES,
    WHOLE_DAY,
    covered,
    end_of,
    fingerprint_of,
    is_final,
    minutes_over,
    reference_for,
    window_of,
)
from unitcost.sources.cluster.opencost.doubt import Doubts, doubt_note, mostly_idle
from unitcost.sources.cluster.opencost.errors import LOG_HINT, URL_HINT, message_of
from unitcost.sources.cluster.opencost.files import Recorded
from unitcost.sources.cluster.opencost.names import CLUSTER, NODE, Naming, odd_names, untagged
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.volumes import by_disk
from unitcost.sources.daily import FailedDays, due, is_closed
from unitcost.sources.http import Client

YOUNGEST, YOUNGEST_HOUR = timedelta(minutes=10), timedelta(hours=1)
"""How much of the current day must be over before it is asked, as fewer samples say nothing; in collector mode."""
ASK_FAILED_AGAIN = timedelta(hours=1)
"""When a day that can no longer change is asked again after it could not be used."""
AROUND = timedelta(days=7)
"""Where /assets fails, those of days as near as this stand in. A day of the bill on which none of its rows is known to
be Kubernetes would else look like one that the bill does not cover yet, and OpenCost's estimate would come on top."""
COLLECTOR_DAYS = 15
"""How many days OpenCost keeps by itself in collector mode, unless it is told otherwise."""
OF_ONE_DAY = ("http", "truncated", "too_large", "merged")
"""Errors that may be one day's own; with any other there is no point in asking for the next day."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """What an answer says of one day: its cost rows, and the entries they were read from."""

    rows: list[Cost]
    entries: list[Entry]

    def names(self) -> list[tuple[str, str | None]]:
        return [(entry.name, entry.cluster) for entry in self.entries]


class OpenCost:
    """Asks OpenCost day by day, or reads its recorded answers. pause: waits so many seconds."""

    kind: ClassVar[SourceKind] = "cluster"

    def __init__(
        self, name: str, settings: OpenCostSettings, context: Context, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self.settings = settings
        self._bills = context.billed and settings.billed_by != []
        self._currency = settings.currency or context.currency
        self._guard = Decimal(str(settings.partial_guard))
        self._pause = pause
        given = settings.tenant or [key if key == "namespace" else f"label:{key}" for key in context.tenant_keys]
        tenants = () if given == NOBODY else (given,) if isinstance(given, str) else tuple(given)
        dimensions = {f"label:{dimension}": dimension for dimension in context.dimensions}
        first = (CLUSTER,) if settings.url else ()  # what is merged over clusters cannot be told apart any more
        last = (NODE,) if settings.url and self._bills and settings.by_node else ()
        asked_for = settings.aggregate or dict.fromkeys((*first, *(tenants or ("namespace",)), *dimensions, *last))
        self._naming = Naming(tuple(asked_for), tenants, dimensions)
        self._client = Client(settings, waiting=context.waiting) if settings.url else None
        self._recorded = (
            Recorded(name, settings.path, self._naming, settings.cluster, self._currency) if settings.path else None
        )
        self._unusable: dict[date, tuple[datetime, list[Problem]]] = {}
        self._notes: dict[date, list[Note]] = {}
        self._doubts = Doubts(self._guard)

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield a batch per UTC day, newest first: today, the last restate_days, and days not stored yet.

        Raises SourceError when OpenCost cannot be reached, is too slow, is not OpenCost, or fails for three
        days in a row.
        """
        if self._recorded is not None:
            yield from self._recorded.batches(asked)
            return
        doubted = self._doubts.look(asked)
        failed = FailedDays()
        seen: list[Sequence[Cost]] = []
        for day in self._due(asked, self._doubts.due([*doubted], asked.now)):
            closed = is_closed(day, asked)
            since, findings = self._unusable.get(day, (asked.now, []))
            if closed and findings and asked.now - since < ASK_FAILED_AGAIN:
                yield from findings
                continue
            try:
                found = list(self._day(day, asked))
            except SourceError as error:
                problem = self._problem(day, error)
                if error.reason in {*OF_ONE_DAY, "timeout"}:
                    self._unusable[day] = asked.now, [problem]
                if error.reason not in OF_ONE_DAY:
                    yield from failed.told()
                    raise
                yield from failed.add([problem])
                continue
            yield from failed.told()
            yield from (item for item in found if not isinstance(item, Note))
            seen += [item.cost for item in found if isinstance(item, Batch) and not isinstance(item.cost, Query)]
            self._unusable[day] = asked.now, self._said(found, day, asked)
            self._notes[day] = [item for item in found if isinstance(item, Note)]
        yield from failed.told()
        yield from untagged(self.name, [rows for rows in seen if rows], self._naming, self._currency)
        for day in sorted(self._notes, reverse=True):
            yield from self._notes[day] if day >= asked.first_day else ()
        yield from doubt_note(self.name, doubted)
        yield from self._beyond(asked)

    def _said(self, found: Sequence[Batch | Problem | Note], day: date, asked: Asked) -> list[Problem]:
        """Return a day's problems, and one more where its batch was handed over and is not in the ledger."""
        problems = [item for item in found if isinstance(item, Problem)]
        batches = [item for item in found if isinstance(item, Batch) and item.days]
        if any(asked.stored.fingerprint(batch.key) != batch.fingerprint for batch in batches):
            text = "the ledger refused this day, see its own error"
            problems.append(Problem("refused", self._where(day), text, "It is asked again within the hour"))
        return problems

    def _due(self, asked: Asked, doubted: Collection[date]) -> Iterator[date]:
        def is_whole(day: date) -> bool:
            return is_final(day, asked.stored, with_resources=self._bills)

        return due(asked, YOUNGEST_HOUR if self.settings.collector else YOUNGEST, is_whole, doubted)

    def _minutes(self, day: date, now: datetime) -> int:
        """Return how many minutes of a day are asked for: in collector mode whole hours, which have a store."""
        minutes = minutes_over(day, now)
        return minutes // HOUR * HOUR if self.settings.collector else minutes

    def _beyond(self, asked: Asked) -> Iterator[Note]:
        """Say which days of the history OpenCost has nothing of."""
        keys = asked.stored.keys()
        oldest = min(keys) if keys else ""
        if oldest <= asked.first_day.isoformat() or asked.stored.asked_empty(asked.first_day.isoformat()) is None:
            return
        keeps = f"it keeps {COLLECTOR_DAYS} days in collector mode" if self.settings.collector else "see its Prometheus"
        yield Note(
            f"{self.name}: OpenCost has nothing before {oldest}; {keeps}. "
            f"The days from {asked.first_day}, where history begins, stay unknown"
        )

    def _day(self, day: date, asked: Asked) -> Iterator[Batch | Problem | Note]:
        key = day.isoformat()
        minutes = self._minutes(day, asked.now)
        assets = cache(lambda: self._assets(day, minutes))
        answer = self._allocation(day, minutes, assets)
        if isinstance(answer, Problem):
            yield answer
            return
        rows = answer.rows
        yield from odd_names(answer.names(), self._naming, self._where(day))
        known = key in asked.stored.keys()  # noqa: SIM118 - a method of ours
        if not rows:
            yield from self._nothing(day, asked, known=known)
            return
        if known and covered(day, asked.stored) >= minutes:
            lost = nulls.lost_by(answer.entries, self._naming, asked.stored.costs(key))
            if lost:
                yield Note(
                    f"{self._where(day)}: OpenCost does not know the {lost[0]} any more (null); "
                    "the stored day, which does, stays in use"
                )
                return
        believed = self._believed(rows, day, minutes, asked.stored, assets)
        if isinstance(believed, Problem):
            yield believed
            return
        resources: Sequence[Resource] = ()
        found: Assets | None = None
        if self._bills:
            try:
                found = assets()
                resources = found.resources
            except SourceError as error:
                resources = _stored_resources(asked.stored, day, believed)
                kept = f"the {len(resources)} known before are kept" if resources else "none are known around this day"
                yield Problem(
                    "assets",
                    self._where(day),
                    f"{error.where}: {error.text}; so the day's node ids are unknown, {kept}",
                    f"Until they are, a bill's rows are told to be Kubernetes by their tags alone. {error.hint}",
                )
        yield Batch(
            key,
            [day],
            fingerprint_of(believed, resources),
            cost=believed,
            resources=resources,
            says=COST,
            until=end_of(day, minutes),
            lacks="" if found else RESOURCES,
        )
        yield from nulls.named(answer.entries, believed, found, self._where(day))
        if self._guard and reference_for(day, minutes, asked.stored) is None:
            yield from mostly_idle(believed, self._where(day))

    def _nothing(self, day: date, asked: Asked, *, known: bool) -> Iterator[Batch | Problem | Note]:
        """Say that OpenCost has nothing of a day, and whether that is remembered until it is asked a day later."""
        closed = is_closed(day, asked)
        lost = known and closed and not is_final(day, asked.stored, with_resources=self._bills)
        if not known or lost:
            yield Batch(day.isoformat(), [])
        if lost:
            yield Note(
                f"{self._where(day)}: what is stored of this day is not all of it, and OpenCost has no more of it"
            )
        elif known:
            yield Problem(
                "partial",
                self._where(day),
                "OpenCost has no costs for this day now; the stored ones stay in use",
                "See whether its Prometheus lost data, or keeps it for less time than this day is old",
            )

    def _believed(
        self, rows: Sequence[Cost], day: date, minutes: int, stored: Stored, assets: Callable[[], Assets]
    ) -> Sequence[Cost] | Problem:
        reference = reference_for(day, minutes, stored) if self._guard else None
        if reference is None:
            return rows

        def again() -> Sequence[Cost]:
            answer = self._allocation(day, minutes, assets)
            return [] if isinstance(answer, Problem) else answer.rows

        return guard.settle(
            rows, reference, self._guard, again=again, assets=assets, pause=self._pause, where=self._where(day)
        )

    def _allocation(self, day: date, minutes: int, assets: Callable[[], Assets]) -> _Answered | Problem:
        """Return what a day cost, or a Problem if that is unknown."""
        where = self._where(day)
        params = {
            "window": window_of(day, minutes),
            "aggregate": ",".join(self._naming.aggregates),
            "includeIdle": "true",
            "accumulate": "true",
        }
        if self.settings.collector and minutes < WHOLE_DAY:
            params["step"] = "1h"  # each step is answered from the store of its length
        steps = read_steps(self._get("/allocation", params), where)
        entries = [entry for step in steps for entry in step.entries]
        if entries and all(entry.name in {"", IDLE, entry.cluster} for entry in entries) and _any_workload(entries):
            raise SourceError(
                "format",
                where,
                "OpenCost does not know what it was asked to aggregate by: no name says more than the cluster",
                "Check the source's tenant setting: label:NAME, annotation:NAME or namespace",
            )
        problem = nulls.unknown_day(entries, where)
        if problem is not None:
            return problem
        for entry in entries:
            if entry.amounts and not day == entry.start.date() == (entry.end - timedelta.resolution).date():
                raise SourceError(
                    "format",
                    f"{where}, entry {entry.name!r}",
                    f"the answer speaks of other days too: {entry.start:%Y-%m-%d %H:%M} to {entry.end:%Y-%m-%d %H:%M}",
                    "Check that nothing between unitcost and OpenCost changes the window parameter",
                )
        spans = sorted((step.start, step.end) for step in steps)
        if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
            raise SourceError("format", where, "the answer's steps overlap, their costs would count twice", LOG_HINT)
        entries = placed(entries, self._naming, self.settings.cluster, self.name, assets, where)
        if self._naming.by_node:
            with suppress(SourceError):  # without /assets a charge goes to the workloads, of whatever node and disk
                entries = by_disk(idle_by_node(entries, assets()), assets())
        rows = read_costs(entries, self._naming, self._currency)
        return _Answered(rows.get(day, []), entries)

    def _assets(self, day: date, minutes: int) -> Assets:
        document = self._get("/assets", {"window": window_of(day, minutes)})
        return read_assets(document, f"/assets of {day}", self.settings.cluster, self.name, only=day)

    def _get(self, path: str, params: dict[str, str]) -> Pieces:
        if self._client is None:
            raise AssertionError("recorded answers are read, not asked for")
        answer = self._client.get(path, params)
        if answer.status != HTTPStatus.OK:
            client_error = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            raise SourceError(
                "request" if client_error else "http",
                answer.url,
                f"answered {answer.status}: {message_of(answer)}",
                URL_HINT if client_error else LOG_HINT,
            )
        return answer.pieces(opened)

    def _problem(self, day: date, error: SourceError) -> Problem:
        where = self._where(day)
        if error.where.startswith(where):
            return Problem.of(error)
        return Problem(error.reason, where, f"{error.where}: {error.text}", error.hint)

    def _where(self, day: date) -> str:
        return f"{self.name}, {day}"


def _any_workload(entries: Sequence[Entry]) -> bool:
    return any(entry.name != IDLE for entry in entries)


def _stored_resources(stored: Stored, day: date, rows: Sequence[Cost]) -> list[Resource]:
    """Return the cluster's resources of this day, or else of the week around it: an id means the same on any day."""
    scopes = {row.scope for row in rows}
    found = stored.resources(day, day) or stored.resources(day - AROUND, day + AROUND)
    return sorted({replace(one, day=day) for one in found if one.scope in scopes}, key=astuple)
