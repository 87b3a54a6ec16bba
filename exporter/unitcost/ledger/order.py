"""The .sql files of a derivation, lookups/ and steps/, in the order that follows from their headers."""

from __future__ import annotations

import re
from functools import cache
from graphlib import TopologicalSorter
from importlib import resources

from unitcost.ledger.files import statements

LOOKUPS, STEPS = "ledger/lookups", "ledger/steps"
"""What is run once for all days of a derivation, and what is run for some days at a time."""
HEADER = re.compile(r"-- reads: (?P<reads>.*(?:\n-- {8,}.*)*)\n-- writes: (?P<writes>.*(?:\n-- {8,}.*)*)")
"""Names of tables; what is said of one stands behind it, most often in brackets. Indented lines go on."""


@cache
def ordered(folder: str) -> tuple[str, ...]:
    """Return the text of a folder's files: what one reads was written before it. Raises CycleError if it cannot be."""
    return tuple(statements(name, folder) for name in names(folder))


@cache
def names(folder: str) -> tuple[str, ...]:
    """Return the names of a folder's files in that order."""
    files = resources.files("unitcost").joinpath(*folder.split("/")).iterdir()
    found = sorted(path.name.removesuffix(".sql") for path in files if path.name.endswith(".sql"))
    reads, writes = ({name: _tables(name, folder, header) for name in found} for header in ("reads", "writes"))
    order = {name: [other for other in found if other != name and writes[other] & reads[name]] for name in found}
    return tuple(TopologicalSorter(order).static_order())


def _tables(name: str, folder: str, header: str) -> set[str]:
    found = HEADER.match(statements(name, folder))
    if found is None:
        raise ValueError(f"{name}.sql must begin with `-- reads: …` and `-- writes: …`")
    bare = re.sub(r"\([^()]*\)", "", found[header].replace("\n--", ""))
    return {words.split()[0] for words in re.split(r"[,:]| and ", bare) if words.strip()}
