"""A provider that bills, for both modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.model_provider import Provider, provider


@pytest.fixture
def there() -> Iterator[Provider]:
    """Return a provider on loopback."""
    with provider() as found:
        yield found
