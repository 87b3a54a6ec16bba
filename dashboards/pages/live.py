"""The part of the page about efficiency that tells what runs right now, from OpenCost's and cAdvisor's metrics."""

from __future__ import annotations

from dashboards.cells import MONEY, RATIO, Cell, bar, wide
from dashboards.grafana import Row, row, section, table_height
from dashboards.pages.parts import ratio
from dashboards.panels import GREY, Json, Panel, Query, bar_gauge, override, stat, steps, text, timeseries, values_as
from dashboards.queries import info
from dashboards.style import BLUE, GREEN, NO_PLAN, ORANGE, RED, Settings
from dashboards.tables import CUSTOMER, Figure, joined, tenant_link
from dashboards.words import NO_USE, NOTHING_LIVE
from rules.promql import Match, over, select
from unitcost.metrics import recorded as r
from unitcost.metrics.external import CLUSTER
from unitcost.metrics.metric import Metric

HOURS_A_MONTH = 730


def live(settings: Settings) -> list[Row]:
    """Return the rows of what runs now."""
    return [
        section("Right now, from OpenCost's own metrics"),
        row(2, (24, _needs(settings))),
        row(5, *((4, panel) for panel in _live(settings)), (8, _used(settings))),
        row(9, (12, _hours(settings)), (12, _cores(settings))),
        row(table_height(11), (24, _live_customers(settings))),
    ]


def _needs(settings: Settings) -> Panel:
    return text(
        "At list prices, as OpenCost says now: no bill, no discount. Rules: `unitcost-opencost.yml`.",
        "These figures have no past before the day their rules were loaded. They need OpenCost and kube-state-metrics,"
        " and the kubelet's cAdvisor for what is used. Several clusters are added up: the label that tells them apart"
        f" is `{settings.cluster_label}`.",
    )


def _recorded(settings: Settings, metric: Metric, by: tuple[str, ...] = (), **labels: str | Match) -> str:
    """Return a live series of all clusters, summed by labels; what two Prometheis recorded of one cluster counts once.

    Where each cluster's Prometheus recorded its own, the clusters differ in this label alone, added on the way here.
    """
    every = tuple(settings.cluster_label if label == CLUSTER else label for label in metric.labels)
    return over("sum", by, over("max", every, select(metric, **labels)))


def _live(settings: Settings) -> list[Panel]:
    nodes, allocated = _recorded(settings, r.LIVE_NODES), _recorded(settings, r.LIVE_ALLOCATED)
    nobodys = _recorded(settings, r.LIVE_COMPUTE, tenant="")
    idle = f"clamp_min({nodes} - {allocated}, 0)"
    idle_steps = steps((None, GREEN), (0.3, ORANGE), (0.5, RED))
    return [
        _cost(settings, "Nodes now", "All nodes, GPUs included.", nodes),
        _cost(
            settings,
            "Allocated now",
            "Cores and memory that pods request or use, whichever is more, at their nodes' prices.",
            allocated,
        ),
        _cost(
            settings,
            "Not allocated",
            "Nodes less what is allocated: idle, and GPUs.",
            idle,
            Query(ratio(idle, nodes), "of the nodes"),
            override("of the nodes", unit="percentunit", decimals=1, thresholds=idle_steps),
        ),
        _cost(
            settings,
            "No customer",
            "What is allocated to pods without the customer's label.",
            nobodys,
            Query(ratio(nobodys, allocated), "of allocated"),
            override("of allocated", unit="percentunit", decimals=1, thresholds=steps((None, "text"), (0.5, ORANGE))),
        ),
    ]


def _cost(
    settings: Settings, title: str, description: str, expr: str, part: Query | None = None, *looks: Json
) -> Panel:
    """Return dollars an hour, and what they are in a month; part: what part of another figure it is."""
    return stat(
        title,
        f"{description} A month: 730 hours like this one.",
        [
            Query(expr, "an hour"),
            Query(f"{expr} * {HOURS_A_MONTH}", "a month"),
            *([part] if part else []),
        ],
        unit=settings.exact,
        decimals=0,
        names=True,
        text_size=(13, 20),
        overrides=[override("an hour", decimals=2), *looks],
        unknown=NOTHING_LIVE,
    )


