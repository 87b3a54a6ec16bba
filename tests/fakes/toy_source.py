"""A source as CONTRIBUTING says that one is written: calls of a phone provider, which bring costs and usage at once."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Literal

from unitcost.errors import SourceError
from unitcost.facts import Asked, Batch, Cost, Note, Problem, Usage
from unitcost.sources.base import Context, FilePath, Settings, SourceKind


class PhoneSettings(Settings):
    """A file of JSON lines: day, customer, line, minutes, dollars."""

    type: Literal["phone"] = "phone"
    path: FilePath


class Phone:
    """One batch a UTC day."""

    kind: ClassVar[SourceKind] = "bill"

    def __init__(self, name: str, settings: PhoneSettings, context: Context) -> None:
        self.name = name
        self._path = settings.path
        self._currency = context.currency

    def batches(self, asked: Asked) -> Iterator[Batch | Problem | Note]:
        days: dict[date, list[dict[str, Any]]] = defaultdict(list)
        for number, line in enumerate(self._path.read_text().splitlines(), start=1):
            try:
                call = json.loads(line, parse_float=Decimal, parse_int=Decimal)
                days[date.fromisoformat(call["day"])].append(call)
            except (ValueError, KeyError) as error:
                where = f"{self._path}, line {number}"
                raise SourceError("format", where, "is no call", "Each has day, customer, line, …") from error
        for day, calls in sorted(days.items(), reverse=True):
            digest = hashlib.sha256(repr(calls).encode()).hexdigest()
            if asked.stored.fingerprint(day.isoformat()) != digest:
                yield Batch(
                    day.isoformat(),
                    [day],
                    digest,
                    cost=[self._cost(day, call) for call in calls],
                    usage=[Usage(day, call["customer"], "minutes", call["minutes"], call["line"]) for call in calls],
                    says=("cost", "usage"),
                )

    def _cost(self, day: date, call: dict[str, Any]) -> Cost:
        # What a call is of and how long it was stays beside what it cost, for whoever asks why.
        return Cost(
            day, call["customer"], "calls", "network", call["dollars"], self._currency, item=call["line"],
            unit="minutes", quantity=call["minutes"],
        )  # fmt: skip
