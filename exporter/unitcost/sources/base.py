"""What every source is: settings that validate themselves, and batches of records on demand."""

from __future__ import annotations

import base64
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from unitcost.address import is_host
from unitcost.errors import SourceError
from unitcost.facts import Asked, Batch, Note, Problem, Stored
from unitcost.names import Names
from unitcost.redaction import SECRETS, SHORTEST
from unitcost.sizes import Bytes

SourceKind = Literal["cluster", "bill", "tokens", "usage", "revenue"]

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
    values are kept. currency: the configured code, the default for sources that say none. billed, metered: whether any
    source is a bill that names resources, so that provider ids are worth asking for, or a meter of them, so that a
    bill's are. names: gives which tenant a spelling means, as the directory says now. waiting: where the source says
    what it waits for. state_dir: below which a source may keep files that it can do without.
    """

    tenant_keys: tuple[str, ...] = ("tenant",)
    fold: bool = False
    dimensions: tuple[str, ...] = ()
    currency: str = "USD"
    billed: bool = False
    metered: bool = False
    names: Callable[[], Names] = Names
    waiting: Waiting = field(default_factory=Waiting)
    state_dir: Path | None = None

    @property
    def tenant_labels(self) -> tuple[str, ...]:
        """Return tenant_keys as labels of Prometheus, with _ for what a label's name cannot hold."""
        return tuple(re.sub(r"[^a-zA-Z0-9_]", "_", key) for key in self.tenant_keys)


class Section(BaseModel):
    """A part of unitcost.yaml; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _beside_defaults(cls, given: Any) -> Any:
        """Keep what a section has of its own by default where the file gives only some of its keys."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        for name, about in cls.model_fields.items():
            own, value = about.default, given.get(name)
            if isinstance(own, Section) and isinstance(value, dict):
                filled[name] = {**{key: getattr(own, key) for key in own.model_fields_set}, **value}
        return filled

    def secret(self, name: str) -> str | None:
        """Return a secret that stands here or in the file NAME_file, which is read as it is now. Raises SourceError."""
        path: Path | None = getattr(self, f"{name}_file", None)
        if path is not None:
            return read_secret(path)
        value: SecretStr | None = getattr(self, name)
        return None if value is None else value.get_secret_value()

    def has_secret(self, name: str) -> bool:
        """Return whether a secret is given, here or in its file."""
        return getattr(self, name) is not None or getattr(self, f"{name}_file") is not None

    def keep_one(self, *names: str) -> None:
        """Check that each of these secrets stands here or in its file, not in both. Raises ValueError."""
        for name in names:
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"has {name} and {name}_file; keep one")


class Settings(Section):
    """Settings of one source.

    type: its line in the table of sources. required: whether a window that lacks a day of this source is incomplete.
    of_clusters: of a bill, whether it may charge for what a cluster runs on. names_resources: of a bill, whether it
    tells what it charges for by the cloud's ids. services: of a bill, how its services are counted unless the
    configuration says otherwise, service → component. paid: whether requests cost money.
    """

    of_clusters: ClassVar[bool] = True
    names_resources: ClassVar[bool] = True
    paid: ClassVar[bool] = False
    services: ClassVar[Mapping[str, str]] = {}
    type: str
    required: bool = True

    def identity(self, context: Context) -> list[object]:  # noqa: ARG002 - of some sources it is a part
        """Return what decides the content of the source's batches, as JSON has it.

        What it told under another identity cannot be compared with what it would tell now. How it is reached is no
        part of it, nor what the ledger's steps do with what it told.
        """
        return [self.model_dump(mode="json", exclude={"type", "required", "path"})]

    @property
    def patience(self) -> float | None:
        """Seconds that a server may take for an answer; None where none is asked."""
        return None

    def unfit(self, context: Context) -> str | None:  # noqa: ARG002 - most fit beside anything
        """Return what is wrong with these settings beside the rest of the file, and what to do; None if nothing."""
        return None

    def holds_clusters(self) -> bool | None:
        """Return whether a bill holds what clusters run on; None where only its charges tell."""
        return self.of_clusters

    def charges_apart(self) -> bool:
        """Return whether a bill tells what it charges for a cluster's resources from all else."""
        return True


