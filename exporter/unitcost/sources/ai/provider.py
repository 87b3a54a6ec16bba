"""What the bills of model providers share: settings, the days that are asked, and how their answers become facts.

Only UTC days that are over are asked, in ranges of days that follow each other. A range whose answer is not complete
(a page that failed, half a body) gives nothing at all and is asked again; so no day is ever left out or half told. One
batch per UTC day, key = the ISO day, with its costs and its usage, or not at all.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field, SecretStr, field_validator, model_validator

from unitcost.errors import SourceError
from unitcost.facts import COST, USAGE, Asked, Batch, Note, Problem
from unitcost.redaction import SECRETS
from unitcost.sources import values
from unitcost.sources.ai.attribution import Attribution, Names, checked_pattern
from unitcost.sources.ai.pages import Api, Entry, Params
from unitcost.sources.ai.reports import Day, Report
from unitcost.sources.base import Context, FilePath, HttpSettings, SourceKind, one_line
from unitcost.sources.daily import FailedDays, due, is_closed
from unitcost.sources.http import Client

DAY = timedelta(days=1)
LONGEST = 31
"""Days of a range: the most that every report tells at once."""
OF_ONE_RANGE = ("http", "format", "truncated", "too_large", "request", "missing")
"""Errors that may be one range's own; with any other there is no point in asking for the next one."""
NOT_THERE = ("auth", "missing", "request")
"""What a report answers that this key or this account has not (403, 404), or no more in this way (400)."""
SHOWN = 5
"""So many projects without a tenant are named."""


class ProviderSettings(HttpSettings):
    """A model provider's account, asked with an admin key (admin_key or admin_key_file).

    url: where its API is. admin_key: what its API is asked with. account: its name in the scope of its costs. tenants:
    id or name of a project, workspace or API key → tenant. tenant_pattern: a regular expression of whole names with the
    group `tenant`, for those that the map does not hold.
    """

    of_clusters: ClassVar[bool] = False
    admin_key: SecretStr | None = None
    admin_key_file: FilePath | None = None
    account: str = Field(default="", pattern=r"^[^/\s]{0,100}$")
    tenants: Mapping[str, str] = {}
    tenant_pattern: Annotated[str, Field(max_length=1000)] | None = None

    def identity(self, context: Context) -> list[object]:  # noqa: ARG002 - as all settings
        """Leave out how the provider is reached, and with which key."""
        skipped = {*HttpSettings.model_fields, "admin_key", "admin_key_file"}
        return [self.model_dump(mode="json", exclude=skipped)]

    @field_validator("admin_key")
    @classmethod
    def _can_be_sent_and_is_shown_nowhere(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value():
            raise ValueError("is empty")
        if key is not None:
            SECRETS.add("<admin_key>", key.get_secret_value())
        return one_line(key)

    @field_validator("tenants")
    @classmethod
    def _named(cls, tenants: Mapping[str, str]) -> Mapping[str, str]:
        found = {}
        for spelt, tenant in tenants.items():
            try:
                found[spelt] = values.tenant(tenant)
            except ValueError as error:
                raise ValueError(f"the tenant of {values.shown(spelt)} {error}") from None
        return found

    @field_validator("tenant_pattern")
    @classmethod
    def _has_the_group(cls, pattern: str | None) -> str | None:
        return None if pattern is None else checked_pattern(pattern)

    @model_validator(mode="after")
    def _one_admin_key(self) -> ProviderSettings:
        if (self.admin_key is None) == (self.admin_key_file is None):
            raise ValueError("needs exactly one of admin_key and admin_key_file")
        others = (self.username, self.password, self.password_file, self.bearer_token, self.bearer_token_file)
        if any(one is not None for one in others):
            raise ValueError("is asked with its admin key; remove username, password and bearer_token")
        return self


class _Range(NamedTuple):
    """UTC days that follow each other, newest first."""

    days: Sequence[date]

    @property
    def first(self) -> date:
        return self.days[-1]

    @property
    def end(self) -> date:
        return self.days[0] + DAY


def _ranges(days: Sequence[date]) -> Iterator[_Range]:
    """Yield the ranges that days (newest first) make, each as long as may be."""
    found: list[date] = []
    for day in days:
        if found and (found[-1] - day != DAY or len(found) == LONGEST):
            yield _Range(found)
            found = []
        found.append(day)
    if found:
        yield _Range(found)


class Provider(ABC):
    """Asks a model provider for what was billed and used, by UTC day.

    service: of its costs. scoped: what its scope begins with. reports: what is asked. ids: what the ids of its projects
    and keys begin with. pause: how long a refresh that lacks no day waits after the one before.
    """

    kind: ClassVar[SourceKind] = "bill"
    service: ClassVar[str]
    scoped: ClassVar[str]
    reports: ClassVar[Sequence[Report]]
    ids: ClassVar[tuple[str, ...]]
    pause: ClassVar[timedelta] = timedelta(0)

    def __init__(
        self, name: str, settings: ProviderSettings, context: Context, connect: Callable[..., Client] = Client
    ) -> None:
        self.name = name
        self.settings = settings
        self._connect = connect
        self._waiting = context.waiting
        self._scope = f"{self.scoped}/{settings.account}"
        self._complete: datetime | None = None

    @abstractmethod
    def reached(self) -> HttpSettings:
        """Return the settings with the admin key where requests take it from. Raises SourceError `secret`."""

    @abstractmethod
    def window(self, first: date, end: date) -> Params:
        """Return the parameters that ask for the days from the first to before the end."""

    @abstractmethod
    def day(self, bucket: Mapping[str, object]) -> date:
        """Return the UTC day that a bucket is of, whole. Raises ValueError where it is of another span."""

    @abstractmethod
    def names(self, api: Api) -> Names:
        """Return what the lists of projects and keys say, once they are needed."""

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield a batch per UTC day that is over: the last restate_days, and days not stored yet, newest first.

        A range of days that failed is a Problem, and a day with a value that is none is one of its own; what is stored
        of them stays, and the next refresh asks again. Raises SourceError when the provider cannot be reached, refuses
        the key or asks for more time, and after three failed ranges in a row.
        """
        days = [*due(asked, DAY, lambda day: asked.stored.batch(day.isoformat()) is not None)]
        if self._rests(days, asked):
            return
        api = Api(self._connect(self.reached(), waiting=self._waiting))
        whose = Attribution(self.settings.tenants, self.settings.tenant_pattern, self.ids, self.names(api))
        absent: dict[str, str] = {}
        failed, fine = FailedDays("ranges of days"), True
        nobodys: dict[tuple[str, str], Decimal] = {}
        for span in _ranges(days):
            try:
                found = self._ask(api, span, whose, absent)
            except SourceError as error:
                fine = False
                if error.reason not in OF_ONE_RANGE:
                    yield from failed.told()
                    raise
                yield from failed.add([self._failed(span, error)])
                continue
            yield from failed.told()
            for day in span.days:
                said = found.get(day, Day())
                for item in self._settled(day, said, asked):
                    fine = fine and not isinstance(item, Problem)
                    yield item
                for of, amount in said.nobodys.items():
                    nobodys[of] = values.EXACT.add(nobodys.get(of, Decimal(0)), amount)
        yield from failed.told()
        yield from (Note(f"{self.name}: {path} {text}; what it tells is left out") for path, text in absent.items())
        yield from self._unattributed(nobodys if whose.used else {})
        self._complete = asked.now if fine else None

    def _rests(self, days: Collection[date], asked: Asked) -> bool:
        """Whether it is too early to ask again for days of which none is missing."""
        lacking = any(asked.stored.batch(day.isoformat()) is None for day in days)
        return not lacking and self._complete is not None and asked.now - self._complete < self.pause

    def _ask(self, api: Api, span: _Range, whose: Attribution, absent: dict[str, str]) -> dict[date, Day]:
        """Return what every report says of a range. absent: the reports that are not there are added, and why."""
        found: dict[date, Day] = {}
        for report in self.reports:
            if report.path in absent:
                continue
            try:
                params = {**self.window(span.first, span.end), **report.params}
                for bucket in api.follow(report.path, params, "page", "next_page"):
                    day = self._day_of(bucket, report, span)
                    found.setdefault(day, Day()).take(report, bucket.rows or (), whose)
            except SourceError as error:
                begun = any(report.path in day.told for day in found.values())  # what it tells is not left out in part
                if report.needed or begun or error.reason not in NOT_THERE:
                    raise
                absent[report.path] = error.text
        return found

    def _day_of(self, bucket: Entry, report: Report, span: _Range) -> date:
        where = f"{self.name}, {report.path}"
        try:
            day = self.day(bucket.fields)
        except ValueError as error:
            raise SourceError("format", where, f"a bucket {error}", "See what changes the answer on its way") from None
        if day not in span.days or bucket.rows is None:
            text = f"tells of {day}, which was not asked" if bucket.rows is not None else f"has no results of {day}"
            raise SourceError("format", where, text, "See what stands between unitcost and the provider")
        return day

    def _settled(self, day: date, said: Day, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield what a day that was asked completely means for what is stored of it."""
        key, where = day.isoformat(), f"{self.name}, {day}"
        stored = asked.stored.batch(key)
        if said.wrong:
            yield Problem("value", where, said.wrong, "What is stored of the day stays; please report the answer")
            return
        lacking = [report.path for report in self.reports if report.needed and report.path not in said.told]
        late = not said.costs and bool(said.usage) and not is_closed(day, asked)
        if (lacking or late) and stored is not None:
            text = f"{' and '.join(lacking)} do not tell of the day any more" if lacking else "has no costs any more"
            yield Problem("no_data", where, f"{text}; what is stored stays", "See the provider's usage page")
        elif lacking:
            yield Batch(key, [])
        elif late:
            yield Note(
                f"{where}: was used and is not billed yet; it stays unknown until it is, or can no longer change"
            )
        else:
            cost, usage = said.facts(day, self.service, self._scope)
            digest = hashlib.sha256(repr((cost, usage)).encode()).hexdigest()
            if stored is None or stored.fingerprint != digest:
                yield Batch(key, [day], digest, cost=cost, usage=usage, says=(*COST, *USAGE))

    def _failed(self, span: _Range, error: SourceError) -> Problem:
        where = f"{self.name}, {span.first} to {span.days[0]}"
        return Problem(error.reason, where, f"{error.where}: {error.text}; none of these days is used", error.hint)

    def _unattributed(self, nobodys: Mapping[tuple[str, str], Decimal]) -> Iterator[Note]:
        """Say which projects or workspaces that cost something have no tenant."""
        dearest = sorted((one for one in nobodys.items() if one[1]), key=lambda one: (-one[1], one[0]))
        if dearest:
            shown = [f"{project} {amount.normalize(values.EXACT):f} {code}" for (project, code), amount in dearest]
            more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
            yield Note(f"{self.name}: costs of the days asked now without a tenant: {', '.join(shown[:SHOWN])}{more}")
