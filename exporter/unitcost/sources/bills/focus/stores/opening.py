"""Opens the store at an address; a vendor's library is imported then, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from unitcost.errors import SourceError
from unitcost.sources.base import Waiting
from unitcost.sources.bills.focus.stores.address import Address
from unitcost.sources.bills.focus.stores.base import Store
from unitcost.sources.bills.focus.stores.settings import StoreSettings

ADAPTERS = {"s3": ("s3", "S3Store"), "az": ("azure", "AzureStore"), "gs": ("gcs", "GoogleStore")}
"""Scheme → module beside this one, and its class."""


def opened(address: Address, settings: StoreSettings, waiting: Waiting) -> Store:
    """Return the store at an address; nothing is asked yet. Raises SourceError, `extra` where a package lacks."""
    module, name = ADAPTERS[address.scheme]
    try:
        adapter = getattr(import_module(f"unitcost.sources.bills.focus.stores.{module}"), name)
    except ModuleNotFoundError as error:
        text = f"cannot be read: the package {error.name} is not installed"
        extra = {"az": "azure", "gs": "gcs"}.get(address.scheme)
        hint = f"pip install 'unitcost[{extra}]'" if extra else f"pip install {error.name}"
        raise SourceError("extra", str(address), text, hint) from None
    return cast("Store", adapter(address, settings, waiting))
