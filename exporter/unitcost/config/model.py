"""unitcost.yaml → typed settings; every mistake is reported at once, with its path in the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from unitcost.config.alerts import Alerts
from unitcost.config.directory import BUDGET_LIMIT, Directory
from unitcost.config.values import (
    CurrencyCode,
    Day,
    Duration,
    Exact,
    Listen,
    Name,
    Positive,
    Rate,
    Share,
    StateDir,
    between,
    one_or_more,
    short,
)
from unitcost.config.variables import fill_variables
from unitcost.days import DEFAULT_WINDOWS, is_window
from unitcost.errors import ConfigError
from unitcost.facts import (
    COMPONENTS,
    LARGEST_AMOUNT,
    MATCH_FIELDS,
    RESERVED,
)
from unitcost.sources.base import (
    ANumber,
    Context,
    FilePath,
    HttpSettings,
    LinkUrl,
    Section,
    Settings,
    SourceKind,
)
from unitcost.sources.registry import TYPES
from unitcost.yaml_file import read_yaml

SERVICE_CATEGORIES: Mapping[str, str] = {
    "AI and Machine Learning": "ai",
    "Compute": "compute",
    "Databases": "database",
    "Storage": "storage",
    "Networking": "network",
}
"""FOCUS ServiceCategory → component; every other category is `other`. `components` in the file overrides it."""

SUPPORT_SERVICES: Mapping[str, str] = {
    "AWS Support (Business)": "support",
    "AWS Support (Developer)": "support",
    "AWS Support (Enterprise)": "support",
    "AWS Premium Support": "support",
}

METHODS = ("direct_cost", "even")


class Tenants(Section):
    """tenants: how a tenant is named everywhere, and the optional list of all of them.

    key: one name, or several of which the first that a cost has counts. fold: `case` takes names that differ only by
    case, Unicode form or white space for one; `none` keeps them apart and tells of them.
    """

    key: Annotated[tuple[Name, ...], BeforeValidator(one_or_more), Field(min_length=1, max_length=20)] = ("tenant",)
    fold: Literal["case", "none"] = "none"
    directory: FilePath | None = None

    @field_validator("key")
    @classmethod
    def _once(cls, key: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(key)) != len(key):
            raise ValueError("names a key twice")
        return key


class Refresh(Section):
    """refresh: how often, and for how many past days, sources are asked again."""

    every: Annotated[Duration, between("1s", "7d")] = timedelta(minutes=5)
    restate_days: Annotated[int, ANumber] = Field(default=3, ge=0, le=90)


class Currency(Section):
    """currency: the code everything is shown in; rates: dollars of `code` for one unit of another currency."""

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


class Rule(Section):
    """One rule of `sharing`: which costs without a tenant it takes, and by what they are shared."""

    match: Mapping[str, str] = Field(min_length=1)
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
    """A plan: its list price per month and the margin it should earn."""

    price: Annotated[Exact, Field(ge=0, le=int(LARGEST_AMOUNT))] | None = None
    target_margin: Annotated[Exact, Field(lt=1, ge=LOWEST_MARGIN)] | None = None


class Budget(Section):
    """A budget of the calendar month for each tenant: dollars, or a share of its MRR (1 is all of it)."""

    dollars: Annotated[Positive, Field(le=BUDGET_LIMIT)] | None = None
    share_of_mrr: Annotated[Positive, Field(le=1000), AfterValidator(short)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if (self.dollars is None) == (self.share_of_mrr is None):
            raise ValueError("give one of dollars, share_of_mrr")
        return self


class Limits(Section):
    """limits: how many tenants get series of their own."""

    tenants: Annotated[int, ANumber] = Field(default=2000, ge=1, le=1_000_000)


class Copies(Section):
    """copies: how often a copy of the ledger is kept in state_dir, and how many of them; 0 keeps none."""

    every: Annotated[Duration, between("1h", "365d")] = timedelta(days=1)
    keep: Annotated[int, ANumber] = Field(default=2, ge=0, le=100)


class Web(Section):
    """web: where to listen, for how many at once, and a Prometheus web config file for TLS and passwords.

    external_url: where people reach this server, for the links of alerts and pages to its runbooks.
    """

    listen: Listen = "0.0.0.0:9488"
    external_url: LinkUrl | None = None
    config_file: FilePath | None = None
    max_connections: Annotated[int, ANumber] = Field(default=512, ge=1, le=65536)


class Config(Section):
    """The whole file."""

    tenants: Tenants = Tenants()
    refresh: Refresh = Refresh()
    history: Annotated[Duration, between("1d", "3660d")] = timedelta(days=93)
    state_dir: StateDir = Field(default=Path("./state"), validate_default=True)
    copies: Copies = Copies()
    currency: Currency = Currency()
    sources: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,99}$")], Any] = Field(max_length=200)
    sharing: tuple[Rule, ...] = ()
    plans: Mapping[str, Plan] = {}
    budgets: Mapping[str, Budget] = {}
    dimensions: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    components: Mapping[str, Literal[COMPONENTS]] = {}  # type: ignore[valid-type]
    windows: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)] = DEFAULT_WINDOWS
    months: Annotated[int, ANumber] = Field(default=3, ge=0, le=120)
    limits: Limits = Limits()
    web: Web = Web()
    alerts: Alerts = Alerts()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        wrong = [window for window in self.windows if not is_window(window)]
        if wrong:
            raise ValueError(f"windows: {', '.join(wrong)}: must be Nd (such as 30d), mtd or last_month")
        if len(set(self.windows)) != len(self.windows):
            raise ValueError("windows: each at most once")
        if len(set(self.dimensions)) != len(self.dimensions):
            raise ValueError("dimensions: each at most once")
        return self

    def settings(self, name: str) -> Settings:
        """Return the typed settings of a source."""
        settings: Settings = self.sources[name]
        return settings

    def kinds(self) -> dict[str, SourceKind]:
        """Return what each source brings; without those whose settings are wrong, while the file is read."""
        given = ((name, settings) for name, settings in self.sources.items() if settings is not None)
        return {name: TYPES[settings.type].kind for name, settings in given}

    def context(self) -> Context:
        """Return what the sources need to know of the rest of the file."""
        return Context(
            tenant_keys=self.tenants.key,
            fold=self.tenants.fold == "case",
            dimensions=self.dimensions,
            currency=self.currency.code,
            components={**SERVICE_CATEGORIES, **SUPPORT_SERVICES, **self.components},
            bills="bill" in self.kinds().values(),
        )


def settings_digest(config: Config, name: str) -> str:
    """Digest what decides the content of a source's batches; not how it is reached, nor what it does not use.

    What a source told under another digest cannot be compared with what it would tell now.
    """
    context = config.context()
    uses: Mapping[SourceKind, Sequence[object]] = {
        "cluster": ("by cluster", context.tenant_keys, context.dimensions, context.currency),
        "bill": (context.tenant_keys, context.fold, context.dimensions, sorted(context.components.items())),
        "usage": (context.tenant_keys,),
        "revenue": (context.currency,),
    }
    skipped = {*HttpSettings.model_fields, "path", "billed_by", "partial_guard", "collector"}
    mattering = config.settings(name).model_dump(mode="json", exclude=skipped)
    parts = [config.settings(name).type, mattering, uses[config.kinds()[name]]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load(path: Path) -> tuple[Config, Directory]:
    """Read the configuration and the tenant directory it names.

    Raises ConfigError with every mistake: YAML, unknown keys, types, unset $VARS, missing files, shares.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError([f"{path}: must be a mapping with at least `sources`"])
    mistakes: list[str] = []
    filled = fill_variables(raw, "", mistakes)
    folder = path.resolve().parent
    sources = _load_sources(filled.get("sources"), folder, mistakes)
    config = None
    try:
        config = Config.model_validate({**filled, "sources": sources}, context={"folder": folder})
    except ValidationError as error:
        mistakes += _lines(error, "")
    directory = Directory()
    if config is not None:
        mistakes += _cross_checks(config)
        if config.tenants.directory is not None:
            directory, wrong = Directory.read(config.tenants.directory)
            mistakes += wrong
            mistakes += directory.clashes() if config.tenants.fold == "case" else []
    if mistakes or config is None:
        raise ConfigError([f"{path}: {mistake}" for mistake in mistakes])
    return config, directory


