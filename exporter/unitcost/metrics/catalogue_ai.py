"""The metrics about AI: tokens by model, feature and direction, what they cost, and how far that can be trusted.

See catalogue, which serves them with all others.
"""

from __future__ import annotations

from unitcost.metrics.metric import AI_REQUESTS, COSTS, NO_WINDOW, WINDOW, Select, Served

TENANT_AI_TOKENS = Served(
    "tenant_ai_tokens",
    "Tokens of a model that a tenant used in the window. direction: input (neither read from a cache nor written to"
    " one), cache_read, cache_write, output and so on; each token is in one.",
    ("tenant", "model", "direction", "window"),
    filled=Select(
        "SELECT tenant, model, direction, span, sum(quantity) FROM tenant_ai WHERE is_token GROUP BY ALL",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
TENANT_AI_COST = Served(
    "tenant_ai_cost_dollars",
    "What a tenant's use of AI cost in the window, before sharing: as billed, or at the price book's prices until a"
    " bill covers the day. What has no price is in unitcost_unpriced_tokens.",
    ("tenant", "model", "feature", "window"),
    unit="dollars",
    filled=Select("SELECT tenant, model, feature, span, amount FROM served_ai_cost", needs=(COSTS,), window=WINDOW),
)
AI_TOKENS = Served(
    "ai_tokens",
    "Tokens that the whole company used in the window, those of no tenant included.",
    ("model", "feature", "direction", "window"),
    filled=Select(
        "SELECT model, feature, direction, span, quantity FROM window_ai WHERE is_token", needs=(COSTS,), window=WINDOW
    ),
)
AI_COST = Served(
    "ai_cost_dollars",
    "What AI cost the whole company in the window, that of no tenant included, before sharing.",
    ("model", "feature", "direction", "window"),
    unit="dollars",
    filled=Select("SELECT model, feature, direction, span, amount FROM served_ai", needs=(COSTS,), window=WINDOW),
)
COST_PER_AI_TOKEN = Served(
    "cost_per_ai_token",
    "Dollars of a token of a model in the window: what metered tokens with a price cost, divided by their number.",
    ("model", "direction", "window"),
    filled=Select(
        "SELECT model, direction, span, per_unit(sum(metered), sum(quantity) - coalesce(sum(unpriced), 0))"
        " FROM window_ai WHERE is_token AND is_own(span) GROUP BY ALL",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
COST_PER_AI_REQUEST = Served(
    "cost_per_ai_request",
    "Dollars of a tenant's AI in the window divided by its AI requests, where these are counted.",
    ("tenant", "window"),
    filled=Select("SELECT tenant, span, dollars FROM ai_request", needs=(COSTS, AI_REQUESTS), window=WINDOW),
)
AI_CACHED = Served(
    "ai_cache_read_ratio",
    "The part of the tokens that went into a model in the window which it read from its prompt cache.",
    ("model", "window"),
    filled=Select(
        "SELECT model, span, per_unit(sum(quantity) FILTER (direction = 'cache_read'), sum(quantity)) FROM window_ai"
        " WHERE direction IN ('input', 'cache_read', 'cache_write', 'cache_write_1h')"
        " AND is_own(span) GROUP BY ALL",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
AI_COVERAGE = Served(
    "ai_coverage_ratio",
    "The part of what a model provider reports that token counters saw, by its value, on billed days of the window.",
    ("scope", "window"),
    filled=Select("SELECT scope, span, coverage FROM window_reconciled", needs=(COSTS,), window=WINDOW),
)
AI_PRICE = Served(
    "ai_price_ratio",
    "A model provider's bill divided by what the tokens that it reports cost by the price book, on billed days of the"
    " window.",
    ("scope", "window"),
    filled=Select(
        "SELECT scope, span, ratio FROM window_reconciled WHERE coverage IS NOT NULL", needs=(COSTS,), window=WINDOW
    ),
)
SAVINGS_OPPORTUNITY = Served(
    "savings_opportunity_dollars",
    "What could be saved a month, potentially, at the window's rate and the price book's prices. model_routing: by the"
    " model that ai.routing names; prompt_cache_missed: at most that, by caching ai.cacheable_share of the input.",
    ("kind", "target", "window"),
    unit="dollars",
    filled=Select("SELECT kind, target, span, dollars FROM opportunity", needs=(COSTS,), window=WINDOW),
)
AI_CACHE_SAVED = Served(
    "ai_cache_saved_dollars",
    "What prompt caching saved in the window, at the price book's prices: what was read from the cache for less than"
    " input costs, less what writing it cost more. Absent where a price is not known.",
    ("model", "window"),
    unit="dollars",
    filled=Select(
        "SELECT m.model, span, sum(saved) FROM cache_saved c JOIN shown_model m ON m.spelt = c.model"
        " WHERE saved IS NOT NULL GROUP BY ALL",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
TENANT_AI_CARRIED = Served(
    "tenant_ai_requests_carried",
    "How many AI requests of this calendar month a tenant's price carries: its MRR (else its plan's price) less what"
    " else it costs, divided by what an AI request costs on average (its own, else its plan's).",
    ("tenant",),
    filled=Select("SELECT tenant, carried FROM break_even", needs=(COSTS, AI_REQUESTS), window=NO_WINDOW),
)
TENANT_AI_UNTIL_LOSS = Served(
    "tenant_ai_requests_until_loss",
    "tenant_ai_requests_carried less the AI requests since the first of the month; below 0 the tenant loses money.",
    ("tenant",),
    filled=Select("SELECT tenant, until_loss FROM break_even", needs=(COSTS, AI_REQUESTS), window=NO_WINDOW),
)
TENANT_AI_LOSS_IN = Served(
    "tenant_ai_loss_in_seconds",
    "Seconds until a tenant has used all AI requests that its price carries, at this month's rate; 0 where it has."
    " Absent where that does not come this month, and on its first day.",
    ("tenant",),
    unit="seconds",
    filled=Select("SELECT tenant, 86400 * loss_in_days FROM break_even", needs=(COSTS, AI_REQUESTS), window=NO_WINDOW),
)
UNPRICED_TOKENS = Served(
    "unitcost_unpriced_tokens",
    "Tokens in the window that no price is known of and no bill either; they cost 0 everywhere. `unitcost prices MODEL`"
    " tells what is missing.",
    ("model", "direction", "window"),
    filled=Select(
        "SELECT model, direction, span, sum(unpriced) FROM window_ai WHERE is_own(span) GROUP BY ALL",
        needs=(COSTS,),
        window=WINDOW,
    ),
)
UNMAPPED_TOKENS = Served(
    "unitcost_unmapped_tokens",
    "Tokens in the window whose series do not say of which model or in which direction they are, as the"
    " preset knows it.",
    ("source", "window"),
    filled=Select("SELECT source, span, quantity FROM window_unmapped", needs=(COSTS,), window=WINDOW),
)

ALL: tuple[Served, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Served))
