"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(
    rows: Sequence[Sequence[str]], texts: int, ruled: Collection[int] = (1,), *, last_text: bool = False
) -> list[str]:
    """Return the lines of a table, the first `texts` columns to the left, and with last_text the last one.

    ruled: before which rows a rule stands.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    out = []
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(width) if n < texts or (last_text and n == len(row) - 1) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        if number in ruled:
            out.append("  ".join("-" * width for width in widths))
        out.append("  ".join(cells).rstrip())
    return out
