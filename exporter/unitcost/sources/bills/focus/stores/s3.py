"""S3, and whatever speaks like it (MinIO, Ceph, Oracle's and Google's S3 endpoints), through boto3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import urllib3
from botocore import exceptions
from botocore.config import Config

from unitcost.errors import SourceError
from unitcost.sources.aws import signed_in
from unitcost.sources.base import Waiting
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import CONNECT, TRIES, Object, bare, changed, within
from unitcost.sources.bills.focus.stores.settings import StoreSettings

PIECE = 1 << 20
GRANT = "Grant s3:ListBucket on the bucket and s3:GetObject on its objects (and kms:Decrypt where a key encrypts them)"


class S3Store:
    """A bucket. A role is taken on when the first request is made."""

    def __init__(self, address: Address, settings: StoreSettings, waiting: Waiting) -> None:
        self._address = address
        self._settings = settings
        self._waiting = waiting

    def all(self, prefix: str) -> Iterator[Object]:
        """Yield every object below a prefix."""
        for page in self._pages(prefix):
            yield from map(_object, page.get("Contents", ()))

    def level(self, prefix: str) -> tuple[Sequence[str], Sequence[Object]]:
        """Return what lies right below a prefix."""
        folders: list[str] = []
        objects: list[Object] = []
        for page in self._pages(prefix, Delimiter="/"):
            folders += [one["Prefix"] for one in page.get("CommonPrefixes", ())]
            objects += map(_object, page.get("Contents", ()))
        return folders, objects

    def pieces(self, wanted: Object) -> Iterator[bytes]:
        """Yield an object's bytes."""
        where = self._address.of(wanted.key)
        with self._explained(where):
            with self._waiting.on(where):
                answer = self._client.get_object(Bucket=self._address.bucket, Key=wanted.key, IfMatch=wanted.condition)
            with answer["Body"] as body:
                if bare(answer["ETag"]) != wanted.etag:
                    raise changed(where)
                chunks = iter(lambda: body.read(PIECE), b"")
                yield from within(chunks, wanted, where, self._settings.timeout, self._waiting)

    def close(self) -> None:
        """Let the connections go."""
        if "_client" in self.__dict__:
            self._client.close()

    def _pages(self, prefix: str, **how: str) -> Iterator[dict[str, Any]]:
        where = self._address.of(prefix)
        with self._explained(where):
            pages = iter(
                self._client.get_paginator("list_objects_v2").paginate(
                    Bucket=self._address.bucket, Prefix=prefix, **how
                )
            )
            while True:
                with self._waiting.on(where):
                    page = next(pages, None)
                if page is None:
                    return
                yield page

    @cached_property
    def _client(self) -> Any:
        given = self._settings
        config = Config(
            connect_timeout=min(CONNECT, given.timeout),
            read_timeout=given.timeout,
            retries={"total_max_attempts": TRIES, "mode": "standard"},
            # Other servers than AWS know no path but their own, and not the checksums of AWS.
            s3={"addressing_style": "path" if given.endpoint else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        how = {"config": config, "verify": str(given.ca_file) if given.ca_file else None}
        session = signed_in(
            region=given.region,
            profile=given.profile,
            keys=(given.access_key_id, given.secret("secret_access_key"), given.secret("session_token")),
            role_arn=given.role_arn,
            external_id=given.external_id,
            **how,
        )
        return session.client("s3", endpoint_url=given.endpoint, **how)

    @contextmanager
    def _explained(self, where: str) -> Iterator[None]:
        """Say in words what boto3 raises inside of the block."""
        try:
            yield
        except exceptions.ClientError as error:
            raise self._refused(error, where) from error
        except (exceptions.BotoCoreError, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _failed(error, where, self._settings.timeout) from error

    def _refused(self, error: Any, where: str) -> SourceError:
        """Return what an answer of the server means."""
        said = error.response.get("Error", {})
        code, message = str(said.get("Code", "")), str(said.get("Message", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in {"PreconditionFailed", "NoSuchKey", "412"}:
            return changed(where)
        for codes, reason, text, hint in CODES:
            if code in codes:
                return SourceError(reason, where, text, hint)
        if error.operation_name == "AssumeRole":
            hint = "Let the role trust who unitcost runs as, and allow that one sts:AssumeRole"
            return SourceError("auth", str(self._settings.role_arn), f"is refused as a role: {code} {message}", hint)
        if status in {401, 403}:
            return SourceError("auth", where, f"is refused ({status} {code}): {message}", GRANT)
        if status is not None and (status >= 500 or status == 429):  # noqa: PLR2004 - HTTP
            text = f"answered {status} {code} {TRIES} times"
            return SourceError("http", where, text, "See the provider's status; the next refresh asks again")
        return SourceError("http", where, f"answered {status} {code}: {message}", "See store.endpoint and store.region")


CODES = (
    (("NoSuchBucket",), "missing", "there is no such bucket", "Correct path, or store.endpoint"),
    (
        ("RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"),
        "auth",
        "is refused: the clock of this machine is off",
        "Set the clock (NTP)",
    ),
    (
        ("InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure"),
        "auth",
        "is refused: the server knows no such access key, or not this secret",
        "Correct store.access_key_id and store.secret_access_key, or what the environment has in their stead",
    ),
    (
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
        "auth",
        "is refused: the credentials have run out",
        "Renew them, or run with a role (IRSA, pod identity, instance role), whose credentials renew themselves",
    ),
    (
        (
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "301",
            "TemporaryRedirect",
        ),
        "region",
        "lies in another region",
        "Set store.region to the bucket's",
    ),
)
"""Code of an answer, reason, what it means, what to do."""


def _failed(error: Exception, where: str, timeout: float) -> SourceError:
    """Return why there is no answer at all."""
    nobody = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.CredentialRetrievalError)
    timeouts = (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError, urllib3.exceptions.TimeoutError)
    if isinstance(error, nobody):
        hint = "Run with a role (IRSA, pod identity, instance role), or set store.profile or store.access_key_id"
        return SourceError("auth", where, "there are no credentials to read it with", hint)
    if isinstance(error, exceptions.ProfileNotFound):
        return SourceError("auth", where, str(error), "Correct store.profile, or write the profile to ~/.aws/config")
    if isinstance(error, timeouts):
        text = f"the server was silent for {timeout:g} s, {TRIES} times"
        return SourceError("timeout", where, text, "Raise store.timeout, or see why the network is slow")
    if isinstance(error, exceptions.SSLError):
        return SourceError("unreachable", where, f"TLS failed: {error}", "Set store.ca_file to the server's CA")
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError | urllib3.exceptions.HTTPError):
        hint = "See store.endpoint, and whether this machine or pod may reach it (a VPC endpoint, a proxy)"
        return SourceError("unreachable", where, f"cannot be reached: {error}", hint)
    return SourceError("unreachable", where, str(error), "See path and store")


def _object(said: dict[str, Any]) -> Object:
    return Object(said["Key"], int(said["Size"]), bare(said["ETag"]), said["LastModified"])
