"""The file of alerts: about money per customer, about changes and shares of the company, about the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rules import alerts_ai, alerts_company, alerts_data, alerts_tenant
from rules.model import AS_CONFIGURED, Alert, Group, Record, RuleFile
from rules.text import Money
from unitcost.config.alerts import Alerts
from unitcost.config.model import Config
from unitcost.errors import ConfigError
from unitcost.metrics.recorded import ALERT_RULES

GROUPS: Mapping[str, Callable[[Config], tuple[Alert, ...]]] = {
    "unitcost-alerts-tenants": alerts_tenant.alerts,
    "unitcost-alerts-company": alerts_company.alerts,
    "unitcost-alerts-ai": alerts_ai.alerts,
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
    money, runbooks = Money(config.currency.code), runbooks_of(config)
    groups = tuple(
        Group(name, tuple(_finished(alert, settings, money, runbooks) for alert in alerts))
        for name, alerts in kept.items()
        if alerts
    )
    count = Record(ALERT_RULES, f"vector({sum(len(group.rules) for group in groups)})")
    return RuleFile("unitcost-alerts", (Group("unitcost-alerts-count", (count,)), *groups))


def meanings(config: Config) -> dict[str, str]:
    """Return what each alert means in a few words. Raises ConfigError as alerting does."""
    rules = [rule for group in alerting(config).groups for rule in group.rules]
    return {rule.name: rule.meaning for rule in rules if isinstance(rule, Alert)}


DOCS = "docs/runbooks"
"""Where the runbooks are in this tree."""


@dataclass(frozen=True, slots=True)
class Runbooks:
    """Where the runbooks are: what their addresses begin with, and end with."""

    before: str = f"{DOCS}/"
    after: str = ".md"

    @property
    def can_be_opened(self) -> bool:
        """Whether the addresses are whole ones, and not files of a tree that the reader may not have."""
        return self.before.startswith(("http://", "https://"))

    def address(self, name: str) -> str:
        """Return the address of the runbook of that name."""
        return f"{self.before}{name}{self.after}"


def runbooks_of(config: Config) -> Runbooks:
    """Return where the runbooks are: in alerts.runbooks, else on the exporter's own server, else in this tree."""
    if config.alerts.runbooks is not None:
        return Runbooks(f"{config.alerts.runbooks.rstrip('/')}/")
    if config.web.external_url is not None:
        return Runbooks(f"{config.web.external_url.rstrip('/')}/runbooks/", "")
    return Runbooks()


def _finished(alert: Alert, settings: Alerts, money: Money, runbooks: Runbooks) -> Alert:
    """Say how amounts are written and how long it waits, and turn the page and the runbook into addresses."""
    return replace(
        alert,
        summary=money.sentence(alert.summary),
        description=money.sentence(alert.description),
        dashboard=f"{settings.grafana.rstrip('/')}/d/{alert.dashboard}",
        runbook=runbooks.address(alert.runbook or alert.name),
        wait=settings.wait if alert.wait == AS_CONFIGURED else alert.wait,
        keep=settings.keep if alert.keep == AS_CONFIGURED else alert.keep,
    )
