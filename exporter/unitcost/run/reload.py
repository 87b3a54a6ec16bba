"""unitcost.yaml is read again on SIGHUP and by /-/reload; one that is wrong changes nothing, and that is said."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from unitcost.config.load import load
from unitcost.config.model import Config
from unitcost.ending import ENDING
from unitcost.errors import ConfigError
from unitcost.redaction import visible
from unitcost.run.refresh import Refresher
from unitcost.web.lifecycle import Lifecycle, Reloaded
from unitcost.web.server import Server
from unitcost.web.web_config import WebConfig

log = logging.getLogger(__name__)

ONLY_WRITTEN = ("alerts", "web.external_url")
"""What the exporter itself does not use: the files of `python -m rules` and `python -m dashboards` are made from it."""


class ConfigReloader:
    """Reads the file again whenever it is asked to, once at a time, in a thread of its own: a disk may hang.

    listening: --listen, in whose place web.listen says nothing; None where the file decides.
    """

    def __init__(self, path: Path, refresher: Refresher, listening: str | None = None) -> None:
        self._path = path
        self._refresher = refresher
        self._listening = listening
        self._server: Server | None = None
        self._wake = threading.Condition()
        self._next: Future[Reloaded] | None = None
        self._stopping = False
        self.lifecycle = Lifecycle(self.begin, enabled=refresher.config.web.enable_lifecycle)

    def start(self, server: Server) -> None:
        """Begin to read when asked, on SIGHUP too. server: what the settings of `web` are applied to."""
        self._server = server
        threading.Thread(target=self._run, name="reload", daemon=True).start()
        ENDING.at_hangup(self.begin)

    def stop(self) -> None:
        """Read no more; who waits for an answer gets none."""
        ENDING.at_hangup(None)
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def begin(self) -> Future[Reloaded]:
        """Ask for the file as it is from now on; all who ask before it is read share one reading. Returns at once."""
        with self._wake:
            if self._next is None:
                self._next = Future()
                self._wake.notify()
            return self._next

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._next is not None or self._stopping)
                asked, self._next = self._next, None
            if asked is None or self._stopping:
                return
            asked.set_result(self._reload())

    def _reload(self) -> Reloaded:
        try:
            said = self._take_over()
        except ConfigError as error:
            mistakes = [visible(mistake) for mistake in error.mistakes]
        except Exception:
            log.exception("%s could not be read again; please report this", self._path)
            mistakes = ["it could not be read in a way it should not; see the log"]
        else:
            log.info("%s", said)
            return Reloaded(True, [visible(said)])
        self._refresher.refuse()
        lines = [visible(f"{self._path} was not taken over, what it said before stays in use:"), *mistakes]
        for line in lines:
            log.error("%s", line)
        return Reloaded(False, lines)

    def _take_over(self) -> str:
        """Go on under the file as it is now; return what is to be said. Raises ConfigError with every mistake."""
        before = self._refresher.config
        config, directory = load(self._path)
        mistakes = list(self._fixed(before, config))
        web_config = WebConfig()
        try:
            web_config = WebConfig.of(config.web.config_file)
        except ConfigError as error:
            mistakes += error.mistakes
        if mistakes:
            raise ConfigError(mistakes)
        prepared = self._refresher.prepared(config, directory)
        if self._server is not None:
            self._server.follow(web_config, config.web.max_connections)
        self.lifecycle.enabled = config.web.enable_lifecycle
        self._refresher.take_over(prepared)
        return f"{self._path} was read again: {changes(before, config)}"

    def _fixed(self, before: Config, after: Config) -> Iterator[str]:
        """Yield what cannot change while the exporter runs."""
        if before.state_dir.resolve() != after.state_dir.resolve():
            taken = before.state_dir
            yield f"{self._path}: state_dir: {after.state_dir} takes a restart, the ledger in {taken} is in use"
        if self._listening is None and before.web.listen != after.web.listen:
            yield f"{self._path}: web.listen: {after.web.listen} takes a restart, {before.web.listen} is listened on"


def changes(before: Config, after: Config) -> str:
    """Say which keys another configuration changes, sources and the settings of `web` by their names."""
    found = []
    for key in Config.model_fields:
        old, new = getattr(before, key), getattr(after, key)
        if key == "sources":
            found += [f"sources.{name} (removed)" for name in old if name not in new]
            found += [f"sources.{name} (new)" for name in new if name not in old]
            found += [f"sources.{name}" for name in new if name in old and old[name] != new[name]]
        elif key == "web":
            names = type(new).model_fields
            found += [f"web.{name}" for name in names if getattr(old, name) != getattr(new, name)]
        elif old != new:
            found.append(key)
    if not found:
        return "nothing in it changed"
    text = f"changed: {', '.join(found)}"
    written = [key for key in ONLY_WRITTEN if key in found]
    if written:
        text += f"; {' and '.join(written)} decide the rules and pages, write these again"
    return text
