"""Reading the configuration again over HTTP: `/-/reload`, as in Prometheus, where web.enable_lifecycle allows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass


@dataclass(frozen=True)
class Reloaded:
    """What came of reading the configuration again. lines: what there is to say, fit to be shown."""

    successful: bool
    lines: Sequence[str]


class Lifecycle:
    """Asks for the configuration to be read again. enabled: whether over HTTP too; may change while it runs."""

    def __init__(self, begin: Callable[[], Future[Reloaded]], *, enabled: bool) -> None:
        """Use `begin`, which returns at once; what it returns is done when the configuration is in use, or refused."""
        self._begin = begin
        self.enabled = enabled

    async def reload(self) -> Reloaded:
        """Wait for a reading that begins from now on. Who goes away meanwhile ends it for nobody else."""
        return await asyncio.shield(asyncio.wrap_future(self._begin()))
