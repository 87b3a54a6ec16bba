"""The errors unitcost raises; each message says what failed, where, and what to do."""

from __future__ import annotations

from unitcost.redaction import SECRETS, escaped


class UnitcostError(Exception):
    """Base of all errors that a user of unitcost can meet."""


class ConfigError(UnitcostError):
    """The configuration is wrong. Holds every mistake found, each with its path in the file."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = [describe("", mistake) for mistake in mistakes[:MAX_MISTAKES]]
        if len(mistakes) > MAX_MISTAKES:
            self.mistakes.append(f"and {len(mistakes) - MAX_MISTAKES:,} more mistakes")
        super().__init__("\n".join(self.mistakes))


class UsageError(ConfigError):
    """The command line asks for what cannot be. Holds every mistake found, each with its option."""


class OutputError(UnitcostError):
    """A file that was asked for cannot be written."""


class LedgerError(UnitcostError):
    """The ledger in state_dir cannot be opened, read or written."""


class LedgerInUseError(LedgerError):
    """Another process holds the ledger."""


class LedgerLostError(LedgerError):
    """The ledger cannot be used until the process starts again, or state_dir is mended."""


class LedgerDamagedError(LedgerLostError):
    """The ledger's file is damaged, or DuckDB gave it up while it was used."""


class LedgerStoppedError(LedgerError):
    """The ledger was closed while this was under way, as the process is ending."""


class SourceError(UnitcostError):
    """A source failed as a whole; what it gave before stays in use.

    reason: one word for the label of unitcost_errors_total (`unreachable`, `timeout`, `http`, `format`,
    `currency`, `partial`, `missing`, …). where: the file, row, URL or key. hint: what to do about it.
    """

    def __init__(self, reason: str, where: str, text: str, hint: str = "") -> None:
        super().__init__(describe(where, text, hint))
        self.reason = reason
        self.where = where
        self.text = text
        self.hint = hint


def describe(where: str, text: str, hint: str = "") -> str:
    """One line: where, what, what to do. Foreign texts in it are made fit to be shown, and long ones are cut."""
    line = f"{where}: {text}" if where else text
    if hint:
        line = f"{line.rstrip('. ')}. {hint}"
    line = escaped(" ".join(SECRETS.hide(line).split()))
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"


MAX_LINE = 600
MAX_MISTAKES = 50
