"""docs/METRICS.md, made from the catalogue."""

from __future__ import annotations

from unitcost.metrics.catalogue import ALL
from unitcost.metrics.recorded import RECORDED


def markdown() -> str:
    """Return METRICS.md: every metric with type, unit, labels and meaning, then those our recording rules write."""
    lines = [
        "# Metrics",
        "",
        "Made by `unitcost metrics` from the catalogue. Dollars mean the configured currency; days are UTC.",
        "",
        "| Metric | Type | Labels | Meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{metric.name}` | {metric.type} | {', '.join(metric.labels) or '-'} | {metric.help} |" for metric in ALL
    ]
    lines += [
        "",
        "## Recorded by the rules",
        "",
        "Gauges that Prometheus writes itself, from the day the rules are loaded on: `unitcost-recording.yml` over the",
        "metrics above, `unitcost-opencost.yml` live over OpenCost's own metrics.",
        "",
        "| Series | Labels | Meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{metric.name}` | {', '.join(metric.labels) or '-'} | {metric.help} |" for metric in RECORDED]
    return "\n".join(lines) + "\n"
