"""The Prometheus web config file: TLS, mutual TLS, basic auth and headers, as exporter-toolkit defines them.

What Python's ssl module cannot do is a mistake with the way out, never silently ignored.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt

from unitcost.errors import ConfigError
from unitcost.yaml_file import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
OLD_VERSIONS = ("TLS10", "TLS11")
CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
UNVERIFIED_CLIENT_AUTH = ("RequestClientCert", "RequireAnyClientCert")
TLS_KEYS = ("cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version")
UNSUPPORTED_TLS_KEYS = (
    "cert",
    "key",
    "client_ca",
    "client_allowed_sans",
    "cipher_suites",
    "curve_preferences",
    "prefer_server_cipher_suites",
)
HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
MAX_COST = 16
"""A check at cost 10 takes about 0.06 s, and each step more doubles that: 4 s at 16, 36 hours at 31."""


@dataclass(frozen=True)
class Tls:
    """tls_server_config: the server's certificate, and whether clients need one."""

    cert_file: Path
    key_file: Path
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_ca_file: Path | None = None
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED

    def context(self) -> ssl.SSLContext:
        """Return a server context with the files as they are now; OSError (ssl.SSLError too) if they are bad."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self.min_version
        context.maximum_version = self.max_version
        context.verify_mode = self.client_auth
        # An empty password: OpenSSL would ask for that of an encrypted key on the terminal.
        context.load_cert_chain(self.cert_file, self.key_file, password="")
        if self.client_ca_file is not None:
            context.load_verify_locations(self.client_ca_file)
        return context


@dataclass(frozen=True)
class WebConfig:
    """What the file says. users: name → bcrypt hash; headers: added to every answer, instead of our own.

    path: where to read it again when it changes.
    """

    tls: Tls | None = None
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)

    def files(self) -> list[Path]:
        """Return every file that it was read from."""
        tls = (self.tls.cert_file, self.tls.key_file, self.tls.client_ca_file) if self.tls is not None else ()
        return [path for path in (self.path, *tls) if path is not None]

    @classmethod
    def of(cls, path: Path | None) -> WebConfig:
        """Read the file that web.config_file names; without one, everybody is let in. Raises ConfigError as load()."""
        return cls() if path is None else cls.load(path)

    @classmethod
    def load(cls, path: Path) -> WebConfig:
        """Read the file; relative paths in it start at its folder.

        Raises ConfigError with every mistake and its path in the file; never with a hash.
        """
        raw = read_yaml(path)
        reader = _Reader(path.absolute().parent)
        top = reader.mapping("", raw)
        reader.only("", top, ("tls_server_config", "basic_auth_users", "http_server_config"))
        tls = reader.tls(top["tls_server_config"]) if top.get("tls_server_config") is not None else None
        users = reader.users(reader.mapping("basic_auth_users", top.get("basic_auth_users")))
        headers = reader.headers(reader.mapping("http_server_config", top.get("http_server_config")))
        if reader.mistakes:
            raise ConfigError([f"{path}: {mistake}" for mistake in reader.mistakes])
        return cls(tls, users, headers, path)


class _Reader:
    """Reads the parts of the file and collects what is wrong."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.mistakes: list[str] = []

    def mapping(self, where: str, raw: object) -> dict[str, Any]:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            self.mistakes.append(f"{where}: must be a mapping".removeprefix(": "))
            return {}
        return {str(key): value for key, value in raw.items()}

    def only(self, where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
        prefix = f"{where}." if where else ""
        self.mistakes += [
            f"{prefix}{key}: unknown key; known are {', '.join(known)}" for key in given if key not in known
        ]

    def tls(self, raw: object) -> Tls | None:
        where = "tls_server_config"
        before = len(self.mistakes)
        given = self.mapping(where, raw)
        for key in UNSUPPORTED_TLS_KEYS:
            if given.pop(key, None) is not None:
                self.mistakes.append(f"{where}.{key}: is not supported by unitcost; remove it")
        self.only(where, given, TLS_KEYS)
        files = {key: self._file(where, given, key) for key in ("cert_file", "key_file", "client_ca_file")}
        for key in ("cert_file", "key_file"):
            if given.get(key) is None:
                self.mistakes.append(f"{where}.{key}: is missing; TLS needs cert_file and key_file")
        client_auth = self._client_auth(where, given)
        low = self._version(where, given, "min_version", ssl.TLSVersion.TLSv1_2)
        high = self._version(where, given, "max_version", ssl.TLSVersion.MAXIMUM_SUPPORTED)
        if low == ssl.TLSVersion.TLSv1_3 and high == ssl.TLSVersion.TLSv1_2:
            self.mistakes.append(f"{where}.max_version: is below min_version")
        cert, key_file = files["cert_file"], files["key_file"]
        if len(self.mistakes) > before or cert is None or key_file is None:
            return None
        tls = Tls(cert, key_file, client_auth, files["client_ca_file"], low, high)
        try:
            tls.context()
        except OSError as error:  # ssl.SSLError is one
            self.mistakes.append(
                f"{where}: these files do not make a TLS server: {error}."
                " Check that all are PEM, that the key is the certificate's and has no passphrase"
            )
        return tls

    def _file(self, where: str, given: Mapping[str, Any], key: str) -> Path | None:
        value = given.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            self.mistakes.append(f"{where}.{key}: must be the path of a file")
            return None
        path = self._folder / value
        try:
            path = self._folder / Path(value).expanduser()
            if path.exists() and not path.is_file():
                raise IsADirectoryError(0, "is not a file")
            with path.open("rb"):
                return path
        except (OSError, RuntimeError) as error:  # RuntimeError: ~ and a name that is no user's
            reason = error.strerror if isinstance(error, OSError) else "no such user"
            self.mistakes.append(f"{where}.{key}: {path} cannot be read: {reason}")
            return None

    def _client_auth(self, where: str, given: Mapping[str, Any]) -> ssl.VerifyMode:
        value = str(given.get("client_auth_type") or "NoClientCert")
        needs_ca = value in {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}
        if value in UNVERIFIED_CLIENT_AUTH:
            self.mistakes.append(
                f"{where}.client_auth_type: {value} takes certificates without checking them, which Python"
                " cannot; use RequireAndVerifyClientCert or VerifyClientCertIfGiven with client_ca_file"
            )
        elif value not in CLIENT_AUTH:
            self.mistakes.append(f"{where}.client_auth_type: must be one of {', '.join(CLIENT_AUTH)}")
        elif needs_ca and given.get("client_ca_file") is None:
            self.mistakes.append(f"{where}.client_ca_file: is missing; {value} checks clients against it")
        elif not needs_ca and given.get("client_ca_file") is not None:
            self.mistakes.append(
                f"{where}.client_auth_type: client_ca_file checks nobody without it;"
                " set it to RequireAndVerifyClientCert"
            )
        return CLIENT_AUTH.get(value, ssl.CERT_REQUIRED)

    def _version(self, where: str, given: Mapping[str, Any], key: str, default: ssl.TLSVersion) -> ssl.TLSVersion:
        if given.get(key) is None:
            return default
        value = str(given[key])
        if value in OLD_VERSIONS:
            self.mistakes.append(f"{where}.{key}: {value} is no longer safe; use TLS12 or TLS13")
        elif value not in VERSIONS:
            self.mistakes.append(f"{where}.{key}: must be TLS12 or TLS13")
        return VERSIONS.get(value, default)

    def users(self, given: Mapping[str, Any]) -> dict[str, bytes]:
        users = {}
        for name, value in given.items():
            if not name or ":" in name:
                self.mistakes.append(f"basic_auth_users.{name}: a user's name is not empty and has no colon")
            if not isinstance(value, str) or not _is_hash(value):
                self.mistakes.append(
                    f"basic_auth_users.{name}: must be a bcrypt hash; make one with `htpasswd -nBC 10 {name}`"
                )
                continue
            cost = int(value[4:6])
            if cost > MAX_COST:
                self.mistakes.append(
                    f"basic_auth_users.{name}: a bcrypt cost of {cost} is too slow to check, {MAX_COST} is the most;"
                    f" make one with `htpasswd -nBC 10 {name}`"
                )
                continue
            users[name] = value.encode()
        return users

    def headers(self, given: Mapping[str, Any]) -> dict[str, str]:
        where = "http_server_config"
        self.only(where, given, ("headers", "http2"))
        # http2 is negotiated: a client that may use it, and meets HTTP/1.1 only, uses that.
        if given.get("http2", True) not in (True, False, "yes", "no", "on", "off"):  # as YAML 1.1 spells them
            self.mistakes.append(f"{where}.http2: must be true or false")
        headers = self.mapping(f"{where}.headers", given.get("headers"))
        self.only(f"{where}.headers", headers, HEADERS)
        for name, value in headers.items():
            if not isinstance(value, str) or not value.isascii() or not value.isprintable():
                self.mistakes.append(f"{where}.headers.{name}: must be one line of plain ASCII text")
        return headers


def _is_hash(value: str) -> bool:
    """Whether bcrypt can check a password against it: right letters alone may still make a salt that it refuses."""
    if BCRYPT.fullmatch(value) is None:
        return False
    try:
        bcrypt.checkpw(b"", f"$2b$04${value[7:]}".encode())  # the same salt at the lowest cost
    except ValueError:
        return False
    return True
