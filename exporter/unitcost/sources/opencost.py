"""OpenCost: what the workloads of a Kubernetes cluster cost, per tenant and UTC day."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from unitcost.errors import SourceError
from unitcost.records import Asked, Batch, Cost, Node, Note, Problem, Stored
from unitcost.sources import opencost_guard
from unitcost.sources.base import Context, ExistingPath, HttpSettings, SourceKind
from unitcost.sources.http import Answer, Client
from unitcost.sources.opencost_answer import (
    LOG_HINT,
    URL_HINT,
    Assets,
    Naming,
    null_problem,
    odd_names,
    read_assets,
    read_costs,
    read_steps,
    shorten,
)
from unitcost.sources.opencost_day import fingerprint_of, is_final, minutes_over, reference_for, window_of
from unitcost.sources.opencost_files import Recorded

YOUNGEST = 10
"""Minutes of the current day that must be over before it is asked; so few samples say nothing."""
ASK_EMPTY_AGAIN = timedelta(hours=24)
ASK_FAILED_AGAIN = timedelta(hours=1)
"""When a day that can no longer change is asked again after it was empty, or could not be used."""
NODES_AROUND = timedelta(days=7)
"""Where /assets fails, nodes of days as near as this stand in. A day of the bill on which none of its rows is known to
be Kubernetes would else look like one that the bill does not cover yet, and OpenCost's estimate would come on top."""
MAX_FAILURES = 3
OF_ONE_DAY = ("http", "truncated", "too_large")
"""Errors that may be one day's own; with any other there is no point in asking for the next day."""


