"""How an API of AWS is reached: credentials, region, and what its errors mean. boto3 is imported when it is used."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator, model_validator

from unitcost.errors import SourceError
from unitcost.redaction import SECRETS
from unitcost.sources.base import ANumber, FilePath, HttpUrl, Settings, one_line

CONNECT = 10.0
"""Seconds for a connection, where the timeout allows more."""


def signed_in(
    *,
    region: str | None = None,
    profile: str | None = None,
    keys: tuple[str | None, str | None, str | None] = (None, None, None),
    role_arn: str | None = None,
    external_id: str | None = None,
    **how: Any,
) -> Any:
    """Return boto3's session, under a role if one is named. Raises what boto3 does.

    keys: id, secret and token; without them the credentials are those that boto3 finds. how: as for the client of STS,
    which is asked for the role. A role ends after an hour; asking for it costs nothing.
    """
    import boto3  # noqa: PLC0415 - takes 0.2 s and 20 MB, for those who use it

    session = boto3.Session(*keys, region_name=region, profile_name=profile)
    if role_arn is None:
        return session
    more = {} if external_id is None else {"ExternalId": external_id}
    taken = session.client("sts", **how).assume_role(RoleArn=role_arn, RoleSessionName="unitcost", **more)
    role = taken["Credentials"]
    return boto3.Session(role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"], session.region_name)


class AwsSettings(Settings):
    """An API of AWS. Without keys of its own: the credentials that boto3 finds (environment, profile, role of the pod).

    profile: of ~/.aws. role_arn, external_id: a role that is taken on first. region: where the API is asked. endpoint:
    another address of the API, a VPC endpoint's, say. access_key_id, secret_access_key, session_token: keys of its own.
    timeout: seconds for an answer, tries included.
    """

    profile: str | None = None
    role_arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:iam::\d{12}:role/\S{1,512}$")] | None = None
    external_id: str | None = None
    region: Annotated[str, Field(pattern=r"^[a-z]{2,}(-[a-z]+)+-\d$")] | None = None
    endpoint: HttpUrl | None = Field(default=None, repr=False)
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: FilePath | None = None
    session_token: SecretStr | None = None
    timeout: Annotated[float, ANumber, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0

    @property
    def patience(self) -> float | None:
        """As of every source."""
        return self.timeout

    @field_validator("secret_access_key", "session_token")
    @classmethod
    def _is_shown_nowhere(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            SECRETS.add("<secret_access_key>", secret.get_secret_value())
        return one_line(secret)

    @model_validator(mode="after")
    def _one_way_in(self) -> AwsSettings:
        self.keep_one("secret_access_key")
        if (self.access_key_id is not None) != self.has_secret("secret_access_key"):
            raise ValueError(
                "needs access_key_id and one of secret_access_key, secret_access_key_file, or none of them"
            )
        if self.access_key_id is None and self.session_token is not None:
            raise ValueError("session_token belongs to an access_key_id")
        if self.access_key_id is not None and self.profile is not None:
            raise ValueError("has profile and access_key_id; keep one")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id belongs to a role_arn")
        return self

    def client(self, service: str, default_region: str) -> Any:
        """Return boto3's client of a service, which tries nothing again. Raises SourceError."""
        from botocore.config import Config  # noqa: PLC0415 - as boto3
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        limits = {"connect_timeout": min(CONNECT, self.timeout), "read_timeout": self.timeout}
        config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, user_agent_extra="unitcost", **limits)
        try:
            session = signed_in(
                region=self.region or default_region,
                profile=self.profile,
                keys=(self.access_key_id, self.secret("secret_access_key"), self.secret("session_token")),
                role_arn=self.role_arn,
                external_id=self.external_id,
                config=config,
            )
            return session.client(service, endpoint_url=self.endpoint, config=config)
        except (BotoCoreError, ClientError, ValueError) as error:
            where = self.role_arn or self.profile or service
            raise translated(error, where, ROLE_HINT if self.role_arn else "", self.timeout) from None


ROLE_HINT = "Let the role's trust policy name who takes it on, and give that one sts:AssumeRole"
AGAIN = (
    "LimitExceededException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
)
"""Codes with which AWS asks for fewer requests."""
CLOCK = ("RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture")
EXPIRED = ("ExpiredToken", "ExpiredTokenException")
REFUSED = (
    "AccessDenied",
    "AccessDeniedException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
)
NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "ConfigParseError",
    "InvalidConfigError",
    "InfiniteLoopConfigError",
    "MetadataRetrievalError",
    "SSOError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
)


def code(error: Exception) -> str:
    """Return AWS's code of an error that it answered, "" for an error of another kind."""
    said: Any = getattr(error, "response", None)
    return str(said.get("Error", {}).get("Code", "")) if isinstance(said, dict) else ""


def status(error: Exception) -> int:
    """Return the HTTP status of an error that AWS answered, 0 for an error of another kind."""
    said: Any = getattr(error, "response", None)
    return int(said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) if isinstance(said, dict) else 0


def translated(error: Exception, where: str, permissions: str, limit: float) -> SourceError:
    """Say in words what boto3 raised. permissions: what to do where the caller is not allowed to ask."""
    if code(error) or status(error):
        said = f"answered {code(error) or status(error)}: {_message(error)}"
        reason, hint = _refusal(error, said, permissions)
        return SourceError(reason, where, said, hint)
    kind = type(error).__name__
    if kind in NO_CREDENTIALS or isinstance(error, ValueError):
        hint = "Set profile, access_key_id or role_arn, or give the process credentials as boto3 finds them"
        return SourceError("auth", where, f"no credentials: {error}", hint)
    if "Timeout" in kind:
        hint = "Raise timeout, or see what stands between; it is asked again later"
        return SourceError("timeout", where, f"no complete answer within {limit:g} s", hint)
    if kind in _BROKEN:
        return SourceError(*_BROKEN[kind][:1], where, *_BROKEN[kind][1:])
    return SourceError("unreachable", where, f"{kind}: {error}", "Check endpoint and region, and the way there")


_CUT = ("truncated", "the connection broke in the middle of the answer", "It is asked again later")
_BROKEN = {
    "ConnectionClosedError": _CUT,
    "IncompleteReadError": _CUT,
    "ResponseStreamingError": _CUT,
    "ResponseParserError": (
        "format",
        "answered something that is not JSON",
        "Check endpoint, and what stands between: a proxy's page, or an answer that was cut off",
    ),
}
"""Errors of boto3 → reason, text and hint."""
SERVER = 500
"""From this status on it is not the request that is wrong."""


def _refusal(error: Exception, said: str, permissions: str) -> tuple[str, str]:
    """Return the reason of an error that AWS answered, and what to do."""
    name = code(error)
    if name in CLOCK or "ignature expired" in said or "ignature not yet current" in said:
        return "auth", "Set the clock of this machine: AWS refuses times that are off"
    if name in EXPIRED:
        return "auth", "Renew the credentials: their session has ended"
    if name in REFUSED or status(error) in {401, 403}:
        return "auth", permissions
    if name in AGAIN:
        return "retry_later", "It is asked again later"
    return ("http", "It is asked again later") if status(error) >= SERVER else ("request", "")


def _message(error: Exception) -> str:
    said: Any = getattr(error, "response", {})
    return str(said.get("Error", {}).get("Message") or "no more is said")
