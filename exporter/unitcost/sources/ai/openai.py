"""OpenAI's own bill: costs by day, project and line item, usage by day, project, API key and model.

https://platform.openai.com/docs/api-reference/usage. A line item is a text such as `gpt-4o-2024-08-06, cached input`;
where it is not of that form (`web search tool calls`) it is the item itself, and has no unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import ClassVar, Literal
from urllib.parse import quote

from pydantic import Field

from unitcost.errors import SourceError
from unitcost.sources import values
from unitcost.sources.ai.attribution import Names
from unitcost.sources.ai.pages import Api, Params, Row, listed
from unitcost.sources.ai.provider import DAY, LONGEST, Provider, ProviderSettings
from unitcost.sources.ai.reports import Billed, Report, Used, money, not_a, number_of, text_of
from unitcost.sources.base import HttpSettings, HttpUrl
from unitcost.sources.daily import midnight

PROJECTS = "/v1/organization/projects"
LIST: Params = {"limit": "100"}

LINE = re.compile(
    r"(?:(?P<tier>[a-z ]+) \| )?(?P<model>[^\s,|]+)(?: (?P<kind>text|audio|image))?"
    r", (?P<unit>input|cached input|cache writes|output)(?:, (?P<more>.+))?"
)
"""A line item about a model: `priority | gpt-5.4, output, long context`, `gpt-image-1 image, input`."""
LINE_UNITS: Mapping[tuple[str | None, str], str] = {
    (None, "input"): "input",
    ("text", "input"): "input",
    ("audio", "input"): "input_audio",
    ("image", "input"): "input_image",
    **{(kind, "cached input"): "cache_read" for kind in (None, "text", "audio", "image")},
    **{(kind, "cache writes"): "cache_write" for kind in (None, "text", "audio", "image")},
    (None, "output"): "output",
    ("text", "output"): "output",
    ("audio", "output"): "output_audio",
    ("image", "output"): "output_image",
}
QUANTITY_UNITS = {"duration_seconds": "audio_seconds"}
"""What the bill calls a unit where the line item does not say it (`whisper`)."""


class OpenAISettings(ProviderSettings):
    """An organization of OpenAI."""

    type: Literal["openai"] = "openai"
    url: HttpUrl = Field(default="https://api.openai.com", repr=False)


def read_cost(row: Row) -> Billed:
    """Read a row of /v1/organization/costs. Raises ValueError."""
    said = row.get("amount")
    if not isinstance(said, dict):
        raise not_a("an amount", said, "a map of value and currency")
    amount, currency = money(said.get("value"), said.get("currency"))
    line = text_of(row, "line_item")
    found = LINE.fullmatch(line or "")
    if found is None:
        unit = QUANTITY_UNITS.get(text_of(row, "quantity_unit") or "")
        item, batch = line, False
    else:
        unit = LINE_UNITS[found["kind"], found["unit"]]
        item, batch = found["model"], "batch" in {found["tier"], *(found["more"] or "").split(", ")}
    quantity = number_of(row, "quantity") if unit is not None and row.get("quantity") is not None else None
    return Billed(text_of(row, "project_id"), amount, currency, item, unit, quantity, batch)


def read_completions(row: Row) -> Used:
    """Read a row of completions into disjoint units. Raises ValueError.

    input_tokens holds what was read from the cache and written to it, and so it does audio and images where the answer
    tells text apart (input_text_tokens); before it did, it was of text alone. The same holds for output_tokens.
    """
    found = {
        "cache_read": number_of(row, "input_cached_tokens"),
        "cache_write": number_of(row, "input_cache_write_tokens"),
        "requests": number_of(row, "num_model_requests"),
    }
    inside = {"input": found["cache_read"] + found["cache_write"], "output": Decimal(0)}
    for way in ("input", "output"):
        for kind in ("audio", "image"):
            found[f"{way}_{kind}"] = number_of(row, f"{way}_{kind}_tokens")
            inside[way] += found[f"{way}_{kind}"] if f"{way}_text_tokens" in row else 0
        rest = number_of(row, f"{way}_tokens", needed=True) - inside[way]
        if rest < 0:
            raise ValueError(f"{way}_tokens are {-rest.normalize():f} less than what is in them")
        found[way] = rest
    return _used(row, found)


def _used(row: Row, quantities: Mapping[str, Decimal]) -> Used:
    batch = row.get("batch") is True
    return Used(text_of(row, "project_id"), text_of(row, "api_key_id"), text_of(row, "model"), quantities, batch)


def _usage(path: str, field: str, unit: str, *, requests: bool = False) -> Report:
    """Return a report that counts one field. requests: whether its requests are in no other report."""

    def read(row: Row) -> Used:
        found = {unit: number_of(row, field, needed=True)}
        return _used(row, {**found, "requests": number_of(row, "num_model_requests")} if requests else found)

    return Report(f"/v1/organization/usage/{path}", _grouped("project_id", "api_key_id", "model"), read, needed=False)


def _grouped(*names: str) -> Params:
    return {"group_by": names}


class OpenAI(Provider):
    """Asks OpenAI."""

    service: ClassVar[str] = "OpenAI API"
    scoped: ClassVar[str] = "openai"
    ids: ClassVar[tuple[str, ...]] = ("proj_", "key_")
    reports: ClassVar[Sequence[Report]] = (
        Report("/v1/organization/costs", _grouped("project_id", "line_item"), read_cost),
        Report(
            "/v1/organization/usage/completions",
            _grouped("project_id", "api_key_id", "model", "batch"),
            read_completions,
        ),
        _usage("embeddings", "input_tokens", "input", requests=True),
        _usage("images", "images", "images"),
        _usage("audio_speeches", "characters", "characters", requests=True),
        _usage("audio_transcriptions", "seconds", "audio_seconds", requests=True),
        _usage("web_search_calls", "num_requests", "searches"),
    )

    def reached(self) -> HttpSettings:
        """Send the admin key as bearer token."""
        mine = self.settings
        return mine.model_copy(update={"bearer_token": mine.admin_key, "bearer_token_file": mine.admin_key_file})

    def window(self, first: date, end: date) -> Params:
        """Ask in seconds since 1970."""
        since, until = (str(int(midnight(day).timestamp())) for day in (first, end))
        return {"start_time": since, "end_time": until, "bucket_width": "1d", "limit": str(LONGEST)}

    def day(self, bucket: Mapping[str, object]) -> date:
        """Return the UTC day of a bucket."""
        start, end = bucket.get("start_time"), bucket.get("end_time")
        if not isinstance(start, Decimal) or not isinstance(end, Decimal) or not 0 <= start < end < LATEST:
            raise ValueError(f"is of {values.spelt(start)} to {values.spelt(end)}, which is no span of time")
        begin = datetime.fromtimestamp(int(start), UTC)
        if begin != midnight(begin.date()) or end - start != int(DAY.total_seconds()):
            raise ValueError(f"is of {start} to {end}, which is no UTC day")
        return begin.date()

    def names(self, api: Api) -> Names:
        """Ask for projects, archived ones too, and for the keys of each project by itself."""

        @cache
        def projects() -> Mapping[str, str]:
            return listed(api, PROJECTS, {**LIST, "include_archived": "true"}, "after")

        @cache
        def keys(project: str | None) -> Mapping[str, str]:
            if project is None:
                return {}
            try:
                return listed(api, f"{PROJECTS}/{quote(project, safe='')}/api_keys", LIST, "after")
            except SourceError as error:
                if error.reason == "missing":  # the project is gone, and its keys with it
                    return {}
                raise

        return Names(projects, keys)


LATEST = 1 << 33
"""Seconds since 1970 of the year 2242."""
