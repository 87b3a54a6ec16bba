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
        self._stop = threading.Event()
        use(config, config.tls.context() if config.tls is not None else None)

    def start(self) -> None:
        """Begin to look, if there is any file."""
        if self._config.path is not None:
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
        path = self._config.path
        found = stamps(self._config)
        if path is None or found == self._seen:
            return
        self._seen = found
        try:
            config = WebConfig.load(path)
            context = config.tls.context() if config.tls is not None else None
        except ConfigError as error:
            log.warning(
                "%s changed and is wrong, what it said before stays in use: %s", path, "; ".join(error.mistakes)
            )
            return
        except OSError as error:
            log.warning("%s: its certificate changed and cannot be used, the old one is: %s", path, error)
            return
        restart = changed_in_kind(self._config, config)
        if restart:
            log.warning("%s changed, but %s takes a restart; what it said before stays in use", path, restart)
            return
        self._config = config
        self._seen = stamps(config)
        self._use(config, context)
        log.info("%s was read again", path)


def changed_in_kind(before: WebConfig, after: WebConfig) -> str:
    """Return what of a change takes a restart, "" if nothing does."""
    if (before.tls is None) != (after.tls is None):
        return "switching TLS on or off"
    return "letting everybody in without a password" if before.users and not after.users else ""


def stamps(config: WebConfig) -> Stamps:
    """Return what changes with the content of its files."""
    return [stamp(path) for path in config.files()]
