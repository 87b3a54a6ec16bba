"""What every source is: settings that validate themselves, and batches of records on demand."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationInfo, model_validator

from unitcost.errors import SourceError
from unitcost.names import Names
from unitcost.records import Asked, Batch, Note, Problem

SourceKind = Literal["cluster", "bill", "usage", "revenue"]

NOBODY = "none"
"""The `tenant` of a source whose costs are all shared: none of them belongs to one tenant, and that is right."""

OR_NONE = f"or tenant: {NOBODY} if all of it is shared"


@dataclass
class Waiting:
    """The answer that a source waits for, "" for none, and since when (monotonic seconds); read by other threads."""

    on_what: str = ""
    since: float = 0.0

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Wait for an answer inside of the block."""
        self.since = time.monotonic()
        self.on_what = what  # last, so that nobody sees it with the time of the one before
        try:
            yield
        finally:
            self.on_what = ""


@dataclass(frozen=True)
class Context:
    """What the rest of the configuration tells a source.

    tenant_keys: pod labels or tag keys that name the tenant; of several, the first that a cost has counts. fold:
    whether names that differ only by case, Unicode form or white space are one. dimensions: further keys whose
    values are kept. currency: the configured code, the default for sources that say none. components: FOCUS
    ServiceCategory or ServiceName → component, users' overrides included. bills: whether any source is a
    bill, so that provider ids are worth asking for. names: which tenant a spelling means. waiting: where the source
    says what it waits for.
    """

    tenant_keys: tuple[str, ...] = ("tenant",)
    fold: bool = False
    dimensions: tuple[str, ...] = ()
    currency: str = "USD"
    components: Mapping[str, str] = field(default_factory=dict)
    bills: bool = False
    names: Names = field(default_factory=Names)
    waiting: Waiting = field(default_factory=Waiting)


class Section(BaseModel):
    """A part of unitcost.yaml; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Settings(Section):
    """Settings of one source. type: its line in the table of sources.

    required: whether a window that lacks a day of this source is incomplete.
    """

    type: str
    required: bool = True


class Source(Protocol):
    """A place that costs, usage or revenue come from."""

    kind: ClassVar[SourceKind]

    def __init__(self, name: str, settings: Any, context: Context) -> None:
        """Make the source called `name` in the configuration; nothing is asked yet."""

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield what changed, newest first; each batch is stored before the next one is asked for.

        Raises SourceError when nothing more can be had now. What was yielded before stays.
        """


def _existing(path: Path, info: ValidationInfo) -> Path:
    """Resolve a path against the folder of the configuration file; it must exist and be readable."""
    base = (info.context or {}).get("folder", Path())
    path = (base / path.expanduser()) if not path.is_absolute() else path
    if not path.exists():
        raise ValueError(f"{path} does not exist; give a path relative to the configuration file, or absolute")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{path} cannot be read by this user")
    return path


ExistingPath = Annotated[Path, AfterValidator(_existing)]


def _bytes(given: object) -> object:
    """Return a size as Prometheus writes it (50MB, 1.5GB; powers of 1024), in bytes."""
    if given in (0, "0") and not isinstance(given, bool):
        return 0
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([KMGT]?)i?B", given, re.ASCII) if isinstance(given, str) else None
    if found is None:
        raise ValueError("must be a size such as 50MB (B, KB, MB, GB), or 0 for no limit")
    return int(Decimal(found[1]) * 1024 ** " KMGT".index(found[2] or " "))


Bytes = Annotated[int, BeforeValidator(_bytes)]


class HttpSettings(Settings):
    """How an HTTP API is reached: basic or bearer auth, own headers, a CA file, limits of time and size.

    timeout: seconds for a whole exchange, tries and redirects included. body_size_limit: bytes of an unpacked answer,
    0: any. Secrets come from ${ENV} or a *_file, read at every request.
    """

    url: str
    timeout: float = 60.0
    body_size_limit: Bytes = 100 << 20
    username: str | None = None
    password: SecretStr | None = None
    password_file: ExistingPath | None = None
    bearer_token: SecretStr | None = None
    bearer_token_file: ExistingPath | None = None
    headers: Mapping[str, SecretStr] = {}
    ca_file: ExistingPath | None = None
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _one_kind_of_auth(self) -> HttpSettings:
        basic = self.username is not None or self.password is not None or self.password_file is not None
        bearer = self.bearer_token is not None or self.bearer_token_file is not None
        if basic and bearer:
            raise ValueError("has both basic and bearer authentication; keep one")
        if basic and (self.username is None or (self.password is None) == (self.password_file is None)):
            raise ValueError("basic authentication needs username and one of password, password_file")
        if self.bearer_token is not None and self.bearer_token_file is not None:
            raise ValueError("has bearer_token and bearer_token_file; keep one")
        return self

    @model_validator(mode="after")
    def _http_url(self) -> HttpSettings:
        """Check the url; a source that can do without one overrides this."""
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        return self


def read_secret(path: Path) -> str:
    """Return the secret in a file, without the line break at its end."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SourceError("secret", str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SourceError("secret", str(path), "is not UTF-8") from None  # the cause would show a part of it