class OpenCostSettings(HttpSettings):
    """An OpenCost server (url), or answers of its /allocation and /assets recorded in files (path).

    tenant: what names the tenant: label:NAME (default: label:<tenants.key>), annotation:NAME or namespace.
    cluster: the cluster's name; default: what OpenCost says. currency: of OpenCost's prices; default: the
    configured one. billed_by: names of the bill sources that hold this cluster's nodes; default: every bill,
    []: none. partial_guard: a day whose workloads cost less than this part of what was to be expected is not
    believed at once; 0 believes everything. aggregate: what the recorded answers are aggregated by, in order;
    default: the tenant, then the dimensions.
    """

    type: Literal["opencost"]
    url: str = ""
    path: ExistingPath | None = None
    tenant: Annotated[str, Field(pattern=r"^(namespace|(label|annotation):[^,\s]+)$")] | None = None
    cluster: Annotated[str, Field(min_length=1)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    billed_by: list[str] | None = None
    partial_guard: Annotated[float, Field(ge=0, lt=1)] = 0.5
    aggregate: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _http_url(self) -> OpenCostSettings:
        """Check that there is one of url and path, and what belongs to it."""
        if bool(self.url) == (self.path is not None):
            raise ValueError("needs exactly one of url (an OpenCost server) and path (its recorded answers)")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        if self.url and self.aggregate is not None:
            raise ValueError("aggregate is for path only; with url it follows from tenant and dimensions")
        return self


class OpenCost:
    """Asks OpenCost day by day, or reads its recorded answers. pause: waits so many seconds."""

    kind: ClassVar[SourceKind] = "cluster"

    def __init__(
        self, name: str, settings: OpenCostSettings, context: Context, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self.settings = settings
        self._bills = context.bills and settings.billed_by != []
        self._currency = settings.currency or context.currency
        self._guard = Decimal(str(settings.partial_guard))
        self._pause = pause
        tenant = settings.tenant or f"label:{context.tenant_keys[0]}"
        dimensions = {f"label:{dimension}": dimension for dimension in context.dimensions}
        asked_for = settings.aggregate or dict.fromkeys((tenant, *dimensions))
        self._naming = Naming(tuple(asked_for), tenant, dimensions)
        self._client = Client(settings) if settings.url else None
        self._recorded = (
            Recorded(name, settings.path, self._naming, settings.cluster, self._currency) if settings.path else None
        )
        self._unusable: dict[date, tuple[datetime, list[Problem]]] = {}

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield a batch per UTC day, newest first: today, the last restate_days, and days not stored yet.

        Raises SourceError when OpenCost cannot be reached, is too slow, is not OpenCost, or fails for three
        days in a row.
        """
        if self._recorded is not None:
            yield from self._recorded.batches(asked)
            return
        failed: list[Problem] = []
        answered = False
        for day in self._due(asked):
            closed = (asked.today - day).days > asked.restate_days
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
                    yield from failed
                    raise
                failed.append(problem)
                if len(failed) == MAX_FAILURES:
                    raise _all_failed(failed) from error
                continue
            yield from failed
            failed, answered = [], True
            yield from found
            problems = [item for item in found if isinstance(item, Problem)]
            self._unusable[day] = asked.now, problems
        if failed and not answered:
            raise _all_failed(failed)
        yield from failed

    def _due(self, asked: Asked) -> Iterator[date]:
        stored = asked.stored.keys()
        for back in range((asked.today - asked.first_day).days + 1):
            day = asked.today - timedelta(days=back)
            key = day.isoformat()
            if back == 0 and minutes_over(day, asked.now) < YOUNGEST:
                continue
            if back > asked.restate_days:
                if key in stored and is_final(asked.stored.fingerprint(key), with_nodes=self._bills):
                    continue
                empty = asked.stored.asked_empty(key)
                if key not in stored and empty is not None and asked.now - empty < ASK_EMPTY_AGAIN:
                    continue
            yield day

    def _day(self, day: date, asked: Asked) -> Iterator[Batch | Problem]:
        key = day.isoformat()
        minutes = minutes_over(day, asked.now)
        answer = self._allocation(day, minutes)
        if isinstance(answer, Problem):
            yield answer
            return
        rows, problems = answer
        yield from problems
        known = key in asked.stored.keys()  # noqa: SIM118 - a method of ours
        if not rows and known:
            yield Problem(
                "partial",
                self._where(day),
                "OpenCost has no costs for this day now; the stored ones stay in use",
                "See whether its Prometheus lost data, or keeps it for less time than this day is old",
            )
            return
        if not rows:
            yield Batch(key, [])
            return
        believed = self._believed(rows, day, minutes, asked.stored)
        if isinstance(believed, Problem):
            yield believed
            return
        nodes: Sequence[Node] = ()
        has_nodes = False
        if self._bills:
            try:
                nodes = self._assets(day, minutes).nodes
                has_nodes = True
            except SourceError as error:
                nodes = _stored_nodes(asked.stored, day, believed)
                kept = f"the {len(nodes)} known before are kept" if nodes else "none are known around this day"
                yield Problem(
                    "assets",
                    self._where(day),
                    f"{error.where}: {error.text}; so the day's node ids are unknown, {kept}",
                    f"Until they are, a bill's rows are told to be Kubernetes by their tags alone. {error.hint}",
                )
        yield Batch(
            key, [day], fingerprint_of(minutes, believed, nodes if has_nodes else None), cost=believed, nodes=nodes
        )

    def _believed(self, rows: Sequence[Cost], day: date, minutes: int, stored: Stored) -> Sequence[Cost] | Problem:
        reference = reference_for(day, minutes, stored) if self._guard else None
        if reference is None:
            return rows

        def again() -> Sequence[Cost]:
            answer = self._allocation(day, minutes)
            return [] if isinstance(answer, Problem) else answer[0]

        def assets() -> Assets:
            return self._assets(day, minutes)

        return opencost_guard.settle(
            rows, reference, self._guard, again=again, assets=assets, pause=self._pause, where=self._where(day)
        )

    def _allocation(self, day: date, minutes: int) -> tuple[list[Cost], list[Problem]] | Problem:
        """Return a day's cost rows, or a Problem if what it cost is unknown."""
        where = self._where(day)
        params = {
            "window": window_of(day, minutes),
            "aggregate": ",".join(self._naming.aggregates),
            "includeIdle": "true",
            "accumulate": "true",
        }
        steps = read_steps(self._get("/allocation", params), where)
        entries = [entry for step in steps for entry in step.entries]
        problem = null_problem(entries, where)
        if problem is not None:
            return problem
        spans = sorted((step.start, step.end) for step in steps)
        if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
            raise SourceError("format", where, "the answer's steps overlap, their costs would count twice", LOG_HINT)
        rows = read_costs(entries, self._naming, self.settings.cluster, self.name, self._currency)
        if set(rows) - {day}:
            raise SourceError(
                "format",
                where,
                f"the answer speaks of other days too: {', '.join(sorted(map(str, set(rows) - {day})))}",
                "Check that nothing between unitcost and OpenCost changes the window parameter",
            )
        return rows.get(day, []), odd_names(entries, self._naming, where)

    def _assets(self, day: date, minutes: int) -> Assets:
        document = self._get("/assets", {"window": window_of(day, minutes)})
        return read_assets(document, f"/assets of {day}", self.settings.cluster, self.name)

    def _get(self, path: str, params: dict[str, str]) -> Any:
        if self._client is None:
            raise AssertionError("recorded answers are read, not asked for")
        answer = self._client.get(path, params)
        if answer.status != HTTPStatus.OK:
            client_error = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            raise SourceError(
                "request" if client_error else "http",
                answer.url,
                f"answered {answer.status}: {_message(answer)}",
                URL_HINT if client_error else LOG_HINT,
            )
        return answer.json()

    def _problem(self, day: date, error: SourceError) -> Problem:
        where = self._where(day)
        if error.where.startswith(where):
            return Problem.of(error)
        return Problem(error.reason, where, f"{error.where}: {error.text}", error.hint)

    def _where(self, day: date) -> str:
        return f"{self.name}, {day}"


def _stored_nodes(stored: Stored, day: date, rows: Sequence[Cost]) -> list[Node]:
    """Return the cluster's nodes of this day, or else of the week around it: an id means the same node on any day."""
    clusters = {row.cluster for row in rows}
    found = stored.nodes(day, day) or stored.nodes(day - NODES_AROUND, day + NODES_AROUND)
    return [Node(day, provider_id, cluster) for provider_id, cluster in found if cluster in clusters]


def _message(answer: Answer) -> str:
    """Return OpenCost's own message, or the start of whatever text it answered."""
    try:
        return shorten(answer.json()["message"])
    except (SourceError, KeyError, TypeError):
        return shorten(answer.text)


def _all_failed(failed: Sequence[Problem]) -> SourceError:
    """Return one error for days that failed in a row: that of the last, and how many there were."""
    last = failed[-1]
    days = f" ({len(failed)} days in a row failed)" if len(failed) > 1 else ""
    return SourceError(last.reason, last.where, f"{last.text}{days}", last.hint)
