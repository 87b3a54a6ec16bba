"""Anthropic's own bill: costs by day, workspace and description, usage by day, workspace, API key and model.

https://platform.claude.com/docs/en/build-with-claude/usage-cost-api. Costs cannot be had by API key, and usage counts
requests that were blocked and not billed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from unitcost.sources import values
from unitcost.sources.ai.attribution import Names
from unitcost.sources.ai.pages import Api, Params, Row, listed
from unitcost.sources.ai.provider import DAY, LONGEST, Provider, ProviderSettings
from unitcost.sources.ai.reports import Billed, Report, Used, money, not_a, number_of, text_of
from unitcost.sources.base import HttpSettings, HttpUrl
from unitcost.sources.daily import midnight

VERSION = "2023-06-01"
ORGANIZATION = "/v1/organizations"
LIST: Params = {"limit": "1000"}

TOKEN_UNITS = {
    "uncached_input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
    "output_tokens": "output",
}
"""What both reports call a kind of token → its unit. No token is of two kinds."""
COST_UNITS = {"web_search": "searches"}
CENTS = frozenset({"USD", "EUR", "GBP"})
"""Currencies of which the report tells hundredths; it is documented to use the first only."""


class AnthropicSettings(ProviderSettings):
    """An organization of Anthropic."""

    type: Literal["anthropic"] = "anthropic"
    url: HttpUrl = Field(default="https://api.anthropic.com", repr=False)


def read_cost(row: Row) -> Billed:
    """Read a row of the cost report, whose amounts are cents. Raises ValueError."""
    amount, currency = money(row.get("amount"), row.get("currency"), shift=-2)
    if currency not in CENTS:
        raise ValueError(f"an amount is in {currency}, of which nobody knows the smallest unit that is told")
    model, kind = text_of(row, "model"), text_of(row, "token_type")
    unit = TOKEN_UNITS.get(kind or "") or COST_UNITS.get(text_of(row, "cost_type") or "")
    item = model if unit is not None else text_of(row, "description") or text_of(row, "cost_type")
    batch = text_of(row, "service_tier") == "batch"
    return Billed(text_of(row, "workspace_id"), amount, currency, item, unit, batch=batch)


def read_usage(row: Row) -> Used:
    """Read a row of the usage report of messages. Raises ValueError."""
    flat = {**row, **_inner(row, "cache_creation"), **_inner(row, "server_tool_use")}
    found = {
        unit: number_of(flat, name, needed=name in {"uncached_input_tokens", "output_tokens"})
        for name, unit in TOKEN_UNITS.items()
    }
    found["searches"] = number_of(flat, "server_tool_use.web_search_requests")
    batch = text_of(row, "service_tier") == "batch"
    return Used(text_of(row, "workspace_id"), text_of(row, "api_key_id"), text_of(row, "model"), found, batch)


def _inner(row: Row, name: str) -> Mapping[str, object]:
    """Return the members of a map in a row, each under both names; none where it is null."""
    found = row.get(name)
    if found is not None and not isinstance(found, dict):
        raise not_a(name, found, "a map")
    return {f"{name}.{key}": value for key, value in (found or {}).items()}


def _grouped(*names: str) -> Params:
    return {"group_by[]": names}


class Anthropic(Provider):
    """Asks Anthropic, which wants to be asked once a minute at the most."""

    service: ClassVar[str] = "Anthropic API"
    scoped: ClassVar[str] = "anthropic"
    ids: ClassVar[tuple[str, ...]] = ("wrkspc_", "apikey_")
    pause: ClassVar[timedelta] = timedelta(minutes=1)
    reports: ClassVar[Sequence[Report]] = (
        Report(f"{ORGANIZATION}/cost_report", _grouped("workspace_id", "description"), read_cost),
        Report(
            f"{ORGANIZATION}/usage_report/messages",
            _grouped("workspace_id", "api_key_id", "model", "service_tier"),
            read_usage,
        ),
    )

    def reached(self) -> HttpSettings:
        """Send the admin key and the version of the API in headers of their own."""
        mine = self.settings
        key = SecretStr(mine.secret("admin_key") or "")
        headers = {**mine.headers, "x-api-key": key, "anthropic-version": SecretStr(VERSION)}
        return mine.model_copy(update={"headers": headers})

    def window(self, first: date, end: date) -> Params:
        """Ask in times of RFC 3339."""
        since, until = (f"{day.isoformat()}T00:00:00Z" for day in (first, end))
        return {"starting_at": since, "ending_at": until, "bucket_width": "1d", "limit": str(LONGEST)}

    def day(self, bucket: Mapping[str, object]) -> date:
        """Return the UTC day of a bucket."""
        start, end = (_time(bucket.get(name)) for name in ("starting_at", "ending_at"))
        if start != midnight(start.date()) or end - start != DAY:
            raise ValueError(f"is of {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, which is no UTC day")
        return start.date()

    def names(self, api: Api) -> Names:
        """Ask for workspaces, archived ones too, and for all keys at once."""

        @cache
        def workspaces() -> Mapping[str, str]:
            return listed(api, f"{ORGANIZATION}/workspaces", {**LIST, "include_archived": "true"}, "after_id")

        @cache
        def keys() -> Mapping[str, str]:
            return listed(api, f"{ORGANIZATION}/api_keys", LIST, "after_id")

        return Names(workspaces, lambda _: keys())


def _time(spelt: object) -> datetime:
    """Return a time of RFC 3339 in UTC. Raises ValueError."""
    try:
        found = datetime.fromisoformat(spelt) if isinstance(spelt, str) else None
        if found is not None and found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # said below
    raise ValueError(f"is of {values.spelt(spelt)}, which is no time")
