"""${NAME} in a file: the environment's value, which is a secret from then on."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import Any

from unitcost.redaction import SECRETS, SHORTEST

VARIABLE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"


def fill_variables(value: Any, where: str, mistakes: list[str]) -> Any:
    """Replace ${NAME} in every string by the environment's value; names without one are mistakes.

    `$window` and `${window}` of a PromQL belong to the measures and stay.
    """
    if isinstance(value, dict):
        return {key: fill_variables(item, f"{where}.{key}".lstrip("."), mistakes) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_variables(item, f"{where}.{number}", mistakes) for number, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        name = found[0][2:-1]
        if name == "window":
            return found[0]
        value = os.environ.get(name, "")
        if name not in os.environ:
            mistakes.append(f"{where}: the environment variable {name} is not set")
        elif bad := next(
            (char for char in value if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\t\n"), None
        ):
            mistakes.append(f"{where}: the environment variable {name} holds U+{ord(bad):04X}, which is no text")
        SECRETS.add(f"${{{name}}}", value, SHORTEST)
        return value

    return re.sub(VARIABLE, fill, value)
