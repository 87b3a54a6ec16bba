"""What sources hand over: cost, usage and revenue by UTC day, in batches that replace each other whole.

Money is Decimal in the source's own currency, never float. A record's tenant is the raw value of
`tenants.key` as the source spells it, or None; aliases are applied later, in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from unitcost.errors import SourceError, describe

COMPONENTS = ("compute", "gpu", "database", "storage", "network", "ai", "idle", "commitment", "support", "other")
"""`commitment` is what was committed to, paid for and not used, whatever service it was bought for."""
UNUSED = "unused"
CHARGES = ("usage", UNUSED, "purchase", "tax", "credit", "adjustment", "correction")
"""What kind of charge a cost is: FOCUS ChargeCategory in lower case; `unused` where a commitment was
(CommitmentDiscountStatus), else `correction` (ChargeClass), whatever that is. Only usage says that its day was
delivered: a fee, a refund or a correction tells nothing of what else the day cost."""
IDLE, UNALLOCATED, UNMOUNTED = "__idle__", "__unallocated__", "__unmounted__"
OTHER = "__other__"
"""The tenant that the cheapest ones beyond limits.tenants are folded into."""
RESERVED = (IDLE, UNALLOCATED, UNMOUNTED, OTHER)
"""Names that sources or unitcost invent; never tenants."""

MATCH_FIELDS = ("source", "service", "component", "cluster")
"""By what of a cost a sharing rule may match, besides the dimensions."""

LARGEST_AMOUNT = Decimal(10) ** 15
"""The largest amount of money that a source may say at once, whatever its sign: no company comes near, and it leaves
room for currencies of which a dollar buys a million."""
LARGEST_QUANTITY = Decimal(10) ** 20
"""The largest quantity: a million CPUs use 8.6e19 nanoseconds a day."""
LARGEST_DAY = 1000 * LARGEST_AMOUNT
"""What the costs, or the MRR, of one batch may come to on one day, added up without their signs, in their own currency
and in the configured one: a million records of 1e12.

The ledger keeps DECIMAL(38, 12), which ends at 1e26, and computes in whole units of 1e-12 in 128 bits, which end at
1.7e26. What is derived stays below: 10,000 days (no window is longer) of 1,000 such batches come to 1e25; a forecast
multiplies 7 days by 31, a budget an MRR by up to 1,000, and both still fit.
"""
LARGEST_USAGE = 10 * LARGEST_QUANTITY
"""What the quantities of one batch, day and measure may come to: 10,000 days of 9 sources are 9e25."""

RATE_DIGITS, RATE_PLACES = 18, 25
"""How many digits a rate may have, and how many of them behind the point: so many are multiplied exactly."""
SMALLEST_RATE, LARGEST_RATE = Decimal("1e-9"), Decimal("1e10")
"""From the weakest currency in ounces of gold to the reverse."""


K8S = "k8s/"
"""What the scopes of Kubernetes clusters begin with; the rest is the cluster's name, empty where it is not said."""


def cluster_scope(cluster: str | None) -> str | None:
    """Return the scope that a Kubernetes cluster is; None where there is none."""
    return None if cluster is None else f"{K8S}{cluster}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one service cost on one UTC day, or evenly on several, for one tenant or (None) nobody in particular.

    service: the source's own finer name (FOCUS ServiceName; OpenCost's cpu, ram, gpu, pv, network, …). category: one of
    COMPONENTS, or FOCUS ServiceCategory, from which the component is told later. scope: what a meter measures and a
    bill charges, a Kubernetes cluster say (cluster_scope): where it is known, the meter's figures are not added on top
    of the bill's. dimensions: the values of the configured dimensions, those that are known. charge: one of CHARGES.
    resource: the cloud's id of what was used, as the source spells it; by it a scope is found that a bill does not
    name. item: what was bought (a SKU, a model, a plan; the commitment that is unused), unit and quantity: of what it
    was so much. list_amount: at list prices, in the same currency; of what has none (a fee, a tax, a credit) the
    amount. last_day: amount, list_amount and quantity are of all days from day to it, evenly (a monthly fee, say);
    None: of day alone. The ledger divides them as it stores them, and holds costs by day.
    """

    day: date
    tenant: str | None
    service: str
    category: str
    amount: Decimal
    currency: str
    scope: str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    charge: str = "usage"
    resource: str | None = None
    item: str | None = None
    unit: str | None = None
    quantity: Decimal | None = None
    list_amount: Decimal | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a named measure (requests, active_users, …) one tenant used on one UTC day.

    item: of what (a model, an endpoint); unit: in what it is sold, where the measure has several (the tokens of a model
    are input, output, …); dimensions, scope: as of a Cost. Without a tenant it is nobody's in particular: only what has
    a unit counts then, as it may have a price.
    """

    day: date
    tenant: str | None
    measure: str
    quantity: Decimal
    item: str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Revenue:
    """A tenant's monthly recurring revenue from first_day on, to last_day inclusive (None: until replaced).

    mrr is a monthly amount in `currency`, zero or more; the revenue of one day is mrr ÷ days in its month.
    """

    first_day: date
    last_day: date | None
    tenant: str
    mrr: Decimal
    currency: str
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """A cloud resource that a scope used on a UTC day: a node, a disk or a load balancer of a Kubernetes cluster.

    provider_id: the cloud's own id as a bill's ResourceId would hold or end with it. kind: one of RESOURCES.
    """

    day: date
    provider_id: str
    scope: str
    kind: str = "node"


