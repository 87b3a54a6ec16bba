"""`unitcost config`: what helps to write unitcost.yaml."""

from __future__ import annotations

import json

from unitcost.config.schema import schema


def schema_text() -> str:
    """Return the JSON schema of unitcost.yaml, with a line break at its end."""
    return f"{json.dumps(schema(), ensure_ascii=False, indent=2)}\n"
