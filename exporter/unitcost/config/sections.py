"""The sections of unitcost.yaml but for its sources and its alerts, each a class."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    field_validator,
    model_validator,
)

from unitcost.config.directory import BUDGET_LIMIT
from unitcost.config.values import (
    CurrencyCode,
    Day,
    Exact,
    Listen,
    Name,
    Positive,
    Rate,
    Share,
    one_or_more,
    short,
)
from unitcost.durations import Duration, between
from unitcost.facts import COMPONENTS, LARGEST_AMOUNT, MATCH_FIELDS, RESERVED
from unitcost.sources.base import ANumber, FilePath, LinkUrl, Section

METHODS = ("direct_cost", "even")
"""By what a sharing rule shares, besides fixed shares and the measures of usage."""


class Tenants(Section):
    """tenants: how a tenant is named everywhere, and the optional list of all of them.

    key: one name, or several of which the first that a cost has counts. fold: `case` takes names that differ only by
    case, Unicode form or white space for one; `none` keeps them apart and tells of them. directory: a CSV file with id
    and any of name, plan, budget_dollars, aliases, status.
    """

    key: Annotated[
        tuple[Name, ...],
        BeforeValidator(one_or_more, json_schema_input_type=Name | tuple[Name, ...]),
        Field(min_length=1, max_length=20),
    ] = ("tenant",)
    fold: Literal["case", "none"] = "none"
    directory: FilePath | None = None

    @field_validator("key")
    @classmethod
    def _once(cls, key: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(key)) != len(key):
            raise ValueError("names a key twice")
        return key


class Refresh(Section):
    """refresh: how often, and for how many past days, sources are asked again.

    every: how often. restate_days: so many days before today are asked again each time, as they may still change.
    """

    every: Annotated[Duration, between("1s", "7d")] = timedelta(minutes=5)
    restate_days: Annotated[int, ANumber] = Field(default=3, ge=0, le=90)


class Currency(Section):
    """currency: what everything is shown in.

    code: of ISO 4217. rates: dollars of `code` for one unit of another currency. as_of: the day they were read on.
    """

    code: CurrencyCode = "USD"
    rates: Mapping[CurrencyCode, Rate] = {}
    as_of: Day | None = None

    @model_validator(mode="after")
    def _dated(self) -> Currency:
        if self.rates and self.as_of is None:
            raise ValueError("rates need as_of, the day they were read on")
        if self.code in self.rates:
            raise ValueError(f"rates.{self.code}: one {self.code} is 1 {self.code}; remove it")
        return self

    def all_rates(self) -> dict[str, Decimal]:
        """Return every currency that can be converted, the configured one at 1."""
        return {**self.rates, self.code: Decimal(1)}


class Fixed(Section):
    """by: {fixed: …}: shares of named tenants that sum to exactly 1."""

    fixed: Mapping[Name, Share]

    @model_validator(mode="after")
    def _whole(self) -> Fixed:
        total = sum(self.fixed.values(), Decimal(0))
        if reserved := sorted(self.fixed.keys() & set(RESERVED)):
            raise ValueError(f"fixed.{reserved[0]}: is a reserved name, no tenant")
        if total != 1:
            raise ValueError(f"fixed shares sum to {total}, must be exactly 1")
        return self


MATCHED: dict[str, JsonValue] = {
    "properties": {**{field: {"type": "string"} for field in MATCH_FIELDS}, "component": {"enum": [*COMPONENTS]}}
}
"""What a rule may match by, besides dimensions, as a JSON schema."""


class Rule(Section):
    """One rule of `sharing`: which costs without a tenant it takes, and by what they are shared.

    match: source, service, component, cluster or a dimension → its value. by: direct_cost, even, a measure of a usage
    source, or fixed shares.
    """

    match: Mapping[str, str] = Field(min_length=1, json_schema_extra=MATCHED)
    by: Annotated[
        Annotated[str, Tag("<name>")] | Annotated[Fixed, Tag("<fixed>")],
        Discriminator(lambda by: "<fixed>" if isinstance(by, (dict, Fixed)) else "<name>"),
    ]

    @model_validator(mode="after")
    def _component_exists(self) -> Rule:
        component = self.match.get("component")
        if component is not None and component not in COMPONENTS:
            raise ValueError(f"match.component {component!r} is none of {', '.join(COMPONENTS)}")
        return self


LOWEST_MARGIN = -1_000_000
"""A target below minus a million is a slip of the pen."""


class Plan(Section):
    """A plan. price: its list price per month. target_margin: the margin it should earn, 0.6 for 60 %."""

    price: Annotated[Exact, Field(ge=0, le=int(LARGEST_AMOUNT))] | None = None
    target_margin: Annotated[Exact, Field(lt=1, ge=LOWEST_MARGIN)] | None = None


class Budget(Section):
    """A budget of the calendar month for each tenant. dollars: so many. share_of_mrr: or a part of its MRR, 1: all."""

    dollars: Annotated[Positive, Field(le=BUDGET_LIMIT)] | None = None
    share_of_mrr: Annotated[Positive, Field(le=1000), AfterValidator(short)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if (self.dollars is None) == (self.share_of_mrr is None):
            raise ValueError("give one of dollars, share_of_mrr")
        return self


class Limits(Section):
    """limits: what gets series of its own. tenants: so many of them. models: so many models, and features, of AI."""

    tenants: Annotated[int, ANumber] = Field(default=2000, ge=1, le=1_000_000)
    models: Annotated[int, ANumber] = Field(default=50, ge=1, le=10_000)


class Copies(Section):
    """copies: of the ledger, in state_dir. every: how often one is kept. keep: how many of them; 0 keeps none."""

    every: Annotated[Duration, between("1h", "365d")] = timedelta(days=1)
    keep: Annotated[int, ANumber] = Field(default=2, ge=0, le=100)


class Web(Section):
    """web: where to listen, for how many at once, and a Prometheus web config file for TLS and passwords.

    listen: address and port, :9488 say. config_file: a Prometheus web config file. max_connections: at once.
    external_url: where people reach this server, for the links of alerts and pages to its runbooks. enable_lifecycle:
    whether POST /-/reload reads the configuration again.
    """

    listen: Listen = "0.0.0.0:9488"
    external_url: LinkUrl | None = None
    config_file: FilePath | None = None
    max_connections: Annotated[int, ANumber] = Field(default=512, ge=1, le=65536)
    enable_lifecycle: bool = False
