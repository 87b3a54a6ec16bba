"""Clients that wait by themselves: they do it in a thread, so that a deadline and the process's end are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from unitcost.sources.bills.focus.engines.engine import awaited

T = TypeVar("T")


def waited_for(work: Callable[[], T], limit: float, cancel: Callable[[], Any], where: str) -> T:
    """Return what work returns. Raises what it raises, and QueryError as awaited() does."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            outcome.set_exception(error)

    threading.Thread(target=run, name="engine", daemon=True).start()
    awaited(lambda: outcome.done() or None, limit, cancel, where, lambda seconds: wait([outcome], seconds))
    return outcome.result()