class Source(Protocol):
    """A place that costs, usage or revenue come from."""

    kind: ClassVar[SourceKind]

    def __init__(self, name: str, settings: Any, context: Context) -> None:
        """Make the source called `name` in the configuration; nothing is asked yet."""

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        """Yield what changed, newest first; each batch is stored before the next one is asked for.

        Raises SourceError when nothing more can be had now. What was yielded before stays.
        """


@runtime_checkable
class Adviser(Protocol):
    """A source that can say what a person may mend, though it takes a further look; `check` asks for it."""

    def advice(self, stored: Stored) -> Iterator[Note]:
        """Yield it, of what batches() found last; stored: what the ledger holds now that all sources were asked.

        Raises SourceError when it cannot be looked at any more.
        """


def resolved(path: Path, info: ValidationInfo) -> Path:
    """Return a path against the folder of the configuration file. Raises ValueError for the ~ of a user who is none."""
    base = (info.context or {}).get("folder", Path())
    try:
        found: Path = base / path.expanduser()
    except RuntimeError:
        raise ValueError("begins with ~ and a name that is no user's here; write the whole path") from None
    return found


def existing(path: Path, info: ValidationInfo) -> Path:
    """Resolve a path; there must be a file or a folder that can be read."""
    path = resolved(path, info)
    try:
        if not path.exists():
            raise ValueError(f"{path} does not exist; give a path relative to the configuration file, or absolute")
        if not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path} is neither a file nor a folder")
        if not os.access(path, os.R_OK):
            raise ValueError(f"{path} cannot be read by this user")
    except OSError as error:  # a name too long, a folder that may not be entered
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return path


def _a_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    return path


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic collects ValueError only
    return value


ExistingPath = Annotated[Path, AfterValidator(existing)]
FilePath = Annotated[ExistingPath, AfterValidator(_a_file)]
ANumber = BeforeValidator(_no_bool)
"""For numbers of any kind: true is none."""


def http_url(url: str) -> str:
    """Check that this is the address of a server, with any path; never says what stands in it: it may hold secrets."""
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be plain ASCII without spaces; write other characters as %20 and the like")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # [::x, a port that is none or above 65535; the message would hold it
        raise ValueError("has no host or port as http://name:9090 or http://[::1]:9090 have them") from None
    if port == 0 or not (":" in host or is_host(host)):
        raise ValueError("has no host or port as http://name:9090 or http://[::1]:9090 have them")
    if parts.fragment:
        raise ValueError("must not have a part after #, which no server gets")
    return url


HttpUrl = Annotated[
    str, AfterValidator(http_url), WithJsonSchema({"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://"})
]


def _for_everybody(url: str) -> str:
    parts = urlsplit(url)
    if parts.query or "@" in parts.netloc:
        raise ValueError("must have no user info and no query: it is shown to people, who open what is below it")
    return url


LinkUrl = Annotated[HttpUrl, AfterValidator(_for_everybody)]
"""The address that links to a server's pages begin with."""


