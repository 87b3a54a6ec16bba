"""What unitcost.yaml says of an engine that holds a FOCUS table."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from unitcost.durations import Duration, between
from unitcost.redaction import SECRETS
from unitcost.sizes import Bytes
from unitcost.sources.base import FilePath, HttpUrl, Section

ENGINES = ("athena", "bigquery", "trino", "spark")

_NAME = re.compile(r"""(?:[\w-]+|"[^"]+"|`[^`]+`)(?:\.(?:[\w-]+|"[^"]+"|`[^`]+`))*""")


def _table(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError("is no name of a table; write it with dots between its parts: billing.focus")
    return name


def _parts(name: str, least: int, most: int, as_in: str) -> str:
    if not least <= len(parts_of(name)) <= most:
        raise ValueError(f"must be written as {as_in}")
    return name


def parts_of(table: str) -> list[str]:
    """Return the parts of a table's name, without quotes."""
    return [part.strip('"`') for part in re.findall(r'[\w-]+|"[^"]+"|`[^`]+`', table)]


TableName = Annotated[str, AfterValidator(_table), Field(max_length=500)]
AskEvery = Annotated[Duration, between("10m", "7d")]
Patience = Annotated[Duration, between("10s", "6h")]


class EngineSettings(Section):
    """A table with FOCUS columns and the engine that reads it.

    table: its name as the engine spells it. partition: the column that holds the billing period, as the text 2026-10 or
    the first day of the month; default: billing_period (AWS Data Exports), where the table has a column of that name.
    every: how often billing periods that can still change are asked for; closed ones that are stored never are.
    timeout: of one statement, waiting in the engine's queue included; then it is cancelled.
    """

    table: TableName
    partition: str | None = Field(default=None, pattern=r"^\w+$", max_length=200)
    every: AskEvery = timedelta(hours=6)
    timeout: Patience = timedelta(minutes=30)


class AthenaSettings(EngineSettings):
    """Amazon Athena. table: database.table of the Glue catalog. Credentials are those of the AWS SDK.

    output: where results go, s3://bucket/prefix/; default: the workgroup's. role_arn: a role to take on.
    """

    type: Literal["athena"]
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    workgroup: str = "primary"
    output: str | None = Field(default=None, pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/.*)?$")
    role_arn: str | None = Field(default=None, pattern=r"^arn:[\w-]+:iam::\d{12}:role/.+$")

    @field_validator("table")
    @classmethod
    def _in_a_database(cls, table: str) -> str:
        return _parts(table, 2, 2, "database.table")


class BigQuerySettings(EngineSettings):
    """Google BigQuery. table: project.dataset.table. Credentials are Google's application default credentials.

    project: the one that pays for queries; default: that of the credentials. location: of the dataset; default: the
    table's.
    maximum_bytes_billed: a statement that would read more is refused by BigQuery, and costs nothing.
    """

    type: Literal["bigquery"]
    project: str | None = None
    location: str | None = None
    maximum_bytes_billed: Annotated[Bytes, Field(ge=10 << 20)] | None = None

    @field_validator("table")
    @classmethod
    def _in_a_project(cls, table: str) -> str:
        return _parts(table, 3, 3, "project.dataset.table")


class TrinoSettings(EngineSettings):
    """Trino. table: catalog.schema.table. A password needs https."""

    type: Literal["trino"]
    url: HttpUrl = Field(repr=False)
    user: str = Field(default="unitcost", min_length=1)
    password: SecretStr | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None

    @field_validator("table")
    @classmethod
    def _in_a_catalog(cls, table: str) -> str:
        return _parts(table, 3, 3, "catalog.schema.table")

    @model_validator(mode="after")
    def _one_password(self) -> TrinoSettings:
        if "@" in self.url.partition("//")[2].partition("/")[0]:
            raise ValueError("url must hold no user; write user and password beside it")
        self.keep_one("password")
        if (self.password or self.password_file) and not self.url.lower().startswith("https://"):
            raise ValueError("a password is sent over https only; write url: https://…")
        if self.password is not None:
            SECRETS.add("<password>", self.password.get_secret_value())
        return self


class SparkSettings(EngineSettings):
    """Spark Connect. table: as Spark finds it, catalog.database.table. url: sc://host:15002.

    A bearer token (needs TLS, which it switches on) comes from token or token_file.
    """

    type: Literal["spark"]
    url: str = Field(pattern=r"^sc://[^/;@\s]+(/(;[\w-]+=[^;\s]*)*)?$")
    token: SecretStr | None = None
    token_file: FilePath | None = None

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        if ";token=" in url.lower():
            raise ValueError("must hold no token; write token_file beside it")
        return url

    @model_validator(mode="after")
    def _one_token(self) -> SparkSettings:
        self.keep_one("token")
        if self.token is not None:
            SECRETS.add("<token>", self.token.get_secret_value())
        return self


def _which(given: Any) -> str:
    kind = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return f"<{kind}>"


Engine = Annotated[
    Annotated[AthenaSettings, Tag("<athena>")]
    | Annotated[BigQuerySettings, Tag("<bigquery>")]
    | Annotated[TrinoSettings, Tag("<trino>")]
    | Annotated[SparkSettings, Tag("<spark>")],
    Discriminator(
        _which,
        custom_error_type="engine",
        custom_error_message=f"needs a type, which is one of {', '.join(ENGINES)}",
    ),
]


def one_place(path: object, info: ValidationInfo) -> None:
    """Check that a bill stands in one place: a path, or an engine's table (`engine`, which is validated before)."""
    if "engine" not in info.data:  # wrong itself
        return
    if path is None and info.data["engine"] is None:
        raise ValueError("is needed: the file or folder of the export; or engine, where it is a table")
    if path is not None and info.data["engine"] is not None:
        raise ValueError("stands beside engine; keep one of the two")
