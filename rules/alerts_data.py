"""Alerts about the data themselves: sources, windows, folded tenants, the exporter and its configuration."""

from __future__ import annotations

from rules.expressions import one
from rules.model import AT_ONCE, Alert
from rules.promql import matches, over, select
from rules.text import amount, phrase, words
from unitcost.config.model import Config
from unitcost.durations import seconds
from unitcost.facts import OTHER
from unitcost.metrics import catalogue as c
from unitcost.metrics import catalogue_exporter as x

PAGE = "unitcost-data"
EVER = "1e9"
"""Seconds that no source can be old: where none was ever read, the age is counted from 1970."""


def alerts(config: Config) -> tuple[Alert, ...]:
    """Return the alerts of those who run the exporter."""
    return (
        _source_stale(config),
        _window_incomplete(config),
        _tenants_folded(config),
        _snapshot_old(config),
        _config_reload_failed(config),
        _exporter_down(config),
    )


def _source_stale(config: Config) -> Alert:
    settings = config.alerts.data
    # A source that was never read has `up` but no time of a success: its age counts from 1970.
    succeeded = f"{select(x.SOURCE_LAST_SUCCESS)} or {select(x.SOURCE_UP)} * 0"
    oldest = over("min", ("source",), succeeded)
    errors = over("sum", ("reason",), select(x.SOURCE_ERRORS, source="%q")).replace('"%q"', "%q")
    kind = '{{ . | first | label "reason" }}'
    reasons = phrase(
        f"topk(1, {errors} > 0)",
        f"Its most frequent error since the exporter started: {kind}, {{}} times. ",
        "source",
        "%.0f",
    )
    return Alert(
        "UnitcostSourceStale",
        "a source cannot be read",
        f"time() - {oldest} > {seconds(settings.source_stale)}",
        "warning",
        config.alerts.owners.data,
        f"{{{{ if gt $value {EVER} }}}}The source {{{{ $labels.source }}}} could never be read."
        "{{ else }}The source {{ $labels.source }} was last read without an error"
        " {{ $value | humanizeDuration }} ago.{{ end }}",
        "Its last good data stay in use: what happened since is missing from costs, revenue or usage, and margins"
        f" may be wrong. {reasons}The exporter's log names the error and what to do; `unitcost check` asks again.",
        PAGE,
    )


def _window_incomplete(config: Config) -> Alert:
    settings = config.alerts.data
    windows = matches("|".join(settings.incomplete_windows))
    complete = over("min", ("window",), select(c.WINDOW_COMPLETE, window=windows))
    return Alert(
        "UnitcostWindowIncomplete",
        "a window has lacked days for long",
        f"{complete} == 0",
        "warning",
        config.alerts.owners.data,
        f"The window {{{{ $labels.window }}}} has lacked days of a required source for {settings.incomplete}:"
        " its sums are too low.",
        "The page of the data shows which source is behind. A source that may be late can be `required: false`.",
        PAGE,
        wait=settings.incomplete,
    )


def _tenants_folded(config: Config) -> Alert:
    window = config.alerts.margin.window
    cost = over("sum", (), one(c.TENANT_COST, tenant=OTHER, window=window))
    return Alert(
        "UnitcostTenantsFolded",
        "there are more tenants than limits.tenants",
        f"{one(c.TENANTS_FOLDED)} > 0",
        "info",
        config.alerts.owners.data,
        '{{ printf "%.0f" $value }} tenants have no series of their own: limits.tenants is'
        f" {config.limits.tenants:,}, and the cheapest beyond it are summed up as {OTHER}.",
        f"Together they cost {amount(cost)} {words(window)}. Every sum stays right; raise limits.tenants to"
        " see them one by one.",
        PAGE,
    )


def _snapshot_old(config: Config) -> Alert:
    settings = config.alerts.data
    return Alert(
        "UnitcostSnapshotOld",
        "an exporter serves old numbers",
        f"time() - min({select(x.SNAPSHOT_TIMESTAMP)}) > {seconds(settings.snapshot_old)}",
        "warning",
        config.alerts.owners.data,
        "An exporter serves numbers that are {{ $value | humanizeDuration }} old: its refresh is stuck.",
        "It still answers scrapes, so nothing else looks wrong. Its log says what it waits for.",
        PAGE,
        wait="5m",
    )


def _config_reload_failed(config: Config) -> Alert:
    settings = config.alerts.data
    return Alert(
        "UnitcostConfigReloadFailed",
        "a changed configuration is wrong and not in use",
        f"min({select(x.CONFIG_RELOAD_SUCCESSFUL)}) == 0",
        "warning",
        config.alerts.owners.data,
        "An exporter could not take over its configuration as the file says now: it goes on with the one of before.",
        "What was changed does not count, and a restart would not begin. The exporter's log names every mistake with"
        " its path in the file; `unitcost check` names them too.",
        PAGE,
        wait=settings.reload_failed,
        keep=AT_ONCE,
    )


def _exporter_down(config: Config) -> Alert:
    settings = config.alerts.data
    return Alert(
        "UnitcostExporterDown",
        "there is no exporter",
        f"absent({select(x.BUILD_INFO)})",
        "critical",
        config.alerts.owners.data,
        f"No unitcost exporter has been scraped for {settings.exporter_down}: nothing is known of costs, and no other"
        " alert of unitcost can fire.",
        "Either it does not run, or Prometheus cannot reach it: see Status, Targets in Prometheus.",
        PAGE,
        wait=settings.exporter_down,
        keep=AT_ONCE,
    )
