"""Model providers' admin APIs over loopback: what was billed and used is told, and answered page by page as they do.

A fake holds what a test told it, groups it by what is asked, and refuses what its provider refuses: a wrong key, a
limit that is too large, days that are none. `fault` may answer a request in its place.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.fakes.server import Reply, Request

DAY = timedelta(days=1)
ADMIN_KEY = "sk-admin-Zq7-never-shown"

Bucket = tuple[date, list[dict[str, Any]]]


@dataclass(frozen=True)
class Charge:
    """What was charged on a day, in dollars. spelt: how a provider that may spells its amount, "" for plainly.

    more: what a row says besides; of two charges with the same one row is told, as a report is grouped.
    """

    day: date
    project: str | None
    dollars: Decimal
    line: str | None = None
    spelt: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Calls:
    """What was used on a day by a key. counts: field of the report → how much; report: the last part of its path."""

    day: date
    report: str
    project: str | None
    key: str | None
    model: str
    counts: Mapping[str, int]
    batch: bool = False


@dataclass
class ProviderFake:
    """What both have. names: of projects; keys: project, id → name. per_page: buckets, and entries of a list."""

    charges: list[Charge] = field(default_factory=list)
    calls: list[Calls] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[str | None, str], str] = field(default_factory=dict)
    per_page: int = 7
    fault: Callable[[Request], Reply | None] = lambda _: None
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and page (or cursor) of every request."""

    def total(self, days: Iterable[date]) -> Decimal:
        """Return what these days were charged, in dollars."""
        wanted = set(days)
        return sum((one.dollars for one in self.charges if one.day in wanted), Decimal(0))

    def used(self, days: Iterable[date], name: str) -> int:
        """Return how much of a field these days used."""
        wanted = set(days)
        return sum(one.counts.get(name, 0) for one in self.calls if one.day in wanted)

    def page(self, request: Request, buckets: Sequence[Bucket], dress: Callable[[Bucket], dict[str, Any]]) -> Reply:
        """Answer a page of buckets; a cursor is a text that says nothing."""
        limit = min(int(request.params.get("limit", "7")), self.per_page)
        start = int(request.params["page"].removeprefix("page_"), 16) if "page" in request.params else 0
        end = start + limit
        more = end < len(buckets)
        body = {
            "object": "page",
            "data": [dress(bucket) for bucket in buckets[start:end]],
            "has_more": more,
            "next_page": f"page_{end:x}" if more else None,
        }
        return Reply(_json(body))

    def list(self, request: Request, entries: Mapping[str, str], cursor: str, most: int) -> Reply:
        """Answer a page of a list, which is followed by the last id."""
        limit = int(request.params.get("limit", "20"))
        if not 1 <= limit <= most:
            return refusal(400, f"limit: must be between 1 and {most}")
        ids = sorted(entries)
        start = ids.index(request.params[cursor]) + 1 if cursor in request.params else 0
        shown = ids[start : start + min(limit, self.per_page)]
        body = {
            "object": "list",
            "data": [{"id": one, "name": entries[one], "owner": {"type": "user"}} for one in shown],
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
            "has_more": bool(shown) and shown[-1] != ids[-1],
        }
        return Reply(_json(body))

    def __call__(self, request: Request) -> Reply:
        params = request.params
        self.asked.append((request.path, params.get("page") or params.get("after") or params.get("after_id") or ""))
        return self.fault(request) or self.answer(request)

    def answer(self, request: Request) -> Reply:
        """Answer as the provider does."""
        raise NotImplementedError


