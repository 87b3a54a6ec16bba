"""Tokens per tenant, model and feature of each UTC day, from the counters of gateways and instrumentations.

They are asked of any Prometheus API; a preset (presets/*.yaml) says what the series mean. What is read is exact: by how
much each series grew between two midnights, in whole tokens, not PromQL's increase(), which extends what it saw to the
edges of the window. Where a counter was reset, its samples of that day are read one by one.

The first value that a series ever shows is not seen to grow, as what was counted before it is not seen; with
`first_samples` it counts as well. That is right where counters begin with 0 that nobody scraped (a pod that is young, a
series that LiteLLM dropped and made anew), and wrong where a series is renamed in the middle of its life. A series is
new that was not there the day before.

Batches: as of usage.by_day. Their costs are what the price book says; the ledger knows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from unitcost.errors import SourceError
from unitcost.facts import COST, USAGE, Asked, Batch, Note, Problem, Usage
from unitcost.sources.ai.counters import Counted, Preset, Sample, count, presets
from unitcost.sources.ai.growth import Growth
from unitcost.sources.ai.metered import Metered, MeteredSettings
from unitcost.sources.ai.units import OWN
from unitcost.sources.base import Context, HttpSettings, SourceKind
from unitcost.sources.http import Client
from unitcost.sources.usage.by_day import Day, Window, each_day

Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class TokenSettings(HttpSettings, MeteredSettings):
    """Token counters from any Prometheus API; url and headers as of a `prometheus` source.

    preset: how the counters are called and what they mean. labels: what is in other labels than the preset says.
    selector: PromQL matchers that tell these series from others ('job="gateway"'). input_includes_cache: whether the
    input counters hold cached input as well. first_samples: whether a new series' first value counts. compare_only:
    whether nothing of it counts, as another source counts the same; `unitcost audit ai` shows both.
    """

    type: Literal["ai_tokens"] = "ai_tokens"
    preset: Annotated[str, Field(json_schema_extra=lambda schema: schema.update({"enum": list(presets())}))]
    selector: str = ""
    labels: Mapping[Literal["tenant", "feature", "model", "provider", "direction"], Label] = {}
    input_includes_cache: bool | None = None
    first_samples: bool = False
    compare_only: bool = False

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        if preset not in presets():
            raise ValueError(f"{preset!r} is none of {', '.join(presets())}")
        return preset

    @field_validator("selector")
    @classmethod
    def _matchers(cls, selector: str) -> str:
        if selector and MATCHERS.fullmatch(selector) is None:
            raise ValueError('must be PromQL matchers such as job="gateway",env!="dev", without braces')
        return selector

    @model_validator(mode="after")
    def _has_directions(self) -> TokenSettings:
        if "direction" in self.labels and not any(one.unit_label for one in presets()[self.preset].counters):
            raise ValueError(f"labels.direction: the preset {self.preset} has no such label, but a counter of each")
        return self

    def identity(self, context: Context) -> list[object]:
        """Series are read by the keys of tenants. Which bill there is, or whether they count, does not matter to it."""
        own = self.model_dump(mode="json", exclude={*HttpSettings.model_fields, "billed_by", "compare_only"})
        return [own, context.tenant_keys]

    def meaning(self, context: Context) -> Preset:
        """Return the preset as these settings have it."""
        preset = presets()[self.preset].of_tenants(context.tenant_labels)
        changed: dict[str, object] = {name: (label,) for name, label in self.labels.items() if name != "direction"}
        counters = preset.counters
        if (direction := self.labels.get("direction")) is not None:
            counters = tuple(one.model_copy(update={"unit_label": direction}) for one in counters)
        changed["counters"] = counters
        if self.input_includes_cache is not None:
            changed["input_includes"] = ("cache_read", "cache_write") if self.input_includes_cache else ()
        return preset.model_copy(update=changed)


MATCHERS = re.compile(r'(?:\s*[a-zA-Z_]\w*\s*(?:=|!=|=~|!~)\s*"(?:[^"\\\n]|\\.)*"\s*(?:,|$))+', re.ASCII)
OF_ONE_COUNTER = ("query", "http", "format", "partial", "value", "resets", "truncated", "too_large")
"""Errors that may be one counter's own; with any other there is no point in asking for the next one."""
LARGEST = Decimal(10) ** 15
"""The most that one tenant may use of a model on a day: a hundred times what all the world does."""


class Tokens:
    """Token counters behind a Prometheus API."""

    kind: ClassVar[SourceKind] = "tokens"

    def __init__(self, name: str, settings: TokenSettings, context: Context, client: Client | None = None) -> None:
        self.name = name
        self._settings = settings
        self._preset = settings.meaning(context)
        self._growth = Growth(
            client or Client(settings, waiting=context.waiting), settings.selector, first_samples=settings.first_samples
        )
        self._metered = Metered(settings)

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield today and the last restate_days, and each older day that is not stored, newest first.

        A day of which one counter cannot be read is a Problem and keeps what is stored: `no_data`, and those of
        OF_ONE_COUNTER. Raises SourceError when the server cannot be reached or refuses the
        credentials, and after three failed days in a row.
        """
        notes: dict[str, str] = {}
        yield from each_day(asked, lambda window: self._ask(window, notes), (*COST, *USAGE))
        yield from map(Note, notes.values())

    def _ask(self, window: Window, notes: dict[str, str]) -> Day:
        """Ask for every counter of one day; add to the notes what of it is told but once."""
        day = Day()
        samples: list[Sample] = []
        for counter in self._preset.counters:
            labels = {*self._preset.labels, *((counter.unit_label,) if counter.unit_label else ())}
            try:
                found = self._growth.of(counter.metric, sorted(labels), window)
            except SourceError as error:
                if error.reason not in OF_ONE_COUNTER:
                    raise
                day.problems.append(Problem.of(error))
                continue
            samples += found
        day.heard = bool(samples)
        counted = count(self._preset, samples)
        day.usage = self._usage(window, counted)
        for one in day.usage:
            if one.quantity > LARGEST:
                text = f"{one.quantity:f} {one.unit} of {one.item} are more than can be counted"
                day.problems.append(Problem("value", str(window.day), text, "Correct the counters"))
        for cell, tokens in counted.overlap.items():
            notes.setdefault(
                cell.model,
                f"{window.day} {cell.model}: {tokens:f} more tokens were read from a cache or written to one than came"
                " in at all; does its input leave them out? Then say input_includes_cache: false",
            )
        return day

    def _usage(self, window: Window, counted: Counted) -> list[Usage]:
        usage = []
        unmapped = dict(counted.unmapped)
        for cell, units in counted.tokens.items():
            provider = OWN if self._preset.own else self._metered.provider(cell.provider)
            if self._metered.reads(provider):
                whose = window.day, cell.tenant, provider, cell.model, cell.feature
                usage += [self._metered.usage(*whose, unit, quantity) for unit, quantity in units.items() if quantity]
            elif not provider:
                unmapped["", "no provider"] = unmapped.get(("", "no provider"), Decimal(0)) + sum(units.values())
        usage += [
            Usage(window.day, None, UNMAPPED, quantity, f"{metric} {why}".strip())
            for (metric, why), quantity in unmapped.items()
        ]
        return usage


UNMAPPED = "ai_unmapped"
"""The measure of what is counted and not known: of which kind it is, or of which model."""
