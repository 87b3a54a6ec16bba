"""Azure Blob Storage."""

from __future__ import annotations

from typing import Any

from obstore import exceptions
from obstore import store as stores

from unitcost.errors import SourceError
from unitcost.sources.base import Waiting
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.native import NativeStore, options
from unitcost.sources.bills.focus.stores.settings import StoreSettings

GRANT = "Grant the role Storage Blob Data Reader on the container"


class AzureStore(NativeStore):
    """A container, reached by the environment's identity (workload, managed) or by keys."""

    def __init__(self, address: Address, settings: StoreSettings, waiting: Waiting) -> None:
        given: dict[str, Any] = {
            "account_name": settings.account,
            "account_key": settings.secret("account_key"),
            "sas_key": settings.secret("sas_token"),
            "endpoint": settings.endpoint,
        }
        config = {name: value for name, value in given.items() if value is not None}
        try:
            store = stores.AzureStore(address.bucket, config=config, **options(settings))  # type: ignore[arg-type]
        except (exceptions.BaseError, ValueError) as error:
            text = f"cannot be opened: {str(error).splitlines()[0]}"
            raise SourceError("auth", str(address), text, "Set store.account to the storage account") from error
        super().__init__(address, settings, waiting, store, GRANT)
