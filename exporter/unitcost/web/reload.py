"""web.yml and its certificates are read again when they change, so that a renewal or a new user needs no restart."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable

from unitcost.errors import ConfigError
from unitcost.stamps import Stamp, stamp
from unitcost.web.web_config import WebConfig

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the files are looked at: a user who was removed is out after so long."""

Stamps = list[Stamp]
Use = Callable[[WebConfig, ssl.SSLContext | None], None]


class Reloader:
    """Looks at the files in a thread of its own (one may lie on a disk that hangs) and hands over what they say.

    A file that is broken changes nothing and is told of once. Nor does one that would switch TLS on or off, or leave
    no user where there were some: an empty file must not open what a full one had closed. That takes a restart.
    """

    def __init__(self, config: WebConfig, use: Use) -> None:
        """Hand over what is configured now. Raises OSError when its certificate cannot be used."""
        self._seen = stamps(config)
        self._config = config
        self._use = use
        self._lock = threading.Lock()
        self._stop = threading.Event()
        use(config, config.tls.context() if config.tls is not None else None)

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="web-config", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("the web config file could not be looked at; please report this")

    def look(self) -> None:
        """Read the files if they changed."""
        with self._lock:
            path = self._config.path
            found = stamps(self._config)
            if path is None or found == self._seen:
                return
            self._seen = found
            try:
                config = WebConfig.load(path)
                self._switch(config)
            except ConfigError as error:
                told = "; ".join(error.mistakes)
                log.warning("%s changed and is wrong, what it said before stays in use: %s", path, told)
            except OSError as error:
                log.warning("%s: its certificate changed and cannot be used, the old one is: %s", path, error)
            except RestartError as restart:
                log.warning("%s changed, but %s takes a restart; what it said before stays in use", path, restart)
            else:
                log.info("%s was read again", path)

    def follow(self, config: WebConfig) -> None:
        """Go on with another file, or with none. Raises ConfigError where that cannot be; then nothing changes."""
        with self._lock:
            try:
                self._switch(config)
            except OSError as error:
                raise ConfigError([f"web.config_file: its certificate cannot be used: {error}"]) from error
            except RestartError as restart:
                raise ConfigError([f"web.config_file: {restart} takes a restart"]) from None

    def _switch(self, config: WebConfig) -> None:
        context = config.tls.context() if config.tls is not None else None
        restart = changed_in_kind(self._config, config)
        if restart:
            raise RestartError(restart)
        self._config = config
        self._seen = stamps(config)
        self._use(config, context)


class RestartError(Exception):
    """What a change would do that takes a restart."""


def changed_in_kind(before: WebConfig, after: WebConfig) -> str:
    """Return what of a change takes a restart, "" if nothing does."""
    if (before.tls is None) != (after.tls is None):
        return "switching TLS on or off"
    return "letting everybody in without a password" if before.users and not after.users else ""


def stamps(config: WebConfig) -> Stamps:
    """Return what changes with the content of its files."""
    return [stamp(path) for path in config.files()]