RESOURCES = ("node", "disk", "load_balancer")


@dataclass(frozen=True, slots=True)
class Query:
    """Rows that DuckDB reads by itself: a SELECT whose columns are named like the record's fields.

    Types: DATE for days, DECIMAL(38,12) for amount, list_amount, quantity and mrr, MAP(VARCHAR, VARCHAR) for
    dimensions, else VARCHAR. Fields with a default may be left out. failed turns the error DuckDB raised while reading
    into one that names the file and the row.
    """

    sql: str
    params: Sequence[Any] = ()
    failed: Callable[[Exception], SourceError] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The unit that is replaced as a whole, in one transaction: a day of OpenCost, a billing period, a file.

    key: unique within its source ("2026-11-19", "2026-11", "mrr.csv"). days: the UTC days the batch speaks
    for, with or without rows; a day is known to the source once such a batch is stored. Rows of other days count
    too, and leave them unknown. says: what it makes these days known for, of SAYS; None: of what it has rows. A batch
    without days and rows says that the source was asked and had nothing (the key is asked again a day later; what is
    stored of it stays). fingerprint: what the batch was made from; the same one again means nothing changed. until: up
    to when it speaks of its last day (UTC), None: to its end. lacks: what it should hold besides and could not get, in
    a word of the source's own; "" for nothing.
    """

    key: str
    days: Sequence[date]
    fingerprint: str = ""
    cost: Sequence[Cost] | Query = ()
    usage: Sequence[Usage] | Query = ()
    revenue: Sequence[Revenue] | Query = ()
    resources: Sequence[Resource] = ()
    says: Sequence[str] | None = None
    until: datetime | None = None
    lacks: str = ""

    @property
    def empty(self) -> bool:
        """Whether the source had nothing: no day and no row (a Query always counts as rows)."""
        return not (self.days or self.cost or self.usage or self.revenue or self.resources)

    @property
    def known_for(self) -> Sequence[str]:
        """What its days are known for."""
        if self.says is not None:
            return self.says
        return [name for name in SAYS if getattr(self, name)]


COST, USAGE, REVENUE = ("cost",), ("usage",), ("revenue",)
SAYS = (*COST, *USAGE, *REVENUE)
"""What a source may say of a day."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one part of a source's answer. That part keeps its last good data; the rest goes on.

    reason: one word for the label reason of the source's error counter. where: file, row, day or key. hint: what
    to do.
    """

    reason: str
    where: str
    text: str
    hint: str = ""

    @classmethod
    def of(cls, error: SourceError) -> Problem:
        """Return what an error says, where the source can go on without that part."""
        return cls(error.reason, error.where, error.text, error.hint)

    @property
    def line(self) -> str:
        """What is told: where, what is wrong, what to do."""
        return describe(self.where, self.text, self.hint)


@dataclass(frozen=True, slots=True)
class Note:
    """Something a user should know about a source's answer that is not an error; `check` prints it.

    similar: currency → dollars that have no tenant as the key that would name it is spelt otherwise.
    """

    text: str
    similar: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What is noted of a stored batch; see Batch. loaded_at: when (UTC) its source was asked for it."""

    fingerprint: str
    until: datetime | None = None
    lacks: str = ""
    loaded_at: datetime | None = None


class Stored(Protocol):
    """What the ledger already holds of one source; read-only."""

    def batch(self, key: str) -> StoredBatch | None:
        """Return what is noted of a stored batch, or None if it is not stored."""

    def fingerprint(self, key: str) -> str | None:
        """Return the fingerprint of the stored batch, or None if that batch is not stored."""

    def keys(self) -> set[str]:
        """Return the keys of all stored batches that are not empty."""

    def asked_empty(self, key: str) -> datetime | None:
        """Return when the source last said that it has nothing for this key (any more), or None."""

    def costs(self, key: str) -> list[Cost]:
        """Return the cost rows of a stored batch by day, as they were handed over (dimensions may be left out)."""

    def totals(self, key: str) -> dict[str, Decimal]:
        """Return what the cost rows of a stored batch sum to, by currency."""

    def resources(self, first_day: date, last_day: date) -> list[Resource]:
        """Return the resources of these days that any source reported, sorted."""


class Paid(Protocol):
    """The requests of one source that cost money, counted by calendar month (UTC) of the real clock, durably."""

    def spend(self, budget: int) -> bool:
        """Count one more, before it is sent; return False, and count nothing, where the month has as many as allowed.

        Raises SourceError where it cannot be counted; nothing may be sent then.
        """

    def spent(self) -> tuple[date, int]:
        """Return the first of the present month, and how many were counted in it. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a refresh asks of a source.

    now: the clock (UTC, aware). first_day: the oldest day of `history`. restate_days: that many days before
    today, and today, may still change and are asked again; older days only if they are not stored. paid: counts
    requests that cost money; None where that cannot be, and none may be sent.
    """

    now: datetime
    first_day: date
    restate_days: int
    stored: Stored
    paid: Paid | None = None

    @property
    def today(self) -> date:
        """The current UTC day, which is not complete yet."""
        return self.now.date()
