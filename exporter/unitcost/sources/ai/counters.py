"""What token counters mean: presets (presets/*.yaml) say of each gateway and instrumentation which series are what.

A preset is data. What it yields are disjoint units (units.UNITS): input that was neither read from a cache nor written
to one, and so on. What it does not know is counted as unmapped, and never guessed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from unitcost.sources.ai.units import UNITS

AGAIN = "again"
"""In place of a unit: these tokens are in another series too."""

TENANT = r"\btenant\b|(?<=_)tenant\b"
"""Where `tenants.key` stands in a label, alone or behind a prefix."""

FOLDER = files("unitcost.sources.ai") / "presets"


class Counter(BaseModel):
    """A family of counters: of one unit, or of the one that a label says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    unit: Literal[tuple(UNITS)] | None = None  # type: ignore[valid-type]
    unit_label: str | None = None
    units: Mapping[str, Literal[(*UNITS, AGAIN)]] = {}  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one(self) -> Counter:
        if (self.unit is None) != (self.unit_label is not None and bool(self.units)):
            raise ValueError("give unit, or unit_label and units")
        return self

    def unit_of(self, labels: Mapping[str, str]) -> str | None:
        """Return the unit of a series, AGAIN, or None where its label says what is not known."""
        return self.unit if self.unit_label is None else self.units.get(labels.get(self.unit_label, ""))


class Preset(BaseModel):
    """How a gateway or an instrumentation counts tokens.

    model, provider, tenant, feature: labels, of which the first with a value counts. nothing: what stands for no value.
    input_includes: what is counted as input besides. own: whether the models are served by oneself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    counters: tuple[Counter, ...] = Field(min_length=1)
    model: tuple[str, ...] = Field(min_length=1)
    provider: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    feature: tuple[str, ...] = ()
    nothing: frozenset[str] = frozenset()
    input_includes: tuple[Literal[tuple(UNITS)], ...] = ()  # type: ignore[valid-type]
    own: bool = False

    @property
    def labels(self) -> set[str]:
        """Return the labels that say whose and what a series is, but for its unit."""
        return {*self.model, *self.provider, *self.tenant, *self.feature}

    def of_tenants(self, keys: Sequence[str]) -> Preset:
        """Return the same where tenants are named by these keys (`tenants.key`) in place of `tenant`."""
        named = [re.sub(TENANT, key, label) for label in self.tenant for key in keys]
        return self.model_copy(update={"tenant": tuple(dict.fromkeys(named))})


class Sample(NamedTuple):
    """A series and by how much it grew."""

    metric: str
    labels: Mapping[str, str]
    increase: Decimal


class Cell(NamedTuple):
    """Whose tokens: "" where the labels do not say it."""

    tenant: str
    feature: str
    provider: str
    model: str


@dataclass
class Counted:
    """Tokens by cell and unit. unmapped: what has no known unit or model, by the series' name and what it says instead.

    overlap: cells with more cached input than input, and by how much; it is left in the cached units.
    """

    tokens: dict[Cell, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))
    unmapped: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    overlap: dict[Cell, Decimal] = field(default_factory=dict)


@cache
def presets() -> Mapping[str, Preset]:
    """Return every preset by its name."""
    found = sorted((path for path in FOLDER.iterdir() if path.name.endswith(".yaml")), key=lambda path: path.name)
    return {
        path.name.removesuffix(".yaml"): Preset.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in found
    }


def count(preset: Preset, samples: Iterable[Sample]) -> Counted:
    """Return what the series that a preset knows say; others are not its own."""
    counters = {counter.metric: counter for counter in preset.counters}
    found = Counted()
    for metric, labels, increase in samples:
        counter = counters.get(metric)
        if counter is None or not increase:
            continue
        unit = counter.unit_of(labels)
        if unit == AGAIN:
            continue

        def first(names: Sequence[str], labels: Mapping[str, str] = labels) -> str:
            return next((labels[name] for name in names if labels.get(name, "") not in {"", *preset.nothing}), "")

        model = first(preset.model)
        if unit is None:
            said = labels.get(counter.unit_label or "", "")
            found.unmapped[metric, f"{counter.unit_label}={said}"] += increase
        elif not model:
            found.unmapped[metric, "no model"] += increase
        else:
            cell = Cell(first(preset.tenant), first(preset.feature), first(preset.provider), model)
            found.tokens[cell][unit] += increase
    for cell, units in found.tokens.items():
        inside = sum((units.get(unit, Decimal(0)) for unit in preset.input_includes), Decimal(0))
        if inside:
            rest = units.get("input", Decimal(0)) - inside
            units["input"] = max(rest, Decimal(0))
            if rest < 0:
                found.overlap[cell] = -rest
    return found
