"""`python -m rules`: write the rule files, exit 0; 2 where the configuration does not allow them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rules.alerts import alerting
from rules.live import live
from rules.model import RuleFile
from rules.provisioning import grafana
from rules.recording import WINDOWS, recording
from rules.write import operator, prometheus
from unitcost.config.load import load
from unitcost.config.model import Config
from unitcost.errors import ConfigError

FINE, USAGE = 0, 2

DESCRIPTION = """\
Write the recording rules and alerts: OUTPUT/prometheus/*.yml for Prometheus' rule_files, OUTPUT/operator/*.yaml as
PrometheusRule, OUTPUT/grafana/*.yaml for Grafana, which evaluates alerts itself. Thresholds, owners, links and the
label of clusters come from `alerts:` of the configuration, the pod label from tenants.key.
"""


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rules", description=DESCRIPTION)
    parser.add_argument("--config", type=Path, metavar="FILE", help="unitcost.yaml; without it the defaults")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=Path(__file__).parent, help="default: the folder rules/"
    )
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        config = settings(args.config)
        files = rule_files(config)
    except ConfigError as error:
        print("\n".join(error.mistakes), file=sys.stderr)  # noqa: T201 - the command's own words
        return USAGE
    written = {f"prometheus/{file.name}.yml": prometheus(file) for file in files}
    written |= {f"operator/{file.name}.yaml": operator(file) for file in files}
    alerts = alerting(config)
    written[f"grafana/{alerts.name}.yaml"] = grafana(alerts, config.alerts.grafana_datasource)
    for name, text in written.items():
        (args.output / name).parent.mkdir(parents=True, exist_ok=True)
        (args.output / name).write_text(text, encoding="utf-8")
    return FINE


def settings(path: Path | None) -> Config:
    """Return the configuration; without a file the defaults. Raises ConfigError."""
    return Config(sources={}) if path is None else load(path)[0]


def rule_files(config: Config) -> tuple[RuleFile, ...]:
    """Return every rule file.

    Raises ConfigError with a line for each window that a rule needs and that the exporter does not serve, and for
    each disabled alert that does not exist.
    """
    needed = {**WINDOWS, **config.alerts.windows()}
    served = ", ".join(config.windows)
    missing = [
        f"windows: {window} is missing, {where} needs it; served are {served}"
        for where, window in needed.items()
        if window not in config.windows
    ]
    if missing:
        raise ConfigError(missing)
    return recording(), alerting(config), live(config.tenants.key[0], config.alerts.cluster_label)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