class OpenAIFake(ProviderFake):
    """OpenAI: seconds since 1970, group_by repeated, dollars as numbers or texts, keys listed by project."""

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {ADMIN_KEY}":
            return refusal(401, f"Incorrect API key provided: {request.headers.get('authorization')}")
        parts = request.path.removeprefix("/v1/organization/").split("/")
        match parts:
            case ["projects"]:
                return self.list(request, self.names, "after", 100)
            case ["projects", project, "api_keys"] if project in self.names:
                return self.list(request, {k: n for (p, k), n in self.keys.items() if p == project}, "after", 100)
            case ["costs"]:
                return self._report(request, 180, self._costs(request))
            case ["usage", str() as report]:
                return self._report(request, 31, self._usage(request, report))
        return refusal(404, f"Invalid URL (GET {request.path})")

    def _report(self, request: Request, most: int, rows: Mapping[date, list[dict[str, Any]]]) -> Reply:
        limit = int(request.params.get("limit", "7"))
        start, end = (int(request.params[name]) for name in ("start_time", "end_time"))
        if not 1 <= limit <= most or start % 86400 or end % 86400 or request.params.get("bucket_width") != "1d":
            return refusal(400, f"limit must be between 1 and {most}, times must be whole days")
        first, last = (datetime.fromtimestamp(one, UTC).date() for one in (start, end))
        return self.page(request, [(day, rows.get(day, [])) for day in _days(first, last)], self._dressed)

    def _dressed(self, bucket: Bucket) -> dict[str, Any]:
        day, rows = bucket
        start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        return {"object": "bucket", "start_time": start, "end_time": start + 86400, "results": rows}

    def _costs(self, request: Request) -> dict[date, list[dict[str, Any]]]:
        by = request.every.get("group_by", [])
        found: dict[date, list[dict[str, Any]]] = defaultdict(list)
        sums: dict[tuple[Any, ...], dict[str, Any]] = {}
        for one in self.charges:
            project = one.project if "project_id" in by else None
            line = one.line if "line_item" in by else None
            row = sums.get((one.day, project, line))
            if row is None:
                value = one.spelt or one.dollars
                row = {
                    "object": "organization.costs.result",
                    "amount": {"value": value, "currency": "usd"},
                    "line_item": line,
                    "project_id": project,
                    **one.more,
                }
                sums[one.day, project, line] = row
                found[one.day].append(row)
            else:
                row["amount"]["value"] = str(Decimal(row["amount"]["value"]) + one.dollars)
        return found

    def _usage(self, request: Request, report: str) -> dict[date, list[dict[str, Any]]]:
        names = request.every.get("group_by", [])

        def of(one: Calls) -> dict[str, Any]:
            every = {"project_id": one.project, "api_key_id": one.key, "model": one.model, "batch": one.batch}
            return {name: value if name in names else None for name, value in every.items()}

        return _summed(self.calls, report, of)


