"""What unitcost.yaml says of a store: mistakes are told with their key, secrets are not, and nothing is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from unitcost.config.load import load
from unitcost.errors import ConfigError, SourceError
from unitcost.redaction import visible
from unitcost.sources.base import Context, Waiting
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.cache import Cache
from unitcost.sources.bills.focus.stores.opening import opened
from unitcost.sources.bills.focus.stores.settings import CacheSettings, StoreSettings


def bill(**given: Any) -> FocusSettings:
    return FocusSettings.model_validate({"type": "focus", "path": "s3://bucket/exports", **given})


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("s3://bucket", "s3://bucket/"),
        ("s3a://bucket//a//b/", "s3://bucket/a/b"),
        ("S3://bucket/FOCUS Reports", "s3://bucket/FOCUS Reports"),
        ("az://cont-ainer/x", "az://cont-ainer/x"),
        ("gcs://bucket/x", "gs://bucket/x"),
        ("gs://bucket/x", "gs://bucket/x"),
    ],
)
def test_an_address_is_told_in_one_way(path: str, told: str) -> None:
    found = bill(path=path).path
    assert isinstance(found, Address)
    assert str(found) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"path": "ftp://host/x"}, "ftp:// is no store that is read; use s3://, az:// or gs://"),
        ({"path": "s3:///x"}, "s3:// is followed by no name of a bucket"),
        ({"path": "s3://user:secret@bucket/x"}, "s3:// is followed by no name of a bucket"),
        ({"path": "s3://bucket/x?sig=abc"}, "credentials belong below store"),
        ({"path": "nowhere/x"}, "nowhere/x does not exist"),
        ({"path": ".", "store": {"region": "eu-central-1"}}, "has store, which are of object stores"),
        ({"store": {"account": "billing"}}, "store.account means nothing for s3://"),
        ({"path": "az://container/x", "store": {"region": "x"}}, "store.region means nothing for az://"),
        ({"path": "gs://bucket/x", "store": {"account_key": "x"}}, "store.account_key means nothing for gs://"),
        ({"store": {"access_key_id": "x"}}, "needs access_key_id and one of secret_access_key"),
        ({"store": {"secret_access_key": "x"}}, "needs access_key_id and one of secret_access_key"),
        ({"store": {"external_id": "x"}}, "has external_id, which belongs to a role_arn"),
        ({"store": {"session_token": "x"}}, "has session_token, which belongs to an access_key_id"),
        ({"store": {"role_arn": "billing"}}, "store.role_arn"),
        (
            {"path": "az://container/x", "store": {"account_key": "x", "sas_token": "y"}},
            "has account_key and sas_token",
        ),
        ({"store": {"endpoint": "minio:9000"}}, "must start with http"),
        ({"store": {"endpoint": "http://user:secret@minio:9000"}}, "must have no user info and no query"),
        ({"store": {"timeout": 0}}, "store.timeout"),
        ({"store": {"bucket": "x"}}, "store.bucket"),
        ({"cache": {"size": 0}}, "must be a size such as 10GB"),
        ({"cache": {"size": "-1GB"}}, "must be a size"),
        ({"delivery": "gcp"}, "'auto', 'aws', 'azure', 'oci' or 'folder'"),
    ],
)
def test_a_mistake_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        bill(**given)
    said = " ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in caught.value.errors())
    assert told in said


def test_all_mistakes_of_a_file_are_told_with_their_keys_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t-of-a-bucket")
    store = {"access_key_id": "id", "secret_access_key": "${SECRET}", "endpoint": "http://x/${SECRET}", "color": 1}
    sources = {"bill": {"type": "focus", "path": "s3://bucket/x", "store": store, "cache": {"size": "much"}}}
    (tmp_path / "unitcost.yaml").write_text(json.dumps({"sources": sources}))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "unitcost.yaml")
    assert [one.split(": ")[1] for one in caught.value.mistakes] == [
        "sources.bill.store.color",
        "sources.bill.cache.size",
    ]
    assert "s3cr3t" not in str(caught.value)


def test_secrets_are_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-key-in-a-file\n")
    given = bill(
        path="az://container/x",
        store={"account": "billing", "account_key_file": str(tmp_path / "key")},
    )
    assert given.store.secret("account_key") == "a-key-in-a-file"
    assert "a-key-in-a-file" not in visible(f"x a-key-in-a-file {given!r}")
    clear = bill(store={"access_key_id": "id", "secret_access_key": "in-clear-12345", "session_token": "token-6789"})
    for secret in ("in-clear-12345", "token-6789"):
        assert secret not in repr(clear)
        assert secret not in visible(f"the server said {secret}")


def test_how_a_store_is_reached_decides_nothing_of_what_it_holds() -> None:
    one = bill(store={"region": "eu-central-1"}, cache={"size": "1GB"}, delivery="aws")
    assert one.identity(Context()) == bill().identity(Context())
    assert bill(cost="BilledCost").identity(Context()) != bill().identity(Context())


def test_the_cache_lies_below_the_ledger_s_folder_unless_it_is_said_where(tmp_path: Path) -> None:
    assert CacheSettings().folder(tmp_path, "bill") == tmp_path / "cache" / "bill"
    said = CacheSettings.model_validate({"path": "fast"}, context={"folder": tmp_path})
    assert said.folder(tmp_path / "state", "bill") == tmp_path / "fast" / "bill"
    (tmp_path / "file").write_text("")
    for nowhere in (None, tmp_path / "file" / "state"):
        assert CacheSettings().folder(nowhere, "bill").parts[-3:] == ("unitcost", "cache", "bill")


@pytest.mark.parametrize(("scheme", "package", "extra"), [("az", "obstore", "azure"), ("gs", "obstore", "gcs")])
def test_a_package_that_lacks_is_told_with_the_extra_that_brings_it(scheme: str, package: str, extra: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from unitcost.sources.bills.focus.stores.address import Address\n"
        "from unitcost.sources.bills.focus.stores.opening import opened\n"
        "from unitcost.sources.bills.focus.stores.settings import StoreSettings\n"
        "from unitcost.sources.base import Waiting\n"
        f"opened(Address({scheme!r}, 'bucket', 'x'), StoreSettings(), Waiting())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    told = f"{scheme}://bucket/x: cannot be read: the package {package} is not installed"
    assert f"{told}. pip install 'unitcost[{extra}]'" in run.stderr


def test_an_azure_store_without_an_account_says_which_key_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_USE_EMULATOR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SourceError, match=r"az://c/x: cannot be opened: .*Set store\.account"):
        opened(Address("az", "c", "x"), StoreSettings(), Waiting())


def test_a_google_key_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    with pytest.raises(SourceError, match=r"gs://c/x: cannot be opened: .*Correct store\.service_account_file"):
        opened(Address("gs", "c", "x"), StoreSettings(service_account_file=tmp_path / "key.json"), Waiting())


# ------------------------------------------------------------------------------------------ the cache by itself


def test_a_file_in_use_stays_and_the_one_that_was_used_longest_ago_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 30)
    paths = [tmp_path / "cache" / name / "x.csv" for name in "abc"]
    for path in paths:
        cache.put(path, 10, [b"0123456789"], "s3://b/x")
    assert cache.has(paths[0], 10), "and so it was used last"
    cache.put(tmp_path / "cache" / "d" / "x.csv", 10, [b"0123456789"], "s3://b/d")
    assert [path.exists() for path in paths] == [True, False, True]
    with cache.holding([paths[0], paths[2]]):
        cache.put(tmp_path / "cache" / "e" / "x.csv", 10, [b"0123456789"], "s3://b/e")
        assert [path.exists() for path in paths] == [True, False, True]
        with pytest.raises(SourceError, match=r"are in use, so that s3://b/f with 20 finds no room in 30"):
            cache.put(tmp_path / "cache" / "f" / "x.csv", 20, [b"0" * 20], "s3://b/f")
    cache.put(tmp_path / "cache" / "f" / "x.csv", 20, [b"0" * 20], "s3://b/f")
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.csv")) <= 30


def test_a_file_that_breaks_off_is_not_there_and_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 100)

    def broken() -> Any:
        yield b"01234"
        raise SourceError("truncated", "s3://b/x", "broke off")

    path = tmp_path / "cache" / "a" / "x.csv"
    with pytest.raises(SourceError, match="broke off"):
        cache.put(path, 10, broken(), "s3://b/x")
    assert not cache.has(path, 10)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_file_that_someone_cut_short_is_fetched_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 100)
    path = tmp_path / "cache" / "a" / "x.csv"
    cache.put(path, 10, [b"0123456789"], "s3://b/x")
    path.write_bytes(b"0")
    assert not cache.has(path, 10)