def _load_sources(raw: object, folder: Path, mistakes: list[str]) -> dict[str, Any]:
    """Validate each source by its own type, so that one bad source does not hide the next one's mistakes."""
    if not isinstance(raw, dict) or not raw:
        mistakes.append("sources: name at least one source, each with its type")
        return {}
    loaded: dict[str, Any] = {}
    for name, given in raw.items():
        where = f"sources.{name}"
        loaded[str(name)] = None
        if not isinstance(given, dict):
            mistakes.append(f"{where}: must be a mapping with a type")
            continue
        kind = given.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            mistakes.append(f"{where}.type: {kind!r} is none of {', '.join(sorted(TYPES))}")
            continue
        try:
            loaded[str(name)] = TYPES[kind].settings.model_validate(given, context={"folder": folder})
        except ValidationError as error:
            mistakes += _lines(error, where)
    return loaded


def _cross_checks(config: Config) -> list[str]:
    """Return what is wrong between parts of the file that are right by themselves."""
    wrong = []
    kinds = config.kinds()
    broken = config.sources.keys() - kinds.keys()  # what is said of a source that is wrong itself cannot be judged
    measures: set[str] | None = None if broken else set()
    for name in (name for name, kind in kinds.items() if kind == "usage"):
        named = getattr(config.settings(name), "measures", None)
        # Only a file knows the measures it has.
        measures = None if named is None or measures is None else measures | set(named)
    for number, rule in enumerate(config.sharing):
        where = f"sharing.{number}"
        allowed = (*MATCH_FIELDS, *config.dimensions)
        wrong += [
            f"{where}.match.{key}: unknown; match by {', '.join(allowed)}" for key in rule.match if key not in allowed
        ]
        if isinstance(rule.by, str) and rule.by not in METHODS and measures is not None and rule.by not in measures:
            known = ", ".join((*METHODS, *sorted(measures)))
            wrong.append(f"{where}.by: {rule.by!r} is neither a method nor a measure of a usage source ({known})")
    for name, settings in config.sources.items():
        for bill in getattr(settings, "billed_by", None) or ():
            if bill not in broken and kinds.get(bill) != "bill":
                wrong.append(f"sources.{name}.billed_by: {bill!r} is no bill among the sources")
    wrong += [
        f"budgets.{name}: is neither `default` nor one of the plans"
        for name in config.budgets
        if name != "default" and name not in config.plans
    ]
    return wrong


def _lines(error: ValidationError, where: str) -> list[str]:
    """Return a line for each mistake: its path in the file, and what is wrong. Never the value: it may be secret."""
    lines = []
    for mistake in error.errors(include_url=False, include_input=False, include_context=False):
        parts = mistake["loc"][:-1] if mistake["loc"][-1:] == ("[key]",) else mistake["loc"]
        path = ".".join(str(part) for part in parts if not str(part).startswith("<"))  # a Tag of ours
        path = f"{where}.{path}".strip(".")
        message = MESSAGES.get(mistake["type"]) or mistake["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {message}" if path else message)
    return lines


MESSAGES = {
    "extra_forbidden": "unknown key",
    "string_type": "must be text; write a number or true in quotes",
    "path_type": "must be the path of a file or folder; write it in quotes",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
"""What pydantic says of an `Input`, in the words of the file."""