class AnthropicFake(ProviderFake):
    """Anthropic: times of RFC 3339, group_by[], cents as texts, keys listed at once."""

    def answer(self, request: Request) -> Reply:
        if request.headers.get("x-api-key") != ADMIN_KEY or request.headers.get("anthropic-version") != "2023-06-01":
            return refusal(401, f"invalid x-api-key {request.headers.get('x-api-key')}")
        parts = request.path.removeprefix("/v1/organizations/").split("/")
        match parts:
            case ["workspaces"]:
                return self.list(request, self.names, "after_id", 1000)
            case ["api_keys"]:
                return self.list(request, {key: name for (_, key), name in self.keys.items()}, "after_id", 1000)
            case ["cost_report"]:
                return self._report(request, self._costs(request))
            case ["usage_report", "messages"]:
                return self._report(request, self._usage(request))
        return refusal(404, "Not found")

    def _report(self, request: Request, rows: Mapping[date, list[dict[str, Any]]]) -> Reply:
        first, last = (datetime.fromisoformat(request.params[name]).date() for name in ("starting_at", "ending_at"))
        if not 1 <= int(request.params.get("limit", "7")) <= 31:
            return refusal(400, "limit: must be between 1 and 31")
        return self.page(request, [(day, rows.get(day, [])) for day in _days(first, last)], self._dressed)

    def _dressed(self, bucket: Bucket) -> dict[str, Any]:
        day, rows = bucket  # the results before the start, as the real one has its fields by name
        return {"ending_at": f"{day + DAY}T00:00:00Z", "results": rows, "starting_at": f"{day}T00:00:00Z"}

    def _costs(self, request: Request) -> dict[date, list[dict[str, Any]]]:
        by = request.every.get("group_by[]", [])
        found: dict[date, list[dict[str, Any]]] = defaultdict(list)
        for one in self.charges:
            cents = one.spelt or format(one.dollars * 100, "f")
            said = {"description": one.line, "cost_type": None, "model": None, "token_type": None, **one.more}
            row = {"currency": "USD", "amount": cents, "context_window": None, "service_tier": None}
            row |= said if "description" in by else dict.fromkeys(said)
            found[one.day].append({**row, "workspace_id": one.project if "workspace_id" in by else None})
        return found

    def _usage(self, request: Request) -> dict[date, list[dict[str, Any]]]:
        names = request.every.get("group_by[]", [])

        def of(one: Calls) -> dict[str, Any]:
            tier = "batch" if one.batch else "standard"
            every = {
                "workspace_id": one.project, "api_key_id": one.key, "model": one.model, "service_tier": tier,
                "context_window": "0-200k",
            }  # fmt: skip
            return {name: value if name in names else None for name, value in every.items()}

        return {day: [_nested(row) for row in rows] for day, rows in _summed(self.calls, "messages", of).items()}


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the counts that the API has one level deeper."""
    inner = {"ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"}
    flat = {name: value for name, value in row.items() if name not in {*inner, "web_search_requests"}}
    return {
        "uncached_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        **flat,
        "cache_creation": {name: row.get(name, 0) for name in sorted(inner)},
        "server_tool_use": {"web_search_requests": row.get("web_search_requests", 0)},
    }


def _summed(
    calls: Iterable[Calls], report: str, of: Callable[[Calls], dict[str, Any]]
) -> dict[date, list[dict[str, Any]]]:
    """Return the rows of each day, one for everything that is told apart."""
    sums: dict[date, dict[str, dict[str, Any]]] = defaultdict(dict)
    for one in calls:
        if one.report == report:
            row = sums[one.day].setdefault(repr(of(one)), of(one))
            for name, count in one.counts.items():
                row[name] = row.get(name, 0) + count
    return {day: list(rows.values()) for day, rows in sums.items()}


def _days(first: date, end: date) -> list[date]:
    return [first + n * DAY for n in range((end - first).days)]


def answered(fake: ProviderFake, path: str, first: date, end: date) -> bytes:
    """Return what a fake answers to a report of these days, grouped by all that the sources group it by."""
    names = ["project_id", "line_item", "workspace_id", "description", "api_key_id", "model", "batch", "service_tier"]
    midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, end)]
    asked = {name: str(int(when.timestamp())) for name, when in zip(("start_time", "end_time"), midnights, strict=True)}
    asked |= {
        name: f"{when:%Y-%m-%dT%H:%M:%SZ}" for name, when in zip(("starting_at", "ending_at"), midnights, strict=True)
    }
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "x-api-key": ADMIN_KEY, "anthropic-version": "2023-06-01"}
    every = {"group_by": names, "group_by[]": names}
    return str(fake.answer(Request(path, {**asked, "bucket_width": "1d"}, headers, every)).body).encode()


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer an error as both providers do."""
    return Reply(_json({"type": "error", "error": {"type": "error", "message": text}}), status, dict(headers or {}))


def failing(path: str, page: str | None, reply: Reply, until: date | None = None) -> Callable[[Request], Reply | None]:
    """Return a fault: a path answers so on its first (None) or a later page.

    until: for the range that ends then only.
    """

    def fault(request: Request) -> Reply | None:
        end = request.params.get("end_time") or request.params.get("ending_at") or ""
        day = datetime.fromtimestamp(int(end), UTC).date() if end.isdecimal() else end and date.fromisoformat(end[:10])
        same = request.path == path and request.params.get("page") == page
        return reply if same and until in {None, day} else None

    return fault


def _json(body: object) -> str:
    """Return JSON in which a Decimal is the number that it is."""
    marked = json.dumps(body, default=lambda value: f"\0{value}\0")
    return marked.replace('"\\u0000', "").replace('\\u0000"', "")
