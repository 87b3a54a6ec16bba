"""Alerts about what is known of AI: what counters see of the provider's bill, at which prices, and what has none."""

from __future__ import annotations

from rules.expressions import OF_PROVIDERS, number, one
from rules.model import Alert
from rules.promql import over
from rules.text import PERCENT, phrase, words
from unitcost.config.model import Config
from unitcost.metrics import catalogue as c
from unitcost.metrics import catalogue_ai as ai

PAGE = "unitcost-ai"


def alerts(config: Config) -> tuple[Alert, ...]:
    """Return the alerts of those who answer for the figures of AI."""
    return (_coverage(config), _price(config), _unpriced(config))


def _coverage(config: Config) -> Alert:
    settings = config.alerts.ai
    coverage = one(ai.AI_COVERAGE, window=settings.window)
    return Alert(
        "UnitcostAiCoverageLow",
        "token counters see too little of what a provider reports",
        f"round({coverage} < {number(settings.coverage)}, 0.001)",
        "warning",
        config.alerts.owners.data,
        f"Token counters saw {PERCENT} of what {{{{ $labels.scope }}}} reports {words(settings.window)}, by its value.",
        f"At least {settings.coverage:.0%} is usual. The rest is nobody's cost: an application without counters,"
        " streams without usage, pods that end before they are scraped. `unitcost audit ai` tells it by model and day.",
        PAGE,
    )


def _price(config: Config) -> Alert:
    settings = config.alerts.ai
    reported = one(ai.AI_PRICE, window=settings.window)
    billed = over("max", ("scope",), one(c.RECONCILIATION, scope=OF_PROVIDERS, window=settings.window))
    ratio = f"({reported} or {billed})"
    return Alert(
        "UnitcostAiPriceOff",
        "a provider's bill and the price book do not fit",
        f"round({ratio} < {number(settings.low)} or {ratio} > {number(settings.high)}, 0.001)",
        "warning",
        config.alerts.owners.data,
        f"The bill of {{{{ $labels.scope }}}} is {PERCENT} of what its tokens cost by the price book"
        f" {words(settings.window)}.",
        f"Between {settings.low:.0%} and {settings.high:.0%} is usual. Below: a discount, batches, or a cache that the"
        " counters do not tell; above: tokens that nobody counted, where the provider does not report them, or prices"
        " that rose. Days without a bill are estimated at the book's prices; ai.prices sets yours.",
        PAGE,
    )


def _unpriced(config: Config) -> Alert:
    settings = config.alerts.ai
    unpriced = over("sum", ("model",), one(ai.UNPRICED_TOKENS, window=settings.window))
    unmapped = over("sum", (), one(ai.UNMAPPED_TOKENS, window=settings.window))
    return Alert(
        "UnitcostAiTokensUnpriced",
        "tokens of a model have no price",
        f"{unpriced} >= {number(settings.unpriced)}",
        "warning",
        config.alerts.owners.data,
        f'{{{{ printf "%.0f" $value }}}} tokens of {{{{ $labels.model }}}} have no price and no bill'
        f" {words(settings.window)}: they cost 0 everywhere.",
        phrase(f"{unmapped} > 0", "{} tokens more are of no known model or direction. ", "", "%.0f")
        + "`unitcost prices` says what is known of the model; a price or `means` under ai.prices makes them count, for"
        " past days too.",
        PAGE,
    )
