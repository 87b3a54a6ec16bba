"""`unitcost healthy`: asks the server on this machine whether it is healthy, for a container that has no curl.

It asks where the configuration says that the server listens, but does not judge the files: one that was broken after
the server had read it must not make a server unhealthy that goes on with what it knows.
"""

from __future__ import annotations

import argparse
import contextlib
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from unitcost.address import split_address
from unitcost.config.sections import Web
from unitcost.config.variables import fill_variables
from unitcost.errors import ConfigError
from unitcost.redaction import say
from unitcost.yaml_file import read_yaml

PLACES = (Path("unitcost.yaml"), Path("/etc/unitcost/unitcost.yaml"))
"""Where a configuration is looked for that nobody names."""

TIMEOUT_SECONDS = 4.0
ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not to listen there, but to ask
OK = 200


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may follow `unitcost healthy`."""
    sub.add_argument(
        "--config", type=Path, metavar="FILE", help="default: unitcost.yaml here or in /etc/unitcost, if there is one"
    )
    sub.add_argument("--listen", metavar="ADDRESS", help="what was given to serve, if anything")


def run(args: argparse.Namespace) -> bool:
    """Ask, say what the answer was, and return whether the server is healthy."""
    good, line = healthy(args.config, args.listen)
    say(sys.stdout, line)
    return good


def healthy(config: Path | None, listen: str | None) -> tuple[bool, str]:
    """Ask /-/healthy; return whether it is, and a line that says so. listen: instead of the configuration's."""
    path = config or next((place for place in PLACES if place.exists()), None)
    web = _section(path, "web") or {}
    try:
        host, port = split_address(str(listen or web.get("listen") or Web().listen))
    except ValueError as error:
        return False, f"web.listen: {error}"
    host = ANYWHERE.get(host, host)
    file = path.parent / str(web["config_file"]) if path is not None and web.get("config_file") else None
    tls = _section(file, "tls_server_config")
    if tls:
        return _ask(host, port, tls, file)
    plain = _ask(host, port, None, file)
    # A file that cannot be read may have said TLS when the server read it.
    return plain if plain[0] or file is None or tls is not None else _ask(host, port, {}, file)


def _ask(host: str, port: int, tls: dict[str, Any] | None, file: Path | None) -> tuple[bool, str]:
    url = f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}/-/healthy"
    try:
        connection = (
            HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
            if tls is None
            else HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=_context(tls, file))
        )
        with contextlib.closing(connection):
            connection.request("GET", "/-/healthy")
            response = connection.getresponse()
            said = " ".join(response.read(1 << 16).decode("utf-8", "replace").split())
    except (OSError, HTTPException, ValueError) as error:
        hung_up = isinstance(error, (ConnectionResetError, BrokenPipeError, HTTPException, ssl.SSLError))
        if tls and tls.get("client_auth_type") == "RequireAndVerifyClientCert" and hung_up:
            return True, f"{url}: answers, but tells only who has a client certificate"
        return False, f"{url}: {error or type(error).__name__}"
    return response.status == OK, f"{url}: {response.status} {said}"


def _context(tls: dict[str, Any], file: Path | None) -> ssl.SSLContext:
    """Trust any certificate: the server is told nothing, and its name is not that of this machine's loopback.

    Where the server wants a certificate, its own is shown: the same authority may well have signed both.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    cert, key = tls.get("cert_file"), tls.get("key_file")
    if file is not None and isinstance(cert, str) and isinstance(key, str):
        with contextlib.suppress(OSError):  # being renewed: then without
            context.load_cert_chain(file.parent / cert, file.parent / key, password="")
    return context


def _section(path: Path | None, name: str) -> dict[str, Any] | None:
    """Return a section of a file, with its ${VARIABLES} filled; None if the file cannot be read."""
    try:
        raw = read_yaml(path) if path is not None else {}
    except ConfigError:
        return None
    found = raw.get(name) if isinstance(raw, dict) else None
    filled: dict[str, Any] = fill_variables(found, "", []) if isinstance(found, dict) else {}
    return filled
