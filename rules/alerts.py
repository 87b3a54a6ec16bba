"""The file of alerts: about money per customer, about changes and shares of the company, about the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from rules import alerts_company, alerts_data, alerts_tenant
from rules.model import Alert, Group, RuleFile
from rules.text import Money
from unitcost.alerts import Alerts
from unitcost.config import Config
from unitcost.errors import ConfigError

GROUPS: Mapping[str, Callable[[Config], tuple[Alert, ...]]] = {
    "unitcost-alerts-tenants": alerts_tenant.alerts,
    "unitcost-alerts-company": alerts_company.alerts,
    "unitcost-alerts-data": alerts_data.alerts,
}


def alerting(config: Config) -> RuleFile:
    """Return the file of alerts, without the disabled ones.

    Raises ConfigError when alerts.disabled names one that does not exist.
    """
    settings = config.alerts
    made = {name: make(config) for name, make in GROUPS.items()}
    names = {alert.name for alerts in made.values() for alert in alerts}
    unknown = [name for name in settings.disabled if name not in names]
    if unknown:
        known = ", ".join(sorted(names))
        raise ConfigError([f"alerts.disabled: {name!r} is no alert; the alerts are {known}" for name in unknown])
    kept = {name: [alert for alert in alerts if alert.name not in settings.disabled] for name, alerts in made.items()}
    money = Money(config.currency.code)
    return RuleFile(
        "unitcost-alerts",
        tuple(
            Group(name, tuple(_finished(alert, settings, money) for alert in alerts))
            for name, alerts in kept.items()
            if alerts
        ),
    )


def _finished(alert: Alert, settings: Alerts, money: Money) -> Alert:
    """Say how amounts are written, and turn the page and the runbook into addresses."""
    return replace(
        alert,
        summary=money.sentence(alert.summary),
        description=money.sentence(alert.description),
        dashboard=f"{settings.grafana.rstrip('/')}/d/{alert.dashboard}",
        runbook=f"{settings.runbooks.rstrip('/')}/{alert.runbook or alert.name}.md",
    )
