"""Names of hosts, and the address to listen on, as `web.listen` and --listen spell it."""

from __future__ import annotations

import ipaddress
import re

MAX_PORT = 65535
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*\.?", re.IGNORECASE | re.ASCII)
MAX_HOST = 253


def is_host(name: str) -> bool:
    """Whether a name can be one of DNS (or a dotted IPv4 address)."""
    return len(name) <= MAX_HOST and _HOST.fullmatch(name) is not None


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
