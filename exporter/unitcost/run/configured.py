"""A configuration in use, with its sources: what one snapshot is made under."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from unitcost.config.directory import Directory
from unitcost.config.model import Config
from unitcost.config.watched import WatchedDirectory
from unitcost.facts import Problem
from unitcost.metrics.state import LastReload
from unitcost.run.runner import SourceRunner
from unitcost.run.setup import Setup

log = logging.getLogger(__name__)


class Configured:
    """What was read from unitcost.yaml at `read_at` (UTC), and the sources it names with their states.

    setup: the tenants and settings as they are known now. kept: days before it are forgotten, and not stored again.
    """

    def __init__(
        self, config: Config, directory: Directory, runners: Sequence[SourceRunner], read_at: datetime
    ) -> None:
        self.config = config
        self.setup = Setup.of(config, directory)
        self.runners = runners
        self.kept: date | None = None
        self.reload = LastReload(successful=True, succeeded_at=read_at)
        self._directory = WatchedDirectory(directory.path, config.tenants.fold)

    def runner(self, name: str) -> SourceRunner | None:
        """Return a source by its name; None where there is none of that name."""
        return next((runner for runner in self.runners if runner.name == name), None)

    def refuse(self) -> None:
        """Remember that a later configuration was wrong, so that this one stays."""
        self.reload = LastReload(successful=False, succeeded_at=self.reload.succeeded_at)

    def look(self) -> None:
        """Read the tenant directory again if its file changed."""
        directory = self._directory.look()
        if directory is not None:
            self.setup = Setup.of(self.config, directory)

    def leave_out(self, found: Mapping[str, list[Problem]]) -> None:
        """Say of each source what the ledger holds of it and cannot count."""
        for runner in self.runners:
            before, runner.left_out = runner.left_out, found.get(runner.name, [])
            runner.errors.update(problem.reason for problem in runner.left_out)
            for problem in runner.left_out:
                if problem not in before:
                    log.warning("%s: %s", runner.name, problem.line)
