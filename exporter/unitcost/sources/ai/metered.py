"""What sources of the use of models share: whose model it is, which account is billed, and the fact that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from unitcost.facts import Usage
from unitcost.sources import values
from unitcost.sources.ai.names import provider_of
from unitcost.sources.ai.units import measure_of
from unitcost.sources.base import Settings


class MeteredSettings(Settings):
    """provider: whose models these are where nothing else says it; providers: that only these are read.

    accounts: provider → the account that is billed for it, as of the source that reads the bill. billed_by: the bills
    that may hold it; None: any.
    """

    provider: str | None = Field(default=None, min_length=1)
    providers: tuple[str, ...] = ()
    accounts: Mapping[str, Annotated[str, Field(max_length=100, pattern=r"^[^/]*$")]] = {}
    billed_by: tuple[str, ...] | None = None


class Metered:
    """Tells whose a model is, and makes the facts of its use."""

    def __init__(self, settings: MeteredSettings) -> None:
        self._default = settings.provider or ""
        self._read = {provider_of(one) for one in settings.providers}
        self._accounts = {provider_of(provider): account for provider, account in settings.accounts.items()}

    def provider(self, spelt: str) -> str:
        """Return the provider that is meant, "" where nothing says it."""
        return provider_of(spelt or self._default)

    def reads(self, provider: str) -> bool:
        """Tell whether what is used of a provider is read at all."""
        return not self._read or provider in self._read

    def usage(
        self, day: date, tenant: str, provider: str, model: str, feature: str, unit: str, quantity: Decimal
    ) -> Usage:
        """Return how much of a unit was used on a UTC day. tenant, feature: as they are spelt, "" for none."""
        scope = f"{provider}/{self._accounts.get(provider, '')}"
        dimensions = {"feature": feature} if feature else {}
        return Usage(day, values.tenant_or_nobody(tenant), measure_of(unit), quantity, model, dimensions, unit, scope)
