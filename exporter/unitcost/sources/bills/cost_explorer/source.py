"""Asks AWS Cost Explorer: a batch per UTC day, and nothing that costs money twice.

What was asked and when stands in the ledger with each day, so that a restart asks for nothing anew. A span of days is
asked for page by page; only a whole answer is stored. If a page fails, those before it are kept in memory for a while,
and the next try goes on from there. So are days that cannot be stored (a currency without a rate, a full disk): the
next refresh hands them over again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import ClassVar

from unitcost.errors import SourceError
from unitcost.facts import COST, Asked, Batch, Note, Problem
from unitcost.sources.base import Context, SourceKind
from unitcost.sources.bills.cost_explorer.answer import Answer, Day, together
from unitcost.sources.bills.cost_explorer.api import Api, StartOverError, over_budget
from unitcost.sources.bills.cost_explorer.due import DAY, NO_INVOICE, Span, due, earliest, last_said, resumed
from unitcost.sources.bills.cost_explorer.settings import CostExplorerSettings
from unitcost.sources.bills.cost_explorer.tags import explain
from unitcost.sources.bills.cost_explorer.views import View, views
from unitcost.sources.daily import is_closed

TRIES = 4
BACKOFF = 1.0
PAUSE = timedelta(minutes=15)
"""How long nothing is asked after a failure; it doubles with each in a row, up to `every`."""
KNOWN_SHORT, PROBE = 45, 7
"""Days that are asked for at once without knowing how many pages they take, and of a longer span the first ones."""
AT_ONCE = 20
"""Pages that a question about several days should take at the most."""
MOMENT = timedelta(seconds=1)
"""By so much the ledger may round the time of a batch."""
RESUMED = timedelta(hours=2)
"""How old the first page may be when an answer goes on: later ones may tell of what AWS has computed anew meanwhile."""


@dataclass
class _Exchange:
    """A span that is being asked for: the answers so far, and the token of the next page of the last of them."""

    span: Span
    begun: datetime
    answers: list[Answer] = field(default_factory=list)
    token: str = ""
    complete: int = 0
    """How many of the questions are answered whole."""
    pages: int = 0


class CostExplorer:
    """AWS Cost Explorer; see CostExplorerSettings."""

    kind: ClassVar[SourceKind] = "bill"

    def __init__(
        self,
        name: str,
        settings: CostExplorerSettings,
        context: Context,
        *,
        tries: int = TRIES,
        backoff: float = BACKOFF,
    ) -> None:
        self.name = name
        self.settings = settings
        self._waiting = context.waiting
        self._tries = tries
        self._backoff = backoff
        self._tenant = settings.tenant_tag(context)
        self._views = views(
            self._tenant,
            settings.cluster_tag,
            apart=settings.record_types == "apart",
            spread=settings.cost in {"amortized", "net_amortized"},
        )
        self._unfinished: _Exchange | None = None
        self._seen: _Exchange | None = None
        self._unstored: dict[date, tuple[Batch, datetime]] = {}
        self._failures = 0
        self._asks_from: datetime | None = None
        self._told: list[Problem | Note] = []

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield a batch per day that is due, newest span first; what was last said of the source where none is.

        A day whose values cannot be counted is a Problem of its own; what is stored of it stays. Raises SourceError
        when a page fails: no day of its span is stored, those of others are.
        """
        yield from self._handed_over(asked)
        paid = {day: told_at for day, (_, told_at) in self._unstored.items()}
        spans = resumed(self._begun(asked.now), due(asked, self.settings, paid))
        if not spans or (self._asks_from is not None and asked.now < self._asks_from):
            yield from self._told
            return
        self._told = []
        try:
            for item in self._ask(asked, spans):
                self._told += [] if isinstance(item, Batch) else [item]
                yield item
        except SourceError as error:
            self._told.append(Problem.of(error))
            if error.reason != "budget":  # asking for it costs nothing
                self._failures += 1
                self._asks_from = asked.now + min(PAUSE * 2 ** min(self._failures - 1, 10), self.settings.every)
            raise
        self._failures, self._asks_from = 0, None

    def _ask(self, asked: Asked, spans: list[Span]) -> Iterator[Batch | Problem | Note]:
        if asked.paid is None:
            text = "requests cost money and cannot be counted here, so none is sent"
            raise SourceError("budget", self.name, text)
        month, spent = asked.paid.spent()
        if spent >= self.settings.request_budget:
            raise over_budget(self.name, self.settings.request_budget, month, spent)
        api = Api(self.name, self.settings, asked.paid, self._waiting, tries=self._tries, backoff=self._backoff)
        told: list[Day] = []
        todo = [*spans]
        while todo:
            span, rest = self._at_once(todo.pop(0))
            todo[:0] = rest
            answers = self._whole(api, span, asked.now)
            for day in span.days():
                said = together(day, answers)
                told.append(said)
                batch, problem = self._settled(day, said, asked)
                self._unstored[day] = batch, asked.now
                yield from [problem] if problem else []
            yield from self._handed_over(asked)
        yield from self._untagged(api, told)
        if asked.first_day < earliest(asked.today):
            yield Note(f"{self.name}: Cost Explorer tells of no day before {earliest(asked.today)}")
        month, spent = asked.paid.spent()
        yield Note(
            f"{self.name}: {spent:,} of the {self.settings.request_budget:,} paid requests that request_budget allows"
            f" in {month:%Y-%m} are sent"
        )

    def _at_once(self, span: Span) -> tuple[Span, list[Span]]:
        """Return the newest part of a span that is asked for at once, and what is left.

        As much as may be, but what takes many pages is stored now and then, so that a budget that is spent in the
        middle of a long history does not bring all of it to nothing. How many a day takes is not known at first.
        """
        days = (span.end - span.first).days
        if self._unfinished is not None and self._unfinished.span == span:
            return span, []
        if self._seen is None:
            longest = PROBE if days > KNOWN_SHORT else days
        elif self._seen.pages <= len(self._views):
            longest = days
        else:
            seen = self._seen.span
            longest = max(1, AT_ONCE * (seen.end - seen.first).days // self._seen.pages)
        if longest >= days:
            return span, []
        middle = span.end - longest * DAY
        return Span(middle, span.end), [Span(span.first, middle)]

    def _begun(self, now: datetime) -> Span | None:
        """Return the span whose answer may still go on; what is older is forgotten."""
        if self._unfinished is not None and now - self._unfinished.begun > RESUMED:
            self._unfinished = None
        return None if self._unfinished is None else self._unfinished.span

    def _handed_over(self, asked: Asked) -> Iterator[Batch]:
        """Yield the days that are not stored yet, newest first; forget those that are then."""
        for day in sorted(self._unstored, reverse=True):
            yield self._unstored[day][0]
            said, _ = last_said(day, asked)
            if said is not None and said > asked.now - MOMENT:
                del self._unstored[day]

    def _whole(self, api: Api, span: Span, now: datetime) -> list[Answer]:
        """Return the answers to all questions about a span, going on where the last try was stopped."""
        exchange = self._unfinished
        if exchange is None or exchange.span != span:
            exchange = self._unfinished = _Exchange(span, now)
        started_over = False
        while exchange.complete < len(self._views):
            view = self._views[exchange.complete]
            if len(exchange.answers) == exchange.complete:
                exchange.answers.append(Answer(span, self.settings.metric, view, f"{self.name}, {span}"))
            try:
                self._page(api, exchange, view)
            except StartOverError:
                if started_over:
                    raise
                started_over = True
                exchange = self._unfinished = _Exchange(span, now)
        self._unfinished, self._seen = None, exchange
        return exchange.answers

    def _page(self, api: Api, exchange: _Exchange, view: View) -> None:
        """Take one more page of a question's answer."""
        request = {
            "TimePeriod": {"Start": str(exchange.span.first), "End": str(exchange.span.end)},
            "Granularity": "DAILY",
            "Metrics": [self.settings.metric],
            "GroupBy": view.grouped,
        }
        if view.filter is not None:
            request["Filter"] = dict(view.filter)
        if exchange.token:
            request["NextPageToken"] = exchange.token
        page = api.ask("get_cost_and_usage", request)
        token = page.get("NextPageToken") or ""
        if token and token == exchange.token:
            where = f"{self.name}, {exchange.span}"
            raise SourceError(
                "format", where, "the token of the next page is that of this one", "It is asked again later"
            )
        exchange.answers[-1].take(page)
        exchange.token = token
        exchange.complete += not token
        exchange.pages += 1

    def _settled(self, day: date, said: Day, asked: Asked) -> tuple[Batch, Problem | None]:
        """Return what a day that was asked for means for what is stored of it, and what is wrong with it."""
        key, where = day.isoformat(), f"{self.name}, {day}"
        nothing = Batch(key, [])  # is remembered, so that it is not asked for again at once
        final = is_closed(day, asked) and not said.estimated
        if said.wrong:
            hint = "What is stored of the day stays; it is asked for again later"
            return nothing, Problem("value", where, said.wrong, hint)
        if said.groups or (final and asked.stored.batch(key) is None):
            costs, digest = said.facts(day)
            return Batch(key, [day], digest, cost=costs, says=COST, lacks=NO_INVOICE if said.estimated else ""), None
        if asked.stored.batch(key) is None:
            return nothing, None
        text, hint = "has no costs any more; what is stored stays", "See Cost Explorer in the console"
        return nothing, Problem("no_data", where, text, hint)

    def _untagged(self, api: Api, told: list[Day]) -> Iterator[Problem | Note]:
        """Say why a tag is on no charge of all that was asked for."""
        said = [whose for day in told for whose, _ in day.amounts]
        tags = []
        if self._tenant is not None and not any(whose.tenant for whose in said):
            tags.append((self._tenant, "tenant"))
        if self.settings.cluster_tag is not None and not any(whose.scope not in {None, "k8s/"} for whose in said):
            tags.append((self.settings.cluster_tag, "cluster_tag"))
        if said and tags:
            yield from explain(api, self.name, tags)
