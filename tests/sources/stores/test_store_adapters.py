"""What stores answer, good and bad: every object in pages, and an error that says where and what to do."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.object_stores import ACCOUNT_KEY, BUCKET, SECRET, Bucket
from tests.fakes.server import Reply
from unitcost.errors import SourceError
from unitcost.sources.base import Waiting
from unitcost.sources.bills.focus.stores import native
from unitcost.sources.bills.focus.stores import s3 as s3_module
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import ChangedError, Object, Store
from unitcost.sources.bills.focus.stores.opening import opened
from unitcost.sources.bills.focus.stores.settings import StoreSettings

MANY = 1_003


AZURE = pytest.param("container", marks=pytest.mark.needs("azurite-blob"))


@pytest.fixture(params=["google", AZURE])
def vendors(request: pytest.FixtureRequest) -> Bucket:
    """Return each kind of store that is read natively."""
    found: Bucket = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["bucket", "google", AZURE])
def there(request: pytest.FixtureRequest) -> Bucket:
    """Return each kind of store."""
    found: Bucket = request.getfixturevalue(request.param)
    return found


def store(bucket: Bucket, name: str = BUCKET, **more: Any) -> Store:
    settings = StoreSettings.model_validate({**bucket.settings, **more})
    return opened(Address(bucket.scheme, name), settings, Waiting())


def first(bucket: Bucket, key: str) -> Object:
    return next(one for one in store(bucket).all("") if one.key == key)


def failure(bucket: Bucket, **more: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        list(store(bucket, **more).all("a/"))
    assert str(caught.value).startswith(f"{bucket.scheme}://{more.get('name', BUCKET)}/a/")
    for secret in (SECRET, ACCOUNT_KEY):
        assert secret not in str(caught.value)
    return caught.value


# ------------------------------------------------------------------------------------------ what is there


def test_a_listing_of_several_pages_is_whole_and_sorted(there: Bucket) -> None:
    keys = [f"a/{at:05}" for at in range(MANY if there.scheme != "az" else 20)]
    for key in [*keys, "b/other", "a-b"]:
        there.put(key, b"x")
    there.relay.forget()
    assert [one.key for one in store(there).all("a/")] == keys
    assert len(there.relay.passed) == (2 if there.scheme != "az" else 1), "a page has 1,000 (Azure: 5,000)"


def test_a_level_holds_folders_and_what_lies_right_there(there: Bucket) -> None:
    for key in ("a/x.csv", "a/BILLING_PERIOD=2026-11/y.csv", "a/FOCUS Reports/2026/z.csv", "ab/q"):
        there.put(key, b"123")
    folders, objects = store(there).level("a/")
    assert sorted(folders) == ["a/BILLING_PERIOD=2026-11/", "a/FOCUS Reports/"]
    assert [(one.key, one.size) for one in objects] == [("a/x.csv", 3)]
    assert objects[0].modified.tzinfo is not None
    assert abs(objects[0].modified.timestamp() - time.time()) < 60
    assert [one.key for one in store(there).all("a/FOCUS Reports/")] == ["a/FOCUS Reports/2026/z.csv"]


def test_an_object_comes_whole_in_pieces(there: Bucket) -> None:
    body = bytes(range(256)) * 80_000
    there.put("a/large", body)
    assert b"".join(store(there).pieces(first(there, "a/large"))) == body


def test_an_object_that_was_written_again_or_removed_since_it_was_listed_is_another(there: Bucket) -> None:
    there.put("a/x", b"one")
    listed = first(there, "a/x")
    there.put("a/x", b"two")
    with pytest.raises(ChangedError, match="was written again or removed while it was read"):
        list(store(there).pieces(listed))
    there.remove("a/x")
    with pytest.raises(ChangedError):
        list(store(there).pieces(listed))


# ------------------------------------------------------------------------------------------ what goes wrong


def xml(code: str, message: str = "a message") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "reason", "told"),
    [
        (403, "AccessDenied", "auth", r"is refused \(403 AccessDenied\): a message. Grant s3:ListBucket"),
        (404, "NoSuchBucket", "missing", "there is no such bucket. Correct path, or store.endpoint"),
        (403, "RequestTimeTooSkewed", "auth", r"the clock of this machine is off. Set the clock"),
        (403, "InvalidAccessKeyId", "auth", "knows no such access key"),
        (403, "SignatureDoesNotMatch", "auth", "or not this secret"),
        (400, "ExpiredToken", "auth", "the credentials have run out. Renew them"),
        (400, "AuthorizationHeaderMalformed", "region", "lies in another region. Set store.region"),
        (400, "InvalidBucketState", "http", "answered 400 InvalidBucketState: a message"),
    ],
)
def test_what_s3_refuses_says_what_to_do(bucket: Bucket, status: int, code: str, reason: str, told: str) -> None:
    bucket.relay.otherwise = lambda *_: Reply(xml(code), status)
    found = failure(bucket)
    assert found.reason == reason
    assert re.search(told, str(found)), str(found)


@pytest.mark.parametrize(
    ("status", "code", "reason", "told"),
    [
        (403, "AuthorizationPermissionMismatch", "auth", "is refused: .*Grant the role Storage"),
        (401, "NoAuthenticationInformation", "auth", "is refused: .*Grant the role Storage"),
        (403, "AuthenticationFailed</Code><Detail>Request date header too old</Detail><Code>", "auth", "Set the clock"),
        (404, "ContainerNotFound", "missing", "there is no such bucket or container. Correct path"),
        (404, "NoSuchBucket", "missing", "there is no such bucket or container. Correct path"),
    ],
)
def test_what_others_refuse_says_what_to_do(vendors: Bucket, status: int, code: str, reason: str, told: str) -> None:
    there = vendors
    there.relay.otherwise = lambda *_: Reply(xml(code), status)
    found = failure(there)
    assert found.reason == reason
    assert re.search(told, str(found)), str(found)


def test_a_throttled_request_is_made_again(there: Bucket) -> None:
    there.put("a/x", b"1")
    left = [503, 500]
    there.relay.otherwise = lambda *_: Reply(xml("SlowDown"), left.pop()) if left else None
    assert [one.key for one in store(there).all("a/")] == ["a/x"]
    assert not left


def test_a_server_that_only_fails_is_given_up(there: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "TRIES", 2)
    monkeypatch.setattr(native, "TRIES", 2)
    there.relay.otherwise = lambda *_: Reply(xml("SlowDown"), 503)
    found = failure(there)
    assert found.reason == "http"
    assert "the next refresh asks again" in str(found)
    assert len([one for one in there.relay.passed if one.status == 503]) == 2


def test_a_silent_server_is_given_up_and_said_to_be_waited_for(there: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "TRIES", 1)
    monkeypatch.setattr(native, "TRIES", 1)
    there.put("a/x", b"1")
    waiting = Waiting()
    seen: list[str] = []

    def silent(*_: str) -> Reply:
        seen.append(waiting.on_what)
        return Reply(stall=5)

    there.relay.otherwise = silent
    settings = StoreSettings.model_validate({**there.settings, "timeout": 0.3})
    began = time.monotonic()
    with pytest.raises(SourceError) as caught:
        list(opened(Address(there.scheme, BUCKET), settings, waiting).all("a/"))
    assert caught.value.reason == "timeout"
    assert "store.timeout" in caught.value.hint
    assert time.monotonic() - began < 4
    assert seen[0] == there.address("a/")
    assert waiting.on_what == ""


def test_a_server_that_is_not_there_is_told(there: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "TRIES", 1)
    monkeypatch.setattr(native, "TRIES", 1)
    found = failure(there, endpoint="http://127.0.0.1:9/x")
    assert found.reason == "unreachable"


def test_an_answer_that_is_cut_off_is_no_object(bucket: Bucket) -> None:
    bucket.put("a/x", b"0123456789" * 1000)
    listed = first(bucket, "a/x")
    bucket.relay.cut = lambda path: 500 if path.endswith("a/x") else None
    with pytest.raises(SourceError) as caught:
        list(store(bucket).pieces(listed))
    assert caught.value.reason in {"truncated", "unreachable"}


def test_nobody_s_credentials_are_told(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    bucket.settings = {"endpoint": bucket.settings["endpoint"]}
    found = failure(bucket)
    assert found.reason == "auth"
    assert "there are no credentials to read it with. Run with a role (IRSA" in str(found)


def test_a_profile_that_is_none_is_told(bucket: Bucket) -> None:
    bucket.settings = {"endpoint": bucket.settings["endpoint"], "profile": "billing"}
    found = failure(bucket)
    assert "The config profile (billing) could not be found. Correct store.profile" in str(found)


def test_a_role_is_taken_on(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", bucket.settings["endpoint"])
    bucket.put("a/x", b"1")
    bucket.relay.forget()
    role = {"role_arn": "arn:aws:iam::123456789012:role/billing", "external_id": "unitcost"}
    assert [one.key for one in store(bucket, **role).all("a/")] == ["a/x"]
    assert [one.method for one in bucket.relay.passed] == ["POST", "GET"]


def test_a_role_that_is_refused_says_whom_to_trust(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", bucket.settings["endpoint"])
    refused = (
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>"
    )
    bucket.relay.otherwise = lambda method, *_: Reply(refused, 403) if method == "POST" else None
    with pytest.raises(SourceError, match=r"role/billing: is refused as a role: AccessDenied .*sts:AssumeRole"):
        list(store(bucket, role_arn="arn:aws:iam::123456789012:role/billing").all("a/"))


def test_a_secret_in_a_file_is_read_when_it_is_used(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    bucket.settings.pop("secret_access_key")
    bucket.put("a/x", b"1")
    found = store(bucket, secret_access_key_file=str(tmp_path / "secret"))
    (tmp_path / "secret").unlink()
    with pytest.raises(SourceError, match="secret: cannot be read: No such file"):
        list(found.all("a/"))
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    assert [one.key for one in found.all("a/")] == ["a/x"]
