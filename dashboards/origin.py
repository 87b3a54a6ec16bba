"""Which metrics a panel shows, for its description."""

from __future__ import annotations

import re
from collections.abc import Iterable

from unitcost.metrics.catalogue import ALL
from unitcost.metrics.external import EXTERNAL
from unitcost.metrics.recorded import RECORDED

_KNOWN = {metric.name for metric in (*ALL, *RECORDED, *EXTERNAL)}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def origin(expressions: Iterable[str]) -> str:
    """Return the sentence that names the metrics of some queries, in the order they come."""
    words = re.findall(r"[A-Za-z_:][\w:]*", " ".join(_STRING.sub("", expression) for expression in expressions))
    names = [name for name in dict.fromkeys(words) if name in _KNOWN]
    return f"From {', '.join(names)}." if names else ""