class HttpSettings(Settings):
    """How an HTTP API is reached: basic or bearer auth, own headers, a CA file, limits of time and size.

    Secrets come from ${ENV} or a *_file, read at every request.

    url: the server's address. timeout: seconds for a whole exchange, tries and redirects included. body_size_limit:
    bytes of an unpacked answer, 0: any. username, password: of basic authentication. bearer_token: instead of these.
    headers: what is sent with every request. ca_file: the certificates (PEM) that the server's is checked by.
    insecure_skip_verify: whether it is not checked at all.
    """

    url: HttpUrl = Field(repr=False)
    timeout: Annotated[float, ANumber, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0
    body_size_limit: Bytes = 100 << 20
    username: str | None = None
    password: SecretStr | None = None
    password_file: FilePath | None = None
    bearer_token: SecretStr | None = None
    bearer_token_file: FilePath | None = None
    headers: Mapping[str, SecretStr] = {}
    ca_file: FilePath | None = None
    insecure_skip_verify: bool = False

    @property
    def patience(self) -> float | None:
        """As above: of a source that reads recorded answers there is no url."""
        return self.timeout if self.url else None

    def identity(self, context: Context) -> list[object]:  # noqa: ARG002 - as all settings
        """Leave out how the server is reached."""
        return [self.model_dump(mode="json", exclude={*HttpSettings.model_fields, "path"})]

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in headers.items():
            if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is None:
                raise ValueError(f"{name!r} is no name of a header")
            one_line(value)
        return headers

    @field_validator("bearer_token")
    @classmethod
    def _token_can_be_sent(cls, token: SecretStr | None) -> SecretStr | None:
        return one_line(token)

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, path: Path | None) -> Path | None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path) if path is not None else None
        except OSError:  # ssl.SSLError is one
            raise ValueError(f"{path} holds no certificates as PEM") from None
        return path

    @model_validator(mode="after")
    def _one_kind_of_auth(self) -> HttpSettings:
        by_name = self.username is not None or self.password is not None or self.password_file is not None
        bearer = self.bearer_token is not None or self.bearer_token_file is not None
        if by_name and bearer:
            raise ValueError("has both basic and bearer authentication; keep one")
        if (by_name or bearer) and "@" in urlsplit(self.url).netloc:
            raise ValueError("has authentication in its url and beside it; keep one")
        if by_name and (self.username is None or (self.password is None) == (self.password_file is None)):
            raise ValueError("basic authentication needs username and one of password, password_file")
        self.keep_one("bearer_token")
        return self

    @model_validator(mode="after")
    def _keep_secrets(self) -> HttpSettings:
        """Tell what must not be shown, before anything is."""
        named = {"password": self.password, "bearer_token": self.bearer_token}
        for name, value in {**named, **{f"headers.{name}": value for name, value in self.headers.items()}}.items():
            if value is not None:
                SECRETS.add(f"<{name}>", value.get_secret_value())
        parts = urlsplit(self.url)
        user = parts.netloc.rpartition("@")[0]
        for secret in (parts.query, user, user.rpartition(":")[2]):  # a name alone is a token
            SECRETS.add("<url>", secret)
            SECRETS.add("<url>", unquote(secret))
        if user:
            basic(*map(unquote, user.partition(":")[::2]))
        for _, secret in parse_qsl(parts.query):
            SECRETS.add("<url>", secret, SHORTEST)
        if self.username is not None and self.password is not None:
            basic(self.username, self.password.get_secret_value())
        return self


def one_line(value: SecretStr | None) -> SecretStr | None:
    """Check that a header can hold this."""
    text = value.get_secret_value() if value is not None else ""
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be one line of plain ASCII text, without a line break at its end")
    return value


def basic(username: str, password: str) -> str:
    """Return what stands in the header of basic authentication, in UTF-8; servers repeat it, so it is a secret too."""
    packed = base64.b64encode(f"{username}:{password}".encode()).decode()
    SECRETS.add("<password>", password)
    SECRETS.add("<password>", packed)
    return packed


def read_secret(path: Path) -> str:
    """Return the secret in a file, without the line break at its end; from now on it is shown nowhere."""
    try:
        with path.open("rb") as opened:
            secret = opened.read(MAX_SECRET).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "is not UTF-8"
        raise SourceError("secret", str(path), what) from None  # the cause would show a part of it
    SECRETS.read(f"<{path.name}>", secret)
    return secret


MAX_SECRET = 64 << 10
