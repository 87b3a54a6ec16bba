"""A made-up company in a ledger in memory: tests fill its sources and read the gauges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from tests.fakes.stored import utc
from unitcost.config.directory import Directory, Tenant
from unitcost.config.model import Config
from unitcost.config.sections import Limits
from unitcost.economics.windows import look
from unitcost.facts import SAYS, Batch, Cost, Revenue, cluster_scope
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.store import Ledger
from unitcost.metrics.exposition import Family
from unitcost.metrics.families import families
from unitcost.metrics.state import ExporterState
from unitcost.run.setup import terms

NOW = utc(2026, 11, 23, 12)
YESTERDAY = date(2026, 11, 22)
RATES = {"USD": Decimal(1)}
DIRECTORY = Directory((Tenant("acme", "Acme Corp", "pro", "active", None, ("Acme-Corp",)),))
SOURCES = (("cluster", "cluster", True), ("bill", "bill", True), ("usage", "usage", True), ("revenue", "revenue", True))

Gauges = Mapping[str, Mapping[tuple[str, ...], float]]


class Company:
    """A ledger with four sources that a test fills. sources: (name, kind, required)."""

    def __init__(
        self,
        rules: list[tuple[int, dict[str, str], str, str | None]] | None = None,
        directory: Directory = DIRECTORY,
        sources: Sequence[tuple[str, str, bool]] = SOURCES,
    ) -> None:
        self.ledger = Ledger(None)
        self.directory = directory
        self.model = Model(
            sources=[*sources],
            billed_by=[("cluster", "bill")],
            rates=[("USD", Decimal(1))],
            aliases=directory.names("none").keys(),
            rules=rules or [],
            fixed=[],
            dimensions=["feature"],
        )

    def put(self, source: str, days: Sequence[date], **records: Sequence[object]) -> None:
        """Store a batch for each day, with the records of that day."""
        for day in days:
            mine = {kind: [row for row in rows if getattr(row, "day", day) == day] for kind, rows in records.items()}
            self._store(source, Batch(day.isoformat(), [day], **mine))  # type: ignore[arg-type]

    def put_all(self, source: str, days: Sequence[date], **records: Sequence[object]) -> None:
        """Store everything as one batch, which is faster."""
        self._store(source, Batch("all", [*days], **records))  # type: ignore[arg-type]

    def _store(self, source: str, batch: Batch) -> None:
        says = [kind if kind in SAYS else "cost" for name, kind, _ in self.model.sources if name == source]
        self.ledger.put(source, "", replace(batch, says=says), NOW, RATES)

    def gauges(
        self,
        windows: tuple[str, ...] = ("1d",),
        limit: int = 2000,
        now: datetime = NOW,
        history: int = 90,
        **settings: object,
    ) -> Gauges:
        """Return metric → labels → value as of now, of these windows; see `all_gauges`.

        settings: further keys of the configuration, typed.
        """
        self.derived(now, history)
        return self.seen(windows, limit, now, **settings)

    def derived(self, now: datetime = NOW, history: int = 90) -> None:
        """Derive what is stored, for those who read the lines and not the gauges: it takes half as long."""
        derive(self.ledger, self.model, now, timedelta(days=history))

    def seen(
        self, windows: tuple[str, ...] = ("1d",), limit: int = 2000, now: datetime = NOW, **settings: object
    ) -> Gauges:
        """Return the same for any time, without deriving what has come since."""
        return {
            family.metric.name: {
                row[:-1]: row[-1]
                for row in family.rows
                if "window" not in family.metric.labels or row[family.metric.labels.index("window")] in windows
            }
            for family in self._families(windows, limit, now, **settings)
        }

    def all_gauges(self, windows: tuple[str, ...]) -> Gauges:
        """Return what is served as of NOW: also of the windows' predecessors, and of closed months."""
        self.derived()
        return {
            family.metric.name: {row[:-1]: row[-1] for row in family.rows}
            for family in self._families(windows, Limits().tenants, NOW)
        }

    def _families(self, windows: tuple[str, ...], limit: int, now: datetime, **settings: object) -> list[Family]:
        config = Config.model_construct(windows=windows, limits=Limits(tenants=limit), **settings)  # type: ignore[arg-type]
        look(self.ledger, terms(config, self.directory), now)
        return list(families(self.ledger, ExporterState({}, now, with_directory=True)))


def cost(
    tenant: str | None, amount: str, component: str = "compute", day: date = YESTERDAY, cluster: str | None = None
) -> Cost:
    """Build a cost in dollars."""
    return Cost(day, tenant, "s", component, Decimal(amount), "USD", cluster_scope(cluster), {})


def mrr(tenant: str, amount: str, day: date = YESTERDAY, plan: str | None = None) -> Revenue:
    """Build the MRR of one day, in dollars a month."""
    return Revenue(day, day, tenant, Decimal(amount), "USD", plan)


def days_until(last: date, count: int) -> list[date]:
    """Return so many days, the last one included, oldest first."""
    return [last - timedelta(n) for n in reversed(range(count))]
