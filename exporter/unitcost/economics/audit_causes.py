"""The causes of a difference between counters and a bill, and what is said of a day that they are found in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

NOT_METERED = "not metered"
UNMAPPED = "counted under labels that name no model"
NOT_REPORTED = "counted and not reported"
CACHED_AS_INPUT = "cached input counted as other input"
CACHED_TWICE = "cached input counted as input too"
TWO_NAMES = "two names of one model, likely"
BLOCKED = "blocked requests, reported and not billed"
NOT_BILLED = "used and not billed"
BATCH = "batch at a lower price"
PRICE = "another price than the book's"
PRICE_OR_BLOCKED = "another price or blocked requests"
UNPRICED = "no price in the book"
NOT_TOKENS = "not a model's tokens"
ROUNDING = "rounding"
UNKNOWN = "no known cause"
CAUSES = (
    NOT_METERED,
    UNMAPPED,
    NOT_REPORTED,
    CACHED_AS_INPUT,
    CACHED_TWICE,
    TWO_NAMES,
    BLOCKED,
    NOT_BILLED,
    BATCH,
    PRICE,
    PRICE_OR_BLOCKED,
    UNPRICED,
    NOT_TOKENS,
    ROUNDING,
    UNKNOWN,
)
"""In the order in which they are told."""

ALL_MODELS = "(all models)"
CACHED = ("cache_read", "cache_write", "cache_write_1h")
REPORTS_BLOCKED = "anthropic"
"""The provider whose report counts tokens of requests that were blocked and not billed."""
USED = "usage"
"""The kind of charge that is of what was used; credits, fees and the like are of no model."""
CENT = Decimal("0.01")
DIGITS = 80
"""So many digits are computed with: quantities have 38, and nothing may be lost."""
SMALLEST = Decimal("1e-12")
ZERO = Decimal(0)

Units = Mapping[str, Decimal]
ByModel = Mapping[str, Units]


@dataclass(frozen=True)
class Cause:
    """A part of the difference: tokens of report less counters, money of bill less book; None: not told of that day.

    about: what of the model it is (a unit, another name, the ratio of two prices).
    """

    kind: str
    tokens: Decimal | None
    dollars: Decimal | None
    about: str = ""


@dataclass(frozen=True)
class BillRow:
    """Rows of a bill of one day, summed up: how many, and what they come to. model: "" where none is named."""

    model: str
    unit: str | None
    charge: str
    rows: int
    amount: Decimal


@dataclass(frozen=True)
class Seen:
    """What is said of a provider's account on a UTC day, by model and unit.

    reported, bill: None where not known of that day. batch: the part of the report that was asked in batches. prices:
    money for one of a unit, None: unpriced. share: model → the part of a price that is paid in a batch. token_units:
    which units are tokens.
    """

    provider: str
    counted: ByModel
    reported: ByModel | None
    bill: Sequence[BillRow] | None
    prices: Mapping[tuple[str, str], Fraction | None]
    token_units: frozenset[str]
    batch: ByModel = field(default_factory=dict)
    share: Callable[[str], Decimal] = lambda _: Decimal("0.5")

    def worth(self, model: str, unit: str, quantity: Decimal) -> Decimal:
        """Return what a quantity costs by the book; 0 where it has no price."""
        price = self.prices.get((model, unit))
        if price is None:
            return ZERO
        exact = Fraction(quantity) * price / Fraction(SMALLEST)
        return Decimal((2 * exact.numerator + exact.denominator) // (2 * exact.denominator)) * SMALLEST


@dataclass(frozen=True)
class Explained:
    """A model of a day. model: "" for what is of none, ALL_MODELS for the money where the bill tells none apart.

    booked: what was counted, by the book; billed: None where not known. The causes' money sums to billed - booked,
    their tokens to reported - counted.
    """

    model: str
    counted: Decimal
    reported: Decimal | None
    booked: Decimal
    billed: Decimal | None
    causes: Sequence[Cause]


@dataclass
class Step:
    """So many of a unit more, and what they are worth."""

    kind: str
    model: str
    unit: str
    quantity: Decimal
    dollars: Decimal
    about: str = ""
