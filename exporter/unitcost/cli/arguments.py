"""Arguments of several commands: kinds of values, each with what to write instead of a wrong one, and --window."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime

from unitcost.days import LAST_MONTH, is_named, is_window


def a_time(text: str) -> datetime:
    """Read a time, UTC where it says no other. Raises argparse's error."""
    with suppress(ValueError, OverflowError):
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if time.year in YEARS:
            return time
    raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-11-01 or 2026-11-01T12:00:00Z, {BETWEEN}")


def a_day(text: str) -> date:
    """Read a day. Raises argparse's error."""
    with suppress(ValueError):
        day = date.fromisoformat(text)
        if day.year in YEARS:
            return day
    raise argparse.ArgumentTypeError(f"{text!r} is no day; write 2026-11-01, {BETWEEN}")


YEARS = range(1970, 3000)
"""A history of ten years before, and a month after, must be days too."""
BETWEEN = f"from {YEARS[0]} to {YEARS[-1]}"


def a_window(text: str) -> str:
    """Read a window, or one that it is compared with, or a month. Raises argparse's error."""
    if not is_named(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no window; use Nd (such as 30d), mtd, last_month, prev_30d and the like, or a month: 2026-10"
        )
    return text


def an_own_window(text: str) -> str:
    """Read a window as the configuration names it. Raises argparse's error."""
    if not is_window(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no window of this; use Nd (such as 30d), mtd or last_month")
    return text


def of_window(sub: argparse.ArgumentParser, forms: Sequence[str]) -> None:
    """Say how a command is told of which window it prints, and in which form: the first, if it is not told."""
    sub.add_argument(
        "--window",
        default=LAST_MONTH,
        type=a_window,
        help="1d, 30d, mtd, last_month (the default), prev_30d, 2026-10",
    )
    sub.add_argument("--format", choices=forms, default=forms[0], help=f"default: {forms[0]}")
