"""Sizes as the configuration writes them, as Prometheus does: 50MB, 1.5GB, in powers of 1024."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_SIZE = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([KMGT]?)i?B"
SIZE = rf"^{_SIZE}$|^0$"
"""What a size in Bytes is written as."""


def spelt_size(size: int) -> str:
    """Return so many bytes in the largest unit that they are whole in; 0 is no limit."""
    power = max(power for power in range(len(" KMGT")) if size % 1024**power == 0) if size else 0
    return f"{size // 1024**power}{' KMGT'[power].strip()}B" if size else "0"


def _bytes(given: object) -> object:
    """Return a size as Prometheus writes it (50MB, 1.5GB; powers of 1024), in bytes."""
    if given in (0, "0") and not isinstance(given, bool):
        return 0
    found = re.fullmatch(_SIZE, given) if isinstance(given, str) else None
    if found is None:
        raise ValueError("must be a size such as 50MB (B, KB, MB, GB), or 0 for no limit")
    return int(Decimal(found[1]) * 1024 ** " KMGT".index(found[2] or " "))


Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0, "maximum": 0, "pattern": SIZE}),
]