def _hours(settings: Settings) -> Panel:
    return timeseries(
        "Nodes and what is allocated of them",
        "Dollars an hour for all nodes, and for the cores and memory that pods request or use, whichever is more. The"
        " space between is idle, and GPUs.",
        [Query(_recorded(settings, r.LIVE_NODES), "nodes"), Query(_recorded(settings, r.LIVE_ALLOCATED), "allocated")],
        unit=settings.money,
        decimals=2,
        calcs=("lastNotNull", "min", "max"),
        bounds=(0, None),
        overrides=[
            override("nodes", fixed_color=GREY, custom__fillOpacity=15, custom__lineWidth=2),
            override("allocated", fixed_color=BLUE, custom__fillOpacity=35, custom__lineWidth=2),
        ],
        interval="5m",
        time_from="24h",
        unknown=NOTHING_LIVE,
    )


def _cores(settings: Settings) -> Panel:
    return timeseries(
        "Cores: allocated and used",
        "Cores that all pods are allocated (requested or used, whichever is more), and cores that they used in the 5"
        " minutes before each point.",
        [Query(_recorded(settings, r.LIVE_CPU), "allocated"), Query(_recorded(settings, r.LIVE_CPU_USED), "used")],
        unit="none",
        decimals=1,
        calcs=("lastNotNull", "min", "max"),
        bounds=(0, None),
        overrides=[
            override("allocated", fixed_color=BLUE, custom__fillOpacity=15, custom__lineWidth=2),
            override("used", fixed_color=GREEN, custom__fillOpacity=35, custom__lineWidth=2),
        ],
        interval="5m",
        time_from="24h",
        unknown=NO_USE,
    )


def _used(settings: Settings) -> Panel:
    cores, used_cores = _recorded(settings, r.LIVE_CPU), _recorded(settings, r.LIVE_CPU_USED)
    memory, used_memory = _recorded(settings, r.LIVE_MEMORY), _recorded(settings, r.LIVE_MEMORY_USED)
    return bar_gauge(
        "Used of what is allocated, now",
        "Cores used in the last 5 minutes and memory in use, of what pods are allocated (requested or used,"
        " whichever is more). Orange below 40 %: requests are more than twice too large.",
        [Query(ratio(used_cores, cores), "cores"), Query(ratio(used_memory, memory), "memory")],
        unit="percentunit",
        decimals=0,
        bounds=(0, 1),
        thresholds=steps((None, ORANGE), (0.4, GREEN)),
        unknown=NO_USE,
    )


def _live_customers(settings: Settings) -> Panel:
    sign, by = settings.sign, ("tenant",)
    dollars = _recorded(settings, r.LIVE_COMPUTE, by)
    cores, used_cores = _recorded(settings, r.LIVE_CPU, by), _recorded(settings, r.LIVE_CPU_USED, by)
    memory, used_memory = _recorded(settings, r.LIVE_MEMORY, by), _recorded(settings, r.LIVE_MEMORY_USED, by)
    known = f"({info('name', 'plan')} and on (tenant) {dollars})"
    others = f'label_join({dollars} unless on (tenant) {info("name")}, "name", "", "tenant")'
    amount: Cell = {"unit": "none", "decimals": 1, "noValue": "-"}
    low: Cell = RATIO | bar(BLUE, top=1) | {"noValue": "not known"}
    return joined(
        "Requested against used, by customer, now",
        "What each customer's pods are allocated (requested or used, whichever is more), what they use, and what that"
        " costs an hour at list prices. Pods without the customer's label are one row; GPUs and shared parts are not in"
        " it. Low bars with many cores are what to make smaller first. From OpenCost's and cAdvisor's metrics through"
        " the rule file unitcost-opencost.yml.",
        "tenant",
        [
            Figure(f"{sign} an hour", dollars, amount | {"decimals": 4} | wide(110)),
            Figure(f"{sign} a month", f"{dollars} * {HOURS_A_MONTH}", MONEY | wide(110)),
            Figure("Cores", cores, amount | {"decimals": 2} | wide(90)),
            Figure("Cores used", used_cores, amount | {"decimals": 2} | wide(110)),
            Figure("Of cores", ratio(used_cores, cores), low),
            Figure("GiB", memory, amount | wide(90)),
            Figure("GiB used", used_memory, amount | wide(110)),
            Figure("Of GiB", ratio(used_memory, memory), low),
        ],
        shown=[("name", CUSTOMER), ("plan", "Plan")],
        first=Query(f"{known} or {others}"),
        overrides=[
            override(CUSTOMER, links=[tenant_link()], mappings=values_as({"": "pods without a customer"}), **wide(200)),
            override("Plan", mappings=NO_PLAN, **wide(100)),
        ],
        sort_by=f"{sign} an hour",
        paginate=True,
        unknown=NOTHING_LIVE,
    )
