"""Exports as providers deliver them: AWS over its own files or in new folders, Azure by runs, with manifests."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.fakes.object_stores import BUCKET, Bucket

HEADER = (
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "BillingCurrency",
    "BilledCost",
    "EffectiveCost",
    "ServiceName",
    "ServiceCategory",
    "ResourceId",
    "Tags",
)
Rows = Sequence[Mapping[str, str]]


def month(period: str, cost: str, days: int = 20, resource: str = "r") -> Rows:
    """Return a charge of this cost on each of the first days of a month."""
    year, number = map(int, period.split("-"))
    after = f"{year + number // 12}-{number % 12 + 1:02}-01"
    return [
        {
            "BillingPeriodStart": f"{period}-01",
            "BillingPeriodEnd": after,
            "ChargePeriodStart": f"{period}-{day:02}",
            "ChargePeriodEnd": f"{period}-{day + 1:02}",
            "BillingCurrency": "USD",
            "BilledCost": cost,
            "EffectiveCost": cost,
            "ServiceName": "EC2",
            "ServiceCategory": "Compute",
            "ResourceId": resource,
            "Tags": '{"tenant": "acme"}',
        }
        for day in range(1, days + 1)
    ]


def total(*files: Rows) -> Decimal:
    """Sum the charges of files up."""
    return sum((Decimal(row["EffectiveCost"]) for rows in files for row in rows), Decimal(0))


def packed(rows: Rows) -> bytes:
    """Return a file of charges, the same bytes for the same charges."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)


@dataclass
class Delivering:
    """A provider that writes to a bucket. how: `overwrite` or `new` of AWS, `azure`."""

    bucket: Bucket
    how: str
    runs: int = 0
    last: dict[str, str] = field(default_factory=dict)
    """Billing period → the key of its newest manifest."""
    _data: dict[str, float] = field(default_factory=dict)
    _manifests: dict[str, float] = field(default_factory=dict)
    """Billing period → when a store gives an object a later time than its newest data, or manifest: see _later()."""

    @property
    def path(self) -> str:
        """Where the export is."""
        return self.bucket.address("exports/focus")

    def data(self, period: str, *files: Rows) -> list[tuple[str, bytes]]:
        """Write a delivery's files, without a manifest; return their keys and what they hold."""
        if period in self.last and self.how != "new":
            _wait_until(self._data.get(period, 0))
            _wait_until(self._manifests[period])
        self.runs += 1
        made = [(self._key(period, at), packed(rows)) for at, rows in enumerate(files, start=1)]
        for key, body in made:
            self.bucket.put(key, body)
        self._data[period] = _later()
        return made

    def manifest(self, period: str, files: Sequence[tuple[str, bytes]], **more: Any) -> str:
        """Write the manifest of a delivery; return its key."""
        if self.how == "azure":
            blobs = [{"blobName": key, "byteCount": len(body), "dataRowCount": 1} for key, body in files]
            said: dict[str, Any] = {"manifestVersion": "2024-04-01", "blobs": blobs, "blobCount": len(blobs)}
            said["exportConfig"] = {"exportName": "focus", "type": "FocusCost", "dataVersion": "1.0"}
            key = f"{self._folder(period)}/manifest.json"
        else:
            said = {"executionId": f"run-{self.runs}", "dataFiles": [f"s3://{BUCKET}/{key}" for key, _ in files]}
            run = f"/{self._run}" if self.how == "new" else ""
            key = f"exports/focus/metadata/BILLING_PERIOD={period}{run}/focus-Manifest.json"
        if self.last.get(period, key) != key:
            _wait_until(self._manifests[period])
        self.bucket.put(key, json.dumps({**said, **more}).encode())
        self.last[period] = key
        self._manifests[period] = _later()
        return key

    def deliver(self, period: str, *files: Rows) -> Decimal:
        """Write a whole delivery; return what it sums to."""
        self.manifest(period, self.data(period, *files))
        return total(*files)

    @property
    def _run(self) -> str:
        return f"20261120T{self.runs:06}Z-8b6a"

    def _folder(self, period: str) -> str:
        last = f"{period.replace('-', '')}28"
        return f"exports/focus/{period.replace('-', '')}01-{last}/2026112{self.runs % 10}0300/guid-{self.runs}"

    def _key(self, period: str, at: int) -> str:
        if self.how == "azure":
            return f"{self._folder(period)}/part_{at - 1}_0001.csv.gz"
        run = f"/{self._run}" if self.how == "new" else ""
        return f"exports/focus/data/BILLING_PERIOD={period}{run}/focus-{at:05}.csv.gz"


def _later() -> float:
    """Return when a store gives an object a later time (Unix) than it does now: stores count whole seconds."""
    return int(time.time()) + 1.02


def _wait_until(moment: float) -> None:
    time.sleep(max(moment - time.time(), 0))
