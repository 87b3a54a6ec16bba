"""Object stores, run once for all tests of a module and emptied between them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.fakes.deliveries import Delivering
from tests.fakes.object_stores import Bucket, azurite, gcs, s3

AZURE = pytest.param("azure", marks=pytest.mark.needs("azurite-blob"))


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this machine is to a cloud out of tests."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")


@pytest.fixture(scope="module")
def _s3() -> Iterator[Bucket]:
    with s3() as found:
        yield found


@pytest.fixture
def bucket(_s3: Bucket) -> Bucket:
    """Return an empty bucket of S3."""
    return _s3.emptied()


@pytest.fixture(scope="module")
def _azurite() -> Iterator[Bucket]:
    with azurite() as found:
        yield found


@pytest.fixture
def container(_azurite: Bucket) -> Bucket:
    """Return an empty container of Azure Blob Storage."""
    return _azurite.emptied()


@pytest.fixture
def google() -> Iterator[Bucket]:
    """Return an empty bucket of Google's."""
    with gcs() as found:
        yield found


@pytest.fixture(params=["overwrite", "new", AZURE])
def delivering(request: pytest.FixtureRequest) -> Delivering:
    """Return a provider: AWS, over its own files or beside them, or Azure."""
    name = "container" if request.param == "azure" else "bucket"
    return Delivering(request.getfixturevalue(name), request.param)
