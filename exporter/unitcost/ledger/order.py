"""The steps of a derivation, steps/*.sql, in the order that follows from their headers."""

from __future__ import annotations

import re
from functools import cache
from graphlib import TopologicalSorter
from importlib import resources

from unitcost.ledger.files import statements

FOLDER = "ledger/steps"
HEADER = re.compile(r"-- reads: (?P<reads>.*(?:\n-- {8,}.*)*)\n-- writes: (?P<writes>.*(?:\n-- {8,}.*)*)")
"""Names of tables; what is said of one stands behind it, most often in brackets. Indented lines go on."""


@cache
def steps() -> tuple[str, ...]:
    """Return the names of the steps: what one reads was written before it. Raises CycleError where that cannot be."""
    folder = resources.files("unitcost").joinpath(*FOLDER.split("/"))
    names = sorted(path.name.removesuffix(".sql") for path in folder.iterdir() if path.name.endswith(".sql"))
    reads, writes = ({name: _tables(name, header) for name in names} for header in ("reads", "writes"))
    order = {name: [other for other in names if other != name and writes[other] & reads[name]] for name in names}
    return tuple(TopologicalSorter(order).static_order())


def _tables(name: str, header: str) -> set[str]:
    found = HEADER.match(statements(name, FOLDER))
    if found is None:
        raise ValueError(f"{name}.sql must begin with `-- reads: …` and `-- writes: …`")
    bare = re.sub(r"\([^()]*\)", "", found[header].replace("\n--", ""))
    return {words.split()[0] for words in re.split(r"[,:]| and ", bare) if words.strip()}
