"""AWS Cost Explorer over loopback, as boto3 speaks to it: its books are charges, which it filters, groups and pages.

It refuses what AWS refuses: another target, unknown keys, tokens of another request. `fault` may answer in its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, utc
from unitcost.facts import Asked, Batch, Note, Problem
from unitcost.ledger.paid import PaidRequests
from unitcost.sources.base import Context
from unitcost.sources.bills.cost_explorer.settings import CostExplorerSettings
from unitcost.sources.bills.cost_explorer.source import CostExplorer

DAY = timedelta(days=1)
NOW = utc(2026, 11, 18, 13)
TODAY = NOW.date()
KEY_ID, SECRET = "AKIAFAKEFAKEFAKEFAKE", "zKq7/never+shown/fake"
TARGET = "AWSInsightsIndexService."
EC2 = "Amazon Elastic Compute Cloud - Compute"


@dataclass(frozen=True)
class Charged:
    """A line of the books."""

    day: date
    amount: Decimal
    service: str = EC2
    tags: Mapping[str, str] = field(default_factory=dict)
    record: str = "Usage"
    unit: str = "USD"


@dataclass
class CostExplorerFake:
    """The books, and how they are told. per_page: groups of a page. estimated_from: no invoice from this day on.

    active: tags that are activated, with the day since when; known: those that are not. fault: is told the operation
    and how many requests there were before.
    """

    books: list[Charged] = field(default_factory=list)
    per_page: int = 5
    estimated_from: date = date(2026, 11, 1)
    active: dict[str, str] = field(default_factory=lambda: {"customer": "2026-01-02T03:04:05Z"})
    known: tuple[str, ...] = ()
    fault: Callable[[str, int], Reply | None] = lambda _, __: None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    spell: Callable[[Decimal], Any] = lambda amount: format(amount, "f")

    def total(self, days: Iterable[date], unit: str = "USD") -> Decimal:
        """Return what the books say of these days."""
        wanted = set(days)
        return sum((one.amount for one in self.books if one.day in wanted and one.unit == unit), Decimal(0))

    def days_asked(self) -> list[date]:
        """Return the days of each request for costs that was the first of its pages."""
        spans = [
            body["TimePeriod"] for name, body in self.asked if name == "GetCostAndUsage" and "NextPageToken" not in body
        ]
        return [
            day for span in spans for day in days(date.fromisoformat(span["Start"]), date.fromisoformat(span["End"]))
        ]

    def __call__(self, request: Request) -> Reply:
        operation = request.headers["x-amz-target"].removeprefix(TARGET)
        body = json.loads(request.body)
        number = len(self.asked)
        self.asked.append((operation, body))
        if request.headers["content-type"] != "application/x-amz-json-1.1":
            return refusal("SerializationException", "not JSON 1.1")
        if f"Credential={KEY_ID}/" not in request.headers.get("authorization", ""):
            return refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        answered = self.fault(operation, number)
        if answered is not None:
            return answered
        return self.costs(body) if operation == "GetCostAndUsage" else self._tags(body)

    def _tags(self, body: Mapping[str, Any]) -> Reply:
        active = [{"TagKey": key, "Status": "Active", "LastUpdatedDate": since} for key, since in self.active.items()]
        inactive = [{"TagKey": key, "Status": "Inactive"} for key in self.known]
        found = [{"Type": "UserDefined", **one} for one in (*active, *inactive) if one["TagKey"] in body["TagKeys"]]
        return Reply(json.dumps({"CostAllocationTags": found}))

    def costs(self, body: Mapping[str, Any]) -> Reply:
        """Answer GetCostAndUsage."""
        first, end = (date.fromisoformat(body["TimePeriod"][name]) for name in ("Start", "End"))
        if first >= end or end > TODAY + DAY * 400 or body["Granularity"] != "DAILY" or len(body["GroupBy"]) > 2:
            return refusal("ValidationException", "Start date (and hour) should be before end date (and hour)")
        query = hashlib.sha256(json.dumps({**body, "NextPageToken": ""}, sort_keys=True).encode()).hexdigest()[:8]
        start = 0
        if "NextPageToken" in body:
            asked, _, place = body["NextPageToken"].partition(":")
            if asked != query:
                return refusal("RequestChangedException", "Your request parameters changed between pages.")
            start = int(place)
        groups = [(day, keys, metrics) for day in days(first, end) for keys, metrics in self._groups(day, body)]
        # A day without groups is told as well, at the place where it would be.
        told = groups[start : start + self.per_page]
        more = start + self.per_page < len(groups)
        since = told[0][0] if start else first
        until = max(told[-1][0] + DAY, groups[start + self.per_page][0]) if more else end
        results = [
            {
                "TimePeriod": {"Start": str(day), "End": str(day + DAY)},
                "Total": {},
                "Groups": [{"Keys": keys, "Metrics": metrics} for at, keys, metrics in told if at == day],
                "Estimated": day >= self.estimated_from,
            }
            for day in days(since, until)
        ]
        answer: dict[str, Any] = {"ResultsByTime": results, "GroupDefinitions": body["GroupBy"]}
        if more:
            answer["NextPageToken"] = f"{query}:{start + self.per_page}"
        return Reply(json.dumps(answer))

    def _groups(self, day: date, body: Mapping[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
        sums: dict[tuple[tuple[str, ...], str], Decimal] = {}
        for one in self.books:
            if one.day == day and ("Filter" not in body or holds(body["Filter"], one)):
                keys = tuple(key_of(group, one) for group in body["GroupBy"])
                sums[keys, one.unit] = sums.get((keys, one.unit), Decimal(0)) + one.amount
        for (keys, unit), amount in sorted(sums.items()):
            yield [*keys], {name: {"Amount": self.spell(amount), "Unit": unit} for name in body["Metrics"]}


def key_of(group: Mapping[str, str], one: Charged) -> str:
    if group["Type"] == "TAG":
        return f"{group['Key']}${one.tags.get(group['Key'], '')}"
    return {"SERVICE": one.service, "RECORD_TYPE": one.record}[group["Key"]]


def holds(expression: Mapping[str, Any], one: Charged) -> bool:
    """Tell whether a filter holds of a charge."""
    ((kind, said),) = expression.items()
    if kind in {"And", "Or"}:
        assert len(said) > 1, "AWS refuses And and Or of a single expression"
        return (all if kind == "And" else any)(holds(part, one) for part in said)
    if kind == "Not":
        return not holds(said, one)
    if kind == "Tags":
        assert said["MatchOptions"] == ["ABSENT"]
        return not one.tags.get(said["Key"])
    assert kind == "Dimensions"
    return {"SERVICE": one.service, "RECORD_TYPE": one.record}[said["Key"]] in said["Values"]


def refusal(code: str, message: str, status: int = 400) -> Reply:
    """Answer an error as AWS does."""
    return Reply(json.dumps({"__type": f"com.amazon.coral.service#{code}", "Message": message}), status)


def days(first: date, end: date) -> list[date]:
    """Return the days from the first to before the end."""
    return [first + n * DAY for n in range((end - first).days)]


def account(first: date, end: date) -> CostExplorerFake:
    """Return an account whose every day cost something else, with credits, refunds and tax."""
    fake = CostExplorerFake()
    for n, day in enumerate(days(first, end)):
        for number, tenant in enumerate(("acme", "beta$eu", "")):
            tags = {"customer": tenant} if tenant else {}
            amount = Decimal(7 * n + number + 1) / 1000 + Decimal("0.000000000001")
            fake.books.append(Charged(day, amount, EC2, tags))
            fake.books.append(Charged(day, amount * 2, "Amazon Simple Storage Service", tags))
        fake.books.append(Charged(day, Decimal("-0.003"), EC2, {"customer": "acme"}, "Credit"))
        fake.books.append(Charged(day, Decimal("-0.5"), "AWS Lambda", {}, "Refund"))
        fake.books.append(Charged(day, Decimal("0.19"), "Tax", {}, "Tax"))
    return fake


@dataclass
class Paying:
    """Counts a source's paid requests as the exporter does; satisfies facts.Paid."""

    requests: PaidRequests
    count: int = 0

    def spend(self, budget: int) -> bool:
        spent = self.requests.spend("aws", budget)
        self.count += spent
        return spent

    def spent(self) -> tuple[date, int]:
        return self.requests.spent("aws")


