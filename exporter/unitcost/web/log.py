"""What the web server logs of its clients: each kind of line a few times a minute, then only how many there were."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

MINUTE = 60.0

LINES = 5
"""Of one kind, in a minute."""

LOGGERS = ("unitcost.web", "uvicorn.error", "asyncio")


@dataclass
class _Kind:
    """A text with its level, whatever its arguments."""

    begin: float
    lines: int = 0
    left_out: int = 0
    last: logging.LogRecord | None = None


class Sparse(logging.Filter):
    """Lets the first lines of a kind pass in each minute and counts the others.

    Whoever connects decides how many there are, so they must not fill the disk, nor hide what else is logged.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        if getattr(record, "counted", False):
            return True
        # Texts of others may have an address in them, and be another one each time.
        text = str(record.msg) if record.name.startswith("unitcost") else ""
        with self._lock:
            kind = self._kinds.setdefault((record.name, text), _Kind(time.monotonic()))
            if kind.lines < LINES:
                kind.lines += 1
                return True
            kind.left_out += 1
            kind.last = record
            return False

    def tell(self, *, at_once: bool = False) -> None:
        """Log how many were left out in minutes that are over, or up to now; call it every now and then."""
        now = time.monotonic()
        with self._lock:
            over = [key for key, kind in self._kinds.items() if at_once or now - kind.begin > MINUTE]
            kinds = [self._kinds.pop(key) for key in over]
        for kind in kinds:
            if kind.last is not None:
                text = f"{kind.last.getMessage()} (and {kind.left_out - 1:,} more like it)"
                logging.getLogger(kind.last.name).log(kind.last.levelno, "%s", text, extra={"counted": True})


SPARSE = Sparse()


def thin_out() -> None:
    """Apply it to all loggers that clients have lines written to; once a process is enough."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(SPARSE)
