"""Google Cloud Storage."""

from __future__ import annotations

from typing import Any

from obstore import exceptions
from obstore import store as stores

from unitcost.errors import SourceError
from unitcost.sources.base import Waiting
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.native import NativeStore, options
from unitcost.sources.bills.focus.stores.settings import StoreSettings

GRANT = "Grant the role Storage Object Viewer on the bucket"


class GoogleStore(NativeStore):
    """A bucket, reached by the environment's identity (workload identity, application default) or a key file."""

    def __init__(self, address: Address, settings: StoreSettings, waiting: Waiting) -> None:
        config: dict[str, Any] = {}
        if settings.service_account_file is not None:
            config["service_account"] = str(settings.service_account_file)
        if settings.endpoint is not None:
            config["base_url"] = settings.endpoint
        try:
            store = stores.GCSStore(address.bucket, config=config, **options(settings))  # type: ignore[arg-type]
        except (exceptions.BaseError, ValueError, OSError) as error:
            text = f"cannot be opened: {str(error).splitlines()[0]}"
            raise SourceError("auth", str(address), text, "Correct store.service_account_file") from error
        super().__init__(address, settings, waiting, store, GRANT)
