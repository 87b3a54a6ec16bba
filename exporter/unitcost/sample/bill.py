"""The company's cloud bill as FOCUS: one gzipped CSV per billing period, a row per day and resource."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from unitcost.sample.ai import Uses, by_model
from unitcost.sample.cluster import BILL_PERCENT, CLUSTER, volumes
from unitcost.sample.company import UNIT, MonthOfCosts
from unitcost.sample.customers import Customer, apportion
from unitcost.sample.days import DAY_SECONDS, Clock
from unitcost.split import split

COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountId", "CommitmentDiscountStatus", "ContractedCost",
    "EffectiveCost", "ListCost", "ProviderName", "ResourceId", "ServiceCategory", "ServiceName",
    "ServiceProviderName", "SubAccountId", "Tags",
)  # fmt: skip

AWS, OPENAI = "Amazon Web Services", "OpenAI"
ACCOUNTS = {AWS: ("123456789012", "210987654321"), OPENAI: ("org-sample", "proj-production")}
SERVICES = {
    "nodes": (AWS, "Compute", "Amazon Elastic Compute Cloud"),
    "volumes": (AWS, "Storage", "Amazon Elastic Compute Cloud"),
    "database": (AWS, "Databases", "Amazon Relational Database Service"),
    "storage": (AWS, "Storage", "Amazon Simple Storage Service"),
    "network": (AWS, "Networking", "AWS Data Transfer"),
    "ai": (OPENAI, "AI and Machine Learning", "OpenAI API"),
}
"""Provider, FOCUS ServiceCategory and ServiceName."""

FEATURES = {"database": "dashboards", "storage": "ingest", "network": "dashboards"}
LIST_PERCENT = {"nodes": BILL_PERCENT, "volumes": BILL_PERCENT, "database": 70}
"""What the bill says in percent of list prices, where these are other ones."""
RESERVATION = "arn:aws:rds:eu-central-1:123456789012:ri:sample"
UNUSED_PERCENT = 5
"""So much of the databases that are shared is a reservation that nothing ran on."""
NODE_SIZES = [4.0] * 6 + [2.0] * 4 + [7.5] * 2


@dataclass(frozen=True, slots=True)
class Line:
    """One resource of the bill and what it cost on each day of the month, in units of 1e-8 dollars."""

    service: str
    resource: str
    tags: dict[str, str]
    days: list[int]
    commitment: str = ""
    unused: bool = False


def write_bill(
    folder: Path, clock: Clock, months: list[MonthOfCosts], uses: list[Uses], everyone: list[Customer]
) -> None:
    """Write folder/BILLING_PERIOD=YYYY-MM/bill-00001.csv.gz for every month that has rows.

    Rows come late: the newest are of yesterday, so that the cluster's cost of today is OpenCost's estimate, and that
    of AI what the tokens are worth.
    """
    for month, used in zip(months, uses, strict=True):
        rows = list(_rows(month, used, clock, everyone))
        if not rows:
            continue
        period = folder / f"BILLING_PERIOD={month.month.first:%Y-%m}"
        period.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        # no name and no time in the gzip header: the same company is the same bytes
        packed = gzip.compress(text.getvalue().encode(), compresslevel=1, mtime=0)
        (period / "bill-00001.csv.gz").write_bytes(packed)


def _rows(month: MonthOfCosts, used: Uses, clock: Clock, everyone: list[Customer]) -> Iterator[tuple[str, ...]]:
    """Yield the rows in the order of COLUMNS, day by day."""
    days = month.month.days
    period = _stamp(days[-1] + timedelta(1)), _stamp(days[0])
    lines = [(line, json.dumps(line.tags, separators=(",", ":"))) for line in _lines(month, used, everyone)]
    for place, day in enumerate(days):
        start, end = _stamp(day), _stamp(day + timedelta(1))
        if clock.elapsed(day) < DAY_SECONDS:
            break
        for line, tags in lines:
            provider, category, service = SERVICES[line.service]
            amount = line.days[place]
            if not amount:
                continue
            account, sub_account = ACCOUNTS[provider]
            cost = _dollars(amount)
            listed = _dollars(0 if line.unused else amount * 100 // LIST_PERCENT.get(line.service, 100))
            status = "" if not line.commitment else "Unused" if line.unused else "Used"
            yield (
                cost, account, "USD", *period, "Usage", "", end, start, line.commitment, status, cost, cost, listed,
                provider, line.resource, category, service, provider, sub_account, tags,
            )  # fmt: skip


def _lines(month: MonthOfCosts, used: Uses, everyone: list[Customer]) -> Iterator[Line]:
    production = {"environment": "production"}
    cluster = {"aws:eks:cluster-name": CLUSTER, **production}
    disks = volumes(month, everyone)
    for number, days in enumerate(_nodes([day - disk for day, disk in zip(month.nodes, disks, strict=True)])):
        yield Line("nodes", f"i-{0x0A17C0DE00 + number:017x}", cluster, days)
    yield Line("volumes", "vol-0a17c0de000000001", cluster, disks)
    for service, days in month.untagged.items():
        if service == "database":
            ran, idle = zip(*(split(amount, [100 - UNUSED_PERCENT, UNUSED_PERCENT]) for amount in days), strict=True)
            yield Line(service, f"shared-{service}", production, [*ran], RESERVATION)
            yield Line(service, RESERVATION, {}, [*idle], RESERVATION, unused=True)
        elif service != "ai":
            yield Line(service, f"shared-{service}", production, days)
    for service, by_tenant in month.direct.items():
        if service in FEATURES:
            for tenant, days in by_tenant.items():
                tags = {"tenant": tenant, "feature": FEATURES[service], **production}
                yield Line(service, f"{tenant}-{service}", tags, days, RESERVATION if service == "database" else "")
    for model, days in by_model(used).items():
        yield Line("ai", model, production, days)


def _nodes(days: list[int]) -> list[list[int]]:
    """Split what all nodes cost on each day over them, to the last unit."""
    amounts = apportion(sum(days), NODE_SIZES)
    nodes = [split(amount, days) for amount in amounts[1:]]
    first = [total - sum(parts) for total, *parts in zip(days, *nodes, strict=True)]
    return [first, *nodes]


def _dollars(units: int) -> str:
    return f"{units // UNIT}.{units % UNIT:08d}"


def _stamp(day: date) -> str:
    return f"{day}T00:00:00Z"
