"""`python -m demo.compose` prints compose/alertmanager.yml: the example configuration, sending to what prints it."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from demo.settings import SHIPPED, Ports, alertmanager_config

HEADER = """\
# Made by `python -m demo.compose` from rules/alertmanager/alertmanager.yml, whose receivers all send to the service
# notices here. For messages to people, mount that file instead, with your addresses and secrets.
"""


def text() -> str:
    """Return the file."""
    config = alertmanager_config(SHIPPED, Path("/etc/alertmanager"), f"http://notices:{Ports().notices}")
    return HEADER + yaml.safe_dump(config, sort_keys=False, width=120)


if __name__ == "__main__":
    sys.stdout.write(text())