class Explorer:
    """A source that asks a fake, with what stays of it: what is stored, and what was paid. folder: a state_dir."""

    def __init__(self, fake: CostExplorerFake, url: str, folder: Path | None = None, **given: Any) -> None:
        self.fake = fake
        self.now = NOW
        self.stored = MemoryStored(NOW)
        self.paid = Paying(PaidRequests(folder, lambda: self.now))
        said = {
            "type": "aws_cost_explorer", "tenant": "customer", "endpoint": url,
            "access_key_id": KEY_ID, "secret_access_key": SECRET, "region": "us-east-1", **given,
        }  # fmt: skip
        self.settings = CostExplorerSettings.model_validate({k: v for k, v in said.items() if v is not None})
        self.source = self.made()

    def made(self) -> CostExplorer:
        """Return a source that knows nothing yet, as after a restart."""
        return CostExplorer("aws", self.settings, Context(), tries=2, backoff=0)

    def restart(self) -> None:
        """Forget what is only in memory."""
        self.source = self.made()

    def items(self, first: date = TODAY - 10 * DAY, restate_days: int = 3) -> Iterator[Batch | Problem | Note]:
        """Ask once, and yield what that brings."""
        self.stored.now = self.now
        return self.source.batches(Asked(self.now, first, restate_days, self.stored, self.paid))

    def ask(self, first: date = TODAY - 10 * DAY, restate_days: int = 3) -> list[Problem]:
        """Ask once, and store it; return the problems."""
        return self.stored.take(self.items(first, restate_days))

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)


@contextmanager
def exploring(fake: CostExplorerFake, folder: Path | None = None, **given: Any) -> Iterator[Explorer]:
    """Serve a fake until the block ends; yield what asks it."""
    with serve(fake) as server:
        yield Explorer(fake, server.url, folder, **given)


def once(code: str, message: str, times: Sequence[int], status: int = 400) -> Callable[[str, int], Reply | None]:
    """Return a fault of the requests of these numbers, from 0."""
    return partial(_once, refusal(code, message, status), frozenset(times))


def _once(reply: Reply, times: frozenset[int], _: str, number: int) -> Reply | None:
    return reply if number in times else None


def month(when: datetime) -> str:
    """Return the month of a time as it is written."""
    return f"{when:%Y-%m}"
