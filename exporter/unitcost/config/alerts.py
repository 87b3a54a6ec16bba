"""alerts: thresholds, floors and owners of the alert rules that `python -m rules` writes.

Dollars mean the configured currency, ratios are fractions of 1, windows are names of `windows`, times are 30s, 5m, 2h
or 90d (0s: at once). The exporter itself uses none of this. The defaults are meant to be quiet: a floor in dollars
keeps pennies and free customers away from people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from unitcost.days import DAY, LAST_MONTH, MONTH, MTD, WINDOW, day_count, is_window
from unitcost.durations import NO_DURATION, seconds
from unitcost.sources.base import ANumber, LinkUrl, Section

YEAR = 366 * 86400
SPAN = r"[1-9][0-9]{0,8}[smhd]"


def _span(value: str) -> str:
    if value == "0s":
        return value
    if not re.fullmatch(SPAN, value):
        raise ValueError(f"{NO_DURATION}, or 0s")
    if seconds(value) > YEAR:
        raise ValueError("must be at most 366d")
    return value


def _window(value: str) -> str:
    if not is_window(value):
        raise ValueError("must be Nd (such as 30d), mtd or last_month")
    return value


def _days(value: str) -> str:
    if day_count(value) is None:
        raise ValueError("must be a number of days, such as 1d or 30d")
    return value


TAKEN = ("namespace", "pod", "container", "node", "tenant", "of", "scraped", "job", "instance")
"""Labels that the live rules need for something else, or that differ within a cluster."""


def _cluster_label(value: str) -> str:
    if re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", value) is None:
        raise ValueError("must be the name of a label, such as cluster or cluster_id")
    if value in TAKEN:
        raise ValueError(f"must tell clusters apart: {value} has another meaning in the rules")
    return value


Severity = Literal["info", "warning", "critical"]
Span = Annotated[str, AfterValidator(_span), WithJsonSchema({"type": "string", "pattern": f"^{SPAN}$|^0s$"})]
WindowName = Annotated[str, AfterValidator(_window), WithJsonSchema({"type": "string", "pattern": WINDOW})]
DatasourceUid = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
ClusterLabel = Annotated[str, AfterValidator(_cluster_label)]
DayWindow = Annotated[str, AfterValidator(_days)]
Dollars = Annotated[float, ANumber, Field(ge=0, le=1e12, allow_inf_nan=False)]
Factor = Annotated[float, ANumber, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, ANumber, Field(ge=0, le=1)]
Percent = Annotated[int, ANumber, Field(ge=1, le=1000)]


class Owners(Section):
    """Values of the label `owner`, by what an alert is about: money, the product, or the data themselves."""

    money: str = "finance"
    product: str = "engineering"
    data: str = "platform"


class Margin(Section):
    """A customer's margin over `window`.

    loss_dollars: a paying customer may lose so much in the window before anybody is told. shortfall_dollars: so much
    may be missing to the plan's target margin.
    """

    window: WindowName = MONTH
    loss_dollars: Dollars = 50
    shortfall_dollars: Dollars = 50


class BudgetUse(Section):
    """Budgets of the calendar month.

    levels: percent of the budget → severity; an alert each. minimum_dollars: customers with a smaller budget are
    looked after by their plan's margin, not one by one. forecast_ratio: forecast divided by budget that is too much.
    """

    levels: Mapping[Percent, Severity] = {50: "info", 75: "info", 90: "warning", 100: "critical"}
    minimum_dollars: Dollars = 20
    forecast_ratio: Factor = 1.05
    wait: Span = "0s"


class Burn(Section):
    """How many times too fast a budget is used: (cost of the window / its days) / (budget / days of the month)."""

    window: DayWindow = DAY
    rate: Factor = 3


class Burns(Section):
    """Two windows: fast tells of a sudden rise soon, slow of a small one that stays."""

    fast: Burn = Burn()
    slow: Burn = Burn(window=MONTH, rate=1.2)


class Spike(Section):
    """A day against the mean of the other days of `baseline`.

    factor: how many times the mean. dollars: and how many dollars a day above it.
    """

    window: Literal["1d"] = DAY
    baseline: DayWindow = MONTH
    factor: Factor = 2
    dollars: Dollars = 50

    @model_validator(mode="after")
    def _longer(self) -> Spike:
        if self.baseline == self.window:
            raise ValueError("baseline must be longer than a day")
        return self


class AiLoss(Section):
    """The AI requests that a customer's price carries in the month: near their end, and past it.

    left: so large a part of them, or less, is left. days: or they end in fewer days, at this month's rate.
    minimum_requests: a price that carries fewer is nobody's alert.
    """

    left: Share = 0.1
    days: Annotated[float, ANumber, Field(ge=0, le=31, allow_inf_nan=False)] = 7
    minimum_requests: Annotated[int, ANumber, Field(ge=1, le=1_000_000_000)] = 100


class Regression(Section):
    """Cost per request of `window` divided by that of `baseline`; factor: what is too much."""

    window: WindowName = MONTH
    baseline: WindowName = LAST_MONTH
    factor: Factor = 1.15


class ShareLimit(Section):
    """A part of all costs in `window` that is too large. share: of all; dollars: and at least so many."""

    window: WindowName = MONTH
    share: Share = 0.05
    dollars: Dollars = 250


class Reconciled(Section):
    """The bill divided by OpenCost over `window`: low to high is fine."""

    window: WindowName = MONTH
    low: Factor = 0.9
    high: Factor = 1.1


class AiKnown(Section):
    """What is known of AI over `window`.

    coverage: at least so much of what a provider reports is seen by counters. low, high: between these is the bill
    divided by the price book's prices. unpriced: so many tokens of a model without a price are too many.
    """

    window: WindowName = MONTH
    coverage: Share = 0.9
    low: Factor = 0.9
    high: Factor = 1.1
    unpriced: Annotated[float, ANumber, Field(ge=1, le=1e15)] = 1_000_000


class Data(Section):
    """How long the data may be wrong before somebody hears of it.

    source_stale: age of a source's last success. incomplete: how long a window of `incomplete_windows` may lack a
    day; bills come a day or two late. snapshot_old: age of the numbers on /metrics. reload_failed: a configuration that
    is wrong and not in use. exporter_down: no exporter.
    """

    source_stale: Span = "6h"
    incomplete: Span = "2d"
    incomplete_windows: tuple[WindowName, ...] = (MONTH, LAST_MONTH)
    snapshot_old: Span = "1h"
    reload_failed: Span = "10m"
    exporter_down: Span = "5m"


class Alerts(Section):
    """The whole section.

    runbooks: folder or URL of the runbooks' files; without it they are those that the exporter serves at
    web.external_url, else docs/runbooks. grafana: URL that the links to pages begin with. grafana_datasource: uid of
    Grafana's data source Prometheus, for alerts that Grafana evaluates. wait: how long a condition about money must
    hold first (`for`); budgets have their own. keep: how long an alert outlives its condition (`keep_firing_for`), so
    that a restarted exporter resolves nothing. disabled: alerts to leave out. cluster_label: the label that tells
    clusters apart in OpenCost's series, those of kube-state-metrics and cAdvisor alike, for the live rules and the
    page that reads them.
    """

    owners: Owners = Owners()
    runbooks: str | None = None
    grafana: LinkUrl = "http://localhost:3000"
    grafana_datasource: DatasourceUid = "prometheus"
    wait: Span = "15m"
    keep: Span = "15m"
    disabled: tuple[str, ...] = ()
    cluster_label: ClusterLabel = "cluster"
    margin: Margin = Margin()
    budget: BudgetUse = BudgetUse()
    burn: Burns = Burns()
    cost_spike: Spike = Spike()
    ai_spike: Spike = Spike(factor=1.5, dollars=100)
    ai_loss: AiLoss = AiLoss()
    cost_per_request: Regression = Regression()
    free_plan: ShareLimit = ShareLimit(share=0.1)
    unallocated: ShareLimit = ShareLimit()
    reconciliation: Reconciled = Reconciled()
    ai: AiKnown = AiKnown()
    data: Data = Data()

    @model_validator(mode="after")
    def _sound(self) -> Alerts:
        if self.cost_per_request.window == self.cost_per_request.baseline:
            raise ValueError("cost_per_request: window and baseline are the same")
        if self.reconciliation.low >= self.reconciliation.high:
            raise ValueError("reconciliation: low must be less than high")
        if self.ai.low >= self.ai.high:
            raise ValueError("ai: low must be less than high")
        return self

    def windows(self) -> dict[str, str]:
        """Return every window that a rule needs: where it is named in the file → its name."""
        named = {
            "margin.window": self.margin.window,
            "budget (its largest parts so far)": MTD,
            "burn.fast.window": self.burn.fast.window,
            "burn.slow.window": self.burn.slow.window,
            "cost_spike.window": self.cost_spike.window,
            "cost_spike.baseline": self.cost_spike.baseline,
            "cost_spike (who is new)": LAST_MONTH,
            "ai_spike.window": self.ai_spike.window,
            "ai_spike.baseline": self.ai_spike.baseline,
            "cost_per_request.window": self.cost_per_request.window,
            "cost_per_request.baseline": self.cost_per_request.baseline,
            "free_plan.window": self.free_plan.window,
            "unallocated.window": self.unallocated.window,
            "reconciliation.window": self.reconciliation.window,
            "ai.window": self.ai.window,
        }
        named |= {f"data.incomplete_windows.{n}": window for n, window in enumerate(self.data.incomplete_windows)}
        return {f"alerts.{where}": window for where, window in named.items()}
