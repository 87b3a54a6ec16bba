"""What the demo's Prometheus and Alertmanager are told: ports, targets, rules, and where notifications go."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from demo.cluster_metrics import CADVISOR, KUBE_STATE_METRICS, OPENCOST
from demo.processes import StartError, free_port, port_is_taken

SCRAPE_SECONDS = 15
RULES_EVERY_SECONDS = 15

SHIPPED = Path(__file__).resolve().parent.parent / "rules" / "alertmanager" / "alertmanager.yml"
"""The example configuration that users start from."""

LAST_PORT = 65_535


@dataclass(frozen=True)
class Ports:
    """The loopback ports of the demo."""

    exporter: int = 9488
    cluster: int = 9489
    prometheus: int = 9090
    alertmanager: int = 9093
    notices: int = 9492

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """Return five ports in a row."""
        return cls(*range(base, base + len(fields(cls))))

    @classmethod
    def free(cls) -> Ports:
        """Return ports that are free now."""
        return cls(*(free_port() for _ in fields(cls)))

    def check(self) -> None:
        """Raise StartError when one is no port, used twice or taken, naming each and the flag for another one."""
        wrong = [name.name for name in fields(self) if not 0 < getattr(self, name.name) <= LAST_PORT]
        if wrong:
            raise StartError(
                "\n".join(f"--{name} {getattr(self, name)} is no port: 1 to {LAST_PORT}" for name in wrong)
            )
        if len(set(astuple(self))) < len(fields(self)):
            raise StartError(f"the same port twice: {self}")
        taken = [name.name for name in fields(self) if port_is_taken(getattr(self, name.name))]
        if taken:
            lines = [f"port {getattr(self, name)} for {name} is taken; choose another with --{name}" for name in taken]
            raise StartError(
                "\n".join([*lines, "or move all five: --port-base 19480 (make demo DEMO='--port-base 19480')"])
            )


def prometheus_config(ports: Ports, rules: Path) -> dict[str, Any]:
    """Return prometheus.yml: the exporter, the made-up cluster, all rules of a folder."""
    cluster = {
        "opencost": OPENCOST,
        "kube-state-metrics": KUBE_STATE_METRICS,
        "kubelet": CADVISOR,
    }
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{RULES_EVERY_SECONDS}s"},
        "rule_files": [str(rules / "*.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ports.alertmanager}"]}]}]},
        "scrape_configs": [
            {"job_name": "unitcost", "static_configs": [{"targets": [f"127.0.0.1:{ports.exporter}"]}]},
            *(
                {
                    "job_name": job,
                    "honor_labels": True,
                    "metrics_path": path,
                    "static_configs": [{"targets": [f"127.0.0.1:{ports.cluster}"]}],
                }
                for job, path in cluster.items()
            ),
        ],
    }


def alertmanager_config(shipped: Path, folder: Path, url: str, **timing: str) -> dict[str, Any]:
    """Return an Alertmanager configuration whose every receiver sends to url instead; routes and texts stay.

    folder: where its templates will be. timing: group_wait and the like, for every route.
    """
    config: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    config["global"] = {key: value for key, value in config["global"].items() if key == "resolve_timeout"}
    config["templates"] = [str(folder / name) for name in config["templates"]]
    config["receivers"] = [_sent_to(url, receiver) for receiver in config["receivers"]]
    routes = [config["route"]]
    for route in routes:
        routes += route.get("routes", [])
        route.update(timing)
    return config


def _sent_to(url: str, receiver: dict[str, Any]) -> dict[str, Any]:
    """Return a receiver that posts to url what its Slack channel, or else its mail, or else its webhook would get.

    A Slack message carries the text that the templates made; a mail's subject and text are sent in its shape.
    """
    name = receiver["name"]
    messages = [
        {"pretext": f"to {one['channel']}"} | {key: one[key] for key in ("title", "title_link", "text")}
        for one in receiver.get("slack_configs", ())
    ] or [
        {"pretext": f"to {one['to']}", "title": one["headers"]["Subject"], "text": one["text"]}
        for one in receiver.get("email_configs", ())
    ]
    if messages:
        slack = {"api_url": url, "channel": name, "send_resolved": True, **messages[0]}
        return {"name": name, "slack_configs": [slack]}
    hooks = [{"url": url, "send_resolved": True} for _ in receiver.get("webhook_configs", ())]
    return {"name": name, "webhook_configs": hooks} if hooks else {"name": name}
