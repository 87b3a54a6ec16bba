"""Alert notifications as a person reads them: what Alertmanager sends to a webhook, printed.

It takes the JSON of a webhook receiver, and what a Slack receiver gets, which is the text that the templates made.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from demo.listen import listening

BOLD, LINK = re.compile(r"(?<=• )\*(.+?)\*(?= )"), re.compile(r"<(https?://[^|>]+)\|([^>]+)>")
"""How Slack marks words and links."""


def text_of(body: bytes) -> str:
    """Return a notification as text: a headline, then the summary and description of each alert.

    Raises ValueError when it is none.
    """
    try:
        payload = json.loads(body)
        return _of_webhook(payload) if "alerts" in payload else _of_slack(payload)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no notification of Alertmanager: {error!r}") from error


def _of_slack(payload: dict[str, Any]) -> str:
    lines = [payload.get("text", "")]
    for part in payload["attachments"]:
        lines += [part.get("pretext", ""), part.get("title", ""), *part.get("text", "").splitlines()]
    plain = (html.unescape(LINK.sub(r"\2 \1", BOLD.sub(r"\1", line))).rstrip() for line in lines)
    return "\n  ".join(line for line in plain if line)


def _of_webhook(payload: dict[str, Any]) -> str:
    alerts = payload["alerts"]
    firing = sum(alert["status"] == "firing" for alert in alerts)
    counts = [f"{firing} firing"] * bool(firing) + [f"{len(alerts) - firing} resolved"] * (firing < len(alerts))
    group = ", ".join(f"{key} {value}" for key, value in sorted(payload["groupLabels"].items()))
    lines = [f"to {payload['receiver']}: {', '.join(counts)}" + f" ({group})" * bool(group)]
    for alert in alerts:
        labels, annotations = alert["labels"], alert["annotations"]
        mark = "RESOLVED" if alert["status"] == "resolved" else labels.get("severity", "firing").upper()
        lines.append(f"  {mark}: {annotations.get('summary') or labels['alertname']}")
        lines += [f"      {line}" for line in annotations.get("description", "").strip().splitlines()]
    return "\n".join(lines)


def show(body: bytes) -> None:
    """Print a notification with the time (UTC) it came at. Raises ValueError when it is none."""
    sys.stdout.write(f"\n{datetime.now(UTC):%H:%M:%S} {text_of(body)}\n")
    sys.stdout.flush()


def _healthy(path: str) -> bytes | None:
    return b"waiting for notifications\n" if path == "/-/healthy" else None


def main() -> None:
    """Print notifications until stopped, as compose.yaml does: python -m demo.notices."""
    parser = argparse.ArgumentParser(prog="python -m demo.notices", description="Print what Alertmanager sends.")
    parser.add_argument("--listen", default="127.0.0.1:9492", metavar="ADDRESS", help="default: %(default)s")
    address, _, port = parser.parse_args().listen.rpartition(":")
    with listening(address, int(port), get=_healthy, post=show) as url:
        sys.stdout.write(f"waiting for notifications on {url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
