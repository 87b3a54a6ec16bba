"""What tests of sources share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader


@pytest.fixture(scope="session", autouse=True)
def _aws_described_once() -> Iterator[None]:
    """Parse botocore's files about AWS once, not for each client: tests make hundreds, at 0.2 s each."""
    parsed = cache(JSONFileLoader().load_file)

    def load_file(_: JSONFileLoader, path: str) -> Any:
        return parsed(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield
