"""The address to listen on, as `web.listen` and --listen spell it."""

from __future__ import annotations

import ipaddress
import re

from unitcost.sources.base import is_host

MAX_PORT = 65535


def split_address(listen: str) -> tuple[str, int]:
    """Return host ("": every address) and port of `0.0.0.0:9488`, `:9488`, `[::1]:9488` or `name:9488`.

    Raises ValueError that says what to write.
    """
    found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]*)):([0-9]{1,5})", listen)
    if found is not None and int(found[3]) <= MAX_PORT and _is_host(found[1], found[2]):
        return found[1] or found[2], int(found[3])
    raise ValueError(f"{listen!r} is no address; write 0.0.0.0:9488, :9488 or [::1]:9488")


def _is_host(bracketed: str | None, plain: str) -> bool:
    if bracketed is None:
        return not plain or is_host(plain)
    try:
        ipaddress.IPv6Address(bracketed)
    except ValueError:
        return False
    return True
