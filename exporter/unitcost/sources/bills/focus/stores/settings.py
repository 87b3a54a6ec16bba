"""What unitcost.yaml says of an object store and of the cache of what it delivered."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from unitcost.redaction import SECRETS
from unitcost.sizes import Bytes
from unitcost.sources.base import ANumber, FilePath, LinkUrl, Section, resolved

OF_SCHEME = {
    "s3": ("region", "profile", "role_arn", "external_id", "access_key_id", "secret_access_key", "session_token"),
    "az": ("account", "account_key", "sas_token"),
    "gs": ("service_account_file",),
}
"""Which keys mean something for which store; endpoint, ca_file and timeout do for all."""


class StoreSettings(Section):
    """How an object store is reached. Without keys of its own it is by what the machine, pod or environment has.

    Secrets come from ${ENV} or a *_file.

    region, profile, role_arn, external_id: of S3; external_id belongs to a role_arn. access_key_id, secret_access_key,
    session_token: keys of S3, the token only with the other two. account, account_key, sas_token: of Azure Blob
    Storage; one of account_key and sas_token. service_account_file: of Google Cloud Storage. endpoint: of whatever
    speaks like one of them. ca_file: the certificates (PEM) that the server's is checked by. timeout: seconds that a
    server may be silent; four tries are made.
    """

    endpoint: LinkUrl | None = None
    ca_file: FilePath | None = None
    timeout: Annotated[float, ANumber, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0
    region: str | None = None
    profile: str | None = None
    role_arn: str | None = Field(default=None, pattern=r"^arn:[^:]+:iam::\d{12}:role/.+$")
    external_id: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: FilePath | None = None
    session_token: SecretStr | None = None
    account: str | None = Field(default=None, pattern=r"^[a-z0-9]{3,24}$")
    account_key: SecretStr | None = None
    account_key_file: FilePath | None = None
    sas_token: SecretStr | None = None
    sas_token_file: FilePath | None = None
    service_account_file: FilePath | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> StoreSettings:
        self.keep_one("secret_access_key", "account_key", "sas_token")
        if (self.access_key_id is None) != (not self.has_secret("secret_access_key")):
            raise ValueError("needs access_key_id and one of secret_access_key, secret_access_key_file, or neither")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("has session_token, which belongs to an access_key_id")
        if self.has_secret("account_key") and self.has_secret("sas_token"):
            raise ValueError("has account_key and sas_token; keep one")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("has external_id, which belongs to a role_arn")
        return self

    @model_validator(mode="after")
    def _keep_secrets(self) -> StoreSettings:
        for name in ("secret_access_key", "session_token", "account_key", "sas_token"):
            value: SecretStr | None = getattr(self, name)
            if value is not None:
                SECRETS.add(f"<{name}>", value.get_secret_value())
        return self

    def strangers(self, scheme: str) -> list[str]:
        """Return the keys that are set and mean nothing for this kind of store."""
        others = {name for of, names in OF_SCHEME.items() if of != scheme for name in names}
        given = {name: name.removesuffix("_file") for name in self.model_fields_set}
        return sorted(name for name, plain in given.items() if {name, plain} & others)


class CacheSettings(Section):
    """Where what was fetched is kept, and how many bytes of it at most; what was used least recently goes first.

    size: so many bytes. path: None: below state_dir, or where that cannot be written in the folder for temporary files.
    """

    path: Annotated[Path, AfterValidator(resolved)] | None = None
    size: Bytes = 10 << 30

    @field_validator("size")
    @classmethod
    def _bounded(cls, size: int) -> int:
        if size <= 0:
            raise ValueError("must be a size such as 10GB; a cache without a limit fills the disk")
        return size

    def folder(self, state_dir: Path | None, name: str) -> Path:
        """Return the folder of a source, which need not be there yet."""
        if self.path is not None:
            return self.path / name
        if state_dir is not None:
            there = next(path for path in (state_dir, *state_dir.absolute().parents) if path.exists())
            if there.is_dir() and os.access(there, os.W_OK):
                return state_dir / "cache" / name
        return Path(tempfile.gettempdir()) / "unitcost" / "cache" / name
