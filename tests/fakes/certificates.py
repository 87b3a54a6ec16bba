"""A certificate for a server on this machine, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def self_signed(folder: Path, *more: str) -> None:
    """Write server.crt and server.key, for localhost and as an authority of its own. more: arguments of openssl req."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=localhost -days 2"
        " -addext subjectAltName=DNS:localhost -addext keyUsage=critical,digitalSignature,keyCertSign"
        " -keyout server.key -out server.crt"
    )
    subprocess.run([*command.split(), *more], cwd=folder, check=True, capture_output=True)
